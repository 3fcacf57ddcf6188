//! What a request asks for, without its values: resolved once, and found again by the names in it.

use std::fmt::Write;
use std::sync::Arc;

use mainspring_features::ReadPlan;
use mainspring_spec::Project;
use quick_cache::sync::Cache;

use super::error::Refused;
use super::names::{self, Wanted};
use super::request::AskedFeatures;
use crate::app::Layers;

/// Shapes kept: each application asks for a few. The least used go.
const SHAPES_MAX: usize = 1_000;
/// A longer list of names is resolved each time, so that memory stays bounded.
const NAMES_BYTES_MAX: usize = 64 << 10;

/// The shapes that were asked for lately.
pub(super) struct Shapes(Cache<String, Arc<Shape>>);

impl Default for Shapes {
    fn default() -> Self {
        Self(Cache::new(SHAPES_MAX))
    }
}

/// A request without its values, resolved.
pub(super) struct Shape {
    project: Arc<Project>,
    pub(super) plan: ReadPlan,
    /// The request's columns that stand in the answer.
    pub(super) echoed: Vec<usize>,
    /// For each field of the plan the request's column.
    pub(super) columns: Vec<usize>,
    /// The answer up to its results.
    pub(super) head: Vec<u8>,
    views: Vec<String>,
}

impl Shape {
    /// The views that are read.
    pub(super) fn views(&self) -> impl Iterator<Item = &str> {
        self.views.iter().map(String::as_str)
    }

    /// How many features are read.
    pub(super) fn outputs(&self) -> usize {
        self.plan.outputs().len()
    }
}

impl Shapes {
    /// The shape of a request.
    pub(super) async fn of(&self, layers: &Layers, asked: &AskedFeatures<'_>) -> Result<Arc<Shape>, Refused> {
        let key = key_of(asked);
        if let Some(shape) = self.0.get(&key)
            && Arc::ptr_eq(&shape.project, &layers.project)
            && shape.plan.is_current()
        {
            return Ok(shape);
        }
        let shape = Arc::new(resolve(layers, asked).await?);
        if key.len() <= NAMES_BYTES_MAX {
            self.0.insert(key, shape.clone());
        }
        Ok(shape)
    }
}

/// All names of a request, parted by bytes that no text of JSON holds unescaped.
fn key_of(asked: &AskedFeatures<'_>) -> String {
    let names = asked.features.0.iter().map(|name| name.len() + 1).sum::<usize>();
    let mut key = String::with_capacity(names + 64);
    key.push(if asked.full_feature_names { '1' } else { '0' });
    key.push(if asked.include_feature_view_version_metadata { '1' } else { '0' });
    key.push_str(asked.feature_service.as_deref().unwrap_or_default());
    for name in &asked.features.0 {
        key.push('\u{1}');
        key.push_str(name);
    }
    for (name, _) in &asked.entities.0 {
        key.push('\u{2}');
        key.push_str(name);
    }
    key
}

async fn resolve(layers: &Layers, asked: &AskedFeatures<'_>) -> Result<Shape, Refused> {
    let project = &layers.project;
    let wanted = features_of(layers, asked)?;
    let features: Vec<(String, String)> =
        wanted.iter().map(|wanted| (wanted.view.clone(), wanted.feature.clone())).collect();
    let plan = layers.features.read_plan(&features).await?;
    let named: Vec<&str> = asked.entities.0.iter().map(|(name, _)| join_key(project, name)).collect();
    let mut columns = vec![];
    for field in plan.fields() {
        let place = named.iter().position(|name| *name == field.name);
        columns.push(place.ok_or_else(|| {
            let message = format!("the features need `{}`; add a list of its values to `entities`", field.name);
            Refused::invalid("missing", &["entities", &field.name], message)
        })?);
    }
    let mut echoed = vec![];
    for (place, name) in named.iter().enumerate() {
        let is_key = project.entities.values().any(|entity| entity.keys.iter().any(|key| key.name == *name));
        if is_key {
            echoed.push(place);
        } else if !columns.contains(&place) {
            let message = format!("Entity {name} does not exist: it is no key of an entity, and no feature reads it");
            return Err(Refused::not_found("EntityNotFoundException", message));
        }
    }
    let names = names_of(&wanted, asked.full_feature_names);
    let keys: Vec<&str> = echoed.iter().map(|&place| named[place]).collect();
    check_collisions(&keys, &names)?;
    let (mut views, mut known_views): (Vec<String>, Vec<&str>) = (vec![], vec![]);
    for wanted in &wanted {
        if !views.contains(&wanted.view) {
            views.push(wanted.view.clone());
            known_views.push(&wanted.known_view);
        }
    }
    let all: Vec<&str> = keys.into_iter().chain(names.iter().map(String::as_str)).collect();
    let mut metadata = serde_json::json!({ "feature_names": all });
    if asked.include_feature_view_version_metadata {
        let views = known_views.iter().map(|view| serde_json::json!({ "name": view, "version": 0 }));
        metadata["feature_view_metadata"] = views.collect();
    }
    let head = format!(r#"{{"metadata":{metadata},"results":["#).into_bytes();
    Ok(Shape { project: project.clone(), plan, echoed, columns, head, views })
}

/// The join key that a name of `entities` stands for: itself, or that of the entity called so.
fn join_key<'a>(project: &'a Project, name: &'a str) -> &'a str {
    match project.entities.get(name).map(|entity| entity.keys.as_slice()) {
        Some([key]) => &key.name,
        _ => name,
    }
}

/// The features asked for, by view and name.
fn features_of(layers: &Layers, asked: &AskedFeatures<'_>) -> Result<Vec<Wanted>, Refused> {
    if let Some(service) = &asked.feature_service {
        let features = layers
            .project
            .service_features(&names::service(layers, service))
            .map_err(|error| Refused::not_found("FeatureServiceNotFoundException", error.to_string()))?;
        return Ok(features.into_iter().map(|(view, feature)| names::of_service(layers, view, feature)).collect());
    }
    if asked.features.0.is_empty() {
        return Err(Refused::invalid(
            "missing",
            &["features"],
            "name features as `view:feature`, or a `feature_service`",
        ));
    }
    let parted = asked.features.0.iter().map(|item| match item.split_once(':') {
        Some((view, feature)) if !view.is_empty() && !feature.is_empty() => Ok(names::asked(layers, view, feature)),
        _ => {
            let item: String = item.chars().take(80).collect();
            let message = format!("`{item}` names no feature; write `view:feature`");
            Err(Refused::invalid("feature_reference", &["features"], message))
        }
    });
    parted.collect()
}

/// The names of the results, as clients know them; they are in the order of the plan's outputs.
fn names_of(wanted: &[Wanted], full: bool) -> Vec<String> {
    let name = |wanted: &Wanted| {
        if full { format!("{}__{}", wanted.known_view, wanted.known_feature) } else { wanted.known_feature.clone() }
    };
    wanted.iter().map(name).collect()
}

/// Two results of one name could not be told apart.
fn check_collisions(keys: &[&str], names: &[String]) -> Result<(), Refused> {
    let mut seen: std::collections::HashSet<&str> = keys.iter().copied().collect();
    let mut twice = String::new();
    for name in names.iter().filter(|name| !seen.insert(name.as_str())) {
        let _infallible = write!(twice, "{}`{name}`", if twice.is_empty() { "" } else { ", " });
    }
    if twice.is_empty() {
        return Ok(());
    }
    let message =
        format!("several features are called {twice}; ask with `full_feature_names: true`, and for each once");
    Err(Refused::Feast {
        status: axum::http::StatusCode::UNPROCESSABLE_ENTITY,
        class: "FeatureNameCollisionError",
        message,
    })
}
