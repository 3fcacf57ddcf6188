//! How the lake can fail.

use std::sync::Arc;

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use deltalake::DeltaTableError;

use crate::name::TableName;

/// The ways in which this layer fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A memory size that is none.
    #[error("`{text}` is no amount of memory of at least 64 MiB; write for example 512MiB or 2GiB")]
    Memory {
        /// What was written.
        text: String,
    },
    /// A table name that is none.
    #[error("`{text}` is no table name; write schema.table, with lower case letters, digits and _ in each part")]
    Name {
        /// What was written.
        text: String,
    },
    /// The root cannot be used.
    #[error("the lake at {root} cannot be used: {reason}; name a folder that can be written, or a file:// URL")]
    Root {
        /// The root.
        root: String,
        /// Why not.
        reason: String,
    },
    /// There is no such table.
    #[error("there is no table {table}{hint}")]
    NoTable {
        /// The table, as it was written.
        table: String,
        /// What to do: the nearest name, or how tables come to be.
        hint: String,
    },
    /// There is no such version of a table.
    #[error(
        "table {table} has no version {version} any more or yet; the newest is {latest}, and old ones are removed by maintenance"
    )]
    NoVersion {
        /// The table.
        table: TableName,
        /// The version asked for.
        version: u64,
        /// The newest version.
        latest: u64,
    },
    /// The table did not exist at a moment.
    #[error("table {table} has no version from {time} or before; its oldest known version is of {oldest}")]
    BeforeFirst {
        /// The table.
        table: TableName,
        /// The moment asked for.
        time: jiff::Timestamp,
        /// When the oldest version that is still known was committed.
        oldest: jiff::Timestamp,
    },
    /// Rows added between two versions cannot be told from the rest.
    #[error(
        "rows added to table {table} between versions {from} and {to} cannot be told: {reason} at version {at}; read the whole table"
    )]
    Rewritten {
        /// The table.
        table: TableName,
        /// After this version.
        from: u64,
        /// Up to this version.
        to: u64,
        /// The first version at which they cannot be told.
        at: u64,
        /// Why not.
        reason: &'static str,
    },
    /// Rows do not fit the table.
    #[error("rows cannot be written to table {table}: {reason}")]
    Schema {
        /// The table.
        table: TableName,
        /// Which column, why, and what would mend it.
        reason: String,
    },
    /// Other writers won every race for the next version.
    #[error(
        "table {table} was changed by other writers {attempts} times while this write tried to commit; write again"
    )]
    Contended {
        /// The table.
        table: TableName,
        /// How often it was tried.
        attempts: u32,
    },
    /// The table uses something of the table format that this operation cannot do.
    #[error("table {table} cannot be changed this way: it uses {feature}, which only its own writer understands")]
    Unsupported {
        /// The table.
        table: TableName,
        /// What it uses.
        feature: &'static str,
    },
    /// The table format failed.
    #[error("table {table}: {source}")]
    Delta {
        /// The table.
        table: TableName,
        /// What the format's library said.
        source: Box<DeltaTableError>,
    },
    /// A data file or folder could not be read or written.
    #[error("storage of table {table}: {reason}")]
    Storage {
        /// The table.
        table: TableName,
        /// What the storage said.
        reason: String,
    },
    /// A query failed.
    #[error("the query failed: {0}")]
    Query(Box<DataFusionError>),
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        unwrap_engine(error)
    }
}

/// Takes an error of ours that travelled through the engine out again; the engine wraps and shares what streams return.
fn unwrap_engine(error: DataFusionError) -> Error {
    match error {
        DataFusionError::External(inner) => match inner.downcast::<Error>() {
            Ok(ours) => *ours,
            Err(other) => Error::Query(Box::new(DataFusionError::External(other))),
        },
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => unwrap_engine(*inner),
        DataFusionError::Shared(inner) => match Arc::try_unwrap(inner) {
            Ok(inner) => unwrap_engine(inner),
            Err(shared) => Error::Query(Box::new(DataFusionError::Shared(shared))),
        },
        DataFusionError::ArrowError(arrow, context) => match *arrow {
            ArrowError::ExternalError(inner) => match inner.downcast::<Error>() {
                Ok(ours) => *ours,
                Err(other) => Error::Query(Box::new(DataFusionError::External(other))),
            },
            arrow => Error::Query(Box::new(DataFusionError::ArrowError(Box::new(arrow), context))),
        },
        other => Error::Query(Box::new(other)),
    }
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        match error {
            Error::Query(inner) => *inner,
            other => Self::External(Box::new(other)),
        }
    }
}

impl Error {
    /// Whether the same may go well when it is tried again: a lost race, a disk or a store that failed. A table or a query
    /// that is wrong stays so.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Contended { .. } | Self::NoVersion { .. } | Self::Storage { .. } => true,
            Self::Delta { source, .. } => !matches!(
                **source,
                DeltaTableError::SchemaMismatch { .. }
                    | DeltaTableError::InvalidData { .. }
                    | DeltaTableError::Arrow { .. }
                    | DeltaTableError::MetadataError(_)
                    | DeltaTableError::MissingFeature { .. }
                    | DeltaTableError::NotATable(_)
            ),
            Self::Query(error) => query_may_pass(error),
            _ => false,
        }
    }

    pub(crate) fn delta<E: Into<DeltaTableError>>(table: &TableName) -> impl FnOnce(E) -> Self + use<E> {
        let table = table.clone();
        move |source| Self::Delta { table, source: Box::new(source.into()) }
    }

    pub(crate) fn storage<E: std::fmt::Display>(table: &TableName) -> impl FnOnce(E) -> Self + use<E> {
        let table = table.clone();
        move |source| Self::Storage { table, reason: source.to_string() }
    }

    pub(crate) fn schema(table: &TableName) -> impl FnOnce(String) -> Self + use<> {
        let table = table.clone();
        move |reason| Self::Schema { table, reason }
    }
}

/// Whether a query that failed so may go well when it is tried again, as [`Error::may_pass`].
#[must_use]
pub fn query_may_pass(error: &DataFusionError) -> bool {
    // what came through the engine from elsewhere says so itself, where it is ours
    let foreign = |error: &(dyn std::error::Error + Send + Sync + 'static)| {
        error.downcast_ref::<Error>().is_none_or(Error::may_pass)
    };
    match error.find_root() {
        DataFusionError::IoError(_)
        | DataFusionError::ObjectStore(_)
        | DataFusionError::ParquetError(_)
        | DataFusionError::ResourcesExhausted(_) => true,
        DataFusionError::External(inner) => foreign(inner.as_ref()),
        DataFusionError::ArrowError(arrow, _) => match arrow.as_ref() {
            ArrowError::IoError(..) | ArrowError::ParquetError(_) => true,
            ArrowError::ExternalError(inner) => foreign(inner.as_ref()),
            _ => false,
        },
        _ => false,
    }
}

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_errors_come_out_of_the_engine_as_they_went_in() {
        let ours = || Error::Name { text: "x".into() };
        let wrapped = [
            DataFusionError::from(ours()),
            DataFusionError::Context("while".into(), Box::new(ours().into())),
            DataFusionError::Shared(Arc::new(ours().into())),
            DataFusionError::ArrowError(Box::new(ArrowError::ExternalError(Box::new(ours()))), None),
        ];

        for error in wrapped {
            assert!(matches!(Error::from(error), Error::Name { .. }));
        }
    }

    #[test]
    fn a_store_that_failed_may_pass_and_a_mistake_may_not() {
        let table = || "sources.events".parse::<TableName>().unwrap();
        let io = || DataFusionError::IoError(std::io::Error::other("the disk was busy"));
        let schema = || Error::Schema { table: table(), reason: "`a` is text".into() };
        let through = |error: Error| Error::Query(Box::new(DataFusionError::External(Box::new(error))));

        for passes in [
            Error::Contended { table: table(), attempts: 3 },
            Error::Query(Box::new(io())),
            Error::Query(Box::new(DataFusionError::Context("while reading".into(), Box::new(io())))),
            through(Error::Storage { table: table(), reason: "timed out".into() }),
        ] {
            assert!(passes.may_pass(), "{passes}");
        }
        for stays in
            [schema(), through(schema()), Error::Query(Box::new(DataFusionError::Plan("no column `a`".into())))]
        {
            assert!(!stays.may_pass(), "{stays}");
        }
    }
}
