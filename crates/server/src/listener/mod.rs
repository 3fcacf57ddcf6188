//! What the ports share: connections are accepted, bounded in number, and let go when they hold a place without using it.
//!
//! Nothing here costs a request more than two atomic additions. Time is kept by one sweep over all connections, not by
//! a timer for each request; a [body](pace) has a timer only while it makes its reader wait.
//!
//! What a hostile or broken client of the HTTP port meets:
//! - one that sends no whole request (slow or no headers, or nothing after an answer) is closed after [`QUIET_SWEEPS`];
//! - one that sends its body, or takes its answer, too slowly is closed by its [pace];
//! - one whose body was refused may send the rest of it for some seconds, unread, so that it gets to see why;
//! - when all [places](crowd) are taken, the connection that has waited longest for nothing makes room.

mod accept;
mod crowd;
mod pace;

pub use accept::{Manner, serve};
pub use pace::{Paced, Stalled};
