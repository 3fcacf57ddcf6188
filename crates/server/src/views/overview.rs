//! The eight layers in a few numbers; cheap enough to be asked for every other second.

use mainspring_catalog::ListQuery;
use mainspring_flow::{FlowRun, RunState};
use mainspring_registry::{ModelVersion, Run};
use mainspring_watch::AlertQuery;
use serde::Serialize;

use super::{CHAMPION, Look, Result};

/// The most windows of a monitor whose course is shown.
const WINDOWS_SHOWN: usize = 24;

/// The eight layers in a few numbers.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Overview {
    /// Tables of sources.
    pub tables: usize,
    /// Rows in them.
    pub rows: u64,
    /// Bytes of the whole lake.
    pub bytes: u64,
    /// Rows in quarantine.
    pub quarantined: u64,
    /// Rows by source table, the largest first.
    pub rows_by_table: Vec<(String, u64)>,
    /// Feature views.
    pub views: usize,
    /// Features of all views.
    pub features: usize,
    /// Rows of the views' tables.
    pub feature_rows: u64,
    /// Training runs.
    pub runs: u64,
    /// The newest of them: how it went.
    pub last_run: Option<String>,
    /// The loss or error of the newest run by iteration.
    pub last_curve: Vec<f64>,
    /// Models.
    pub models: usize,
    /// Versions of all models.
    pub versions: u64,
    /// The first model's champion with its test metric: model, version, metric, value.
    pub champion: Option<(String, u64, String, f64)>,
    /// Predictions in all logs.
    pub predictions: u64,
    /// Endpoints.
    pub endpoints: usize,
    /// Endpoints behind which a version answers.
    pub live: usize,
    /// The greatest 99th percentile of latency among endpoints, in microseconds, since the server started.
    pub latency_p99_us: Option<u64>,
    /// Workflow runs.
    pub workflows: u64,
    /// The newest of them.
    pub last_workflow: Option<(RunState, jiff::Timestamp)>,
    /// How long the newest workflow runs took, the oldest first, in seconds.
    pub workflow_seconds: Vec<f64>,
    /// Monitors.
    pub monitors: usize,
    /// Alerts that are not resolved.
    pub open_alerts: usize,
    /// The greatest drift by window of the first monitor.
    pub drift: Vec<f64>,
    /// Predictions by window of the first monitor.
    pub predictions_by_window: Vec<f64>,
    /// Entries of the audit log.
    pub audit_entries: i64,
}

/// The eight layers in a few numbers.
///
/// # Errors
/// When catalog or lake fail.
pub async fn overview(look: &Look) -> Result<Overview> {
    let project = &look.project;
    let mut seen = Overview {
        views: project.feature_views.len(),
        features: project.feature_views.values().map(|view| view.feature_names().len()).sum(),
        endpoints: project.endpoints.len(),
        monitors: project.monitors.len(),
        ..Overview::default()
    };
    lake(look, &mut seen).await?;
    training(look, &mut seen).await?;
    serving(look, &mut seen);
    watching(look, &mut seen).await?;
    Ok(seen)
}

async fn lake(look: &Look, seen: &mut Overview) -> Result<()> {
    for table in look.lake.tables().await? {
        let is = look.lake.statistics(&table).await?;
        seen.bytes += is.bytes;
        match table.schema() {
            "sources" => {
                seen.tables += 1;
                seen.rows += is.rows;
                seen.rows_by_table.push((table.name().to_owned(), is.rows));
            }
            "quarantine" => seen.quarantined += is.rows,
            "features" => seen.feature_rows += is.rows,
            "predictions" => seen.predictions += is.rows,
            _ => {}
        }
    }
    seen.rows_by_table.sort_by_key(|(_, rows)| std::cmp::Reverse(*rows));
    Ok(())
}

async fn training(look: &Look, seen: &mut Overview) -> Result<()> {
    seen.runs = look.catalog.count::<Run>(None).await?;
    seen.versions = look.catalog.count::<ModelVersion>(None).await?;
    let models = look.registry.models().await?;
    seen.models = models.len().max(look.project.models.len());
    for model in &models {
        let Some(champion) = look.registry.live(&model.name, CHAMPION).await? else { continue };
        let metric = ["auc", "accuracy", "r2", "rmse"].iter().find(|metric| champion.metrics.contains_key(**metric));
        if let Some((metric, value)) = metric.and_then(|metric| Some((*metric, *champion.metrics.get(*metric)?))) {
            seen.champion = Some((model.name.clone(), champion.version, metric.into(), value));
            break;
        }
    }
    if let Some(newest) = look.registry.runs(None, 1, None).await?.first() {
        seen.last_run = Some(newest.status.to_string());
        let metrics = look.registry.metrics(&newest.id, None).await?;
        let key = metrics.iter().map(|metric| metric.key.as_str()).find(|key| key.contains("validation"));
        let key = key.or(metrics.first().map(|metric| metric.key.as_str()));
        seen.last_curve = metrics.iter().filter(|metric| Some(metric.key.as_str()) == key).map(|m| m.value).collect();
    }
    Ok(())
}

fn serving(look: &Look, seen: &mut Overview) {
    let status = look.serve.as_ref().map(|serve| serve.status()).unwrap_or_default();
    seen.live = status.iter().filter(|endpoint| endpoint.version.is_some()).count();
    let busy = status.iter().filter(|endpoint| endpoint.answered > 0);
    seen.latency_p99_us = busy.map(|endpoint| endpoint.latency_p99_us).max();
}

async fn watching(look: &Look, seen: &mut Overview) -> Result<()> {
    seen.workflows = look.catalog.count::<FlowRun>(None).await?;
    let runs = look.catalog.list::<FlowRun>(ListQuery::default().newest_first().limit(WINDOWS_SHOWN)).await?;
    seen.last_workflow = runs.first().map(|stored| (stored.document.state, stored.document.started_at));
    let took = runs.iter().rev().filter_map(|stored| {
        let run = &stored.document;
        Some(run.ended_at?.duration_since(run.started_at).as_secs_f64())
    });
    seen.workflow_seconds = took.collect();
    seen.open_alerts = look.watch.alerts(&AlertQuery { unresolved: true, ..AlertQuery::default() }).await?.len();
    if let Some(monitor) = look.project.monitors.keys().next() {
        let windows = super::reports(look, monitor).await?;
        let newest = windows.iter().skip(windows.len().saturating_sub(WINDOWS_SHOWN));
        for window in newest {
            seen.drift.push(window.farthest.as_ref().map_or(0.0, |(_, psi)| *psi));
            seen.predictions_by_window.push(count_f64(window.report.traffic.predictions));
        }
    }
    seen.audit_entries = look.catalog.audit_head().await?.seq;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a sparkline is a picture")]
fn count_f64(count: u64) -> f64 {
    count as f64
}
