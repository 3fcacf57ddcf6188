//! A value that is counted, kept as it came and written as text only when it is shown: most candidates for the commonest
//! values never are.

use serde::{Deserialize, Serialize};

/// Of a long text only so much is shown; texts that differ later are still counted apart.
const TEXT_CHARS_MAX: usize = 200;

/// A value of a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub(super) enum Shown {
    Bool(bool),
    Integer(i64),
    /// Microseconds since 1970.
    Instant(i64),
    /// Days since 1970.
    Day(i64),
    Float(f64),
    Text(String),
}

impl Shown {
    /// A text, cut when it is long.
    pub fn of_text(text: &str) -> Self {
        Self::Text(match text.char_indices().nth(TEXT_CHARS_MAX) {
            Some((cut, _)) => format!("{}…", text.get(..cut).unwrap_or_default()),
            None => text.to_owned(),
        })
    }

    pub fn text(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Instant(micros) => jiff::Timestamp::from_microsecond(*micros)
                .map_or_else(|_| format!("{micros} µs"), |time| time.to_string()),
            Self::Day(days) => {
                let midnight = days.checked_mul(86_400).and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
                midnight.map_or_else(|| format!("day {days}"), |time| time.strftime("%Y-%m-%d").to_string())
            }
            Self::Float(value) => value.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// What was shown reads back as text, whatever it was.
impl From<String> for Shown {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Shown> for String {
    fn from(value: Shown) -> Self {
        value.text()
    }
}
