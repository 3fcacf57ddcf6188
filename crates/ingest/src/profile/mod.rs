//! Profiles: what the values of a table look like, kept with each version of it.
//!
//! A profile is made of one mergeable sketch per column, which grows while rows stream by and is kept in the catalog,
//! so that the profile of a table with a new file is the old sketch and the file's. Cost per value: a hash and a table
//! look-up or register, about 5 ns.
//!
//! Counts of rows and nulls, bounds, means and deviations are of every row; so are the counts of a column's values as long
//! as there are at most 1,024 different ones, and the estimate of how many there are beyond. Quantiles and then the top
//! values are of a sample: see [`stride`].

mod column;
mod counter;
mod distinct;
mod document;
mod shown;

pub use column::ColumnSketch;
pub use document::{ColumnProfile, Histogram, Profile, Quantile, TopValue};

use arrow::array::RecordBatch;
use mainspring_spec::DataType;
use serde::{Deserialize, Serialize};

/// How many of a file's values quantiles and top values look at, after so many rows: all of the first, then one in so many.
/// Of ten million rows that is 270,000 a column: ranks are within 3 in 1,000, as the digest itself. Primes, as rows often
/// alternate.
fn stride(rows_before: u64) -> usize {
    match rows_before {
        0..65_536 => 1,
        65_536..1_048_576 => 17,
        _ => 61,
    }
}

/// The sketches of a table's columns.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub struct Sketch {
    rows: u64,
    columns: Vec<ColumnSketch>,
}

impl Sketch {
    /// The sketch of no rows.
    #[must_use]
    pub fn new(columns: impl IntoIterator<Item = (String, DataType)>) -> Self {
        Self {
            rows: 0,
            columns: columns.into_iter().map(|(name, data_type)| ColumnSketch::new(name, data_type)).collect(),
        }
    }

    /// Takes in rows whose columns are those of the sketch, in its order.
    pub fn update(&mut self, batch: &RecordBatch) {
        let stride = stride(self.rows);
        self.rows += batch.num_rows() as u64;
        for (sketch, column) in self.columns.iter_mut().zip(batch.columns()) {
            sketch.update(column, stride);
        }
    }

    /// Takes in another sketch of the same table. A column only one of them has keeps what is known of it.
    pub fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        for theirs in &other.columns {
            match self
                .columns
                .iter_mut()
                .find(|ours| ours.name() == theirs.name() && ours.data_type() == theirs.data_type())
            {
                Some(ours) => ours.merge(theirs),
                None => self.columns.push(theirs.clone()),
            }
        }
    }

    /// Parts the sketch by columns, so that several threads may each update some of them.
    pub(crate) fn part(self, parts: usize) -> Vec<(usize, Self)> {
        let width = self.columns.len().div_ceil(parts.max(1)).max(1);
        let mut columns = self.columns;
        let (mut parted, mut from) = (Vec::new(), 0);
        while !columns.is_empty() {
            let rest = columns.split_off(width.min(columns.len()));
            let taken = columns.len();
            parted.push((from, Self { rows: self.rows, columns }));
            from += taken;
            columns = rest;
        }
        parted
    }

    /// Puts together what [`part`](Self::part) parted, in its order.
    pub(crate) fn join(parts: Vec<Self>) -> Self {
        let rows = parts.first().map_or(0, |part| part.rows);
        Self { rows, columns: parts.into_iter().flat_map(|part| part.columns).collect() }
    }

    /// How many rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// How many columns.
    pub(crate) fn width(&self) -> usize {
        self.columns.len()
    }

    /// The profile, as it is shown.
    #[must_use]
    pub fn profile(&self) -> Profile {
        Profile { rows: self.rows, columns: self.columns.iter().map(ColumnSketch::profile).collect() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
    use arrow::datatypes::{DataType as ArrowType, Field, Schema};

    use super::*;

    fn batch(range: std::ops::Range<i64>) -> RecordBatch {
        let ints: ArrayRef = Arc::new(Int64Array::from_iter_values(range.clone()));
        let floats: ArrayRef =
            Arc::new(Float64Array::from_iter(range.clone().map(|i| (i % 10 != 0).then_some(i as f64 / 2.0))));
        let texts: ArrayRef =
            Arc::new(StringArray::from_iter_values(range.map(|i| if i % 4 == 0 { "a" } else { "b" })));
        let field = |name: &str, data_type| Field::new(name, data_type, true);
        let fields = vec![field("i", ArrowType::Int64), field("f", ArrowType::Float64), field("t", ArrowType::Utf8)];
        RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![ints, floats, texts]).unwrap()
    }

    fn empty() -> Sketch {
        Sketch::new([("i".into(), DataType::Int64), ("f".into(), DataType::Float64), ("t".into(), DataType::String)])
    }

    #[test]
    fn small_tables_are_counted_exactly() {
        let mut sketch = empty();
        sketch.update(&batch(0..1000));

        let profile = sketch.profile();

        let [ints, floats, texts] = &profile.columns[..] else { panic!("three columns") };
        assert_eq!((profile.rows, ints.nulls, ints.distinct, ints.distinct_is_exact), (1000, 0, 1000, true));
        assert_eq!((ints.min.as_ref().unwrap().as_i64(), ints.max.as_ref().unwrap().as_i64()), (Some(0), Some(999)));
        assert_eq!((ints.mean, floats.nulls), (Some(499.5), 100));
        let std = ints.std.unwrap();
        assert!((std - (1000.0_f64 * 1001.0 / 12.0).sqrt()).abs() < 1e-9, "{std}");
        assert_eq!((texts.top[0].value.as_str(), texts.top[0].count, texts.distinct), ("b", 750, 2));
        let median = ints.quantiles.iter().find(|q| q.share == 0.5).unwrap().value;
        assert!((median - 499.5).abs() < 15.0, "{median}");
        assert_eq!(ints.histogram.as_ref().unwrap().counts.iter().sum::<u64>(), 1000);
    }

    #[test]
    fn numbers_too_large_to_be_squared_leave_a_sketch_that_can_be_stored() {
        let one = |values: Vec<f64>| {
            let mut sketch = Sketch::new([("f".into(), DataType::Float64)]);
            let field = Field::new("f", ArrowType::Float64, true);
            let floats: ArrayRef = Arc::new(Float64Array::from(values));
            sketch.update(&RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![floats]).unwrap());
            sketch
        };
        let mut sketch = one(vec![1.7e308, -1.7e308, 1e200]);
        sketch.merge(&one(vec![f64::MAX, f64::NAN, f64::INFINITY]));
        sketch.merge(&one(vec![1.0; 20_000]));

        let stored = serde_json::to_string(&sketch).unwrap();
        let read: Sketch = serde_json::from_str(&stored).unwrap();
        let profile = read.profile();
        let column = &profile.columns[0];

        assert_eq!(profile, sketch.profile());
        assert_eq!((column.count, column.not_finite, column.finite()), (20_006, 2, 20_004));
        assert_eq!((column.std, column.max.as_ref().unwrap().as_f64()), (None, Some(f64::MAX)));
        assert!(column.mean.is_some_and(f64::is_finite));
        assert!(column.quantiles.iter().all(|quantile| quantile.value.is_finite()), "{:?}", column.quantiles);
    }

    #[test]
    fn many_values_are_counted_within_three_percent() {
        let mut sketch = empty();
        for start in (0..400_000).step_by(10_000) {
            sketch.update(&batch(start..start + 10_000));
        }

        let profile = sketch.profile();

        let ints = &profile.columns[0];
        assert!(!ints.distinct_is_exact);
        assert!((ints.distinct as f64 / 400_000.0 - 1.0).abs() < 0.05, "{}", ints.distinct);
        let quarter = ints.quantiles.iter().find(|q| q.share == 0.25).unwrap().value;
        assert!((quarter / 100_000.0 - 1.0).abs() < 0.03, "{quarter}");
    }

    #[test]
    fn merged_sketches_say_what_one_would_have_said() {
        let (mut left, mut right, mut whole) = (empty(), empty(), empty());
        left.update(&batch(0..30_000));
        right.update(&batch(30_000..50_000));
        whole.update(&batch(0..30_000));
        whole.update(&batch(30_000..50_000));

        let stored: Sketch = serde_json::from_str(&serde_json::to_string(&right).unwrap()).unwrap();
        left.merge(&stored);

        let (merged, once) = (left.profile(), whole.profile());
        for (a, b) in merged.columns.iter().zip(&once.columns) {
            assert_eq!((a.nulls, a.distinct, &a.min, &a.max), (b.nulls, b.distinct, &b.min, &b.max));
            if let (Some(a), Some(b)) = (a.mean, b.mean) {
                assert!((a / b - 1.0).abs() < 1e-12);
            }
        }
        assert_eq!(merged.columns[2].top, once.columns[2].top);
    }

    #[test]
    fn parted_columns_join_to_the_same_sketch() {
        let mut whole = empty();
        whole.update(&batch(0..500));
        let parts = empty().part(2);
        assert_eq!(parts.len(), 2);
        let updated = parts.into_iter().map(|(from, mut part)| {
            let places: Vec<usize> = (from..from + part.width()).collect();
            part.update(&batch(0..500).project(&places).unwrap());
            part
        });
        assert_eq!(Sketch::join(updated.collect()), whole);
    }
}
