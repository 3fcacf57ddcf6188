//! What the monitors found last, for Prometheus.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::{Role, WindowReport};

type FloatGauge = Gauge<f64, AtomicU64>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MonitorLabels {
    monitor: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ColumnLabels {
    monitor: String,
    column: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MetricLabels {
    monitor: String,
    metric: String,
}

/// Gauges of the latest closed window of each monitor. A clone sets the same gauges.
#[derive(Debug, Clone, Default)]
pub struct WatchMetrics {
    open_alerts: Family<MonitorLabels, Gauge>,
    psi: Family<ColumnLabels, FloatGauge>,
    psi_max: Family<MonitorLabels, FloatGauge>,
    performance: Family<MetricLabels, FloatGauge>,
    coverage: Family<MonitorLabels, FloatGauge>,
}

impl WatchMetrics {
    /// Adds the gauges to what `/metrics` shows, to a registry that brings the prefix `mainspring`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("alerts_open", "Alerts that are not resolved", self.open_alerts.clone());
        registry.register(
            "drift_psi",
            "Population stability index of a column in the latest closed window",
            self.psi.clone(),
        );
        registry.register(
            "drift_psi_max",
            "Greatest population stability index of the inputs in the latest closed window",
            self.psi_max.clone(),
        );
        registry.register(
            "performance",
            "A metric of the labelled predictions of the latest closed window that has it",
            self.performance.clone(),
        );
        registry.register(
            "label_coverage",
            "Share of the predictions of the latest closed window whose label is known",
            self.coverage.clone(),
        );
    }

    /// Shows a closed window as the latest.
    pub(crate) fn show(&self, report: &WindowReport) {
        let monitor = MonitorLabels { monitor: report.monitor.clone() };
        for column in &report.columns {
            if let Some(psi) = column.psi {
                let labels = ColumnLabels { monitor: report.monitor.clone(), column: column.name.clone() };
                self.psi.get_or_create(&labels).set(psi);
            }
        }
        let inputs = report.columns.iter().filter(|column| column.role == Role::Feature);
        if let Some(psi) = inputs.filter_map(|column| column.psi).max_by(f64::total_cmp) {
            self.psi_max.get_or_create(&monitor).set(psi);
        }
        if let Some(performance) = &report.performance {
            self.coverage.get_or_create(&monitor).set(performance.coverage);
            for (metric, value) in &performance.metrics {
                let labels = MetricLabels { monitor: report.monitor.clone(), metric: metric.clone() };
                self.performance.get_or_create(&labels).set(*value);
            }
        }
    }

    /// Shows how many alerts of a monitor are not resolved.
    pub(crate) fn show_open_alerts(&self, monitor: &str, open: usize) {
        let labels = MonitorLabels { monitor: monitor.to_owned() };
        self.open_alerts.get_or_create(&labels).set(i64::try_from(open).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauges_are_shown_as_prometheus_text() {
        let metrics = WatchMetrics::default();
        let mut registry = Registry::with_prefix("mainspring");
        metrics.register(&mut registry);

        metrics.show_open_alerts("delays", 2);

        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains("mainspring_alerts_open{monitor=\"delays\"} 2"), "{text}");
    }
}
