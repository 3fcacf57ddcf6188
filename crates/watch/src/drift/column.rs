//! What is kept of a column's values so that it can be compared: all of them sorted, a sketch, or counts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::sketch::NumericSketch;

/// The most categories counted one by one; the values beyond the most frequent ones are counted together.
pub const CATEGORIES_MAX: usize = 10_000;

/// The values of a numeric column, sorted, and how many rows had none.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    sorted: Vec<f64>,
    nulls: u64,
}

impl Sample {
    /// Sorts the values. Those that are not finite count as nulls.
    #[must_use]
    pub fn new(mut values: Vec<f64>, nulls: u64) -> Self {
        let rows = values.len();
        values.retain_mut(|value| {
            *value += 0.0; // makes -0 and 0 one value
            value.is_finite()
        });
        let nulls = nulls + (rows - values.len()) as u64;
        values.sort_unstable_by(f64::total_cmp);
        Self { sorted: values, nulls }
    }

    /// The values, ascending.
    #[must_use]
    pub fn sorted(&self) -> &[f64] {
        &self.sorted
    }
}

/// A numeric column: exact, or a sketch where there are too many rows to hold.
#[derive(Debug, Clone)]
pub enum NumericColumn {
    /// All values.
    Exact(Sample),
    /// A summary with bounded error.
    Sketch(NumericSketch),
}

impl NumericColumn {
    /// The rows with a value.
    #[must_use]
    pub fn rows(&self) -> u64 {
        match self {
            Self::Exact(sample) => sample.sorted.len() as u64,
            Self::Sketch(sketch) => sketch.rows(),
        }
    }

    /// The rows without a value.
    #[must_use]
    pub fn nulls(&self) -> u64 {
        match self {
            Self::Exact(sample) => sample.nulls,
            Self::Sketch(sketch) => sketch.nulls(),
        }
    }

    /// How many values are at most `x`.
    #[must_use]
    pub fn count_at_most(&self, x: f64) -> f64 {
        match self {
            Self::Exact(sample) => sample.sorted.partition_point(|value| *value <= x) as f64,
            Self::Sketch(sketch) => sketch.count_at_most(x),
        }
    }

    /// How many values are less than `x`.
    #[must_use]
    pub fn count_below(&self, x: f64) -> f64 {
        match self {
            Self::Exact(sample) => sample.sorted.partition_point(|value| *value < x) as f64,
            Self::Sketch(sketch) => sketch.count_below(x),
        }
    }

    /// The least value that at least the share `q` of the values does not exceed.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        match self {
            Self::Exact(sample) => {
                let rank = (q * sample.sorted.len() as f64).ceil().max(1.0) as usize;
                sample.sorted.get(rank - 1).or(sample.sorted.last()).copied()
            }
            Self::Sketch(sketch) => sketch.quantile(q),
        }
    }

    /// The column in a few numbers.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let (mean, deviation) = match self {
            Self::Exact(sample) => moments(&sample.sorted),
            Self::Sketch(sketch) => sketch.moments(),
        };
        Summary {
            rows: self.rows() + self.nulls(),
            nulls: self.nulls(),
            mean,
            deviation,
            min: self.quantile(0.0),
            median: self.quantile(0.5),
            max: self.quantile(1.0),
        }
    }
}

/// Mean and (population) standard deviation of sorted values.
fn moments(values: &[f64]) -> (Option<f64>, Option<f64>) {
    let (Some(least), Some(greatest)) = (values.first(), values.last()) else { return (None, None) };
    let n = values.len() as f64;
    let sum = values.iter().sum::<f64>();
    let mean = match sum.is_finite() {
        true => sum / n,
        false => values.iter().map(|value| value / n).sum::<f64>().clamp(*least, *greatest),
    };
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
    let deviation = match variance.is_finite() {
        true => variance.sqrt(),
        false => deviation_of_huge(values.iter().map(|value| (*value, 1.0)), mean),
    };
    (Some(mean), Some(deviation))
}

/// The standard deviation of values with weights whose squares are too large for a float: of their distances from the
/// mean as shares of the widest one.
pub(super) fn deviation_of_huge(points: impl Iterator<Item = (f64, f64)> + Clone, mean: f64) -> f64 {
    // Halves, as two values may lie further apart than the largest float.
    let half_distance = |value: f64| value / 2.0 - mean / 2.0;
    let widest = points.clone().map(|(value, _)| half_distance(value).abs()).fold(0.0, f64::max);
    if widest == 0.0 {
        return 0.0;
    }
    let (mut squares, mut weights) = (0.0, 0.0);
    for (value, weight) in points {
        squares += weight * (half_distance(value) / widest).powi(2);
        weights += weight;
    }
    ((squares / weights).sqrt() * widest * 2.0).min(f64::MAX)
}

/// A column in a few numbers; those of values are absent for categories and empty columns.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Summary {
    /// All rows.
    pub rows: u64,
    /// Rows without a value.
    pub nulls: u64,
    /// The arithmetic mean.
    pub mean: Option<f64>,
    /// The standard deviation of the population.
    pub deviation: Option<f64>,
    /// The least value.
    pub min: Option<f64>,
    /// The median.
    pub median: Option<f64>,
    /// The greatest value.
    pub max: Option<f64>,
}

impl Summary {
    /// The share of rows without a value; 0 without rows.
    #[must_use]
    pub fn null_share(&self) -> f64 {
        if self.rows == 0 { 0.0 } else { self.nulls as f64 / self.rows as f64 }
    }
}

/// The counts of a categorical column. Counts of parts of a table merge into the counts of the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Categories {
    counts: BTreeMap<String, u64>,
    other: u64,
    nulls: u64,
}

impl Categories {
    /// Counts `rows` more rows of a value; `None` is null.
    pub fn add(&mut self, value: Option<&str>, rows: u64) {
        match value {
            None => self.nulls += rows,
            Some(value) => match self.counts.get_mut(value) {
                Some(count) => *count += rows,
                None => {
                    self.counts.insert(value.to_owned(), rows);
                    self.bound();
                }
            },
        }
    }

    /// Adds the counts of another part of the table.
    pub fn merge(&mut self, other: &Self) {
        for (value, rows) in &other.counts {
            self.add(Some(value), *rows);
        }
        self.other += other.other;
        self.nulls += other.nulls;
    }

    /// Keeps the most frequent [`CATEGORIES_MAX`] values once there are twice as many.
    ///
    /// A value that is dropped has at most a share of `1 / CATEGORIES_MAX` of the rows counted so far.
    fn bound(&mut self) {
        if self.counts.len() < 2 * CATEGORIES_MAX {
            return;
        }
        let kept = self.most_frequent(CATEGORIES_MAX).into_iter().map(str::to_owned).collect::<Vec<_>>();
        let mut rest = std::mem::take(&mut self.counts);
        for value in kept {
            if let Some(entry) = rest.remove_entry(&value) {
                self.counts.insert(entry.0, entry.1);
            }
        }
        self.other += rest.values().sum::<u64>();
    }

    /// The most frequent values, the most frequent first; of equally frequent ones the first by name.
    #[must_use]
    pub fn most_frequent(&self, limit: usize) -> Vec<&str> {
        let mut values: Vec<(&String, &u64)> = self.counts.iter().collect();
        values.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
        values.into_iter().take(limit).map(|(value, _)| value.as_str()).collect()
    }

    /// The rows with this value.
    #[must_use]
    pub fn count(&self, value: &str) -> u64 {
        self.counts.get(value).copied().unwrap_or(0)
    }

    /// The rows without a value.
    #[must_use]
    pub fn nulls(&self) -> u64 {
        self.nulls
    }

    /// All rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.counts.values().sum::<u64>() + self.other + self.nulls
    }

    /// The column in a few numbers.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary { rows: self.rows(), nulls: self.nulls, ..Summary::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_not_finite_count_as_nulls() {
        let sample = Sample::new(vec![2.0, f64::NAN, -0.0, f64::INFINITY, 0.0], 3);

        assert_eq!(sample.sorted(), [0.0, 0.0, 2.0]);
        assert_eq!(NumericColumn::Exact(sample).summary().nulls, 5);
    }

    #[test]
    fn too_many_categories_keep_the_frequent_ones_and_all_rows() {
        let mut categories = Categories::default();
        categories.add(Some("often"), 50);
        for i in 0..3 * CATEGORIES_MAX {
            categories.add(Some(&format!("value {i}")), 1);
        }

        assert_eq!(categories.count("often"), 50);
        assert_eq!(categories.rows(), 50 + 3 * CATEGORIES_MAX as u64);
        assert!(categories.counts.len() <= 2 * CATEGORIES_MAX);
    }
}
