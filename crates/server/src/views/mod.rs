//! What is shown of the layers: small read models, made of the layers' public records and nothing else.
//!
//! The console renders them, the API sends them as JSON, `mainspring list` prints them: three faces, one truth. A view is
//! read when it is asked for and never kept. Each list has a bound.

mod alerts;
mod endpoints;
mod error;
mod features;
mod lineage;
mod models;
mod monitors;
mod overview;
mod page;
mod runs;
mod sources;
mod tables;
mod workflows;

use std::sync::Arc;

use mainspring_catalog::Catalog;
use mainspring_features::FeatureStore;
use mainspring_lake::Lake;
use mainspring_registry::Registry;
use mainspring_serve::ServeEngine;
use mainspring_spec::Project;
use mainspring_watch::Watch;

use crate::app::App;

pub use alerts::{AlertView, AuditPage, alerts, audit, verdict};
pub use endpoints::{EndpointDetail, EndpointView, TrafficBucket, endpoint, endpoints, predictions_logged};
pub use error::{Error, Result};
pub use features::{
    FeatureDetail, FeatureField, FeatureServiceSeen, FeatureView, feature_services, feature_view, feature_views,
};
pub use lineage::{Lineage, LineageEdge, lineage};
pub use models::{AliasHistory, CHAMPION, ModelDetail, ModelView, VersionView, model, models, versions};
pub use monitors::{MonitorDetail, MonitorView, WindowView, monitor, monitors, reports, reports_page};
pub use overview::{Overview, overview};
pub use page::Page;
pub use runs::{
    Curve, ExperimentSeen, NotFinite, RunAround, RunDetail, RunView, experiment, experiment_asked, run, run_around,
    runs,
};
pub use sources::{FileView, SourceView, files, sources};
pub use tables::{ColumnLine, Personal, QuarantinedRow, TableDetail, TableView, VersionLine, table, tables};
pub use workflows::{TaskView, WorkflowDetail, WorkflowView, workflow, workflows};

/// The most entries of a list that nobody bounded.
pub const LISTED_MAX: usize = 500;

/// What views are read from.
#[derive(Clone)]
pub struct Look {
    /// The metadata database.
    pub catalog: Catalog,
    /// The tables.
    pub lake: Lake,
    /// Runs, models, versions.
    pub registry: Registry,
    /// Features, offline and online.
    pub features: FeatureStore,
    /// Drift, quality, alerts.
    pub watch: Watch,
    /// Answers predictions; absent outside the server.
    pub serve: Option<Arc<ServeEngine>>,
    /// What is declared and applied.
    pub project: Arc<Project>,
}

impl Look {
    /// A look at a running server.
    #[must_use]
    pub fn at(app: &App) -> Self {
        let layers = app.layers();
        Self {
            catalog: app.catalog.clone(),
            lake: app.lake.clone(),
            registry: app.registry.clone(),
            features: layers.features.clone(),
            watch: layers.watch.clone(),
            serve: Some(app.serve.clone()),
            project: layers.project.clone(),
        }
    }
}
