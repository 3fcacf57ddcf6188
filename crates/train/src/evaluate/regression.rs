//! Metrics of predicted numbers.

use mainspring_registry::Histogram;

/// The root of the mean squared error. `None` without rows.
#[must_use]
pub fn rmse(labels: &[f64], predictions: &[f64]) -> Option<f64> {
    mean(residuals(labels, predictions).map(|residual| residual * residual)).map(f64::sqrt)
}

/// The mean absolute error. `None` without rows.
#[must_use]
pub fn mae(labels: &[f64], predictions: &[f64]) -> Option<f64> {
    mean(residuals(labels, predictions).map(f64::abs))
}

/// The share of the labels' variance that is explained; 1 is perfect, 0 as good as their mean. `None` when all labels are
/// equal.
#[must_use]
pub fn r2(labels: &[f64], predictions: &[f64]) -> Option<f64> {
    let center = mean(labels.iter().copied())?;
    let total: f64 = labels.iter().map(|label| (label - center).powi(2)).sum();
    let rest: f64 = residuals(labels, predictions).map(|residual| residual * residual).sum();
    (total > 0.0).then(|| 1.0 - rest / total)
}

/// How often label minus prediction falls into bins of equal width between the 0.5% and the 99.5% quantile; what lies
/// beyond counts in the outer bins. `None` without rows.
#[must_use]
pub fn residual_histogram(labels: &[f64], predictions: &[f64], bins: usize) -> Option<Histogram> {
    let mut sorted: Vec<f64> = residuals(labels, predictions).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let cut = last / 200;
    let (from, to) = (sorted[cut], sorted[last - cut]);
    let width = if to > from { (to - from) / bins as f64 } else { 1.0 };
    let mut counts = vec![0; bins];
    for residual in sorted {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the number of bins")]
        let bin = ((residual - from) / width).floor().clamp(0.0, (bins - 1) as f64) as usize;
        counts[bin] += 1;
    }
    Some(Histogram { from, width, counts })
}

fn residuals<'a>(labels: &'a [f64], predictions: &'a [f64]) -> impl ExactSizeIterator<Item = f64> + 'a {
    labels.iter().zip(predictions).map(|(label, prediction)| label - prediction)
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> Option<f64> {
    let rows = values.len();
    (rows > 0).then(|| values.sum::<f64>() / rows as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_that_scikit_learn_gives() {
        let labels = [3.0, -0.5, 2.0, 7.0];
        let predictions = [2.5, 0.0, 2.0, 8.0];

        assert!((rmse(&labels, &predictions).unwrap() - 0.612_372_435_695_794_5).abs() < 1e-15);
        assert_eq!(mae(&labels, &predictions), Some(0.5));
        assert!((r2(&labels, &predictions).unwrap() - 0.948_608_137_044_967_8).abs() < 1e-15);
        assert_eq!(r2(&[1.0, 1.0], &[0.0, 2.0]), None);
        assert_eq!(rmse(&[], &[]), None);
    }

    #[test]
    fn residuals_beyond_the_quantiles_fall_into_the_outer_bins() {
        let labels: Vec<f64> = (0..1_000).map(|n| if n == 999 { 1e9 } else { f64::from(n) / 1_000.0 }).collect();

        let histogram = residual_histogram(&labels, &vec![0.0; 1_000], 40).unwrap();

        assert_eq!(histogram.counts.iter().sum::<u64>(), 1_000);
        assert!(histogram.width < 0.03, "one far residual does not widen the bins: {}", histogram.width);
    }
}
