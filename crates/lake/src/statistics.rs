//! What a log entry tells of a data file, so that readers can skip it: rows, nulls, least and greatest values.

use arrow::array::{ArrayRef, AsArray, BooleanArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type, Schema, TimestampMicrosecondType, UInt64Type};
use jiff::Timestamp;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::errors::Result;
use parquet::file::metadata::ParquetMetaData;
use serde_json::{Map, Value, json};

/// How many leading columns are told of, as other writers do: each costs bytes in the log.
const COLUMNS_TOLD: usize = 32;

/// The statistics of a file, in the JSON of the log.
pub(crate) fn of_file(schema: &Schema, file: &ParquetMetaData) -> Result<String> {
    let (mut least, mut greatest, mut nulls) = (Map::new(), Map::new(), Map::new());
    for field in schema.fields().iter().take(COLUMNS_TOLD).filter(|field| !field.data_type().is_nested()) {
        let column = StatisticsConverter::try_new(field.name(), schema, file.file_metadata().schema_descr())?;
        let groups = || file.row_groups().iter();
        let counts = column.row_group_null_counts(groups())?;
        if counts.null_count_is_zero() {
            let sum: u64 = counts.iter().flatten().sum();
            nulls.insert(field.name().clone(), json!(sum));
        }
        // a shortened text is no value of the column
        if !all_true(&column.row_group_is_min_value_exact(groups())?)
            || !all_true(&column.row_group_is_max_value_exact(groups())?)
        {
            continue;
        }
        if let Some((low, high)) = bounds(&column.row_group_mins(groups())?, &column.row_group_maxes(groups())?) {
            least.insert(field.name().clone(), low);
            greatest.insert(field.name().clone(), high);
        }
    }
    let rows = file.file_metadata().num_rows();
    Ok(json!({"numRecords": rows, "minValues": least, "maxValues": greatest, "nullCount": nulls}).to_string())
}

trait NullCountIsZero {
    fn null_count_is_zero(&self) -> bool;
}

impl NullCountIsZero for arrow::array::PrimitiveArray<UInt64Type> {
    fn null_count_is_zero(&self) -> bool {
        arrow::array::Array::null_count(self) == 0
    }
}

fn all_true(exact: &BooleanArray) -> bool {
    // a row group of nothing but nulls has no bounds and takes none away
    exact.iter().flatten().all(|exact| exact)
}

/// The bounds over all row groups; none when the type has none in the log or a row group does not tell.
fn bounds(mins: &ArrayRef, maxes: &ArrayRef) -> Option<(Value, Value)> {
    match mins.data_type() {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            let (mins, maxes) = (cast(mins, &DataType::Int64).ok()?, cast(maxes, &DataType::Int64).ok()?);
            let low = mins.as_primitive::<Int64Type>().iter().flatten().min()?;
            let high = maxes.as_primitive::<Int64Type>().iter().flatten().max()?;
            Some((json!(low), json!(high)))
        }
        DataType::Float32 | DataType::Float64 => {
            let (mins, maxes) = (cast(mins, &DataType::Float64).ok()?, cast(maxes, &DataType::Float64).ok()?);
            let low = mins.as_primitive::<Float64Type>().iter().flatten().min_by(f64::total_cmp)?;
            let high = maxes.as_primitive::<Float64Type>().iter().flatten().max_by(f64::total_cmp)?;
            (low.is_finite() && high.is_finite()).then(|| (json!(low), json!(high)))
        }
        DataType::Utf8 => {
            let low = mins.as_string::<i32>().iter().flatten().min()?;
            let high = maxes.as_string::<i32>().iter().flatten().max()?;
            Some((json!(low), json!(high)))
        }
        DataType::Date32 => {
            let low = mins.as_primitive::<Date32Type>().iter().flatten().min()?;
            let high = maxes.as_primitive::<Date32Type>().iter().flatten().max()?;
            Some((json!(date(low)?), json!(date(high)?)))
        }
        DataType::Timestamp(_, _) => {
            let low = mins.as_primitive_opt::<TimestampMicrosecondType>()?.iter().flatten().min()?;
            let high = maxes.as_primitive_opt::<TimestampMicrosecondType>()?.iter().flatten().max()?;
            Some((json!(moment(low)?), json!(moment(high)?)))
        }
        _ => None,
    }
}

fn date(days: i32) -> Option<String> {
    let date = jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().try_days(days).ok()?).ok()?;
    Some(date.to_string())
}

fn moment(micros: i64) -> Option<String> {
    let moment = Timestamp::from_microsecond(micros).ok()?;
    Some(format!("{moment:.6}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Date32Array, Float64Array, Int32Array, StringArray, TimestampMicrosecondArray};
    use arrow::datatypes::Field;
    use arrow::record_batch::RecordBatch;
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::WriterProperties;

    use super::*;
    use crate::reshape::timestamp_type;

    #[test]
    fn bounds_span_row_groups_and_shortened_texts_are_left_out() {
        let schema = Arc::new(Schema::new(vec![
            Field::new("n", DataType::Int32, true),
            Field::new("x", DataType::Float64, true),
            Field::new("s", DataType::Utf8, true),
            Field::new("long", DataType::Utf8, true),
            Field::new("d", DataType::Date32, true),
            Field::new("t", timestamp_type(), true),
        ]));
        let long = "z".repeat(500);
        let batch = RecordBatch::try_new(
            schema.clone(),
            vec![
                Arc::new(Int32Array::from(vec![Some(5), None, Some(-2)])),
                Arc::new(Float64Array::from(vec![0.5, 2.5, 1.5])),
                Arc::new(StringArray::from(vec!["b", "c", "a"])),
                Arc::new(StringArray::from(vec!["a", "b", long.as_str()])),
                Arc::new(Date32Array::from(vec![0, 366, -1])),
                Arc::new(TimestampMicrosecondArray::from(vec![0, 1, 2]).with_timezone("UTC")),
            ],
        )
        .unwrap();
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(2)).build();
        let mut writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        let file = writer.finish().unwrap();

        let told: Value = serde_json::from_str(&of_file(&schema, &file).unwrap()).unwrap();

        assert_eq!(
            told,
            json!({
                "numRecords": 3,
                "minValues": {"n": -2, "x": 0.5, "s": "a", "d": "1969-12-31", "t": "1970-01-01T00:00:00.000000Z"},
                "maxValues": {"n": 5, "x": 2.5, "s": "c", "d": "1971-01-02", "t": "1970-01-01T00:00:00.000002Z"},
                "nullCount": {"n": 1, "x": 0, "s": 0, "long": 0, "d": 0, "t": 0},
            })
        );
    }
}
