//! How events fare, for Prometheus.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    outcome: Fate,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(super) enum Fate {
    /// It was taken by who it was for.
    Delivered,
    /// Who it was for does not want it.
    Refused,
    /// The outbox was full.
    Dropped,
}

/// Events by what became of them. A clone counts the same.
#[derive(Debug, Clone, Default)]
pub struct LineageMetrics {
    events: Family<Labels, Counter>,
}

impl LineageMetrics {
    /// Adds the counter to what `/metrics` shows, to a registry that brings the prefix `mainspring`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("lineage_events", "OpenLineage events by what became of them", self.events.clone());
    }

    pub(super) fn count(&self, outcome: Fate, events: usize) {
        self.events.get_or_create(&Labels { outcome }).inc_by(events as u64);
    }

    #[cfg(test)]
    pub(super) fn counted(&self, outcome: Fate) -> u64 {
        self.events.get_or_create(&Labels { outcome }).get()
    }
}
