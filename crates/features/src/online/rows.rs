//! Rows of a view's table as rows of tails.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};

use super::codec;
use super::store::{RowKey, TailRow};
use crate::key;
use crate::schema::ViewSchema;
use crate::value::Value;

/// The columns of a batch of a view's table, selected in this order: keys, event time, known at, row id, payload.
pub(crate) struct Rows {
    keys: Vec<ArrayRef>,
    event_time: Option<ArrayRef>,
    known_at: Option<ArrayRef>,
    row_id: ArrayRef,
    payload: Vec<ArrayRef>,
}

impl Rows {
    pub(crate) fn of(schema: &ViewSchema, batch: &RecordBatch) -> Self {
        let mut columns = batch.columns().iter().cloned();
        let keys = columns.by_ref().take(schema.keys.len()).collect();
        let event_time = schema.event_time.as_ref().and_then(|_| columns.next());
        let known_at = schema.known_at.as_ref().and_then(|_| columns.next());
        let row_id =
            columns.next().unwrap_or_else(|| std::sync::Arc::new(arrow::array::Int64Array::from(Vec::<i64>::new())));
        Self { keys, event_time, known_at, row_id, payload: columns.collect() }
    }

    pub(crate) fn len(&self) -> usize {
        self.row_id.len()
    }

    /// A row and its entity; `None` when its key has a null.
    pub(crate) fn row(&self, row: usize) -> Option<(Vec<u8>, TailRow)> {
        let mut entity = Vec::with_capacity(32);
        if !key::of_row(&self.keys, row, &mut entity) {
            return None;
        }
        let time = |column: &Option<ArrayRef>| {
            column.as_ref().map(|times| times.as_primitive::<TimestampMicrosecondType>().value(row))
        };
        let event_time = time(&self.event_time).unwrap_or(i64::MIN);
        let known_at = time(&self.known_at).unwrap_or(event_time);
        let row_id = self.row_id.as_primitive::<Int64Type>().value(row);
        let values: Vec<Value> = self.payload.iter().map(|column| Value::from_array(column, row)).collect();
        let mut payload = Vec::with_capacity(values.len() * 9);
        codec::encode(&values, &mut payload);
        Some((entity, TailRow { key: RowKey { event_time, known_at, row_id }, payload }))
    }
}
