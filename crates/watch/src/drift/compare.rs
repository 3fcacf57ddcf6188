//! One column of the reference against the same column of a window: every statistic that applies to it.

use serde::{Deserialize, Serialize};

use super::bins::{Histogram, QuantileBins};
use super::chi_square::{ChiSquare, chi_square_contingency};
use super::column::{Categories, NumericColumn, Summary};
use super::distances::{Area, jensen_shannon, population_stability_index};
use super::kolmogorov_smirnov::{KolmogorovSmirnov, PValue, Widest, with_p_value};
use super::steps::{Sorted, Steps, Weighted, walk};

/// Categories beyond these most frequent ones of the reference are compared together, as `(other)`.
///
/// More bins than that measure chance: between equal distributions the index grows by about one over the rows for each.
pub const COMPARED_CATEGORIES_MAX: usize = 50;

/// How far a column has moved from the reference. A statistic that does not apply, or has no rows, is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Drift {
    /// The reference in a few numbers.
    pub reference: Summary,
    /// The window in a few numbers.
    pub current: Summary,
    /// Population stability index over quantile bins or categories, with a bin for nulls.
    pub psi: Option<f64>,
    /// Jensen-Shannon distance in base 2 over the same bins, between 0 and 1.
    pub jensen_shannon: Option<f64>,
    /// The Kolmogorov-Smirnov test of the values; numeric columns only.
    pub ks: Option<KolmogorovSmirnov>,
    /// The Wasserstein distance of the values; numeric columns only.
    pub wasserstein: Option<Wasserstein>,
    /// The chi-square test of the counts, nulls being a category; categorical columns only.
    pub chi_square: Option<ChiSquare>,
    /// Both sides, to be drawn.
    pub histogram: Histogram,
    /// Whether values were summarised by a sketch: shares are then off by up to
    /// [`RANK_ERROR_MAX`](super::RANK_ERROR_MAX).
    pub approximate: bool,
}

/// A Wasserstein distance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Wasserstein {
    /// In the column's unit.
    pub distance: f64,
    /// In standard deviations of the reference; absent when the reference is constant and the window is not the same.
    pub in_deviations: Option<f64>,
}

/// Compares two numeric columns.
#[must_use]
pub fn compare_numeric(reference: &NumericColumn, current: &NumericColumn) -> Drift {
    let (summary, current_summary) = (reference.summary(), current.summary());
    let (psi, shannon) = match QuantileBins::of(reference) {
        Some(bins) => bin_distances(&bins.count(reference), &bins.count(current)),
        // A reference of nulls alone has two bins: values and nulls.
        None => bin_distances(
            &[reference.rows() as f64, reference.nulls() as f64],
            &[current.rows() as f64, current.nulls() as f64],
        ),
    };
    let (ks, distance) = match (reference, current) {
        (NumericColumn::Exact(a), NumericColumn::Exact(b)) => {
            one_pass(Sorted::new(a.sorted()), Sorted::new(b.sorted()))
        }
        (NumericColumn::Exact(a), NumericColumn::Sketch(b)) => {
            one_pass(Sorted::new(a.sorted()), Weighted::new(b.points()))
        }
        (NumericColumn::Sketch(a), NumericColumn::Exact(b)) => {
            one_pass(Weighted::new(a.points()), Sorted::new(b.sorted()))
        }
        (NumericColumn::Sketch(a), NumericColumn::Sketch(b)) => {
            one_pass(Weighted::new(a.points()), Weighted::new(b.points()))
        }
    };
    Drift {
        psi,
        jensen_shannon: shannon,
        ks: ks.map(|gap| with_p_value(gap, reference.rows() as usize, current.rows() as usize, PValue::Auto)),
        wasserstein: distance
            .map(|distance| Wasserstein { distance, in_deviations: scaled(distance, summary.deviation) }),
        chi_square: None,
        histogram: Histogram::numeric(reference, current),
        approximate: matches!(reference, NumericColumn::Sketch(_)) || matches!(current, NumericColumn::Sketch(_)),
        reference: summary,
        current: current_summary,
    }
}

/// The widest gap and the area between two distribution functions, found together.
fn one_pass(reference: impl Steps, current: impl Steps) -> (Option<super::Gap>, Option<f64>) {
    let mut widest = Widest::default();
    let mut area = Area::default();
    walk(reference, current, |step| {
        widest.offer(step);
        area.offer(step);
    });
    (widest.gap(), area.total())
}

fn scaled(distance: f64, deviation: Option<f64>) -> Option<f64> {
    match deviation {
        _ if distance == 0.0 => Some(0.0),
        Some(deviation) if deviation > 0.0 => Some((distance / deviation).min(f64::MAX)),
        _ => None,
    }
}

fn bin_distances(reference: &[f64], current: &[f64]) -> (Option<f64>, Option<f64>) {
    (population_stability_index(reference, current), jensen_shannon(reference, current, 2.0))
}

/// Compares two categorical columns.
#[must_use]
pub fn compare_categories(reference: &Categories, current: &Categories) -> Drift {
    let mut labels: Vec<&str> = reference.most_frequent(COMPARED_CATEGORIES_MAX);
    if labels.is_empty() {
        labels = current.most_frequent(COMPARED_CATEGORIES_MAX);
    }
    let bars = |side: &Categories| {
        let mut counts: Vec<f64> = labels.iter().map(|label| side.count(label) as f64).collect();
        counts.push((side.rows() - side.nulls()) as f64 - counts.iter().sum::<f64>());
        counts
    };
    let (reference_bars, current_bars) = (bars(reference), bars(current));
    let with_nulls = |bars: &[f64], side: &Categories| [bars, &[side.nulls() as f64]].concat();
    let (a, b) = (with_nulls(&reference_bars, reference), with_nulls(&current_bars, current));
    let (psi, shannon) = bin_distances(&a, &b);
    Drift {
        reference: reference.summary(),
        current: current.summary(),
        psi,
        jensen_shannon: shannon,
        ks: None,
        wasserstein: None,
        chi_square: chi_square_contingency(&a, &b),
        histogram: Histogram::Categories {
            labels: labels.into_iter().map(str::to_owned).chain(["(other)".to_owned()]).collect(),
            reference: reference_bars,
            current: current_bars,
        },
        approximate: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::{NumericSketch, RANK_ERROR_MAX, Sample};

    fn exact(values: impl IntoIterator<Item = f64>, nulls: u64) -> NumericColumn {
        NumericColumn::Exact(Sample::new(values.into_iter().collect(), nulls))
    }

    fn waves(rows: u32, shift: f64) -> impl Iterator<Item = f64> {
        (0..rows).map(move |i| (f64::from(i) * 0.618).sin() * 3.0 + shift)
    }

    #[test]
    fn column_that_stayed_shows_no_drift() {
        let drift = compare_numeric(&exact(waves(5_000, 0.0), 100), &exact(waves(5_000, 0.0), 100));

        assert!(drift.psi.unwrap() < 1e-12 && drift.jensen_shannon.unwrap() < 1e-6);
        assert_eq!((drift.ks.unwrap().statistic, drift.wasserstein.unwrap().distance), (0.0, 0.0));
    }

    #[test]
    fn shift_shows_in_every_statistic() {
        let drift = compare_numeric(&exact(waves(5_000, 0.0), 0), &exact(waves(5_000, 2.0), 0));

        assert!(drift.psi.unwrap() > 0.2, "{:?}", drift.psi);
        assert!(drift.ks.unwrap().p_value < 1e-6 && drift.ks.unwrap().sign == 1);
        assert!((drift.wasserstein.unwrap().distance - 2.0).abs() < 1e-9);
        assert!((drift.wasserstein.unwrap().in_deviations.unwrap() - 2.0 / (3.0 / 2f64.sqrt())).abs() < 0.01);
    }

    #[test]
    fn nulls_alone_are_drift() {
        let drift = compare_numeric(&exact(waves(1_000, 0.0), 0), &exact(waves(500, 0.0), 500));

        assert!(drift.psi.unwrap() > 1.0, "{:?}", drift.psi);
    }

    #[test]
    fn reference_without_values_is_compared_by_nulls() {
        let drift = compare_numeric(&exact([], 100), &exact(waves(100, 0.0), 0));

        assert!(drift.psi.unwrap() > 1.0 && drift.ks.is_none());
    }

    #[test]
    fn sketches_are_close_to_exact() {
        let sketch = |values: Vec<f64>| {
            let mut sketch = NumericSketch::default();
            values.into_iter().for_each(|value| sketch.add(value));
            sketch.settle();
            NumericColumn::Sketch(sketch)
        };

        let exactly = compare_numeric(&exact(waves(100_000, 0.0), 0), &exact(waves(60_000, 0.4), 0));
        let about = compare_numeric(&sketch(waves(100_000, 0.0).collect()), &sketch(waves(60_000, 0.4).collect()));

        assert!(about.approximate && !exactly.approximate);
        let off = (exactly.ks.unwrap().statistic - about.ks.unwrap().statistic).abs();
        assert!(off <= 2.0 * RANK_ERROR_MAX, "the statistic is off by {off}");
        let off = (exactly.wasserstein.unwrap().distance - about.wasserstein.unwrap().distance).abs();
        assert!(off <= 2.0 * RANK_ERROR_MAX * 6.4, "the distance is off by {off}, of a range of 6.4");
        let off = (exactly.psi.unwrap() - about.psi.unwrap()).abs();
        assert!(off <= 0.01, "the index is off by {off}");
    }

    #[test]
    fn values_too_large_to_be_squared_are_compared() {
        let every = |n: usize| (0..20_000).map(move |i| if i % n == 0 { -1e300 } else { 1e300 });
        let sketch = |n| {
            let mut sketch = NumericSketch::default();
            every(n).for_each(|value| sketch.add(value));
            sketch.settle();
            NumericColumn::Sketch(sketch)
        };

        for (reference, current) in [
            (exact(every(2), 0), exact(every(4), 0)),
            (exact(every(2), 0), sketch(4)),
            (sketch(2), exact(every(4), 0)),
            (sketch(2), sketch(4)),
        ] {
            let drift = compare_numeric(&reference, &current);

            let deviations = drift.wasserstein.unwrap().in_deviations.unwrap();
            assert!((deviations - 0.5).abs() < 0.02, "a quarter of two deviations: {deviations}");
            assert!((drift.ks.unwrap().statistic - 0.25).abs() < 0.01, "{:?}", drift.ks);
            assert!(drift.psi.unwrap() > 0.1, "{:?}", drift.psi);
            assert!((drift.current.mean.unwrap() / 1e300 - 0.5).abs() < 1e-9, "{:?}", drift.current);
        }
    }

    #[test]
    fn drift_between_the_largest_floats_can_be_stored() {
        let drift = compare_numeric(&exact([-f64::MAX, f64::MAX, 0.0], 0), &exact([f64::MAX, f64::MAX], 0));

        let stored = serde_json::to_string(&drift).unwrap();
        let read: Drift = serde_json::from_str(&stored).unwrap();

        let Histogram::Numeric { edges, .. } = &drift.histogram else { panic!("numbers make a numeric histogram") };
        assert!(edges.is_sorted() && edges.iter().all(|edge| edge.is_finite()), "{edges:?}");
        assert!(read.wasserstein.unwrap().distance > 1e308 && read.reference.deviation.is_some(), "{stored}");
    }

    #[test]
    fn new_category_is_drift() {
        let mut reference = Categories::default();
        reference.add(Some("AA"), 600);
        reference.add(Some("UA"), 400);
        let mut current = Categories::default();
        current.add(Some("AA"), 300);
        current.add(Some("ZZ"), 300);
        current.add(None, 10);

        let drift = compare_categories(&reference, &current);

        assert!(drift.psi.unwrap() > 0.2 && drift.chi_square.unwrap().p_value < 1e-6);
        let Histogram::Categories { labels, current, .. } = drift.histogram else { panic!("categories make bars") };
        assert_eq!(
            (labels.as_slice(), current.as_slice()),
            (["AA", "UA", "(other)"].map(String::from).as_slice(), [300.0, 0.0, 300.0].as_slice())
        );
    }
}
