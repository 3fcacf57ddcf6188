//! Models, versions, gates, aliases.

use std::collections::{BTreeMap, BTreeSet};

use mainspring_registry::{AliasEvent, Error as RegistryError, GateResult, LiveSpan, ModelVersion, RegisteredModel};
use mainspring_spec::Task;
use schemars::JsonSchema;
use serde::Serialize;

use super::lineage::{Lineage, LineageEdge, lineage};
use super::{Error, LISTED_MAX, Look, Page, Result};

/// The alias by which models are known.
pub const CHAMPION: &str = "champion";

/// A model.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ModelView {
    /// The model.
    pub model: String,
    /// What it predicts, in a sentence.
    pub description: String,
    /// What kind of answer it gives.
    pub task: Option<Task>,
    /// The trainer, as declared.
    pub trainer: Option<String>,
    /// How many versions there are.
    pub versions: usize,
    /// The version called champion.
    pub champion: Option<u64>,
    /// The metrics of the champion, or else of the newest version.
    pub metrics: BTreeMap<String, f64>,
    /// Whether it is declared still.
    pub declared: bool,
}

/// The models, declared or registered, by name.
///
/// # Errors
/// When the catalog fails.
pub async fn models(look: &Look, page: &Page) -> Result<Vec<ModelView>> {
    let registered = look.registry.models().await?;
    let registered: BTreeMap<String, RegisteredModel> =
        registered.into_iter().map(|model| (model.name.clone(), model)).collect();
    let names: BTreeSet<&String> = look.project.models.keys().chain(registered.keys()).collect();
    let mut shown = vec![];
    for name in page.of(names.into_iter()) {
        let versions = look.registry.versions(name).await?;
        let champion = look.registry.live(name, CHAMPION).await?;
        shown.push(seen(look, name, registered.get(name), &versions, champion.as_ref()));
    }
    Ok(shown)
}

fn seen(
    look: &Look,
    name: &str,
    registered: Option<&RegisteredModel>,
    versions: &[ModelVersion],
    champion: Option<&ModelVersion>,
) -> ModelView {
    let declared = look.project.models.get(name);
    let best = champion.or(versions.first());
    let trainer = declared.and_then(|model| serde_json::to_value(&model.trainer).ok());
    ModelView {
        model: name.into(),
        description: declared
            .map(|model| &model.description)
            .or(registered.map(|model| &model.description))
            .cloned()
            .unwrap_or_default(),
        task: declared.map(|model| model.task).or(best.and_then(|version| version.task)),
        trainer: trainer.and_then(|trainer| trainer.as_object()?.keys().next().cloned()),
        versions: versions.len(),
        champion: champion.map(|version| version.version),
        metrics: best.map(|version| version.metrics.clone()).unwrap_or_default(),
        declared: declared.is_some(),
    }
}

/// A version, its aliases and how it fares with its gates now.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct VersionView {
    /// The version as it is recorded.
    #[serde(flatten)]
    pub version: ModelVersion,
    /// The aliases that name it.
    pub aliases: Vec<String>,
    /// Its gates, judged against the champion of now.
    pub judged: Vec<GateResult>,
    /// Whether it meets them all.
    pub passes: bool,
}

/// The versions of a model below a number, the newest first.
///
/// # Errors
/// When there is no such model.
pub async fn versions(look: &Look, model: &str, before: Option<u64>, limit: usize) -> Result<Vec<VersionView>> {
    let versions = look.registry.versions(model).await?;
    if versions.is_empty() && !look.project.models.contains_key(model) && registered(look, model).await?.is_none() {
        return Err(Error::missing("model", model));
    }
    let aliases = look.registry.aliases(model).await?;
    let mut shown = vec![];
    let below = versions.into_iter().filter(|version| before.is_none_or(|before| version.version < before));
    for version in below.take(limit) {
        let verdict = look.registry.judge(model, CHAMPION, version.version).await?;
        let named = aliases.iter().filter(|alias| alias.version == Some(version.version));
        shown.push(VersionView {
            aliases: named.map(|alias| alias.alias.clone()).collect(),
            passes: verdict.passed(),
            judged: verdict.results,
            version,
        });
    }
    Ok(shown)
}

async fn registered(look: &Look, model: &str) -> Result<Option<RegisteredModel>> {
    match look.registry.model(model).await {
        Ok(model) => Ok(Some(model)),
        Err(RegistryError::NoModel(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What an alias named when, and who moved it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AliasHistory {
    /// The alias.
    pub alias: String,
    /// Its moves, the oldest first.
    pub events: Vec<AliasEvent>,
    /// The same as times in which a version was live.
    pub live: Vec<LiveSpan>,
}

/// Everything about a model.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ModelDetail {
    /// The model.
    #[serde(flatten)]
    pub view: ModelView,
    /// Its versions, the newest first.
    pub all_versions: Vec<VersionView>,
    /// What its aliases named when.
    pub aliases: Vec<AliasHistory>,
    /// The lineage of the champion, or else of the newest version.
    pub lineage: Option<Lineage>,
    /// Endpoints that serve it.
    pub endpoints: Vec<String>,
    /// Its inputs by name.
    pub inputs: Vec<String>,
}

/// A model with versions, gates, aliases and lineage.
///
/// # Errors
/// When there is no such model.
pub async fn model(look: &Look, name: &str) -> Result<ModelDetail> {
    let all_versions = versions(look, name, None, LISTED_MAX).await?;
    let champion = look.registry.live(name, CHAMPION).await?;
    let bare: Vec<ModelVersion> = all_versions.iter().map(|version| version.version.clone()).collect();
    let mut aliases = vec![];
    let mut names: BTreeSet<String> = look.registry.aliases(name).await?.into_iter().map(|alias| alias.alias).collect();
    names.insert(CHAMPION.into());
    for alias in names {
        let events = look.registry.events(name, &alias).await?;
        if !events.is_empty() {
            let live = look.registry.history(name, &alias).await?;
            aliases.push(AliasHistory { alias, events, live });
        }
    }
    let node = champion.as_ref().or(bare.first()).map(ModelVersion::node);
    let lineage = match node {
        Some(node) => Some(with_endpoints(look, name, lineage(look, &node).await?)),
        None => None,
    };
    let endpoints = look.project.endpoints.values().filter(|endpoint| endpoint.model == name);
    let inputs = match look.project.resolve_model(name) {
        Ok(resolved) => resolved.inputs.iter().map(|input| input.name().to_owned()).collect(),
        Err(_no_longer_declared) => vec![],
    };
    Ok(ModelDetail {
        view: seen(look, name, registered(look, name).await?.as_ref(), &bare, champion.as_ref()),
        all_versions,
        aliases,
        lineage,
        endpoints: endpoints.map(|endpoint| endpoint.name.clone()).collect(),
        inputs,
    })
}

/// The lineage on to the endpoints, which are declared and leave no edges.
fn with_endpoints(look: &Look, model: &str, mut lineage: Lineage) -> Lineage {
    for endpoint in look.project.endpoints.values().filter(|endpoint| endpoint.model == model) {
        let to = format!("endpoint:{}", endpoint.name);
        lineage.nodes.insert(to.clone());
        lineage.edges.push(LineageEdge { from: lineage.node.clone(), to, kind: "serves".into() });
    }
    lineage
}
