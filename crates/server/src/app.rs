//! What handlers share: the layers, wired once in the binary.

use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use mainspring_catalog::Catalog;
use mainspring_features::FeatureStore;
use mainspring_flow::Engine;
use mainspring_govern::{AllowedHosts, Authorizer, Identity};
use mainspring_lake::Lake;
use mainspring_registry::{Registry, WebhookSender};
use mainspring_serve::ServeEngine;
use mainspring_spec::Project;
use mainspring_watch::Watch;
use prometheus_client::registry::Registry as MetricsRegistry;
use tokio::sync::Notify;

use crate::http::DeniedPredictions;
use crate::query::RowLimits;

/// The layers that depend on the declared project; made anew when another project is applied.
#[derive(Clone)]
pub struct Layers {
    /// What is declared and applied.
    pub project: Arc<Project>,
    /// Features, offline and online.
    pub features: FeatureStore,
    /// Drift, quality, alerts.
    pub watch: Watch,
    /// Who may do what.
    pub authorizer: Arc<Authorizer>,
    /// Workflow runs.
    pub flow: Engine,
}

/// Everything a handler may reach. A clone is one more reference to it: each request takes one.
#[derive(Clone)]
pub struct App(Arc<Whole>);

struct Whole {
    parts: Parts,
    denials: DeniedPredictions,
}

/// What an [`App`] is made of.
pub struct Parts {
    /// The metadata database.
    pub catalog: Catalog,
    /// The tables.
    pub lake: Lake,
    /// Runs, models, versions.
    pub registry: Registry,
    /// Answers predictions.
    pub serve: Arc<ServeEngine>,
    /// Who asks.
    pub identity: Identity,
    /// What depends on the project.
    pub layers: Arc<ArcSwap<Layers>>,
    /// What Prometheus is told.
    pub metrics: Arc<MetricsRegistry>,
    /// When the process started.
    pub started_at: Timestamp,
    /// Tells webhooks what happened.
    pub webhooks: WebhookSender,
    /// How many rows a query may bring, by who asks.
    pub row_limits: RowLimits,
    /// Names by which browsers may call this server.
    pub hosts: Arc<AllowedHosts>,
    /// Told when what is applied, asked for or live has changed, so that nobody waits for the next look.
    pub changed: Arc<Notify>,
    /// Tells all who wait that the server has looked at the catalog, and has followed what it could.
    pub looked: Arc<Notify>,
}

impl App {
    /// An app of these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let denials = DeniedPredictions::new(parts.catalog.clone());
        Self(Arc::new(Whole { parts, denials }))
    }

    /// Writes denied predictions down, of all ports.
    pub(crate) fn denials(&self) -> &DeniedPredictions {
        &self.0.denials
    }

    /// The layers as they are now; a request keeps those it began with.
    #[must_use]
    pub fn layers(&self) -> Arc<Layers> {
        self.layers.load_full()
    }
}

impl std::ops::Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0.parts
    }
}
