//! What Prometheus is told. Each endpoint resolves its series once, so a request touches no map of labels.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::latencies::Latencies;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByEndpoint {
    endpoint: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    endpoint: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByStage {
    endpoint: String,
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByVersion {
    endpoint: String,
    model: String,
    version: String,
}

/// The families of all endpoints.
#[derive(Clone)]
pub(crate) struct Metrics {
    requests: Family<ByOutcome, Counter>,
    rows: Family<ByEndpoint, Counter>,
    stages: Family<ByStage, Latencies>,
    misses: Family<ByEndpoint, Counter>,
    versions: Family<ByVersion, Gauge>,
    queue: Family<ByEndpoint, Gauge>,
    written: Family<ByEndpoint, Counter>,
    shed: Family<ByEndpoint, Counter>,
    inside: Family<ByEndpoint, Gauge>,
}

/// The series of one endpoint.
pub(crate) struct EndpointMetrics {
    pub(crate) answered: Counter,
    pub(crate) degraded: Counter,
    pub(crate) refused: Counter,
    pub(crate) invalid: Counter,
    pub(crate) failed: Counter,
    pub(crate) rows: Counter,
    pub(crate) misses: Counter,
    pub(crate) parse: Latencies,
    pub(crate) features: Latencies,
    pub(crate) score: Latencies,
    pub(crate) answer: Latencies,
    pub(crate) total: Latencies,
    queue: Gauge,
    written: Counter,
    shed: Counter,
    inside: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            requests: Family::default(),
            rows: Family::default(),
            stages: Family::default(),
            misses: Family::default(),
            versions: Family::default(),
            queue: Family::default(),
            written: Family::default(),
            shed: Family::default(),
            inside: Family::default(),
        }
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("endpoint");
        registry.register("requests", "Requests by what came of them", self.requests.clone());
        registry.register("predicted_rows", "Rows predicted", self.rows.clone());
        registry.register("seconds", "Time a request takes, in all and by stage", self.stages.clone());
        registry.register("feature_misses", "Entities without a row in a feature view", self.misses.clone());
        registry.register("version", "1 for the model version that answers", self.versions.clone());
        registry.register("inside", "Requests being answered", self.inside.clone());
        registry.register("log_queue_rows", "Predictions waiting to be logged", self.queue.clone());
        registry.register("log_written_rows", "Predictions logged", self.written.clone());
        registry.register(
            "log_shed_rows",
            "Predictions not logged, because the queue was full or the table refused them",
            self.shed.clone(),
        );
    }

    pub(crate) fn of(&self, endpoint: &str) -> EndpointMetrics {
        let name = || ByEndpoint { endpoint: endpoint.to_owned() };
        let outcome =
            |outcome| self.requests.get_or_create(&ByOutcome { endpoint: endpoint.to_owned(), outcome }).clone();
        let stage = |stage| self.stages.get_or_create(&ByStage { endpoint: endpoint.to_owned(), stage }).clone();
        EndpointMetrics {
            answered: outcome("answered"),
            degraded: outcome("degraded"),
            refused: outcome("refused"),
            invalid: outcome("invalid"),
            failed: outcome("failed"),
            rows: self.rows.get_or_create(&name()).clone(),
            misses: self.misses.get_or_create(&name()).clone(),
            parse: stage("parse"),
            features: stage("features"),
            score: stage("score"),
            answer: stage("answer"),
            total: stage("total"),
            queue: self.queue.get_or_create(&name()).clone(),
            written: self.written.get_or_create(&name()).clone(),
            shed: self.shed.get_or_create(&name()).clone(),
            inside: self.inside.get_or_create(&name()).clone(),
        }
    }

    /// Shows which version answers now, in the place of the one before.
    pub(crate) fn switched(&self, endpoint: &str, before: Option<(&str, u64)>, now: Option<(&str, u64)>) {
        let label = |(model, version): (&str, u64)| ByVersion {
            endpoint: endpoint.to_owned(),
            model: model.to_owned(),
            version: version.to_string(),
        };
        if let Some(before) = before {
            self.versions.remove(&label(before));
        }
        if let Some(now) = now {
            self.versions.get_or_create(&label(now)).set(1);
        }
    }
}

impl EndpointMetrics {
    /// Takes over what is counted elsewhere; called when somebody looks.
    pub(crate) fn sample(&self, inside: u32, waiting: usize, written: u64, shed: u64) {
        self.inside.set(inside.into());
        self.queue.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        raise(&self.written, written);
        raise(&self.shed, shed);
    }
}

/// Counters only grow; two looks at once may add in any order.
fn raise(counter: &Counter<u64, AtomicU64>, to: u64) {
    counter.inner().fetch_max(to, std::sync::atomic::Ordering::Relaxed);
}
