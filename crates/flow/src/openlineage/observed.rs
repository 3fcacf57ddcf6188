//! What other tools tell: their events become edges of the lineage graph.

use jiff::Timestamp;
use mainspring_catalog::{Catalog, Change, Document, Edge, Expect, Principal};
use mainspring_lake::Lake;
use mainspring_spec::Project;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::names::{Meaning, Names};
use crate::error::Result;

/// An event of another tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// When it happened.
    pub at: Timestamp,
    /// Who says so.
    pub producer: String,
    /// The kind of moment: `START`, `COMPLETE`, …; absent for events that are not of a run.
    pub event_type: Option<String>,
    /// The run.
    pub run: Option<String>,
    /// The job: namespace and name.
    pub job: Option<(String, String)>,
    /// What the job reads.
    pub inputs: Vec<ObservedDataset>,
    /// What the job writes; the dataset itself for an event about a dataset.
    pub outputs: Vec<ObservedDataset>,
}

/// A dataset of an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObservedDataset {
    /// Where its name means something.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its version, when the event names one.
    pub version: Option<String>,
    /// Its other names, namespace and name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub symlinks: Vec<(String, String)>,
}

/// An event as the catalog keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct LineageEvent {
    id: String,
    observed: Observed,
    nodes: Vec<String>,
}

impl Document for LineageEvent {
    const KIND: &'static str = "lineage_event";

    fn id(&self) -> String {
        self.id.clone()
    }

    fn parent(&self) -> Option<String> {
        self.observed.job.as_ref().map(|(namespace, name)| format!("{namespace}/{name}"))
    }
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Names the event: the same for the same event.
    pub id: String,
    /// Whether it was known before.
    pub known: bool,
    /// The nodes of the graph that it speaks of.
    pub nodes: Vec<String>,
}

/// Takes an event in: its datasets and its job become nodes, joined by what was read and written. The same event again
/// changes nothing. `id` is its [`identifier`].
///
/// # Errors
/// When catalog or lake fail.
pub async fn accept(
    catalog: &Catalog,
    lake: &Lake,
    project: &Project,
    observed: Observed,
    id: String,
    principal: &Principal,
) -> Result<Accepted> {
    if let Some(known) = catalog.get::<LineageEvent>(&id).await? {
        return Ok(Accepted { id, known: true, nodes: known.document.nodes });
    }
    let names = Names::of(project, lake);
    let job = observed.job.as_ref().map(|(namespace, name)| format!("job:{namespace}/{name}"));
    let (mut nodes, mut edges) = (vec![], vec![]);
    for dataset in &observed.inputs {
        let node = node(&names, lake, dataset, Unnamed::Newest).await?;
        edges.extend(job.as_ref().map(|job| Edge::new(&node, job, "reads")));
        nodes.push(node);
    }
    let written = Unnamed::written(observed.event_type.as_deref());
    for dataset in &observed.outputs {
        let node = node(&names, lake, dataset, written).await?;
        edges.extend(job.as_ref().map(|job| Edge::new(job, &node, "writes")));
        nodes.push(node);
    }
    let subject = job.clone().or(nodes.first().cloned()).unwrap_or_else(|| "lineage:event".into());
    nodes.extend(job);
    nodes.sort();
    nodes.dedup();
    let detail = serde_json::json!({ "event": id, "type": observed.event_type, "run": observed.run });
    let event = LineageEvent { id: id.clone(), observed, nodes: nodes.clone() };
    let change = Change::new(principal, "lineage.observe", subject).detail(detail).put(&event, Expect::Absent)?;
    match catalog.commit(change.edges(edges)).await {
        Ok(_) => Ok(Accepted { id, known: false, nodes }),
        // the same event came twice at once
        Err(error) if error.is_conflict() => Ok(Accepted { id, known: true, nodes }),
        Err(error) => Err(error.into()),
    }
}

/// Names an event by all it says, in whatever order its keys came.
#[must_use]
pub fn identifier(mut whole: Value) -> String {
    whole.sort_all_objects();
    let digest = Sha256::digest(whole.to_string());
    hex::encode(digest).chars().take(32).collect()
}

/// What a dataset is to us, by its own name or, when that is not ours, by another that it has.
fn meaning(names: &Names, dataset: &ObservedDataset) -> Meaning {
    let own = names.meaning(&dataset.namespace, &dataset.name);
    let is_ours = |meaning: &Meaning| matches!(meaning, Meaning::Table(_) | Meaning::Model(_));
    if is_ours(&own) {
        return own;
    }
    let mut others = dataset.symlinks.iter().map(|(namespace, name)| names.meaning(namespace, name));
    others.find(is_ours).unwrap_or(own)
}

/// Which version of our table an event means where it names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unnamed {
    /// The newest.
    Newest,
    /// None of them: the table as such.
    NoVersion,
}

impl Unnamed {
    /// Of what a job writes. A dataset changes when the job that writes it completes, as the specification has it:
    /// until then, and when it failed, the newest version is somebody else's.
    /// <https://github.com/OpenLineage/OpenLineage/blob/main/spec/OpenLineage.md>
    fn written(event_type: Option<&str>) -> Self {
        match event_type {
            Some("START" | "RUNNING" | "ABORT" | "FAIL") => Self::NoVersion,
            _ => Self::Newest,
        }
    }
}

/// The node of the graph that a dataset is. Our tables and models are nodes by version.
async fn node(names: &Names, lake: &Lake, dataset: &ObservedDataset, unnamed: Unnamed) -> Result<String> {
    let version = dataset.version.as_deref().and_then(|version| version.parse::<u64>().ok());
    Ok(match meaning(names, dataset) {
        Meaning::Table(table) => {
            let version = match (version, unnamed) {
                (None, Unnamed::Newest) => lake.version(&table).await?,
                (version, _) => version,
            };
            match version {
                Some(version) => format!("table:{table}@{version}"),
                None => format!("table:{table}"),
            }
        }
        Meaning::Model(model) => match version {
            Some(version) => format!("model:{model}@{version}"),
            None => format!("model:{model}"),
        },
        Meaning::File(uri) => format!("file:{uri}"),
        Meaning::Elsewhere => format!("dataset:{}/{}", dataset.namespace, dataset.name),
    })
}
