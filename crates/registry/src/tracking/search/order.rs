//! The order of found runs, and the place in it where a page ends.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::query::{number, text};
use super::{NumberField, TextField};
use crate::tracking::index::{KeyId, Keys, RunRow};

/// One key of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOrder {
    /// What is ordered by.
    pub key: OrderKey,
    /// Whether the smallest comes first. NaN comes behind numbers and what is absent behind everything, either way.
    pub ascending: bool,
}

/// What runs are ordered by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderKey {
    /// The latest value of a metric.
    Metric(String),
    /// A param, as text.
    Param(String),
    /// A label.
    Tag(String),
    /// A text of the run itself.
    Text(TextField),
    /// A time of the run itself.
    Number(NumberField),
}

/// A value that is ordered by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", content = "value", rename_all = "snake_case")]
pub enum SortValue<T = String> {
    /// A number that is one. Written as its bits: JSON has no infinities.
    Number(#[serde(with = "bits")] f64),
    /// A whole number.
    Whole(i64),
    /// A text.
    Text(T),
    /// A metric that is not a number.
    Nan,
    /// Nothing.
    Absent,
}

mod bits {
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
    pub(super) fn serialize<S: Serializer>(number: &f64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(number.to_bits())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        u64::deserialize(from).map(f64::from_bits)
    }
}

/// A place in an order: the last run of a page. The order is part of it by its length alone; whoever hands cursors out
/// sees to it that one comes back with the search it was made for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cursor {
    /// What the order's keys were.
    pub values: Vec<SortValue>,
    /// When the run started.
    pub started_ms: i64,
    /// The run.
    pub id: String,
}

impl<T: AsRef<str>> SortValue<T> {
    fn rank(&self) -> u8 {
        match self {
            Self::Number(_) | Self::Whole(_) | Self::Text(_) => 0,
            Self::Nan => 1,
            Self::Absent => 2,
        }
    }

    fn compare<U: AsRef<str>>(&self, other: &SortValue<U>, ascending: bool) -> Ordering {
        let by_value = match (self, other) {
            (Self::Number(a), SortValue::Number(b)) => {
                // 0 and -0 are one number
                a.partial_cmp(b).unwrap_or(Ordering::Equal)
            }
            (Self::Whole(a), SortValue::Whole(b)) => a.cmp(b),
            (Self::Text(a), SortValue::Text(b)) => a.as_ref().cmp(b.as_ref()),
            _ => return self.rank().cmp(&other.rank()),
        };
        if ascending { by_value } else { by_value.reverse() }
    }
}

/// An order whose names are looked up once.
pub(super) struct Ranking {
    keys: Vec<(PreparedKey, bool)>,
    /// Ties go by start, unless the start is among the keys.
    start_breaks_ties: bool,
}

enum PreparedKey {
    Metric(Option<KeyId>),
    Param(Option<KeyId>),
    Tag(Option<KeyId>),
    Text(TextField),
    Number(NumberField),
}

/// Where a run stands in an order.
pub(super) struct Rank<'a> {
    values: Vec<SortValue<&'a str>>,
    run: &'a RunRow,
}

impl Ranking {
    pub(super) fn of(order: &[RunOrder], keys: &Keys) -> Self {
        let prepared = order.iter().map(|order| {
            let key = match &order.key {
                OrderKey::Metric(key) => PreparedKey::Metric(keys.find(key)),
                OrderKey::Param(key) => PreparedKey::Param(keys.find(key)),
                OrderKey::Tag(key) => PreparedKey::Tag(keys.find(key)),
                OrderKey::Text(field) => PreparedKey::Text(*field),
                OrderKey::Number(field) => PreparedKey::Number(*field),
            };
            (key, order.ascending)
        });
        let start_breaks_ties = !order.iter().any(|order| order.key == OrderKey::Number(NumberField::Started));
        Self { keys: prepared.collect(), start_breaks_ties }
    }

    pub(super) fn rank<'a>(&self, run: &'a RunRow) -> Rank<'a> {
        let values = self.keys.iter().map(|(key, _)| match key {
            PreparedKey::Metric(key) => match key.and_then(|key| run.metric(key)) {
                None => SortValue::Absent,
                Some(point) if point.value.is_nan() => SortValue::Nan,
                Some(point) => SortValue::Number(point.value),
            },
            PreparedKey::Param(key) => textual(key.and_then(|key| run.param(key))),
            PreparedKey::Tag(key) => textual(key.and_then(|key| run.tag(key))),
            PreparedKey::Text(field) => textual(text(*field, run)),
            PreparedKey::Number(field) => number(*field, run).map_or(SortValue::Absent, SortValue::Whole),
        });
        Rank { values: values.collect(), run }
    }

    pub(super) fn compare(&self, a: &Rank<'_>, b: &Rank<'_>) -> Ordering {
        self.compare_values(&a.values, &b.values)
            .then_with(|| self.compare_start(a.run.started_ms, b.run.started_ms))
            .then_with(|| a.run.id.cmp(&b.run.id))
    }

    /// Where a run stands to the end of the page before.
    pub(super) fn compare_to(&self, a: &Rank<'_>, cursor: &Cursor) -> Ordering {
        self.compare_values(&a.values, &cursor.values)
            .then_with(|| self.compare_start(a.run.started_ms, cursor.started_ms))
            .then_with(|| (*a.run.id).cmp(cursor.id.as_str()))
    }

    fn compare_values<T: AsRef<str>, U: AsRef<str>>(&self, a: &[SortValue<T>], b: &[SortValue<U>]) -> Ordering {
        let pairs = a.iter().zip(b).zip(&self.keys);
        let compared = pairs.map(|((a, b), (_, ascending))| a.compare(b, *ascending));
        compared.fold(Ordering::Equal, Ordering::then)
    }

    fn compare_start(&self, a: i64, b: i64) -> Ordering {
        if self.start_breaks_ties { b.cmp(&a) } else { Ordering::Equal }
    }
}

impl Rank<'_> {
    pub(super) fn cursor(&self) -> Cursor {
        let owned = self.values.iter().map(|value| match value {
            SortValue::Number(number) => SortValue::Number(*number),
            SortValue::Whole(whole) => SortValue::Whole(*whole),
            SortValue::Text(text) => SortValue::Text((*text).to_owned()),
            SortValue::Nan => SortValue::Nan,
            SortValue::Absent => SortValue::Absent,
        });
        Cursor { values: owned.collect(), started_ms: self.run.started_ms, id: self.run.id.to_string() }
    }
}

fn textual(text: Option<&str>) -> SortValue<&str> {
    text.map_or(SortValue::Absent, SortValue::Text)
}
