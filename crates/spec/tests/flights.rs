//! The example project means what its author meant.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests stop at the first surprise")]

use std::path::{Path, PathBuf};

use mainspring_spec::{InputRef, Look, ObjectRef, Project, load};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/flights")
}

fn flights() -> Project {
    load(&folder()).unwrap_or_else(|found| panic!("{}", found.render(Look::Plain)))
}

#[test]
fn the_example_is_sound_and_survives_a_round_trip() {
    let project = flights();

    let text = serde_json::to_string(&project).unwrap();
    let mut back: Project = serde_json::from_str(&text).unwrap();

    back.folder.clone_from(&project.folder);
    assert_eq!(back, project);
}

#[test]
fn the_model_is_given_its_inputs_in_the_order_declared() {
    let resolved = flights().resolve_model("arrival_delay").unwrap();

    let names: Vec<&str> = resolved.inputs.iter().map(InputRef::name).collect();
    assert_eq!(names.len(), 33, "{names:?}");
    assert_eq!(names[..5], ["carrier", "origin", "dest", "distance", "dep_hour"]);
    assert!(names.contains(&"carrier_late_share_24h"), "{names:?}");
    assert_eq!(names.last(), Some(&"seats"));
}

#[test]
fn a_request_brings_columns_keys_and_the_moment() {
    let fields = flights().request_fields("arrival_delay").unwrap();

    let shown: Vec<String> = fields.iter().map(|field| format!("{} {}", field.name, field.data_type)).collect();
    assert_eq!(
        shown,
        [
            "carrier string",
            "origin string",
            "dest string",
            "distance int64",
            "tailnum string",
            "sched_dep_at timestamp",
            "flight int64"
        ]
    );
}

#[test]
fn everything_stands_after_what_it_needs() {
    let project = flights();

    let order: Vec<String> = project.dependencies().iter().map(|step| step.object.to_string()).collect();

    let place = |name: &str| order.iter().position(|object| object == name).unwrap_or_else(|| panic!("{name}"));
    assert!(place("source:planes") < place("source:flights"), "flights refer to planes");
    assert!(place("source:flights") < place("feature_view:airport_departures"));
    assert!(place("feature_view:plane_facts") < place("feature_view:schedule"), "the age uses the year it was built");
    assert!(place("feature_view:schedule") < place("model:arrival_delay"));
    assert!(place("endpoint:arrival_delay") < place("monitor:arrival_delay"));
    assert_eq!(order.len(), 5 + 5 + 3);
}

#[test]
fn consumers_reach_to_the_monitor() {
    let project = flights();

    let names = |object: &str| -> Vec<String> {
        project.consumers(&object.parse::<ObjectRef>().unwrap()).iter().map(ToString::to_string).collect()
    };

    assert_eq!(
        names("entity:plane"),
        [
            "feature_view:plane_facts",
            "feature_view:schedule",
            "model:arrival_delay",
            "endpoint:arrival_delay",
            "monitor:arrival_delay"
        ]
    );
    assert_eq!(names("source:airports"), [""; 0], "flights are only compared with airports, not made from them");
    assert_eq!(names("monitor:arrival_delay"), [""; 0]);
}
