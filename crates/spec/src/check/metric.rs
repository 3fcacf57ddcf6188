//! Which metrics an evaluation gives for which task.

use crate::model::Task;

/// The metrics of a task's evaluation, which gates and monitors may name.
#[must_use]
pub fn metrics(task: Task) -> &'static [&'static str] {
    match task {
        Task::Binary => &["auc", "average_precision", "log_loss", "brier", "accuracy", "precision", "recall", "f1"],
        Task::Multiclass => &["log_loss", "accuracy", "macro_f1"],
        Task::Regression => &["rmse", "mae", "r2"],
    }
}
