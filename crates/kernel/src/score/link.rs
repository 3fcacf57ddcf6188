//! From scores to the answer.

use mainspring_spec::Task;

use crate::artifact::Link;

/// What is done with the scores of a row.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    /// Nothing.
    AsIs,
    /// One probability.
    Logistic,
    /// A probability for each class from a model of each class against the rest.
    OneAgainstRest,
    /// A probability for each class.
    Softmax,
}

impl Answer {
    pub(super) fn new(task: Task, link: Link) -> Self {
        match (link, task) {
            (Link::Identity, _) => Self::AsIs,
            (Link::Logistic, Task::Multiclass) => Self::OneAgainstRest,
            (Link::Logistic, Task::Binary | Task::Regression) => Self::Logistic,
            (Link::Softmax, _) => Self::Softmax,
        }
    }

    pub(super) fn apply(self, scores: &mut [f64]) {
        match self {
            Self::AsIs => {}
            Self::Logistic => scores.iter_mut().for_each(|score| *score = logistic(*score)),
            Self::OneAgainstRest => {
                scores.iter_mut().for_each(|score| *score = logistic(*score));
                share(scores);
            }
            Self::Softmax => {
                let greatest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                scores.iter_mut().for_each(|score| *score = (*score - greatest).exp());
                share(scores);
            }
        }
    }
}

/// Written so that `exp` never overflows.
fn logistic(score: f64) -> f64 {
    if score >= 0.0 {
        1.0 / (1.0 + (-score).exp())
    } else {
        let odds = score.exp();
        odds / (1.0 + odds)
    }
}

/// Divides by the sum; when all are 0, every class is equally likely.
fn share(scores: &mut [f64]) {
    let sum: f64 = scores.iter().sum();
    #[expect(clippy::cast_precision_loss, reason = "there are at most 10,000 classes")]
    let even = 1.0 / scores.len() as f64;
    scores.iter_mut().for_each(|score| *score = if sum > 0.0 { *score / sum } else { even });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_right_and_stay_finite_at_the_ends() {
        let mut one = [2.0];
        Answer::Logistic.apply(&mut one);
        assert!((one[0] - 0.880_797_077_977_882_4).abs() < 1e-15);
        for score in [-1e6, -745.0, 0.0, 745.0, 1e6] {
            let mut one = [score];
            Answer::Logistic.apply(&mut one);
            assert!((0.0..=1.0).contains(&one[0]));
        }

        let mut three = [1000.0, 1001.0, 1002.0];
        Answer::Softmax.apply(&mut three);
        for (share, expected) in
            three.iter().zip([0.090_030_573_170_380_46, 0.244_728_471_054_797_64, 0.665_240_955_774_821_9])
        {
            assert!((share - expected).abs() < 1e-12, "{three:?}");
        }
    }

    #[test]
    fn classes_share_what_their_models_say() {
        let mut scores = [0.0, 0.0, -1e9];
        Answer::OneAgainstRest.apply(&mut scores);
        assert_eq!(scores, [0.5, 0.5, 0.0]);

        let mut none = [-1e9, -1e9];
        Answer::OneAgainstRest.apply(&mut none);
        assert_eq!(none, [0.5, 0.5]);
    }
}
