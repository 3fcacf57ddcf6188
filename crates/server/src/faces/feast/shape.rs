//! What a request asks for, without its values: resolved once, and found again by the names in it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use mainspring_features::ReadPlan;
use mainspring_spec::{DataType, Field, NO_ENTITY_KEY, Project};
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
    /// What is read; one part, unless a service reads views by other keys.
    pub(super) parts: Vec<Part>,
    /// Each feature of the answer: its part, and its place among what that reads.
    pub(super) outputs: Vec<(usize, usize)>,
    /// The request's columns that stand in the answer.
    pub(super) echoed: Vec<usize>,
    /// For each of the request's columns the type that features read it as.
    pub(super) types: Vec<Option<DataType>>,
    /// The answer up to its results.
    pub(super) head: Vec<u8>,
    views: Vec<String>,
}

/// Features whose keys the request calls alike.
pub(super) struct Part {
    pub(super) plan: ReadPlan,
    /// For each field of the plan the request's column; `None` for the key of views that describe no entity.
    pub(super) columns: Vec<Option<usize>>,
}

impl Shape {
    /// The views that are read.
    pub(super) fn views(&self) -> impl Iterator<Item = &str> {
        self.views.iter().map(String::as_str)
    }
}

impl Shapes {
    /// The shape of a request.
    pub(super) async fn of(&self, layers: &Layers, asked: &AskedFeatures<'_>) -> Result<Arc<Shape>, Refused> {
        let key = key_of(asked);
        if let Some(shape) = self.0.get(&key)
            && Arc::ptr_eq(&shape.project, &layers.project)
            && shape.parts.iter().all(|part| part.plan.is_current())
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

/// All names of a request, each with its kind and its length before it: a name may hold any byte.
fn key_of(asked: &AskedFeatures<'_>) -> String {
    let names = asked.features.0.iter().map(|name| name.len() + 4).sum::<usize>();
    let mut key = String::with_capacity(names + 64);
    key.push(if asked.full_feature_names { '1' } else { '0' });
    key.push(if asked.include_feature_view_version_metadata { '1' } else { '0' });
    let mut digits = itoa::Buffer::new();
    let mut add = |kind: char, name: &str| {
        key.push(kind);
        key.push_str(digits.format(name.len()));
        key.push(':');
        key.push_str(name);
    };
    add('s', asked.feature_service.as_deref().unwrap_or_default());
    for name in &asked.features.0 {
        add('f', name);
    }
    for (name, _) in &asked.entities.0 {
        add('e', name);
    }
    key
}

async fn resolve(layers: &Layers, asked: &AskedFeatures<'_>) -> Result<Shape, Refused> {
    let project = &layers.project;
    let wanted = features_of(layers, asked)?;
    let (groups, outputs) = grouped(&wanted);
    let mut plans = vec![];
    for group in groups {
        plans.push((layers.features.read_plan(&group.features).await?, group.join_key_map));
    }
    let mut needed: Vec<&str> = vec![];
    for (plan, called) in &plans {
        needed.extend(plan.fields().iter().map(|field| call(called, &field.name)));
    }
    let named: Vec<&str> = asked.entities.0.iter().map(|(name, _)| join_key(project, &needed, name)).collect();
    let mut types: Vec<Option<DataType>> = vec![None; named.len()];
    let mut columns = vec![];
    for (plan, called) in &plans {
        columns.push(columns_of(plan.fields(), called, &named, &mut types)?);
    }
    let mut echoed = vec![];
    for (place, name) in named.iter().enumerate() {
        let is_renamed_key = wanted.iter().any(|wanted| wanted.join_key_map.values().any(|called| called == name));
        let is_key = || project.entities.values().any(|entity| entity.keys.iter().any(|key| key.name == *name));
        // Any other column is what expressions read or, as with Feast's server, passed over: clients go on to send what
        // on-demand views need that are not here.
        if is_renamed_key || is_key() {
            echoed.push(place);
        }
    }
    let names = names_of(&wanted, asked.full_feature_names);
    let keys: Vec<&str> = echoed.iter().map(|&place| named[place]).collect();
    check_collisions(&keys, &names)?;
    let (mut views, mut known_views): (Vec<String>, Vec<(&str, u32)>) = (vec![], vec![]);
    for wanted in &wanted {
        if !views.contains(&wanted.view) {
            views.push(wanted.view.clone());
        }
        let known = (wanted.known_view.as_str(), wanted.version);
        if !known_views.contains(&known) {
            known_views.push(known);
        }
    }
    let all: Vec<&str> = keys.into_iter().chain(names.iter().map(String::as_str)).collect();
    let mut metadata = serde_json::json!({ "feature_names": all });
    if asked.include_feature_view_version_metadata {
        let views = known_views.iter();
        let views = views.map(|(view, version)| serde_json::json!({ "name": view, "version": version }));
        metadata["feature_view_metadata"] = views.collect();
    }
    let head = format!(r#"{{"metadata":{metadata},"results":["#).into_bytes();
    let parts = plans.into_iter().zip(columns).map(|((plan, _), columns)| Part { plan, columns }).collect();
    Ok(Shape { project: project.clone(), parts, outputs, echoed, types, head, views })
}

/// Features that are read together, as their keys are called alike.
struct Group<'w> {
    join_key_map: &'w BTreeMap<String, String>,
    features: Vec<(String, String)>,
}

/// Features by what the client calls their keys; and for each feature its group and its place there.
fn grouped(wanted: &[Wanted]) -> (Vec<Group<'_>>, Vec<(usize, usize)>) {
    let mut groups: Vec<Group<'_>> = vec![];
    let mut places = vec![];
    for wanted in wanted {
        let known = groups.iter().position(|group| *group.join_key_map == wanted.join_key_map);
        let at = known.unwrap_or(groups.len());
        if known.is_none() {
            groups.push(Group { join_key_map: &wanted.join_key_map, features: vec![] });
        }
        let features = &mut groups[at].features;
        places.push((at, features.len()));
        features.push((wanted.view.clone(), wanted.feature.clone()));
    }
    (groups, places)
}

/// What requests call a field.
fn call<'a>(join_key_map: &'a BTreeMap<String, String>, field: &'a str) -> &'a str {
    join_key_map.get(field).map_or(field, String::as_str)
}

/// For each field the request's column that brings it, and into `types` what that is read as.
fn columns_of(
    fields: &[Field],
    join_key_map: &BTreeMap<String, String>,
    named: &[&str],
    types: &mut [Option<DataType>],
) -> Result<Vec<Option<usize>>, Refused> {
    let mut columns = vec![];
    for field in fields {
        if field.name == NO_ENTITY_KEY {
            columns.push(None);
            continue;
        }
        let name = call(join_key_map, &field.name);
        let Some(place) = named.iter().position(|known| *known == name) else {
            let message = format!("the features need `{name}`; add a list of its values to `entities`");
            return Err(Refused::invalid("missing", &["entities", name], message));
        };
        match types[place] {
            Some(other) if other != field.data_type => {
                let message = format!(
                    "`{name}` is a key of type {other} in one view and of type {} in another; give one of them another \
                     name with `join_key_map` in the feature service",
                    field.data_type
                );
                return Err(Refused::invalid("value_type", &["entities", name], message));
            }
            _ => types[place] = Some(field.data_type),
        }
        columns.push(Some(place));
    }
    Ok(columns)
}

/// The join key that a name of `entities` stands for: itself, when features read it, or that of the entity called so.
fn join_key<'a>(project: &'a Project, needed: &[&str], name: &'a str) -> &'a str {
    match project.entities.get(name).map(|entity| entity.keys.as_slice()) {
        Some([key]) if !needed.contains(&name) => &key.name,
        _ => name,
    }
}

/// The features asked for, by view and name.
fn features_of(layers: &Layers, asked: &AskedFeatures<'_>) -> Result<Vec<Wanted>, Refused> {
    // Clients with fields that are never absent send the empty text, which Feast's server takes for none.
    if let Some(service) = asked.feature_service.as_deref().filter(|service| !service.is_empty()) {
        let reads = layers
            .project
            .service_reads(&names::service(layers, service))
            .map_err(|error| Refused::not_found("FeatureServiceNotFoundException", error.to_string()))?;
        return Ok(reads.into_iter().map(|read| names::of_service(layers, read)).collect());
    }
    if asked.features.0.is_empty() {
        return Err(Refused::invalid(
            "missing",
            &["features"],
            "name features as `view:feature`, or a `feature_service`",
        ));
    }
    let parted = asked.features.0.iter().map(|item| match item.split_once(':') {
        Some((view, feature)) if !view.is_empty() && !feature.is_empty() => names::asked(layers, view, feature),
        _ => {
            let item: String = item.chars().take(80).collect();
            let message = format!("`{item}` names no feature; write `view:feature`");
            Err(Refused::invalid("feature_reference", &["features"], message))
        }
    });
    parted.collect()
}

/// The names of the results, as clients know them; they are in the order of what is wanted.
fn names_of(wanted: &[Wanted], full: bool) -> Vec<String> {
    let name = |Wanted { known_view, known_feature, version, is_version_named, .. }: &Wanted| match full {
        false => known_feature.clone(),
        true if *is_version_named => format!("{known_view}@v{version}__{known_feature}"),
        true => format!("{known_view}__{known_feature}"),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(view: &str, feature: &str, keys: &[(&str, &str)]) -> Wanted {
        Wanted {
            view: view.into(),
            feature: feature.into(),
            known_view: view.into(),
            known_feature: feature.into(),
            version: 3,
            is_version_named: false,
            join_key_map: keys.iter().map(|(key, called)| ((*key).to_owned(), (*called).to_owned())).collect(),
        }
    }

    fn field(name: &str, data_type: DataType) -> Field {
        Field { name: name.into(), data_type }
    }

    #[test]
    fn view_that_is_read_by_two_keys_is_read_twice() {
        let origin = [("location_id", "origin_id")];
        let wanted = [
            wanted("stats", "temperature", &origin),
            wanted("drivers", "trips", &[]),
            wanted("stats", "temperature", &[("location_id", "destination_id")]),
            wanted("stats", "rain", &origin),
        ];

        let (groups, places) = grouped(&wanted);

        assert_eq!(groups.len(), 3);
        assert_eq!(places, [(0, 0), (1, 0), (2, 0), (0, 1)]);
        assert_eq!(groups[0].features[1], ("stats".to_owned(), "rain".to_owned()));
    }

    #[test]
    fn full_name_has_the_version_that_was_named() {
        let pinned = Wanted { is_version_named: true, ..wanted("stats", "rain", &[]) };
        let wanted = [pinned, wanted("stats", "rain", &[])];

        assert_eq!(names_of(&wanted, true), ["stats@v3__rain", "stats__rain"]);
        assert_eq!(names_of(&wanted, false), ["rain", "rain"]);
    }

    #[test]
    fn names_are_told_apart_whatever_they_hold() {
        let body = |entities: &str| format!(r#"{{"features": ["v:a"], "entities": {entities}}}"#);
        let bodies = [
            r#"{"a": [1], "b": [1]}"#,
            r#"{"a\u0002b": [1]}"#,
            r#"{"ae1:b": [1]}"#,
            r#"{"a": [1], "b\u0002": [1]}"#,
            r#"{"a": [1]}"#,
        ]
        .map(body);

        let keys: std::collections::BTreeSet<String> =
            bodies.iter().map(|body| key_of(&super::super::request::read_features(body.as_bytes()).unwrap())).collect();

        assert_eq!(keys.len(), bodies.len(), "{keys:?}");
    }

    #[test]
    fn keys_are_looked_for_by_the_names_that_requests_have() {
        let called: BTreeMap<String, String> = [("location_id".to_owned(), "origin_id".to_owned())].into();
        let fields = [
            field("location_id", DataType::Int64),
            field(NO_ENTITY_KEY, DataType::String),
            field("day", DataType::Date),
        ];
        let mut types: Vec<Option<DataType>> = vec![None; 2];

        let columns = columns_of(&fields, &called, &["day", "origin_id"], &mut types).unwrap();
        let missing = columns_of(&fields, &called, &["day", "location_id"], &mut types);
        let of_two_types = columns_of(&fields[2..], &called, &["x", "day"], &mut types);

        assert_eq!(columns, [Some(1), None, Some(0)]);
        assert!(matches!(missing, Err(Refused::Invalid(details)) if details[0].msg.contains("`origin_id`")));
        assert!(matches!(of_two_types, Err(Refused::Invalid(details)) if details[0].rule == "value_type"));
    }
}
