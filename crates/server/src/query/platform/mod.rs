//! The catalog as tables: what was trained, how it fared, what is live, who did what, what was made from what.
//!
//! A view is read page by page as the query wants more, and never held whole. A condition that some column equals a value
//! reaches the catalog's own look-up where it has one, so that one run's metrics do not read those of all runs.

mod models;
mod record;
mod runs;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use mainspring_catalog::Catalog;
use mainspring_registry::Registry;

use self::table::{Batches, Narrowing, PlatformTable};
use crate::app::App;

/// The schema of these views.
pub const SCHEMA: &str = "platform";
/// The view of the audit log, which has a permission of its own.
pub(super) const AUDIT: &str = "audit";

/// A view of the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    Aliases,
    Audit,
    Experiments,
    Lineage,
    Metrics,
    Models,
    Params,
    Runs,
    Tags,
    Versions,
}

impl View {
    const ALL: [Self; 10] = [
        Self::Aliases,
        Self::Audit,
        Self::Experiments,
        Self::Lineage,
        Self::Metrics,
        Self::Models,
        Self::Params,
        Self::Runs,
        Self::Tags,
        Self::Versions,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Aliases => "aliases",
            Self::Audit => AUDIT,
            Self::Experiments => "experiments",
            Self::Lineage => "lineage",
            Self::Metrics => "metrics",
            Self::Models => "models",
            Self::Params => "params",
            Self::Runs => "runs",
            Self::Tags => "tags",
            Self::Versions => "versions",
        }
    }

    /// The columns that tell its rows apart.
    const fn key(self) -> &'static [&'static str] {
        match self {
            Self::Aliases => &["model", "alias"],
            Self::Audit => &["seq"],
            Self::Experiments => &["experiment"],
            Self::Models => &["name"],
            Self::Lineage => &["from_node", "to_node", "kind"],
            // a run may report one metric twice at a step
            Self::Metrics => &[],
            Self::Params | Self::Tags => &["run_id", "key"],
            Self::Runs => &["run_id"],
            Self::Versions => &["model", "version"],
        }
    }

    /// The columns by which the catalog can look rows up.
    const fn looked_up_by(self) -> &'static [&'static str] {
        match self {
            Self::Aliases | Self::Versions => &["model"],
            Self::Audit => &["subject", "principal"],
            Self::Experiments | Self::Models => &[],
            Self::Lineage => &["from_node"],
            Self::Metrics => &["run_id", "key"],
            Self::Params | Self::Runs | Self::Tags => &["run_id", "experiment"],
        }
    }

    fn schema(self) -> SchemaRef {
        match self {
            Self::Aliases => models::aliases_schema(),
            Self::Audit => record::audit_schema(),
            Self::Experiments => runs::experiments_schema(),
            Self::Lineage => record::lineage_schema(),
            Self::Metrics => runs::metrics_schema(),
            Self::Models => models::models_schema(),
            Self::Params | Self::Tags => runs::pairs_schema(),
            Self::Runs => runs::runs_schema(),
            Self::Versions => models::versions_schema(),
        }
    }

    fn read(self, from: &Platform, only: Narrowing) -> Batches {
        match self {
            Self::Aliases => models::aliases(from, only),
            Self::Audit => record::audit(from, only),
            Self::Experiments => runs::experiments(from),
            Self::Lineage => record::lineage(from, only),
            Self::Metrics => runs::metrics(from, only),
            Self::Models => models::models(from),
            Self::Params => runs::params(from, only),
            Self::Runs => runs::runs(from, only),
            Self::Tags => runs::tags(from, only),
            Self::Versions => models::versions(from, only),
        }
    }
}

/// The names of the views.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    View::ALL.into_iter().map(View::name)
}

/// The columns that tell the rows of a view apart; none when it is not known, or has none.
pub(super) fn key(name: &str) -> &'static [&'static str] {
    View::ALL.into_iter().find(|view| view.name() == name).map_or(&[], View::key)
}

/// What the views are read from.
#[derive(Debug, Clone)]
pub(super) struct Platform {
    catalog: Catalog,
    registry: Registry,
}

impl Platform {
    pub(super) fn of(app: &App) -> Self {
        Self { catalog: app.catalog.clone(), registry: app.registry.clone() }
    }

    /// A view by its name.
    pub(super) fn table(&self, name: &str) -> Option<Arc<dyn TableProvider>> {
        let view = View::ALL.into_iter().find(|view| view.name() == name)?;
        Some(Arc::new(PlatformTable::new(self.clone(), view)))
    }
}
