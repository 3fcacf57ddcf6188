//! A request's body over HTTP: its type, its encoding, and where the bytes of tensors begin.

use axum::body::Bytes;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};

use super::error::Refused;
use crate::faces::{BODY_BYTES_MAX, Refusal};
use crate::http::{Encoding, Undecoded};

/// The header that says how many bytes of a body are its JSON, when tensors follow as bytes.
pub(super) const JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

/// What the headers say of the body. Looked up as they lie: taking them out would copy them all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    /// How many bytes are the JSON, when others follow.
    pub(super) json_bytes: Option<usize>,
    encoding: Option<Encoding>,
}

impl<S: Send + Sync> FromRequestParts<S> for Form {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        Self::of(&parts.headers)
    }
}

/// A body that is said to be something else is not looked at.
fn is_json_or_bytes(headers: &HeaderMap) -> Result<(), Refused> {
    let Some(given) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let name = given.to_str().unwrap_or_default();
    let name = name.split(';').next().unwrap_or_default().trim();
    let is_one = |known: &str| name.eq_ignore_ascii_case(known);
    if is_one("application/json") || is_one("application/octet-stream") {
        return Ok(());
    }
    let words =
        format!("the content-type is `{name}`; send application/json, or application/octet-stream with tensors");
    Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, &words))
}

fn json_bytes(headers: &HeaderMap) -> Result<Option<usize>, Refused> {
    let Some(given) = headers.get(&JSON_LENGTH) else { return Ok(None) };
    let number = given.to_str().ok().and_then(|text| text.trim().parse().ok());
    number
        .map(Some)
        .ok_or_else(|| Refused::new(StatusCode::BAD_REQUEST, "Inference-Header-Content-Length is no number of bytes"))
}

fn encoding(headers: &HeaderMap) -> Result<Option<Encoding>, Refused> {
    Encoding::of(headers).map_err(|unknown| Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, &unknown.to_string()))
}

impl Form {
    /// What the headers say.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Refused> {
        is_json_or_bytes(headers)?;
        Ok(Self { json_bytes: json_bytes(headers)?, encoding: encoding(headers)? })
    }

    /// The body as its sender had it.
    pub(super) async fn decoded(self, body: Bytes) -> Result<Bytes, Refusal> {
        let Some(encoding) = self.encoding else { return Ok(body) };
        encoding.decoded(body, BODY_BYTES_MAX).await.map_err(|undecoded| match undecoded {
            Undecoded::TooLarge { most } => Refusal::TooLarge { most },
            Undecoded::Broken(reason) => Refusal::Body(format!("it is not what its content-encoding says: {reason}")),
            Undecoded::Unknown => Refusal::Body(undecoded.to_string()),
        })
    }
}
