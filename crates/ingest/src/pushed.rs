//! Rows that clients push: judged one by one, by the same rules as rows of files.
//!
//! A push is one piece of work of one caller, so it is taken whole or refused whole: no row of it goes to quarantine.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::execution::SessionState;
use mainspring_catalog::Principal;
use mainspring_lake::{Lake, WriteId, stream_of};
use mainspring_spec::Source;

use crate::ingestor::{Ingestor, outdated, table_name};
use crate::judge::judge;
use crate::plan::Plan;
use crate::read::{Fault, RawBatch, RowNumbers};
use crate::report::IngestReport;
use crate::reread::reread_id;
use crate::types::table_schema;
use crate::{Error, Result};

/// Broken rules told of one push; the first ones show what to mend.
const REASONS_SHOWN: usize = 5;

/// Judges a push: gives its rows as the table's columns, but for those that only the table knows.
///
/// `rows` has the source's declared columns, in their order and types.
///
/// # Errors
/// [`Error::Pushed`] with the rows that break a rule; warnings let them pass. [`Error::Expression`] and [`Error::Check`] when
/// the source does not compile.
pub fn judge_pushed(source: &Source, state: &SessionState, rows: RecordBatch) -> Result<RecordBatch> {
    let plan = Plan::compile(source, state, &BTreeMap::new())?;
    let refused = |reason: String| Error::Pushed { name: source.name.clone(), reason };
    let fault = |fault: Fault| refused(fault.to_string());
    let casts = plan.casts(&rows.schema()).map_err(fault)?;
    let judged = judge(&plan, &casts, RawBatch { batch: rows, rows: RowNumbers::From(1), faults: vec![] });
    let judged = judged.map_err(fault)?;
    let breaking = judged.broken.iter().filter(|(rule, _)| plan.rules.get(*rule).is_some_and(|r| r.removes_rows()));
    let rows = breaking.flat_map(|(rule, broken)| broken.set_indices().map(move |row| (*rule, row)));
    let reasons: Vec<String> = rows
        .take(REASONS_SHOWN)
        .map(|(rule, row)| format!("row {}: {}", row + 1, judged.reason(&plan, rule, row)))
        .collect();
    if reasons.is_empty() { Ok(judged.batch) } else { Err(refused(reasons.join("; "))) }
}

/// Makes a pushed source's table where there is none, without rows, so that views over it can be computed before the first
/// push.
///
/// # Errors
/// When the lake fails.
pub async fn make_pushed_table(lake: &Lake, source: &Source) -> Result<u64> {
    let table = table_name(&source.name)?;
    if let Some(version) = lake.version(&table).await? {
        return Ok(version);
    }
    let schema = table_schema(source);
    let empty = RecordBatch::new_empty(Arc::clone(&schema));
    let id = WriteId { app: pushed_app(&source.name), sequence: 0 };
    Ok(lake.append(&table, stream_of(schema, vec![empty]), id).await?.version)
}

/// Who writes pushed rows, as the lake's log has it.
#[must_use]
pub fn pushed_app(source: &str) -> String {
    format!("push:{source}")
}

impl Ingestor {
    /// What an ingest of a source would refuse, and what mends it, because its table has rows that clients pushed and it is
    /// declared otherwise than they were taken. Nothing is changed.
    ///
    /// # Errors
    /// When there is no such source, or the lake or the catalog fails.
    pub async fn refusal_of_pushed(&self, source: &str) -> Result<Option<String>> {
        let source = self.source(source)?;
        let table = table_name(&source.name)?;
        let version = self.lake.version(&table).await?;
        let reading = self.table_reading(source, &table, version).await?;
        let Some(reason) = outdated(&reading, source, version) else { return Ok(None) };
        match self.refuse_pushed_rows(source, &table, &reason).await {
            Err(refused @ Error::PushedRows { .. }) => Ok(Some(refused.to_string())),
            other => other.map(|()| None),
        }
    }

    /// What an ingest of a pushed source comes to: its table is there; rows come by themselves. One that is declared
    /// otherwise than its table gets a new table while it has no rows.
    ///
    /// # Errors
    /// [`Error::PushedRows`] when it has some: they are nowhere else.
    pub(crate) async fn ingest_pushed(&self, source: &Source, principal: &Principal) -> Result<IngestReport> {
        let table = table_name(&source.name)?;
        let before = self.lake.version(&table).await?;
        let reading = self.table_reading(source, &table, before).await?;
        let mut version = make_pushed_table(&self.lake, source).await?;
        if let Some(reason) = outdated(&reading, source, before) {
            self.refuse_pushed_rows(source, &table, &reason).await?;
            let schema = table_schema(source);
            let empty = RecordBatch::new_empty(Arc::clone(&schema));
            let id = reread_id(source, i64::try_from(version).unwrap_or(i64::MAX).saturating_add(1));
            version = self.lake.overwrite(&table, stream_of(schema, vec![empty]), id).await?.version;
        }
        self.keep_reading(reading, source, principal).await?;
        Ok(IngestReport {
            source: source.name.clone(),
            table: table.to_string(),
            version: Some(version),
            files: vec![],
            rows_read: 0,
            rows_landed: 0,
            rows_superseded: 0,
            rows_quarantined: 0,
            rows_dropped: 0,
            checks: vec![],
        })
    }
}
