//! The losses that boosting goes down: their first and second derivatives by the score.

use mainspring_spec::Task;

/// The least curvature: a row that is all but certain must not divide by zero.
const CURVATURE_MIN: f64 = 1e-16;

/// A loss over scores of shape `[outputs][rows]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Objective {
    /// Logarithmic loss of the logistic function of one score.
    Logistic,
    /// Logarithmic loss of the softmax of a score for each class.
    Softmax,
    /// Half the squared error.
    Squared,
}

/// The derivatives of each output by its score, shape `[outputs][rows]`, in the precision that trees are grown with.
#[derive(Debug)]
pub(super) struct Derivatives {
    pub(super) slope: Vec<Vec<f32>>,
    pub(super) curvature: Vec<Vec<f32>>,
}

impl Derivatives {
    pub(super) fn new(outputs: usize, rows: usize) -> Self {
        Self { slope: vec![vec![0.0; rows]; outputs], curvature: vec![vec![0.0; rows]; outputs] }
    }
}

impl Objective {
    pub(super) fn of(task: Task) -> Self {
        match task {
            Task::Binary => Self::Logistic,
            Task::Multiclass => Self::Softmax,
            Task::Regression => Self::Squared,
        }
    }

    /// The metric whose values [`loss`](Self::loss) gives.
    pub(super) fn metric(self) -> &'static str {
        match self {
            Self::Logistic | Self::Softmax => "log_loss",
            Self::Squared => "rmse",
        }
    }

    /// The best scores that are the same for every row.
    pub(super) fn base(self, outputs: usize, labels: &[f64]) -> Vec<f64> {
        let rows = labels.len() as f64;
        match self {
            Self::Logistic => {
                let positives: f64 = labels.iter().sum();
                vec![(positives / (rows - positives)).ln()]
            }
            Self::Softmax => {
                let count = |class: usize| labels.iter().filter(|label| **label == class as f64).count();
                (0..outputs).map(|class| (count(class) as f64 / rows).ln()).collect()
            }
            Self::Squared => vec![labels.iter().sum::<f64>() / rows],
        }
    }

    /// Fills in the derivatives at the scores.
    #[expect(clippy::cast_possible_truncation, reason = "trees are grown with 32-bit sums")]
    pub(super) fn derive(self, scores: &[Vec<f64>], labels: &[f64], derivatives: &mut Derivatives) {
        match self {
            Self::Logistic | Self::Squared => {
                let (slopes, curvatures) = (&mut derivatives.slope[0], &mut derivatives.curvature[0]);
                for (row, (score, label)) in scores[0].iter().zip(labels).enumerate() {
                    let (slope, curvature) = if self == Self::Squared {
                        (score - label, 1.0)
                    } else {
                        let p = logistic(*score);
                        (p - label, (p * (1.0 - p)).max(CURVATURE_MIN))
                    };
                    slopes[row] = slope as f32;
                    curvatures[row] = curvature as f32;
                }
            }
            Self::Softmax => {
                let mut p = vec![0.0; scores.len()];
                for (row, label) in labels.iter().enumerate() {
                    softmax(scores, row, &mut p);
                    for (class, p) in p.iter().enumerate() {
                        let hit = f64::from(u8::from(*label == class as f64));
                        derivatives.slope[class][row] = (p - hit) as f32;
                        // Twice the diagonal of the curvature, as XGBoost has it: its bound when the rest is left out.
                        derivatives.curvature[class][row] = (2.0 * p * (1.0 - p)).max(CURVATURE_MIN) as f32;
                    }
                }
            }
        }
    }

    /// The mean logarithmic loss, or the root of the mean squared error.
    pub(super) fn loss(self, scores: &[Vec<f64>], labels: &[f64]) -> f64 {
        let rows = labels.len() as f64;
        match self {
            Self::Logistic => {
                // ln(1 + e^s) - y s, without overflow.
                let of_row =
                    |(score, label): (&f64, &f64)| score.max(0.0) + (-score.abs()).exp().ln_1p() - label * score;
                scores[0].iter().zip(labels).map(of_row).sum::<f64>() / rows
            }
            Self::Softmax => {
                let mut p = vec![0.0; scores.len()];
                let mut of_row = |(row, label): (usize, &f64)| {
                    softmax(scores, row, &mut p);
                    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a class number or -1")]
                    let of_label = if *label < 0.0 { None } else { p.get(*label as usize) };
                    -of_label.copied().unwrap_or(0.0).max(1e-15).ln()
                };
                labels.iter().enumerate().map(&mut of_row).sum::<f64>() / rows
            }
            Self::Squared => {
                let of_row = |(score, label): (&f64, &f64)| (score - label).powi(2);
                (scores[0].iter().zip(labels).map(of_row).sum::<f64>() / rows).sqrt()
            }
        }
    }
}

fn logistic(score: f64) -> f64 {
    1.0 / (1.0 + (-score).exp())
}

fn softmax(scores: &[Vec<f64>], row: usize, p: &mut [f64]) {
    let most = scores.iter().map(|scores| scores[row]).fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for (p, scores) in p.iter_mut().zip(scores) {
        *p = (scores[row] - most).exp();
        sum += *p;
    }
    for p in p {
        *p /= sum;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Rows times the mean loss; for the squared error half the sum of squares, whose slope is the residual.
    fn total(objective: Objective, scores: &[Vec<f64>], labels: &[f64]) -> f64 {
        let loss = objective.loss(scores, labels);
        let rows = labels.len() as f64;
        if objective == Objective::Squared { rows * loss * loss / 2.0 } else { rows * loss }
    }

    proptest! {
        #[test]
        fn slopes_are_what_the_loss_changes_by(
            objective in proptest::sample::select(vec![Objective::Logistic, Objective::Softmax, Objective::Squared]),
            cells in proptest::collection::vec(-4.0f64..4.0, 15),
            classes in proptest::collection::vec(0u8..3, 5),
        ) {
            let outputs = if objective == Objective::Softmax { 3 } else { 1 };
            let labels: Vec<f64> = match objective {
                Objective::Logistic => classes.iter().map(|class| f64::from(u8::from(*class > 0))).collect(),
                Objective::Softmax | Objective::Squared => classes.iter().map(|class| f64::from(*class)).collect(),
            };
            let scores: Vec<Vec<f64>> = cells.chunks(5).take(outputs).map(<[f64]>::to_vec).collect();
            let mut derivatives = Derivatives::new(outputs, 5);

            objective.derive(&scores, &labels, &mut derivatives);

            let step = 1e-5;
            for output in 0..outputs {
                for row in 0..5 {
                    let moved = |by: f64| {
                        let mut scores = scores.clone();
                        scores[output][row] += by;
                        total(objective, &scores, &labels)
                    };
                    let slope = (moved(step) - moved(-step)) / (2.0 * step);
                    let found = f64::from(derivatives.slope[output][row]);
                    prop_assert!((slope - found).abs() < 1e-4, "output {} row {}: {} {}", output, row, slope, found);
                }
            }
        }
    }

    #[test]
    fn the_base_is_where_the_slopes_cancel_out() {
        for (objective, labels) in [
            (Objective::Logistic, vec![0.0, 0.0, 0.0, 1.0]),
            (Objective::Softmax, vec![0.0, 1.0, 2.0, 1.0]),
            (Objective::Squared, vec![1.0, 5.0, 9.0, 2.0]),
        ] {
            let outputs = if objective == Objective::Softmax { 3 } else { 1 };
            let scores: Vec<Vec<f64>> = objective.base(outputs, &labels).iter().map(|base| vec![*base; 4]).collect();
            let mut derivatives = Derivatives::new(outputs, 4);

            objective.derive(&scores, &labels, &mut derivatives);

            for slopes in &derivatives.slope {
                assert!(slopes.iter().sum::<f32>().abs() < 1e-6, "{objective:?} {slopes:?}");
            }
        }
    }
}
