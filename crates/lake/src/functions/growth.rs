//! How much a function can make of its arguments.
//!
//! A bound looks at a batch as a whole: the bytes of a column times the greatest count, not row by row. One long text
//! and one great count in different rows make it too high; the guard then asks again for parts of the batch, down to
//! one row.

use arrow::array::{AsArray, Int64Array};
use arrow::compute::{cast, max};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, Expr};

use super::series;
use super::size::{SLOT_BYTES, bytes_of_scalar, count, items, largest, slot, sum, total};

/// The most bytes of a character.
const CHARACTER_BYTES_MAX: u64 = 4;
/// The most bytes that one byte of a time's format stands for: `%c` is `Mon Jan  1 00:00:00 2024`, `%+` a time with its
/// nanoseconds and zone.
const FORMATTED_BYTES_MAX: u64 = 32;
/// The most bytes of a duration, which is written without a format.
const DURATION_BYTES_MAX: u64 = 128;
/// The most digits of a float that is written without an exponent, with sign and point.
const FLOAT_BYTES_MAX: u64 = 330;
/// The most bytes of any other number or time as text, decimals of 256 bits among them.
const NUMBER_BYTES_MAX: u64 = 80;
/// What a list's item takes beside its bytes while lists are made: its offset and the place that it is taken from.
const ITEM_BYTES: u64 = 8;

/// The ways in which results grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Growth {
    /// Each byte of the arguments is in the result at most so many times.
    Times(u64),
    /// A text, as often as a number says.
    Repeat,
    /// A text made as long as a number says.
    Pad,
    /// A text in which each occurrence of a second one becomes a third.
    Replace,
    /// A text in which each match of a pattern becomes another text, which may name parts of the match.
    RegexpReplace,
    /// What each group of a pattern matched.
    RegexpMatch,
    /// All arguments but the first, with the first between them.
    Separate,
    /// A time, written by a format.
    Format,
    /// The numbers or times from one to another.
    Series,
    /// A list of a value, as often as a number says.
    ListRepeat,
    /// A list made as long as a number says.
    ListResize,
    /// A list in which items become another value.
    ListReplace,
    /// The places of items in a list.
    ListPositions,
    /// Lists side by side, each as long as the longest.
    ListZip,
    /// The items of a list as text, with a second text between them and a third for nulls.
    ListJoin,
    /// A cast to a type that an argument says. It is simplified away, and its type is all there is to check.
    Cast,
}

impl Growth {
    /// The most bytes that the result of a batch takes, and what is made on the way to it.
    ///
    /// # Errors
    /// When the arguments are not of the function's types.
    pub(super) fn bytes_max(self, args: &[ColumnarValue], rows: usize) -> Result<u64> {
        let rows = count(rows);
        let all = sum(args.iter().map(|arg| total(arg, rows)));
        let made = match (self, args) {
            (Self::Times(times), _) => all.saturating_mul(times.saturating_sub(1)),
            (Self::Repeat, [text, times]) => total(text, rows).saturating_mul(greatest(times)?),
            (Self::Pad, [_, length, ..]) => rows.saturating_mul(greatest(length)?).saturating_mul(CHARACTER_BYTES_MAX),
            (Self::Replace, [text, from, to]) => {
                let found = total(text, rows).checked_div(shortest(from)).unwrap_or(0);
                found.saturating_mul(largest(to))
            }
            (Self::RegexpReplace, [text, _, replacement, flags @ ..]) => {
                let is_everywhere =
                    flags.first().is_some_and(|flags| text_of(flags).is_none_or(|text| text.contains('g')));
                let length = total(text, rows);
                let matches = if is_everywhere { length.saturating_add(rows) } else { rows };
                let references =
                    text_of(replacement).map_or(largest(replacement), |text| occurrences(text, &['$', '\\']));
                // matches do not overlap, so that all that one reference stands for is in the text once
                matches.saturating_mul(largest(replacement)).saturating_add(length.saturating_mul(references))
            }
            (Self::RegexpMatch, [text, pattern, ..]) => {
                let groups =
                    text_of(pattern).map_or(largest(pattern), |text| occurrences(text, &['('])).saturating_add(1);
                total(text, rows).saturating_add(rows.saturating_mul(SLOT_BYTES)).saturating_mul(groups)
            }
            (Self::Separate, [separator, values @ ..]) => total(separator, rows).saturating_mul(count(values.len())),
            (Self::Format, [_, format]) => {
                let formatted = total(format, rows).saturating_mul(FORMATTED_BYTES_MAX);
                formatted.saturating_add(rows.saturating_mul(DURATION_BYTES_MAX))
            }
            (Self::Series, _) => series::bytes_max(args, rows)?,
            (Self::ListRepeat, [value, times]) => {
                let once = total(value, rows).saturating_add(items(value, rows).saturating_mul(ITEM_BYTES));
                once.saturating_add(rows.saturating_mul(SLOT_BYTES)).saturating_mul(greatest(times)?)
            }
            (Self::ListResize, [list, length, fill @ ..]) => {
                let each = slot_of_item(list).max(fill.first().map_or(0, largest)).saturating_add(ITEM_BYTES);
                // what lists are filled with is made once more, for the one that lacks the most
                rows.saturating_add(1).saturating_mul(greatest(length)?).saturating_mul(each)
            }
            (Self::ListReplace, [list, _, to, ..]) => items(list, rows).saturating_mul(largest(to)),
            (Self::ListPositions, [list, ..]) => items(list, rows).saturating_mul(ITEM_BYTES),
            (Self::ListZip, _) => {
                let length = sum(args.iter().map(|arg| items(arg, rows)));
                let each = sum(args.iter().map(slot_of_item));
                length.saturating_mul(each)
            }
            (Self::ListJoin, [list, words @ ..]) => {
                let words = sum(words.iter().map(largest));
                items(list, rows).saturating_mul(words.saturating_add(text_bytes_of_item(&list.data_type())))
            }
            _ => 0,
        };
        let slots = rows.saturating_mul(SLOT_BYTES).saturating_mul(count(args.len()));
        Ok(made.saturating_add(all).saturating_add(slots))
    }

    /// The most bytes of the constant that simplifying a call may join its constant arguments to.
    pub(super) fn joined_bytes_max(self, args: &[Expr]) -> u64 {
        let of = |arg: &Expr| match arg {
            Expr::Literal(value, _) => bytes_of_scalar(value),
            _ => 0,
        };
        let all = sum(args.iter().map(of));
        match (self, args) {
            (Self::Times(_), _) => all,
            (Self::Separate, [separator, values @ ..]) => {
                all.saturating_add(of(separator).saturating_mul(count(values.len())))
            }
            _ => 0,
        }
    }
}

/// A constant text, where the argument is one.
fn text_of(value: &ColumnarValue) -> Option<&str> {
    match value {
        ColumnarValue::Scalar(value) => value.try_as_str().flatten(),
        ColumnarValue::Array(_) => None,
    }
}

fn occurrences(text: &str, of: &[char]) -> u64 {
    count(text.chars().filter(|character| of.contains(character)).count())
}

/// The bytes of the shortest text that is looked for; none where nothing is found.
fn shortest(from: &ColumnarValue) -> u64 {
    match from {
        ColumnarValue::Scalar(_) => text_of(from).map_or(0, |text| count(text.len())),
        ColumnarValue::Array(_) => 1,
    }
}

/// The greatest number of an argument, zero where all are below it or null.
fn greatest(value: &ColumnarValue) -> Result<u64> {
    Ok(max(&integers(value)?).map_or(0, |greatest| u64::try_from(greatest).unwrap_or(0)))
}

/// The values of an argument as integers: one for all rows where it is constant.
pub(super) fn integers(value: &ColumnarValue) -> Result<Int64Array> {
    let array = match value {
        ColumnarValue::Array(array) => cast(array, &DataType::Int64)?,
        ColumnarValue::Scalar(value) => cast(&value.to_array_of_size(1)?, &DataType::Int64)?,
    };
    Ok(array.as_primitive::<Int64Type>().clone())
}

/// What an item of an argument's lists takes at the least.
fn slot_of_item(list: &ColumnarValue) -> u64 {
    match list.data_type() {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => slot(item.data_type()),
        _ => SLOT_BYTES,
    }
}

/// The most bytes of an item as text, beside those that it has as text already.
fn text_bytes_of_item(data_type: &DataType) -> u64 {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            text_bytes_of_item(item.data_type())
        }
        DataType::Dictionary(_, value) => text_bytes_of_item(value),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => FLOAT_BYTES_MAX,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => 0,
        _ => NUMBER_BYTES_MAX,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, ListArray, StringArray};
    use datafusion::common::ScalarValue;

    use super::*;

    fn text(value: &str) -> ColumnarValue {
        ColumnarValue::Scalar(ScalarValue::from(value))
    }

    fn number(value: i64) -> ColumnarValue {
        ColumnarValue::Scalar(ScalarValue::from(value))
    }

    fn bound(growth: Growth, args: &[ColumnarValue], rows: usize) -> u64 {
        growth.bytes_max(args, rows).unwrap()
    }

    #[test]
    fn a_bound_grows_with_the_greatest_number_and_not_with_nulls_or_what_is_below_zero() {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(-5), None, Some(1_000_000)]));
        let few = ColumnarValue::Array(numbers.slice(0, 2));

        assert!(bound(Growth::Repeat, &[text("ab"), ColumnarValue::Array(numbers)], 3) >= 2_000_000);
        assert!(bound(Growth::Repeat, &[text("ab"), few.clone()], 2) < 100);
        assert!(bound(Growth::Pad, &[text("ab"), few], 2) < 100);
        assert_eq!(bound(Growth::Repeat, &[text("ab"), number(i64::MAX)], 8_192), u64::MAX);
    }

    #[test]
    fn replacements_count_as_often_as_they_can_be_found() {
        let long = text(&"x".repeat(1_000));
        let times = |from: &str| bound(Growth::Replace, &[long.clone(), text(from), long.clone()], 1) / 1_000;

        assert_eq!(times("x"), 1_000 + 2);
        assert_eq!(times("xxxx"), 250 + 2);
        assert_eq!(times(""), 2, "nothing is found");
        let once = bound(Growth::RegexpReplace, &[long.clone(), text("x"), long.clone()], 1);
        let everywhere = bound(Growth::RegexpReplace, &[long.clone(), text("x"), long.clone(), text("g")], 1);
        assert!(once < 4_000 && everywhere >= 1_000_000);
        let referring = bound(Growth::RegexpReplace, &[long, text("(x*)"), text(r"\1\1\1")], 1);
        assert!(referring >= 3_000);
    }

    #[test]
    fn lists_count_by_their_items() {
        let list = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1); 100])]);
        let list = ColumnarValue::Scalar(ScalarValue::List(Arc::new(list)));

        assert!(bound(Growth::ListRepeat, &[list.clone(), number(1_000)], 1) >= 100 * 8 * 1_000);
        assert!(bound(Growth::ListResize, &[list.clone(), number(1_000_000)], 1) >= 8_000_000);
        assert!(bound(Growth::ListJoin, &[list.clone(), text(&",".repeat(1_000))], 10) >= 10 * 100 * 1_000);
        assert!(bound(Growth::ListReplace, &[list.clone(), number(1), number(2)], 1) < 4_000);
        assert!(bound(Growth::ListPositions, &[list, number(1)], 1_000) >= 1_000 * 100 * 8);
    }

    #[test]
    fn columns_count_once_and_constants_for_each_row() {
        let column: ArrayRef = Arc::new(StringArray::from(vec!["abc"; 100]));

        let joined = bound(Growth::Times(1), &[ColumnarValue::Array(column), text(&"x".repeat(1_000))], 100);

        assert!((100_300..110_000).contains(&joined), "{joined}");
    }

    #[test]
    fn constants_count_as_joined_where_simplifying_joins_them() {
        let literal = |text: &str| Expr::Literal(ScalarValue::from(text), None);
        let args = [literal(&"x".repeat(100)), literal("a"), literal("b")];

        assert_eq!(Growth::Times(1).joined_bytes_max(&args), 102);
        assert_eq!(Growth::Separate.joined_bytes_max(&args), 302);
        assert_eq!(Growth::Cast.joined_bytes_max(&args), 0);
    }
}
