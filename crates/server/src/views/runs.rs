//! Training runs: parameters, metrics, curves, evaluation.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use mainspring_registry::{
    Dataset, DatasetInput, Error as RegistryError, Evaluation, FilePath, LoggedModel, Origin, Point, Run, RunRow,
    Stage, Tracking,
};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::{Look, Page, Result};

/// Points of a curve: as many as a wide screen has pixels.
const CURVE_POINTS_MAX: usize = 1_000;
/// Files of a run that are listed: a page of them is as much as anybody reads.
const FILES_MAX: usize = 200;
/// Folders that are looked into for them: each is one question to the store.
const FOLDERS_MAX: usize = 40;
/// Datasets, logged models and versions of a run that are looked up.
const LOOKED_UP_MAX: usize = 50;
/// Newest runs of an experiment among which those are looked for that a run started: as many as a list of runs shows.
const NESTED_AMONG: usize = 200;

/// A training run, as lists show it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RunView {
    /// The run as it is recorded.
    #[serde(flatten)]
    pub run: Run,
    /// How long it took, in seconds; none while it is under way.
    pub seconds: Option<f64>,
    /// The metrics whose last value is no finite number, which `metrics` cannot hold.
    pub not_finite: BTreeMap<String, NotFinite>,
}

/// The last value of a metric, when it is no finite number. JSON has no numbers for these.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct NotFinite {
    /// Its name: `NaN`, `Infinity` or `-Infinity`.
    #[serde(serialize_with = "by_name")]
    #[schemars(with = "String")]
    pub value: f64,
    /// The step it was logged at.
    pub step: i64,
}

/// Writes what is no finite number as JavaScript and Python's `json` call it.
fn by_name<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match *value {
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        _ => "NaN",
    })
}

impl From<Run> for RunView {
    fn from(run: Run) -> Self {
        let seconds = run.ended_at.map(|ended| ended.duration_since(run.started_at).as_secs_f64());
        Self { run, seconds, not_finite: BTreeMap::new() }
    }
}

impl RunView {
    /// The last value of a metric, also when it is no finite number.
    pub fn last(&self, metric: &str) -> Option<f64> {
        let not_finite = self.not_finite.get(metric).map(|last| last.value);
        not_finite.or_else(|| self.run.metrics.get(metric).copied())
    }

    /// The metrics that have a last value.
    pub fn measured(&self) -> impl Iterator<Item = &str> {
        self.run.metrics.keys().chain(self.not_finite.keys()).map(String::as_str)
    }

    /// Takes what a metric was last, which the record of a client's run has as of when it ended, and finite numbers alone.
    fn take_last(&mut self, metric: &str, last: Point) {
        if last.value.is_finite() {
            self.run.metrics.insert(metric.to_owned(), last.value);
        } else {
            self.run.metrics.remove(metric);
            self.not_finite.insert(metric.to_owned(), NotFinite { value: last.value, step: last.step });
        }
    }
}

/// Runs, the newest first; of one experiment, or of all.
///
/// # Errors
/// When the catalog fails.
pub async fn runs(look: &Look, experiment: Option<&str>, page: &Page) -> Result<Vec<RunView>> {
    let (mut there, mut after): (Vec<RunView>, _) = (vec![], page.after.clone());
    loop {
        let part = look.registry.runs(experiment, page.limit, after.as_deref()).await?;
        let is_last = part.len() < page.limit;
        after = part.last().map(|run| run.id.clone());
        there.extend(part.into_iter().filter(|run| run.stage == Stage::Active).map(RunView::from));
        if is_last || there.len() >= page.limit {
            there.truncate(page.limit);
            break;
        }
    }
    // another verb than `serve` has no points
    let Ok(tracking) = look.registry.tracking() else { return Ok(there) };
    for view in there.iter_mut().filter(|view| view.run.origin == Origin::Client) {
        let Some(row) = tracked(tracking, &view.run.id).await? else { continue };
        for (key, point) in tracking.named_metrics(&row) {
            view.take_last(&key, point);
        }
    }
    Ok(there)
}

/// A client's run as it is tracked, if it is there.
async fn tracked(tracking: &Tracking, id: &str) -> Result<Option<Arc<RunRow>>> {
    // clients' runs are written by this process, so that what it has in memory is up to date: a list asks for many
    match tracking.active_run(id).await {
        Ok(row) => Ok(Some(row)),
        Err(RegistryError::NoRun(_)) => Ok(None),
        // with its experiment
        Err(RegistryError::RunDeleted(_)) => Ok(Some(tracking.run(id).await?)),
        Err(error) => Err(error.into()),
    }
}

/// An experiment, as runs show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExperimentSeen {
    /// What runs refer to it by.
    pub key: String,
    /// Its name.
    pub name: String,
    /// Its number, by which clients know it.
    pub number: Option<u64>,
}

/// The experiment of a run's key.
pub fn experiment(look: &Look, key: &str) -> ExperimentSeen {
    let row = look.registry.tracking().ok().and_then(|tracking| tracking.experiment_of_key(key));
    match row {
        Some(row) => {
            ExperimentSeen { key: key.to_owned(), name: row.experiment.name.clone(), number: Some(row.number) }
        }
        None => ExperimentSeen { key: key.to_owned(), name: key.to_owned(), number: None },
    }
}

/// The experiment of a number, as addresses of clients have it; a name is its own.
///
/// # Errors
/// When the catalog fails.
pub async fn experiment_asked(look: &Look, asked: &str) -> Result<ExperimentSeen> {
    let (Ok(number), Ok(tracking)) = (asked.parse::<u64>(), look.registry.tracking()) else {
        return Ok(experiment(look, asked));
    };
    match tracking.experiment(number).await {
        Ok(row) => Ok(experiment(look, row.experiment.key())),
        Err(RegistryError::NoExperiment(_)) => Ok(experiment(look, asked)),
        Err(error) => Err(error.into()),
    }
}

/// What lies around a run that a client tracked: its experiment, its files, the runs it started, what it read and made.
#[derive(Debug, Clone)]
pub struct RunAround {
    /// Its experiment.
    pub experiment: ExperimentSeen,
    /// The files that its client logged, by path below the run's root, with their sizes.
    pub files: Vec<(String, u64)>,
    /// Whether there are more files than are listed.
    pub has_more_files: bool,
    /// Where its client keeps its files, when that is not here.
    pub elsewhere: Option<String>,
    /// The datasets it read, each with what is known of it.
    pub datasets: Vec<(DatasetInput, Option<Dataset>)>,
    /// The logged models it read.
    pub models_read: Vec<LoggedModel>,
    /// The logged models it made, each with its step.
    pub models_made: Vec<(LoggedModel, i64)>,
    /// The versions that were registered of it, each with its model.
    pub registered: Vec<(String, u64)>,
    /// The runs it started, the newest first.
    pub nested: Vec<RunView>,
}

/// What lies around a run.
///
/// # Errors
/// When the catalog or the store of files fails.
pub async fn run_around(look: &Look, run: &Run) -> Result<RunAround> {
    let mut around = RunAround {
        experiment: experiment(look, &run.experiment),
        files: vec![],
        has_more_files: false,
        elsewhere: None,
        datasets: vec![],
        models_read: vec![],
        models_made: vec![],
        registered: vec![],
        nested: vec![],
    };
    if run.origin != Origin::Client {
        return Ok(around);
    }
    for input in run.inputs.iter().take(LOOKED_UP_MAX) {
        let known = match look.registry.tracking() {
            Ok(tracking) => tracking.dataset(&run.experiment, &input.name, &input.digest).await?,
            Err(_) => None,
        };
        around.datasets.push((input.clone(), known));
    }
    for id in run.model_inputs.iter().take(LOOKED_UP_MAX) {
        around.models_read.extend(logged_model(look, id).await?);
    }
    for output in run.model_outputs.iter().take(LOOKED_UP_MAX) {
        around.models_made.extend(logged_model(look, &output.model_id).await?.map(|model| (model, output.step)));
    }
    around.registered = registered(look, &run.id).await?;
    around.nested = runs(look, Some(&run.experiment), &Page::first(NESTED_AMONG)).await?;
    around.nested.retain(|view| view.run.parent.as_ref() == Some(&run.id));
    match look.registry.run_folder(&run.id).await? {
        Some(root) => add_files(look, &root, &mut around).await?,
        None => around.elsewhere = Some(look.registry.run_artifact_uri(&run.id).await?),
    }
    Ok(around)
}

/// A logged model that is there.
async fn logged_model(look: &Look, id: &str) -> Result<Option<LoggedModel>> {
    match look.registry.logged_model(id).await {
        Ok(model) => Ok(Some(model)),
        Err(RegistryError::NoLoggedModel(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The versions that were registered of a run and are there still.
async fn registered(look: &Look, run: &str) -> Result<Vec<(String, u64)>> {
    let mut registered = vec![];
    for edge in look.catalog.edges_from(&format!("run:{run}")).await?.into_iter().take(LOOKED_UP_MAX) {
        let node = edge.to.strip_prefix("model:").and_then(|node| node.rsplit_once('@'));
        let Some((model, number)) = node else { continue };
        let Ok(number) = number.parse() else { continue };
        match look.registry.version(model, number).await {
            Ok(version) => registered.push((version.model, version.version)),
            Err(RegistryError::NoModel(_) | RegistryError::NoVersion { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(registered)
}

/// Lists files folder by folder, those nearest to the root first.
async fn add_files(look: &Look, root: &FilePath, around: &mut RunAround) -> Result<()> {
    let mut waiting = VecDeque::from([String::new()]);
    let mut looked_into = 0;
    while let Some(folder) = waiting.pop_front() {
        if looked_into == FOLDERS_MAX {
            around.has_more_files = true;
            return Ok(());
        }
        looked_into += 1;
        // a name that no client may write is left out
        let Ok(below) = FilePath::parse(&folder) else { continue };
        for entry in look.registry.files().list(&root.join(&below)).await? {
            let path = if folder.is_empty() { entry.name } else { format!("{folder}/{}", entry.name) };
            match entry.bytes {
                Some(_) if around.files.len() == FILES_MAX => {
                    around.has_more_files = true;
                    return Ok(());
                }
                Some(bytes) => around.files.push((path, bytes)),
                None => waiting.push_back(path),
            }
        }
    }
    Ok(())
}

/// A metric by iteration.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Curve {
    /// The metric.
    pub key: String,
    /// Iteration and value.
    pub points: Vec<(i64, f64)>,
}

/// Everything about a run.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RunDetail {
    /// The run.
    #[serde(flatten)]
    pub view: RunView,
    /// Its metrics by iteration.
    pub curves: Vec<Curve>,
    /// How good its model is, once it ended well.
    pub evaluation: Option<Evaluation>,
}

/// A run with curves and evaluation.
///
/// # Errors
/// When there is no such run.
pub async fn run(look: &Look, id: &str) -> Result<RunDetail> {
    let mut view = RunView::from(look.registry.run(id).await?);
    let mut curves: BTreeMap<String, Vec<(i64, f64)>> = BTreeMap::new();
    for metric in look.registry.metrics(id, None).await? {
        curves.entry(metric.key).or_default().push((metric.step, metric.value));
    }
    for (key, points) in look.registry.curves(id, CURVE_POINTS_MAX).await? {
        if let Some(last) = points.last() {
            view.take_last(&key, *last);
        }
        let finite = points.into_iter().filter(|point| point.value.is_finite());
        curves.insert(key.to_string(), finite.map(|point| (point.step, point.value)).collect());
    }
    Ok(RunDetail {
        view,
        // a metric of one point is a number, not a curve
        curves: curves
            .into_iter()
            .filter(|(_, points)| points.len() > 1)
            .map(|(key, points)| Curve { key, points })
            .collect(),
        evaluation: look.registry.evaluation(id).await?,
    })
}
