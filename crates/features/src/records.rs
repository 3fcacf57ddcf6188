//! What the catalog keeps of feature views.

use std::collections::BTreeMap;

use jiff::Timestamp;
use mainspring_catalog::Document;
use serde::{Deserialize, Serialize};

/// A computation of a view's table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Materialization {
    /// The view.
    pub view: String,
    /// The declaration that the rows were made by.
    pub fingerprint: String,
    /// The versions of the tables read, by `schema.table`.
    pub inputs: BTreeMap<String, u64>,
    /// The version of the view's table.
    pub version: u64,
    /// The rows that were written.
    pub rows_written: u64,
    /// Whether all rows were computed, or only those of new files.
    pub scope: Scope,
    /// When.
    pub at: Timestamp,
}

/// What part of a view's rows was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All of them.
    Whole,
    /// Those of new files.
    New,
}

impl Document for Materialization {
    const KIND: &'static str = "materialization";

    fn id(&self) -> String {
        format!("{}@{:08}", self.view, self.version)
    }

    fn parent(&self) -> Option<String> {
        Some(self.view.clone())
    }
}

/// How fresh a view is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Freshness {
    /// The view.
    pub view: String,
    /// The version of its table. `None`: not computed yet.
    pub version: Option<u64>,
    /// Its rows.
    pub rows: u64,
    /// The entities among them.
    pub entities: u64,
    /// The latest event time among them.
    pub latest_event_time: Option<Timestamp>,
    /// The latest time at which a row became known.
    pub latest_known_at: Option<Timestamp>,
    /// When the table was computed.
    pub computed_at: Option<Timestamp>,
    /// The version of the table that is in the online store.
    pub online_version: Option<u64>,
    /// Rows known by then are in the online store. `None` with an `online_version`: all.
    pub online_until: Option<Timestamp>,
    /// The latest event time in the online store.
    pub online_latest_event_time: Option<Timestamp>,
    /// When the online store was last brought up to date.
    pub online_at: Option<Timestamp>,
}
