//! Sources and the files that were read of them.

use jiff::Timestamp;
use mainspring_catalog::Document;
use mainspring_ingest::{FileState, IngestedFile, quarantine_name, table_name};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Look, Page, Result};

/// A declared source and what landed of it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SourceView {
    /// The source.
    pub source: String,
    /// What it holds, in a sentence.
    pub description: String,
    /// Where its files are, or under which names its rows are pushed.
    pub path: String,
    /// Its table.
    pub table: String,
    /// Columns declared.
    pub columns: usize,
    /// Checks declared.
    pub checks: usize,
    /// Files read.
    pub files: u64,
    /// Rows in its table.
    pub rows: u64,
    /// Rows in its quarantine.
    pub quarantined: u64,
    /// The table's version.
    pub version: Option<u64>,
}

/// The declared sources, by name.
///
/// # Errors
/// When catalog or lake fail.
pub async fn sources(look: &Look, page: &Page) -> Result<Vec<SourceView>> {
    let mut shown = vec![];
    for source in page.of(look.project.sources.keys()).filter_map(|name| look.project.sources.get(name)) {
        let table = table_name(&source.name)?;
        let landed = match look.lake.exists(&table).await? {
            true => Some(look.lake.statistics(&table).await?),
            false => None,
        };
        shown.push(SourceView {
            source: source.name.clone(),
            description: source.description.clone(),
            path: match source.push.as_slice() {
                [] => source.path.clone(),
                names => format!("pushed as {}", names.join(", ")),
            },
            table: table.to_string(),
            columns: source.columns.len() + source.derive.len(),
            checks: source.checks.len(),
            files: look.catalog.count::<IngestedFile>(Some(&source.name)).await?,
            rows: landed.map_or(0, |landed| landed.rows),
            quarantined: rows_of(look, &quarantine_name(&source.name)?).await?,
            version: landed.map(|landed| landed.version),
        });
    }
    Ok(shown)
}

/// The rows of a table; 0 when there is none.
pub(super) async fn rows_of(look: &Look, table: &mainspring_lake::TableName) -> Result<u64> {
    if look.lake.exists(table).await? { Ok(look.lake.statistics(table).await?.rows) } else { Ok(0) }
}

/// A file that was read.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FileView {
    /// Names it in the list.
    pub id: String,
    /// The source.
    pub source: String,
    /// The file's name.
    pub uri: String,
    /// Its size.
    pub size_bytes: u64,
    /// The SHA-256 of its bytes.
    pub sha256: String,
    /// `landed`, `copy` or `refused`.
    pub state: &'static str,
    /// Rows read of it.
    pub rows_read: u64,
    /// Rows in the table.
    pub rows_landed: u64,
    /// Rows of a key that a later row has too; the later one landed.
    pub rows_superseded: u64,
    /// Rows in quarantine.
    pub rows_quarantined: u64,
    /// Why it was refused, or of what it is a copy.
    pub reason: Option<String>,
    /// When it was read.
    pub ingested_at: Timestamp,
}

/// Files that were read, the newest first; of one source, or of all.
///
/// # Errors
/// When the catalog fails.
pub async fn files(look: &Look, source: Option<&str>, page: &Page) -> Result<Vec<FileView>> {
    let mut query = page.newest_first();
    query.parent = source.map(Into::into);
    let files = look.catalog.list::<IngestedFile>(query).await?;
    Ok(files.into_iter().map(|stored| seen(stored.document)).collect())
}

fn seen(file: IngestedFile) -> FileView {
    let id = file.id();
    let (state, rows, reason) = match file.state {
        FileState::Landed { rows_read, rows_landed, rows_superseded, rows_quarantined, .. } => {
            ("landed", [rows_read, rows_landed, rows_superseded, rows_quarantined], None)
        }
        FileState::Copy { of } => ("copy", [0; 4], Some(format!("the same bytes as {of}"))),
        FileState::Refused { reason } => ("refused", [0; 4], Some(reason)),
    };
    let [rows_read, rows_landed, rows_superseded, rows_quarantined] = rows;
    FileView {
        id,
        source: file.source,
        uri: file.uri,
        size_bytes: file.size,
        sha256: file.sha256,
        state,
        rows_read,
        rows_landed,
        rows_superseded,
        rows_quarantined,
        reason,
        ingested_at: file.ingested_at,
    }
}
