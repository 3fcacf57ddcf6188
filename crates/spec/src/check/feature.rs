//! Entities and feature views.

use std::collections::BTreeSet;

use super::context::{Context, Path};
use super::expression::{self, Scope};
use super::names::name_problem;
use crate::diagnostic::{quote, suggest};
use crate::graph::{ObjectKind, ObjectRef};
use crate::model::{
    AggregateFunction, DataType, Entity, FeatureService, FeatureView, FeatureViewProjection, Field, ViewKind,
};
use crate::schema::VIEW_DEFINITIONS;
use crate::sql;
use crate::tree::Step;

/// The most features of a view.
const FEATURES_MAX: usize = 5_000;

pub(super) fn check_entity(context: &mut Context<'_>, entity: &Entity) {
    let object = ObjectRef::new(ObjectKind::Entity, &entity.name);
    if entity.keys.is_empty() {
        let help = "list the columns that name one of them: `- {name: id, type: string}`";
        context.report(&object, &["keys".into()], "empty_value", "an entity without a key cannot be told apart", help);
    }
    check_fields(context, &object, "keys", &entity.keys);
    for (at, key) in entity.keys.iter().enumerate().filter(|(_, key)| key.data_type == DataType::Float64) {
        let message =
            format!("key {} is of type float64, and numbers with fractions do not name things", quote(&key.name));
        let path: Path<'_> = &["keys".into(), at.into(), "type".into()];
        context.report(&object, path, "wrong_column_type", message, "use int64 or string");
    }
}

/// A service names features that there are, each once.
pub(super) fn check_service(context: &mut Context<'_>, service: &FeatureService) {
    let object = ObjectRef::new(ObjectKind::FeatureService, &service.name);
    if service.features.is_empty() {
        let message = "a feature service without features answers nothing";
        let help = "list features as `view.feature`, or `view.*` for all of a view's";
        context.report(&object, &["features".into()], "empty_value", message, help);
    }
    let project = context.project;
    if !check_projections(context, &object, service) {
        return;
    }
    let mut seen = BTreeSet::new();
    for (at, item) in service.features.iter().enumerate() {
        let path: Path<'_> = &["features".into(), at.into()];
        match project.service_item(service, item) {
            Ok(found) => {
                for read in found {
                    let name = format!("{}.{}", read.known_view, read.feature);
                    if seen.contains(&name) {
                        let message = format!("feature `{name}` is listed twice");
                        context.report(&object, path, "duplicate_column", message, "leave one of them out");
                    }
                    seen.insert(name);
                }
            }
            Err(_) if context.any_unsure(&[ObjectKind::FeatureView]) => return,
            Err(unresolved) => {
                let help = unresolved.help.unwrap_or_default();
                context.report(&object, path, "unknown_reference", unresolved.message, help);
            }
        }
    }
    if seen.len() > FEATURES_MAX {
        let message = format!("the service has {} features", seen.len());
        let help = format!("part it into services of at most {FEATURES_MAX}");
        context.report(&object, &["features".into()], "column_count", message, help);
    }
}

/// A projection is of a view that there is, renames keys that the view has, and is read. False, when a view is not known:
/// then nothing can be said of its features.
fn check_projections(context: &mut Context<'_>, object: &ObjectRef, service: &FeatureService) -> bool {
    let project = context.project;
    let mut all_known = true;
    for (name, projection) in &service.projections {
        let path: Path<'_> = &["projections".into(), name.as_str().into()];
        if name.is_empty() || name.contains('.') {
            let message = format!("{} cannot stand before the point of `projection.feature`", quote(name));
            context.report(object, path, "bad_name", message, "choose a name without `.`");
            continue;
        }
        let is_read = |item: &String| item.split_once('.').is_some_and(|(before, _)| before == name);
        if !service.features.iter().any(is_read) {
            let message = format!("no item of `features` reads the projection {}", quote(name));
            let help = format!("list `{name}.*` or some of its features under `features`, or leave the projection out");
            context.report(object, path, "unread_projection", message, help);
        }
        let named = projection.feature_view.as_ref().unwrap_or(name);
        if let Some(view) = project.feature_views.get(named) {
            check_join_keys(context, object, name, projection, view);
            continue;
        }
        all_known = false;
        if projection.feature_view.is_some() {
            let path: Path<'_> = &["projections".into(), name.as_str().into(), "feature_view".into()];
            context.report_unknown(object, path, ObjectKind::FeatureView, named);
        } else if !context.any_unsure(&[ObjectKind::FeatureView]) {
            let message = format!("the projection {} names no feature view, and none is called so", quote(name));
            let help = "add `feature_view:` with the view that it reads";
            context.report(object, path, "missing_key", message, help);
        }
    }
    all_known
}

/// A projection gives other names to keys that its view has, and no two the same.
fn check_join_keys(
    context: &mut Context<'_>,
    object: &ObjectRef,
    name: &str,
    projection: &FeatureViewProjection,
    view: &FeatureView,
) {
    if context.any_unsure(&[ObjectKind::Entity]) {
        return;
    }
    let path: Path<'_> = &["projections".into(), name.into(), "join_key_map".into()];
    let project = context.project;
    let keys: Vec<&str> = project.entity_keys(view).iter().map(|key| key.name.as_str()).collect();
    for key in projection.join_key_map.keys().filter(|key| !keys.contains(&key.as_str())) {
        let message = format!("{} is no key of what feature view `{}` describes", quote(key), view.name);
        let help = suggest(key, keys.iter().copied()).unwrap_or_else(|| "leave it out".into());
        context.report(object, path, "unknown_reference", message, help);
    }
    let mut called = BTreeSet::new();
    for key in keys {
        let call = projection.join_key_map.get(key).map_or(key, String::as_str);
        if call.is_empty() || !called.insert(call) {
            let message = format!("requests cannot tell the key `{key}` by the name {}", quote(call));
            let help = "give each key of the view a name of its own";
            context.report(object, path, "duplicate_column", message, help);
        }
    }
}

/// Fields have names, each one only once.
fn check_fields(context: &mut Context<'_>, object: &ObjectRef, list: &str, fields: &[Field]) {
    let mut seen = BTreeSet::new();
    for (at, field) in fields.iter().enumerate() {
        let path: Path<'_> = &[list.into(), at.into(), "name".into()];
        if field.name.trim().is_empty() {
            context.report(object, path, "bad_name", "a field has no name", "write the column's name");
        } else if !seen.insert(field.name.as_str()) {
            let message = format!("there are two fields {}", quote(&field.name));
            context.report(object, path, "duplicate_column", message, "rename one of them or leave it out");
        }
    }
}

pub(super) fn check_view(context: &mut Context<'_>, view: &FeatureView) {
    let object = ObjectRef::new(ObjectKind::FeatureView, &view.name);
    let given = [view.sql.is_some(), !view.aggregates.is_empty(), !view.expressions.is_empty()];
    if given.iter().filter(|given| **given).count() != 1 {
        let names = VIEW_DEFINITIONS.map(|name| format!("`{name}`")).join(", ");
        let message = "a feature view has exactly one definition, which makes its kind";
        let help = format!("give exactly one of {names}");
        return context.report(&object, &["feature_view".into()], "one_definition", message, help);
    }
    if let Some(entity) = &view.entity {
        context.report_unknown(&object, &["entity".into()], ObjectKind::Entity, entity);
    }
    match view.kind() {
        ViewKind::Sql => check_sql_view(context, &object, view),
        ViewKind::Windowed => check_windowed_view(context, &object, view),
        ViewKind::Request => check_request_view(context, &object, view),
    }
    check_feature_names(context, &object, view);
}

/// Keys that belong to another kind of view.
fn refuse(context: &mut Context<'_>, object: &ObjectRef, kind: &str, given: &[(&str, bool)]) {
    for (key, _) in given.iter().filter(|(_, given)| *given) {
        let message = format!("`{key}` means nothing in a {kind} view");
        context.report(object, &[(*key).into()], "misplaced_key", message, format!("leave out `{key}`"));
    }
}

fn check_sql_view(context: &mut Context<'_>, object: &ObjectRef, view: &FeatureView) {
    let given = [
        ("from", view.from.is_some()),
        ("where", view.filter.is_some()),
        ("request", !view.request.is_empty()),
        ("uses", !view.uses.is_empty()),
    ];
    refuse(context, object, "SQL", &given);
    check_fields(context, object, "columns", &view.columns);
    if view.written_at.is_some() && view.event_time.is_none() {
        let message =
            "`written_at` chooses among rows of equal times, but `event_time` does not say when they happened";
        let help = "add `event_time:` with a column of the query";
        context.report(object, &["written_at".into()], "missing_key", message, help);
    }
    for (at, feature) in view.json.iter().enumerate().filter(|(_, feature)| !view.features.contains_key(*feature)) {
        let message = format!("{} is listed under `json` and is no feature of this view", quote(feature));
        let help = suggest(feature, view.features.keys().map(String::as_str)).unwrap_or_default();
        context.report(object, &["json".into(), at.into()], "unknown_reference", message, help);
    }
    if view.entity.is_some() && view.features.is_empty() {
        let message = "a SQL view lists its features, so that every name is known without running the query";
        let help = "add `features:` with a line `name: what it says` for each column that is a feature";
        context.report(object, &["feature_view".into()], "missing_key", message, help);
    }
    if view.entity.is_none() && !view.features.is_empty() {
        let message = "features describe an entity, and this view names none";
        context.report(object, &["features".into()], "missing_key", message, "add `entity:`, or leave out `features:`");
    }
    if view.known_at.is_some() && view.event_time.is_none() {
        let message = "`known_at` says when a fact became known, but `event_time` does not say when it happened";
        context.report(
            object,
            &["known_at".into()],
            "missing_key",
            message,
            "add `event_time:` with a column of the query",
        );
    }
    let Some(query) = &view.sql else { return };
    match sql::table_names(query) {
        Err(error) => context.report_sql(object, &["sql".into()], &error),
        Ok(tables) => tables.iter().for_each(|table| check_table(context, object, &["sql".into()], table)),
    }
}

/// A table that SQL may name: a source or a SQL view.
pub(super) fn check_table(context: &mut Context<'_>, object: &ObjectRef, path: Path<'_>, table: &str) {
    let project = context.project;
    if let Some(view) = project.feature_views.get(table).filter(|_| !project.sources.contains_key(table)) {
        if view.kind() != ViewKind::Sql {
            let message = format!("feature view {} has no rows of its own to read", quote(table));
            context.report(object, path, "not_a_table", message, "read a source or a SQL view");
        }
        return;
    }
    let kinds = [ObjectKind::Source, ObjectKind::FeatureView];
    if kinds.into_iter().any(|kind| context.is_declared(kind, table) || context.positions.is_unread(kind)) {
        return;
    }
    let mut known = context.names(ObjectKind::Source);
    known.extend(project.feature_views.values().filter(|v| v.kind() == ViewKind::Sql).map(|v| v.name.clone()));
    let help = suggest(table, known.iter().map(String::as_str)).unwrap_or_default();
    let message = format!("there is no source or SQL view {}", quote(table));
    context.report_word(object, path, table, "unknown_reference", message, help);
}

fn check_windowed_view(context: &mut Context<'_>, object: &ObjectRef, view: &FeatureView) {
    let given = [
        ("request", !view.request.is_empty()),
        ("uses", !view.uses.is_empty()),
        ("columns", !view.columns.is_empty()),
        ("written_at", view.written_at.is_some()),
        ("json", !view.json.is_empty()),
    ];
    refuse(context, object, "windowed", &given);
    for (key, missing, help) in [
        ("entity", view.entity.is_none(), "add `entity:`, whose keys part the events"),
        ("from", view.from.is_none(), "add `from:` with the source or SQL view of the events"),
    ] {
        if missing {
            let message = format!("a windowed view lacks the key `{key}`");
            context.report(object, &["feature_view".into()], "missing_key", message, help);
        }
    }
    let Some(from) = &view.from else { return };
    check_table(context, object, &["from".into()], from);
    let project = context.project;
    let columns = project.table_columns(from).unwrap_or_default();
    let table = format!("source `{from}`");
    let scope = match project.sources.contains_key(from) {
        true => Scope::Exactly(&table, &columns),
        false => Scope::Unknown,
    };
    check_keys_and_times(context, object, view, scope);
    if let Some(filter) = &view.filter {
        expression::check(context, object, &["where".into()], filter, scope);
    }
    for (at, aggregate) in view.aggregates.iter().enumerate() {
        let to = |key: &'static str| [Step::Key("aggregates"), at.into(), key.into()];
        match &aggregate.of {
            Some(of) => {
                expression::check(context, object, &to("of"), of, scope);
            }
            None if aggregate.function != AggregateFunction::Count => {
                let message = "only `count` can do without a value";
                context.report(object, &to("function"), "missing_key", message, "add `of:` with a SQL expression");
            }
            None => {}
        }
        if aggregate.windows.is_empty() {
            context.report(
                object,
                &to("windows"),
                "empty_value",
                "an aggregate needs a window",
                "add `windows: [24h]`",
            );
        }
        for (number, window) in aggregate.windows.iter().enumerate().filter(|(_, window)| window.as_micros() == 0) {
            let path: Path<'_> = &["aggregates".into(), at.into(), "windows".into(), number.into()];
            context.report(
                object,
                path,
                "out_of_range",
                format!("a window of {window} holds no event"),
                "write for example 24h",
            );
        }
    }
}

fn check_keys_and_times(context: &mut Context<'_>, object: &ObjectRef, view: &FeatureView, scope: Scope<'_>) {
    let project = context.project;
    let from = view.from.as_deref().unwrap_or_default();
    let source_time = project.sources.get(from).and_then(|source| source.event_time.as_ref());
    let view_time = project.feature_views.get(from).and_then(|view| view.event_time.as_ref());
    if view.event_time.is_none() && source_time.is_none() && view_time.is_none() && context.is_declared_table(from) {
        let message =
            format!("windows need to know when an event happened, and neither this view nor `{from}` says so");
        let help = "add `event_time:` with a timestamp column";
        context.report(object, &["from".into()], "missing_key", message, help);
    }
    let Scope::Exactly(table, fields) = scope else { return };
    let known: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
    for (key, column) in [("event_time", &view.event_time), ("known_at", &view.known_at)] {
        let Some(column) = column else { continue };
        match fields.iter().find(|field| field.name == *column) {
            None => context.report_column(object, &[key.into()], table, column, &known),
            Some(field) if field.data_type != DataType::Timestamp => {
                let message = format!("column {} is of type {}, not timestamp", quote(column), field.data_type);
                let help = "derive a column of type timestamp from it in the source, and name that one";
                context.report(object, &[key.into()], "wrong_column_type", message, help);
            }
            Some(_) => {}
        }
    }
    for key in project.entity_keys(view) {
        match fields.iter().find(|field| field.name == key.name) {
            None => context.report_column(object, &["from".into()], table, &key.name, &known),
            Some(field) if field.data_type != key.data_type => {
                let message = format!(
                    "key `{}` is of type {} in the entity and of type {} in {table}",
                    key.name, key.data_type, field.data_type
                );
                context.report(object, &["entity".into()], "wrong_column_type", message, "give both the same type");
            }
            Some(_) => {}
        }
    }
}

fn check_request_view(context: &mut Context<'_>, object: &ObjectRef, view: &FeatureView) {
    let given = [
        ("entity", view.entity.is_some()),
        ("from", view.from.is_some()),
        ("where", view.filter.is_some()),
        ("event_time", view.event_time.is_some()),
        ("known_at", view.known_at.is_some()),
        ("written_at", view.written_at.is_some()),
        ("json", !view.json.is_empty()),
        ("ttl", view.ttl.is_some()),
        ("columns", !view.columns.is_empty()),
    ];
    refuse(context, object, "request-time", &given);
    check_fields(context, object, "request", &view.request);
    let project = context.project;
    let mut scope = view.request.clone();
    for (at, used) in view.uses.iter().enumerate() {
        match project.find_feature(used) {
            // Its type is for the engine to tell; here only the name counts.
            Ok((_, feature)) => scope.push(Field { name: feature, data_type: DataType::Float64 }),
            Err(_) if context.any_unsure(&[ObjectKind::FeatureView]) => return,
            Err(unresolved) => {
                let help = unresolved.help.unwrap_or_default();
                context.report(object, &["uses".into(), at.into()], "unknown_reference", unresolved.message, help);
            }
        }
    }
    for (at, one) in view.expressions.iter().enumerate() {
        let path: Path<'_> = &["expressions".into(), at.into(), "sql".into()];
        expression::check(
            context,
            object,
            path,
            &one.sql,
            Scope::Exactly("the request, with the features used,", &scope),
        );
    }
}

fn check_feature_names(context: &mut Context<'_>, object: &ObjectRef, view: &FeatureView) {
    let taken: Vec<&str> = context.project.entity_keys(view).iter().map(|key| key.name.as_str()).collect();
    let names: Vec<(String, Vec<Step<'_>>)> = match view.kind() {
        ViewKind::Sql => {
            view.features.keys().map(|name| (name.clone(), vec![Step::Key("features"), Step::Key(name)])).collect()
        }
        ViewKind::Windowed => (view.aggregates.iter().enumerate())
            .flat_map(|(at, aggregate)| {
                let path = vec![Step::Key("aggregates"), Step::At(at), Step::Key("name")];
                aggregate.windows.iter().map(move |window| (aggregate.feature_name(*window), path.clone()))
            })
            .collect(),
        ViewKind::Request => (view.expressions.iter().enumerate())
            .map(|(at, one)| (one.name.clone(), vec![Step::Key("expressions"), Step::At(at), Step::Key("name")]))
            .collect(),
    };
    if names.len() > FEATURES_MAX {
        let message = format!("the view has {} features", names.len());
        let help = format!("part it into views of at most {FEATURES_MAX}");
        context.report(object, &["feature_view".into()], "column_count", message, help);
    }
    let mut seen = BTreeSet::new();
    for (name, path) in &names {
        let times = [view.event_time.as_deref(), view.known_at.as_deref()];
        if let Some(problem) = name_problem(name) {
            let message = format!("{} cannot be the name of a feature: {problem}", quote(name));
            let help = format!("write for example `{}`", super::mended_name(name));
            context.report(object, path, "bad_name", message, help);
        } else if taken.contains(&name.as_str()) || times.contains(&Some(name.as_str())) {
            let message = format!("feature {} is already a key or a time of the view", quote(name));
            context.report(object, path, "duplicate_column", message, "leave it out, or give the column another name");
        } else if !seen.insert(name.as_str()) {
            let message = format!("there are two features {}", quote(name));
            context.report(object, path, "duplicate_column", message, "rename one of them");
        }
    }
    if view.kind() != ViewKind::Sql {
        let known: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
        for name in view.features.keys().filter(|name| !known.contains(&name.as_str())) {
            let message = format!("a description is given of {}, which is no feature of this view", quote(name));
            let help = suggest(name, known.iter().copied()).unwrap_or_default();
            context.report(object, &["features".into(), name.as_str().into()], "unknown_reference", message, help);
        }
    }
}
