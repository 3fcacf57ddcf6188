//! How this crate fails.

use crate::Verdict;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with runs, versions, aliases and artifacts.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such model.
    #[error(
        "no version of a model `{0}` is registered; if the project declares it, `mainspring run {0}` trains one; if not, log and register one with MLflow's client, or a model file with `mainspring register {0} FILE`"
    )]
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
        "Invalid alias name: '{0}'. Names may only contain alphanumerics, underscores (_), and dashes (-), at most 255 of them; 'latest' and version numbers such as 'v2' are reserved"
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
    /// The name cannot be that of a model.
    #[error("Invalid model name '{name}': {rule}")]
    ModelName {
        /// The name, shortened.
        name: String,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// The name of a model is taken.
    #[error("Registered Model (name={0}) already exists")]
    ModelExists(String),
    /// The model is declared in the project, so it is changed there.
    #[error(
        "the model `{model}` is declared in the project, so it is not {action} here; change its file under models/ and apply it"
    )]
    Declared {
        /// The model.
        model: String,
        /// What was asked.
        action: &'static str,
    },
    /// An endpoint answers from it, and would answer no more.
    #[error("{what} is not {action}: the endpoint `{endpoint}` follows {follows}; first {mend}")]
    Followed {
        /// What is to go.
        what: String,
        /// What was asked.
        action: &'static str,
        /// The endpoint.
        endpoint: String,
        /// What the endpoint follows.
        follows: String,
        /// What would let it go.
        mend: String,
    },
    /// There is no such logged model.
    #[error("Logged model with ID '{0}' not found.")]
    NoLoggedModel(String),
    /// The logged model has no such label.
    #[error("No tag with key '{key}' for logged model '{model}'")]
    NoLoggedModelTag {
        /// The logged model.
        model: String,
        /// The label.
        key: String,
    },
    /// Something said of a logged model breaks a rule.
    #[error("{0}")]
    LoggedModel(String),
    /// A label or a note of a version breaks a rule.
    #[error("{0}")]
    Remark(String),
    /// There is no such webhook.
    #[error("Webhook with ID {0} not found.")]
    NoWebhook(String),
    /// Something said of a webhook breaks a rule.
    #[error("{0}")]
    Webhook(String),
    /// A secret cannot be sealed, or is not opened by any key.
    #[error(transparent)]
    Secret(#[from] mainspring_govern::VaultError),
    /// The place that a version is to be made from is not one that it may name.
    #[error("Invalid model version source: '{named}'. {reason}")]
    Source {
        /// What the client named.
        named: String,
        /// Why it is refused.
        reason: String,
    },
    /// Others changed the same thing again and again.
    #[error("`{0}` was changed by others each time that this was tried; try again")]
    Contended(String),
    /// There is no such stage.
    #[error("`{0}` is no stage; there are None, Staging, Production and Archived, and aliases have replaced them")]
    Stage(String),
    /// The version is stored, and has no model file that runs here.
    #[error("version {version} of model `{model}` does not run here: {reason}")]
    NotServable {
        /// The model.
        model: String,
        /// The version.
        version: u64,
        /// Why not.
        reason: String,
    },
    /// The name cannot be that of an endpoint.
    #[error("`{name}` cannot be the name of an endpoint: {problem}; name it for example `{mended}`")]
    EndpointName {
        /// The name, shortened.
        name: String,
        /// The rule it breaks.
        problem: &'static str,
        /// A name that is one.
        mended: String,
    },
    /// The endpoint is a matter of the project's folder.
    #[error("the endpoint `{0}` is declared in the project's folder; change or remove endpoints/{0}.yaml and apply it")]
    EndpointDeclared(String),
    /// There is no such endpoint.
    #[error("there is no endpoint `{0}`; put a model behind one with `mainspring deploy MODEL --as {0}`")]
    NoEndpoint(String),
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
    /// The place for files that clients log cannot be opened.
    #[error("`{root}` cannot hold the files that clients log: {reason}; write a path, or s3://BUCKET/FOLDER")]
    FileRoot {
        /// What was configured.
        root: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A text is no path of a file.
    #[error(transparent)]
    FilePath(#[from] crate::FilePathError),
    /// There is no such file.
    #[error("there is no artifact `{0}`")]
    NoFile(String),
    /// A folder has too many entries.
    #[error("`{folder}` has more than {most} entries; put them into folders")]
    TooManyFiles {
        /// The folder.
        folder: String,
        /// The most entries.
        most: usize,
    },
    /// The bytes of a file did not arrive whole.
    #[error("the upload of `{path}` was given up, and nothing of it is kept: {reason}")]
    Upload {
        /// The file.
        path: String,
        /// What went wrong.
        reason: String,
    },
    /// Too much is being uploaded.
    #[error("{uploads} uploads are under way, which is the most at once; try again in a moment")]
    UploadsFull {
        /// How many.
        uploads: usize,
    },
    /// The file store failed.
    #[error("{doing} the artifact `{path}` failed: {source}")]
    Files {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: String,
        /// What the store said.
        source: Box<object_store::Error>,
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
