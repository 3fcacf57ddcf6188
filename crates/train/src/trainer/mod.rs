//! The algorithms: from encoded rows to the body of a model.

mod boosting;
mod constant;
mod linear;
mod objective;

use mainspring_kernel::{Body, Input, Link};
use mainspring_registry::Importance;
use mainspring_spec::{Task, Trainer};

use crate::frame::Frame;
use crate::{Error, Result};

/// What a trainer is given.
pub(crate) struct Problem<'a> {
    pub(crate) model: &'a str,
    pub(crate) task: Task,
    /// Multiclass: how many classes. Otherwise 0.
    pub(crate) classes: usize,
    pub(crate) seed: u64,
    /// How each column of the frames came about.
    pub(crate) inputs: Vec<Input>,
    pub(crate) train: Frame,
    /// Rows that say when to stop; may be empty.
    pub(crate) validation: Frame,
}

/// What a trainer gives back.
pub(crate) struct Fitted {
    pub(crate) inputs: Vec<Input>,
    pub(crate) body: Body,
    pub(crate) link: Link,
    /// Metrics by iteration.
    pub(crate) history: Vec<Step>,
    pub(crate) importance: Vec<Importance>,
    pub(crate) remarks: Vec<String>,
    /// The frames, as the model's own encoder would have made them.
    pub(crate) train: Frame,
    pub(crate) validation: Frame,
}

/// A metric after an iteration, counted from 1.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    pub(crate) key: &'static str,
    pub(crate) iteration: u32,
    pub(crate) value: f64,
}

/// How text is encoded for a trainer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextAs {
    /// A position in the list of values.
    Position,
    /// A column for each value.
    Columns,
}

impl Problem<'_> {
    /// How many scores a row gets.
    pub(crate) fn outputs(&self) -> usize {
        if self.task == Task::Multiclass { self.classes } else { 1 }
    }
}

/// How the trainer wants text.
pub(crate) fn text_as(trainer: &Trainer) -> TextAs {
    match trainer {
        Trainer::BoostedTrees(_) | Trainer::Constant(_) => TextAs::Position,
        Trainer::LogisticRegression(_) | Trainer::LinearRegression(_) => TextAs::Columns,
    }
}

/// Checks what can be checked before any row is read.
pub(crate) fn check(model: &str, task: Task, trainer: &Trainer) -> Result<()> {
    let wrong = |trainer: &'static str, mend: &'static str| {
        Err(Error::TrainerTask { model: model.into(), trainer, task: task_name(task), mend })
    };
    match (trainer, task) {
        (Trainer::LogisticRegression(_), Task::Regression) => {
            wrong("logistic_regression", "`linear_regression` or `boosted_trees`")
        }
        (Trainer::LinearRegression(_), Task::Binary | Task::Multiclass) => {
            wrong("linear_regression", "`logistic_regression` or `boosted_trees`")
        }
        (Trainer::BoostedTrees(params), _) => boosting::check(model, params),
        (Trainer::LogisticRegression(params) | Trainer::LinearRegression(params), _) => linear::check(model, params),
        (Trainer::Constant(_), _) => Ok(()),
    }
}

/// Trains. Blocks for as long as it takes; `iteration` hears how far it is, in parts of 1.
pub(crate) fn fit(problem: Problem<'_>, trainer: &Trainer, iteration: &dyn Fn(f64)) -> Result<Fitted> {
    match trainer {
        Trainer::BoostedTrees(params) => boosting::fit(problem, params, iteration),
        Trainer::LogisticRegression(params) => linear::fit_logistic(problem, params),
        Trainer::LinearRegression(params) => linear::fit_regression(problem, params),
        Trainer::Constant(_) => Ok(constant::fit(problem)),
    }
}

/// What always answering the mean, or the class shares, of the training labels gives for one row.
pub(crate) fn constant_prediction(task: Task, classes: usize, labels: &[f64]) -> Vec<f64> {
    constant::prediction(task, classes, labels)
}

/// Brings a frame of plain numbers into the form that a model's own encoder would have made.
pub(crate) fn finish_encoding(inputs: &[Input], frame: &mut Frame) {
    linear::standardise(inputs, frame);
}

/// The task as it is written in a declaration.
pub(crate) fn task_name(task: Task) -> &'static str {
    match task {
        Task::Binary => "binary",
        Task::Multiclass => "multiclass",
        Task::Regression => "regression",
    }
}

/// The input that each column of the encoded row belongs to.
fn input_of_columns(inputs: &[Input]) -> Vec<usize> {
    inputs.iter().enumerate().flat_map(|(number, input)| std::iter::repeat_n(number, input.encoding.width())).collect()
}

/// Shares of the inputs, the greatest first; equal ones in the order of the inputs.
fn importance(inputs: &[Input], gains: &[f64], splits: &[u64]) -> Vec<Importance> {
    let total: f64 = gains.iter().sum();
    let mut shares: Vec<Importance> = inputs
        .iter()
        .zip(gains.iter().zip(splits))
        .map(|(input, (gain, splits))| Importance {
            input: input.name.clone(),
            share: if total > 0.0 { gain / total } else { 0.0 },
            splits: *splits,
        })
        .collect();
    shares.sort_by(|a, b| b.share.total_cmp(&a.share));
    shares
}
