//! Tables of the lake: versions, profiles, checks, quarantine.

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use datafusion::logical_expr::ident;
use jiff::Timestamp;
use mainspring_catalog::ListQuery;
use mainspring_govern::{Marked, PrivacyMarks};
use mainspring_ingest::{CheckResult, JudgedTable, Profile, TableVersion, quarantine_name};
use mainspring_lake::{At, TableName};
use schemars::JsonSchema;
use serde::Serialize;

use super::sources::rows_of;
use super::{Error, Look, Page, Result};

/// The most rows of quarantine that are shown.
const QUARANTINE_SHOWN: usize = 50;
/// The most versions that are shown.
const VERSIONS_SHOWN: usize = 50;
/// What stands where personal data is not shown.
const WITHHELD: &str = "withheld: it may hold personal data";
/// What stands for the description of a table whose values are not shown.
const UNDECLARED: &str = "What declared this table is gone, and with it which of its columns were marked as personal: its \
                          values are withheld until it is declared again";

/// A table.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TableView {
    /// `schema.name`.
    pub table: String,
    /// Its schema: `sources`, `features`, …
    pub schema: String,
    /// Its newest version.
    pub version: u64,
    /// Its rows.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// Its files.
    pub files: u64,
    /// When its newest version was committed.
    pub changed_at: Option<Timestamp>,
}

/// All tables, by name.
///
/// # Errors
/// When the lake fails.
pub async fn tables(look: &Look, page: &Page) -> Result<Vec<TableView>> {
    let mut shown = vec![];
    let mut names: Vec<String> = look.lake.tables().await?.iter().map(ToString::to_string).collect();
    names.sort();
    for name in page.of(names.iter()) {
        shown.push(seen(look, &name.parse()?).await?);
    }
    Ok(shown)
}

async fn seen(look: &Look, name: &TableName) -> Result<TableView> {
    let is = look.lake.statistics(name).await?;
    let newest = look.lake.history(name, 1).await?;
    Ok(TableView {
        table: name.to_string(),
        schema: name.schema().into(),
        version: is.version,
        rows: is.rows,
        bytes: is.bytes,
        files: is.files,
        changed_at: newest.first().and_then(|version| version.at),
    })
}

/// A column of a table.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ColumnLine {
    /// Its name.
    pub name: String,
    /// Its type, as the engine calls it.
    pub data_type: String,
}

/// A version of a table.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct VersionLine {
    /// Its number.
    pub version: u64,
    /// When it was committed.
    pub at: Option<Timestamp>,
    /// What made it.
    pub operation: String,
    /// Rows it brought.
    pub rows_added: u64,
    /// Who made it, when the catalog knows.
    pub by: Option<String>,
}

/// A row that broke a rule.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct QuarantinedRow {
    /// The file.
    pub file: String,
    /// The row's number in it.
    pub row_number: i64,
    /// The rules it broke.
    pub rules: Vec<String>,
    /// Why, in words.
    pub reason: String,
    /// The row as it was, as JSON.
    pub row: String,
    /// When.
    pub quarantined_at: Option<Timestamp>,
}

/// Everything about a table.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TableDetail {
    /// The table.
    #[serde(flatten)]
    pub table: TableView,
    /// What it holds, in a sentence.
    pub description: String,
    /// Its columns.
    pub columns: Vec<ColumnLine>,
    /// What its values look like.
    pub profile: Option<Profile>,
    /// How its rows fared with the rules, when they were last judged.
    pub checks: Vec<CheckResult>,
    /// Rows in its quarantine.
    pub quarantined: u64,
    /// Some of them.
    pub quarantine: Vec<QuarantinedRow>,
    /// Its versions, the newest first.
    pub versions: Vec<VersionLine>,
}

/// A table with its profile, checks, quarantine and versions. Without `personal`, values that may be personal are withheld.
///
/// # Errors
/// When there is no such table.
pub async fn table(look: &Look, name: &str, personal: Personal) -> Result<TableDetail> {
    let missing = || Error::missing("table", name);
    let table: TableName = name.parse().map_err(|_| missing())?;
    if !look.lake.exists(&table).await? {
        return Err(missing());
    }
    let schema = look.lake.schema(&table, At::Latest).await?;
    let columns = schema.fields().iter();
    let columns =
        columns.map(|field| ColumnLine { name: field.name().clone(), data_type: field.data_type().to_string() });
    let marked = match personal {
        Personal::Shown => Marked::default(),
        Personal::Withheld => PrivacyMarks::of(&look.project).columns(name),
    };
    let recorded: Vec<TableVersion> = look
        .catalog
        .list::<TableVersion>(ListQuery::of(name).newest_first().limit(VERSIONS_SHOWN))
        .await?
        .into_iter()
        .map(|stored| stored.document)
        .collect();
    let by = |version| recorded.iter().find(|known| known.version == version).map(|known| known.by.clone());
    let versions = look.lake.history(&table, VERSIONS_SHOWN).await?.into_iter().map(|line| VersionLine {
        by: by(line.version),
        version: line.version,
        at: line.at,
        operation: line.operation,
        rows_added: line.rows_added,
    });
    let newest = recorded.first();
    let mut profile = newest.and_then(|version| version.profile.clone());
    for column in profile.iter_mut().flat_map(|profile| &mut profile.columns) {
        if marked.covers(&column.name) {
            (column.min, column.max, column.histogram) = (None, None, None);
            column.top.clear();
            column.quantiles.clear();
        }
    }
    let judged = look.catalog.get::<JudgedTable>(name).await?.map(|stored| stored.document.checks);
    let mut checks = judged.or_else(|| newest.map(|version| version.checks.clone())).unwrap_or_default();
    if !marked.is_empty() {
        checks.iter_mut().for_each(|check| check.examples.clear());
    }
    let (mut quarantined, mut quarantine) = (0, vec![]);
    if table.schema() == "sources" {
        let bad = quarantine_name(table.name())?;
        quarantined = rows_of(look, &bad).await?;
        if quarantined > 0 {
            quarantine = quarantine_of(look, &bad).await?;
        }
        if !marked.is_empty() {
            for row in &mut quarantine {
                // the reason quotes the values that broke the rule
                (row.row, row.reason) = (WITHHELD.into(), WITHHELD.into());
            }
        }
    }
    let description = match table.schema() {
        "sources" => look.project.sources.get(table.name()).map(|source| source.description.clone()),
        "features" => look.project.feature_views.get(table.name()).map(|view| view.description.clone()),
        _ => None,
    };
    let description = match marked.is_undeclared() {
        true => UNDECLARED.to_owned(),
        false => description.unwrap_or_default(),
    };
    Ok(TableDetail {
        table: seen(look, &table).await?,
        description,
        columns: columns.collect(),
        profile,
        checks,
        quarantined,
        quarantine,
        versions: versions.collect(),
    })
}

/// Whether values that may be personal are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Personal {
    /// They are: the caller may read them.
    Shown,
    /// They are not.
    Withheld,
}

async fn quarantine_of(look: &Look, table: &TableName) -> Result<Vec<QuarantinedRow>> {
    let wanted = ["file", "row_number", "rules", "reason", "row", "quarantined_at"];
    let newest_first = vec![
        ident("quarantined_at").sort(false, false),
        ident("file").sort(true, false),
        ident("row_number").sort(true, false),
    ];
    let rows = look.lake.read(table, At::Latest).await?.select_columns(&wanted)?.sort(newest_first)?;
    let batches = rows.limit(0, Some(QUARANTINE_SHOWN))?.collect().await?;
    Ok(batches.iter().flat_map(rows_in).collect())
}

fn rows_in(batch: &RecordBatch) -> impl Iterator<Item = QuarantinedRow> + '_ {
    (0..batch.num_rows()).map(|row| {
        let text = |column: usize| {
            let values = batch.column(column).as_string_opt::<i32>();
            values.filter(|values| values.is_valid(row)).map(|values| values.value(row).to_owned()).unwrap_or_default()
        };
        let number = batch.column(1).as_primitive_opt::<Int64Type>().map_or(0, |values| values.value(row));
        let at = batch.column(5).as_primitive_opt::<TimestampMicrosecondType>();
        QuarantinedRow {
            file: text(0),
            row_number: number,
            rules: text(2).split(',').map(|rule| rule.trim().to_owned()).filter(|rule| !rule.is_empty()).collect(),
            reason: text(3),
            row: text(4),
            quarantined_at: at.and_then(|values| Timestamp::from_microsecond(values.value(row)).ok()),
        }
    })
}
