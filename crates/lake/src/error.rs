//! How the lake can fail.

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
    #[error("the lake at {root} cannot be opened: {reason}; name a folder that can be written, or a file:// URL")]
    Root {
        /// The root.
        root: String,
        /// Why not.
        reason: String,
    },
    /// There is no such table.
    #[error("there is no table {table}{hint}")]
    NoTable {
        /// The table.
        table: TableName,
        /// What to do: the nearest name, or how tables come to be.
        hint: String,
    },
    /// There is no such version of a table.
    #[error(
        "table {table} has no version {version}; its versions go to {latest}, and old ones are removed by maintenance"
    )]
    NoVersion {
        /// The table.
        table: TableName,
        /// The version asked for.
        version: u64,
        /// The newest version.
        latest: u64,
    },
    /// Rows between two versions cannot be told from the rest.
    #[error(
        "between versions {from} and {to} of table {table} rows were rewritten (version {at}), so those added cannot be told; read the whole table"
    )]
    Rewritten {
        /// The table.
        table: TableName,
        /// After this version.
        from: u64,
        /// Up to this version.
        to: u64,
        /// The first version that rewrote rows.
        at: u64,
    },
    /// Rows do not fit the table.
    #[error("rows cannot be written to table {table}: {reason}")]
    Schema {
        /// The table.
        table: TableName,
        /// Which column, and why.
        reason: String,
    },
    /// The table format failed.
    #[error("table {table}: {source}")]
    Delta {
        /// The table.
        table: TableName,
        /// What the format's library said.
        source: Box<DeltaTableError>,
    },
    /// A query failed.
    #[error("the query failed: {0}")]
    Query(Box<DataFusionError>),
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        // errors of ours that came through the engine are taken out again
        match error.find_root() {
            DataFusionError::External(inner) => match inner.downcast_ref::<Self>() {
                Some(Self::NoTable { table, hint }) => Self::NoTable { table: table.clone(), hint: hint.clone() },
                Some(Self::NoVersion { table, version, latest }) => {
                    Self::NoVersion { table: table.clone(), version: *version, latest: *latest }
                }
                _ => Self::Query(Box::new(error)),
            },
            _ => Self::Query(Box::new(error)),
        }
    }
}

impl Error {
    pub(crate) fn delta(table: &TableName) -> impl FnOnce(DeltaTableError) -> Self + use<> {
        let table = table.clone();
        move |source| Self::Delta { table, source: Box::new(source) }
    }
}

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;
