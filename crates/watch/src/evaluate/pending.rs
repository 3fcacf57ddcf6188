//! A window and version on its way to a report.

use mainspring_catalog::{Expect, Stored};
use mainspring_registry::ModelVersion;

use super::columns::WatchedColumn;
use super::judge::judge;
use super::reference::reference_of;
use super::target::Target;
use super::traffic::WindowTraffic;
use crate::{ColumnReport, Inputs, Performance, Role, WindowHistograms, WindowReport};

/// A window and version on its way to a report.
pub(super) struct Pending {
    pub(super) traffic: WindowTraffic,
    pub(super) stored: Option<Stored<WindowReport>>,
    pub(super) performance: Option<Performance>,
    /// What the performance was computed from, when labels were looked at.
    pub(super) performance_inputs: String,
    pub(super) columns: Option<(Vec<ColumnReport>, WindowHistograms)>,
}

impl Pending {
    pub(super) fn drift_inputs(&self, version: Option<&ModelVersion>, columns: &[WatchedColumn]) -> String {
        let reference = version.and_then(ModelVersion::training_node).unwrap_or_else(|| "none".to_owned());
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let traffic = &self.traffic;
        format!("{} rows to {}; {reference}; {}", traffic.traffic.predictions, traffic.newest, names.join(","))
    }
}

/// A report that differs from the stored one.
pub(super) struct Changed {
    pub(super) report: WindowReport,
    pub(super) histograms: Option<WindowHistograms>,
    pub(super) expect: Expect,
}

/// Puts a report together; `None` when it says what the stored one says.
pub(super) fn changed_report(
    target: &Target,
    version: Option<&ModelVersion>,
    columns: &[WatchedColumn],
    pending: Pending,
) -> Option<Changed> {
    let drift_inputs = pending.drift_inputs(version, columns);
    let Pending { traffic: window, stored, performance, performance_inputs, columns } = pending;
    let (columns, histograms) = match (columns, &stored) {
        (Some((columns, histograms)), _) => (columns, Some(histograms)),
        (None, Some(stored)) => (stored.document.columns.clone(), None),
        (None, None) => (vec![], None),
    };
    let mut traffic = window.traffic;
    traffic.missing_feature_share = missing_share(&columns);
    let judgements = judge(&target.monitor, &traffic, &columns, performance.as_ref());
    let report = WindowReport {
        monitor: target.monitor.name.clone(),
        endpoint: target.endpoint.name.clone(),
        model: target.model.name.clone(),
        model_version: window.version,
        window: target.monitor.window,
        from: window.from,
        to: window.to,
        closed: window.to <= target.until,
        until: target.until,
        traffic,
        reference: version.and_then(|version| version.training_set.as_ref()).map(reference_of),
        columns,
        performance,
        judgements,
        inputs: Inputs { drift: drift_inputs, performance: performance_inputs },
    };
    let same = stored.as_ref().is_some_and(|stored| {
        let before = &stored.document;
        // The latency quantiles are estimates that depend on the order of rows, so they are not looked at.
        before.inputs == report.inputs
            && before.closed == report.closed
            && before.performance == report.performance
            && before.judgements == report.judgements
    });
    let expect = stored.as_ref().map_or(Expect::Absent, Stored::unchanged);
    (!same).then_some(Changed { report, histograms, expect })
}

/// The share of missing values over all inputs.
fn missing_share(columns: &[ColumnReport]) -> f64 {
    let inputs = columns.iter().filter(|column| column.role == Role::Feature);
    let (nulls, rows) =
        inputs.fold((0, 0), |(nulls, rows), column| (nulls + column.current.nulls, rows + column.current.rows));
    if rows == 0 { 0.0 } else { nulls as f64 / rows as f64 }
}
