//! What can go wrong with a project after, or instead of, reading its folder.

use std::path::PathBuf;

/// A failure of this crate that is not about a place in a file; those are [`crate::Diagnostics`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No model has this name.
    #[error("there is no model `{name}`{}", hint(help))]
    UnknownModel {
        /// The name asked for.
        name: String,
        /// What to write instead, or empty.
        help: String,
    },
    /// A feature of a model means nothing, or several things.
    #[error("model `{model}`: {message}{}", hint(help))]
    Unresolved {
        /// The model.
        model: String,
        /// What is wrong.
        message: String,
        /// What to write instead, or empty.
        help: String,
    },
    /// Two inputs of a model have one name.
    #[error("model `{model}` has two inputs called `{input}`: leave one of them out of `features`")]
    DuplicateInput {
        /// The model.
        model: String,
        /// The name.
        input: String,
    },
    /// No feature service has this name.
    #[error("there is no feature service `{name}`{}", hint(help))]
    UnknownService {
        /// The name asked for.
        name: String,
        /// What to write instead, or empty.
        help: String,
    },
    /// A feature of a service means nothing, or several things.
    #[error("feature service `{service}`: {message}{}", hint(help))]
    UnresolvedService {
        /// The service.
        service: String,
        /// What is wrong.
        message: String,
        /// What to write instead, or empty.
        help: String,
    },
    /// A name that no object may have.
    #[error("`{name}` cannot be a name: {reason}")]
    BadName {
        /// The name.
        name: String,
        /// Why not.
        reason: &'static str,
    },
    /// A file is in the way.
    #[error("{path} is already there, and is not overwritten: choose an empty folder")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file could not be written.
    #[error("could not write {path}: {error}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

fn hint(help: &str) -> String {
    if help.is_empty() { String::new() } else { format!("; {help}") }
}

/// The result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;
