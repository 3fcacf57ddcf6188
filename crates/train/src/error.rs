//! How this crate fails.

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can keep a model from being trained.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model or one of its features is not declared.
    #[error(transparent)]
    Declaration(#[from] mainspring_spec::Error),
    /// A table that the training set is made from has no rows yet.
    #[error("model `{model}` learns from `{table}`, which has no data yet; run `mainspring run {model}`")]
    NoData {
        /// The model.
        model: String,
        /// The table.
        table: String,
    },
    /// No row has a label.
    #[error(
        "model `{model}`: none of the rows of `{from}` that meet its `where` has a label and a time; check `label`, `at` and `where`"
    )]
    NoRows {
        /// The model.
        model: String,
        /// The observations' table.
        from: String,
    },
    /// A part of the split is empty or too small.
    #[error("model `{model}`: {part} has {rows} rows, at least {least} are needed; {mend}")]
    TooFewRows {
        /// The model.
        model: String,
        /// Which part.
        part: &'static str,
        /// Its rows.
        rows: usize,
        /// The fewest.
        least: usize,
        /// The edit that helps.
        mend: String,
    },
    /// Nothing can be learned from one class.
    #[error(
        "model `{model}`: every one of the {rows} training rows has the label `{label}`, so there is nothing to tell apart; check the label's expression, or choose training rows that have both"
    )]
    OneClass {
        /// The model.
        model: String,
        /// How many training rows.
        rows: usize,
        /// The only label.
        label: String,
    },
    /// More classes than a model may have.
    #[error(
        "model `{model}`: the label has {found} different values, more than the {most} classes a model may have; use `task: regression`, or group the values in the label's expression"
    )]
    TooManyClasses {
        /// The model.
        model: String,
        /// How many.
        found: usize,
        /// The most.
        most: usize,
    },
    /// A label has a type or value that the task cannot have.
    #[error(
        "model `{model}`: its label is {found}, but `task: {task}` needs {needed}; change the task or the label's expression"
    )]
    Label {
        /// The model.
        model: String,
        /// What was found.
        found: String,
        /// The task.
        task: &'static str,
        /// What the task needs.
        needed: &'static str,
    },
    /// The split cannot be made.
    #[error("model `{model}`: {reason}")]
    Split {
        /// The model.
        model: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A trainer does not do this task.
    #[error("model `{model}`: the trainer `{trainer}` does not do `task: {task}`; use {mend}")]
    TrainerTask {
        /// The model.
        model: String,
        /// The trainer.
        trainer: &'static str,
        /// The task.
        task: &'static str,
        /// Trainers that do.
        mend: &'static str,
    },
    /// A parameter of a trainer is out of its range.
    #[error("model `{model}`: `{parameter}` is {found}, it must be {range}")]
    Parameter {
        /// The model.
        model: String,
        /// The parameter.
        parameter: &'static str,
        /// Its value.
        found: String,
        /// The range.
        range: &'static str,
    },
    /// A column that the declaration names is not in the table.
    #[error("model `{model}`: `{from}` has no column `{column}`, which {role}; it has {have}")]
    NoColumn {
        /// The model.
        model: String,
        /// The table.
        from: String,
        /// The column.
        column: String,
        /// What needs it.
        role: &'static str,
        /// The columns there are.
        have: String,
    },
    /// An input has a type that no model can use.
    #[error(
        "model `{model}`: input `{input}` is of type {found}, which cannot become a number; cast it in SQL, or leave it out"
    )]
    InputType {
        /// The model.
        model: String,
        /// The input.
        input: String,
        /// Its type.
        found: String,
    },
    /// A training algorithm failed.
    #[error("model `{model}`: {trainer} did not come to an end: {reason}")]
    Trainer {
        /// The model.
        model: String,
        /// The algorithm.
        trainer: &'static str,
        /// What it said.
        reason: String,
    },
    /// A stage died.
    #[error("model `{model}`: training stopped unexpectedly: {reason}")]
    Stopped {
        /// The model.
        model: String,
        /// What is known of it.
        reason: String,
    },
    /// The artifact or its scoring is not valid.
    #[error(transparent)]
    Kernel(#[from] mainspring_kernel::Error),
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] mainspring_registry::Error),
    /// The feature store failed.
    #[error(transparent)]
    Features(#[from] mainspring_features::Error),
    /// The lake failed.
    #[error(transparent)]
    Lake(#[from] mainspring_lake::Error),
    /// The query engine failed.
    #[error("the query engine failed: {0}")]
    Query(#[from] datafusion::error::DataFusionError),
    /// Arrow failed.
    #[error("reading columns failed: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    /// A record could not be written as JSON.
    #[error("the declaration cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl Error {
    pub(crate) fn stopped(model: &mainspring_spec::Model, error: &tokio::task::JoinError) -> Self {
        Self::Stopped { model: model.name.clone(), reason: error.to_string() }
    }
}
