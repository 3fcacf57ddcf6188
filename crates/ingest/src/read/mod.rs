//! Readers: a file becomes batches of rows with exact row numbers.
//!
//! A reader never loses a file for one bad row: a row that has no columns (too few fields, bytes that are not UTF-8, a
//! line that is not JSON) comes out as a [`RowFault`] with its text, beside the good rows. What makes the whole file
//! unreadable is a [`Fault`].

mod csv;
mod jsonl;
mod lines;
mod locate;
mod parquet;

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::StreamExt;
use futures::stream::BoxStream;
use mainspring_spec::{CsvOptions, ExtraColumns, FileFormat};

pub use locate::{FileRef, locate};

/// Rows in a batch: large enough that the work per batch vanishes, small enough that a few hundred columns fit the cache.
pub(crate) const BATCH_ROWS: usize = 16_384;
/// Batches waiting between a reader and what comes after it; it bounds what a slow writer makes the reader hold.
const BATCHES_AHEAD: usize = 3;
/// The longest record. A quote that is never closed would otherwise swallow any amount of memory; the file is refused.
pub(crate) const RECORD_BYTES_MAX: usize = 16 << 20;
/// The most columns a file may have; beyond it the file is refused.
pub(crate) const COLUMNS_MAX: usize = 16_384;

/// Why a file is refused as a whole, or could not be read.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Fault {
    /// The content is at fault; the words follow the file's name.
    #[error("{0}")]
    Refused(String),
    /// The storage is at fault.
    #[error("{0}")]
    Storage(String),
}

impl From<object_store::Error> for Fault {
    fn from(error: object_store::Error) -> Self {
        Self::Storage(error.to_string())
    }
}

/// A row that has no columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowFault {
    /// The row's number, from 1, the header not counted.
    pub row: u64,
    /// What is wrong with it.
    pub reason: String,
    /// Its text, bytes that are not UTF-8 replaced.
    pub text: String,
}

/// The numbers of a batch's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowNumbers {
    /// Counted up from here.
    From(u64),
    /// One each, where faulty rows lie between.
    Listed(Arc<[u64]>),
}

impl RowNumbers {
    /// The number of the batch's `index`-th row.
    #[must_use]
    pub fn get(&self, index: usize) -> u64 {
        match self {
            Self::From(first) => first + index as u64,
            Self::Listed(numbers) => numbers.get(index).copied().unwrap_or(0),
        }
    }
}

/// Rows as a file gave them: the wanted columns in the wanted order, of whatever type the file has.
#[derive(Debug, Clone)]
pub struct RawBatch {
    /// The rows that have columns.
    pub batch: RecordBatch,
    /// Their numbers in the file.
    pub rows: RowNumbers,
    /// The rows that have none.
    pub faults: Vec<RowFault>,
}

/// Which columns are read.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The columns, in order; `None` reads all that the file has.
    pub columns: Option<Vec<String>>,
    /// What a column that is not wanted does.
    pub extra: ExtraColumns,
    /// How CSV is written.
    pub csv: CsvOptions,
}

/// A file that is open for reading.
pub struct Opened {
    /// The columns that batches will have, typed as in the file.
    pub schema: SchemaRef,
    /// Rows in the file, when it says so.
    pub rows: Option<u64>,
    /// Columns of the file that are left out.
    pub ignored: Vec<String>,
    /// The rows.
    pub batches: BoxStream<'static, Result<RawBatch, Fault>>,
}

/// Opens a file: reads as much of it as tells its columns.
///
/// # Errors
/// A [`Fault`] when it is empty, truncated, or its columns are not the wanted ones.
pub async fn open(file: &FileRef, format: FileFormat, wanted: &Wanted) -> Result<Opened, Fault> {
    match format {
        FileFormat::Csv => csv::open(file, wanted).await,
        FileFormat::Jsonl => jsonl::open(file, wanted).await,
        FileFormat::Parquet => parquet::open(file, wanted).await,
    }
}

/// Opens a file that has landed before, when its source was declared otherwise: columns that are no longer declared are
/// left out, and those of `optional` that it lacks read as null.
///
/// # Errors
/// As [`open`].
pub async fn open_again(
    file: &FileRef,
    format: FileFormat,
    wanted: &Wanted,
    optional: &HashSet<&str>,
) -> Result<Opened, Fault> {
    let mut lenient = Wanted { extra: ExtraColumns::Ignore, ..wanted.clone() };
    let Some(names) = &wanted.columns else { return open(file, format, &lenient).await };
    // A key that a JSON object lacks reads as null anyway.
    if format != FileFormat::Jsonl {
        let all = Wanted { columns: None, ..lenient.clone() };
        let in_file = open(file, format, &all).await?.schema;
        let is_there = |name: &String| in_file.column_with_name(name).is_some() || !optional.contains(name.as_str());
        lenient.columns = Some(names.iter().filter(|name| is_there(name)).cloned().collect());
    }
    let opened = open(file, format, &lenient).await?;
    Ok(opened.with_columns(names))
}

impl Opened {
    /// With these columns in this order; those that it lacks hold nothing but nulls.
    fn with_columns(self, names: &[String]) -> Self {
        let places: Vec<Option<usize>> = names.iter().map(|name| self.schema.index_of(name).ok()).collect();
        if places.len() == self.schema.fields().len() && places.iter().all(Option::is_some) {
            return self;
        }
        let fields = names.iter().zip(&places).map(|(name, place)| match place {
            Some(place) => self.schema.field(*place).clone(),
            None => Field::new(name, DataType::Utf8, true),
        });
        let schema: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let widened = Arc::clone(&schema);
        let batches = self.batches.map(move |raw: Result<RawBatch, Fault>| -> Result<RawBatch, Fault> {
            let raw = raw?;
            let rows = raw.batch.num_rows();
            let columns = places.iter().map(|place| match place {
                Some(place) => Arc::clone(raw.batch.column(*place)),
                None => new_null_array(&DataType::Utf8, rows),
            });
            let options = RecordBatchOptions::new().with_row_count(Some(rows));
            let batch = RecordBatch::try_new_with_options(Arc::clone(&widened), columns.collect(), &options)
                .map_err(|error| Fault::Refused(format!("cannot be held in memory: {error}")))?;
            Ok(RawBatch { batch, ..raw })
        });
        Self { schema, batches: Box::pin(batches), ..self }
    }
}

/// Tells a file's format by its name's ending.
#[must_use]
pub fn format_of(path: &str) -> Option<FileFormat> {
    let ending = path.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    match ending.as_str() {
        "csv" | "tsv" | "txt" => Some(FileFormat::Csv),
        "jsonl" | "ndjson" | "json" => Some(FileFormat::Jsonl),
        "parquet" | "pq" | "parq" => Some(FileFormat::Parquet),
        _ => None,
    }
}

/// Which of a file's columns are read: their places, in the wanted order, and the names of those left out.
pub(crate) struct Matched {
    pub(crate) places: Vec<usize>,
    pub(crate) names: Vec<String>,
    pub(crate) ignored: Vec<String>,
}

/// Matches a file's columns with the wanted ones.
pub(crate) fn match_columns(in_file: &[String], wanted: &Wanted) -> Result<Matched, Fault> {
    if in_file.len() > COLUMNS_MAX {
        return Err(Fault::Refused(format!("has {} columns; at most {COLUMNS_MAX} are read", in_file.len())));
    }
    let mut places = std::collections::HashMap::with_capacity(in_file.len());
    for (place, name) in in_file.iter().enumerate() {
        if places.insert(name.as_str(), place).is_some() {
            let is_value = name.parse::<f64>().is_ok();
            let mend = if is_value { "if its first line is data, add a header line" } else { "rename one of them" };
            return Err(Fault::Refused(format!("has two columns called `{name}`; {mend}")));
        }
    }
    let Some(columns) = &wanted.columns else {
        return Ok(Matched { places: (0..in_file.len()).collect(), names: in_file.to_vec(), ignored: vec![] });
    };
    let mut found = Vec::with_capacity(columns.len());
    for name in columns {
        match places.remove(name.as_str()) {
            Some(place) => found.push(place),
            None => return Err(Fault::Refused(missing_column(name, in_file))),
        }
    }
    let mut ignored: Vec<String> = places.into_keys().map(str::to_owned).collect();
    ignored.sort();
    if wanted.extra == ExtraColumns::Fail && !ignored.is_empty() {
        return Err(Fault::Refused(extra_columns(&ignored)));
    }
    Ok(Matched { places: found, names: columns.clone(), ignored })
}

pub(crate) fn extra_columns(names: &[String]) -> String {
    format!(
        "has {} that the source does not declare: {}; declare {} under `columns`, or write `extra_columns: ignore`",
        if names.len() == 1 { "a column" } else { "columns" },
        list(names),
        if names.len() == 1 { "it" } else { "them" },
    )
}

fn missing_column(name: &str, in_file: &[String]) -> String {
    if let [only] = in_file
        && let Some(delimiter) = [';', '\t', '|', ','].into_iter().find(|d| only.contains(*d))
    {
        return format!(
            "has one column, `{only}`, and not `{name}`; if its fields are parted by {delimiter:?}, write `csv: {{delimiter: {delimiter:?}}}`"
        );
    }
    let near = in_file.iter().min_by_key(|other| strsim::levenshtein(other, name));
    let near = near.filter(|other| strsim::levenshtein(other, name) <= 2).map(|n| format!(" (it has `{n}`)"));
    format!(
        "has no column `{name}`{}; take the column out of the source, or put it into the file",
        near.unwrap_or_default()
    )
}

/// Names for a message; a long list is cut.
pub(crate) fn list(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut text = names.iter().take(SHOWN).map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

/// A channel's receiving end as a stream.
pub(crate) fn receive<T: Send + 'static>(receiver: tokio::sync::mpsc::Receiver<T>) -> BoxStream<'static, T> {
    Box::pin(futures::stream::unfold(receiver, async |mut receiver| receiver.recv().await.map(|item| (item, receiver))))
}
