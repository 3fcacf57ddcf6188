//! The fold of windowed views: aggregates over the rows of a window that ends at the moment.
//!
//! Each window is scanned from its first row to its last. Taking old rows out of a running sum would be faster for long
//! windows, but floating-point sums would then depend on where the scan began, and offline and online would differ.

use mainspring_spec::{AggregateFunction, DataType};

use super::Tail;
use super::tail::{TailColumn, int_value};
use crate::value::Value;

/// Aggregates over windows, one output for each pair of the two.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WindowFold {
    windows: Vec<Window>,
    outputs: usize,
}

#[derive(Debug, Clone, PartialEq)]
struct Window {
    length: i64,
    aggregates: Vec<WindowAggregate>,
}

#[derive(Debug, Clone, PartialEq)]
struct WindowAggregate {
    output: usize,
    function: AggregateFunction,
    /// The payload column; `None` counts rows.
    column: Option<usize>,
}

impl WindowFold {
    /// Adds an output: an aggregate of a payload column, or of the rows themselves, over a window in microseconds.
    pub fn push(&mut self, length: i64, function: AggregateFunction, column: Option<usize>) {
        let aggregate = WindowAggregate { output: self.outputs, function, column };
        self.outputs += 1;
        match self.windows.iter_mut().find(|window| window.length == length) {
            Some(window) => window.aggregates.push(aggregate),
            None => self.windows.push(Window { length, aggregates: vec![aggregate] }),
        }
    }

    /// How many outputs there are.
    #[must_use]
    pub const fn outputs(&self) -> usize {
        self.outputs
    }

    /// The longest window in microseconds.
    #[must_use]
    pub fn longest(&self) -> i64 {
        self.windows.iter().map(|window| window.length).max().unwrap_or_default()
    }

    /// Makes the outputs null whose window, at a moment, begins before another: rows that it counts may be gone.
    pub(crate) fn clear_before(&self, kept_after: i64, at: i64, out: &mut [Value]) {
        let cut = self.windows.iter().filter(|window| at.saturating_sub(window.length) < kept_after);
        for aggregate in cut.flat_map(|window| &window.aggregates) {
            out[aggregate.output] = Value::Null;
        }
    }

    /// The payload columns that are read, with repetitions.
    pub(super) fn columns(&self) -> impl Iterator<Item = usize> {
        self.windows.iter().flat_map(|window| &window.aggregates).filter_map(|aggregate| aggregate.column)
    }

    /// The same fold with its payload columns elsewhere.
    pub(super) fn moved(&self, to: impl Fn(usize) -> usize) -> Self {
        let mut moved = self.clone();
        for aggregate in moved.windows.iter_mut().flat_map(|window| &mut window.aggregates) {
            aggregate.column = aggregate.column.map(&to);
        }
        moved
    }

    pub(crate) fn at(&self, tail: &Tail, at: i64, out: &mut Vec<Value>) -> bool {
        let first = out.len();
        out.resize(first + self.outputs, Value::Null);
        let mut any = false;
        for window in &self.windows {
            let happened = tail.happened(Some(at.saturating_sub(window.length)), at);
            any |= !happened.is_empty();
            for aggregate in &window.aggregates {
                let rows = Rows { tail, range: happened.clone(), at };
                out[first + aggregate.output] = match aggregate.column.and_then(|column| tail.column(column)) {
                    Some(column) => rows.aggregate(aggregate.function, column),
                    None => Value::Int(rows.count()),
                };
            }
        }
        any
    }
}

/// The type of an aggregate of values of a type, or `None` when there is no such aggregate.
#[must_use]
pub fn aggregate_type(function: AggregateFunction, of: Option<DataType>) -> Option<DataType> {
    use AggregateFunction::{Count, Distinct, Last, Max, Mean, Min, Sum};
    Some(match (function, of) {
        (Count, _) | (Distinct, Some(_)) => DataType::Int64,
        (Sum, Some(DataType::Bool | DataType::Int64)) => DataType::Int64,
        (Sum | Mean, Some(DataType::Float64)) | (Mean, Some(DataType::Bool | DataType::Int64)) => DataType::Float64,
        (Min | Max | Last, Some(of)) => of,
        _ => return None,
    })
}

/// The rows of a window: those in the range that were known by the moment.
struct Rows<'a> {
    tail: &'a Tail,
    range: std::ops::Range<usize>,
    at: i64,
}

impl Rows<'_> {
    fn count(&self) -> i64 {
        let count = if self.tail.hindsight() {
            self.range.clone().filter(|&row| self.tail.known(row, self.at)).count()
        } else {
            self.range.len()
        };
        i64::try_from(count).unwrap_or(i64::MAX)
    }

    /// Visits the known rows in order; the usual case, that all are, has no test in its loop.
    #[inline]
    fn each(&self, valid: &[bool], mut visit: impl FnMut(usize)) {
        if self.tail.hindsight() {
            for row in self.range.clone() {
                if valid[row] && self.tail.known(row, self.at) {
                    visit(row);
                }
            }
        } else {
            for row in self.range.clone() {
                if valid[row] {
                    visit(row);
                }
            }
        }
    }

    fn aggregate(&self, function: AggregateFunction, column: &TailColumn) -> Value {
        match column {
            TailColumn::Int { data_type, values, valid } => self.of_ints(function, *data_type, values, valid),
            TailColumn::Float { values, valid } => self.of_floats(function, values, valid),
            TailColumn::Text(values) => self.of_texts(function, values),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a mean is a 64-bit float")]
    fn of_ints(&self, function: AggregateFunction, data_type: DataType, values: &[i64], valid: &[bool]) -> Value {
        let (mut count, mut sum, mut least, mut greatest, mut last) = (0_i64, 0_i128, None::<i64>, None::<i64>, None);
        match function {
            AggregateFunction::Count => self.each(valid, |_| count += 1),
            AggregateFunction::Sum | AggregateFunction::Mean => self.each(valid, |row| {
                count += 1;
                sum += i128::from(values[row]);
            }),
            AggregateFunction::Min => {
                self.each(valid, |row| least = Some(least.map_or(values[row], |v| v.min(values[row]))))
            }
            AggregateFunction::Max => {
                self.each(valid, |row| greatest = Some(greatest.map_or(values[row], |v| v.max(values[row]))));
            }
            AggregateFunction::Last => self.each(valid, |row| last = Some(values[row])),
            AggregateFunction::Distinct => {
                let mut seen = Vec::with_capacity(self.range.len());
                self.each(valid, |row| seen.push(values[row]));
                count = distinct(seen);
            }
        }
        let of_type = |number: Option<i64>| number.map_or(Value::Null, |number| int_value(data_type, number));
        match function {
            AggregateFunction::Count | AggregateFunction::Distinct => Value::Int(count),
            // Beyond 64 bits a sum stays at the bound.
            AggregateFunction::Sum => {
                Value::Int(i64::try_from(sum).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX }))
            }
            AggregateFunction::Mean if count == 0 => Value::Null,
            AggregateFunction::Mean => Value::Float(sum as f64 / count as f64),
            AggregateFunction::Min => of_type(least),
            AggregateFunction::Max => of_type(greatest),
            AggregateFunction::Last => of_type(last),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a window holds fewer than 2^53 rows")]
    fn of_floats(&self, function: AggregateFunction, values: &[f64], valid: &[bool]) -> Value {
        let (mut count, mut sum, mut kept) = (0_i64, 0.0_f64, None::<f64>);
        match function {
            AggregateFunction::Count => self.each(valid, |_| count += 1),
            AggregateFunction::Sum | AggregateFunction::Mean => self.each(valid, |row| {
                count += 1;
                sum += values[row];
            }),
            AggregateFunction::Min => self.each(valid, |row| {
                kept =
                    Some(kept.map_or(values[row], |v| if values[row].total_cmp(&v).is_lt() { values[row] } else { v }));
            }),
            AggregateFunction::Max => self.each(valid, |row| {
                kept =
                    Some(kept.map_or(values[row], |v| if values[row].total_cmp(&v).is_gt() { values[row] } else { v }));
            }),
            AggregateFunction::Last => self.each(valid, |row| kept = Some(values[row])),
            AggregateFunction::Distinct => {
                let mut seen = Vec::with_capacity(self.range.len());
                self.each(valid, |row| seen.push(canonical_bits(values[row])));
                count = distinct(seen);
            }
        }
        match function {
            AggregateFunction::Count | AggregateFunction::Distinct => Value::Int(count),
            AggregateFunction::Sum => Value::Float(sum),
            AggregateFunction::Mean if count == 0 => Value::Null,
            AggregateFunction::Mean => Value::Float(sum / count as f64),
            AggregateFunction::Min | AggregateFunction::Max | AggregateFunction::Last => {
                kept.map_or(Value::Null, Value::Float)
            }
        }
    }

    fn of_texts(&self, function: AggregateFunction, values: &[Option<std::sync::Arc<str>>]) -> Value {
        let known = self.range.clone().filter(|&row| !self.tail.hindsight() || self.tail.known(row, self.at));
        let mut texts = known.filter_map(|row| values[row].as_ref());
        let kept = match function {
            AggregateFunction::Count => return Value::Int(i64::try_from(texts.count()).unwrap_or(i64::MAX)),
            AggregateFunction::Distinct => return Value::Int(distinct(texts.collect())),
            AggregateFunction::Min => texts.min(),
            AggregateFunction::Max => texts.max(),
            AggregateFunction::Last => texts.next_back(),
            AggregateFunction::Sum | AggregateFunction::Mean => None,
        };
        kept.map_or(Value::Null, |text| Value::Text(text.clone()))
    }
}

fn distinct<T: Ord>(mut values: Vec<T>) -> i64 {
    values.sort_unstable();
    values.dedup();
    i64::try_from(values.len()).unwrap_or(i64::MAX)
}

/// The bits by which numbers are told apart: one zero, one not-a-number.
fn canonical_bits(value: f64) -> u64 {
    if value == 0.0 {
        0
    } else if value.is_nan() {
        f64::NAN.to_bits()
    } else {
        value.to_bits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_that_begins_before_what_is_kept_is_cleared() {
        let mut fold = WindowFold::default();
        fold.push(10, AggregateFunction::Count, None);
        fold.push(30, AggregateFunction::Count, None);
        let mut out = vec![Value::Int(1), Value::Int(2)];

        fold.clear_before(70, 100, &mut out);
        let whole = out.clone();
        fold.clear_before(71, 100, &mut out);

        assert!(whole[1].same(&Value::Int(2)), "what happened just after the 70th is there: {whole:?}");
        assert!(out[0].same(&Value::Int(1)) && out[1].is_null(), "{out:?}");
    }

    fn fold(functions: &[AggregateFunction], length: i64) -> WindowFold {
        let mut fold = WindowFold::default();
        for &function in functions {
            fold.push(length, function, Some(0));
        }
        fold
    }

    fn at(fold: &WindowFold, tail: &Tail, moment: i64) -> Vec<Value> {
        let mut out = vec![];
        fold.at(tail, moment, &mut out);
        out
    }

    const ALL: [AggregateFunction; 7] = [
        AggregateFunction::Count,
        AggregateFunction::Sum,
        AggregateFunction::Mean,
        AggregateFunction::Min,
        AggregateFunction::Max,
        AggregateFunction::Last,
        AggregateFunction::Distinct,
    ];

    #[test]
    fn window_is_open_at_its_start_and_closed_at_its_end() {
        let mut tail = Tail::new([DataType::Int64]);
        for time in [0, 10, 20] {
            tail.push(time, time, &[Value::Int(time)]);
        }

        let values = at(&fold(&[AggregateFunction::Count, AggregateFunction::Sum], 10), &tail, 20);

        assert!(values[0].same(&Value::Int(1)), "{values:?}");
        assert!(values[1].same(&Value::Int(20)), "{values:?}");
    }

    #[test]
    fn row_counts_only_once_it_is_known() {
        let mut tail = Tail::new([DataType::Float64]);
        tail.push(5, 15, &[Value::Float(1.0)]);
        tail.push(6, 6, &[Value::Float(2.0)]);
        let fold = fold(&ALL, 100);

        let before = at(&fold, &tail, 14);
        let after = at(&fold, &tail, 15);

        assert!(before[0].same(&Value::Int(1)) && before[1].same(&Value::Float(2.0)), "{before:?}");
        assert!(after[0].same(&Value::Int(2)) && after[3].same(&Value::Float(1.0)), "{after:?}");
    }

    #[test]
    fn empty_window_counts_nought_and_has_no_mean() {
        for data_type in [DataType::Int64, DataType::Float64] {
            let mut tail = Tail::new([data_type]);
            tail.push(0, 0, &[Value::Null]);

            let values = at(&fold(&ALL, 10), &tail, 5);

            assert!(values[0].same(&Value::Int(0)) && values[6].same(&Value::Int(0)), "{values:?}");
            assert!(values[2..6].iter().all(Value::is_null), "{values:?}");
            assert!(!values[1].is_null(), "a sum of nothing is nought");
        }
    }

    #[test]
    fn distinct_knows_one_zero_and_one_not_a_number() {
        let mut tail = Tail::new([DataType::Float64]);
        for value in [0.0, -0.0, f64::NAN, -f64::NAN, 1.0] {
            tail.push(0, 0, &[Value::Float(value)]);
        }

        let values = at(&fold(&[AggregateFunction::Distinct], 10), &tail, 0);

        assert!(values[0].same(&Value::Int(3)), "{values:?}");
    }

    #[test]
    fn rows_out_of_reach_can_be_discarded() {
        let mut tail = Tail::new([DataType::Int64]);
        for time in 0..5_000 {
            tail.push(time, time, &[Value::Int(1)]);
        }
        let whole = tail.clone();

        tail.discard_until(4_899);

        assert_eq!(tail.len(), 100);
        let fold = fold(&ALL, 100);
        assert!(at(&fold, &tail, 4_999).iter().zip(at(&fold, &whole, 4_999)).all(|(a, b)| a.same(&b)));
    }
}
