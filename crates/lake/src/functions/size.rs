//! What values take in memory, told from offsets and lengths where that can be.
//!
//! All of it errs on the side of more: values under nulls count, and so does a shared value each time it is named.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, GenericListArray, OffsetSizeTrait};
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::ColumnarValue;

/// What a value takes beside its bytes: an offset or a view, and whether it is null.
pub(super) const SLOT_BYTES: u64 = 16;

/// A count as bytes are counted.
pub(super) fn count(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// A sum that stays at the greatest number there is.
pub(super) fn sum(parts: impl IntoIterator<Item = u64>) -> u64 {
    parts.into_iter().fold(0, u64::saturating_add)
}

/// The bytes of an argument's values, in all rows of a batch.
pub(super) fn total(value: &ColumnarValue, rows: u64) -> u64 {
    match value {
        ColumnarValue::Array(array) => bytes(array.as_ref()),
        ColumnarValue::Scalar(value) => rows.saturating_mul(bytes_of_scalar(value)),
    }
}

/// The bytes of the largest of an argument's values.
pub(super) fn largest(value: &ColumnarValue) -> u64 {
    match value {
        ColumnarValue::Array(array) => widest(array.as_ref()),
        ColumnarValue::Scalar(value) => bytes_of_scalar(value),
    }
}

/// How many items the lists of an argument have, those of lists inside of lists among them, in all rows of a batch.
pub(super) fn items(value: &ColumnarValue, rows: u64) -> u64 {
    match value {
        ColumnarValue::Array(array) => items_of(array.as_ref()),
        ColumnarValue::Scalar(value) => nested(value).map_or(0, |array| rows.saturating_mul(items_of(array))),
    }
}

/// The bytes of an array's values.
pub(super) fn bytes(array: &dyn Array) -> u64 {
    let rows = count(array.len());
    let of_values = match array.data_type() {
        DataType::Utf8 => stretch(array.as_string::<i32>().value_offsets()).1,
        DataType::LargeUtf8 => stretch(array.as_string::<i64>().value_offsets()).1,
        DataType::Binary => stretch(array.as_binary::<i32>().value_offsets()).1,
        DataType::LargeBinary => stretch(array.as_binary::<i64>().value_offsets()).1,
        DataType::Utf8View => array.as_string_view().lengths().map(|length| length as usize).sum(),
        DataType::BinaryView => array.as_binary_view().lengths().map(|length| length as usize).sum(),
        DataType::Struct(_) => {
            return sum(array.as_struct().columns().iter().map(|part| bytes(part.as_ref())));
        }
        DataType::Dictionary(..) => {
            let value = widest(array.as_any_dictionary().values().as_ref());
            return rows.saturating_mul(value.saturating_add(SLOT_BYTES));
        }
        DataType::RunEndEncoded(..) => return rows.saturating_mul(count(array.get_array_memory_size())),
        DataType::Union(..) => return count(array.get_array_memory_size()),
        other => {
            return match inner(array) {
                Some(Inner::Once(values)) => rows.saturating_mul(SLOT_BYTES).saturating_add(bytes(values.as_ref())),
                Some(Inner::Shared(values)) => rows.saturating_mul(bytes(values.as_ref()).saturating_add(SLOT_BYTES)),
                None => rows.saturating_mul(slot(other)),
            };
        }
    };
    // an offset, or a view that holds what is short
    count(of_values).saturating_add(rows.saturating_mul(8))
}

/// The bytes of a value, without what it takes beside them.
pub(super) fn bytes_of_scalar(value: &ScalarValue) -> u64 {
    match value {
        ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text) | ScalarValue::Utf8View(text) => {
            text.as_ref().map_or(0, |text| count(text.len()))
        }
        ScalarValue::Binary(binary)
        | ScalarValue::LargeBinary(binary)
        | ScalarValue::BinaryView(binary)
        | ScalarValue::FixedSizeBinary(_, binary) => binary.as_ref().map_or(0, |binary| count(binary.len())),
        ScalarValue::Dictionary(_, value) | ScalarValue::RunEndEncoded(_, _, value) => bytes_of_scalar(value),
        other => nested(other).map_or(SLOT_BYTES, bytes),
    }
}

/// What a null of a type takes, and the least that any value of it does. Types of a fixed width take it for nulls too.
pub(super) fn slot(data_type: &DataType) -> u64 {
    let times = |size: &i32, each: u64| u64::try_from(*size).unwrap_or(0).saturating_mul(each);
    match data_type {
        DataType::Null | DataType::Boolean => 1,
        DataType::FixedSizeBinary(size) => times(size, 1),
        DataType::FixedSizeList(item, size) => times(size, slot(item.data_type())),
        DataType::Struct(fields) => sum(fields.iter().map(|field| slot(field.data_type()))).max(1),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::Map(item, _)
        | DataType::RunEndEncoded(_, item) => slot(item.data_type()).max(SLOT_BYTES),
        DataType::Dictionary(_, value) => slot(value).max(SLOT_BYTES),
        other => other.primitive_width().map_or(SLOT_BYTES, count),
    }
}

/// The bytes of the largest value of an array; of nested values the bytes of all.
fn widest(array: &dyn Array) -> u64 {
    let longest = match array.data_type() {
        DataType::Utf8 => longest(array.as_string::<i32>().value_offsets()),
        DataType::LargeUtf8 => longest(array.as_string::<i64>().value_offsets()),
        DataType::Binary => longest(array.as_binary::<i32>().value_offsets()),
        DataType::LargeBinary => longest(array.as_binary::<i64>().value_offsets()),
        DataType::Utf8View => array.as_string_view().lengths().max().map_or(0, |length| length as usize),
        DataType::BinaryView => array.as_binary_view().lengths().max().map_or(0, |length| length as usize),
        DataType::Dictionary(..) | DataType::RunEndEncoded(..) => return bytes(array),
        other if other.is_nested() => return bytes(array),
        other => return slot(other),
    };
    count(longest)
}

fn items_of(array: &dyn Array) -> u64 {
    match inner(array) {
        Some(Inner::Once(values)) => count(values.len()).saturating_add(items_of(values.as_ref())),
        Some(Inner::Shared(values)) => {
            let each = count(values.len()).saturating_add(items_of(values.as_ref()));
            count(array.len()).saturating_mul(each)
        }
        None => 0,
    }
}

/// What the lists of an array are made of.
enum Inner {
    /// Each item is in one list.
    Once(ArrayRef),
    /// An item may be in many lists.
    Shared(ArrayRef),
}

fn inner(array: &dyn Array) -> Option<Inner> {
    Some(match array.data_type() {
        DataType::List(_) => Inner::Once(listed(array.as_list::<i32>())),
        DataType::LargeList(_) => Inner::Once(listed(array.as_list::<i64>())),
        DataType::FixedSizeList(..) => Inner::Once(array.as_fixed_size_list().values().clone()),
        DataType::Map(..) => {
            let map = array.as_map();
            let (start, length) = stretch(map.value_offsets());
            Inner::Once(Arc::new(map.entries().slice(start, length)))
        }
        DataType::ListView(_) => Inner::Shared(array.as_list_view::<i32>().values().clone()),
        DataType::LargeListView(_) => Inner::Shared(array.as_list_view::<i64>().values().clone()),
        _ => return None,
    })
}

fn listed<O: OffsetSizeTrait>(lists: &GenericListArray<O>) -> ArrayRef {
    let (start, length) = stretch(lists.value_offsets());
    lists.values().slice(start, length)
}

/// Where the values of an array begin, and how far they reach.
fn stretch<O: OffsetSizeTrait>(offsets: &[O]) -> (usize, usize) {
    match (offsets.first(), offsets.last()) {
        (Some(first), Some(last)) => (first.as_usize(), last.as_usize() - first.as_usize()),
        _ => (0, 0),
    }
}

fn longest<O: OffsetSizeTrait>(offsets: &[O]) -> usize {
    offsets.windows(2).map(|pair| pair[1].as_usize() - pair[0].as_usize()).max().unwrap_or(0)
}

/// The array of one value that a nested value is.
fn nested(value: &ScalarValue) -> Option<&dyn Array> {
    match value {
        ScalarValue::List(array) => Some(&**array),
        ScalarValue::LargeList(array) => Some(&**array),
        ScalarValue::FixedSizeList(array) => Some(&**array),
        ScalarValue::ListView(array) => Some(&**array),
        ScalarValue::LargeListView(array) => Some(&**array),
        ScalarValue::Struct(array) => Some(&**array),
        ScalarValue::Map(array) => Some(&**array),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, ListArray, StringArray, StringViewArray};
    use arrow::datatypes::{Field, Int64Type};

    use super::*;

    #[test]
    fn a_part_of_an_array_counts_as_that_part_alone() {
        let texts = StringArray::from(vec!["a".repeat(1_000), "b".repeat(10), "c".repeat(20)]);
        let views: StringViewArray = texts.iter().collect();
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![
            Some(vec![Some(1); 100]),
            None,
            Some(vec![Some(1), Some(2)]),
        ]);

        assert_eq!(bytes(&texts.slice(1, 2)), 30 + 2 * 8);
        assert_eq!(bytes(&views.slice(1, 2)), 30 + 2 * 8);
        assert_eq!(widest(&texts.slice(1, 2)), 20);
        assert_eq!(bytes(&lists.slice(1, 2)), 2 * SLOT_BYTES + 2 * 8);
        assert_eq!(items_of(&lists.slice(1, 2)), 2);
        assert_eq!(items_of(&lists), 102);
        assert_eq!(bytes(&Int64Array::from(vec![1, 2, 3])), 24);
    }

    #[test]
    fn a_constant_counts_once_for_each_row() {
        let text = ColumnarValue::Scalar(ScalarValue::from("abc"));
        let list = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1), Some(2)])]);
        let list = ColumnarValue::Scalar(ScalarValue::List(Arc::new(list)));

        assert_eq!((total(&text, 100), largest(&text)), (300, 3));
        assert_eq!(items(&list, 100), 200);
        assert_eq!(total(&ColumnarValue::Scalar(ScalarValue::Utf8(None)), 100), 0);
    }

    #[test]
    fn a_type_of_a_fixed_width_takes_it_for_nulls_too() {
        let item = |data_type: DataType| Arc::new(Field::new_list_field(data_type, true));
        let wide = DataType::FixedSizeList(item(DataType::Int32), 1_000);

        assert_eq!(slot(&wide), 4_000);
        assert_eq!(slot(&DataType::List(item(wide.clone()))), 4_000);
        assert_eq!(slot(&DataType::FixedSizeList(item(wide), i32::MAX)), 4_000 * i32::MAX as u64);
        assert_eq!(slot(&DataType::Utf8), SLOT_BYTES);
    }
}
