//! How running a workflow can fail.

/// The ways in which this layer fails. A task that fails is not one of them: it is a state of its [`TaskRun`](crate::TaskRun).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name that is no object of the project.
    #[error("there is no source, feature view, model, endpoint, monitor or workflow called `{name}`{hint}")]
    UnknownTarget {
        /// The name asked for.
        name: String,
        /// `; did you mean …?`, or empty.
        hint: String,
    },
    /// Another run holds the project's lease.
    #[error("run {run} is under way in process {holder}; wait for it, or end that process and run again")]
    Busy {
        /// The run under way.
        run: String,
        /// The process that does it.
        holder: String,
    },
    /// This process lost its lease while it worked, so it stopped before it could disturb the new holder.
    #[error("the lease on the project was lost to run {by} of process {holder}, so run {run} was stopped here")]
    LeaseLost {
        /// The run that was under way.
        run: String,
        /// The run that holds the lease now.
        by: String,
        /// The process that holds the lease now.
        holder: String,
    },
    /// The dependency graph of the project has a circle.
    #[error("the project's objects depend on each other in a circle: {0}")]
    Cycle(String),
    /// A run that something waited for has failed tasks.
    #[error("run {run} failed; `mainspring run` shows which task and why, and so does the console at /runs/{run}")]
    Failed {
        /// The run.
        run: String,
    },
    /// The feature store did not do what it was asked.
    #[error(transparent)]
    Features(#[from] mainspring_features::Error),
    /// The catalog did not do what it was asked.
    #[error(transparent)]
    Catalog(#[from] mainspring_catalog::Error),
    /// A version of a table could not be found out.
    #[error(transparent)]
    Lake(#[from] mainspring_lake::Error),
    /// An event could not be written as JSON.
    #[error("a lineage event cannot be written as JSON: {0}")]
    Event(#[from] serde_json::Error),
}

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;
