//! Compiles every view of a project over tables without rows: what the engine would say of it at the first run is known
//! when the folder is checked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{Field as ArrowField, Schema, SchemaRef};
use mainspring_lake::Blueprint;
use mainspring_spec::{FeatureView, Field, InputRef, Mistake, ObjectKind, ObjectRef, Project, ViewKind};

use crate::base::{Base, inputs_of, of_events, of_query};
use crate::error::Error;
use crate::plan::FeaturePlan;
use crate::schema::ViewSchema;
use crate::value::arrow_type;

/// Adds the sources and stored views of a project to a blueprint, and tells what does not compile. A view that reads one
/// with a mistake is passed over: it is told once that one is mended.
pub async fn dry_run(project: &Project, blueprint: &Blueprint) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for source in project.sources.keys() {
        let columns = arrow_schema(&project.table_columns(source).unwrap_or_default());
        if let Err(error) = blueprint.add("sources", source, &columns) {
            let object = ObjectRef::new(ObjectKind::Source, source);
            mistakes.push(Mistake::sql(object, &["columns"], error.strip_backtrace(), None));
        }
    }
    let mut schemas: BTreeMap<String, ViewSchema> = BTreeMap::new();
    let mut waiting: BTreeSet<&String> = project.feature_views.keys().collect();
    while let Some(name) = next(project, &waiting, &schemas) {
        waiting.remove(name);
        let Some(view) = project.feature_views.get(name) else { continue };
        if view.kind() == ViewKind::Request {
            continue;
        }
        match stored(project, view, blueprint).await {
            Ok(base) => {
                let columns = arrow_schema(&row_fields(&base.schema));
                if let Err(error) = blueprint.add("features", name, &columns) {
                    mistakes.push(Mistake::sql(object(view), &[], error.strip_backtrace(), None));
                }
                schemas.insert(name.clone(), base.schema);
            }
            Err(error) => mistakes.push(of_view(view, &error)),
        }
    }
    let state = blueprint.state();
    for view in project.feature_views.values().filter(|view| view.kind() == ViewKind::Request) {
        for expression in &view.expressions {
            let input = InputRef::Feature { view: view.name.clone(), feature: expression.name.clone() };
            match FeaturePlan::compile(project, &schemas, &state, &[input]) {
                // what it uses is told already
                Ok(_) | Err(Error::NotComputed { .. }) => {}
                // one that another of its expressions uses is told there
                Err(Error::Sql { name, .. }) if name != expression.name => {}
                Err(error) => mistakes.push(of_view(view, &error)),
            }
        }
    }
    mistakes
}

/// A view whose inputs are all there.
fn next<'a>(
    project: &Project,
    waiting: &BTreeSet<&'a String>,
    schemas: &BTreeMap<String, ViewSchema>,
) -> Option<&'a String> {
    waiting.iter().copied().find(|name| {
        let Some(view) = project.feature_views.get(*name) else { return true };
        // names that mean nothing are told when the view is compiled
        let Ok(inputs) = inputs_of(project, view) else { return true };
        inputs.iter().all(|table| table.schema() != "features" || schemas.contains_key(table.name()))
    })
}

async fn stored(project: &Project, view: &FeatureView, blueprint: &Blueprint) -> Result<Base, Error> {
    let base = match (&view.sql, &view.from) {
        (Some(sql), _) => {
            let rows = blueprint.sql(sql).await.map_err(|error| Error::sql(view, "sql", sql, &error))?;
            of_query(project, view, rows)?
        }
        (None, from) => of_events(project, view, blueprint.table(from.as_deref().unwrap_or_default()).await?)?,
    };
    for feature in view.features.keys() {
        base.schema.feature_type(feature)?;
    }
    Ok(base)
}

fn row_fields(schema: &ViewSchema) -> Vec<Field> {
    let times = schema.event_time.iter().chain(&schema.known_at);
    let times = times.map(|name| Field { name: name.clone(), data_type: mainspring_spec::DataType::Timestamp });
    schema.keys.iter().cloned().chain(times).chain(schema.payload.iter().cloned()).collect()
}

fn arrow_schema(fields: &[Field]) -> SchemaRef {
    let columns = fields.iter().map(|field| ArrowField::new(&field.name, arrow_type(field.data_type), true));
    Arc::new(Schema::new(columns.collect::<Vec<_>>()))
}

fn object(view: &FeatureView) -> ObjectRef {
    ObjectRef::new(ObjectKind::FeatureView, &view.name)
}

/// Where in the declaration an error of compiling it belongs.
fn of_view(view: &FeatureView, error: &Error) -> Mistake {
    let aggregate = |name: &str| view.aggregates.iter().position(|aggregate| aggregate.name == name);
    let expression = |name: &str| view.expressions.iter().position(|expression| expression.name == name);
    let of_expression =
        |name: &str| vec!["expressions".into(), expression(name).unwrap_or(0).to_string(), "sql".into()];
    let (path, unknown): (Vec<String>, _) = match error {
        Error::Sql { name, unknown, .. } => {
            let path = match (aggregate(name), expression(name)) {
                (Some(at), _) => vec!["aggregates".into(), at.to_string(), "of".into()],
                (_, Some(_)) => of_expression(name),
                _ => vec![name.clone()],
            };
            (path, unknown.clone())
        }
        Error::Aggregate { aggregate: name, .. } => {
            (vec!["aggregates".into(), aggregate(name).unwrap_or(0).to_string()], None)
        }
        Error::Volatile { name, .. } => (of_expression(name), None),
        Error::UnknownFeature { feature, .. } => (vec!["features".into(), feature.clone()], None),
        Error::NoEventTime { .. } | Error::UnknownTable { .. } => (vec!["from".into()], None),
        Error::MissingColumn { .. } | Error::UnsupportedType { .. } => (vec!["sql".into()], None),
        _ => (vec![], None),
    };
    let message = match error {
        // the place says which view and which SQL
        Error::Sql { reason, .. } => reason.clone(),
        other => other.to_string(),
    };
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    Mistake::sql(object(view), &path, message, unknown)
}
