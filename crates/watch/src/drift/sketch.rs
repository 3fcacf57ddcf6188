//! A summary of a numeric column in bounded memory, that merges.
//!
//! A t-digest (Dunning and Ertl, "Computing Extremely Accurate Quantiles Using t-Digests", 2019) of 2,000 centroids:
//! 32 kB a column whatever the number of rows. A centroid in the middle of the distribution holds at most about
//! `2 / 2,000` of the rows and fewer towards the ends; read as a step at its mean, the distribution function is off by no
//! more than [`RANK_ERROR_MAX`], also after merges in any order, which the tests hold against exact ranks.

use tdigests::{Centroid, TDigest};

use super::column::deviation_of_huge;

/// The greatest error of a share of rows, for any distribution and any order of merging.
pub const RANK_ERROR_MAX: f64 = 0.005;

const CENTROIDS_MAX: usize = 2_000;
/// Values are gathered before they are sorted into the digest: 64 kB a column.
const BUFFER_ROWS_MAX: usize = 8_192;
/// What is further from zero is scaled while it is in the digest, which multiplies distances by the number of values.
const UNSCALED_MAX: f64 = 1e288;
/// A power of two: values that are scaled come back as they were.
const SCALE: f64 = 1.0 / (1_u128 << 100) as f64;

/// A mergeable summary of a numeric column.
#[derive(Debug, Clone, Default)]
pub struct NumericSketch {
    /// Means and weights, ascending.
    points: Vec<(f64, f64)>,
    buffer: Vec<f64>,
    rows: u64,
    nulls: u64,
    mean: f64,
    /// The sum of squared distances from the mean; the largest float when it is too large for one.
    squares: f64,
}

impl NumericSketch {
    /// Adds a row. A value that is not finite counts as null.
    pub fn add(&mut self, value: f64) {
        if !value.is_finite() {
            self.nulls += 1;
            return;
        }
        self.rows += 1;
        let distance = value - self.mean;
        self.mean = moved(self.mean, value, 1.0, self.rows as f64);
        self.squares = (self.squares + distance * (value - self.mean)).min(f64::MAX);
        self.buffer.push(value + 0.0);
        if self.buffer.len() == BUFFER_ROWS_MAX {
            self.settle();
        }
    }

    /// Adds rows without a value.
    pub fn add_nulls(&mut self, rows: u64) {
        self.nulls += rows;
    }

    /// Adds the rows of another part of the table.
    pub fn merge(&mut self, other: &Self) {
        self.nulls += other.nulls;
        if other.rows == 0 {
            return;
        }
        let (n, m) = (self.rows as f64, other.rows as f64);
        let distance = other.mean - self.mean;
        self.mean = moved(self.mean, other.mean, m, n + m);
        // The weight comes between: it is 0 for a sketch that was empty, and 0 times an infinite square is no number.
        let apart = distance * (n * m / (n + m)) * distance;
        self.squares = (self.squares + other.squares + apart).min(f64::MAX);
        self.rows += other.rows;
        self.buffer.extend_from_slice(&other.buffer);
        self.points.extend_from_slice(&other.points);
        self.settle();
    }

    /// Takes the buffered values in. Reading does so by itself; after it, reading is cheap.
    pub fn settle(&mut self) {
        let fresh = self.buffer.drain(..).map(|value| (value, 1.0));
        let points: Vec<(f64, f64)> = self.points.drain(..).chain(fresh).collect();
        if points.is_empty() {
            return;
        }
        let scale = if points.iter().any(|point| point.0.abs() > UNSCALED_MAX) { SCALE } else { 1.0 };
        let scaled = points.into_iter().map(|(mean, weight)| Centroid::new(mean * scale, weight));
        let mut digest = TDigest::from_centroids(scaled.collect());
        digest.compress(CENTROIDS_MAX);
        // A mean of the largest floats may be a hair above them.
        let unscaled = |mean: f64| (mean / scale).clamp(-f64::MAX, f64::MAX);
        self.points = digest.centroids().iter().map(|centroid| (unscaled(centroid.mean), centroid.weight)).collect();
        // Interpolated means may differ in the last digit from their neighbours' order.
        self.points.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    }

    /// Means and weights, ascending. Call [`settle`](Self::settle) after the last row.
    #[must_use]
    pub fn points(&self) -> &[(f64, f64)] {
        debug_assert!(self.buffer.is_empty(), "a sketch is settled before it is read");
        &self.points
    }

    /// The rows with a value.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The rows without a value.
    #[must_use]
    pub fn nulls(&self) -> u64 {
        self.nulls
    }

    /// About how many values are at most `x`.
    #[must_use]
    pub fn count_at_most(&self, x: f64) -> f64 {
        self.points().iter().take_while(|point| point.0 <= x).map(|point| point.1).sum()
    }

    /// About how many values are less than `x`.
    #[must_use]
    pub fn count_below(&self, x: f64) -> f64 {
        self.points().iter().take_while(|point| point.0 < x).map(|point| point.1).sum()
    }

    /// A value that about the share `q` of the values does not exceed; exact at 0 and 1.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let target = q * self.rows as f64;
        let mut passed = 0.0;
        for point in self.points() {
            passed += point.1;
            if passed >= target {
                return Some(point.0);
            }
        }
        self.points().last().map(|point| point.0)
    }

    /// Mean and standard deviation of the population; these are not approximate, except the deviation of values whose
    /// squares are too large for a float.
    #[must_use]
    pub fn moments(&self) -> (Option<f64>, Option<f64>) {
        if self.rows == 0 {
            return (None, None);
        }
        let deviation = if self.squares < f64::MAX {
            (self.squares / self.rows as f64).max(0.0).sqrt()
        } else {
            deviation_of_huge(self.points().iter().copied(), self.mean)
        };
        (Some(self.mean), Some(deviation))
    }
}

/// The mean of `of` rows when `rows` of them have the mean `other` and the rest had `mean`. The two may lie further apart
/// than the largest float.
fn moved(mean: f64, other: f64, rows: f64, of: f64) -> f64 {
    let distance = other - mean;
    if distance.is_finite() { mean + distance / of * rows } else { mean * (1.0 - rows / of) + other * (rows / of) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Rows of shapes that are hard on quantile sketches: point masses, long tails, sorted runs, few values.
    fn column() -> impl Strategy<Value = Vec<f64>> {
        let value = prop_oneof![
            Just(0.0),
            Just(1.0),
            -1.0..1.0f64,
            (0.0..20.0f64).prop_map(f64::exp),
            (0..12i32).prop_map(f64::from),
        ];
        let block = (value, 1..4_000usize, -1e-4..1e-4f64);
        prop::collection::vec(block, 1..12).prop_map(|blocks| {
            blocks.into_iter().flat_map(|(start, rows, step)| (0..rows).map(move |i| start + step * i as f64)).collect()
        })
    }

    fn sketch(values: &[f64]) -> NumericSketch {
        let mut sketch = NumericSketch::default();
        for value in values {
            sketch.add(*value);
        }
        sketch.settle();
        sketch
    }

    fn rank_error(sketch: &NumericSketch, values: &[f64]) -> f64 {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let n = sorted.len() as f64;
        let probes = sorted.iter().step_by((sorted.len() / 200).max(1));
        probes
            .map(|x| {
                let at_most = sorted.partition_point(|value| value <= x) as f64;
                let below = sorted.partition_point(|value| value < x) as f64;
                let off = (sketch.count_at_most(*x) - at_most).abs().max((sketch.count_below(*x) - below).abs());
                off / n
            })
            .fold(0.0, f64::max)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn shares_are_within_the_bound(values in column()) {
            let error = rank_error(&sketch(&values), &values);

            prop_assert!(error <= RANK_ERROR_MAX, "off by {error}");
        }

        #[test]
        fn order_of_merging_does_not_leave_the_bound(a in column(), b in column(), c in column()) {
            let all: Vec<f64> = [a.as_slice(), &b, &c].concat();
            let (a, b, c) = (sketch(&a), sketch(&b), sketch(&c));

            let mut left = a.clone();
            left.merge(&b);
            left.merge(&c);
            let mut right = b;
            right.merge(&c);
            let mut outer = a;
            outer.merge(&right);

            prop_assert!(rank_error(&left, &all) <= RANK_ERROR_MAX, "(a + b) + c is off by {}", rank_error(&left, &all));
            prop_assert!(rank_error(&outer, &all) <= RANK_ERROR_MAX, "a + (b + c) is off by {}", rank_error(&outer, &all));
            prop_assert_eq!(left.rows(), outer.rows());
            let (mean, other) = (left.moments().0.unwrap(), outer.moments().0.unwrap());
            prop_assert!((mean - other).abs() <= 1e-9 * mean.abs().max(1.0), "{mean} is not {other}");
        }
    }

    #[test]
    fn values_too_large_to_be_squared_keep_ranks_and_moments() {
        let values: Vec<f64> = (0..40_000).map(|i| if i % 4 == 0 { -1e300 } else { 1e300 }).collect();

        let mut merged = NumericSketch::default();
        for part in values.chunks(10_000) {
            merged.merge(&sketch(part));
        }
        let once = sketch(&values);

        for sketch in [&merged, &once] {
            let (mean, deviation) = sketch.moments();
            let (mean, deviation) = (mean.unwrap() / 1e300, deviation.unwrap() / 1e300);
            assert!((mean - 0.5).abs() < 1e-9, "{mean}");
            assert!((deviation - 0.75f64.sqrt()).abs() < 0.01, "{deviation}");
            assert_eq!((sketch.quantile(0.0), sketch.quantile(1.0)), (Some(-1e300), Some(1e300)));
            let error = rank_error(sketch, &values);
            assert!(error <= RANK_ERROR_MAX, "off by {error}");
        }
    }

    #[test]
    fn largest_floats_leave_every_figure_finite() {
        let values: Vec<f64> = (0..20_000).map(|i| [f64::MAX, -f64::MAX, 1.0, f64::MIN_POSITIVE][i % 4]).collect();

        let mut sketch = sketch(&values);
        sketch.merge(&sketch.clone());

        let (mean, deviation) = sketch.moments();
        assert!(mean.unwrap().is_finite() && deviation.unwrap().is_finite(), "{mean:?} {deviation:?}");
        assert!(deviation.unwrap() > 1e308, "{deviation:?}");
        assert!(sketch.points().iter().all(|point| point.0.is_finite()));
        assert_eq!((sketch.quantile(0.0), sketch.quantile(1.0)), (Some(-f64::MAX), Some(f64::MAX)));
    }

    #[test]
    fn many_small_merges_stay_within_the_bound() {
        let values: Vec<f64> = (0..200_000u64).map(|i| ((i * 7919) % 200_003) as f64).collect();

        let mut merged = NumericSketch::default();
        for part in values.chunks(500) {
            merged.merge(&sketch(part));
        }

        let error = rank_error(&merged, &values);
        assert!(error <= RANK_ERROR_MAX, "off by {error}");
        assert!(merged.points().len() <= CENTROIDS_MAX);
        assert_eq!((merged.quantile(0.0), merged.quantile(1.0)), (Some(0.0), Some(200_002.0)));
    }
}
