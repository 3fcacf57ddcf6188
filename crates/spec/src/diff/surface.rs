//! What others rely on: the features of a view, and the fields of a request.

use std::collections::BTreeMap;

use super::plan::{ChangeClass, Detail};
use crate::graph::{ObjectKind, ObjectRef};
use crate::model::{DataType, Project};
use crate::resolve::{InputRef, ServiceFeature};

/// Features that a view gains or loses.
pub(super) fn features(view: &str, old: &Project, new: &Project) -> Vec<Detail> {
    let (before, after) = (old.view_features(view), new.view_features(view));
    let gained = after.iter().filter(|feature| !before.contains(feature)).map(|feature| {
        let path = format!("features.{feature}");
        Detail::new(path, ChangeClass::Recompute, "a new feature: the view is computed anew to fill it")
    });
    let lost = before.iter().filter(|feature| !after.contains(feature)).map(|feature| {
        let users = users(old, view, feature);
        let path = format!("features.{feature}");
        if users.is_empty() {
            return Detail::new(path, ChangeClass::Recompute, "the feature goes; no model uses it");
        }
        Detail { consumers: users, ..Detail::new(path, ChangeClass::Breaking, "the feature goes, and these use it") }
    });
    let described = descriptions(view, old, new);
    gained.chain(lost).chain(described).collect()
}

/// Features that a service gains or loses or reads otherwise, wherever that comes from.
pub(super) fn service(name: &str, old: &Project, new: &Project) -> Vec<Detail> {
    let (before, after) = (old.service_reads(name), new.service_reads(name));
    let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
    let path = |read: &ServiceFeature| format!("features.{}.{}", read.known_view, read.feature);
    let named = |in_list: &[ServiceFeature], of: &ServiceFeature| {
        in_list.iter().find(|read| read.known_view == of.known_view && read.feature == of.feature).cloned()
    };
    let mut details = vec![];
    for read in &after {
        match named(&before, read) {
            None => details.push(Detail::new(path(read), ChangeClass::Additive, "its clients get one feature more")),
            Some(was) if was == *read => {}
            Some(was) if was.view == read.view => {
                let reason = "its clients must bring the keys of the view under other names";
                details.push(Detail::new(path(read), ChangeClass::Breaking, reason));
            }
            Some(_) => {
                let reason = "its clients get the feature of another view under this name";
                details.push(Detail::new(path(read), ChangeClass::Breaking, reason));
            }
        }
    }
    let lost = before.iter().filter(|read| named(&after, read).is_none());
    details.extend(lost.map(|read| Detail::new(path(read), ChangeClass::Breaking, "its clients no longer get it")));
    if details.is_empty() && before != after {
        details.push(Detail::new("features", ChangeClass::MetadataOnly, "only the order changes"));
    }
    details
}

/// Descriptions of features that are there before and after.
fn descriptions(view: &str, old: &Project, new: &Project) -> Option<Detail> {
    let both = (old.feature_views.get(view)?, new.feature_views.get(view)?);
    let kept: Vec<String> = both.0.feature_names().into_iter().filter(|f| both.1.feature_names().contains(f)).collect();
    let changed = kept.iter().any(|feature| both.0.features.get(feature) != both.1.features.get(feature));
    changed.then(|| Detail::new("features", ChangeClass::MetadataOnly, "only the words change"))
}

/// The models that are given a feature, directly or through a request-time view, and the endpoints before them.
fn users(project: &Project, view: &str, feature: &str) -> Vec<ObjectRef> {
    let mut users = vec![];
    for name in project.models.keys() {
        let Ok(resolved) = project.resolve_model(name) else { continue };
        let direct = resolved.inputs.iter().any(
            |input| matches!(input, InputRef::Feature { view: of, feature: named } if of == view && named == feature),
        );
        let through =
            project.views_used(&resolved).iter().filter_map(|used| project.feature_views.get(used)).any(|used| {
                let found = used.uses.iter().filter_map(|name| project.find_feature(name).ok());
                found.into_iter().any(|(of, named)| of == view && named == feature)
            });
        if direct || through {
            users.push(ObjectRef::new(ObjectKind::Model, name));
        }
    }
    let endpoints = project
        .endpoints
        .values()
        .filter(|endpoint| users.contains(&ObjectRef::new(ObjectKind::Model, &endpoint.model)));
    let endpoints: Vec<ObjectRef> =
        endpoints.map(|endpoint| ObjectRef::new(ObjectKind::Endpoint, &endpoint.name)).collect();
    users.extend(endpoints);
    users
}

/// Fields that requests to an endpoint must newly bring, or need no longer bring, wherever that comes from.
pub(super) fn requests(endpoint: &str, old: &Project, new: &Project) -> Vec<Detail> {
    let (before, after) = (request(endpoint, old), request(endpoint, new));
    let mut details = vec![];
    for (name, data_type) in &after {
        let path = format!("request.{name}");
        match before.get(name) {
            None => {
                let reason = format!("clients must bring `{name}` ({data_type}) in their requests");
                details.push(Detail::new(path, ChangeClass::Breaking, reason));
            }
            Some(was) if was != data_type => {
                let reason = format!("clients must bring `{name}` as {data_type}, not as {was}");
                details.push(Detail::new(path, ChangeClass::Breaking, reason));
            }
            Some(_) => {}
        }
    }
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        let reason = format!("requests need no longer bring `{name}`");
        details.push(Detail::new(format!("request.{name}"), ChangeClass::MetadataOnly, reason));
    }
    details
}

fn request(endpoint: &str, project: &Project) -> BTreeMap<String, DataType> {
    let model = project.endpoints.get(endpoint).map(|endpoint| endpoint.model.as_str()).unwrap_or_default();
    let fields = project.request_fields(model).unwrap_or_default();
    fields.into_iter().map(|field| (field.name, field.data_type)).collect()
}
