//! The answer to a read, written from where its values lie.
//!
//! Statuses and moments are the same for all features of a view that found the same rows, so their texts are made once a
//! view and copied. What is left per value is to write a number: for 100 entities and 20 features some 60 µs.

use std::borrow::Cow;
use std::io::Write;

use mainspring_features::{EntityValue, ReadAnswer, ReadOutput, Status, ValueRef};
use serde_json::ser::{CompactFormatter, Formatter};

use super::error::Refused;
use super::names::NO_ENTITY_VALUE;
use super::request::{AskedFeatures, typed};
use super::shape::{Part, Shape};

/// Bytes of a value, its status and its moment, about: for the first guess at the answer's length.
const VALUE_BYTES: usize = 56;
/// The moment of what has none.
const NO_MOMENT: &[u8] = b"\"1970-01-01T00:00:00Z\"";

/// Reads the features that a request asks for, and writes the answer.
pub(super) fn answer(shape: &Shape, asked: &AskedFeatures<'_>, at: i64) -> Result<Vec<u8>, Refused> {
    let rows = asked.rows();
    let columns = asked.entities.0.iter().zip(&shape.types);
    let given: Vec<Cow<'_, [EntityValue<'_>]>> = columns
        .map(|((_, values), data_type)| match data_type {
            Some(data_type) => typed(values, *data_type),
            None => Cow::Borrowed(values.as_slice()),
        })
        .collect();
    let found = shape.parts.iter().map(|part| read(part, asked, &given, at)).collect::<Result<Vec<_>, Refused>>()?;
    let results = shape.echoed.len() + shape.outputs.len();
    let mut out = Vec::with_capacity(shape.head.len() + results * (64 + rows * VALUE_BYTES));
    out.extend_from_slice(&shape.head);
    for &place in &shape.echoed {
        echo(&given[place], &mut out);
    }
    let mut texts = ViewTexts::default();
    for &(part, place) in &shape.outputs {
        let output = &shape.parts[part].plan.outputs()[place];
        texts.of_view((part, output.view), &found[part], place);
        result(output, &found[part], place, &texts, &mut out);
    }
    if out.last() == Some(&b',') {
        out.pop();
    }
    out.extend_from_slice(b"]}");
    Ok(out)
}

/// Reads one part. What is wrong with a value is told by the name that the request has for it.
fn read<'p>(
    part: &'p Part,
    asked: &AskedFeatures<'_>,
    given: &[Cow<'_, [EntityValue<'_>]>],
    at: i64,
) -> Result<ReadAnswer<'p>, Refused> {
    let rows = asked.rows();
    let has_no_entity = part.columns.iter().any(Option::is_none);
    let no_entity = vec![EntityValue::Text(Cow::Borrowed(NO_ENTITY_VALUE)); if has_no_entity { rows } else { 0 }];
    let columns: Vec<&[EntityValue<'_>]> =
        part.columns.iter().map(|column| column.map_or(no_entity.as_slice(), |place| given[place].as_ref())).collect();
    part.plan.read(&columns, rows, at).map_err(|mut error| {
        if let mainspring_features::Error::RequestField { field, .. } = &mut error {
            let place = part.plan.fields().iter().position(|known| known.name == *field);
            let column = place.and_then(|place| part.columns[place]);
            if let Some((name, _)) = column.and_then(|column| asked.entities.0.get(column)) {
                *field = name.to_string();
            }
        }
        error.into()
    })
}

/// What the features of one view share.
#[derive(Default)]
struct ViewTexts {
    /// The part of the answer, and the view's place in it.
    view: Option<(usize, usize)>,
    statuses: Vec<u8>,
    moments: Vec<u8>,
}

impl ViewTexts {
    fn of_view(&mut self, view: (usize, usize), found: &ReadAnswer<'_>, feature: usize) {
        if self.view == Some(view) {
            return;
        }
        self.view = Some(view);
        self.statuses.clear();
        self.moments.clear();
        for row in 0..found.rows() {
            if row > 0 {
                self.statuses.push(b',');
                self.moments.push(b',');
            }
            self.statuses.extend_from_slice(status_text(found.row_status(feature, row)));
            moment(found.event_time(feature, row), &mut self.moments);
        }
    }
}

/// One feature for all entities.
fn result(output: &ReadOutput, found: &ReadAnswer<'_>, feature: usize, texts: &ViewTexts, out: &mut Vec<u8>) {
    let is_json = output.is_json;
    let mut some_null = false;
    out.extend_from_slice(b"{\"values\":[");
    for row in 0..found.rows() {
        if row > 0 {
            out.push(b',');
        }
        let value = known(found.value(feature, row));
        some_null |= value == ValueRef::Null && found.row_status(feature, row) == Status::Present;
        write_value(value, is_json, out);
    }
    out.extend_from_slice(b"],\"statuses\":[");
    if some_null {
        for row in 0..found.rows() {
            if row > 0 {
                out.push(b',');
            }
            let is_null = known(found.value(feature, row)) == ValueRef::Null;
            let status = match found.row_status(feature, row) {
                Status::Present if is_null => Status::NullValue,
                status => status,
            };
            out.extend_from_slice(status_text(status));
        }
    } else {
        out.extend_from_slice(&texts.statuses);
    }
    out.extend_from_slice(b"],\"event_timestamps\":[");
    out.extend_from_slice(&texts.moments);
    out.extend_from_slice(b"]},");
}

/// A feature's value as Feast has it: what is not a number, which pandas has where a value is not there, is null. Its
/// clients would read the word that stands for it in JSON as a text.
#[inline]
const fn known(value: ValueRef<'_>) -> ValueRef<'_> {
    match value {
        ValueRef::Float(number) if number.is_nan() => ValueRef::Null,
        _ => value,
    }
}

/// A column of the request, as it came.
fn echo(values: &[EntityValue<'_>], out: &mut Vec<u8>) {
    let list = |out: &mut Vec<u8>, write: &mut dyn FnMut(&EntityValue<'_>, &mut Vec<u8>)| {
        for (row, value) in values.iter().enumerate() {
            if row > 0 {
                out.push(b',');
            }
            write(value, out);
        }
    };
    out.extend_from_slice(b"{\"values\":[");
    list(out, &mut |value, out| match value {
        EntityValue::Null => out.extend_from_slice(b"null"),
        EntityValue::Bool(value) => write_value(ValueRef::Bool(*value), false, out),
        EntityValue::Int(value) => write_value(ValueRef::Int(*value), false, out),
        EntityValue::Float(value) => write_value(ValueRef::Float(*value), false, out),
        EntityValue::Text(text) => write_text(text, out),
    });
    out.extend_from_slice(b"],\"statuses\":[");
    list(out, &mut |value, out| {
        let status = if *value == EntityValue::Null { Status::NullValue } else { Status::Present };
        out.extend_from_slice(status_text(status));
    });
    out.extend_from_slice(b"],\"event_timestamps\":[");
    list(out, &mut |_, out| out.extend_from_slice(NO_MOMENT));
    out.extend_from_slice(b"]},");
}

const fn status_text(status: Status) -> &'static [u8] {
    match status {
        Status::Present => b"\"PRESENT\"",
        Status::NullValue => b"\"NULL_VALUE\"",
        Status::NotFound => b"\"NOT_FOUND\"",
        Status::OutsideMaxAge => b"\"OUTSIDE_MAX_AGE\"",
    }
}

/// A value as Feast's server writes it: times as whole seconds, numbers that JSON does not have as words.
#[inline]
fn write_value(value: ValueRef<'_>, is_json: bool, out: &mut Vec<u8>) {
    match value {
        ValueRef::Null => out.extend_from_slice(b"null"),
        ValueRef::Bool(true) => out.extend_from_slice(b"true"),
        ValueRef::Bool(false) => out.extend_from_slice(b"false"),
        ValueRef::Int(value) => out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
        ValueRef::Float(value) if value.is_finite() => {
            let _infallible = CompactFormatter.write_f64(out, value);
        }
        ValueRef::Float(value) if value.is_nan() => out.extend_from_slice(b"\"NaN\""),
        ValueRef::Float(value) => {
            out.extend_from_slice(if value > 0.0 { b"\"Infinity\"".as_slice() } else { b"\"-Infinity\"" });
        }
        // What is kept was written by a serializer; should it not be JSON after all, it is a text.
        ValueRef::Text(text) if is_json && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() => {
            out.extend_from_slice(text.as_bytes());
        }
        ValueRef::Text(text) => write_text(text, out),
        ValueRef::Timestamp(micros) => {
            out.extend_from_slice(itoa::Buffer::new().format(micros.div_euclid(1_000_000)).as_bytes());
        }
        ValueRef::Date(days) => {
            let day = jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().days(days));
            match day {
                Ok(day) => {
                    let _infallible = write!(out, "\"{day}\"");
                }
                Err(_) => out.extend_from_slice(itoa::Buffer::new().format(days).as_bytes()),
            }
        }
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    let needs_no_escape = text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
    if needs_no_escape {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else if serde_json::to_writer(&mut *out, text).is_err() {
        out.extend_from_slice(b"null");
    }
}

/// A moment in RFC 3339 with as many digits as it needs of none, three or six.
fn moment(micros: i64, out: &mut Vec<u8>) {
    let (days, of_day) = (micros.div_euclid(MICROS_PER_DAY), micros.rem_euclid(MICROS_PER_DAY));
    let Some((year, month, day)) = civil(days).filter(|_| micros != 0) else {
        return out.extend_from_slice(NO_MOMENT);
    };
    let (seconds, fraction) = (of_day / 1_000_000, of_day % 1_000_000);
    out.push(b'"');
    digits::<4>(year, out);
    out.push(b'-');
    digits::<2>(month, out);
    out.push(b'-');
    digits::<2>(day, out);
    for (mark, number) in [(b'T', seconds / 3_600), (b':', seconds / 60 % 60), (b':', seconds % 60)] {
        out.push(mark);
        digits::<2>(number, out);
    }
    if fraction > 0 {
        out.push(b'.');
        if fraction % 1_000 == 0 { digits::<3>(fraction / 1_000, out) } else { digits::<6>(fraction, out) }
    }
    out.extend_from_slice(b"Z\"");
}

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Year, month and day of a count of days since 1970, in the Gregorian calendar; `None` beyond four digits of a year.
/// After Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn civil(days: i64) -> Option<(i64, i64, i64)> {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (0..=9_999).contains(&year).then_some((year, month, day))
}

/// A number with leading noughts.
fn digits<const N: usize>(mut number: i64, out: &mut Vec<u8>) {
    let mut text = [b'0'; N];
    for digit in text.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
    out.extend_from_slice(&text);
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn written(micros: i64) -> String {
        let mut out = vec![];
        moment(micros, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn moments_are_written_as_jiff_writes_them() {
        let moments = (-20_000_000_i64..20_000_000).step_by(777_777).map(|number| number * 86_399_123_457 / 40);
        for micros in moments.chain([1, 1_000, 1_000_000, -1, 951_782_400_000_000, 4_107_542_399_999_999]) {
            let Ok(at) = Timestamp::from_microsecond(micros) else { continue };
            let digits = match micros.rem_euclid(1_000_000) {
                0 => 0,
                some if some % 1_000 == 0 => 3,
                _ => 6,
            };
            if micros != 0 && (0..10_000).contains(&at.to_zoned(jiff::tz::TimeZone::UTC).year()) {
                assert_eq!(written(micros), format!("\"{at:.digits$}\""));
            }
        }
        assert_eq!(written(0), "\"1970-01-01T00:00:00Z\"");
        assert_eq!(written(i64::MIN), "\"1970-01-01T00:00:00Z\"");
    }

    #[test]
    fn what_is_not_a_number_is_null() {
        assert_eq!(known(ValueRef::Float(f64::NAN)), ValueRef::Null);
        assert_eq!(known(ValueRef::Float(f64::INFINITY)), ValueRef::Float(f64::INFINITY));
        assert_eq!(known(ValueRef::Int(0)), ValueRef::Int(0));
    }

    #[test]
    fn values_are_written_as_json() {
        let text = |value, is_json| {
            let mut out = vec![];
            write_value(value, is_json, &mut out);
            String::from_utf8(out).unwrap()
        };

        assert_eq!(text(ValueRef::Float(1.0), false), "1.0");
        assert_eq!(text(ValueRef::Float(f64::NAN), false), "\"NaN\"");
        assert_eq!(text(ValueRef::Float(f64::NEG_INFINITY), false), "\"-Infinity\"");
        assert_eq!(text(ValueRef::Int(i64::MIN), false), i64::MIN.to_string());
        assert_eq!(text(ValueRef::Text("a\"b\\\n"), false), r#""a\"b\\\n""#);
        assert_eq!(text(ValueRef::Text("[1,2]"), true), "[1,2]");
        assert_eq!(text(ValueRef::Text("[1,2"), true), "\"[1,2\"");
        assert_eq!(text(ValueRef::Timestamp(-1), false), "-1");
        assert_eq!(text(ValueRef::Date(0), false), "\"1970-01-01\"");
    }
}
