//! Arrow Flight SQL: every table and the catalog's views, queried by the clients of Arrow (`adbc-driver-flightsql`,
//! `pyarrow.flight`, the JDBC driver).
//!
//! A query is two calls. `GetFlightInfo` plans the statement and answers with the columns of the result and a ticket;
//! `DoGet` takes the ticket and streams the rows. The ticket is sealed: it holds the statement, who asked and the table
//! versions that were planned with, so that the server keeps nothing between the two, and a ticket is of use to nobody
//! else. Both calls ask the policy. Prepared statements are kept, a bounded number for each principal.
//!
//! Read only: what would change something is refused, whichever way it comes.

mod commands;
mod keys;
mod metadata;
mod prepared;
mod refusal;
mod service;
mod sql_info;
#[cfg(test)]
mod tests;
mod ticket;

use arrow_flight::flight_service_server::FlightServiceServer;

pub use service::Face;

use crate::app::App;

/// The service's name, as health knows it.
pub const SERVICE: &str = "arrow.flight.protocol.FlightService";

/// The service, for the gRPC port. It expects the guard of that port before it, which names the
/// [`Caller`](crate::http::Caller) in the request's extensions.
///
/// # Errors
/// When its threads cannot be started, or the system has no random numbers.
pub fn service(app: App) -> std::io::Result<FlightServiceServer<Face>> {
    Ok(FlightServiceServer::new(Face::new(app)?))
}
