//! `workflows/*.yaml`: named parts of the dependency graph to run together.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A named set of targets; running it runs them and what they depend on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Workflow {
    /// The workflow's name.
    #[serde(rename = "workflow")]
    pub name: String,
    /// What it is for, in a sentence.
    #[serde(default)]
    pub description: String,
    /// Names of sources, feature views, models, endpoints and monitors.
    pub targets: Vec<String>,
    /// How often a failed task is tried again.
    #[serde(default = "twice")]
    pub retries: u32,
}

fn twice() -> u32 {
    2
}
