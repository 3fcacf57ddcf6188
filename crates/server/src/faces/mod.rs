//! Protocols. Each face translates between its wire format and one function of a layer, and decides nothing.

use std::pin::pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use mainspring_catalog::Principal;
use mainspring_govern::Denied;
use mainspring_serve::{Endpoint, ServeEngine};

pub mod feast;
pub mod flight;
pub mod lineage;
pub mod mlflow;
mod not_a_number;
pub mod oip;
pub mod predict;
#[cfg(test)]
mod testing;

/// Decides whether somebody may do something (`endpoint.predict`, `endpoint.read`) to an endpoint.
pub type Gate = Arc<dyn Fn(&Principal, &'static str, &str) -> Result<(), Denied> + Send + Sync>;

/// Leaves in the audit log that somebody was denied a prediction.
pub type Record = Arc<dyn Fn(Denied) -> BoxFuture<'static, ()> + Send + Sync>;

/// What the faces of inference share. Both expect the guard of the port before them, which names the
/// [`Caller`](crate::http::Caller) in the request's extensions; a request without one is refused.
#[derive(Clone)]
pub struct Served {
    /// Answers.
    pub engine: Arc<ServeEngine>,
    /// Decides.
    pub gate: Gate,
    /// Writes down who was denied.
    pub record: Record,
}

/// Why a request for a prediction fails, before a face puts it into its own words.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Nobody said who asks.
    #[error("the request does not say who asks; send an API key as `Authorization: Bearer ...`")]
    Unauthenticated,
    /// Who asks may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The body is larger than it may be.
    #[error("the body is larger than the {most} bytes allowed; send the rows in parts")]
    TooLarge {
        /// The most bytes.
        most: usize,
    },
    /// The body did not arrive whole.
    #[error("the body could not be read: {0}")]
    Body(String),
    /// The engine could not answer.
    #[error(transparent)]
    Serve(#[from] mainspring_serve::Error),
}

impl Served {
    /// The endpoint, if the caller may do that to it.
    pub(crate) fn endpoint(
        &self,
        caller: Option<&Principal>,
        action: &'static str,
        name: &str,
    ) -> Result<Arc<Endpoint>, Refusal> {
        let caller = caller.ok_or(Refusal::Unauthenticated)?;
        (self.gate)(caller, action, name)?;
        Ok(self.engine.endpoint(name)?)
    }

    /// The endpoint, if the caller may have predictions of it. A caller who may not is written down, when there is such an
    /// endpoint: names that somebody tries out would fill the log.
    pub(crate) async fn endpoint_to_predict(
        &self,
        caller: Option<&Principal>,
        name: &str,
    ) -> Result<Arc<Endpoint>, Refusal> {
        let denied = match self.endpoint(caller, "endpoint.predict", name) {
            Err(Refusal::Denied(denied)) => denied,
            found => return found,
        };
        if self.engine.endpoint(name).is_ok() {
            (self.record)(denied.clone()).await;
        }
        Err(denied.into())
    }
}

/// The most bytes of a request where its face does not say less: for predictions 10,000 rows of 100 numbers in JSON and room
/// for as much again.
pub(crate) const BODY_BYTES_MAX: usize = 32 << 20;

/// The most bytes that are reserved for a body because its sender says that they come.
const BODY_BYTES_AT_ONCE: usize = 1 << 20;

/// The body, or why there is none.
pub(crate) fn body(read: Result<Bytes, axum::extract::rejection::BytesRejection>) -> Result<Bytes, Refusal> {
    read.map_err(|rejection| match rejection.status() {
        axum::http::StatusCode::PAYLOAD_TOO_LARGE => Refusal::TooLarge { most: BODY_BYTES_MAX },
        _ => Refusal::Body(rejection.body_text()),
    })
}

/// Reads a body to its end. One that came in one piece is not copied.
pub(crate) async fn read_body<B>(body: B) -> Result<Bytes, Refusal>
where
    B: Body<Data = Bytes>,
    B::Error: Into<axum::BoxError>,
{
    let mut body = pin!(Limited::new(body, BODY_BYTES_MAX));
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match error.is::<LengthLimitError>() {
            true => Refusal::TooLarge { most: BODY_BYTES_MAX },
            false => Refusal::Body(error.to_string()),
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if first.is_empty() {
            first = data;
            continue;
        }
        if rest.is_empty() {
            let more = usize::try_from(body.size_hint().lower()).unwrap_or(BODY_BYTES_AT_ONCE);
            rest.reserve(first.len() + data.len() + more.min(BODY_BYTES_AT_ONCE));
            rest.extend_from_slice(&first);
        }
        rest.extend_from_slice(&data);
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

impl Refusal {
    /// The HTTP status, which both faces share.
    pub(crate) fn status(&self) -> axum::http::StatusCode {
        use axum::http::StatusCode;
        use mainspring_serve::ErrorKind;
        match self {
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Denied(_) => StatusCode::FORBIDDEN,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(_) => StatusCode::BAD_REQUEST,
            Self::Serve(error) => match error.kind() {
                ErrorKind::NotFound => StatusCode::NOT_FOUND,
                ErrorKind::Invalid => StatusCode::BAD_REQUEST,
                ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
                ErrorKind::Overloaded => StatusCode::TOO_MANY_REQUESTS,
                ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
                ErrorKind::TimedOut => StatusCode::GATEWAY_TIMEOUT,
                ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            },
        }
    }

    /// The words for the caller; what is our failure is logged, and they name where in the log.
    pub(crate) fn logged(&self) -> String {
        if self.status() != axum::http::StatusCode::INTERNAL_SERVER_ERROR {
            return self.to_string();
        }
        let trace_id = uuid::Uuid::now_v7();
        tracing::error!(%trace_id, error = %self, "an inference failed");
        format!("{self} (trace {trace_id})")
    }

    /// Seconds after which to come again, where that may help.
    pub(crate) fn retry_after(&self) -> Option<&'static str> {
        use axum::http::StatusCode;
        matches!(self.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE).then_some("1")
    }
}

impl From<Refusal> for tonic::Status {
    fn from(refusal: Refusal) -> Self {
        use mainspring_serve::ErrorKind;
        use tonic::Code;
        let code = match &refusal {
            Refusal::Unauthenticated => Code::Unauthenticated,
            Refusal::Denied(_) => Code::PermissionDenied,
            Refusal::TooLarge { .. } => Code::OutOfRange,
            Refusal::Body(_) => Code::InvalidArgument,
            Refusal::Serve(error) => match error.kind() {
                ErrorKind::NotFound => Code::NotFound,
                ErrorKind::Invalid => Code::InvalidArgument,
                ErrorKind::TooLarge => Code::OutOfRange,
                ErrorKind::Overloaded => Code::ResourceExhausted,
                ErrorKind::Unavailable => Code::Unavailable,
                ErrorKind::TimedOut => Code::DeadlineExceeded,
                ErrorKind::Internal => Code::Internal,
            },
        };
        Self::new(code, refusal.logged())
    }
}
