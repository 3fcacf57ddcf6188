//! What the catalog keeps of an ingest.

use jiff::Timestamp;
use mainspring_catalog::{Document, MAX_DOCUMENT_BYTES};
use serde::{Deserialize, Serialize};

use crate::profile::{Profile, Sketch};
use crate::reading::Reading;
use crate::report::CheckResult;

/// A file's content that was read for a source. One record per name and content, so that the same content under a new
/// name and a new content under the same name are both told apart from what has landed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IngestedFile {
    /// The source.
    pub source: String,
    /// The file's name: relative to the project folder where it lies in it.
    pub uri: String,
    /// The SHA-256 of its bytes.
    pub sha256: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last written, in microseconds since 1970.
    pub modified_at: i64,
    /// What came of it.
    pub state: FileState,
    /// How many times this content landed under this name: more than once only in a source with a key, when the file had another content between.
    pub landings: i64,
    /// Its place among the files of one version, which are many when all files were read again: the order in which
    /// rows of one key replaced each other.
    #[serde(default)]
    pub place: u64,
    /// When it was read.
    pub ingested_at: Timestamp,
}

/// What came of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum FileState {
    /// Its rows are in the table.
    Landed {
        /// The version of the table that it made.
        version: u64,
        /// Rows read.
        rows_read: u64,
        /// Rows now in the table.
        rows_landed: u64,
        /// Rows in the quarantine table.
        rows_quarantined: u64,
        /// Rows left out by checks with `on_fail: drop`.
        #[serde(default)]
        rows_dropped: u64,
        /// Rows in whose place a later row of their key landed.
        #[serde(default)]
        rows_superseded: u64,
    },
    /// Its content had landed under another name.
    Copy {
        /// That name.
        of: String,
    },
    /// It was refused; it is tried again at the next ingest.
    Refused {
        /// Why.
        reason: String,
    },
}

impl IngestedFile {
    pub(crate) fn id_of(source: &str, uri: &str, sha256: &str) -> String {
        format!("{source}/{}/{uri}", sha256.get(..16).unwrap_or(sha256))
    }
}

impl Document for IngestedFile {
    const KIND: &'static str = "ingested_file";

    fn id(&self) -> String {
        Self::id_of(&self.source, &self.uri, &self.sha256)
    }

    fn parent(&self) -> Option<String> {
        Some(self.source.clone())
    }
}

/// A version of a table: what it holds and how it came to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableVersion {
    /// The table, `sources.flights`.
    pub table: String,
    /// The Delta version.
    pub version: u64,
    /// Rows in the table.
    pub rows: u64,
    /// Rows that this version brought.
    pub rows_added: u64,
    /// Bytes that this version wrote.
    pub bytes: u64,
    /// When it was committed.
    pub at: Timestamp,
    /// Who did it.
    pub by: String,
    /// The files that it was made of.
    pub files: Vec<String>,
    /// What the table's values look like.
    pub profile: Option<Profile>,
    /// How its new rows fared with the source's rules.
    pub checks: Vec<CheckResult>,
}

impl TableVersion {
    /// The id of a table's version: `sources.flights@3`.
    #[must_use]
    pub fn id_of(table: &str, version: u64) -> String {
        format!("{table}@{version}")
    }
}

impl Document for TableVersion {
    const KIND: &'static str = "table_version";

    fn id(&self) -> String {
        Self::id_of(&self.table, self.version)
    }

    fn parent(&self) -> Option<String> {
        Some(self.table.clone())
    }
}

/// How a table stands with its source's rules: as its rows were judged at the last ingest that landed any, and as it was
/// itself judged at the last ingest of all. A table gets old by itself, so this may be newer than its newest version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JudgedTable {
    /// The table, `sources.flights`.
    pub table: String,
    /// When a result was last another than before.
    pub at: Timestamp,
    /// The results.
    pub checks: Vec<CheckResult>,
}

impl Document for JudgedTable {
    const KIND: &'static str = "judged_table";

    fn id(&self) -> String {
        self.table.clone()
    }
}

/// How the rows of a table were made of its files, so that a later declaration is known to make others of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TableReading {
    pub table: String,
    /// The reading that made the rows.
    pub reading: Reading,
    /// How often all files were read again, or were begun to be. Part of the names of writes: what landed before the
    /// table was made anew has to land again.
    pub rereads: i64,
    /// The fingerprint of the reading by which all files are being read again. It is written before the table is, and
    /// taken back after: while it stands here, the rows may be of either reading.
    #[serde(default)]
    pub under_way: Option<String>,
}

impl Document for TableReading {
    const KIND: &'static str = "table_reading";

    fn id(&self) -> String {
        self.table.clone()
    }
}

/// The sketch behind a table's newest profile, to which the next file's is added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TableSketch {
    pub table: String,
    pub sketch: Sketch,
}

/// The most that is kept of a sketch, as JSON; beside it in its document stands the table's name.
const SKETCH_BYTES_MAX: usize = MAX_DOCUMENT_BYTES - 4096;

impl TableSketch {
    /// The sketch of a table; of a table so wide that its sketch is too large to keep, the `empty` one, whose count of
    /// rows then tells the next landing to read the table instead.
    pub fn fitting(table: &str, sketch: Sketch, empty: impl FnOnce() -> Sketch) -> Self {
        let fits = serde_json::to_vec(&sketch).is_ok_and(|json| json.len() <= SKETCH_BYTES_MAX);
        Self { table: table.to_owned(), sketch: if fits { sketch } else { empty() } }
    }
}

impl Document for TableSketch {
    const KIND: &'static str = "table_sketch";

    fn id(&self) -> String {
        self.table.clone()
    }
}
