//! The other way round: from a file to its declaration, and to a whole project that trains and serves.
//!
//! A sample of the file is read twice: once to see of which type every text of a column could be, once typed, to
//! profile it. From the profiles follow the roles (key, time, label, inputs), the task, and checks that the file
//! itself passes and a wrong delivery would not. Whatever was guessed is said in the notes and in comments of the
//! files, since the person knows better.

mod columns;
mod folder;
mod roles;
mod split;
mod written;
pub(crate) mod yaml;

use std::path::Path;

use mainspring_spec::{Column, CsvOptions, Derived, ExtraColumns, FileFormat, Gate, Source, Split, Task, mended_name};

use crate::profile::Profile;
use crate::read::{FileRef, Wanted, format_of, locate};
use crate::{Error, Result};

pub use folder::{Initialised, init_from};

/// What the person knows already; the rest is inferred.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InferOptions {
    /// The project's name. By default the folder's.
    pub project: Option<String>,
    /// The source's name. By default the file's.
    pub name: Option<String>,
    /// The column to predict.
    pub label: Option<String>,
    /// The column that says when a row's fact happened.
    pub time: Option<String>,
    /// The columns that name a row.
    pub key: Vec<String>,
}

/// A source inferred from a file, and what a model could make of it.
#[derive(Debug, Clone, PartialEq)]
pub struct InferredSource {
    /// The declaration.
    pub source: Source,
    /// What the sample looks like, by the declared and derived columns.
    pub profile: Profile,
    /// What to predict.
    pub label: Label,
    /// Columns that a model may be given.
    pub inputs: Vec<String>,
    /// Columns that it is not given, with why.
    pub left_out: Vec<(String, String)>,
    /// How its rows are parted.
    pub split: Split,
    /// What a new version is judged by; none when there are too few rows to judge by.
    pub gate: Option<Gate>,
    /// What was guessed, for the person to check.
    pub notes: Vec<String>,
}

/// What to predict.
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    /// The column.
    pub column: String,
    /// The SQL expression for the label.
    pub sql: String,
    /// The kind of prediction.
    pub task: Task,
    /// What the prediction says, in words.
    pub meaning: String,
}

/// The most rows looked at.
const SAMPLE_ROWS: u64 = 500_000;
/// The most values looked at: of files with very many columns, fewer rows.
const SAMPLE_VALUES: u64 = 50_000_000;

/// Infers a source from a file; of a glob, from its first file. Relative paths start at `folder`.
///
/// # Errors
/// [`Error::Infer`] when the file cannot be read as a table, a named column is not in it, or nothing in it can be predicted.
pub async fn infer_source(path: &str, folder: &Path, options: &InferOptions) -> Result<InferredSource> {
    let wrong = |reason: String| Error::Infer { path: path.to_owned(), reason };
    let files = locate(path, folder).await?;
    let file = files.first().ok_or_else(|| wrong("no file is there".into()))?;
    let format = format_of(&file.uri).ok_or_else(|| Error::Format { path: file.uri.clone() })?;
    let mut csv = CsvOptions::default();
    if format == FileFormat::Csv {
        csv.delimiter = columns::delimiter(file).await.map_err(|fault| wrong(format!("it {fault}")))?;
    }
    let sample = Sample { file, format, csv };
    let typed = columns::infer(&sample).await.map_err(|fault| wrong(format!("it {fault}")))?;
    for named in options.label.iter().chain(&options.time).chain(&options.key) {
        if !typed.columns.iter().any(|column| &column.name == named) {
            return Err(wrong(no_such_column(named, &typed.columns)));
        }
    }
    let stem = file.uri.rsplit('/').next().unwrap_or_default().split('.').next().unwrap_or_default();
    let source = Source {
        push: vec![],
        name: options.name.clone().unwrap_or_else(|| mended_name(stem)),
        description: format!("Rows of {}", file.uri.rsplit('/').next().unwrap_or(&file.uri)),
        path: path.to_owned(),
        format: Some(format),
        csv: typed.csv.clone(),
        columns: typed.columns.clone(),
        derive: vec![],
        key: vec![],
        event_time: None,
        known_at: None,
        checks: vec![],
        extra_columns: ExtraColumns::Fail,
    };
    roles::assign(&sample, source, typed, options).await.map_err(|reason| wrong(reason.to_string()))
}

/// The file that is looked at, and how.
struct Sample<'a> {
    file: &'a FileRef,
    format: FileFormat,
    csv: CsvOptions,
}

impl Sample<'_> {
    fn wanted(&self, columns: Option<Vec<String>>, csv: &CsvOptions) -> Wanted {
        Wanted { columns, extra: ExtraColumns::Ignore, csv: csv.clone() }
    }

    /// The most rows looked at, of so many columns.
    fn rows(&self, columns: usize) -> u64 {
        SAMPLE_ROWS.min(SAMPLE_VALUES / columns.max(1) as u64)
    }
}

fn no_such_column(name: &str, columns: &[Column]) -> String {
    let near =
        columns.iter().min_by_key(|column| strsim::levenshtein(&column.name.to_lowercase(), &name.to_lowercase()));
    match near {
        Some(near) => format!("there is no column `{name}`; did you mean `{}`?", near.name),
        None => format!("there is no column `{name}`"),
    }
}

/// A column's name as SQL.
pub(crate) fn sql_name(name: &str) -> String {
    if mainspring_spec::name_problem(name).is_none() {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// A text as SQL.
fn sql_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A column derived from another one, cast to its type.
fn derived(name: String, data_type: mainspring_spec::DataType, sql: String) -> Derived {
    Derived { name, data_type, sql }
}
