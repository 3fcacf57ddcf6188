//! What a change of each key means.

use serde_json::Value;

use super::compare::Difference;
use super::plan::ChangeClass::{self, Additive, Breaking, Destructive, MetadataOnly, Recompute};
use crate::graph::{ObjectKind, ObjectRef};
use crate::model::{Project, Source};

type Verdict = Option<(ChangeClass, String)>;

/// What a new object of a project brings.
pub(super) fn creation(object: &ObjectRef, project: &Project) -> &'static str {
    match object.kind {
        ObjectKind::Project => "the project is new",
        ObjectKind::Source if project.sources.get(&object.name).is_some_and(Source::is_pushed) => {
            "clients may push rows into it"
        }
        ObjectKind::Source => "its files are read on the next run",
        ObjectKind::Entity => "feature views may describe it",
        ObjectKind::FeatureView => "its features are computed on the next run",
        ObjectKind::FeatureService => "clients may read its features by its name",
        ObjectKind::Model => "a first version is trained on the next run",
        ObjectKind::Endpoint => "it answers as soon as its model has a version with its alias",
        ObjectKind::Monitor => "it judges the windows there are, and those to come",
        ObjectKind::Workflow => "it can be run by its name",
        ObjectKind::Policy => "it decides from the next request on",
    }
}

/// What is lost with an object.
pub(super) fn deletion(kind: ObjectKind) -> (ChangeClass, &'static str) {
    match kind {
        ObjectKind::Source => (Destructive, "its table is no longer kept, nor is what was quarantined"),
        ObjectKind::FeatureView => (Destructive, "its table and its online values are no longer kept"),
        ObjectKind::Model => (Destructive, "its versions can no longer be given an alias"),
        ObjectKind::Endpoint => (Breaking, "clients that call it get an error"),
        ObjectKind::FeatureService => (Breaking, "clients that read by its name get an error"),
        ObjectKind::Policy => (Breaking, "what it permits or forbids is no longer so from the next request on"),
        ObjectKind::Monitor => (MetadataOnly, "nobody looks any more; what it found stays"),
        ObjectKind::Entity | ObjectKind::Workflow | ObjectKind::Project => (MetadataOnly, "only the declaration goes"),
    }
}

/// What a change of a key means; `None` when it is told elsewhere.
pub(super) fn update(kind: ObjectKind, difference: &Difference) -> Verdict {
    let path: Vec<&str> = difference.path.iter().map(String::as_str).collect();
    if path.last() == Some(&"description") {
        return told(MetadataOnly, "only the words change");
    }
    let (before, after) = (&difference.before, &difference.after);
    match kind {
        ObjectKind::Project => project(&path),
        ObjectKind::Source => source(&path, before, after),
        ObjectKind::Entity => told(Recompute, "everything that describes it is keyed anew"),
        ObjectKind::FeatureView => feature_view(&path, after),
        // Which features it has, and how it reads them, is compared as a whole.
        ObjectKind::FeatureService if matches!(path.as_slice(), ["features"] | ["projections", ..]) => None,
        ObjectKind::FeatureService => told(MetadataOnly, "takes effect at once"),
        ObjectKind::Model => model(&path),
        ObjectKind::Endpoint => endpoint(&path),
        ObjectKind::Monitor => monitor(&path),
        ObjectKind::Workflow => told(MetadataOnly, "takes effect at its next run"),
        ObjectKind::Policy => told(MetadataOnly, "decides from the next request on"),
    }
}

fn told(class: ChangeClass, reason: &str) -> Verdict {
    Some((class, reason.to_owned()))
}

fn project(path: &[&str]) -> Verdict {
    match path {
        ["targets", _, "catalog" | "lake" | "files" | "online"] => {
            told(Breaking, "what is kept at the old place is not moved to the new one")
        }
        ["targets", ..] => told(MetadataOnly, "takes effect at the next start"),
        _ => told(MetadataOnly, "only the words change"),
    }
}

fn source(path: &[&str], before: &Value, after: &Value) -> Verdict {
    match path {
        ["columns", _] if before.is_null() && after["nullable"] == true => {
            told(Additive, "rows that landed before have null there")
        }
        ["columns", _] if before.is_null() => {
            told(Recompute, "the files are read again, for rows that landed before lack it")
        }
        ["columns", _] if after.is_null() => told(Destructive, "the column leaves the table"),
        ["columns", _, "nullable"] if *after == true => told(Additive, "null is allowed from now on"),
        ["columns", _, "nullable"] => told(Recompute, "the files are read again, for rows that landed may hold null"),
        ["columns", _, "type"] => told(Recompute, "the files are read again with the new type"),
        ["columns", _, "personal"] => told(MetadataOnly, "the mark is carried to everything computed from it"),
        ["columns"] => told(MetadataOnly, "only the order changes"),
        ["derive", ..] => told(Recompute, "the files are read again to compute it"),
        ["key"] => told(Recompute, "the files are read again, for which rows replace which changes"),
        ["event_time" | "known_at"] => told(Recompute, "what counts as known when changes"),
        ["push"] => told(Additive, "rows are taken under these names from now on; rows that landed stay"),
        ["path"] | ["format"] | ["csv", ..] | ["extra_columns"] => {
            told(Additive, "holds for files read from now on; rows that landed stay")
        }
        ["checks", ..] => told(Additive, "files read from now on are judged by the new rules; rows that landed stay"),
        _ => told(Recompute, "the files are read again"),
    }
}

fn feature_view(path: &[&str], after: &Value) -> Verdict {
    match path {
        // Which features there are is compared as a whole.
        ["features", ..] | ["aggregates", _] | ["aggregates", _, "windows" | "name"] | ["expressions", _] => None,
        ["aggregates"] | ["expressions"] | ["request"] => told(MetadataOnly, "only the order changes"),
        ["online"] if *after == true => told(Additive, "its values are put into the online store on the next run"),
        ["online"] => told(Breaking, "its values leave the online store, so endpoints read them as missing"),
        ["json"] => told(MetadataOnly, "only how clients get it changes"),
        ["ttl"] => told(Recompute, "which values are too old to be used changes, so models learned from others"),
        ["columns", ..] => told(Additive, "more of the query's columns may be inputs of models"),
        _ => told(Recompute, "its values are computed anew"),
    }
}

fn model(path: &[&str]) -> Verdict {
    match path {
        ["task"] => told(Breaking, "its answers mean something else"),
        ["gates", ..] => told(MetadataOnly, "judges from the next time an alias is asked for"),
        ["promote"] => told(MetadataOnly, "holds from the next version on"),
        ["slices", ..] => told(MetadataOnly, "the next version is evaluated by them"),
        _ => told(Recompute, "a new version is trained"),
    }
}

fn endpoint(path: &[&str]) -> Verdict {
    match path {
        ["model"] => told(Recompute, "another model answers"),
        ["alias"] => told(Additive, "the version with that alias answers from now on"),
        _ => told(MetadataOnly, "takes effect at once"),
    }
}

fn monitor(path: &[&str]) -> Verdict {
    match path {
        ["endpoint"] | ["window"] | ["drift", "features"] => told(Recompute, "its windows are judged anew"),
        _ => told(MetadataOnly, "windows are judged by it from now on"),
    }
}
