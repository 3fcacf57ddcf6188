//! Our own API under `/api/v1/`: what is, as JSON, and the few things that are done by asking.
//!
//! Reading answers the [views](crate::views) that the console shows. Changing asks the policy first and then calls one
//! function of one layer, which leaves the audit entry. Errors are [problem details](crate::http::Problem). The
//! [table](table::Table) of [routes] is also the OpenAPI document.

mod change;
mod describe;
mod extract;
mod read;
mod routes;
mod run;
mod table;
#[cfg(test)]
mod tests;

pub use describe::With;
pub use extract::{Body, List};
pub use routes::{document, router};
