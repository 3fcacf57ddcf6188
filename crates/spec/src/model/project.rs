//! `mainspring.yaml`, and the whole folder once it has been read.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Endpoint, Entity, FeatureService, FeatureView, Model, Monitor, Source, Workflow};

/// `mainspring.yaml`: the project's name, who owns it, and where it may run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectFile {
    /// The project's name: lower case letters, digits and `_`.
    pub project: String,
    /// What it is for, in a sentence.
    #[serde(default)]
    pub description: String,
    /// Who answers for it.
    #[serde(default)]
    pub owners: Vec<String>,
    /// Where it may run. The target `dev` exists even if it is not written.
    #[serde(default)]
    pub targets: BTreeMap<String, Target>,
}

/// Where a project runs. Everything left out is embedded, in `.mainspring/` inside the folder.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The metadata database, `sqlite:PATH`.
    pub catalog: Option<String>,
    /// Where tables lie: a path, or `s3://BUCKET/FOLDER`.
    pub lake: Option<String>,
    /// Where the files lie that clients log: a path, or `s3://BUCKET/FOLDER`.
    pub files: Option<String>,
    /// Whether webhooks may be sent to this machine and to private addresses. By default only to public ones.
    #[serde(default)]
    pub allow_private_webhooks: bool,
    /// The online store, `fjall:PATH`.
    pub online: Option<String>,
    /// Memory for queries, for example `512MiB`. By default a quarter of the machine's.
    pub memory: Option<String>,
    /// The address of the HTTP port.
    pub listen: Option<String>,
    /// The address of the gRPC port. By default there is none.
    pub grpc: Option<String>,
    /// Who is told of runs in OpenLineage's terms. By default nobody.
    pub lineage: Option<LineageTarget>,
    /// How much one query by a client may bring.
    #[serde(default)]
    pub query: QueryLimits,
}

/// Who is told of runs in OpenLineage's terms: one of the two.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LineageTarget {
    /// The URL that each event is posted to, as in `http://marquez:5000/api/v1/lineage`.
    pub url: Option<String>,
    /// The file that events are appended to, one a line; a relative path starts at the project folder.
    pub file: Option<String>,
}

/// How much one query by a client may bring. A result that would be longer is refused, never cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QueryLimits {
    /// The most rows of one result, for everybody who is not named in `rows_of`.
    #[serde(default = "rows_of_everyone")]
    pub rows: u64,
    /// The most rows of one result, by role (`viewer`) or by principal (`service:dashboard`). A principal's own entry
    /// counts before those of its roles; of several roles the highest counts.
    #[serde(default)]
    pub rows_of: BTreeMap<String, u64>,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self { rows: rows_of_everyone(), rows_of: BTreeMap::new() }
    }
}

/// A billion rows of ten numbers are 80 GB: nobody wants more by accident, and a copy of a table has better ways.
const fn rows_of_everyone() -> u64 {
    1_000_000_000
}

/// A whole project folder, read and checked: every reference in it resolves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Project {
    /// `mainspring.yaml`.
    pub file: ProjectFile,
    /// The folder it was read from.
    #[serde(skip)]
    pub folder: std::path::PathBuf,
    /// By name.
    pub sources: BTreeMap<String, Source>,
    /// By name.
    pub entities: BTreeMap<String, Entity>,
    /// By name.
    pub feature_views: BTreeMap<String, FeatureView>,
    /// By name.
    #[serde(default)]
    pub feature_services: BTreeMap<String, FeatureService>,
    /// By name.
    pub models: BTreeMap<String, Model>,
    /// By name.
    pub endpoints: BTreeMap<String, Endpoint>,
    /// By name.
    pub monitors: BTreeMap<String, Monitor>,
    /// By name.
    pub workflows: BTreeMap<String, Workflow>,
    /// Cedar policies: file name and text.
    pub policies: BTreeMap<String, String>,
}
