//! Bins of a numeric column, cut from the reference.

use serde::{Deserialize, Serialize};

use super::column::NumericColumn;

/// How many quantile bins the population stability index and the Jensen-Shannon distance use.
pub const QUANTILE_BINS: usize = 10;
/// How many bars a numeric histogram has.
pub const HISTOGRAM_BARS: usize = 24;

/// Bins between quantiles of the reference, and one on each side for what lies outside of the reference's range.
///
/// Quantiles that fall on one value make one bin: a column with few values has few bins.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantileBins {
    min: f64,
    /// The greatest value of each bin, ascending; the last is the reference's greatest.
    upper: Vec<f64>,
}

impl QuantileBins {
    /// Cuts the reference into [`QUANTILE_BINS`]. Returns `None` when it has no values.
    #[must_use]
    pub fn of(reference: &NumericColumn) -> Option<Self> {
        let min = reference.quantile(0.0)?;
        let mut upper =
            (1..=QUANTILE_BINS).filter_map(|i| reference.quantile(i as f64 / QUANTILE_BINS as f64)).collect::<Vec<_>>();
        upper.dedup();
        Some(Self { min, upper })
    }

    /// Counts a column: below the range, each bin, above the range, nulls.
    #[must_use]
    pub fn count(&self, column: &NumericColumn) -> Vec<f64> {
        let mut counts = Vec::with_capacity(self.upper.len() + 3);
        let mut passed = column.count_below(self.min);
        counts.push(passed);
        for upper in &self.upper {
            let at_most = column.count_at_most(*upper);
            counts.push(at_most - passed);
            passed = at_most;
        }
        counts.push(column.rows() as f64 - passed);
        counts.push(column.nulls() as f64);
        counts
    }
}

/// Counts of both sides over the same bars, to be drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Histogram {
    /// Bars of equal width.
    Numeric {
        /// The edges, one more than bars. The outer bars also hold what lies beyond them.
        edges: Vec<f64>,
        /// Rows of the reference by bar.
        reference: Vec<f64>,
        /// Rows of the window by bar.
        current: Vec<f64>,
    },
    /// A bar each for the reference's most frequent categories.
    Categories {
        /// Their names; the last is `(other)`.
        labels: Vec<String>,
        /// Rows of the reference by category.
        reference: Vec<f64>,
        /// Rows of the window by category.
        current: Vec<f64>,
    },
}

impl Histogram {
    /// Counts two numeric columns over bars of equal width from the 0.5% to the 99.5% quantile of the reference.
    ///
    /// Without a reference the window gives the range.
    #[must_use]
    pub fn numeric(reference: &NumericColumn, current: &NumericColumn) -> Self {
        let range = |column: &NumericColumn| Some((column.quantile(0.005)?, column.quantile(0.995)?));
        let Some((low, high)) = range(reference).or_else(|| range(current)) else {
            return Self::Numeric { edges: vec![], reference: vec![], current: vec![] };
        };
        let bars = if low < high { HISTOGRAM_BARS } else { 1 };
        let edges: Vec<f64> = (0..=bars).map(|i| between(low, high, i as f64 / bars as f64)).collect();
        Self::Numeric { reference: bar_counts(reference, &edges), current: bar_counts(current, &edges), edges }
    }
}

/// The value at a share of the way, which may be longer than the largest float.
fn between(low: f64, high: f64, share: f64) -> f64 {
    let width = high - low;
    if width.is_finite() { low + width * share } else { low * (1.0 - share) + high * share }
}

fn bar_counts(column: &NumericColumn, edges: &[f64]) -> Vec<f64> {
    let inner = edges.get(1..edges.len() - 1).unwrap_or_default();
    let mut passed = 0.0;
    let mut counts: Vec<f64> = inner
        .iter()
        .map(|edge| {
            let at_most = column.count_at_most(*edge);
            let count = at_most - passed;
            passed = at_most;
            count
        })
        .collect();
    counts.push(column.rows() as f64 - passed);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::Sample;

    fn exact(values: &[f64], nulls: u64) -> NumericColumn {
        NumericColumn::Exact(Sample::new(values.to_vec(), nulls))
    }

    #[test]
    fn quantile_bins_hold_equal_shares_of_the_reference() {
        let reference = exact(&(0..1000).map(f64::from).collect::<Vec<_>>(), 0);

        let counts = QuantileBins::of(&reference).unwrap().count(&reference);

        assert_eq!(counts, [vec![0.0], vec![100.0; 10], vec![0.0, 0.0]].concat());
    }

    #[test]
    fn values_outside_of_a_constant_reference_are_told_apart() {
        let bins = QuantileBins::of(&exact(&[3.0; 50], 0)).unwrap();

        assert_eq!(bins.count(&exact(&[2.0, 3.0, 3.0, 9.0, 9.0, 9.0], 4)), [1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn histogram_loses_no_row() {
        let reference = exact(&(0..500).map(f64::from).collect::<Vec<_>>(), 0);
        let current = exact(&[-1e9, 4.0, 1e9], 0);

        let Histogram::Numeric { current, reference, edges } = Histogram::numeric(&reference, &current) else {
            panic!("numbers make a numeric histogram");
        };

        assert_eq!((reference.iter().sum::<f64>(), current.iter().sum::<f64>()), (500.0, 3.0));
        assert_eq!((edges.len(), current.len()), (HISTOGRAM_BARS + 1, HISTOGRAM_BARS));
    }
}
