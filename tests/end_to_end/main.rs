//! End to end: the real binary in a temporary folder, driven as a user or a client would.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests stop at the first surprise, and say which seed led there"
)]

mod bucket;
mod client;
mod crash;
mod deploy;
mod flights;
mod folder;
mod harness;
mod hostile;
mod ingest;
mod live;
mod project;
mod query;
mod shapes;
mod told;
mod unmended;
mod wire;
