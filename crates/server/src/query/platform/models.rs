//! Registered models, their versions and aliases.

use arrow::datatypes::SchemaRef;
use futures::TryStreamExt;
use mainspring_catalog::{Document, ListQuery, Stored};
use mainspring_registry::{Alias, ModelVersion, RegisteredModel};
use serde::Serialize;

use super::Platform;
use super::table::{Batches, Narrowing, PAGE, batches, columns, number, pages, text, time};
use crate::query::error::{Error, Result};

/// Pages of documents of one kind: those of a parent, or all.
fn documents<D: Document + 'static>(
    from: &Platform,
    parent: Option<String>,
) -> impl futures::Stream<Item = Result<Vec<Stored<D>>>> + Send + 'static {
    let catalog = from.catalog.clone();
    let read = move |after: Option<String>| {
        let (catalog, parent) = (catalog.clone(), parent.clone());
        async move {
            let page: Vec<Stored<D>> =
                catalog.list(ListQuery { after, parent, ..ListQuery::default().limit(PAGE) }).await?;
            let next = (page.len() == PAGE).then(|| page.last().map(|last| last.document.id())).flatten();
            Ok::<_, Error>((page, next))
        }
    };
    pages(read)
}

#[derive(Serialize)]
struct ModelRow {
    name: String,
    description: String,
    last_version: u64,
    created_at: i64,
}

pub(super) fn models_schema() -> SchemaRef {
    columns(vec![text("name"), text("description"), number("last_version"), time("created_at")])
}

pub(super) fn models(from: &Platform) -> Batches {
    let row = |stored: Stored<RegisteredModel>| ModelRow {
        created_at: stored.created_at.as_microsecond(),
        name: stored.document.name,
        description: stored.document.description,
        last_version: stored.document.last_version,
    };
    let rows = documents(from, None).map_ok(move |page| page.into_iter().map(row).collect::<Vec<_>>());
    batches(models_schema(), rows)
}

#[derive(Serialize)]
struct VersionRow {
    model: String,
    version: u64,
    run_id: Option<String>,
    task: Option<String>,
    stage: &'static str,
    training_table: Option<String>,
    training_table_version: Option<u64>,
    train_rows: Option<u64>,
    test_rows: Option<u64>,
    code_commit: Option<String>,
    fingerprint: String,
    artifact_sha256: Option<String>,
    created_at: i64,
    created_by: String,
}

pub(super) fn versions_schema() -> SchemaRef {
    columns(vec![
        text("model"),
        number("version"),
        text("run_id"),
        text("task"),
        text("stage"),
        text("training_table"),
        number("training_table_version"),
        number("train_rows"),
        number("test_rows"),
        text("code_commit"),
        text("fingerprint"),
        text("artifact_sha256"),
        time("created_at"),
        text("created_by"),
    ])
}

pub(super) fn versions(from: &Platform, only: Narrowing) -> Batches {
    let row = |stored: Stored<ModelVersion>| {
        let is = stored.document;
        let set = is.training_set.as_ref();
        VersionRow {
            model: is.model,
            version: is.version,
            run_id: is.run,
            task: serde_json::to_value(is.task).ok().and_then(|task| task.as_str().map(ToOwned::to_owned)),
            stage: is.stage.as_str(),
            training_table: set.map(|set| set.table.clone()),
            training_table_version: set.map(|set| set.version),
            train_rows: set.map(|set| set.train_rows),
            test_rows: set.map(|set| set.test_rows),
            code_commit: is.commit.map(|commit| commit.id),
            fingerprint: is.fingerprint,
            artifact_sha256: is.artifact.map(|artifact| artifact.sha256),
            created_at: is.created_at.as_microsecond(),
            created_by: is.created_by.to_string(),
        }
    };
    let rows = documents(from, only.get("model")).map_ok(move |page| page.into_iter().map(row).collect::<Vec<_>>());
    batches(versions_schema(), rows)
}

#[derive(Serialize)]
struct AliasRow {
    model: String,
    alias: String,
    version: Option<u64>,
    moved_at: i64,
}

pub(super) fn aliases_schema() -> SchemaRef {
    columns(vec![text("model"), text("alias"), number("version"), time("moved_at")])
}

pub(super) fn aliases(from: &Platform, only: Narrowing) -> Batches {
    let row = |stored: Stored<Alias>| AliasRow {
        moved_at: stored.updated_at.as_microsecond(),
        model: stored.document.model,
        alias: stored.document.alias,
        version: stored.document.version,
    };
    let rows = documents(from, only.get("model")).map_ok(move |page| page.into_iter().map(row).collect::<Vec<_>>());
    batches(aliases_schema(), rows)
}
