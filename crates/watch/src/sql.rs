//! Names and values in SQL text.

use jiff::Timestamp;

/// A name between quotes: any column name stands for itself.
pub(crate) fn name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text value.
pub(crate) fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// A moment, in the type that all our tables have.
pub(crate) fn moment(at: Timestamp) -> String {
    format!("arrow_cast({}, 'Timestamp(Microsecond, Some(\"UTC\"))')", at.as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_stay_inside() {
        assert_eq!(name("a\"; drop"), "\"a\"\"; drop\"");
        assert_eq!(text("O'Hare"), "'O''Hare'");
    }
}
