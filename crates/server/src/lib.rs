//! The faces of the platform over HTTP: our own API, the console, and protocols that existing clients speak.
//!
//! Thin: a request passes the guard, which says who asks; a handler parses, asks the policy, calls one
//! function of one layer, and renders. What handlers share is the [`App`], wired once in the binary.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests stop at the first surprise")
)]

pub mod api;
mod app;
pub mod console;
mod deploy;
pub mod faces;
mod front;
pub mod grpc;
pub mod http;
mod listener;
mod operate;
pub mod query;
mod routes;
pub mod views;

pub use app::{App, Layers, Parts};
pub use routes::serve;
