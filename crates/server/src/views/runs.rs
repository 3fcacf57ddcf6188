//! Training runs: parameters, metrics, curves, evaluation.

use std::collections::BTreeMap;

use mainspring_registry::{Evaluation, Run, Stage};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Look, Page, Result};

/// Points of a curve: as many as a wide screen has pixels.
const CURVE_POINTS_MAX: usize = 1_000;

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
    let (mut there, mut after) = (vec![], page.after.clone());
    loop {
        let part = look.registry.runs(experiment, page.limit, after.as_deref()).await?;
        let is_last = part.len() < page.limit;
        after = part.last().map(|run| run.id.clone());
        there.extend(part.into_iter().filter(|run| run.stage == Stage::Active).map(RunView::from));
        if is_last || there.len() >= page.limit {
            there.truncate(page.limit);
            return Ok(there);
        }
    }
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
    let mut run = look.registry.run(id).await?;
    let mut curves: BTreeMap<String, Vec<(i64, f64)>> = BTreeMap::new();
    for metric in look.registry.metrics(id, None).await? {
        curves.entry(metric.key).or_default().push((metric.step, metric.value));
    }
    for (key, points) in look.registry.curves(id, CURVE_POINTS_MAX).await? {
        // while a client's run goes on, what it has logged last is not in its record yet
        if let Some(last) = points.last().filter(|last| last.value.is_finite()) {
            run.metrics.insert(key.to_string(), last.value);
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
    })
}
