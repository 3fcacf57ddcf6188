//! A run event as it is sent.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// The schema of run events.
const SCHEMA: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";
/// Who says so.
pub(super) const PRODUCER: &str = concat!("urn:mainspring:", env!("CARGO_PKG_VERSION"));

/// Facets by name.
pub type Facets = BTreeMap<&'static str, Value>;

/// What a task reads and writes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Datasets {
    /// What it reads.
    pub inputs: Vec<Dataset>,
    /// What it writes.
    pub outputs: Vec<Dataset>,
}

/// A table, file, model or other thing that is read or written.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Dataset {
    /// Where its name means something.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What is known of it.
    pub facets: Facets,
    /// What is known of it as an input.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub input_facets: Facets,
    /// What is known of it as an output.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub output_facets: Facets,
}

impl Dataset {
    /// A dataset of which only the name is known.
    pub(super) fn new((namespace, name): (String, String)) -> Self {
        Self { namespace, name, ..Self::default() }
    }

    /// With a facet more.
    pub(super) fn with(mut self, (name, facet): (&'static str, Value)) -> Self {
        self.facets.insert(name, facet);
        self
    }
}

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum EventType {
    /// It began.
    Start,
    /// It is tried again.
    Running,
    /// It ended well.
    Complete,
    /// It ended badly.
    Fail,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RunEvent {
    pub event_type: EventType,
    pub event_time: String,
    pub run: Run,
    pub job: Job,
    pub inputs: Vec<Dataset>,
    pub outputs: Vec<Dataset>,
    pub producer: &'static str,
    #[serde(rename = "schemaURL")]
    pub schema_url: &'static str,
}

impl RunEvent {
    pub fn new(event_type: EventType, event_time: String, run: Run, job: Job, datasets: Datasets) -> Self {
        let Datasets { inputs, outputs } = datasets;
        Self { event_type, event_time, run, job, inputs, outputs, producer: PRODUCER, schema_url: SCHEMA }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Run {
    pub run_id: String,
    pub facets: Facets,
}

#[derive(Debug, Serialize)]
pub(super) struct Job {
    pub namespace: String,
    pub name: String,
    pub facets: Facets,
}
