//! What is answered, whatever the protocol.

use std::sync::Arc;

use uuid::Uuid;

use crate::deployed::Deployed;
use mainspring_spec::Task;

/// The answer to a [`Question`](crate::Question). All of it is of one version.
pub struct Answer {
    /// What answered.
    pub deployed: Arc<Deployed>,
    /// Whether it was not made as it should be: without features that could not be read, or by the fallback.
    pub degraded: bool,
    /// One for each row, ordered by time.
    pub ids: Vec<Uuid>,
    /// What the model answered, shape `[rows, outputs]`; or the fallback, shape `[rows]`.
    pub(crate) scores: Vec<f64>,
    /// Whether the scores are the fallback.
    pub(crate) is_fallback: bool,
}

/// The prediction of one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction<'a> {
    /// Binary: the probability of true. Multiclass: the greatest probability. Regression: the number.
    pub value: f64,
    /// The name of the likeliest class, when the model names its classes.
    pub class: Option<&'a str>,
    /// The probability of each class; multiclass only.
    pub probabilities: Option<&'a [f64]>,
}

impl Answer {
    /// The number of the version that answered; `None` for the fallback.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        let live = self.deployed.live.as_ref().filter(|_| !self.is_fallback);
        live.map(|live| live.version_text.as_str())
    }

    /// The predictions, row by row.
    pub fn predictions(&self) -> impl ExactSizeIterator<Item = Prediction<'_>> {
        (0..self.ids.len()).map(|row| prediction(&self.deployed, self.is_fallback, &self.scores, row))
    }
}

/// The prediction of one row of scores.
pub(crate) fn prediction<'a>(
    deployed: &'a Deployed,
    is_fallback: bool,
    scores: &'a [f64],
    row: usize,
) -> Prediction<'a> {
    let plain = |value| Prediction { value, class: None, probabilities: None };
    let Some(live) = deployed.live.as_ref().filter(|_| !is_fallback) else {
        return plain(scores.get(row).copied().unwrap_or(f64::NAN));
    };
    let outputs = live.scorer.outputs();
    let scores = scores.get(row * outputs..(row + 1) * outputs).unwrap_or_default();
    match live.task {
        Task::Regression => plain(scores.first().copied().unwrap_or(f64::NAN)),
        Task::Binary => {
            let value = scores.first().copied().unwrap_or(f64::NAN);
            let class = live.classes.get(usize::from(value >= 0.5)).map(String::as_str);
            Prediction { value, class, probabilities: None }
        }
        Task::Multiclass => {
            let greatest = scores.iter().enumerate().fold((0, f64::NEG_INFINITY), |best, (class, &share)| {
                if share > best.1 { (class, share) } else { best }
            });
            let class = live.classes.get(greatest.0).map(String::as_str);
            Prediction { value: greatest.1, class, probabilities: Some(scores) }
        }
    }
}
