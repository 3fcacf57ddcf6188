//! The ways in which the catalog can fail, worded for the person who meets them.

use std::sync::Arc;

use crate::Expect;

/// What went wrong in the catalog.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A compare-and-set condition did not hold: somebody else was faster, or the name is taken.
    #[error("{}", conflict_text(kind, id, *expected, *found))]
    Conflict {
        /// The kind of the document.
        kind: String,
        /// Its id.
        id: String,
        /// What the writer expected.
        expected: Expect,
        /// The version found; `None` when there is no such document.
        found: Option<i64>,
    },

    /// A change or a query is outside its bounds.
    #[error("{what} {rule}; {mend}")]
    Invalid {
        /// What was given.
        what: String,
        /// The rule it breaks.
        rule: String,
        /// What to do about it.
        mend: String,
    },

    /// A document cannot be written as JSON, or would not read back.
    #[error("{kind} `{id}` cannot be stored: {reason}; JSON has no NaN or infinity, and maps need text keys")]
    Unwritable {
        /// The kind of the document.
        kind: String,
        /// Its id.
        id: String,
        /// What the serialiser said.
        reason: String,
    },

    /// A stored document does not have the shape that this program knows.
    #[error(
        "{kind} `{id}` in the catalog cannot be read: {reason}; it was written by another version of mainspring, or altered (`mainspring audit verify` tells)"
    )]
    Unreadable {
        /// The kind of the document.
        kind: String,
        /// Its id.
        id: String,
        /// What the parser said.
        reason: String,
    },

    /// The record after which a page should start is gone.
    #[error("the {kind} `{id}` that the page should start after no longer exists; start again from the first page")]
    CursorGone {
        /// The kind of the documents listed.
        kind: String,
        /// The id given as cursor.
        id: String,
    },

    /// The URL names no catalog that this program can open.
    #[error("`{url}` is not a catalog: {reason}; write `sqlite:PATH` or `sqlite::memory:`")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        reason: String,
    },

    /// The database was written by a newer program.
    #[error(
        "the catalog is at schema version {found} and this mainspring knows versions up to {known}; upgrade mainspring"
    )]
    Newer {
        /// The version found.
        found: i64,
        /// The newest version known.
        known: i64,
    },

    /// A migration that was applied differs from the one this program carries.
    #[error(
        "migration {version} of the catalog was applied with another text than this mainspring carries; use the release that made the catalog, or restore a backup"
    )]
    MigrationChanged {
        /// The number of the migration.
        version: i64,
    },

    /// Another process held the write lock too long.
    #[error(
        "while {doing}, another process kept the catalog locked for more than {waited_seconds} seconds; see which mainspring processes are running and try again"
    )]
    Busy {
        /// What was being done.
        doing: &'static str,
        /// How long it was waited.
        waited_seconds: u64,
    },

    /// The disk is full.
    #[error("while {doing}, the disk of the catalog was full; nothing was written, free some space and try again")]
    DiskFull {
        /// What was being done.
        doing: &'static str,
    },

    /// The database file is damaged.
    #[error("while {doing}, the catalog's database was found damaged: {reason}; restore it from a backup")]
    Damaged {
        /// What was being done.
        doing: &'static str,
        /// What SQLite said.
        reason: String,
    },

    /// A write or sync failed earlier: nobody knows what is on disk, so nothing more is acknowledged.
    #[error(
        "an earlier write to the catalog failed at the disk, so nothing more is written by this process; check the disk, then start mainspring again"
    )]
    Poisoned,

    /// The database failed otherwise.
    #[error("while {doing}, the catalog's database failed: {source}")]
    Storage {
        /// What was being done.
        doing: &'static str,
        /// What the database said.
        source: Arc<sqlx::Error>,
    },

    /// The file system failed.
    #[error("while {doing} `{path}`: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which path.
        path: String,
        /// What the system said.
        source: Arc<std::io::Error>,
    },

    /// The catalog was closed, or the runtime it was opened on has ended.
    #[error("the catalog is closed; whether the last change was written is told by opening it again")]
    Closed,
}

impl Error {
    /// Whether somebody else's change stood in the way, so that reading again and repeating may succeed.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. })
    }
}

fn conflict_text(kind: &str, id: &str, expected: Expect, found: Option<i64>) -> String {
    match (expected, found) {
        (Expect::Absent, Some(version)) => {
            format!("{kind} `{id}` exists already (version {version}); choose another name, or update this one")
        }
        (Expect::Version(version), Some(found)) => format!(
            "{kind} `{id}` was changed by somebody else: it is at version {found}, not {version}; read it again and repeat the change"
        ),
        (_, None) => format!("{kind} `{id}` does not exist; it may have been deleted meanwhile, list what there is"),
        (Expect::Any, Some(_)) => format!("{kind} `{id}` could not be changed; read it again and repeat the change"),
    }
}
