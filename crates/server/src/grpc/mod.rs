//! The one gRPC port: every service of every face behind one guard, with the standard health and reflection services.
//!
//! A face adds its service in [`services`](services::services), in one line. Its handlers find the
//! [`Caller`](crate::http::Caller) in the request's extensions, and turn a [`Problem`](crate::http::Problem) into a
//! `tonic::Status` with `?`.

mod front;
mod health;
mod listen;
mod services;
mod status;

pub use listen::{MESSAGE_BYTES_MAX, serve};
pub(crate) use status::caller;
