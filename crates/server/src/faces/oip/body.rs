//! A request's body over HTTP: its type, its encoding, and where the bytes of tensors begin.

use std::io::Read;

use axum::body::Bytes;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use flate2::bufread::{MultiGzDecoder, ZlibDecoder};

use super::error::Refused;
use crate::faces::{BODY_BYTES_MAX, Refusal};

/// The header that says how many bytes of a body are its JSON, when tensors follow as bytes.
pub(super) const JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

/// What the headers say of the body. Looked up as they lie: taking them out would copy them all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    /// How many bytes are the JSON, when others follow.
    pub(super) json_bytes: Option<usize>,
    encoding: Option<Encoding>,
}

#[derive(Debug, Clone, Copy)]
enum Encoding {
    Gzip,
    /// In the zlib format, as HTTP has it.
    Deflate,
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
    match headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(None),
        Some(b"gzip") => Ok(Some(Encoding::Gzip)),
        Some(b"deflate") => Ok(Some(Encoding::Deflate)),
        Some(_) => Err(Refused::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the content-encoding is not one this server reads; send gzip, deflate, or the body as it is",
        )),
    }
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
        // a small body may become a large one: that is not for the threads that answer
        tokio::task::spawn_blocking(move || decode(&body, encoding))
            .await
            .map_err(|error| Refusal::Body(error.to_string()))?
    }
}

fn decode(body: &[u8], encoding: Encoding) -> Result<Bytes, Refusal> {
    let most = BODY_BYTES_MAX as u64 + 1;
    let mut plain = Vec::new();
    let read = match encoding {
        Encoding::Gzip => MultiGzDecoder::new(body).take(most).read_to_end(&mut plain),
        Encoding::Deflate => ZlibDecoder::new(body).take(most).read_to_end(&mut plain),
    };
    read.map_err(|error| Refusal::Body(format!("it is not what its content-encoding says: {error}")))?;
    if plain.len() > BODY_BYTES_MAX {
        return Err(Refusal::TooLarge { most: BODY_BYTES_MAX });
    }
    Ok(plain.into())
}
