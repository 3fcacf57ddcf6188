//! Distances between two distributions: population stability index, Jensen-Shannon, Wasserstein.

use super::steps::{Sorted, Step, walk};

/// Rows added to each bin before shares are taken, so that an empty bin does not make the index infinite.
///
/// Half a row is Jeffreys' prior: it weighs nothing where there are many rows, and among few it keeps a bin that was
/// empty by chance from breaking a bound alone.
pub const PSI_SMOOTHING_ROWS: f64 = 0.5;

/// Returns the population stability index `Σ (c - r) ln(c / r)` over the bins' shares.
///
/// Shares are `(count + 0.5) / (total + 0.5 bins)`, see [`PSI_SMOOTHING_ROWS`]. The counts are of the same bins, in the
/// same order. Returns `None` when either side has no rows.
#[must_use]
pub fn population_stability_index(reference: &[f64], current: &[f64]) -> Option<f64> {
    debug_assert_eq!(reference.len(), current.len(), "both sides count the same bins");
    let share = smoothed_shares(reference)?;
    let other = smoothed_shares(current)?;
    Some(share.zip(other).map(|(r, c)| (c - r) * (c / r).ln()).sum())
}

fn smoothed_shares(counts: &[f64]) -> Option<impl Iterator<Item = f64>> {
    let total: f64 = counts.iter().sum();
    let divisor = total + PSI_SMOOTHING_ROWS * counts.len() as f64;
    (total > 0.0).then(|| counts.iter().map(move |count| (count + PSI_SMOOTHING_ROWS) / divisor))
}

/// Returns the Jensen-Shannon distance of two lists of weights, as `scipy.spatial.distance.jensenshannon(p, q, base)`.
///
/// With base 2 it lies between 0 and 1. The weights need not sum to one. Returns `None` when either sums to zero.
#[must_use]
pub fn jensen_shannon(p: &[f64], q: &[f64], base: f64) -> Option<f64> {
    debug_assert_eq!(p.len(), q.len(), "both sides weigh the same bins");
    let (p_total, q_total) = (p.iter().sum::<f64>(), q.iter().sum::<f64>());
    if p_total <= 0.0 || q_total <= 0.0 {
        return None;
    }
    let (mut left, mut right) = (0.0, 0.0);
    for (p, q) in p.iter().zip(q) {
        let (p, q) = (p / p_total, q / q_total);
        let middle = f64::midpoint(p, q);
        left += relative_entropy(p, middle);
        right += relative_entropy(q, middle);
    }
    // Rounding may leave a sum of equal shares a hair below zero.
    Some(((left + right) / base.ln() / 2.0).max(0.0).sqrt())
}

fn relative_entropy(p: f64, q: f64) -> f64 {
    if p > 0.0 { p * (p / q).ln() } else { 0.0 }
}

/// Returns the first Wasserstein distance of two samples, each sorted ascending and finite, in the values' unit, as
/// `scipy.stats.wasserstein_distance(reference, current)`.
///
/// Returns `None` when either is empty.
#[must_use]
pub fn wasserstein(reference: &[f64], current: &[f64]) -> Option<f64> {
    let mut area = Area::default();
    walk(Sorted::new(reference), Sorted::new(current), |step| area.offer(step));
    area.total()
}

/// The area between two distribution functions: the first Wasserstein distance; at most the largest float.
#[derive(Default)]
pub(super) struct Area {
    last: Option<Step>,
    sum: f64,
}

impl Area {
    pub(super) fn offer(&mut self, step: Step) {
        if let Some(last) = self.last {
            let (height, width) = ((last.reference - last.current).abs(), step.value - last.value);
            // Two values may lie further apart than the largest float.
            let area = if width.is_finite() { height * width } else { height * step.value - height * last.value };
            self.sum = (self.sum + area).min(f64::MAX);
        }
        self.last = Some(step);
    }

    pub(super) fn total(&self) -> Option<f64> {
        self.last.map(|_| self.sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stability_index_of_equal_shares_is_zero() {
        let index = population_stability_index(&[100.0, 200.0, 700.0], &[100.0, 200.0, 700.0]).unwrap();

        assert!(index.abs() < 1e-15, "{index}");
    }

    #[test]
    fn stability_index_follows_its_formula() {
        let index = population_stability_index(&[60.0, 40.0], &[30.0, 70.0]).unwrap();

        let (r, c) = ([60.5 / 101.0, 40.5 / 101.0], [30.5 / 101.0, 70.5 / 101.0]);
        let expected = (c[0] - r[0]) * f64::ln(c[0] / r[0]) + (c[1] - r[1]) * f64::ln(c[1] / r[1]);
        assert!((index - expected).abs() < 1e-15, "{index} is not {expected}");
    }

    #[test]
    fn empty_bin_keeps_the_index_finite() {
        let index = population_stability_index(&[1000.0, 0.0], &[0.0, 1000.0]).unwrap();

        assert!(index.is_finite() && index > 10.0, "{index}");
    }

    #[test]
    fn disjoint_shares_are_at_distance_one_in_base_two() {
        assert_eq!(jensen_shannon(&[1.0, 0.0], &[0.0, 5.0], 2.0), Some(1.0));
    }

    #[test]
    fn no_rows_have_no_distance() {
        assert_eq!(population_stability_index(&[0.0], &[1.0]), None);
        assert_eq!(jensen_shannon(&[0.0], &[1.0], 2.0), None);
        assert_eq!(wasserstein(&[], &[1.0]), None);
    }

    #[test]
    fn distance_between_the_largest_floats_is_a_number() {
        assert_eq!(wasserstein(&[-f64::MAX], &[f64::MAX]), Some(f64::MAX));
        assert_eq!(wasserstein(&[-f64::MAX, f64::MAX], &[-f64::MAX, f64::MAX]), Some(0.0));
        assert_eq!(wasserstein(&[-1e300, 1e300], &[1e300, 1e300]), Some(1e300));
    }

    #[test]
    fn shift_is_the_wasserstein_distance() {
        assert_eq!(wasserstein(&[0.0, 1.0, 2.0], &[5.0, 6.0, 7.0]), Some(5.0));
    }
}
