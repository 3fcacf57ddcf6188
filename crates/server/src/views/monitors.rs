//! Monitors: windows, drift, quality.

use mainspring_catalog::ListQuery;
use mainspring_spec::{DriftRules, MetricBound, Window};
use mainspring_watch::{Alert, AlertQuery, ReportQuery, WindowHistograms, WindowReport};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Error, Look, Page, Result};

/// A monitor.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct MonitorView {
    /// The monitor.
    pub monitor: String,
    /// What it asks, in a sentence.
    pub description: String,
    /// The endpoint watched.
    pub endpoint: String,
    /// How long its windows are.
    pub window: Window,
    /// How many windows were evaluated.
    pub windows: usize,
    /// The newest of them.
    pub newest: Option<WindowView>,
    /// Alerts that are not resolved.
    pub open_alerts: usize,
}

/// A window, in a few numbers.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct WindowView {
    /// The report.
    #[serde(flatten)]
    pub report: WindowReport,
    /// The input that moved farthest, by PSI.
    pub farthest: Option<(String, f64)>,
    /// How many bounds are broken.
    pub broken: usize,
}

impl From<WindowReport> for WindowView {
    fn from(report: WindowReport) -> Self {
        Self {
            farthest: report.greatest_psi().map(|(name, psi)| (name.to_owned(), psi)),
            broken: report.breaches().count(),
            report,
        }
    }
}

/// The declared monitors, by name.
///
/// # Errors
/// When the catalog fails.
pub async fn monitors(look: &Look, page: &Page) -> Result<Vec<MonitorView>> {
    let mut shown = vec![];
    for name in page.of(look.project.monitors.keys()) {
        let windows = reports(look, name).await?;
        shown.push(seen(look, name, &windows).await?);
    }
    Ok(shown)
}

async fn seen(look: &Look, name: &str, windows: &[WindowView]) -> Result<MonitorView> {
    let declared = look.project.monitors.get(name).ok_or_else(|| Error::missing("monitor", name))?;
    let open = AlertQuery { monitor: Some(name.into()), unresolved: true, ..AlertQuery::default() };
    Ok(MonitorView {
        monitor: name.into(),
        description: declared.description.clone(),
        endpoint: declared.endpoint.clone(),
        window: declared.window,
        windows: windows.len(),
        newest: windows.last().cloned(),
        open_alerts: look.watch.alerts(&open).await?.len(),
    })
}

/// The windows of a monitor, in the order of time.
///
/// # Errors
/// When there is no such monitor.
pub async fn reports(look: &Look, monitor: &str) -> Result<Vec<WindowView>> {
    if !look.project.monitors.contains_key(monitor) {
        return Err(Error::missing("monitor", monitor));
    }
    let mut windows = look.watch.reports(monitor, &ReportQuery::default()).await?;
    windows.sort_by_key(|report| (report.from, report.model_version));
    Ok(windows.into_iter().map(WindowView::from).collect())
}

/// A page of the windows of a monitor, in the order of time; `after` is a window's identifier.
///
/// # Errors
/// When there is no such monitor.
pub async fn reports_page(look: &Look, monitor: &str, page: &Page) -> Result<Vec<WindowView>> {
    if !look.project.monitors.contains_key(monitor) {
        return Err(Error::missing("monitor", monitor));
    }
    let query = ListQuery { after: page.after.clone(), ..ListQuery::of(monitor).limit(page.limit) };
    let windows = look.catalog.list::<WindowReport>(query).await?;
    Ok(windows.into_iter().map(|stored| stored.document.into()).collect())
}

/// Everything about a monitor.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct MonitorDetail {
    /// The monitor.
    #[serde(flatten)]
    pub view: MonitorView,
    /// Its bounds on drift.
    pub drift: DriftRules,
    /// Its bounds on quality.
    pub performance: Vec<MetricBound>,
    /// Its windows, in the order of time.
    pub reports: Vec<WindowView>,
    /// Its alerts, the newest first.
    pub alerts: Vec<Alert>,
    /// The histograms of the newest window.
    pub histograms: Option<WindowHistograms>,
}

/// A monitor with its windows and alerts.
///
/// # Errors
/// When there is no such monitor.
pub async fn monitor(look: &Look, name: &str) -> Result<MonitorDetail> {
    let windows = reports(look, name).await?;
    let view = seen(look, name, &windows).await?;
    let declared = look.project.monitors.get(name).ok_or_else(|| Error::missing("monitor", name))?;
    let histograms = match windows.last() {
        Some(newest) => look.watch.histograms(&newest.report).await?,
        None => None,
    };
    let all = AlertQuery { monitor: Some(name.into()), ..AlertQuery::default() };
    Ok(MonitorDetail {
        view,
        drift: declared.drift.clone(),
        performance: declared.performance.clone(),
        reports: windows,
        alerts: look.watch.alerts(&all).await?,
        histograms,
    })
}
