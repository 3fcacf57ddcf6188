//! What a request brings: the observations must have it too, and every name must mean one thing.

use std::collections::BTreeMap;

use super::context::{Context, Path};
use crate::diagnostic::quote;
use crate::graph::{ObjectKind, ObjectRef};
use crate::model::{DataType, FeatureView, Field, Model};
use crate::resolve::InputRef;

/// What every prediction log has, before the fields and features of its endpoint.
pub const PREDICTION_LOG_COLUMNS: [&str; 13] = [
    "prediction_id",
    "predicted_at",
    "as_of",
    "endpoint",
    "model",
    "model_version",
    "caller",
    "latency_us",
    "degraded",
    "prediction",
    "predicted_class",
    "probabilities",
    "inputs_given",
];

pub(super) fn check(context: &mut Context<'_>, model: &Model) {
    let project = context.project;
    let object = ObjectRef::new(ObjectKind::Model, &model.name);
    let Ok(resolved) = project.resolve_model(&model.name) else { return };
    let columns = project.table_columns(&model.observations.from).unwrap_or_default();
    let views = project.views_used(&resolved);
    let views: Vec<&FeatureView> = views.iter().filter_map(|view| project.feature_views.get(view)).collect();
    check_moment(context, &object, model, &views);
    for view in &views {
        for field in project.entity_keys(view).iter().chain(&view.request) {
            check_field(context, &object, model, view, field, &columns);
        }
    }
    let features = resolved.inputs.iter().filter_map(|input| match input {
        InputRef::Feature { view, feature } => Some((view.as_str(), feature.as_str())),
        InputRef::Column { .. } => None,
    });
    let features: Vec<(&str, &str)> = features.collect();
    check_log(context, &object, model, &features);
}

/// Values that change need a moment at which they are asked for.
fn check_moment(context: &mut Context<'_>, object: &ObjectRef, model: &Model, views: &[&FeatureView]) {
    let timed = views.iter().find(|view| view.event_time.is_some() || view.from.is_some());
    if let Some(view) = timed.filter(|_| model.observations.at.is_none()) {
        let message =
            format!("feature view `{}` changes in time, but the observations do not say when they are made", view.name);
        let help = "add `at:` with a SQL expression for the moment of the prediction";
        context.report(object, &["observations".into()], "missing_key", message, help);
    }
}

fn check_field(
    context: &mut Context<'_>,
    object: &ObjectRef,
    model: &Model,
    view: &FeatureView,
    field: &Field,
    columns: &[Field],
) {
    let from = &model.observations.from;
    let path: Path<'_> = &["observations".into(), "from".into()];
    let is_source = context.project.sources.contains_key(from);
    match columns.iter().find(|column| column.name == field.name) {
        Some(column) if column.data_type == field.data_type => {}
        Some(column) => {
            let message = format!(
                "column `{}` of `{from}` is of type {}, but feature view `{}` asks for {}",
                field.name, column.data_type, view.name, field.data_type
            );
            context.report(object, path, "wrong_column_type", message, "give both the same type");
        }
        None => {
            let message =
                format!("feature view `{}` is looked up by `{}`, which `{from}` does not have", view.name, field.name);
            let help = if is_source {
                format!(
                    "derive a column `{}` of type {} in the source, or leave out the view's features",
                    field.name, field.data_type
                )
            } else {
                format!("give `{}` in the query, and list it under the view's `columns:`", field.name)
            };
            context.report(object, path, "unknown_column", message, help);
        }
    }
}

/// Everything a prediction is made from stands in one row of the log, beside the log's own columns.
fn check_log(context: &mut Context<'_>, object: &ObjectRef, model: &Model, features: &[(&str, &str)]) {
    let Ok(fields) = context.project.request_fields(&model.name) else { return };
    let fields: BTreeMap<&str, DataType> = fields.iter().map(|field| (field.name.as_str(), field.data_type)).collect();
    let names = fields.keys().copied().chain(features.iter().map(|(_, feature)| *feature));
    for name in names.filter(|name| PREDICTION_LOG_COLUMNS.contains(name)) {
        let message =
            format!("{} is a column of every prediction log, so no field or feature can be called so", quote(name));
        context.report(
            object,
            &["features".into()],
            "reserved_name",
            message,
            format!("rename it, for example `{name}_value`"),
        );
    }
    for (view, feature) in features.iter().filter(|(_, feature)| fields.contains_key(feature)) {
        let message = format!("feature `{feature}` of view `{view}` has the name of a field that requests bring");
        let help = "rename the feature: both stand in one row of the prediction log";
        context.report(object, &["features".into()], "duplicate_input", message, help);
    }
}
