//! How a query can fail, in words for who wrote it.

use std::sync::Arc;

use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use mainspring_catalog::Principal;
use mainspring_govern::Denied;

/// The ways in which a query fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is no query.
    #[error("only queries are run here, and {what} is none; {mend}")]
    NotAQuery {
        /// What it is.
        what: String,
        /// What to do instead.
        mend: &'static str,
    },
    /// It is larger than it may be.
    #[error("the statement has {is} {what}, the most is {most}; {mend}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much.
        is: usize,
        /// How much there may be.
        most: usize,
        /// What to do instead.
        mend: &'static str,
    },
    /// It has a clause that the engine would leave out of account.
    #[error("the engine passes over {clause}, and would answer as if it were not there; {mend}")]
    Clause {
        /// The clause.
        clause: &'static str,
        /// What to do instead.
        mend: &'static str,
    },
    /// The caller may not read a table.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The caller may not read a column.
    #[error("column {column} of {table} tells of persons and is not shown: {denied}")]
    Withheld {
        /// The column.
        column: String,
        /// Its table.
        table: String,
        /// Why not.
        denied: Box<Denied>,
    },
    /// Nothing says which columns of a table the caller may read.
    #[error(
        "{table} is not shown, for any of its columns may tell of persons: what declared it is gone, and with it which were marked; declare it again, or have a policy permit you to read it all the same: {denied}"
    )]
    Undeclared {
        /// The table.
        table: String,
        /// Why not.
        denied: Box<Denied>,
    },
    /// The result is longer than the caller's may be.
    #[error(
        "the result has more than {most} rows, the most of one query of {principal} by `{rule}`; narrow it with WHERE or LIMIT, aggregate it, or have the limit raised"
    )]
    TooManyRows {
        /// How many rows it may have.
        most: u64,
        /// Whose query.
        principal: Principal,
        /// Where the limit is declared.
        rule: String,
    },
    /// Too much is under way.
    #[error("{whose} {most} queries under way, the most at a time; read one to its end or cancel it, then ask again")]
    TooManyQueries {
        /// Whose: `user:ada has`, `the server has`.
        whose: String,
        /// How many there may be.
        most: usize,
    },
    /// Somebody cancelled it.
    #[error("the query was cancelled")]
    Cancelled,
    /// It took too long.
    #[error("the query was stopped: it was not read to its end within {seconds} s")]
    TookTooLong {
        /// How long it may take.
        seconds: u64,
    },
    /// The parameters do not fit.
    #[error("the parameters do not fit the statement: {0}")]
    Parameters(String),
    /// The lake could not.
    #[error(transparent)]
    Lake(mainspring_lake::Error),
    /// The catalog could not.
    #[error(transparent)]
    Catalog(#[from] mainspring_catalog::Error),
    /// The registry could not.
    #[error(transparent)]
    Registry(#[from] mainspring_registry::Error),
    /// The engine could not.
    #[error("{0}")]
    Engine(Box<DataFusionError>),
    /// Something of ours broke.
    #[error("the query ended early: {0}")]
    Broken(String),
}

impl From<mainspring_lake::Error> for Error {
    fn from(error: mainspring_lake::Error) -> Self {
        match error {
            mainspring_lake::Error::Query(inner) => Self::from(*inner),
            other => Self::Lake(other),
        }
    }
}

impl From<DataFusionError> for Error {
    /// Takes an error of ours that travelled through the engine out again.
    fn from(error: DataFusionError) -> Self {
        match error {
            DataFusionError::External(inner) => out_of(inner),
            DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => Self::from(*inner),
            DataFusionError::Shared(inner) => match Arc::try_unwrap(inner) {
                Ok(inner) => Self::from(inner),
                Err(shared) => Self::Engine(Box::new(DataFusionError::Shared(shared))),
            },
            DataFusionError::ArrowError(arrow, context) => match *arrow {
                ArrowError::ExternalError(inner) => out_of(inner),
                arrow => Self::Engine(Box::new(DataFusionError::ArrowError(Box::new(arrow), context))),
            },
            other => Self::Engine(Box::new(other)),
        }
    }
}

fn out_of(inner: Box<dyn std::error::Error + Send + Sync>) -> Error {
    let inner = match inner.downcast::<Error>() {
        Ok(ours) => return *ours,
        Err(other) => other,
    };
    match inner.downcast::<mainspring_lake::Error>() {
        Ok(lake) => Error::from(*lake),
        Err(other) => Error::Engine(Box::new(DataFusionError::External(other))),
    }
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        match error {
            Error::Engine(inner) => *inner,
            other => Self::External(Box::new(other)),
        }
    }
}

/// The result of this module's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_errors_come_out_of_the_engine_as_they_went_in() {
        let wrapped = [
            DataFusionError::from(Error::Cancelled),
            DataFusionError::Context("while".into(), Box::new(Error::Cancelled.into())),
            DataFusionError::Shared(Arc::new(Error::Cancelled.into())),
            DataFusionError::ArrowError(Box::new(ArrowError::ExternalError(Box::new(Error::Cancelled))), None),
        ];

        for error in wrapped {
            assert!(matches!(Error::from(error), Error::Cancelled));
        }
    }
}
