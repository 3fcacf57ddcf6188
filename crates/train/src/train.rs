//! One training, from observations to a registered version. Reads top to bottom.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use mainspring_catalog::{Metric, Principal};
use mainspring_features::FeatureStore;
use mainspring_lake::{Lake, Progress, TableName, WriteId};
use mainspring_registry::{
    Compared, Evaluation, ModelVersion, NewRun, Registration, Registry, Run, TrainingSet, Verdict, VersionStage,
};
use mainspring_spec::{Model, Project, Promote, ResolvedModel, Trainer};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::commit::code_commit;
use crate::dataset::{Built, Query, build, champion_metrics, load};
use crate::fit::{Outcome, check_rows, fit_off_thread};
use crate::trainer;
use crate::{Error, Result};

/// Changes when the same declaration and data would give another model than before.
const ALGORITHM: u32 = 1;
/// The alias that a version which meets its gates gets when the model promotes by itself.
const CHAMPION: &str = "champion";

/// What training works with.
#[derive(Clone)]
pub struct TrainContext {
    /// The tables.
    pub lake: Lake,
    /// The features.
    pub features: FeatureStore,
    /// Where runs and versions are kept.
    pub registry: Registry,
    /// The declarations.
    pub project: Arc<Project>,
}

/// What to do beyond the declaration.
#[derive(Debug, Clone, Default)]
pub struct TrainOptions {
    /// Train also when the last version was made from exactly the same.
    pub force: bool,
    /// The run that asks for this one.
    pub parent: Option<String>,
    /// Labels of the run.
    pub tags: BTreeMap<String, String>,
}

/// How a training ended.
#[derive(Debug, Clone, Serialize)]
pub struct TrainReport {
    /// The version; the last one, when nothing has changed since.
    pub version: ModelVersion,
    /// Its evaluation.
    pub evaluation: Evaluation,
    /// Whether nothing was trained because the last version was made from exactly the same.
    pub unchanged: bool,
    /// Whether it went live.
    pub promotion: Promotion,
    /// How long each stage took, in the order of the stages.
    pub seconds: Vec<(String, f64)>,
}

/// Whether a trained version went live.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Promotion {
    /// The model leaves it to people.
    Manual,
    /// It has the alias `champion`.
    Live,
    /// It had the alias before, and someone took it away: that is not undone.
    Withdrawn,
    /// A gate was not met.
    Refused(Box<Verdict>),
}

/// Trains a model as it is declared, evaluates it on its test rows, and registers the version with its lineage.
///
/// Training again from the same declaration, data and program gives the same bytes, so it is not done: the report then
/// holds the last version. All compute runs off the async threads.
///
/// # Errors
/// When the declaration does not resolve, there is no data or too little of it, nothing can be learned from the labels, or a
/// layer below fails. The run is then kept as failed, with the reason.
pub async fn train(
    context: &TrainContext,
    model: &str,
    options: &TrainOptions,
    principal: &Principal,
    progress: &dyn Progress,
) -> Result<TrainReport> {
    let resolved = context.project.resolve_model(model)?;
    trainer::check(model, resolved.model.task, &resolved.model.trainer)?;
    let query = Query::new(&context.project, &resolved)?;
    let pins = pins(context, &resolved, &query).await?;
    let fingerprint = fingerprint(&context.project, &resolved, &pins)?;

    if !options.force
        && let Some(last) = context.registry.latest(model).await?.filter(|last| last.fingerprint == fingerprint)
        && let Some(run) = &last.run
        && let Some(evaluation) = context.registry.evaluation(run).await?
    {
        let promotion = promote(&context.registry, &resolved.model, &last, principal).await?;
        return Ok(TrainReport { version: last, evaluation, unchanged: true, promotion, seconds: vec![] });
    }

    let run = start(context, &resolved, &pins, options, principal).await?;
    let plan = Plan { context, resolved: &resolved, query: &query, pins: &pins, run: &run, fingerprint };
    match plan.carry_out(principal, progress).await {
        Ok(report) => Ok(report),
        Err(error) => {
            if let Err(second) = context.registry.fail_run(&run.id, &error.to_string(), principal).await {
                tracing::warn!(run = run.id, error = %second, "the run's failure could not be recorded");
            }
            Err(error)
        }
    }
}

/// The present version of every table that the training set is made from.
async fn pins(context: &TrainContext, resolved: &ResolvedModel, query: &Query) -> Result<BTreeMap<TableName, u64>> {
    let views = context.project.views_used(resolved);
    let stored = views.iter().filter(|view| {
        let kind = context.project.feature_views.get(*view).map(mainspring_spec::FeatureView::kind);
        kind.is_some_and(|kind| kind != mainspring_spec::ViewKind::Request)
    });
    let tables = stored.map(|view| format!("features.{view}")).chain([query.table.clone()]);
    let mut pins = BTreeMap::new();
    for table in tables {
        let no_data = || Error::NoData { model: resolved.model.name.clone(), table: table.clone() };
        let name: TableName = table.parse()?;
        let version = context.lake.version(&name).await?.ok_or_else(no_data)?;
        pins.insert(name, version);
    }
    Ok(pins)
}

/// A hash over everything that decides what comes out.
fn fingerprint(project: &Project, resolved: &ResolvedModel, pins: &BTreeMap<TableName, u64>) -> Result<String> {
    // Gates and promotion judge the model and do not shape it.
    let model = Model { gates: vec![], promote: Promote::Manual, description: String::new(), ..resolved.model.clone() };
    let views = project.views_used(resolved);
    let views: Vec<_> = views.iter().filter_map(|view| project.feature_views.get(view)).collect();
    let pins: BTreeMap<String, u64> = pins.iter().map(|(table, version)| (table.to_string(), *version)).collect();
    let parts = (ALGORITHM, env!("CARGO_PKG_VERSION"), model, &resolved.inputs, views, pins);
    Ok(hex::encode(Sha256::digest(serde_json::to_vec(&parts)?)))
}

async fn start(
    context: &TrainContext,
    resolved: &ResolvedModel,
    pins: &BTreeMap<TableName, u64>,
    options: &TrainOptions,
    principal: &Principal,
) -> Result<Run> {
    let folder = context.project.folder.clone();
    let commit = tokio::task::spawn_blocking(move || code_commit(&folder)).await.unwrap_or_default();
    let new = NewRun {
        experiment: resolved.model.name.clone(),
        model: Some(resolved.model.name.clone()),
        parent: options.parent.clone(),
        params: params(&resolved.model)?,
        tags: options.tags.clone(),
        commit,
        tables: pins.iter().map(|(table, version)| (table.to_string(), *version)).collect(),
    };
    Ok(context.registry.start_run(new, principal).await?)
}

/// The parameters a run is compared by: those of the trainer, the seed and the split.
fn params(model: &Model) -> Result<BTreeMap<String, String>> {
    let mut params = BTreeMap::new();
    params.insert("seed".into(), model.seed.to_string());
    let mut add = |prefix: &str, value: serde_json::Value| {
        for (key, value) in value.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            params.insert(format!("{prefix}{key}"), text);
        }
    };
    add("split.", serde_json::to_value(&model.split)?);
    let (name, parameters) = match &model.trainer {
        Trainer::BoostedTrees(parameters) => ("boosted_trees", serde_json::to_value(parameters)?),
        Trainer::LogisticRegression(parameters) => ("logistic_regression", serde_json::to_value(parameters)?),
        Trainer::LinearRegression(parameters) => ("linear_regression", serde_json::to_value(parameters)?),
        Trainer::Constant(parameters) => ("constant", serde_json::to_value(parameters)?),
    };
    add("", parameters);
    params.insert("trainer".into(), name.into());
    Ok(params)
}

/// A training that has begun.
struct Plan<'a> {
    context: &'a TrainContext,
    resolved: &'a ResolvedModel,
    query: &'a Query,
    pins: &'a BTreeMap<TableName, u64>,
    run: &'a Run,
    fingerprint: String,
}

impl Plan<'_> {
    async fn carry_out(self, principal: &Principal, progress: &dyn Progress) -> Result<TrainReport> {
        let Self { context, resolved, .. } = self;
        let mut watch = Stopwatch::new();

        // An application of its own for each run: two trainings of one model at once are two writes.
        let write = WriteId { app: format!("train:{}", self.run.id), sequence: 0 };
        let built = build(&context.lake, &context.features, resolved, self.query, self.pins, write, progress).await?;
        watch.lap("training set");
        let loaded = load(&context.lake, resolved, &built).await?;
        check_rows(&resolved.model, &loaded)?;
        watch.lap("load");

        let outcome = fit_off_thread(&resolved.model, loaded, progress).await?;
        watch.lap("train");

        let (version, evaluation) = self.register(&built, outcome, principal).await?;
        watch.lap("register");
        let promotion = promote(&context.registry, &resolved.model, &version, principal).await?;
        Ok(TrainReport { version, evaluation, unchanged: false, promotion, seconds: watch.laps })
    }

    /// The file first, then the catalog: a crash between them leaves a file that nothing names.
    async fn register(
        &self,
        built: &Built,
        outcome: Outcome,
        principal: &Principal,
    ) -> Result<(ModelVersion, Evaluation)> {
        let Self { context, resolved, run, .. } = self;
        let model = &resolved.model;
        let store = context.registry.artifacts().clone();
        let compared = self.compare(built).await?;
        let artifact = outcome.artifact;
        let stored = tokio::task::spawn_blocking(move || store.put_model("model.json", &artifact)).await;
        let artifact = stored.map_err(|error| Error::stopped(model, &error))??;
        let now = Timestamp::now();
        let metric = |step: trainer::Step| Metric {
            run: run.id.clone(),
            key: step.key.into(),
            step: step.iteration.into(),
            value: step.value,
            at: now,
        };
        let evaluation = Evaluation { run: run.id.clone(), ..outcome.evaluation };
        let version = ModelVersion {
            model: model.name.clone(),
            version: 0,
            run: Some(run.id.clone()),
            task: Some(model.task),
            artifact: Some(artifact),
            logged: None,
            training_set: Some(TrainingSet {
                table: built.table.to_string(),
                version: built.version,
                train_rows: evaluation.train.rows,
                validation_rows: evaluation.validation.as_ref().map_or(0, |part| part.rows),
                test_rows: evaluation.test.rows,
                purged_rows: outcome.purged,
                test_from: built.splitter.test_from(),
            }),
            tables: run.tables.clone(),
            commit: run.commit.clone(),
            fingerprint: self.fingerprint.clone(),
            metrics: evaluation.test.metrics.clone(),
            baseline: evaluation.baseline.clone(),
            compared,
            gates: model.gates.clone(),
            created_at: now,
            created_by: principal.clone(),
            tags: BTreeMap::new(),
            notes: vec![],
            description: String::new(),
            stage: VersionStage::None,
            updated_at: None,
        };
        let registration = Registration {
            version,
            description: model.description.clone(),
            evaluation: evaluation.clone(),
            metrics: outcome.history.into_iter().map(metric).collect(),
            artifacts: vec![],
            made_from: self.pins.iter().map(|(table, version)| format!("table:{table}@{version}")).collect(),
        };
        Ok((context.registry.register(registration, principal).await?, evaluation))
    }

    /// What the present champion reaches on the same test rows.
    async fn compare(&self, built: &Built) -> Result<Option<Compared>> {
        let registry = &self.context.registry;
        let Some(champion) = registry.live(&self.resolved.model.name, CHAMPION).await? else { return Ok(None) };
        if champion.artifact.is_none() {
            return Ok(None);
        }
        let artifact = registry.open_model(&champion).await?;
        let metrics = champion_metrics(&self.context.lake, self.resolved, built, &artifact).await?;
        Ok(metrics.map(|metrics| Compared { version: champion.version, metrics }))
    }
}

/// Gives the version the alias when the model asks for it.
async fn promote(registry: &Registry, model: &Model, version: &ModelVersion, by: &Principal) -> Result<Promotion> {
    if model.promote == Promote::Manual {
        return Ok(Promotion::Manual);
    }
    let live = registry.live(&model.name, CHAMPION).await?;
    if live.is_some_and(|live| live.version == version.version) {
        return Ok(Promotion::Live);
    }
    let events = registry.events(&model.name, CHAMPION).await?;
    if events.iter().any(|event| event.to == Some(version.version)) {
        return Ok(Promotion::Withdrawn);
    }
    let run = version.run.as_deref().unwrap_or_default();
    let reason = format!("trained by run {run} and met its gates");
    match registry.set_alias(&model.name, CHAMPION, version.version, by, &reason).await {
        Ok(_) => Ok(Promotion::Live),
        Err(mainspring_registry::Error::Refused(verdict)) => Ok(Promotion::Refused(verdict)),
        Err(error) => Err(error.into()),
    }
}

/// Takes the time of stages.
struct Stopwatch {
    last: std::time::Instant,
    laps: Vec<(String, f64)>,
}

impl Stopwatch {
    fn new() -> Self {
        Self { last: std::time::Instant::now(), laps: vec![] }
    }

    fn lap(&mut self, stage: &str) {
        let now = std::time::Instant::now();
        self.laps.push((stage.into(), (now - self.last).as_secs_f64()));
        self.last = now;
    }
}
