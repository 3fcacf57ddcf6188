//! The two-sample Kolmogorov-Smirnov test: the largest gap between two empirical distribution functions.

use serde::{Deserialize, Serialize};

use super::kolmogorov;
use super::steps::{Sorted, Step, Steps, walk};

/// Samples up to this size get the exact p-value, as in SciPy's `auto`.
pub const EXACT_ROWS_MAX: usize = 10_000;

/// How the p-value is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PValue {
    /// Exact up to [`EXACT_ROWS_MAX`] rows, asymptotic above.
    Auto,
    /// By counting lattice paths; asymptotic where that cannot be done in 64-bit numbers.
    Exact,
    /// By the distribution of the one-sample statistic at the effective size.
    Asymptotic,
}

/// The outcome of a two-sided, two-sample Kolmogorov-Smirnov test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct KolmogorovSmirnov {
    /// The largest distance between the two distribution functions, between 0 and 1.
    pub statistic: f64,
    /// The value at which it is reached.
    pub location: f64,
    /// 1 when the reference's function is above the current one's there (values have grown), else -1.
    pub sign: i8,
    /// The probability of at least this distance between samples of one continuous distribution.
    pub p_value: f64,
}

/// The statistic without its p-value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gap {
    /// See [`KolmogorovSmirnov::statistic`].
    pub distance: f64,
    /// See [`KolmogorovSmirnov::location`].
    pub location: f64,
    /// See [`KolmogorovSmirnov::sign`].
    pub sign: i8,
}

/// Tests two samples, each sorted ascending and without NaN, as `scipy.stats.ks_2samp(reference, current)`.
///
/// Returns `None` when either is empty.
#[must_use]
pub fn kolmogorov_smirnov(reference: &[f64], current: &[f64], mode: PValue) -> Option<KolmogorovSmirnov> {
    let gap = gap(Sorted::new(reference), Sorted::new(current))?;
    Some(with_p_value(gap, reference.len(), current.len(), mode))
}

/// Adds the p-value to a gap between samples of `n` and `m` rows.
#[must_use]
pub fn with_p_value(gap: Gap, n: usize, m: usize, mode: PValue) -> KolmogorovSmirnov {
    let exact = match mode {
        PValue::Auto => n.max(m) <= EXACT_ROWS_MAX,
        PValue::Exact => fits(n as u64, m as u64),
        PValue::Asymptotic => false,
    };
    let (distance, p_value) = if exact { exact_p_value(gap.distance, n as u64, m as u64) } else { None }
        .unwrap_or_else(|| (gap.distance, asymptotic_p_value(gap.distance, n as f64, m as f64)));
    KolmogorovSmirnov { statistic: distance, location: gap.location, sign: gap.sign, p_value: p_value.clamp(0.0, 1.0) }
}

/// Finds the largest gap between two distribution functions in one pass over both.
///
/// Of several places with the same gap the one that SciPy names is named: the first in the reference, else the first.
pub(super) fn gap(reference: impl Steps, current: impl Steps) -> Option<Gap> {
    let mut widest = Widest::default();
    walk(reference, current, |step| widest.offer(step));
    widest.gap()
}

/// The widest gap of those offered, in both directions.
#[derive(Default)]
pub(super) struct Widest {
    above: Extreme,
    below: Extreme,
}

impl Widest {
    pub(super) fn offer(&mut self, step: Step) {
        let difference = step.reference - step.current;
        self.above.offer(difference, step);
        self.below.offer(-difference, step);
    }

    pub(super) fn gap(&self) -> Option<Gap> {
        let lowest = self.below.distance.clamp(0.0, 1.0);
        if self.above.distance == f64::NEG_INFINITY {
            None
        } else if lowest > self.above.distance {
            Some(Gap { distance: lowest, location: self.below.location, sign: -1 })
        } else {
            Some(Gap { distance: self.above.distance, location: self.above.location, sign: 1 })
        }
    }
}

struct Extreme {
    distance: f64,
    location: f64,
    in_reference: bool,
}

impl Default for Extreme {
    fn default() -> Self {
        Self { distance: f64::NEG_INFINITY, location: f64::NAN, in_reference: false }
    }
}

impl Extreme {
    fn offer(&mut self, distance: f64, step: Step) {
        if distance > self.distance || (distance == self.distance && step.in_reference && !self.in_reference) {
            *self = Self { distance, location: step.value, in_reference: step.in_reference };
        }
    }
}

/// Whether the least common multiple of the sizes fits in 32 bits, SciPy's bound for the exact mode.
fn fits(n: u64, m: u64) -> bool {
    let g = gcd(n, m);
    (n / g) as f64 <= f64::from(i32::MAX) / (m / g) as f64
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The statistic rounded to the lattice, and the exact p-value; `None` when the sum left `[0, 1]`.
fn exact_p_value(distance: f64, n: u64, m: u64) -> Option<(f64, f64)> {
    let g = gcd(n, m);
    let lcm = n / g * m;
    let h = (distance * lcm as f64).round_ties_even() as u64;
    let distance = h as f64 / lcm as f64;
    let p_value = if h == 0 {
        1.0
    } else if n == m {
        outside_of_square(n as f64, h)
    } else {
        outside_of_band(n.max(m), n.min(m), g, h)
    };
    (0.0..=1.0).contains(&p_value).then_some((distance, p_value))
}

/// The share of lattice paths from (0, 0) to (n, n) that leave the band `|x - y| < h`.
///
/// The alternating sum of binomials by reflection, divided by the number of paths and factored so that nothing cancels.
fn outside_of_square(n: f64, h: u64) -> f64 {
    let step = h as f64;
    let mut probability = 0.0;
    let mut k = (n / step).floor();
    while k >= 0.0 {
        let mut ratio = 1.0;
        for j in 0..h {
            let j = j as f64;
            ratio = (n - k * step - j) * ratio / (n + k * step + j + 1.0);
        }
        probability = ratio * (1.0 - probability);
        k -= 1.0;
    }
    2.0 * probability
}

/// The share of lattice paths from (0, 0) to (m, n), `m >= n`, that leave the band `|x/m - y/n| < h / lcm(m, n)`.
///
/// Hodges' recursion over columns in the stable form of Viehmann (arXiv:2102.08037): a path to `(i, j)` came from the
/// left with probability `i / (i + j)`, and what is outside of the band has probability 1.
/// Takes time `m` times the width of the band, and memory of one column of it.
fn outside_of_band(m: u64, n: u64, g: u64, h: u64) -> f64 {
    let (m_step, n_step) = (m / g, n / g);
    // Row j is inside column i when |j * m_step - i * n_step| < h.
    let first_inside = |i: u64| if i * n_step < h { 0 } else { (i * n_step - h) / m_step + 1 };
    let end_inside = |i: u64| (i * n_step + h).div_ceil(m_step).min(n + 1);

    let mut start = 0;
    let mut column = vec![0.0; end_inside(0) as usize];
    for i in 1..=m {
        let (new_start, new_end) = (first_inside(i).min(n), end_inside(i));
        if new_end <= new_start {
            return 1.0;
        }
        let mut below = if new_start == 0 { 0.0 } else { 1.0 };
        let mut next = Vec::with_capacity((new_end - new_start) as usize);
        for j in new_start..new_end {
            let left = column.get((j - start) as usize).copied().unwrap_or(1.0);
            below = (left * i as f64 + below * j as f64) / (i + j) as f64;
            next.push(below);
        }
        column = next;
        start = new_start;
    }
    column.last().copied().unwrap_or(1.0)
}

/// The p-value by the one-sample distribution at the effective size `nm / (n + m)`.
fn asymptotic_p_value(distance: f64, n: f64, m: f64) -> f64 {
    let (large, small) = if n >= m { (n, m) } else { (m, n) };
    kolmogorov::survival((large * small / (large + small)).round_ties_even().max(1.0), distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_samples_have_no_gap() {
        let sample = [1.0, 2.0, 2.0, 3.0];

        let test = kolmogorov_smirnov(&sample, &sample, PValue::Auto).unwrap();

        assert_eq!((test.statistic, test.p_value, test.location), (0.0, 1.0, 1.0));
    }

    #[test]
    fn samples_apart_have_the_largest_gap() {
        let test = kolmogorov_smirnov(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0, 7.0], PValue::Exact).unwrap();

        assert_eq!((test.statistic, test.location, test.sign), (1.0, 3.0, 1));
        assert!((test.p_value - 2.0 / 35.0).abs() < 1e-15, "two of 35 orders: {}", test.p_value);
    }

    #[test]
    fn empty_sample_is_not_tested() {
        assert!(kolmogorov_smirnov(&[], &[1.0], PValue::Auto).is_none());
    }
}
