//! Pearson's chi-square test for counts of categories.

use serde::{Deserialize, Serialize};
use statrs::function::gamma::checked_gamma_ur;

/// The outcome of a chi-square test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ChiSquare {
    /// The statistic `Σ (observed - expected)² / expected`.
    pub statistic: f64,
    /// Its degrees of freedom.
    pub degrees_of_freedom: u64,
    /// The probability of at least this statistic when both samples come from the same shares.
    pub p_value: f64,
}

/// Tests whether two lists of counts of the same categories come from the same shares, as
/// `scipy.stats.chi2_contingency([reference, current])`, with Yates' correction for two categories.
///
/// Categories without any row are left out. Returns `None` when either side has no rows.
#[must_use]
pub fn chi_square_contingency(reference: &[f64], current: &[f64]) -> Option<ChiSquare> {
    debug_assert_eq!(reference.len(), current.len(), "both sides count the same categories");
    let (n, m) = (reference.iter().sum::<f64>(), current.iter().sum::<f64>());
    if n <= 0.0 || m <= 0.0 {
        return None;
    }
    let columns: Vec<(f64, f64)> =
        reference.iter().zip(current).filter(|(r, c)| **r + **c > 0.0).map(|(r, c)| (*r, *c)).collect();
    let degrees_of_freedom = columns.len() as u64 - 1;
    if degrees_of_freedom == 0 {
        return Some(ChiSquare { statistic: 0.0, degrees_of_freedom, p_value: 1.0 });
    }
    let mut statistic = 0.0;
    for (r, c) in columns {
        for (observed, rows) in [(r, n), (c, m)] {
            let expected = (r + c) * rows / (n + m);
            let mut difference = (observed - expected).abs();
            if degrees_of_freedom == 1 {
                difference -= difference.min(0.5);
            }
            statistic += difference * difference / expected;
        }
    }
    Some(ChiSquare { statistic, degrees_of_freedom, p_value: survival(statistic, degrees_of_freedom as f64) })
}

/// Tests observed counts against expected ones, as `scipy.stats.chisquare(observed, expected)`.
///
/// Returns `None` when there is nothing to test: fewer than two categories, or an expected count of zero.
#[must_use]
pub fn chi_square_goodness(observed: &[f64], expected: &[f64]) -> Option<ChiSquare> {
    debug_assert_eq!(observed.len(), expected.len(), "both sides count the same categories");
    if observed.len() < 2 || expected.iter().any(|count| *count <= 0.0) {
        return None;
    }
    let statistic = observed.iter().zip(expected).map(|(o, e)| (o - e).powi(2) / e).sum();
    let degrees_of_freedom = observed.len() as u64 - 1;
    Some(ChiSquare { statistic, degrees_of_freedom, p_value: survival(statistic, degrees_of_freedom as f64) })
}

/// `P(X > statistic)` for a chi-square variable.
fn survival(statistic: f64, degrees_of_freedom: f64) -> f64 {
    if statistic <= 0.0 {
        return 1.0;
    }
    if statistic.is_infinite() {
        return 0.0;
    }
    checked_gamma_ur(degrees_of_freedom / 2.0, statistic / 2.0).unwrap_or(f64::NAN).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_shares_pass() {
        let test = chi_square_contingency(&[100.0, 200.0, 300.0], &[10.0, 20.0, 30.0]).unwrap();

        assert!(test.statistic.abs() < 1e-12 && test.p_value > 0.999_999, "{test:?}");
    }

    #[test]
    fn category_that_neither_side_has_does_not_count() {
        let with = chi_square_contingency(&[5.0, 0.0, 9.0, 4.0], &[8.0, 0.0, 2.0, 4.0]).unwrap();
        let without = chi_square_contingency(&[5.0, 9.0, 4.0], &[8.0, 2.0, 4.0]).unwrap();

        assert_eq!(with, without);
    }

    #[test]
    fn one_category_cannot_differ() {
        assert_eq!(chi_square_contingency(&[5.0], &[7.0]).unwrap().p_value, 1.0);
        assert_eq!(chi_square_goodness(&[5.0], &[7.0]), None);
    }
}
