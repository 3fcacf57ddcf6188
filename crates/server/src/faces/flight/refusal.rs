//! Errors in the words of gRPC.

use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use tonic::{Code, Status};

use super::ticket::BadTicket;
use crate::query::Error;

/// The longest message: it travels in a header, and clients bound those.
const MESSAGE_BYTES_MAX: usize = 3_000;

/// A query's error as a status: what is ours is logged under a trace id that the caller also gets.
pub(super) fn status(error: &Error) -> Status {
    let code = code(error);
    if code == Code::Internal {
        return internal(&error.to_string());
    }
    Status::new(code, short(error.to_string()))
}

/// Something of ours that failed.
pub(super) fn internal(words: &str) -> Status {
    let trace_id = uuid::Uuid::now_v7();
    tracing::error!(%trace_id, error = %words, "a Flight SQL request failed");
    Status::internal(short(format!("{words} (trace id {trace_id})")))
}

fn code(error: &Error) -> Code {
    use mainspring_lake::Error as Lake;
    match error {
        Error::NotAQuery { .. } | Error::TooLarge { .. } | Error::Parameters(_) => Code::InvalidArgument,
        Error::Clause { .. } => Code::Unimplemented,
        Error::Denied(_) | Error::Withheld { .. } | Error::Undeclared { .. } => Code::PermissionDenied,
        Error::TooManyRows { .. } | Error::TooManyQueries { .. } => Code::ResourceExhausted,
        Error::Cancelled => Code::Cancelled,
        Error::TookTooLong { .. } => Code::DeadlineExceeded,
        Error::Lake(Lake::NoTable { .. } | Lake::NoVersion { .. } | Lake::BeforeFirst { .. }) => Code::NotFound,
        Error::Lake(Lake::Name { .. }) => Code::InvalidArgument,
        Error::Engine(error) => code_of_engine(error.find_root()),
        Error::Lake(_) | Error::Catalog(_) | Error::Registry(_) | Error::Broken(_) => Code::Internal,
    }
}

fn code_of_engine(root: &DataFusionError) -> Code {
    match root {
        DataFusionError::ResourcesExhausted(_) => Code::ResourceExhausted,
        DataFusionError::NotImplemented(_) => Code::Unimplemented,
        DataFusionError::SQL(..)
        | DataFusionError::Plan(_)
        | DataFusionError::SchemaError(..)
        | DataFusionError::Configuration(_)
        | DataFusionError::Execution(_)
        | DataFusionError::Collection(_) => Code::InvalidArgument,
        DataFusionError::ArrowError(arrow, _) => match arrow.as_ref() {
            ArrowError::IoError(..)
            | ArrowError::IpcError(_)
            | ArrowError::ParquetError(_)
            | ArrowError::MemoryError(_)
            | ArrowError::CDataInterface(_)
            | ArrowError::ExternalError(_) => Code::Internal,
            // what the values of the query did not allow: a cast, an overflow, a division by zero
            _ => Code::InvalidArgument,
        },
        _ => Code::Internal,
    }
}

/// The beginning of a text that is too long for a header.
fn short(mut text: String) -> String {
    if text.len() > MESSAGE_BYTES_MAX {
        let end = (0..=MESSAGE_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

impl From<BadTicket> for Status {
    fn from(bad: BadTicket) -> Self {
        match bad {
            BadTicket::Foreign | BadTicket::Expired => Self::invalid_argument(bad.to_string()),
            BadTicket::Anothers => Self::permission_denied(bad.to_string()),
        }
    }
}

/// That nobody said who asks.
pub(super) fn unauthenticated() -> Status {
    Status::unauthenticated("the request does not say who asks; send the metadata `authorization: Bearer KEY`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let cut = short("é".repeat(MESSAGE_BYTES_MAX));

        assert!(cut.len() <= MESSAGE_BYTES_MAX + '…'.len_utf8() && cut.ends_with('…'));
    }

    #[test]
    fn whose_fault_it_is_shows_in_the_code() {
        let engine = |error| Error::Engine(Box::new(error));
        for (error, code) in [
            (engine(DataFusionError::Plan("no such column".into())), Code::InvalidArgument),
            (engine(DataFusionError::from(ArrowError::DivideByZero)), Code::InvalidArgument),
            (engine(DataFusionError::ResourcesExhausted("memory".into())), Code::ResourceExhausted),
            (engine(DataFusionError::Internal("a bug".into())), Code::Internal),
            (Error::Cancelled, Code::Cancelled),
        ] {
            assert_eq!(status(&error).code(), code, "{error}");
        }
    }
}
