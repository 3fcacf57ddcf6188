//! What an ingest says it did.

use mainspring_spec::Severity;
use serde::{Deserialize, Serialize};

/// What an ingest of one source did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct IngestReport {
    /// The source.
    pub source: String,
    /// Its table, `sources.flights`.
    pub table: String,
    /// The table's version now; `None` while no file has ever landed.
    pub version: Option<u64>,
    /// Every file of the source, by name.
    pub files: Vec<FileReport>,
    /// Rows read from files that landed. Always the sum of the four counts that follow.
    pub rows_read: u64,
    /// Rows now in the table.
    pub rows_landed: u64,
    /// Rows of a key that a later row of the same file has too (when all files are read again: of any later file); the
    /// later one landed.
    pub rows_superseded: u64,
    /// Rows in the quarantine table.
    pub rows_quarantined: u64,
    /// Rows left out by checks with `on_fail: drop`.
    pub rows_dropped: u64,
    /// Every check, and those of the rules that hold of every source that some row broke.
    pub checks: Vec<CheckResult>,
}

impl IngestReport {
    /// Whether no file was refused and no check of severity `error` failed.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.refused().next().is_none()
            && self.checks.iter().all(|check| check.passed || check.severity == Severity::Warn)
    }

    /// The files that were refused, with why.
    pub fn refused(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().filter_map(|file| match &file.outcome {
            FileOutcome::Refused { reason } => Some((file.uri.as_str(), reason.as_str())),
            _ => None,
        })
    }
}

/// What came of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FileReport {
    /// The file's name.
    pub uri: String,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: FileOutcome,
    /// What else is worth saying: columns left out, what a changed file did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// What came of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum FileOutcome {
    /// Its rows are in the table.
    Landed {
        /// The version of the table that it made.
        version: u64,
        /// Rows that landed.
        rows: u64,
    },
    /// Its content had landed before.
    Unchanged,
    /// Nothing of it landed.
    Refused {
        /// Why; the words follow the file's name.
        reason: String,
    },
}

/// How rows fared with a rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CheckResult {
    /// The check's name.
    pub name: String,
    /// What it asks.
    pub rule: String,
    /// How loud it is when broken.
    pub severity: Severity,
    /// Whether nothing broke it.
    pub passed: bool,
    /// Rows that broke it. 0 for rules on the file or the table.
    pub rows_failed: u64,
    /// The first few, in words.
    pub examples: Vec<String>,
}
