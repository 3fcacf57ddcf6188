//! How long the lists of `range` and `generate_series` get.
//!
//! Here each row counts by itself: a list costs more to make than to foresee. A step of months and days has no fixed
//! length, and one of `1 month -30 days` may lead nowhere at all: then the list never ends.

use arrow::array::{Array, AsArray, Int64Array, PrimitiveArray};
use arrow::compute::cast;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, TimeUnit,
};
use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;

use super::growth::integers;
use super::size::SLOT_BYTES;

const HOUR: i128 = 3_600_000_000_000;
const DAY: i128 = 24 * HOUR;
/// The shortest and the longest month.
const MONTH: (i128, i128) = (28 * DAY, 31 * DAY);
/// The shortest and the longest day where clocks are changed, with room for zones that changed by more than an hour.
const LOCAL_DAY: (i128, i128) = (20 * HOUR, 28 * HOUR);
/// From the first date that there is to the last: a series that goes away from its end goes on until there are no more.
const DATES: i128 = 2 * 263_000 * 366 * DAY;
/// The widest item: an integer or a time.
const ITEM_BYTES: u64 = 8;

/// The most bytes of the lists.
///
/// # Errors
/// When the arguments are not of the functions' types.
pub(super) fn bytes_max(args: &[ColumnarValue], rows: u64) -> Result<u64> {
    if args.iter().any(|arg| arg.data_type().is_null()) {
        return Ok(0);
    }
    let mut items = 0_u64;
    match args {
        [start, stop, step] if matches!(step.data_type(), DataType::Interval(_)) => {
            let moment = Moments::of(&start.data_type());
            let (start, stop) = (Cells::of(start)?, Cells::of(stop)?);
            let (steps, is_constant) = intervals(step)?;
            for row in 0..rows {
                let step = cell(&steps, place(row, is_constant));
                if let (Some(start), Some(stop), Some(step)) = (start.at(row), stop.at(row), step) {
                    items = items.saturating_add(moment.items(start, stop, step));
                }
            }
        }
        [_] | [_, _] | [_, _, _] => {
            let cells = args.iter().map(Cells::of).collect::<Result<Vec<_>>>()?;
            for row in 0..rows {
                let range = match cells.as_slice() {
                    [stop] => (Some(0), stop.at(row), Some(1)),
                    [start, stop] => (start.at(row), stop.at(row), Some(1)),
                    [start, stop, step, ..] => (start.at(row), stop.at(row), step.at(row)),
                    [] => (None, None, None),
                };
                if let (Some(start), Some(stop), Some(step)) = range {
                    items = items.saturating_add(integers_between(start, stop, step));
                }
            }
        }
        _ => {}
    }
    Ok(items.saturating_mul(ITEM_BYTES).saturating_add(rows.saturating_mul(SLOT_BYTES)))
}

/// Where the value of a row is.
fn place(row: u64, is_constant: bool) -> usize {
    if is_constant { 0 } else { usize::try_from(row).unwrap_or(usize::MAX) }
}

/// An argument as integers.
struct Cells {
    values: Int64Array,
    is_constant: bool,
}

impl Cells {
    fn of(value: &ColumnarValue) -> Result<Self> {
        Ok(Self { values: integers(value)?, is_constant: matches!(value, ColumnarValue::Scalar(_)) })
    }

    fn at(&self, row: u64) -> Option<i64> {
        cell(&self.values, place(row, self.is_constant))
    }
}

fn cell<T: ArrowPrimitiveType>(values: &PrimitiveArray<T>, place: usize) -> Option<T::Native> {
    (place < values.len() && values.is_valid(place)).then(|| values.value(place))
}

/// The steps, and whether there is one for all rows.
fn intervals(step: &ColumnarValue) -> Result<(PrimitiveArray<IntervalMonthDayNanoType>, bool)> {
    let (array, is_constant) = match step {
        ColumnarValue::Array(array) => (array.clone(), false),
        ColumnarValue::Scalar(value) => (value.to_array_of_size(1)?, true),
    };
    let array = cast(&array, &DataType::Interval(IntervalUnit::MonthDayNano))?;
    Ok((array.as_primitive::<IntervalMonthDayNanoType>().clone(), is_constant))
}

fn integers_between(start: i64, stop: i64, step: i64) -> u64 {
    let is_ahead = if step > 0 { start <= stop } else { start >= stop };
    if !is_ahead || step == 0 {
        return 0;
    }
    (start.abs_diff(stop) / step.unsigned_abs()).saturating_add(1)
}

/// What the integers of a date or timestamp count.
struct Moments {
    /// Nanoseconds of one.
    unit: i128,
    /// Dates have days of 24 hours and no times.
    are_dates: bool,
}

impl Moments {
    fn of(data_type: &DataType) -> Self {
        let (unit, are_dates) = match data_type {
            DataType::Date32 => (DAY, true),
            DataType::Date64 => (1_000_000, true),
            DataType::Timestamp(TimeUnit::Second, _) => (1_000_000_000, false),
            DataType::Timestamp(TimeUnit::Millisecond, _) => (1_000_000, false),
            DataType::Timestamp(TimeUnit::Microsecond, _) => (1_000, false),
            _ => (1, false),
        };
        Self { unit, are_dates }
    }

    /// The most items from one moment to another; [`u64::MAX`] where a series may never get there.
    fn items(&self, start: i64, stop: i64, step: IntervalMonthDayNano) -> u64 {
        let has_days = step.months != 0 || step.days != 0;
        if !has_days && (self.are_dates || step.nanoseconds == 0) {
            // the function refuses such a step
            return 0;
        }
        let (least, most) = self.reach(step);
        if least <= 0 && most >= 0 {
            return u64::MAX;
        }
        let goes_up = least > 0;
        let ahead = (i128::from(stop) - i128::from(start)) * self.unit * if goes_up { 1 } else { -1 };
        // of a date's step the function looks at months and days alone to tell its direction
        let is_told_wrong = self.are_dates && goes_up == (step.months < 0 || step.days < 0);
        let span = if is_told_wrong { DATES } else { ahead };
        if span < 0 {
            return 1;
        }
        let shortest = if goes_up { least } else { -most };
        u64::try_from(span / shortest).unwrap_or(u64::MAX).saturating_add(2)
    }

    /// How far a step leads at the least and at the most, in nanoseconds.
    fn reach(&self, step: IntervalMonthDayNano) -> (i128, i128) {
        let of = |count: i32, (shortest, longest): (i128, i128)| {
            let count = i128::from(count);
            if count < 0 { (count * longest, count * shortest) } else { (count * shortest, count * longest) }
        };
        let months = of(step.months, MONTH);
        let days = of(step.days, if self.are_dates { (DAY, DAY) } else { LOCAL_DAY });
        let nanoseconds = i128::from(step.nanoseconds);
        let (least, most) = (months.0 + days.0 + nanoseconds, months.1 + days.1 + nanoseconds);
        if self.are_dates {
            // what is left of a day is cut off
            (least.div_euclid(DAY) * DAY, -((-most).div_euclid(DAY)) * DAY)
        } else {
            (least, most)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::TimestampMicrosecondArray;
    use datafusion::common::ScalarValue;

    use super::*;

    fn interval(months: i32, days: i32, nanoseconds: i64) -> IntervalMonthDayNano {
        IntervalMonthDayNano { months, days, nanoseconds }
    }

    #[test]
    fn integers_are_counted_in_the_direction_of_the_step() {
        for (range, items) in [
            ((1, 10, 1), 10),
            ((1, 10, 4), 3),
            ((10, 1, 1), 0),
            ((10, 1, -3), 4),
            ((1, 10, -1), 0),
            ((1, 10, 0), 0),
            ((i64::MIN, i64::MAX, 1), u64::MAX),
        ] {
            assert_eq!(integers_between(range.0, range.1, range.2), items, "{range:?}");
        }
    }

    #[test]
    fn a_step_counts_as_its_shortest() {
        let dates = Moments::of(&DataType::Date32);
        let seconds = Moments::of(&DataType::Timestamp(TimeUnit::Second, None));

        assert_eq!(dates.items(0, 280, interval(1, 0, 0)), 12);
        assert_eq!(dates.items(0, 280, interval(0, 7, 0)), 42);
        assert_eq!(dates.items(280, 0, interval(0, 7, 0)), 1);
        assert_eq!(dates.items(280, 0, interval(0, -7, 0)), 42);
        assert_eq!(seconds.items(0, 3_600, interval(0, 0, 1_000_000_000)), 3_602);
        assert!((11..20).contains(&seconds.items(0, 864_000, interval(0, 1, 0))));
        assert!(seconds.items(0, 1_000_000_000, interval(0, 0, 1)) > 1 << 58);
    }

    #[test]
    fn a_step_that_may_lead_nowhere_never_ends() {
        let dates = Moments::of(&DataType::Date32);
        let times = Moments::of(&DataType::Timestamp(TimeUnit::Nanosecond, None));

        assert_eq!(times.items(0, 1, interval(1, -30, 0)), u64::MAX);
        assert_eq!(dates.items(0, 1, interval(1, -30, 0)), u64::MAX);
        assert_eq!(dates.items(0, 1, interval(0, 1, -1)), u64::MAX);
        assert!(dates.items(0, 1, interval(1, -20, 0)) < 1 << 26, "it ends with the calendar");
        assert_eq!(dates.items(0, 1, interval(0, 0, 5)), 0, "the function refuses it");
    }

    #[test]
    fn rows_without_a_bound_or_step_make_nothing() {
        let starts = TimestampMicrosecondArray::from(vec![Some(0), None, Some(0)]);
        let day = ScalarValue::IntervalMonthDayNano(Some(interval(0, 1, 0)));
        let args = |stop: Option<i64>| {
            [
                ColumnarValue::Array(Arc::new(starts.clone())),
                ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(stop, None)),
                ColumnarValue::Scalar(day.clone()),
            ]
        };

        assert_eq!(bytes_max(&args(None), 3).unwrap(), 3 * SLOT_BYTES);
        assert_eq!(bytes_max(&args(Some(0)), 3).unwrap(), 3 * SLOT_BYTES + 2 * 2 * ITEM_BYTES);
        assert_eq!(bytes_max(&[ColumnarValue::Scalar(ScalarValue::Null)], 3).unwrap(), 0);
    }
}
