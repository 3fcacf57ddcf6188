//! What can go wrong with an ingest as a whole. What is wrong with one file is a [`Fault`](crate::read::Fault) and only refuses that file.

/// Why an ingest, an inference or the writing of a project could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The project has no such source.
    #[error("no source is called `{name}`; the project has {known}")]
    UnknownSource {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A source's path cannot be understood or read.
    #[error("cannot look for files at `{path}`: {reason}")]
    Location {
        /// The path, glob or URL as written.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file's format cannot be told.
    #[error(
        "cannot tell the format of `{path}` by its ending; write `format: csv`, `jsonl` or `parquet` in the source"
    )]
    Format {
        /// The file.
        path: String,
    },
    /// A file could not be read, through no fault of its content.
    #[error("cannot read `{uri}`: {reason}")]
    Read {
        /// The file.
        uri: String,
        /// What the storage said.
        reason: String,
    },
    /// A SQL expression of the source does not compile.
    #[error("{place} of source `{name}`: `{sql}` does not compile: {reason}")]
    Expression {
        /// The source.
        name: String,
        /// Which expression: a derived column or a check.
        place: String,
        /// The expression.
        sql: String,
        /// What the compiler said.
        reason: String,
        /// The name that means nothing, where it is that.
        unknown: Option<Box<mainspring_spec::UnknownName>>,
    },
    /// A check cannot be compiled for the columns it names.
    #[error("check `{check}` of source `{name}`: {reason}")]
    Check {
        /// The source.
        name: String,
        /// The check.
        check: String,
        /// What is wrong and what mends it.
        reason: String,
    },
    /// A table that a check looks into is not there.
    #[error(
        "check `{check}` of source `{name}` looks into source `{referenced}`, which has no table yet; ingest `{referenced}` first"
    )]
    NotYetIngested {
        /// The source.
        name: String,
        /// The check.
        check: String,
        /// The source it looks into.
        referenced: String,
    },
    /// A set of values that a check needs in memory is too large.
    #[error("{what} holds more than {limit} different values, which is more than a check keeps in memory; {mend}")]
    TooManyValues {
        /// Whose values.
        what: String,
        /// The bound.
        limit: usize,
        /// The edit that helps.
        mend: String,
    },
    /// A sample file does not allow an inference.
    #[error("cannot infer a source from `{path}`: {reason}")]
    Infer {
        /// The file.
        path: String,
        /// What is wrong and what mends it.
        reason: String,
    },
    /// A Feast repository cannot be imported.
    #[error("cannot import the Feast repository {repo}: {reason}")]
    Feast {
        /// Its folder.
        repo: String,
        /// What is wrong and what mends it.
        reason: String,
    },
    /// A file of a new project cannot be written.
    #[error("cannot write `{path}`: {reason}")]
    Write {
        /// The file.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// Pushed rows break a rule of their source; none of them is taken.
    #[error("source `{name}` refuses the push: {reason}")]
    Pushed {
        /// The source.
        name: String,
        /// Which rows, and what is wrong with them.
        reason: String,
    },
    /// The source is declared so that its rows would be others, and they cannot be read again.
    #[error(
        "source `{name}` has rows that clients pushed, which cannot be read again although {reason}; take that change out of the source, or declare it as another source with a name of its own and push there from now on"
    )]
    PushedRows {
        /// The source.
        name: String,
        /// What has changed in its declaration.
        reason: String,
    },
    /// A computation over rows failed.
    #[error("cannot compute over the rows of source `{name}`: {reason}")]
    Compute {
        /// The source.
        name: String,
        /// What the engine said.
        reason: String,
    },
    /// The lake refused.
    #[error(transparent)]
    Lake(#[from] mainspring_lake::Error),
    /// The catalog refused.
    #[error(transparent)]
    Catalog(#[from] mainspring_catalog::Error),
}

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;
