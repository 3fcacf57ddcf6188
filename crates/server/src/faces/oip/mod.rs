//! Open Inference Protocol V2 over HTTP and gRPC, as KServe, Triton, MLServer and Seldon speak it
//! (<https://github.com/kserve/open-inference-protocol>): the model's name is the endpoint's.
//!
//! A request brings either the model's inputs, one named tensor each, or all of them as one number tensor `input` of shape
//! `[rows, inputs]`; nothing is then looked up. It may also bring the fields of the native request as named tensors, and
//! features are looked up as there.
//!
//! Tensors come and go as JSON, as bytes behind the JSON (the binary tensor extension), or in the messages of gRPC. All
//! three become a [`Request`](request::Request) and then a question; all three are written from the one answer.

mod body;
mod configuration;
mod datatype;
mod error;
mod grpc;
mod infer;
mod json;
mod metadata;
mod output;
mod path;
mod question;
mod repository;
mod request;
mod response;
mod routes;
mod statistics;
mod tensor;
#[cfg(test)]
mod tests;
mod wire;

use axum::response::{IntoResponse, Response};

use crate::http::Problem;

pub(crate) use grpc::{DEFINITION, INFER as INFER_CALL, SERVICE, infer_at_once as infer_call_at_once, service};
pub use repository::repository_router;
pub use routes::router;
pub(crate) use routes::{INFER, infer_at_once};

/// Whether a path is of this face.
#[must_use]
pub fn has_path(path: &str) -> bool {
    path == "/v2" || path.starts_with("/v2/")
}

/// A refusal from before this face was reached, in its form.
#[must_use]
pub fn refused(problem: Problem) -> Response {
    error::Refused::from(problem).into_response()
}
