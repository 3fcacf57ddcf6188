//! Plans of the flights project, changed in one place at a time.

use std::path::Path;

use super::*;
use crate::model::{Column, DataType, FeatureService, FeatureViewProjection, Field};

fn flights() -> Project {
    crate::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/flights")).unwrap()
}

/// The plan of one edit, as `object: class: path: reason (consumers)` lines.
fn plan_of(edit: impl FnOnce(&mut Project)) -> Plan {
    let old = flights();
    let mut new = old.clone();
    edit(&mut new);
    diff(Some(&old), &new)
}

#[test]
fn the_same_project_has_nothing_to_do() {
    assert_eq!(plan_of(|_| {}), Plan::default());
}

#[test]
fn a_first_plan_creates_everything() {
    let plan = diff(None, &flights());

    assert_eq!(plan.class(), Some(ChangeClass::Additive));
    insta::assert_snapshot!(plan);
}

#[test]
fn a_new_source_that_is_pushed_has_no_files_to_read() {
    let plan = plan_of(|project| {
        let mut clicks = project.sources["airlines"].clone();
        clicks.name = "clicks".into();
        clicks.path = String::new();
        clicks.push = vec!["clicks".into()];
        project.sources.insert("clicks".into(), clicks);
    });

    insta::assert_snapshot!(plan, @"
    create source:clicks                        additive
             clients may push rows into it
    ");
}

#[test]
fn a_feature_that_a_model_uses_breaks_it_when_it_goes() {
    let plan = plan_of(|project| {
        let view = project.feature_views.get_mut("airport_departures").unwrap();
        view.aggregates.retain(|aggregate| aggregate.name != "late_share");
    });

    assert_eq!(plan.class(), Some(ChangeClass::Breaking));
    insta::assert_snapshot!(plan);
}

#[test]
fn a_feature_used_only_through_another_view_counts_as_used() {
    let plan = plan_of(|project| {
        project.feature_views.get_mut("plane_facts").unwrap().features.remove("built");
    });

    let detail = plan.changes[0].details.iter().find(|detail| detail.path == "features.built").unwrap();
    assert_eq!(detail.class, ChangeClass::Breaking);
    assert_eq!(detail.consumers[0].to_string(), "model:arrival_delay");
}

#[test]
fn a_new_window_is_computed_and_a_word_is_not() {
    let plan = plan_of(|project| {
        let view = project.feature_views.get_mut("carrier_departures").unwrap();
        view.aggregates[0].windows.push("7d".parse().unwrap());
        project.models.get_mut("arrival_delay").unwrap().description = "Late?".into();
    });

    insta::assert_snapshot!(plan, @"
    update feature_view:carrier_departures      recompute
             features.carrier_departures_7d: a new feature: the view is computed anew to fill it
    update model:arrival_delay                  metadata only
             description: only the words change
    ");
}

#[test]
fn a_key_that_changes_breaks_the_clients_of_the_endpoint() {
    let plan = plan_of(|project| {
        let key = Field { name: "gate".into(), data_type: DataType::String };
        project.entities.get_mut("carrier_at_airport").unwrap().keys.push(key);
    });

    insta::assert_snapshot!(plan);
}

#[test]
fn columns_come_change_and_go() {
    let column = |name: &str, nullable| Column {
        name: name.into(),
        data_type: DataType::String,
        nullable,
        description: String::new(),
        personal: false,
    };
    let plan = plan_of(|project| {
        let source = project.sources.get_mut("airlines").unwrap();
        source.columns.retain(|column| column.name != "name");
        source.columns.push(column("alliance", true));
        source.columns.push(column("country", false));
        source.columns[0].data_type = DataType::Int64;
    });

    assert_eq!(plan.class(), Some(ChangeClass::Destructive));
    insta::assert_snapshot!(plan);
}

#[test]
fn what_is_no_longer_declared_is_deleted() {
    let plan = plan_of(|project| {
        project.monitors.clear();
        project.endpoints.clear();
        project.workflows.clear();
        project.policies.clear();
        project.models.clear();
    });

    insta::assert_snapshot!(plan);
}

#[test]
fn a_plan_survives_its_json_form() {
    let plan = plan_of(|project| {
        project.sources.get_mut("flights").unwrap().derive.pop();
    });

    let back: Plan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();

    assert_eq!(back, plan);
}

#[test]
fn a_feature_that_leaves_a_service_breaks_its_clients() {
    let service = |features: &[&str]| FeatureService {
        name: "board".into(),
        description: String::new(),
        features: features.iter().map(ToString::to_string).collect(),
        projections: Default::default(),
    };
    let mut old = flights();
    old.feature_services.insert("board".into(), service(&["plane_facts.*", "weather_at_origin.temp"]));
    let mut new = old.clone();
    new.feature_services.insert("board".into(), service(&["plane_facts.seats", "weather_at_origin.temp"]));

    let plan = diff(Some(&old), &new);

    assert_eq!(plan.changes.len(), 1);
    assert_eq!(plan.changes[0].object.to_string(), "feature_service:board");
    assert_eq!((plan.class(), plan.changes[0].details.len()), (Some(ChangeClass::Breaking), 1));
    assert_eq!(plan.changes[0].details[0].path, "features.plane_facts.built");
}

#[test]
fn a_projection_of_a_service_that_takes_other_keys_breaks_its_clients() {
    let project = |view: Option<&str>, key: Option<&str>| {
        let mut project = flights();
        let projection = FeatureViewProjection {
            feature_view: view.map(ToOwned::to_owned),
            join_key_map: key.map(|key| ("origin".to_owned(), key.to_owned())).into_iter().collect(),
        };
        let name = if view.is_some() { "at_departure" } else { "weather_at_origin" };
        let service = FeatureService {
            name: "board".into(),
            description: String::new(),
            features: vec![format!("{name}.temp")],
            projections: [(name.to_owned(), projection)].into(),
        };
        project.feature_services.insert("board".into(), service);
        project
    };
    let before = project(Some("weather_at_origin"), None);

    let keys = diff(Some(&before), &project(Some("weather_at_origin"), Some("from")));
    let renamed = diff(Some(&before), &project(None, None));

    assert_eq!((keys.class(), keys.changes[0].details.len()), (Some(ChangeClass::Breaking), 1));
    assert_eq!(keys.changes[0].details[0].path, "features.at_departure.temp");
    let paths: Vec<&str> = renamed.changes[0].details.iter().map(|detail| detail.path.as_str()).collect();
    assert_eq!(paths, ["features.weather_at_origin.temp", "features.at_departure.temp"]);
}
