//! What a thing was made from, and what was made from it.

use std::collections::BTreeSet;

use mainspring_catalog::Edge;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Look, Result};

/// How many edges away lineage is looked for.
const DEPTH: u32 = 12;

/// A part of the lineage graph.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Lineage {
    /// The node that was asked about.
    pub node: String,
    /// Every node, by name.
    pub nodes: BTreeSet<String>,
    /// From what each was made.
    pub edges: Vec<LineageEdge>,
}

/// An edge of the lineage graph.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct LineageEdge {
    /// The input.
    pub from: String,
    /// The output.
    pub to: String,
    /// What joins them.
    pub kind: String,
}

/// The lineage of a node, `kind:name` or `kind:name@version`.
///
/// # Errors
/// When the catalog fails.
pub async fn lineage(look: &Look, node: &str) -> Result<Lineage> {
    let edges = look.catalog.lineage(node, DEPTH).await?;
    let edges: BTreeSet<LineageEdge> = edges.into_iter().map(told).collect();
    let nodes = edges.iter().flat_map(|edge| [edge.from.clone(), edge.to.clone()]).chain([node.to_owned()]).collect();
    Ok(Lineage { node: node.into(), nodes, edges: edges.into_iter().collect() })
}

fn told(edge: Edge) -> LineageEdge {
    LineageEdge { from: edge.from, to: edge.to, kind: edge.kind }
}
