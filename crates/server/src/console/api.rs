//! `/api`: the document that describes the API, for people.

use serde_json::Value;

use super::page::{Block, Cell, Page, Table, Tone};
use super::visit::{Shown, Visit};
use crate::api;

/// Answers `GET /api`.
pub async fn show(visit: Visit) -> Shown {
    visit.may_list().await?;
    let document = api::document();
    let mut page = Page::new("API", text(&document["info"]["description"]).replace('`', "")).with(Block::Facts(vec![
        ("Document", Cell::link("/api/v1/openapi.json", "/api/v1/openapi.json")),
        ("Specification", Cell::text(format!("OpenAPI {}", text(&document["openapi"])))),
    ]));
    for (tag, operations) in by_tag(document) {
        page = page.section(tag, Block::Table(operations_table(&operations)));
    }
    let types = document["components"]["schemas"].as_object().into_iter().flatten();
    page = page.with(Block::Heading("Types".into()));
    for (name, schema) in types {
        let text = serde_json::to_string_pretty(schema).unwrap_or_default();
        page = page.with(Block::Folded { id: type_id(name), summary: name.clone(), text });
    }
    visit.show(page)
}

/// An operation: method, path and what is said of it.
type Operation<'a> = (&'a str, &'a str, &'a Value);

/// The operations of each tag, in the order of the document.
fn by_tag(document: &Value) -> Vec<(&str, Vec<Operation<'_>>)> {
    let mut tags: Vec<(&str, Vec<Operation<'_>>)> = vec![];
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let tag = text(&operation["tags"][0]);
            match tags.iter_mut().find(|(known, _)| *known == tag) {
                Some((_, operations)) => operations.push((method, path, operation)),
                None => tags.push((tag, vec![(method, path, operation)])),
            }
        }
    }
    tags
}

fn operations_table(operations: &[Operation<'_>]) -> Table {
    let rows = operations.iter().map(|(method, path, operation)| {
        let tone = if *method == "get" { Tone::Info } else { Tone::Good };
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let parameters = parameters.map(|parameter| Cell::Code(text(&parameter["name"]).into()));
        let body = &operation["requestBody"]["content"]["application/json"]["schema"];
        let answers = operation["responses"].as_object().into_iter().flatten();
        let answer =
            answers.map(|(_, answer)| &answer["content"]["application/json"]["schema"]).find(|it| !it.is_null());
        vec![
            Cell::tag(tone, method.to_uppercase()),
            Cell::Code((*path).into()),
            Cell::text(text(&operation["summary"])),
            Cell::Many(parameters.collect()),
            type_link(body),
            type_link(answer.unwrap_or(&Value::Null)),
        ]
    });
    Table::new(&["", "path", "what it does", "parameters", "takes", "answers"]).rows(rows)
}

/// A link to a type that is referred to, further down on the page.
fn type_link(schema: &Value) -> Cell {
    match text(&schema["$ref"]).rsplit_once('/') {
        Some((_, name)) => Cell::link(format!("#{}", type_id(name)), name),
        None => Cell::text(""),
    }
}

fn type_id(name: &str) -> String {
    format!("type-{name}")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_on_the_page() {
        let document = api::document();
        let operations = document["paths"].as_object().unwrap().values();
        let count: usize = operations.map(|methods| methods.as_object().unwrap().len()).sum();

        let shown: usize = by_tag(document).iter().map(|(_, operations)| operations_table(operations).rows.len()).sum();

        assert!(count > 20);
        assert_eq!(shown, count);
    }
}
