//! How this crate fails.

use crate::Verdict;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with runs, versions, aliases and artifacts.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such model.
    #[error("no version of a model `{0}` is registered; train it with `mainspring run {0}`")]
    NoModel(String),
    /// There is no such version.
    #[error("model `{model}` has no version {version}; it has {have}")]
    NoVersion {
        /// The model.
        model: String,
        /// The version asked for.
        version: u64,
        /// The versions there are, in words.
        have: String,
    },
    /// There is no such run.
    #[error("there is no run `{0}`")]
    NoRun(String),
    /// There is no such experiment.
    #[error("there is no experiment `{0}`")]
    NoExperiment(String),
    /// The name is that of another experiment.
    #[error("there is an experiment `{0}` already, perhaps a deleted one; choose another name, or restore that one")]
    ExperimentTaken(String),
    /// An experiment is deleted, or is not.
    #[error("experiment `{name}` must be {must} for that, and is not; restore or delete it first")]
    ExperimentStage {
        /// The experiment.
        name: String,
        /// What it must be.
        must: &'static str,
    },
    /// The run is deleted.
    #[error("run `{0}` is deleted; restore it first")]
    RunDeleted(String),
    /// A client wants to say how a run of ours goes.
    #[error("run `{0}` is driven by a trainer of Mainspring, which alone says how it ends")]
    TrainersRun(String),
    /// A param is there with another value.
    #[error("the param `{key}` of run `{run}` is {before:?} and stays so; log {value:?} in another run")]
    ParamChanged {
        /// The run.
        run: String,
        /// The param.
        key: String,
        /// Its value.
        before: String,
        /// The value that was to be written.
        value: String,
    },
    /// There is no such label.
    #[error("{of} has no tag `{key}`")]
    NoTag {
        /// What has not.
        of: String,
        /// The label.
        key: String,
    },
    /// A search pattern is too long.
    #[error("the pattern has {chars} characters, and at most {most} are allowed")]
    Pattern {
        /// Its length.
        chars: usize,
        /// The most allowed.
        most: usize,
    },
    /// Others change the same thing all the time.
    #[error("{0} is changed by many at once; ask again")]
    Busy(String),
    /// The store of metric points failed.
    #[error("{doing} the store of metric points failed: {reason}")]
    Points {
        /// What was being done.
        doing: &'static str,
        /// What was wrong.
        reason: String,
    },
    /// Tracking is not open in this process.
    #[error("runs are tracked by the server of this folder alone; start it with `mainspring serve`")]
    NotTracking,
    /// The run has ended, so nothing may be added to it.
    #[error("run `{run}` is {status} and takes nothing more")]
    RunEnded {
        /// The run.
        run: String,
        /// How it ended.
        status: String,
    },
    /// The alias names nothing.
    #[error("model `{model}` has no alias `{alias}`")]
    NoAlias {
        /// The model.
        model: String,
        /// The alias.
        alias: String,
    },
    /// The name cannot be an alias.
    #[error(
        "`{0}` cannot be an alias: write lower case letters, digits, `_` and `-`, at most 64, starting with a letter"
    )]
    AliasName(String),
    /// Nothing was live before.
    #[error("nothing to roll back to: version {version} is the first that had the alias `{alias}` of model `{model}`")]
    NothingBefore {
        /// The model.
        model: String,
        /// The alias.
        alias: String,
        /// The version that has it.
        version: u64,
    },
    /// A rollback names a version that never was live.
    #[error(
        "version {version} of model `{model}` never had the alias `{alias}`; promote it, so that its gates are judged"
    )]
    NeverLive {
        /// The model.
        model: String,
        /// The alias.
        alias: String,
        /// The version asked for.
        version: u64,
    },
    /// Gates were not met. The attempt is in the audit log.
    #[error("{0}")]
    Refused(Box<Verdict>),
    /// Someone else moved the alias at the same time.
    #[error(
        "the alias `{alias}` of model `{model}` was moved by someone else meanwhile; look at what is live now and ask again"
    )]
    Raced {
        /// The model.
        model: String,
        /// The alias.
        alias: String,
    },
    /// An artifact is too big to store.
    #[error("the artifact `{name}` has {bytes} bytes, more than the {most} allowed")]
    TooLarge {
        /// Its name.
        name: String,
        /// Its size.
        bytes: u64,
        /// The most allowed.
        most: u64,
    },
    /// A model file is not a model.
    #[error("the artifact `{name}` is not a mainspring model ({reason}); nothing in it was executed")]
    NotAModel {
        /// Its name.
        name: String,
        /// What the reader said.
        reason: String,
    },
    /// An artifact that the catalog names is not there.
    #[error("the artifact {sha256} is missing from {folder}; restore it from a backup, or train again")]
    ArtifactMissing {
        /// Its hash.
        sha256: String,
        /// Where it should lie.
        folder: String,
    },
    /// An artifact's bytes changed.
    #[error(
        "the artifact {expected} has been altered: its bytes hash to {found}; restore it from a backup, or train again"
    )]
    ArtifactAltered {
        /// The hash it is stored under.
        expected: String,
        /// The hash of what lies there.
        found: String,
    },
    /// A text is not a SHA-256.
    #[error("`{0}` is not a SHA-256: 64 lower case hexadecimal digits")]
    NotAHash(String),
    /// The disk failed.
    #[error("{doing} {path} failed: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: String,
        /// What was wrong.
        source: std::io::Error,
    },
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] mainspring_catalog::Error),
    /// A record could not be written as JSON.
    #[error("a record cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}
