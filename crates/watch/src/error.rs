//! The ways in which watching can fail, worded for the person who meets them.

/// What went wrong while watching.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such monitor in the project.
    #[error("there is no monitor `{0}`; `mainspring status` lists them, a file under monitors/ adds one")]
    UnknownMonitor(String),

    /// The monitor's endpoint, or its model, is not in the project.
    #[error(
        "monitor `{monitor}` watches {kind} `{name}`, which the project does not declare; declare it or change the monitor"
    )]
    UnknownTarget {
        /// The monitor.
        monitor: String,
        /// What is missing.
        kind: &'static str,
        /// Its name.
        name: String,
    },

    /// A label for a model that the project does not declare.
    #[error("labels were pushed for model `{0}`, which the project does not declare")]
    UnknownModel(String),

    /// A pushed label cannot be used.
    #[error("label {position} of those pushed for model `{model}` {reason}")]
    InvalidLabel {
        /// The model.
        model: String,
        /// Which one, from 1.
        position: usize,
        /// What is wrong, and what would be right.
        reason: String,
    },

    /// More labels at once than are taken.
    #[error("{given} labels were pushed at once, the most is {most}; push them in parts")]
    TooManyLabels {
        /// How many were pushed.
        given: usize,
        /// How many may be.
        most: usize,
    },

    /// There is no such alert.
    #[error("there is no alert `{0}`; `mainspring alerts` lists them")]
    UnknownAlert(String),

    /// The alert is in a state in which this cannot be done.
    #[error("alert `{id}` is {state}, so it cannot be {wanted}")]
    AlertState {
        /// The alert.
        id: String,
        /// Its state.
        state: &'static str,
        /// What was asked for.
        wanted: &'static str,
    },

    /// Several processes judge the same monitor, or the files of the same source, at once.
    #[error("the alerts of `{0}` were changed by somebody else again and again while it was judged; try again")]
    Contended(String),

    /// A table does not have the shape that is needed.
    #[error("{table} cannot be read by the monitor: {reason}")]
    Table {
        /// The table.
        table: String,
        /// What is wrong.
        reason: String,
    },

    /// A query failed.
    #[error("monitor `{monitor}`: {doing} failed: {reason}")]
    Query {
        /// The monitor.
        monitor: String,
        /// What was being done.
        doing: &'static str,
        /// What the engine said.
        reason: String,
    },

    /// The computation stopped.
    #[error("monitor `{monitor}`: comparing columns stopped: {reason}")]
    Stopped {
        /// The monitor.
        monitor: String,
        /// Why.
        reason: String,
    },

    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] mainspring_catalog::Error),

    /// The lake failed.
    #[error(transparent)]
    Lake(#[from] mainspring_lake::Error),

    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] mainspring_registry::Error),

    /// A model could not be run.
    #[error(transparent)]
    Kernel(#[from] mainspring_kernel::Error),

    /// A name in the project could not be resolved.
    #[error(transparent)]
    Spec(#[from] mainspring_spec::Error),
}

/// The result of watching.
pub type Result<T, E = Error> = std::result::Result<T, E>;
