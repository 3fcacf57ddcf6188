//! `features/*.yaml`: entities and feature views.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Field, Span};

/// The event time's column in tables of windowed views.
pub const EVENT_TIME: &str = "event_time";

/// A thing that features describe, named by its key columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entity {
    /// The entity's name.
    #[serde(rename = "entity")]
    pub name: String,
    /// What it is, in a sentence.
    #[serde(default)]
    pub description: String,
    /// The key columns, in order.
    pub keys: Vec<Field>,
}

/// A group of features with one definition, used for backfill, for the online value and for training alike.
///
/// Exactly one of [`sql`](Self::sql), [`aggregates`](Self::aggregates) and [`expressions`](Self::expressions) is given;
/// it makes the view's kind (see [`FeatureView::kind`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = crate::schema::one_definition)]
pub struct FeatureView {
    /// The view's name.
    #[serde(rename = "feature_view")]
    pub name: String,
    /// What the features say, in a sentence.
    #[serde(default)]
    pub description: String,
    /// The entity described. Not for request-time views.
    pub entity: Option<String>,
    /// A query over source tables and other SQL views; its columns are the entity's keys, the times, and the features.
    pub sql: Option<String>,
    /// The table of events that aggregates run over: a source or a SQL view.
    pub from: Option<String>,
    /// A SQL condition on events; others do not count.
    #[serde(rename = "where")]
    pub filter: Option<String>,
    /// Aggregates over windows of events that end at the moment asked for.
    #[serde(default)]
    pub aggregates: Vec<Aggregate>,
    /// In a SQL view that models observe: those of the query's columns, with their types, that are inputs or keys of a
    /// model and neither entity keys nor times.
    #[serde(default)]
    pub columns: Vec<Field>,
    /// What a request brings, for request-time views.
    #[serde(default)]
    pub request: Vec<Field>,
    /// Features of other views, by name, that expressions also read.
    #[serde(default)]
    pub uses: Vec<String>,
    /// Expressions computed at request time, and row by row for training.
    #[serde(default)]
    pub expressions: Vec<Expression>,
    /// The column that says when a row's fact happened. Left out in SQL views without time: the rows hold always.
    pub event_time: Option<String>,
    /// The column that says when the fact became known. By default the event time.
    pub known_at: Option<String>,
    /// In a SQL view, the column that says when a row was written: of rows of equal times the one written last counts.
    /// Other than `known_at` it does not say when a fact became known, so rows written late count for earlier moments too.
    pub written_at: Option<String>,
    /// In a SQL view, the text features that hold JSON, as a list: clients send and get them as such rather than as text.
    #[serde(default)]
    pub json: Vec<String>,
    /// How old a value may be when it is used; older ones read as null. Left out: for ever.
    pub ttl: Option<Span>,
    /// Whether it is kept in the online store.
    #[serde(default = "online")]
    pub online: bool,
    /// The features and what each says. SQL views must list theirs here, so that every name is known without an
    /// engine; in the other kinds it only adds descriptions.
    #[serde(default)]
    pub features: BTreeMap<String, String>,
}

fn online() -> bool {
    true
}

/// What a [`FeatureView`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ViewKind {
    /// The latest row of a query, as it was known at the moment asked for.
    Sql,
    /// Aggregates over windows of events that end at the moment asked for.
    Windowed,
    /// Expressions over the request.
    Request,
}

impl FeatureView {
    /// The view's kind, told by which of its keys is given.
    #[must_use]
    pub fn kind(&self) -> ViewKind {
        if !self.expressions.is_empty() {
            ViewKind::Request
        } else if !self.aggregates.is_empty() {
            ViewKind::Windowed
        } else {
            ViewKind::Sql
        }
    }
}

/// Features of several views that are read together, under a name of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeatureService {
    /// The service's name.
    #[serde(rename = "feature_service")]
    pub name: String,
    /// What it is for, in a sentence.
    #[serde(default)]
    pub description: String,
    /// The features, in order: `view.feature`, or `view.*` for all of a view's. Before the point may stand a name of
    /// `projections`.
    pub features: Vec<String>,
    /// Views that are read under another name or by other join keys, by the name that `features` and clients give them.
    #[serde(default)]
    pub projections: BTreeMap<String, FeatureViewProjection>,
}

/// A view as a feature service reads it. Its name in the service is what Feast calls `name_alias`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeatureViewProjection {
    /// The view. Left out: the one that is called as the projection is.
    pub feature_view: Option<String>,
    /// Keys of the view's entity, and what requests call them: `location_id: origin_id`. Others keep their names.
    #[serde(default)]
    pub join_key_map: BTreeMap<String, String>,
}

/// An aggregate of events over one or several windows; one feature a window, called `{name}_{window}`, as `departures_3h`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Aggregate {
    /// The first part of the features' names.
    pub name: String,
    /// What is computed.
    pub function: AggregateFunction,
    /// A SQL expression over the event. Left out for `count`, which then counts events.
    pub of: Option<String>,
    /// The windows: an event counts at time `t` when its event time is in `(t - window, t]` and it was known by `t`.
    pub windows: Vec<Span>,
}

impl Aggregate {
    /// The name of the feature for one of the windows.
    #[must_use]
    pub fn feature_name(&self, window: Span) -> String {
        format!("{}_{window}", self.name)
    }
}

/// An aggregate function. Nulls are passed over; without a value, `count`, `sum` and `distinct` are 0 and the others null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AggregateFunction {
    /// How many values.
    Count,
    /// Their sum.
    Sum,
    /// Their arithmetic mean.
    Mean,
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// The one of the latest event time.
    Last,
    /// How many different values.
    Distinct,
}

/// A feature computed from the request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expression {
    /// The feature's name.
    pub name: String,
    /// A SQL expression over the view's request fields and the features it uses.
    pub sql: String,
}
