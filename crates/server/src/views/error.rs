//! Why something cannot be shown.

use mainspring_catalog::Error as CatalogError;
use mainspring_registry::Error as RegistryError;
use mainspring_watch::Error as WatchError;

use crate::http::Problem;

/// Why something cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such thing.
    #[error("there is no {kind} called `{name}`")]
    Missing {
        /// What was asked for.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] mainspring_catalog::Error),
    /// The lake failed.
    #[error(transparent)]
    Lake(#[from] mainspring_lake::Error),
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The feature store failed.
    #[error(transparent)]
    Features(#[from] mainspring_features::Error),
    /// A source has no table of its name.
    #[error(transparent)]
    Ingest(#[from] mainspring_ingest::Error),
    /// Watching failed.
    #[error(transparent)]
    Watch(#[from] mainspring_watch::Error),
    /// A query failed.
    #[error(transparent)]
    Query(#[from] datafusion::error::DataFusionError),
}

/// The result of a look.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn missing(kind: &'static str, name: impl Into<String>) -> Self {
        Self::Missing { kind, name: name.into() }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match &error {
            Error::Missing { .. } => Self::not_found(error.to_string()),
            Error::Registry(RegistryError::NoModel(_) | RegistryError::NoVersion { .. } | RegistryError::NoRun(_)) => {
                Self::not_found(error.to_string())
            }
            Error::Catalog(CatalogError::CursorGone { .. })
            | Error::Registry(RegistryError::Catalog(CatalogError::CursorGone { .. }))
            | Error::Watch(WatchError::Catalog(CatalogError::CursorGone { .. })) => Self::not_found(error.to_string()),
            _ => Self::internal(&error),
        }
    }
}
