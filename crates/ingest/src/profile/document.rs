//! A profile as it is stored with a table version and shown.

use mainspring_spec::DataType;
use serde::{Deserialize, Serialize};

/// What the values of a table look like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Profile {
    /// Rows in the table.
    pub rows: u64,
    /// Its columns, in order.
    pub columns: Vec<ColumnProfile>,
}

impl Profile {
    /// A column's profile.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&ColumnProfile> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// What the values of a column look like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ColumnProfile {
    /// The column's name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub data_type: DataType,
    /// Rows in which it has a value.
    pub count: u64,
    /// Rows in which it is null.
    pub nulls: u64,
    /// Values that are no finite numbers, NaN and the infinities: mean, bounds, quantiles and histogram leave them out.
    #[serde(default)]
    pub not_finite: u64,
    /// Different values; within about 2 in 100 where it is not exact.
    pub distinct: u64,
    /// Whether `distinct` and the counts in `top` were counted, not estimated.
    pub distinct_is_exact: bool,
    /// The least value: a number, a truth value, or text (RFC 3339 for timestamps and dates).
    pub min: Option<serde_json::Value>,
    /// The greatest value.
    pub max: Option<serde_json::Value>,
    /// The arithmetic mean, of numbers; for timestamps in microseconds since 1970.
    pub mean: Option<f64>,
    /// The standard deviation (of a sample), of numbers; none where their squares are too large for a float.
    pub std: Option<f64>,
    /// Quantiles of numbers; for timestamps in microseconds since 1970, for dates in days.
    pub quantiles: Vec<Quantile>,
    /// How numbers are spread between the least and the greatest; the counts add up to `count` less
    /// `not_finite`.
    pub histogram: Option<Histogram>,
    /// The commonest values with how often each was seen, commonest first.
    pub top: Vec<TopValue>,
}

impl ColumnProfile {
    /// The values that are finite numbers, of a column of numbers.
    #[must_use]
    pub const fn finite(&self) -> u64 {
        self.count.saturating_sub(self.not_finite)
    }
}

/// A quantile.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Quantile {
    /// The share of values below, in 0 to 1.
    pub share: f64,
    /// The value.
    pub value: f64,
}

/// Counts in bins of one width.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Histogram {
    /// The bins' edges, one more than there are bins.
    pub edges: Vec<f64>,
    /// The values in each bin, estimated from the quantiles.
    pub counts: Vec<u64>,
}

/// A common value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TopValue {
    /// The value, as text.
    pub value: String,
    /// How often it was seen.
    pub count: u64,
}
