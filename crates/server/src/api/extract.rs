//! What a handler takes out of a request; what cannot be taken is a problem that says what was expected.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::http::Problem;

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

/// A JSON body, which is an object.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = Bytes::from_request(Request::from_parts(parts.clone(), body), state).await;
        let bytes = bytes.map_err(|rejection| Problem::unread(&rejection))?;
        // serde would take a list for the fields of an object in their order
        if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
            return Err(Problem::of(StatusCode::UNPROCESSABLE_ENTITY, "the body is a list; an object is expected"));
        }
        let taken = Json::<T>::from_request(Request::from_parts(parts, bytes.into()), state).await;
        taken
            .map(|body| Self(body.0))
            .map_err(|rejection: JsonRejection| Problem::of(rejection.status(), rejection.body_text()))
    }
}
