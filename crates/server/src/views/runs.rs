//! Training runs: parameters, metrics, curves, evaluation.

use std::collections::{BTreeMap, VecDeque};

use mainspring_registry::{
    Dataset, DatasetInput, Error as RegistryError, Evaluation, FilePath, LoggedModel, Origin, Run, RunStatus, Stage,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Look, Page, Result};

/// Points of a curve: as many as a wide screen has pixels.
const CURVE_POINTS_MAX: usize = 1_000;
/// Files of a run that are listed: a page of them is as much as anybody reads.
const FILES_MAX: usize = 200;
/// Folders that are looked into for them: each is one question to the store.
const FOLDERS_MAX: usize = 40;
/// Datasets and logged models of a run that are looked up.
const LOOKED_UP_MAX: usize = 50;

/// A training run, as lists show it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RunView {
    /// The run as it is recorded.
    #[serde(flatten)]
    pub run: Run,
    /// How long it took, in seconds; none while it is under way.
    pub seconds: Option<f64>,
}

impl From<Run> for RunView {
    fn from(run: Run) -> Self {
        let seconds = run.ended_at.map(|ended| ended.duration_since(run.started_at).as_secs_f64());
        Self { run, seconds }
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
    for view in &mut there {
        add_latest(look, &mut view.run).await?;
    }
    Ok(there)
}

/// Adds what a client has logged by now to the record of its run, which is written when the run ends.
async fn add_latest(look: &Look, run: &mut Run) -> Result<()> {
    let has_ended = matches!(run.status, RunStatus::Succeeded | RunStatus::Failed | RunStatus::Interrupted);
    if run.origin != Origin::Client || has_ended {
        return Ok(());
    }
    // another verb than `serve` has no points
    let Ok(tracking) = look.registry.tracking() else { return Ok(()) };
    let row = match tracking.run(&run.id).await {
        Err(RegistryError::NoRun(_)) => return Ok(()),
        row => row?,
    };
    for (key, point) in tracking.named_metrics(&row) {
        if point.value.is_finite() {
            run.metrics.insert(key.to_string(), point.value);
        }
    }
    Ok(())
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

/// What lies around a run that a client tracked: its experiment, its files, what it read and what it made.
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
    /// Step and value of the metrics whose last value is no finite number. JSON has none of these.
    #[serde(skip)]
    pub not_finite: BTreeMap<String, (i64, f64)>,
}

/// A run with curves and evaluation.
///
/// # Errors
/// When there is no such run.
pub async fn run(look: &Look, id: &str) -> Result<RunDetail> {
    let mut run = look.registry.run(id).await?;
    let mut curves: BTreeMap<String, Vec<(i64, f64)>> = BTreeMap::new();
    for metric in look.registry.metrics(id, None).await? {
        curves.entry(metric.key).or_default().push((metric.step, metric.value));
    }
    let mut not_finite = BTreeMap::new();
    for (key, points) in look.registry.curves(id, CURVE_POINTS_MAX).await? {
        // while a client's run goes on, what it has logged last is not in its record yet
        match points.last() {
            Some(last) if last.value.is_finite() => {
                run.metrics.insert(key.to_string(), last.value);
            }
            Some(last) => {
                run.metrics.remove(&*key);
                not_finite.insert(key.to_string(), (last.step, last.value));
            }
            None => {}
        }
        let finite = points.into_iter().filter(|point| point.value.is_finite());
        curves.insert(key.to_string(), finite.map(|point| (point.step, point.value)).collect());
    }
    Ok(RunDetail {
        view: run.into(),
        // a metric of one point is a number, not a curve
        curves: curves
            .into_iter()
            .filter(|(_, points)| points.len() > 1)
            .map(|(key, points)| Curve { key, points })
            .collect(),
        evaluation: look.registry.evaluation(id).await?,
        not_finite,
    })
}
