//! What applying a folder would change, and what each change costs.
//!
//! Two projects are compared object by object and key by key. What a key means decides the class of its change; what only several objects together tell (a feature that a model loses, a field that requests must
//! newly bring) is found by asking both projects the same question and comparing the answers.

mod compare;
mod plan;
mod rules;
mod surface;

pub use plan::{Action, Change, ChangeClass, Detail, Plan};

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::graph::{ObjectKind, ObjectRef};
use crate::model::Project;

/// Compares what is applied with what is declared. Nothing applied yet: everything is new. Equal projects give an
/// empty plan, and the same two projects always give the same plan in the same order.
#[must_use]
pub fn diff(old: Option<&Project>, new: &Project) -> Plan {
    let declared = objects(new);
    let Some(old) = old else {
        return Plan { changes: declared.keys().map(|object| created(object, new)).collect() };
    };
    let applied = objects(old);
    let all: BTreeSet<&ObjectRef> = applied.keys().chain(declared.keys()).collect();
    let changes = all.into_iter().filter_map(|object| match (applied.get(object), declared.get(object)) {
        (None, _) => Some(created(object, new)),
        (Some(_), None) => Some(deleted(object, old)),
        (Some(before), Some(after)) => updated(object, before, after, old, new),
    });
    Plan { changes: changes.collect() }
}

/// Every object of a project as JSON.
fn objects(project: &Project) -> BTreeMap<ObjectRef, Value> {
    let mut all = BTreeMap::new();
    // A project is one object whatever its name, so that renaming it is a change of it.
    all.insert(ObjectRef::new(ObjectKind::Project, "mainspring"), json(&project.file));
    add(&mut all, ObjectKind::Source, &project.sources);
    add(&mut all, ObjectKind::Entity, &project.entities);
    add(&mut all, ObjectKind::FeatureView, &project.feature_views);
    add(&mut all, ObjectKind::FeatureService, &project.feature_services);
    add(&mut all, ObjectKind::Model, &project.models);
    add(&mut all, ObjectKind::Endpoint, &project.endpoints);
    add(&mut all, ObjectKind::Monitor, &project.monitors);
    add(&mut all, ObjectKind::Workflow, &project.workflows);
    add(&mut all, ObjectKind::Policy, &project.policies);
    all
}

fn add<T: serde::Serialize>(all: &mut BTreeMap<ObjectRef, Value>, kind: ObjectKind, objects: &BTreeMap<String, T>) {
    all.extend(objects.iter().map(|(name, object)| (ObjectRef::new(kind, name), json(object))));
}

/// Declarations are plain data, which always has a JSON form; were it not so, the object would read as null.
fn json<T: serde::Serialize>(object: &T) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

fn created(object: &ObjectRef, project: &Project) -> Change {
    let detail = Detail::new("", ChangeClass::Additive, rules::creation(object, project));
    Change { object: object.clone(), action: Action::Create, class: detail.class, details: vec![detail] }
}

fn deleted(object: &ObjectRef, old: &Project) -> Change {
    let (class, reason) = rules::deletion(object.kind);
    let detail = Detail { consumers: old.consumers(object), ..Detail::new("", class, reason) };
    Change { object: object.clone(), action: Action::Delete, class, details: vec![detail] }
}

fn updated(object: &ObjectRef, before: &Value, after: &Value, old: &Project, new: &Project) -> Option<Change> {
    let mut details: Vec<Detail> = compare::differences(before, after)
        .into_iter()
        .filter_map(|difference| {
            let (class, reason) = rules::update(object.kind, &difference)?;
            let consumers = match class {
                ChangeClass::Recompute | ChangeClass::Breaking | ChangeClass::Destructive => new.consumers(object),
                ChangeClass::MetadataOnly | ChangeClass::Additive => vec![],
            };
            let path = difference.path.join(".");
            Some(Detail { path, class, reason, before: difference.before, after: difference.after, consumers })
        })
        .collect();
    details.extend(match object.kind {
        ObjectKind::FeatureView => surface::features(&object.name, old, new),
        ObjectKind::FeatureService => surface::service(&object.name, old, new),
        ObjectKind::Endpoint => surface::requests(&object.name, old, new),
        _ => vec![],
    });
    let class = details.iter().map(|detail| detail.class).max()?;
    Some(Change { object: object.clone(), action: Action::Update, class, details })
}

#[cfg(test)]
mod tests;
