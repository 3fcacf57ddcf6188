//! From a file's types to the declared ones, losing nothing.
//!
//! Two steps: what Arrow can widen without loss becomes one of six plain types; from there a value either is exactly a
//! value of the declared type (`5.0` is the integer 5) or it fails (`5.5` is none), and the row with it. Pairs of types
//! that say something else altogether (a list for a number, an integer for an instant) refuse the file before a row is read.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, ListArray, PrimitiveArray, RecordBatch, StringArray,
    new_null_array,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::cast_utils::{Parser, string_to_datetime};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType as ArrowType, Date32Type, Field, Float64Type, Int64Type, Schema, TimeUnit, TimestampMicrosecondType,
};
use arrow::error::ArrowError;
use arrow::json::WriterBuilder;
use arrow::json::writer::LineDelimited;
use mainspring_spec::DataType;

use crate::types::arrow_type;

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// Up to here every integer is a 64-bit float.
const EXACT_FLOAT: i64 = 1 << 53;

/// The plain types that a file's column is brought to first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plain {
    Null,
    Bool,
    Int,
    Float,
    Text,
    Timestamp,
    Date,
    /// A list, struct or map, which becomes JSON text.
    Nested,
}

/// How one column is cast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cast {
    from: Plain,
    to: DataType,
}

/// A column in its declared type, and which of its values could not be cast (they are null in it).
pub struct Casted {
    /// The column.
    pub array: ArrayRef,
    /// The values that failed, when any did.
    pub failed: Option<BooleanBuffer>,
}

impl Cast {
    /// Decides how a column of the file's type is cast to the declared one.
    ///
    /// # Errors
    /// In words, when no value of the one could be a value of the other.
    pub fn plan(from: &ArrowType, to: DataType) -> Result<Self, String> {
        let plain = plain(from).ok_or_else(|| format!("is {from} in the file, which cannot be read as {to}"))?;
        let allowed = match plain {
            _ if to == DataType::String => true,
            Plain::Null | Plain::Text => true,
            Plain::Bool | Plain::Int => matches!(to, DataType::Bool | DataType::Int64 | DataType::Float64),
            Plain::Float => matches!(to, DataType::Int64 | DataType::Float64),
            Plain::Nested => false,
            Plain::Timestamp | Plain::Date => matches!(to, DataType::Timestamp | DataType::Date),
        };
        if allowed { Ok(Self { from: plain, to }) } else { Err(format!("is {from} in the file and declared {to}")) }
    }

    /// Casts a column.
    ///
    /// # Errors
    /// Only when the array is not of the type planned for.
    pub fn apply(&self, array: &ArrayRef) -> Result<Casted, ArrowError> {
        if self.from == Plain::Null {
            return Ok(Casted { array: new_null_array(&arrow_type(self.to), array.len()), failed: None });
        }
        if self.from == Plain::Nested {
            return Ok(Casted { array: Arc::new(json_texts(array)?), failed: None });
        }
        let simple = simplify(array, self.from, self.to)?;
        let casted = self.convert(&simple)?;
        Ok(Casted { failed: lost(array, &casted), array: casted })
    }

    fn convert(&self, array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        let target = arrow_type(self.to);
        Ok(match (self.from, self.to) {
            (Plain::Text, DataType::Int64) => parse::<Int64Type>(array.as_string(), parse_int),
            (Plain::Text, DataType::Float64) => parse::<Float64Type>(array.as_string(), |t| t.parse().ok()),
            (Plain::Text, DataType::Date) => parse::<Date32Type>(array.as_string(), parse_date),
            (Plain::Text, DataType::Timestamp) => {
                let utc = "UTC".parse::<arrow::array::timezone::Tz>()?;
                let parsed = parse_text::<TimestampMicrosecondType>(array.as_string(), |text| {
                    string_to_datetime(&utc, text).ok().map(|time| time.timestamp_micros())
                });
                Arc::new(parsed.with_timezone("UTC"))
            }
            (Plain::Text, DataType::Bool) => {
                Arc::new(array.as_string::<i32>().iter().map(|t| t.and_then(parse_bool)).collect::<BooleanArray>())
            }
            (Plain::Float, DataType::Int64) => convert::<Float64Type, Int64Type>(array, whole),
            (Plain::Int, DataType::Float64) => convert::<Int64Type, Float64Type>(array, exact),
            (Plain::Int, DataType::Bool) => {
                let ints = array.as_primitive::<Int64Type>();
                let truth = |value| match value {
                    0 => Some(false),
                    1 => Some(true),
                    _ => None,
                };
                Arc::new(ints.iter().map(|value| value.and_then(truth)).collect::<BooleanArray>())
            }
            (Plain::Timestamp, DataType::Date) => {
                let midnight =
                    |t: i64| (t % MICROS_PER_DAY == 0).then(|| i32::try_from(t / MICROS_PER_DAY).ok()).flatten();
                convert::<TimestampMicrosecondType, Date32Type>(array, midnight)
            }
            _ if array.data_type() == &target => Arc::clone(array),
            _ => cast_with_options(array, &target, &CastOptions { safe: true, ..Default::default() })?,
        })
    }
}

fn plain(from: &ArrowType) -> Option<Plain> {
    Some(match from {
        ArrowType::Null => Plain::Null,
        ArrowType::Boolean => Plain::Bool,
        ArrowType::Float16 | ArrowType::Float32 | ArrowType::Float64 => Plain::Float,
        ArrowType::Decimal32(_, scale)
        | ArrowType::Decimal64(_, scale)
        | ArrowType::Decimal128(_, scale)
        | ArrowType::Decimal256(_, scale) => {
            if *scale <= 0 {
                Plain::Int
            } else {
                Plain::Float
            }
        }
        ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View => Plain::Text,
        ArrowType::Binary | ArrowType::LargeBinary | ArrowType::BinaryView => Plain::Text,
        ArrowType::Timestamp(..) => Plain::Timestamp,
        ArrowType::Date32 | ArrowType::Date64 => Plain::Date,
        ArrowType::Dictionary(_, values) => plain(values)?,
        ArrowType::RunEndEncoded(_, values) => plain(values.data_type())?,
        other if other.is_integer() => Plain::Int,
        ArrowType::List(_) | ArrowType::LargeList(_) | ArrowType::FixedSizeList(..) | ArrowType::Struct(_) => {
            Plain::Nested
        }
        ArrowType::Map(entries, _) if has_text_keys(entries) => Plain::Nested,
        _ => return None,
    })
}

/// Whether a map's keys can be those of a JSON object.
fn has_text_keys(entries: &Field) -> bool {
    let ArrowType::Struct(fields) = entries.data_type() else { return false };
    let key = fields.first().map(|key| key.data_type());
    key.is_some_and(|key| matches!(key, ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View))
}

/// The declared type that holds a file's type best, for inference; `None` when none does.
pub(crate) fn nearest(from: &ArrowType) -> Option<DataType> {
    Some(match plain(from)? {
        Plain::Null | Plain::Text => DataType::String,
        Plain::Bool => DataType::Bool,
        Plain::Int => DataType::Int64,
        Plain::Float => DataType::Float64,
        Plain::Timestamp => DataType::Timestamp,
        Plain::Date => DataType::Date,
        // What it is for only a person can say.
        Plain::Nested => return None,
    })
}

/// Brings a column to its plain type; what does not fit becomes null.
fn simplify(array: &ArrayRef, plain: Plain, to: DataType) -> Result<ArrayRef, ArrowError> {
    let instant = ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let target = match plain {
        Plain::Null => ArrowType::Null,
        Plain::Bool => ArrowType::Boolean,
        Plain::Int => ArrowType::Int64,
        Plain::Float => ArrowType::Float64,
        Plain::Text => ArrowType::Utf8,
        Plain::Timestamp => instant,
        Plain::Date if to == DataType::Timestamp => instant,
        Plain::Date => ArrowType::Date32,
        Plain::Nested => array.data_type().clone(),
    };
    if array.data_type() == &target {
        return Ok(Arc::clone(array));
    }
    let options = CastOptions { safe: true, ..Default::default() };
    if plain == Plain::Date && to == DataType::Timestamp {
        let unzoned = cast_with_options(array, &ArrowType::Timestamp(TimeUnit::Microsecond, None), &options)?;
        return cast_with_options(&unzoned, &target, &options);
    }
    cast_with_options(array, &target, &options)
}

/// Each value as JSON on one line. Numbers are written as 64-bit floats, so that they read back as what they were; lists of
/// instants as seconds since 1970, which is what clients push.
fn json_texts(array: &ArrayRef) -> Result<StringArray, ArrowError> {
    const NAME: &str = "v";
    let wide = match array.data_type() {
        ArrowType::List(item) if item.data_type().is_floating() => {
            let item = Field::new(item.name(), ArrowType::Float64, true);
            cast_with_options(array, &ArrowType::List(Arc::new(item)), &CastOptions::default())?
        }
        ArrowType::List(item) if matches!(item.data_type(), ArrowType::Timestamp(..)) => {
            Arc::new(in_seconds(array.as_list(), item)?)
        }
        _ => Arc::clone(array),
    };
    let schema = Arc::new(Schema::new(vec![Field::new(NAME, wide.data_type().clone(), true)]));
    let batch = RecordBatch::try_new(schema, vec![wide])?;
    let mut lines = Vec::new();
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut lines);
    writer.write(&batch)?;
    writer.finish()?;
    let lines = String::from_utf8(lines).map_err(|error| ArrowError::JsonError(error.to_string()))?;
    let texts = lines.lines().enumerate().map(|(row, line)| {
        // {"v":…}
        let value = line.get(NAME.len() + 4..line.len().saturating_sub(1));
        value.filter(|_| array.is_valid(row))
    });
    Ok(texts.collect())
}

/// Lists of instants as lists of seconds: whole numbers, unless some instant lies between two seconds.
fn in_seconds(lists: &ListArray, item: &Field) -> Result<ListArray, ArrowError> {
    let instant = ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let micros = cast_with_options(lists.values(), &instant, &CastOptions::default())?;
    let micros = micros.as_primitive::<TimestampMicrosecondType>();
    let is_whole = micros.iter().flatten().all(|micros| micros % MICROS_PER_SECOND == 0);
    let seconds: ArrayRef = if is_whole {
        Arc::new(micros.unary::<_, Int64Type>(|micros| micros / MICROS_PER_SECOND))
    } else {
        Arc::new(micros.unary::<_, Float64Type>(|micros| micros as f64 / MICROS_PER_SECOND as f64))
    };
    let item = Field::new(item.name(), seconds.data_type().clone(), true);
    ListArray::try_new(Arc::new(item), lists.offsets().clone(), seconds, lists.nulls().cloned())
}

/// The values that were there before and are null now.
fn lost(before: &ArrayRef, after: &ArrayRef) -> Option<BooleanBuffer> {
    let after = after.nulls()?;
    let failed = match before.logical_nulls() {
        Some(before) => &(!after.inner()) & before.inner(),
        None => !after.inner(),
    };
    (failed.count_set_bits() > 0).then_some(failed)
}

fn parse_text<T: ArrowPrimitiveType>(
    texts: &StringArray,
    parse: impl Fn(&str) -> Option<T::Native>,
) -> PrimitiveArray<T> {
    texts.iter().map(|text| text.and_then(|text| parse(text.trim()))).collect()
}

fn parse<T: ArrowPrimitiveType>(texts: &StringArray, parse: impl Fn(&str) -> Option<T::Native>) -> ArrayRef {
    Arc::new(parse_text::<T>(texts, parse))
}

fn convert<A: ArrowPrimitiveType, B: ArrowPrimitiveType>(
    array: &ArrayRef,
    convert: impl Fn(A::Native) -> Option<B::Native>,
) -> ArrayRef {
    Arc::new(array.as_primitive::<A>().unary_opt::<_, B>(convert))
}

fn parse_int(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| text.parse::<f64>().ok().and_then(whole))
}

/// A float as the integer it is, if it is one beyond doubt.
fn whole(value: f64) -> Option<i64> {
    let exact = value.fract() == 0.0 && value.abs() <= EXACT_FLOAT as f64;
    exact.then_some(value as i64)
}

/// An integer as the float it is, if one is exactly it.
fn exact(value: i64) -> Option<f64> {
    let float = value as f64;
    // 2^63 rounds up from i64::MAX, so the way back saturates and cannot be trusted there.
    (value.unsigned_abs() <= EXACT_FLOAT.unsigned_abs() || (float < 9.2e18 && float as i64 == value)).then_some(float)
}

fn parse_bool(text: &str) -> Option<bool> {
    match text.trim() {
        "true" | "True" | "TRUE" | "t" | "T" | "1" => Some(true),
        "false" | "False" | "FALSE" | "f" | "F" | "0" => Some(false),
        _ => None,
    }
}

fn parse_date(text: &str) -> Option<i32> {
    let day = text.get(..10)?;
    let rest = text.get(10..)?;
    let midnight = rest.is_empty() || matches!(rest.trim_start_matches(['T', ' ']), "00:00:00" | "00:00:00Z" | "00:00");
    midnight.then(|| Date32Type::parse(day)).flatten()
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int32Array, Int64Array, LargeStringArray};

    use super::*;

    fn cast(array: ArrayRef, to: DataType) -> (ArrayRef, Vec<usize>) {
        let casted = Cast::plan(array.data_type(), to).unwrap().apply(&array).unwrap();
        (casted.array, casted.failed.map(|f| f.set_indices().collect()).unwrap_or_default())
    }

    #[test]
    fn whole_floats_become_integers_and_others_fail() {
        let floats = Float64Array::from(vec![Some(5.0), Some(5.5), None, Some(-0.0), Some(f64::NAN), Some(1e300)]);

        let (array, failed) = cast(Arc::new(floats), DataType::Int64);

        assert_eq!(array.as_primitive::<Int64Type>().value(0), 5);
        assert_eq!(failed, [1, 4, 5]);
        assert!(array.is_null(2));
    }

    #[test]
    fn integers_become_floats_only_when_exact() {
        let ints = Int64Array::from(vec![1, (1 << 53) + 1, i64::MAX, i64::MIN + 1, 1 << 60]);

        let (_, failed) = cast(Arc::new(ints), DataType::Float64);

        assert_eq!(failed, [1, 2, 3]);
    }

    #[test]
    fn text_becomes_every_declared_type() {
        let text = |values: Vec<&str>| Arc::new(StringArray::from(values)) as ArrayRef;

        let (ints, failed) = cast(text(vec!["7", " 8 ", "9.0", "x", ""]), DataType::Int64);
        assert_eq!((ints.as_primitive::<Int64Type>().value(2), failed), (9, vec![3, 4]));
        let (days, failed) = cast(
            text(vec!["2013-01-02", "2013-01-02T00:00:00Z", "2013-01-02T05:00:00Z", "2013-13-02"]),
            DataType::Date,
        );
        assert_eq!((days.as_primitive::<Date32Type>().value(0), failed), (15_707, vec![2, 3]));
        let (times, failed) = cast(
            text(vec![
                "2013-01-01T05:00:00Z",
                "2013-01-01 05:00:00",
                "2013-01-01T00:00:00-05:00",
                "2013-01-01",
                "noon",
            ]),
            DataType::Timestamp,
        );
        let times = times.as_primitive::<TimestampMicrosecondType>();
        assert_eq!((times.value(0), times.value(1), failed), (times.value(2), times.value(0), vec![4]));
        let (_, failed) = cast(text(vec!["true", "F", "yes"]), DataType::Bool);
        assert_eq!(failed, [2]);
    }

    #[test]
    fn large_and_dictionary_text_become_plain_text() {
        let (array, failed) = cast(Arc::new(LargeStringArray::from(vec![Some("a"), None])), DataType::String);
        assert_eq!((array.data_type(), failed.len()), (&ArrowType::Utf8, 0));
        let dictionary: arrow::array::DictionaryArray<arrow::datatypes::Int32Type> =
            vec!["a", "b", "a"].into_iter().collect();
        let (array, failed) = cast(Arc::new(dictionary), DataType::String);
        assert_eq!((array.as_string::<i32>().value(2), failed.len()), ("a", 0));
    }

    #[test]
    fn what_means_something_else_is_refused_by_its_type() {
        assert!(Cast::plan(&ArrowType::Int64, DataType::Timestamp).is_err());
        assert!(Cast::plan(&ArrowType::new_list(ArrowType::Int64, true), DataType::Int64).is_err());
        // as JSON, which is text
        assert!(Cast::plan(&ArrowType::new_list(ArrowType::Int64, true), DataType::String).is_ok());
        assert!(Cast::plan(Int32Array::from(vec![1]).data_type(), DataType::Float64).is_ok());
    }

    #[test]
    fn lists_of_instants_become_seconds_and_maps_become_objects() {
        use arrow::array::{ListBuilder, MapBuilder, StringBuilder, TimestampMicrosecondBuilder};

        let mut instants = ListBuilder::new(TimestampMicrosecondBuilder::new());
        instants.append_value([Some(1_795_748_414_000_000_i64), None]);
        instants.append_null();
        instants.append(true);
        let (array, failed) = cast(Arc::new(instants.finish()), DataType::String);
        let texts: Vec<Option<&str>> = array.as_string::<i32>().iter().collect();
        assert_eq!((texts, failed.len()), (vec![Some("[1795748414,null]"), None, Some("[]")], 0));

        let mut between = ListBuilder::new(TimestampMicrosecondBuilder::new());
        between.append_value([Some(1_500_000_i64)]);
        let (array, _) = cast(Arc::new(between.finish()), DataType::String);
        assert_eq!(array.as_string::<i32>().value(0), "[1.5]");

        let mut maps = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
        maps.keys().append_value("colour");
        maps.values().append_value("blue");
        maps.append(true).unwrap();
        maps.append(false).unwrap();
        let (array, failed) = cast(Arc::new(maps.finish()), DataType::String);
        let texts: Vec<Option<&str>> = array.as_string::<i32>().iter().collect();
        assert_eq!((texts, failed.len()), (vec![Some(r#"{"colour":"blue"}"#), None], 0));
    }

    #[test]
    fn every_zone_and_unit_becomes_microseconds_in_utc() {
        let nanos = arrow::array::TimestampNanosecondArray::from(vec![1_000_000_000]).with_timezone("-05:00");
        let (array, failed) = cast(Arc::new(nanos), DataType::Timestamp);
        assert_eq!(array.data_type(), &arrow_type(DataType::Timestamp));
        assert_eq!((array.as_primitive::<TimestampMicrosecondType>().value(0), failed.len()), (1_000_000, 0));
    }
}
