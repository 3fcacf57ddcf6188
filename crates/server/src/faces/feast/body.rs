//! The body of a request, when it is whole and says that it is JSON.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderValue, StatusCode, header};

use super::BODY_BYTES_MAX;
use super::error::Refused;

/// See the [module](self).
pub(super) struct JsonBody(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        // Like Feast's own server, which takes a body without a type for JSON.
        let kind = request.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        let wrong = kind.filter(|kind| !is_json(kind)).map(|kind| String::from_utf8_lossy(kind).into_owned());
        let body = Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Refused::TooLarge { most: BODY_BYTES_MAX },
            _ => Refused::body(rejection.body_text()),
        })?;
        wrong.map_or(Ok(Self(body)), |kind| Err(Refused::content_type(&kind)))
    }
}

fn is_json(kind: &[u8]) -> bool {
    let kind = kind.split(|&byte| byte == b';').next().unwrap_or(kind).trim_ascii();
    kind.eq_ignore_ascii_case(b"application/json")
        || (kind.len() > 5 && kind[kind.len() - 5..].eq_ignore_ascii_case(b"+json"))
}
