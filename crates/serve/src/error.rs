//! How answering can fail.

use std::time::Duration;

/// What can go wrong on the way to an answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No endpoint has this name.
    #[error("there is no endpoint `{name}`{help}")]
    UnknownEndpoint {
        /// The name asked for.
        name: String,
        /// A name like it, in words; or empty.
        help: String,
    },
    /// A version was asked for that is not the one that answers.
    #[error("endpoint `{endpoint}` does not serve version `{asked}` of its model; it serves {serving}")]
    OtherVersion {
        /// The endpoint.
        endpoint: String,
        /// The version asked for.
        asked: String,
        /// What it serves, in words.
        serving: String,
    },
    /// Nothing is live behind the endpoint, and it has no constant to fall back to.
    #[error(
        "endpoint `{endpoint}` has no live model: no version of `{model}` has the alias `{alias}`; promote one, \
         or declare `fallback: {{ constant: ... }}`"
    )]
    NothingLive {
        /// The endpoint.
        endpoint: String,
        /// Its model.
        model: String,
        /// Its alias.
        alias: String,
    },
    /// The request is not what the endpoint takes.
    #[error("{0}")]
    Invalid(String),
    /// The request has more rows than the endpoint lets in.
    #[error("the request has more than the {most} rows that endpoint `{endpoint}` takes; send them in parts")]
    TooManyRows {
        /// The endpoint.
        endpoint: String,
        /// The most it takes.
        most: u32,
    },
    /// The endpoint is answering as many requests as it lets in.
    #[error("endpoint `{endpoint}` is answering {most} requests already; try again in a moment")]
    Overloaded {
        /// The endpoint.
        endpoint: String,
        /// The most at once.
        most: u32,
    },
    /// Features could not be read, and the endpoint may not go on without them.
    #[error("endpoint `{endpoint}` cannot read the features of its model: {reason}")]
    Features {
        /// The endpoint.
        endpoint: String,
        /// What the store said.
        reason: String,
    },
    /// The answer took too long.
    #[error("endpoint `{endpoint}` did not answer within {timeout:?}")]
    TimedOut {
        /// The endpoint.
        endpoint: String,
        /// How long it may take.
        timeout: Duration,
    },
    /// A version cannot be put behind an endpoint.
    #[error("version {version} of model `{model}` cannot be served: {reason}")]
    Unservable {
        /// The model.
        model: String,
        /// The version.
        version: u64,
        /// What is in the way, and what would mend it.
        reason: String,
    },
    /// The model file is not one, or the scorer was given the wrong shape.
    #[error("scoring failed: {0}")]
    Kernel(#[from] mainspring_kernel::Error),
    /// The registry could not be asked.
    #[error(transparent)]
    Registry(#[from] mainspring_registry::Error),
    /// The declared project does not say what is needed.
    #[error(transparent)]
    Spec(#[from] mainspring_spec::Error),
    /// A part of the answering itself broke down.
    #[error("answering failed: {0}")]
    Internal(String),
}

/// Whose matter an error is, for faces to map to their protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// There is no such endpoint or version.
    NotFound,
    /// The caller must send something else.
    Invalid,
    /// The caller must send less.
    TooLarge,
    /// The caller should come again.
    Overloaded,
    /// We cannot answer now.
    Unavailable,
    /// We did not answer in time.
    TimedOut,
    /// We broke.
    Internal,
}

impl Error {
    /// Whose matter it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownEndpoint { .. } | Self::OtherVersion { .. } => ErrorKind::NotFound,
            Self::Invalid(_) => ErrorKind::Invalid,
            Self::TooManyRows { .. } => ErrorKind::TooLarge,
            Self::Overloaded { .. } => ErrorKind::Overloaded,
            Self::NothingLive { .. } | Self::Features { .. } => ErrorKind::Unavailable,
            Self::TimedOut { .. } => ErrorKind::TimedOut,
            Self::Unservable { .. } | Self::Kernel(_) | Self::Registry(_) | Self::Spec(_) | Self::Internal(_) => {
                ErrorKind::Internal
            }
        }
    }
}
