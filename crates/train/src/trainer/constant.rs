//! The baseline: the same answer for every row.

use mainspring_kernel::{Body, Link};
use mainspring_spec::Task;

use super::{Fitted, Problem};

pub(super) fn fit(problem: Problem<'_>) -> Fitted {
    let body = Body::Constant(prediction(problem.task, problem.classes, &problem.train.labels));
    Fitted {
        inputs: problem.inputs,
        body,
        link: Link::Identity,
        history: vec![],
        importance: vec![],
        remarks: vec![],
        train: problem.train,
        validation: problem.validation,
    }
}

/// The mean of the labels, or the share of each class.
pub(super) fn prediction(task: Task, classes: usize, labels: &[f64]) -> Vec<f64> {
    let rows = labels.len().max(1) as f64;
    match task {
        Task::Binary | Task::Regression => vec![labels.iter().sum::<f64>() / rows],
        Task::Multiclass => (0..classes)
            .map(|class| labels.iter().filter(|label| **label == class as f64).count() as f64 / rows)
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_is_the_mean_or_the_shares() {
        assert_eq!(prediction(Task::Binary, 0, &[0.0, 1.0, 1.0, 1.0]), [0.75]);
        assert_eq!(prediction(Task::Regression, 0, &[2.0, 4.0]), [3.0]);
        assert_eq!(prediction(Task::Multiclass, 3, &[0.0, 2.0, 2.0, 0.0]), [0.5, 0.0, 0.5]);
    }
}
