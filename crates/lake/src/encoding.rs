//! How a column is encoded, told by its first rows.
//!
//! A dictionary costs a hash table's look-up a value, and pays where values repeat within a row group. Where they do not,
//! it is as large as the values themselves, with the references on top, and slow to build. So columns whose values hardly
//! repeat go without: integers and times as packed differences, which hold an ascending column in next to nothing, others
//! as they are. A wrong guess costs room or time, never a value.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::config::ParquetColumnOptions;

/// Fewer values prove nothing.
const VALUES_MIN: usize = 4096;
/// A dictionary pays up to so many times as many different values as a row group has rows: beyond, more than half of
/// the row group's values are in its dictionary, which with the references is larger than the values.
const DIFFERENT_MAX: f64 = 1.25;

/// The columns that are not encoded as by default, by name, for row groups of so many rows.
pub(crate) fn of_columns(first: &RecordBatch, row_group_rows: usize) -> HashMap<String, ParquetColumnOptions> {
    let schema = first.schema();
    let columns = schema.fields().iter().zip(first.columns());
    columns
        .filter(|(_, array)| is_worth_a_look(array) && !repeats(array, row_group_rows))
        .map(|(field, array)| {
            let options = ParquetColumnOptions {
                dictionary_enabled: Some(false),
                encoding: is_whole(array.data_type()).then(|| "delta_binary_packed".to_owned()),
                ..ParquetColumnOptions::default()
            };
            (field.name().clone(), options)
        })
        .collect()
}

fn is_worth_a_look(array: &ArrayRef) -> bool {
    let is_flat = !array.data_type().is_nested() && array.data_type() != &DataType::Boolean;
    is_flat && array.len() - array.null_count() >= VALUES_MIN
}

/// Whether a column repeats enough of its values for a dictionary.
///
/// Of `n` values drawn from `different`, about `n² / 2 different` repeat one that came before.
fn repeats(array: &ArrayRef, row_group_rows: usize) -> bool {
    let mut hashes = vec![0; array.len()];
    if create_hashes([array], &RandomState::default(), &mut hashes).is_err() {
        return true;
    }
    hashes.sort_unstable();
    hashes.dedup();
    let values = (array.len() - array.null_count()) as f64;
    let different = (hashes.len() - usize::from(array.null_count() > 0)) as f64;
    values - different > values * values / (2.0 * DIFFERENT_MAX * row_group_rows as f64)
}

/// Whether values are stored as whole numbers of 32 or 64 bits.
fn is_whole(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Int32 | DataType::Int64 | DataType::Date32 | DataType::Timestamp(_, _))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int64Array, StringArray};

    use super::*;

    const ROW_GROUP: usize = 128 * 1024;

    /// Numbers that look drawn, below a bound.
    fn drawn(rows: u64, below: u64) -> impl Iterator<Item = u64> + Clone {
        (0..rows).map(move |row| (row.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(row << 7) >> 20) % below)
    }

    fn encodings(rows: u64) -> HashMap<String, ParquetColumnOptions> {
        let ints = |below| -> ArrayRef { Arc::new(Int64Array::from_iter_values(drawn(rows, below).map(|v| v as i64))) };
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values(drawn(rows, 1 << 40).map(|v| v.to_string())));
        let floats: ArrayRef =
            Arc::new(Float64Array::from_iter(drawn(rows, 1 << 40).map(|v| (v % 7 > 0).then_some(v as f64))));
        let columns = [
            ("few", ints(400)),
            ("many", ints(9_000)),
            ("own", ints(1 << 40)),
            ("text", texts),
            ("float", floats),
            ("none", Arc::new(Int64Array::new_null(rows as usize))),
        ];
        of_columns(&RecordBatch::try_from_iter_with_nullable(columns.map(|(n, a)| (n, a, true))).unwrap(), ROW_GROUP)
    }

    #[test]
    fn only_columns_whose_values_hardly_repeat_go_without_a_dictionary() {
        for rows in [8_192, 16_384] {
            let told = encodings(rows);

            let mut names: Vec<&str> = told.keys().map(String::as_str).collect();
            names.sort_unstable();
            assert_eq!(names, ["float", "own", "text"], "of {rows} rows");
            assert_eq!(told["own"].encoding.as_deref(), Some("delta_binary_packed"));
            assert_eq!((told["text"].dictionary_enabled, &told["text"].encoding), (Some(false), &None));
        }
    }

    #[test]
    fn few_rows_prove_nothing() {
        assert!(encodings(1_000).is_empty());
    }
}
