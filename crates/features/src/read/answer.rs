//! What was found, before anything is copied.

use std::sync::Arc;

use crate::fold::Tail;
use crate::value::Value;

/// A value that lies elsewhere.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ValueRef<'a> {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Text.
    Text(&'a str),
    /// Microseconds since 1970 in UTC.
    Timestamp(i64),
    /// Days since 1970.
    Date(i32),
}

impl<'a> From<&'a Value> for ValueRef<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(value) => Self::Int(*value),
            Value::Float(value) => Self::Float(*value),
            Value::Text(text) => Self::Text(text),
            Value::Timestamp(micros) => Self::Timestamp(*micros),
            Value::Date(days) => Self::Date(*days),
        }
    }
}

/// Whether a value is there, and why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It is there.
    Present,
    /// The entity is known, but this value of it is not.
    NullValue,
    /// Nothing is known of the entity by the moment asked for.
    NotFound,
    /// What is known is older than the view's time to live, so it reads as null.
    OutsideMaxAge,
}

/// What was found of one entity in one view.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) tail: Option<Arc<Tail>>,
    pub(super) row: usize,
    /// Of the row as a whole; a value of it may still be null.
    pub(super) status: Status,
    /// When the row's fact happened, in microseconds. 0 when there is none.
    pub(super) event_time: i64,
}

impl Found {
    pub(super) const NOTHING: Self = Self { tail: None, row: 0, status: Status::NotFound, event_time: 0 };
}

/// What was found in one view.
#[derive(Debug)]
pub(super) enum ViewFound {
    /// Of each entity its latest row.
    Latest(Vec<Found>),
    /// Of each entity its latest row, and all values: row after row.
    Windows(Vec<Found>, Vec<Value>, usize),
    /// Values computed from the request: row after row.
    Computed(Vec<Value>, usize),
}

/// The features of a read for all its entities.
#[derive(Debug)]
pub struct ReadAnswer<'p> {
    pub(super) outputs: &'p [super::ReadOutput],
    pub(super) views: Vec<ViewFound>,
    pub(super) rows: usize,
}

impl ReadAnswer<'_> {
    /// How many entities there are.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// A feature's value for an entity, by the feature's place in the plan and the entity's in the request.
    #[inline]
    #[must_use]
    pub fn value(&self, feature: usize, row: usize) -> ValueRef<'_> {
        let Some(output) = self.outputs.get(feature) else { return ValueRef::Null };
        match &self.views[output.view] {
            ViewFound::Latest(found) => match &found[row] {
                Found { tail: Some(tail), row, status: Status::Present, .. } => tail.value_ref(output.place, *row),
                _ => ValueRef::Null,
            },
            ViewFound::Windows(_, values, width) | ViewFound::Computed(values, width) => {
                values.get(row * width + output.place).map_or(ValueRef::Null, ValueRef::from)
            }
        }
    }

    /// What is known of an entity in a feature's view: that all values are there, unless one is null.
    #[inline]
    #[must_use]
    pub fn row_status(&self, feature: usize, row: usize) -> Status {
        match self.outputs.get(feature).map(|output| &self.views[output.view]) {
            Some(ViewFound::Latest(found) | ViewFound::Windows(found, ..)) => found[row].status,
            Some(ViewFound::Computed(..)) => Status::Present,
            None => Status::NotFound,
        }
    }

    /// When the fact happened that a feature's values for an entity tell of, in microseconds; 0 where there is none.
    #[inline]
    #[must_use]
    pub fn event_time(&self, feature: usize, row: usize) -> i64 {
        match self.outputs.get(feature).map(|output| &self.views[output.view]) {
            Some(ViewFound::Latest(found) | ViewFound::Windows(found, ..)) => found[row].event_time,
            Some(ViewFound::Computed(..)) | None => 0,
        }
    }
}
