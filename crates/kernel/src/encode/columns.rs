//! Encoding of Arrow columns: the type of each is looked at once, its cells then go through the same rules as a request's.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};

use super::{EncodedInput, Encoder, Matrix, Value};
use crate::Error;

impl Encoder {
    /// Encodes the columns of a batch that carry the names of the inputs; others are passed over.
    ///
    /// # Errors
    /// When an input has no column, or one of a type that is no number, text, truth or time.
    pub fn encode_batch(&self, batch: &RecordBatch) -> Result<Matrix, Error> {
        let (rows, columns) = (batch.num_rows(), self.columns());
        let mut matrix = Matrix { rows, columns, values: vec![f64::NAN; rows * columns] };
        for input in &self.inputs {
            let column =
                batch.column_by_name(&input.name).ok_or_else(|| Error::MissingInput(input.name.clone()))?.as_ref();
            encode_column(input, column, &mut matrix)?;
        }
        Ok(matrix)
    }
}

#[expect(clippy::cast_possible_wrap, reason = "an unsigned 64-bit input above 2^63 is beyond what a column declares")]
fn encode_column(input: &EncodedInput, column: &dyn Array, matrix: &mut Matrix) -> Result<(), Error> {
    macro_rules! cells {
        ($array:expr, $value:expr) => {{
            let array = $array;
            fill(input, column, matrix, |row| $value(array.value(row)))
        }};
    }
    macro_rules! primitive {
        ($kind:ty, $value:expr) => {
            cells!(column.as_primitive::<$kind>(), $value)
        };
    }
    let whole = Value::Int;
    match column.data_type() {
        DataType::Float64 => primitive!(Float64Type, Value::Float),
        DataType::Float32 => primitive!(Float32Type, |x| Value::Float(f64::from(x))),
        DataType::Int64 => primitive!(Int64Type, whole),
        DataType::Int32 => primitive!(Int32Type, |x| whole(i64::from(x))),
        DataType::Int16 => primitive!(Int16Type, |x| whole(i64::from(x))),
        DataType::Int8 => primitive!(Int8Type, |x| whole(i64::from(x))),
        DataType::UInt64 => primitive!(UInt64Type, |x| whole(x as i64)),
        DataType::UInt32 => primitive!(UInt32Type, |x| whole(i64::from(x))),
        DataType::UInt16 => primitive!(UInt16Type, |x| whole(i64::from(x))),
        DataType::UInt8 => primitive!(UInt8Type, |x| whole(i64::from(x))),
        DataType::Date32 => primitive!(Date32Type, |x| whole(i64::from(x))),
        DataType::Timestamp(TimeUnit::Second, _) => {
            primitive!(TimestampSecondType, |x: i64| Value::Timestamp(x.saturating_mul(1_000_000)))
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            primitive!(TimestampMillisecondType, |x: i64| Value::Timestamp(x.saturating_mul(1_000)))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => primitive!(TimestampMicrosecondType, Value::Timestamp),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            primitive!(TimestampNanosecondType, |x: i64| Value::Timestamp(x.div_euclid(1_000)))
        }
        DataType::Boolean => cells!(column.as_boolean(), Value::Bool),
        DataType::Utf8 => cells!(column.as_string::<i32>(), Value::Text),
        DataType::LargeUtf8 => cells!(column.as_string::<i64>(), Value::Text),
        DataType::Utf8View => cells!(column.as_string_view(), Value::Text),
        DataType::Null => fill(input, column, matrix, |_| Value::Null),
        DataType::Dictionary(_, values) => {
            let plain = arrow::compute::cast(column, values)
                .map_err(|_| Error::InputType { input: input.name.clone(), found: column.data_type().to_string() })?;
            return encode_column(input, plain.as_ref(), matrix);
        }
        other => return Err(Error::InputType { input: input.name.clone(), found: other.to_string() }),
    }
    Ok(())
}

fn fill<'a>(input: &EncodedInput, column: &dyn Array, matrix: &mut Matrix, value: impl Fn(usize) -> Value<'a>) {
    if matrix.columns == 0 {
        return;
    }
    let nulls = column.logical_nulls();
    for (number, row) in matrix.values.chunks_exact_mut(matrix.columns).enumerate() {
        let is_null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(number));
        input.encode(if is_null { Value::Null } else { value(number) }, row);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, BooleanArray, DictionaryArray, Float32Array, Int64Array, ListArray, NullArray, StringArray,
        TimestampSecondArray,
    };

    use super::*;
    use crate::artifact::Encoding;
    use crate::encode::tests::encoder;

    fn batch(columns: Vec<ArrayRef>) -> RecordBatch {
        let named = columns.into_iter().enumerate().map(|(number, column)| (format!("x{number}"), column, true));
        RecordBatch::try_from_iter_with_nullable(named).unwrap()
    }

    #[test]
    fn columns_encode_as_the_values_of_a_request_do() {
        let airports = || Encoding::Category { values: vec!["JFK".into(), "EWR".into()] };
        let encoder = encoder(vec![Encoding::Number, airports(), Encoding::Number, Encoding::Number, airports()]);
        let text: StringArray = vec![Some("EWR"), None].into();
        let dictionary: DictionaryArray<Int32Type> = vec![Some("JFK"), Some("LGA")].into_iter().collect();
        let batch = batch(vec![
            Arc::new(Float32Array::from(vec![Some(0.5), None])),
            Arc::new(text),
            Arc::new(BooleanArray::from(vec![true, false])),
            Arc::new(TimestampSecondArray::from(vec![3, -1])),
            Arc::new(dictionary),
        ]);
        let mut expected = [0.0; 10];
        let (first, second) = expected.split_at_mut(5);
        encoder.encode_row(
            [Value::Float(0.5), Value::Text("EWR"), Value::Bool(true), Value::Timestamp(3_000_000), Value::Text("JFK")],
            first,
        );
        encoder.encode_row(
            [Value::Null, Value::Null, Value::Bool(false), Value::Timestamp(-1_000_000), Value::Text("LGA")],
            second,
        );

        let matrix = encoder.encode_batch(&batch).unwrap();

        assert_eq!((matrix.rows, matrix.columns), (2, 5));
        let bits = |row: &[f64]| row.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&matrix.values), bits(&expected));
    }

    #[test]
    fn a_column_that_is_not_there_or_no_scalar_is_named() {
        let encoder = encoder(vec![Encoding::Number, Encoding::Number]);
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1)])]);
        let one = batch(vec![Arc::new(Int64Array::from(vec![1]))]);
        let list = batch(vec![Arc::new(NullArray::new(1)), Arc::new(lists)]);

        assert!(matches!(encoder.encode_batch(&one), Err(Error::MissingInput(name)) if name == "x1"));
        assert!(matches!(encoder.encode_batch(&list), Err(Error::InputType { input, .. }) if input == "x1"));
    }
}
