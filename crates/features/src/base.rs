//! The base query: a view's declaration as rows of a timeline.
//!
//! A SQL view's rows are those of its query. A windowed view's rows are its events, with the operands of its aggregates.
//! Both get canonical types, lose rows that nothing can be joined to (a null in the key or the times), and gain a row id.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::{DataType as ArrowType, TimeUnit};
use datafusion::common::Column;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{Expr, ExprFunctionExt, cast};
use datafusion::prelude::DataFrame;
use mainspring_lake::{At, Lake, TableName};
use mainspring_spec::{DataType, FeatureView, Field, Project, ViewKind};

use crate::error::{Error, Result};
use crate::schema::{EVENT_TIME, KNOWN_AT, ROW_ID, ViewSchema, feature_fields, fingerprint};
use crate::value::{arrow_type, declared_type};

/// The start of the names of columns that only go into the row id.
const IDENTITY: &str = "mainspring_identity_";

/// A view's rows, not yet read.
pub(crate) struct Base {
    /// The shape of the rows.
    pub(crate) schema: ViewSchema,
    /// The columns of the schema, then some that only go into the row id.
    pub(crate) rows: DataFrame,
    /// Names of the columns whose values make the row id.
    pub(crate) identity: Vec<String>,
    /// The column that numbers rows of equal values, where that is needed.
    pub(crate) number: Option<String>,
    /// The payload column by which rows of equal times are ordered, before anything else.
    pub(crate) written_at: Option<String>,
}

/// The table in which a view's rows are kept.
pub(crate) fn table_of(view: &str) -> Result<TableName> {
    Ok(TableName::new("features", view)?)
}

/// The tables that a view is computed from.
pub(crate) fn inputs_of(project: &Project, view: &FeatureView) -> Result<BTreeSet<TableName>> {
    let names = match (&view.sql, &view.from) {
        (Some(sql), _) => mainspring_spec::table_names(sql).map_err(|error| Error::Sql {
            view: view.name.clone(),
            name: "sql".into(),
            sql: sql.clone(),
            reason: error.to_string(),
            unknown: None,
        })?,
        (None, Some(from)) => vec![from.clone()],
        (None, None) => vec![],
    };
    names.iter().map(|name| table_named(project, view, name)).collect()
}

fn table_named(project: &Project, view: &FeatureView, name: &str) -> Result<TableName> {
    if project.sources.contains_key(name) {
        return Ok(TableName::new("sources", name)?);
    }
    match project.feature_views.get(name) {
        Some(read) if read.kind() == ViewKind::Sql => table_of(name),
        _ => Err(Error::UnknownTable { view: view.name.clone(), from: name.to_owned() }),
    }
}

/// The view's rows over tables of these versions.
pub(crate) async fn base(
    lake: &Lake,
    project: &Project,
    view: &FeatureView,
    pins: &BTreeMap<TableName, u64>,
) -> Result<Base> {
    if let Some(sql) = &view.sql {
        let rows = lake.sql_at(sql, pins).await.map_err(|error| match error {
            mainspring_lake::Error::Query(error) => Error::sql(view, "sql", sql, &error),
            other => other.into(),
        })?;
        return of_query(project, view, rows);
    }
    let table = table_named(project, view, view.from.as_deref().unwrap_or_default())?;
    let at = pins.get(&table).map_or(At::Latest, |&version| At::Version(version));
    of_events(project, view, lake.read(&table, at).await?)
}

/// The rows of a SQL view.
pub(crate) fn of_query(project: &Project, view: &FeatureView, rows: DataFrame) -> Result<Base> {
    let (event_time, known_at) = (view.event_time.clone(), view.known_at.clone());
    let columns: Vec<(String, Expr)> =
        rows.schema().columns().into_iter().map(|column| (column.name.clone(), Expr::Column(column))).collect();
    let payload: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
    shaped(project, view, rows, columns, event_time, known_at, payload)
}

/// The rows of a windowed view over events.
pub(crate) fn of_events(project: &Project, view: &FeatureView, events: DataFrame) -> Result<Base> {
    let from = view.from.clone().unwrap_or_default();
    let source = project.sources.get(&from);
    let upstream = project.feature_views.get(&from);
    let own = |of: &Option<String>, source: Option<&Option<String>>, view: Option<&Option<String>>| {
        of.clone().or_else(|| source.cloned().flatten()).or_else(|| view.cloned().flatten())
    };
    let event_time = own(&view.event_time, source.map(|s| &s.event_time), upstream.map(|v| &v.event_time))
        .ok_or_else(|| Error::NoEventTime { view: view.name.clone(), from: from.clone() })?;
    // A view with an event time of its own does not inherit when its source's rows became known: it says so itself.
    let known_at = match (&view.known_at, &view.event_time) {
        (Some(known_at), _) => Some(known_at.clone()),
        (None, Some(_)) => None,
        (None, None) => own(&None, source.map(|s| &s.known_at), upstream.map(|v| &v.known_at)),
    };
    let known_at = known_at.filter(|known_at| *known_at != event_time);
    let parse = |name: &str, sql: &str| events.parse_sql_expr(sql).map_err(|error| Error::sql(view, name, sql, &error));
    let column = |name: &str| Expr::Column(Column::from_name(name));
    let mut columns: Vec<(String, Expr)> =
        project.entity_keys(view).iter().map(|key| (key.name.clone(), column(&key.name))).collect();
    columns.push((EVENT_TIME.into(), column(&event_time)));
    if let Some(known_at) = &known_at {
        columns.push((KNOWN_AT.into(), column(known_at)));
    }
    let mut payload: Vec<String> = vec![];
    for aggregate in &view.aggregates {
        let Some(of) = &aggregate.of else { continue };
        let name = view.operand_column(of);
        if payload.iter().any(|known| known == name) {
            continue;
        }
        if columns.iter().any(|(taken, _)| taken == name) || name == ROW_ID {
            let role = "a key or time of its table";
            return Err(Error::NameTaken { view: view.name.clone(), column: name.into(), role });
        }
        columns.push((name.to_owned(), parse(&aggregate.name, of)?));
        payload.push(name.to_owned());
    }
    let push_id = [mainspring_spec::PUSH_ID.to_owned()];
    let key = match source {
        // Each pushed row is an event of its own, and keeps its number.
        Some(source) if source.is_pushed() && source.key.is_empty() => push_id.as_slice(),
        source => source.map(|source| source.key.as_slice()).unwrap_or_default(),
    };
    for (part, name) in key.iter().enumerate() {
        columns.push((format!("{IDENTITY}{part}"), column(name)));
    }
    let rows = match &view.filter {
        Some(filter) => events.clone().filter(parse("where", filter)?)?,
        None => events.clone(),
    };
    let known_at = known_at.map(|_| KNOWN_AT.to_owned());
    shaped(project, view, rows, columns, Some(EVENT_TIME.into()), known_at, payload)
}

/// Gives rows their canonical form. `columns` are all that are kept, `payload` names those that are neither key nor time
/// nor identity; names of keys and times in it do not count.
fn shaped(
    project: &Project,
    view: &FeatureView,
    rows: DataFrame,
    columns: Vec<(String, Expr)>,
    event_time: Option<String>,
    known_at: Option<String>,
    payload: Vec<String>,
) -> Result<Base> {
    let known_at = known_at.filter(|known_at| Some(known_at) != event_time.as_ref());
    let keys = project.entity_keys(view).to_vec();
    let rows = rows.select(columns.iter().map(|(name, of)| of.clone().alias(name)))?;
    let type_of = |name: &str, role: &str| {
        rows.schema()
            .field_with_unqualified_name(name)
            .map(|field| field.data_type().clone())
            .map_err(|_| Error::MissingColumn { view: view.name.clone(), column: name.into(), role: role.into() })
    };
    let mut kept: Vec<(String, ArrowType)> = vec![];
    for key in &keys {
        type_of(&key.name, "a key of its entity")?;
        kept.push((key.name.clone(), arrow_type(key.data_type)));
    }
    for (time, role) in
        event_time.iter().map(|t| (t, "its event_time")).chain(known_at.iter().map(|t| (t, "its known_at")))
    {
        type_of(time, role)?;
        kept.push((time.clone(), ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))));
    }
    let required: Vec<String> = kept.iter().map(|(name, _)| name.clone()).collect();
    let mut fields: Vec<Field> = vec![];
    for name in payload.iter().filter(|name| !required.contains(name)) {
        if name == ROW_ID {
            return Err(Error::NameTaken { view: view.name.clone(), column: name.clone(), role: "the row id" });
        }
        let found = type_of(name, "selected")?;
        let data_type = declared_type(&found).ok_or_else(|| Error::UnsupportedType {
            view: view.name.clone(),
            column: name.clone(),
            found: found.to_string(),
        })?;
        fields.push(Field { name: name.clone(), data_type });
        kept.push((name.clone(), arrow_type(data_type)));
    }
    let mut identity: Vec<String> = vec![];
    for (name, _) in columns.iter().filter(|(name, _)| name.starts_with(IDENTITY)) {
        let data_type = declared_type(&type_of(name, "the source's key")?).unwrap_or(DataType::String);
        kept.push((name.clone(), arrow_type(data_type)));
        identity.push(name.clone());
    }
    let column = |name: &str| Expr::Column(Column::from_name(name));
    let mut rows = rows.select(kept.iter().map(|(name, of)| cast(column(name), of.clone()).alias(name)))?;
    for name in &required {
        rows = rows.filter(column(name).is_not_null())?;
    }
    let mut number = None;
    if identity.is_empty() {
        identity.extend(fields.iter().map(|field| field.name.clone()));
        if view.kind() == ViewKind::Windowed {
            // Equal events are several events: they are told apart by number.
            let all = kept.iter().map(|(name, _)| column(name)).collect();
            let name = format!("{IDENTITY}number");
            rows = rows.window(vec![row_number().partition_by(all).build()?.alias(&name)])?;
            rows = rows.with_column(&name, cast(column(&name), ArrowType::Int64))?;
            number = Some(name);
        }
    }
    if let Some(written_at) = &view.written_at {
        let role = "its written_at";
        let missing =
            || Error::MissingColumn { view: view.name.clone(), column: written_at.clone(), role: role.into() };
        let field = fields.iter().find(|field| field.name == *written_at).ok_or_else(missing)?;
        if field.data_type != DataType::Timestamp {
            return Err(Error::WrittenAt {
                view: view.name.clone(),
                column: written_at.clone(),
                found: field.data_type,
            });
        }
    }
    let schema = ViewSchema {
        view: view.name.clone(),
        fingerprint: fingerprint(project, view),
        features: feature_fields(view, &fields)?,
        keys,
        event_time,
        known_at,
        payload: fields,
    };
    Ok(Base { schema, rows, identity, number, written_at: view.written_at.clone() })
}
