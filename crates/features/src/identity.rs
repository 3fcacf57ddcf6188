//! Row ids: what orders rows of equal times, and tells equal rows apart.
//!
//! A row id is a hash of what names the row: the key of its source, or else its values. It does not depend on when, in
//! which file or in which order a row was read, so a view computed again has the same ids, and sums add in the same order.
//! Where a view says when its rows were written, the id is led by that moment, so that the row written last comes last.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{
    DataType as ArrowType, Field as ArrowField, Int64Type, Schema, SchemaRef, TimestampMicrosecondType,
};
use arrow::row::{RowConverter, SortField};
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use twox_hash::XxHash64;

use crate::base::Base;
use crate::error::Result;
use crate::schema::ROW_ID;

/// The base's rows with their ids, as they are written to the view's table. `salt` sets rows of one backfill apart from
/// equal rows of another.
pub(crate) async fn with_row_ids(base: Base, salt: u64) -> Result<SendableRecordBatchStream> {
    let rows = base.rows.clone().execute_stream().await?;
    let ids = RowIds::new(&base, &rows.schema(), salt)?;
    let output = ids.output().clone();
    let with_ids = rows.map(move |batch| ids.give(&batch?));
    Ok(Box::pin(RecordBatchStreamAdapter::new(output, with_ids)))
}

/// Gives the rows of a base their ids.
pub(crate) struct RowIds {
    /// How many of the base's columns are kept: those of the view's schema.
    kept: usize,
    /// Places of the columns whose values make the id.
    identity: Vec<usize>,
    converter: RowConverter,
    number: Option<usize>,
    written_at: Option<usize>,
    salt: u64,
    output: SchemaRef,
}

impl RowIds {
    /// For rows of a base as they come out of the engine, with these columns.
    pub(crate) fn new(base: &Base, input: &SchemaRef, salt: u64) -> Result<Self> {
        let kept = base.schema.keys.len()
            + usize::from(base.schema.event_time.is_some())
            + usize::from(base.schema.known_at.is_some())
            + base.schema.payload.len();
        let mut fields: Vec<Arc<ArrowField>> = vec![];
        for (place, field) in input.fields().iter().take(kept).enumerate() {
            // What rows are joined by is never null; features may be.
            let nullable = place >= kept - base.schema.payload.len();
            fields.push(Arc::new(ArrowField::new(field.name(), field.data_type().clone(), nullable)));
        }
        fields.push(Arc::new(ArrowField::new(ROW_ID, ArrowType::Int64, false)));
        let identity = base.identity.iter().map(|name| Ok(input.index_of(name)?)).collect::<Result<Vec<_>>>()?;
        let sorts = identity.iter().map(|&place| SortField::new(input.field(place).data_type().clone())).collect();
        let place = |name: &Option<String>| name.as_ref().map(|name| input.index_of(name)).transpose();
        Ok(Self {
            kept,
            identity,
            converter: RowConverter::new(sorts)?,
            number: place(&base.number)?,
            written_at: place(&base.written_at)?,
            salt,
            output: Arc::new(Schema::new(fields)),
        })
    }

    /// The columns of rows with their ids: those of the view's schema, then the id.
    pub(crate) const fn output(&self) -> &SchemaRef {
        &self.output
    }

    /// The rows with their ids.
    pub(crate) fn give(&self, batch: &RecordBatch) -> Result<RecordBatch, DataFusionError> {
        let parts: Vec<ArrayRef> = self.identity.iter().map(|&place| batch.column(place).clone()).collect();
        let mut ids = hashes(&self.converter, &parts, batch.num_rows())?;
        if let Some(number) = self.number {
            number_equals(&mut ids, batch.column(number).as_primitive::<Int64Type>().values(), self.salt);
        }
        if let Some(written_at) = self.written_at {
            lead_by_time(&mut ids, batch.column(written_at).as_primitive::<TimestampMicrosecondType>());
        }
        let mut columns: Vec<ArrayRef> = batch.columns().iter().take(self.kept).cloned().collect();
        columns.push(Arc::new(Int64Array::from_iter_values(ids.into_iter().map(u64::cast_signed))));
        Ok(RecordBatch::try_new(self.output.clone(), columns)?)
    }
}

fn hashes(converter: &RowConverter, parts: &[ArrayRef], rows: usize) -> Result<Vec<u64>, arrow::error::ArrowError> {
    if parts.is_empty() {
        return Ok(vec![0; rows]);
    }
    Ok(converter.convert_columns(parts)?.iter().map(|row| XxHash64::oneshot(0, row.as_ref())).collect())
}

/// Puts a moment before the hash: 53 bits of microseconds, which reach to the year 2112, and 11 bits that tell rows
/// of one microsecond apart. No moment comes before every other.
fn lead_by_time(ids: &mut [u64], moments: &TimestampMicrosecondArray) {
    const LOW_BITS: u32 = 11;
    const LAST: i64 = (1 << 52) - 1;
    for (row, id) in ids.iter_mut().enumerate() {
        let moment = if moments.is_null(row) { -LAST } else { moments.value(row).clamp(-LAST, LAST) };
        *id = (moment << LOW_BITS).cast_unsigned() | (*id & ((1 << LOW_BITS) - 1));
    }
}

/// Sets equal rows apart in the low bits. The high bits, which order a row among others of its times, stay those of its
/// values alone: so rows come in the same order however they were parted into backfills.
fn number_equals(ids: &mut [u64], numbers: &[i64], salt: u64) {
    const LOW: u64 = (1 << 24) - 1;
    for (id, number) in ids.iter_mut().zip(numbers) {
        *id = (*id & !LOW) | (XxHash64::oneshot(salt ^ *id, &number.to_le_bytes()) & LOW);
    }
}
