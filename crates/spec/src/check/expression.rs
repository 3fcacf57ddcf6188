//! SQL expressions over the columns of a table.

use super::context::{Context, Path};
use crate::graph::ObjectRef;
use crate::model::{DataType, Field, Scalar};
use crate::sql::{self, Plain};

/// The columns an expression may name.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scope<'a> {
    /// These and no others; the text says whose they are.
    Exactly(&'a str, &'a [Field]),
    /// The columns of a query, which only an engine can tell.
    Unknown,
}

/// Reports an expression that does not parse or names a column that is not there. Gives the columns it names.
pub(super) fn check(
    context: &mut Context<'_>,
    object: &ObjectRef,
    path: Path<'_>,
    text: &str,
    scope: Scope<'_>,
) -> Vec<String> {
    let columns = match sql::column_names(text) {
        Ok(columns) => columns,
        Err(error) => {
            context.report_sql(object, path, &error);
            return vec![];
        }
    };
    if let Scope::Exactly(table, fields) = scope {
        let known: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        for column in columns.iter().filter(|column| !known.contains(&column.as_str())) {
            context.report_column(object, path, table, column, &known);
        }
    }
    columns
}

/// Why the value of a plain expression can never be cast to a type, if that can be told.
pub(super) fn cast_problem(text: &str, fields: &[Field], to: DataType) -> Option<String> {
    match sql::plain(text)? {
        Plain::Column(name) => {
            let from = fields.iter().find(|field| field.name == name)?.data_type;
            (!is_castable(from, to)).then(|| format!("column `{name}` is of type {from}, which cannot be cast to {to}"))
        }
        Plain::Text(value) => {
            let reads = match to {
                DataType::Timestamp | DataType::Date => parse_time(&value, to).is_some(),
                DataType::Int64 => value.trim().parse::<i64>().is_ok(),
                DataType::Float64 => value.trim().parse::<f64>().is_ok(),
                DataType::Bool => {
                    matches!(value.trim().to_lowercase().as_str(), "true" | "false" | "t" | "f" | "1" | "0")
                }
                DataType::String => true,
            };
            (!reads).then(|| format!("the text '{value}' cannot be cast to {to}"))
        }
    }
}

/// Whether values of one type can mean values of another at all.
pub(super) fn is_castable(from: DataType, to: DataType) -> bool {
    use DataType as T;
    let timeless = |a, b| matches!(a, T::Timestamp | T::Date) && matches!(b, T::Bool | T::Float64);
    !timeless(from, to) && !timeless(to, from)
}

/// Why a scalar is not a value of a column's type.
pub(super) fn scalar_problem(scalar: &Scalar, column: DataType) -> Option<String> {
    use DataType as T;
    let fits = match (scalar, column) {
        (Scalar::Bool(_), T::Bool) | (Scalar::Int(_), T::Int64 | T::Float64) | (Scalar::Float(_), T::Float64) => true,
        // A bound between two whole numbers is as good as one of them.
        (Scalar::Float(value), T::Int64) => value.is_finite(),
        (Scalar::String(_), T::String) => true,
        (Scalar::String(text), T::Timestamp | T::Date) => parse_time(text, column).is_some(),
        _ => false,
    };
    let shown = match scalar {
        Scalar::Bool(value) => value.to_string(),
        Scalar::Int(value) => value.to_string(),
        Scalar::Float(value) => value.to_string(),
        Scalar::String(text) => crate::diagnostic::quote(text),
    };
    (!fits).then(|| format!("{shown} cannot be cast to {column}, the type of the column"))
}

/// How a value of a type is written, for help.
pub(super) fn example(column: DataType) -> &'static str {
    match column {
        DataType::Bool => "write true or false",
        DataType::Int64 => "write a whole number without quotes",
        DataType::Float64 => "write a number without quotes",
        DataType::String => "write a text in quotes",
        DataType::Timestamp => "write a UTC time such as 2013-07-01T00:00:00Z",
        DataType::Date => "write a day such as 2013-07-01",
    }
}

/// The order of two scalars, when they have one.
pub(super) fn order(a: &Scalar, b: &Scalar) -> Option<std::cmp::Ordering> {
    let number = |scalar: &Scalar| match scalar {
        Scalar::Int(value) => Some(*value as f64),
        Scalar::Float(value) => Some(*value),
        _ => None,
    };
    match (a, b) {
        (Scalar::String(a), Scalar::String(b)) => {
            parse_time(a, DataType::Timestamp)?.partial_cmp(&parse_time(b, DataType::Timestamp)?)
        }
        (a, b) => number(a)?.partial_cmp(&number(b)?),
    }
}

/// The moment that a text names: a date, or a date and time in UTC or with an offset.
pub(super) fn parse_time(text: &str, column: DataType) -> Option<jiff::Timestamp> {
    let day = |text: &str| {
        let date: jiff::civil::Date = text.parse().ok()?;
        date.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    };
    if column == DataType::Date || text.len() == 10 {
        return day(text);
    }
    let civil = || {
        let time: jiff::civil::DateTime = text.parse().ok()?;
        time.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    };
    text.parse().ok().or_else(civil)
}
