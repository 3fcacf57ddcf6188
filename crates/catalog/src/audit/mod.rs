//! The audit log: who did what, one entry a change, in a hash chain.
//!
//! The hash of an entry is SHA-256 over a domain name, a zero byte, and the canonical JSON (keys sorted, no spaces) of
//! all its fields and of the hash of the entry before it. `detail` and `changes` enter as the very text that is stored,
//! so that no byte of an entry can be altered unseen. What a chain alone cannot show is that its tail was cut off, or
//! that it was rewritten as a whole; a head kept elsewhere shows both.

mod chain;
mod entry;
mod rows;
mod tally;
mod verify;

pub(crate) use chain::Chain;
pub(crate) use entry::AuditRow;
pub use entry::{AuditEntry, AuditHead, AuditQuery};
pub(crate) use rows::{EdgeRow, MetricRow};
pub(crate) use tally::Tally;
pub(crate) use verify::Verifier;
pub use verify::{AuditVerdict, Fault};
