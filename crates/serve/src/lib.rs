//! Answering predictions.
//!
//! A [`ServeEngine`] holds an [`Endpoint`] for each one declared. An endpoint is a stable name; what answers behind it is a
//! [`Deployed`] version of a model, which [`ServeEngine::refresh`] changes in one pointer when its alias moves in the
//! registry. A request keeps the version it began with, so a switch fails no request and mixes no answer.
//!
//! One prediction is one function, [`Endpoint::answer`], read top to bottom: admit, parse, features, score, answer, log. It
//! touches memory and the embedded online store only: with the catalog, the lake and the scheduler gone it goes on
//! answering, with what was live last.
//!
//! What is promised:
//! - Each endpoint has bounds on concurrency, rows and time. Beyond the first a request is refused at once, to be tried
//!   again; beyond the last it gets the declared fallback, marked degraded.
//! - Each answer names its version and gives each row an identifier, by which a label is joined to it later.
//! - Each prediction is logged to the lake table `predictions.{endpoint}` off the request path, within two seconds. The
//!   queue is bounded; what did not fit is counted. A batch whose writing is tried again lands once.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests stop at the first surprise")
)]

mod admission;
mod answer;
mod deployed;
mod endpoint;
mod engine;
mod error;
mod identifier;
mod latencies;
mod log;
mod lookup;
mod metrics;
mod plan;
mod question;
mod request;
mod spent;
mod work;

#[cfg(test)]
mod tests;

pub use answer::{Answer, Prediction};
pub use deployed::{Deployed, Live};
pub use endpoint::{Endpoint, EndpointStatus};
pub use engine::{RefreshReport, ServeConfig, ServeEngine, Sources};
pub use error::{Error, ErrorKind};
pub use log::{LakeSink, LogBatch, LogSink, SinkError, log_column, table_of};
pub use lookup::{FeatureLookup, Found};
pub use plan::{InputFrom, Plan, PlannedInput, RequestField};
pub use question::{Given, Question};
pub use request::parse as parse_request;
pub use spent::Spent;
