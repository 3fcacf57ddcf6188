//! What a service needs of a call, and errors as gRPC has them.

use tonic::{Code, Request, Status};

use crate::http::{Caller, Problem};

/// Who sent the call, as the guard found out.
///
/// # Errors
/// When the call did not pass the guard.
pub(crate) fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    request.extensions().get::<Caller>().cloned().ok_or_else(|| Status::unauthenticated("nobody said who calls"))
}

impl From<Problem> for Status {
    fn from(problem: Problem) -> Self {
        let code = match problem.status.as_u16() {
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            404 => Code::NotFound,
            409 => Code::FailedPrecondition,
            413 => Code::OutOfRange,
            429 => Code::ResourceExhausted,
            501 => Code::Unimplemented,
            503 => Code::Unavailable,
            504 => Code::DeadlineExceeded,
            400..=499 => Code::InvalidArgument,
            _ => Code::Internal,
        };
        match problem.trace_id {
            Some(trace) => Self::new(code, format!("{} (trace {trace})", problem.detail)),
            None => Self::new(code, problem.detail),
        }
    }
}
