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
    /// A probability for each class, whatever the others say.
    Independent,
    /// A positive number.
    Exponential,
    /// A positive number, which grows with the score.
    Softplus,
    /// The square, with the sign of the score.
    SignedSquare,
    /// 1 or 0.
    Step,
}

impl Answer {
    pub(super) fn new(task: Task, link: Link) -> Self {
        match (link, task) {
            (Link::Identity, _) => Self::AsIs,
            (Link::Logistic, Task::Multiclass) => Self::OneAgainstRest,
            (Link::Logistic, Task::Binary | Task::Regression) => Self::Logistic,
            (Link::Softmax, _) => Self::Softmax,
            (Link::Independent, _) => Self::Independent,
            (Link::Exponential, _) => Self::Exponential,
            (Link::Softplus, _) => Self::Softplus,
            (Link::SignedSquare, _) => Self::SignedSquare,
            (Link::Step, _) => Self::Step,
        }
    }

    pub(super) fn apply(self, scores: &mut [f64]) {
        match self {
            Self::AsIs => {}
            Self::Logistic | Self::Independent => each(scores, logistic),
            Self::Exponential => each(scores, f64::exp),
            Self::Softplus => each(scores, softplus),
            Self::SignedSquare => each(scores, |score| score * score.abs()),
            Self::Step => each(scores, |score| if score > 0.0 { 1.0 } else { 0.0 }),
            Self::OneAgainstRest => {
                each(scores, logistic);
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

fn each(scores: &mut [f64], link: impl Fn(f64) -> f64) {
    scores.iter_mut().for_each(|score| *score = link(*score));
}

/// `log(1 + exp(score))`, written so that `exp` never overflows.
fn softplus(score: f64) -> f64 {
    score.max(0.0) + (-score.abs()).exp().ln_1p()
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
    fn links_of_regressions_are_their_formulas() {
        for (link, score, expected) in [
            (Link::Exponential, 2.0, 7.389_056_098_930_65),
            (Link::Softplus, 2.0, 2.126_928_011_042_972_4),
            (Link::Softplus, 1000.0, 1000.0),
            (Link::Softplus, -1000.0, 0.0),
            (Link::SignedSquare, -3.0, -9.0),
            (Link::Step, 0.0, 0.0),
            (Link::Step, 1e-9, 1.0),
            (Link::Logistic, 0.0, 0.5),
        ] {
            let mut one = [score];
            Answer::new(Task::Regression, link).apply(&mut one);
            assert!((one[0] - expected).abs() < 1e-12, "{link:?} of {score} is {}", one[0]);
        }
        let mut each = [0.0, 2.0];
        Answer::new(Task::Multiclass, Link::Independent).apply(&mut each);
        assert!(each[0] == 0.5 && (each[1] - 0.880_797_077_977_882_4).abs() < 1e-15);
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
