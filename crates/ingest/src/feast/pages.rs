//! The files of an imported project.

use std::fmt::Write;
use std::path::PathBuf;

use mainspring_spec::{DataType, NO_ENTITY_KEY, name_problem};

use super::convert::{Converted, FileSource, ImportedView};
use super::services::ImportedService;
use crate::infer::sql_name;
use crate::infer::yaml::{text, texts};

/// The column by which rows of equal times are ordered.
const WRITTEN_AT: &str = "written_at";

/// All files, by path inside the folder.
pub(super) fn pages(name: &str, feast: &str, converted: &Converted) -> Vec<(PathBuf, String)> {
    let mut pages = vec![(PathBuf::from("mainspring.yaml"), project(name, feast))];
    for source in &converted.sources {
        pages.push((format!("sources/{}.yaml", source.name).into(), file_source(source)));
    }
    let mut entities = String::new();
    for entity in &converted.entities {
        part(&mut entities);
        let _ = writeln!(entities, "entity: {}", entity.name);
        description(&mut entities, &entity.description);
        let _ = writeln!(entities, "keys:");
        for (key, data_type) in &entity.keys {
            let _ = writeln!(entities, "  - {{name: {}, type: {data_type}}}", text(key));
        }
    }
    if !entities.is_empty() {
        pages.push(("features/entities.yaml".into(), entities));
    }
    for of in &converted.views {
        pages.push((format!("sources/{}.yaml", of.push.source).into(), pushed_source(of)));
        pages.push((format!("features/{}.yaml", of.name).into(), view(of)));
    }
    let mut services = String::new();
    for service in &converted.services {
        part(&mut services);
        let _ = writeln!(services, "feature_service: {}", service.name);
        description(&mut services, &service.description);
        let _ = writeln!(services, "features:");
        for feature in &service.features {
            let is_plain = feature.split_once('.').is_some_and(|(of, _)| name_problem(of).is_none());
            let _ = writeln!(services, "  - {}", if is_plain { feature.clone() } else { text(feature) });
        }
        projections(&mut services, service);
    }
    if !services.is_empty() {
        pages.push(("features/services.yaml".into(), services));
    }
    pages
}

fn projections(page: &mut String, service: &ImportedService) {
    if !service.projections.is_empty() {
        page.push_str("projections:\n");
    }
    for (called, projection) in &service.projections {
        let _ = writeln!(page, "  {}:\n    feature_view: {}", text(called), projection.view);
        if !projection.join_key_map.is_empty() {
            page.push_str("    join_key_map:\n");
        }
        for (key, name) in &projection.join_key_map {
            let _ = writeln!(page, "      {}: {}", text(key), text(name));
        }
    }
}

fn part(page: &mut String) {
    if !page.is_empty() {
        page.push_str("---\n");
    }
}

fn description(page: &mut String, words: &str) {
    if !words.is_empty() {
        let _ = writeln!(page, "description: {}", text(words));
    }
}

fn project(name: &str, feast: &str) -> String {
    format!("project: {name}\ndescription: {}\n", text(&format!("Imported from the Feast project {feast}")))
}

fn column(page: &mut String, name: &str, data_type: DataType, required: bool) {
    let nullable = if required { ", nullable: false" } else { "" };
    let _ = writeln!(page, "  - {{name: {}, type: {data_type}{nullable}}}", text(name));
}

fn file_source(source: &FileSource) -> String {
    let mut page = format!("source: {}\n", source.name);
    description(&mut page, &source.description);
    let _ = writeln!(page, "path: {}", text(&source.path));
    if !source.is_parquet_by_name {
        page.push_str("format: parquet\n");
    }
    page.push_str("extra_columns: ignore\ncolumns:\n");
    for (name, data_type) in &source.columns {
        column(&mut page, name, *data_type, false);
    }
    let _ = writeln!(page, "event_time: {}", text(&source.event_time));
    page
}

fn pushed_source(view: &ImportedView) -> String {
    let mut page = format!("# Rows that clients push, or write to the view.\nsource: {}\n", view.push.source);
    let _ = writeln!(page, "push: {}\ncolumns:", texts(&view.push.names));
    for (key, data_type) in view.entity.columns() {
        column(&mut page, key, *data_type, true);
    }
    column(&mut page, &view.event_time, DataType::Timestamp, true);
    if let Some(created) = &view.created {
        column(&mut page, created, DataType::Timestamp, false);
    }
    for feature in &view.features {
        column(&mut page, &feature.pushed, feature.data_type, false);
    }
    let _ = writeln!(page, "event_time: {}", text(&view.event_time));
    page
}

fn view(view: &ImportedView) -> String {
    let mut page = format!("feature_view: {}\n", view.name);
    description(&mut page, &view.description);
    let _ = writeln!(page, "entity: {}\nsql: |", view.entity.name);
    let quoted = |name: &str| sql_name(name);
    let select = |from: &str, keys: &[String], event_time: &str, written: &str, features: Vec<String>| {
        let mut columns: Vec<String> =
            keys.iter().zip(view.entity.columns()).map(|(column, (key, _))| named(column, key)).collect();
        if view.entity.is_none() {
            columns.push(format!("'' as {}", sql_name(NO_ENTITY_KEY)));
        }
        let times = [named(event_time, &view.event_time), format!("{written} as {WRITTEN_AT}")];
        let features = features.iter().zip(&view.features).map(|(column, feature)| named(column, &feature.name));
        columns.extend(times.into_iter().chain(features));
        format!("  select {}\n  from {from}\n", columns.join(",\n    "))
    };
    if let Some(file) = &view.file {
        // Without a created column a row of a file was written before any that is pushed.
        let written = file.created.as_ref().map_or_else(|| "to_timestamp_micros(0)".into(), |created| quoted(created));
        page.push_str(&select(&file.source, &file.keys, &file.event_time, &written, file.features.clone()));
        page.push_str("  union all\n");
    }
    let keys: Vec<String> = view.entity.columns().iter().map(|(key, _)| key.clone()).collect();
    let written = view
        .created
        .as_ref()
        .map_or_else(|| "pushed_at".into(), |created| format!("coalesce({}, pushed_at)", quoted(created)));
    let features = view.features.iter().map(|feature| feature.pushed.clone()).collect();
    page.push_str(&select(&view.push.source, &keys, &view.event_time, &written, features));
    let _ = writeln!(page, "event_time: {}\nwritten_at: {WRITTEN_AT}", text(&view.event_time));
    if let Some(ttl) = view.ttl {
        let _ = writeln!(page, "ttl: {ttl}");
    }
    if !view.online {
        page.push_str("online: false\n");
    }
    let json: Vec<String> = view.features.iter().filter(|f| f.is_json).map(|f| f.name.clone()).collect();
    if !json.is_empty() {
        let _ = writeln!(page, "json: {}", texts(&json));
    }
    page.push_str("features:\n");
    for feature in &view.features {
        let _ = writeln!(page, "  {}: {}", feature.name, text(&feature.description));
    }
    page
}

/// A column under a name.
fn named(column: &str, name: &str) -> String {
    if column == name { sql_name(column) } else { format!("{} as {}", sql_name(column), sql_name(name)) }
}
