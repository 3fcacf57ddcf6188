//! What a handler takes out of a request; what cannot be taken is a problem that says what was expected.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::faces::BODY_BYTES_MAX;
use crate::http::{Encoding, Problem, Undecoded};

/// The variable parts of the path.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let taken = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        taken
            .map(|path| Self(path.0))
            .map_err(|rejection: PathRejection| Problem::of(rejection.status(), rejection.body_text()))
    }
}

/// What follows the question mark.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let taken = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        taken
            .map(|query| Self(query.0))
            .map_err(|rejection: QueryRejection| Problem::of(rejection.status(), rejection.body_text()))
    }
}

/// A JSON body, which is an object of at most so many bytes; it may come compressed.
#[derive(Debug)]
pub struct Body<T, const BYTES_MAX: usize = BODY_BYTES_MAX>(pub T);

impl<S: Send + Sync, T: DeserializeOwned, const BYTES_MAX: usize> FromRequest<S> for Body<T, BYTES_MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (parts, bytes) = decoded(request, state, BYTES_MAX).await?;
        // serde would take a list for the fields of an object in their order
        if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
            return Err(Problem::of(StatusCode::UNPROCESSABLE_ENTITY, "the body is a list; an object is expected"));
        }
        parsed(parts, bytes, state).await.map(Self)
    }
}

/// A JSON body, which is a list of at most so many bytes; it may come compressed.
#[derive(Debug)]
pub struct List<T, const BYTES_MAX: usize = BODY_BYTES_MAX>(pub T);

impl<S: Send + Sync, T: DeserializeOwned, const BYTES_MAX: usize> FromRequest<S> for List<T, BYTES_MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (parts, bytes) = decoded(request, state, BYTES_MAX).await?;
        parsed(parts, bytes, state).await.map(Self)
    }
}

/// The head of a request, and its body as its sender had it.
async fn decoded<S: Send + Sync>(request: Request, state: &S, bytes_max: usize) -> Result<(Parts, Bytes), Problem> {
    let (parts, body) = request.into_parts();
    let encoding = Encoding::of(&parts.headers).map_err(undecoded)?;
    let bytes = Bytes::from_request(Request::from_parts(parts.clone(), body), state).await;
    let bytes = bytes.map_err(|rejection| Problem::unread(&rejection))?;
    let bytes = match encoding {
        Some(encoding) => encoding.decoded(bytes, bytes_max).await.map_err(undecoded)?,
        None => bytes,
    };
    // not before it is read: a client that is still sending would lose the answer with the connection
    if bytes.len() > bytes_max {
        let words = format!("the body has {} bytes, the most is {bytes_max}", bytes.len());
        return Err(Problem::of(StatusCode::PAYLOAD_TOO_LARGE, words));
    }
    Ok((parts, bytes))
}

/// What a body says.
async fn parsed<S: Send + Sync, T: DeserializeOwned>(parts: Parts, bytes: Bytes, state: &S) -> Result<T, Problem> {
    let taken = Json::<T>::from_request(Request::from_parts(parts, bytes.into()), state).await;
    taken.map(|body| body.0).map_err(|rejection: JsonRejection| Problem::of(rejection.status(), rejection.body_text()))
}

fn undecoded(why: Undecoded) -> Problem {
    let status = match why {
        Undecoded::Unknown => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Undecoded::Broken(_) => StatusCode::BAD_REQUEST,
        Undecoded::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
    };
    Problem::of(status, why.to_string())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use serde_json::Value;

    use super::*;

    async fn take(encoding: &str, body: Vec<u8>) -> Result<Value, StatusCode> {
        let request = Request::post("/")
            .header("content-type", "application/json")
            .header("content-encoding", encoding)
            .body(body.into())
            .unwrap();
        let taken = Body::<Value>::from_request(request, &()).await;
        taken.map(|body| body.0).map_err(|problem| problem.status)
    }

    #[tokio::test]
    async fn a_compressed_body_is_taken_and_one_in_another_encoding_refused() {
        let mut encoder = GzEncoder::new(vec![], Compression::fast());
        encoder.write_all(br#" {"job": "load"}"#).unwrap();
        let compressed = encoder.finish().unwrap();
        let plain = br#"{"job": "load"}"#.to_vec();

        assert_eq!(take("gzip", compressed.clone()).await.unwrap()["job"], "load");
        assert_eq!(take("identity", plain.clone()).await.unwrap()["job"], "load");
        assert_eq!(take("br", compressed).await.unwrap_err(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert_eq!(take("gzip", plain).await.unwrap_err(), StatusCode::BAD_REQUEST);
    }

    #[tokio::test]
    async fn where_a_list_is_expected_no_object_is_taken_and_the_other_way_round() {
        let request = |body: &str| {
            Request::post("/").header("content-type", "application/json").body(body.to_owned().into()).unwrap()
        };
        let status = StatusCode::UNPROCESSABLE_ENTITY;

        assert_eq!(List::<Vec<u8>>::from_request(request("[1, 2]"), &()).await.unwrap().0, [1, 2]);
        assert_eq!(List::<Vec<u8>>::from_request(request("{}"), &()).await.unwrap_err().status, status);
        assert_eq!(Body::<Value>::from_request(request("[1, 2]"), &()).await.unwrap_err().status, status);
    }

    #[tokio::test]
    async fn a_body_of_a_bound_of_its_own_is_refused_beyond_it_however_it_comes() {
        const BYTES_MAX: usize = 100;
        let take = |encoding: &'static str, body: Vec<u8>| async move {
            let request = Request::post("/")
                .header("content-type", "application/json")
                .header("content-encoding", encoding)
                .body(body.into())
                .unwrap();
            let taken = Body::<Value, BYTES_MAX>::from_request(request, &()).await;
            taken.map_or_else(|problem| problem.status, |_| StatusCode::OK)
        };
        let compressed = |text: &str| {
            let mut encoder = GzEncoder::new(vec![], Compression::best());
            encoder.write_all(text.as_bytes()).unwrap();
            encoder.finish().unwrap()
        };
        let (fits, large) = (format!("{{{}}}", " ".repeat(98)), format!("{{{}}}", " ".repeat(99)));

        assert_eq!(take("identity", fits.clone().into_bytes()).await, StatusCode::OK);
        assert_eq!(take("gzip", compressed(&fits)).await, StatusCode::OK);
        assert_eq!(take("identity", large.clone().into_bytes()).await, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(take("gzip", compressed(&large)).await, StatusCode::PAYLOAD_TOO_LARGE);
    }
}
