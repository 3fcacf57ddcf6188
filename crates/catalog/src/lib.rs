//! The catalog: the one truth about what exists, who made it, and from what.
//!
//! In come [`Change`]s: some documents to put or delete, lineage edges, metrics, and who does it and why. Each is one
//! transaction: its compare-and-set conditions, its writes and its audit entry land together or not at all, and
//! [`Catalog::commit`] returns only when they are on disk. Out go typed [`Document`]s, [`Edge`]s, [`Metric`]s and
//! [`AuditEntry`]s.
//!
//! Three promises:
//! - **Nothing acknowledged is lost**, also under `kill -9`: SQLite in WAL mode with `synchronous=FULL`.
//! - **No lost update**: a writer says which version it has seen ([`Expect`]), and gets [`Error::Conflict`] when
//!   somebody was faster.
//! - **No silent edit**: audit entries form a hash chain that [`Catalog::verify_audit`] follows from the first entry,
//!   together with the digests of the documents, metrics and edges that changes wrote.
//!
//! Several processes of one machine may open the same catalog: the server and a command beside it.
//!
//! The store itself stands behind [`Backend`], which is small on purpose; SQLite implements it today.
//!
//! ```
//! # use mainspring_catalog::{Catalog, Change, Document, Expect, Principal};
//! # use serde::{Deserialize, Serialize};
//! #[derive(Serialize, Deserialize)]
//! struct Experiment { name: String, purpose: String }
//!
//! impl Document for Experiment {
//!     const KIND: &'static str = "experiment";
//!     fn id(&self) -> String { self.name.clone() }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let catalog = Catalog::open("sqlite::memory:").await?;
//! let experiment = Experiment { name: "delays".into(), purpose: "find what makes flights late".into() };
//! let change = Change::new(&Principal::local_owner(), "experiment.create", "experiment:delays")
//!     .put(&experiment, Expect::Absent)?;
//! let committed = catalog.commit(change).await?;
//!
//! let stored = catalog.get::<Experiment>("delays").await?.expect("it was just committed");
//! assert_eq!(stored.version, committed.seq);
//! # Ok::<(), mainspring_catalog::Error>(()) }).unwrap();
//! ```
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests stop at the first surprise")
)]

mod audit;
mod backend;
mod catalog;
mod change;
#[cfg(test)]
mod conformance;
mod declared;
mod document;
mod error;
mod principal;
mod sqlite;
mod writer;

pub use audit::{AuditEntry, AuditHead, AuditQuery, AuditVerdict, Fault};
pub use backend::{Backend, Record};
pub use catalog::Catalog;
pub use change::{Change, Committed, Edge, MAX_CHANGE_OPERATIONS, MAX_DOCUMENT_BYTES, Metric, Outcome};
pub use document::{Document, Expect, ListQuery, MAX_PAGE, Seen, Stored};
pub use error::Error;
pub use principal::{Principal, PrincipalKind};
pub use sqlite::SqliteBackend;

/// The result of a catalog operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;
