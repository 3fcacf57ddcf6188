//! How good predictions are. The metrics are plain functions over slices, so that monitoring computes the same figures
//! from the prediction log as training does from the test rows.

pub mod binary;
pub mod multiclass;
pub mod regression;
mod report;

pub(crate) use report::{SliceColumn, part, report};

use std::collections::BTreeMap;

use mainspring_spec::Task;

/// Predictions and the labels they are held against.
#[derive(Debug, Clone, Copy)]
pub struct Scored<'a> {
    /// The kind of prediction.
    pub task: Task,
    /// How many numbers each prediction has: 1, or one for each class.
    pub outputs: usize,
    /// Binary: 0 or 1. Multiclass: the number of the class, -1 for one that the model does not know. Regression: numbers.
    pub labels: &'a [f64],
    /// Shape `[rows, outputs]`.
    pub predictions: &'a [f64],
}

impl Scored<'_> {
    /// The labels of a binary task.
    #[must_use]
    pub fn truths(&self) -> Vec<bool> {
        self.labels.iter().map(|label| *label > 0.5).collect()
    }

    /// The labels of a multiclass task.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "class numbers are small and whole")]
    pub fn class_numbers(&self) -> Vec<usize> {
        let number = |label: &f64| if *label < 0.0 { multiclass::UNKNOWN_CLASS } else { *label as usize };
        self.labels.iter().map(number).collect()
    }
}

/// The metrics of a task by name, as gates and monitors know them. Metrics that the rows do not define are left out.
#[must_use]
pub fn metrics(scored: Scored<'_>) -> BTreeMap<String, f64> {
    let predictions = scored.predictions;
    let named: Vec<(&str, Option<f64>)> = match scored.task {
        Task::Binary => {
            let labels = scored.truths();
            let [[tn, fp], [r#fn, tp]] = binary::confusion(&labels, predictions, 0.5);
            let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
            vec![
                ("auc", binary::auc(&labels, predictions)),
                ("average_precision", binary::average_precision(&labels, predictions)),
                ("log_loss", binary::log_loss(&labels, predictions)),
                ("brier", binary::brier(&labels, predictions)),
                ("accuracy", share(tn + tp, labels.len() as u64)),
                ("precision", share(tp, tp + fp)),
                ("recall", share(tp, tp + r#fn)),
                ("f1", share(2 * tp, 2 * tp + fp + r#fn)),
            ]
        }
        Task::Multiclass => {
            let labels = scored.class_numbers();
            let predicted = multiclass::likeliest(predictions, scored.outputs);
            let numbers: Vec<String> = (0..scored.outputs).map(|class| class.to_string()).collect();
            let reports = multiclass::by_class(&labels, &predicted, &numbers);
            vec![
                ("log_loss", multiclass::log_loss(&labels, predictions, scored.outputs)),
                ("accuracy", multiclass::accuracy(&labels, &predicted)),
                ("macro_f1", multiclass::macro_f1(&reports, &predicted)),
            ]
        }
        Task::Regression => vec![
            ("rmse", regression::rmse(scored.labels, predictions)),
            ("mae", regression::mae(scored.labels, predictions)),
            ("r2", regression::r2(scored.labels, predictions)),
        ],
    };
    let defined =
        |(name, value): (&str, Option<f64>)| Some((name.to_owned(), value.filter(|value| value.is_finite())?));
    named.into_iter().filter_map(defined).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_that_the_rows_do_not_define_are_left_out() {
        let one_class = Scored { task: Task::Binary, outputs: 1, labels: &[1.0, 1.0], predictions: &[0.9, 0.2] };
        let no_rows = Scored { labels: &[], predictions: &[], ..one_class };

        let found = metrics(one_class);

        assert!(!found.contains_key("auc"));
        assert_eq!(found["accuracy"], 0.5);
        assert!(metrics(no_rows).is_empty());
    }

    #[test]
    fn a_class_unknown_to_the_model_counts_as_wrong() {
        let scored =
            Scored { task: Task::Multiclass, outputs: 2, labels: &[-1.0, 0.0], predictions: &[0.9, 0.1, 0.9, 0.1] };

        assert_eq!(metrics(scored)["accuracy"], 0.5);
    }
}
