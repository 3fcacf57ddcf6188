//! Words that several declarations share: column types, spans of time, severities.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The type of a column. Wider types of a file are cast to these when that loses nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DataType {
    /// True or false.
    Bool,
    /// 64-bit signed integer.
    Int64,
    /// 64-bit IEEE 754 number.
    Float64,
    /// UTF-8 text.
    String,
    /// An instant in UTC, in microseconds.
    Timestamp,
    /// A calendar day without a zone.
    Date,
}

impl std::fmt::Display for DataType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Bool => "bool",
            Self::Int64 => "int64",
            Self::Float64 => "float64",
            Self::String => "string",
            Self::Timestamp => "timestamp",
            Self::Date => "date",
        })
    }
}

/// A named, typed column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// The column's name.
    pub name: String,
    /// The column's type.
    #[serde(rename = "type")]
    pub data_type: DataType,
}

/// A span of time, written as `15m`, `24h`, `30d` or `1h30m`. Kept in microseconds; never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(i64);

impl Span {
    /// The span of so many microseconds; negative counts become zero.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(if micros < 0 { 0 } else { micros })
    }

    /// The length in microseconds.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The length as the standard library's duration.
    #[must_use]
    pub const fn as_std(self) -> std::time::Duration {
        std::time::Duration::from_micros(self.0.unsigned_abs())
    }
}

impl std::str::FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = humantime::parse_duration(text)
            .map_err(|error| format!("`{text}` is not a span of time ({error}); write for example 15m, 24h or 30d"))?;
        i64::try_from(parsed.as_micros()).map(Self).map_err(|_| format!("`{text}` is longer than 290,000 years"))
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const UNITS: [(i64, &str); 6] = [
            (86_400_000_000, "d"),
            (3_600_000_000, "h"),
            (60_000_000, "m"),
            (1_000_000, "s"),
            (1_000, "ms"),
            (1, "us"),
        ];
        const DAY: i64 = 86_400_000_000;
        let mut rest = self.0;
        if rest == 0 {
            return f.write_str("0s");
        }
        // One day is called 24 hours: windows of 1h, 3h and 24h keep the names that their author wrote.
        if rest == DAY {
            return f.write_str("24h");
        }
        for (size, unit) in UNITS {
            if rest >= size {
                write!(f, "{}{unit}", rest / size)?;
                rest %= size;
            }
        }
        Ok(())
    }
}

impl Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A span of time, for example 15m, 24h or 30d",
            "pattern": "^([0-9]+(us|ms|s|m|h|d|w) ?)+$"
        })
    }
}

/// How loud a broken rule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Shown and counted; the rows stay.
    Warn,
    /// Shown, counted, and acted on.
    #[default]
    Error,
}

#[cfg(test)]
mod tests {
    use super::Span;

    #[test]
    fn a_span_is_shown_as_it_is_written() {
        for text in ["1h", "24h", "2d", "30d", "15m", "1h30m", "1d6h", "250ms", "0s"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        assert_eq!("1d".parse::<Span>().unwrap().to_string(), "24h");
    }

    #[test]
    fn what_is_no_span_is_refused_with_an_example() {
        for text in ["", "soon", "-1h", "1x", "999999999999999999999d", "24"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
