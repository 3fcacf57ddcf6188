//! Pushed rows on their way into the lake.

use std::collections::{BTreeSet, HashMap};

use arrow::array::{RecordBatch, UInt64Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::row::{OwnedRow, RowConverter, SortField};
use jiff::Timestamp;
use mainspring_catalog::{Change, Edge, Expect};
use mainspring_ingest::{TableVersion, make_pushed_table, table_schema};
use mainspring_lake::{TableName, stream_of};
use mainspring_spec::Source;

use super::log::{self, Waiting};
use crate::error::Result;
use crate::store::FeatureStore;

/// Rows landed in one commit; bounds the memory of a landing after a long time without.
const LAND_ROWS: usize = 1 << 20;

impl FeatureStore {
    /// Brings what was pushed into the lake, for all sources. Tells how many rows landed.
    ///
    /// # Errors
    /// When the lake, the catalog or the store fails. What did not land waits for the next time.
    pub async fn land_all_pushed(&self) -> Result<u64> {
        let mut rows = 0;
        for source in self.project.sources.values().filter(|source| source.is_pushed()) {
            rows += self.land_pushed(&source.name).await?;
        }
        Ok(rows)
    }

    /// Brings what was pushed to a source into its table in the lake, which is made where there is none. Tells how many
    /// rows landed. Each push lands once, also when the process is killed between the lake's commit and the store's.
    ///
    /// # Errors
    /// As [`Self::land_all_pushed`].
    pub async fn land_pushed(&self, source: &str) -> Result<u64> {
        let Some(source) = self.project.sources.get(source).filter(|source| source.is_pushed()) else { return Ok(0) };
        let _landing = self.online.store().turns().landing.lock().await;
        let table = TableName::new("sources", &source.name)?;
        let mut waiting = log::waiting(self.online.store(), &source.name)?;
        make_pushed_table(&self.lake, source).await?;
        let count = |waiting: &[Waiting]| waiting.iter().map(|push| push.rows.num_rows() as u64).sum::<u64>();
        let mut landed = 0;
        while let Some(first) = waiting.first() {
            let id = Self::pushed_write(&source.name, first.last);
            if self.lake.landed(&table, &id).await?.is_some() {
                log::forget(self.online.store(), &source.name, &waiting[..1])?;
                waiting.remove(0);
                continue;
            }
            let mut rows = 0;
            let fit = waiting.iter().take_while(|push| {
                rows += push.rows.num_rows();
                rows <= LAND_ROWS
            });
            let fit = fit.count().max(1);
            let rest = waiting.split_off(fit);
            landed += self.land(source, &table, &waiting).await?;
            log::forget(self.online.store(), &source.name, &waiting)?;
            let done = count(&waiting);
            if let Some(left) = self.online.store().turns().waiting.lock().get_mut(&source.name) {
                *left = left.saturating_sub(done);
            }
            waiting = rest;
        }
        Ok(landed)
    }

    async fn land(&self, source: &Source, table: &TableName, pushes: &[Waiting]) -> Result<u64> {
        let schema = table_schema(source);
        let batches = pushes.iter().map(|push| fitted(&schema, &push.rows)).collect::<Result<Vec<_>>>()?;
        let rows = concat_batches(&schema, &batches)?;
        let last = pushes.last().map_or(0, |push| push.last);
        let id = Self::pushed_write(&source.name, last);
        let committed = if source.key.is_empty() {
            self.lake.append(table, stream_of(schema, vec![rows]), id).await?
        } else {
            let rows = last_of_each_key(&source.key, rows)?;
            self.lake.replace_keys(table, &source.key, stream_of(schema, vec![rows]), id).await?
        };
        let by: BTreeSet<&str> = pushes.iter().map(|push| push.by.as_str()).collect();
        let by: Vec<&str> = by.into_iter().collect();
        let statistics = self.lake.statistics(table).await?;
        let version = TableVersion {
            table: table.to_string(),
            version: committed.version,
            rows: statistics.rows,
            rows_added: committed.rows,
            bytes: committed.bytes,
            at: Timestamp::now(),
            by: by.join(", "),
            files: vec![],
            profile: None,
            checks: vec![],
        };
        let node = format!("table:{table}@{}", committed.version);
        let detail = serde_json::json!({ "pushes": pushes.len(), "rows": committed.rows, "by": by });
        let change = Change::new(&Self::principal(), "push.land", node.clone())
            .detail(detail)
            .put(&version, Expect::Any)?
            .edge(Edge::new(format!("source:{}", source.name), node, "declared"));
        self.catalog.commit(change).await?;
        Ok(committed.rows)
    }
}

/// Rows that were pushed when the source was declared otherwise, as its columns are now: new ones are null, those that are
/// gone are left out.
fn fitted(schema: &arrow::datatypes::SchemaRef, rows: &RecordBatch) -> Result<RecordBatch> {
    let columns = schema.fields().iter().map(|field| match rows.column_by_name(field.name()) {
        Some(column) => arrow::compute::cast(column, field.data_type()),
        None => Ok(arrow::array::new_null_array(field.data_type(), rows.num_rows())),
    });
    Ok(RecordBatch::try_new(schema.clone(), columns.collect::<Result<Vec<_>, _>>()?)?)
}

/// Of rows of one key the last one, in the order of the rows.
pub(super) fn last_of_each_key(key: &[String], rows: RecordBatch) -> Result<RecordBatch> {
    let schema = rows.schema();
    let places = key.iter().map(|name| schema.index_of(name)).collect::<Result<Vec<_>, _>>()?;
    let sorts = places.iter().map(|&place| SortField::new(schema.field(place).data_type().clone())).collect();
    let columns: Vec<_> = places.iter().map(|&place| rows.column(place).clone()).collect();
    let keys = RowConverter::new(sorts)?.convert_columns(&columns)?;
    let mut last: HashMap<OwnedRow, u64> = HashMap::new();
    for (row, key) in keys.iter().enumerate() {
        last.insert(key.owned(), row as u64);
    }
    let mut kept: Vec<u64> = last.into_values().collect();
    kept.sort_unstable();
    Ok(take_record_batch(&rows, &UInt64Array::from(kept))?)
}
