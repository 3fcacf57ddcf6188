//! Pushed rows that have not landed in the lake yet, in the online store.
//!
//! Each push is one row of the space `push!SOURCE`, placed by the number of its last row; the note of that name keeps the
//! last number given, so that numbers grow for ever, whatever the clock does.

use std::io::Cursor;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::online::{OnlineChange, OnlineStore, RowKey, TailRow};

/// The space, and the note, of a source's pushes. No view can be called so.
pub(super) fn space(source: &str) -> String {
    format!("push!{source}")
}

/// The entity under which pushes lie: they are read in one order.
const ENTITY: &[u8] = b"";

/// A push that has not landed.
pub(super) struct Waiting {
    /// The number of its last row.
    pub(super) last: i64,
    /// Who pushed.
    pub(super) by: String,
    /// Its rows, as the table's columns.
    pub(super) rows: RecordBatch,
    place: RowKey,
}

/// A push as it is written.
pub(super) fn put(first: i64, last: i64, by: &str, rows: &RecordBatch) -> Result<OnlineChange> {
    let mut payload = Vec::with_capacity(1024 + rows.get_array_memory_size());
    payload.extend(u32::try_from(by.len()).unwrap_or(u32::MAX).to_le_bytes());
    payload.extend(by.as_bytes());
    let mut writer = StreamWriter::try_new(&mut payload, &rows.schema())?;
    writer.write(rows)?;
    writer.finish()?;
    let key = RowKey { event_time: last, known_at: first, row_id: 0 };
    Ok(OnlineChange::Put { entity: ENTITY.to_vec(), row: TailRow { key, payload } })
}

/// The last number given to a row of a source.
pub(super) fn last_number(store: &dyn OnlineStore, source: &str) -> Result<Option<i64>> {
    let space = space(source);
    let Some(note) = store.note(&space)? else { return Ok(None) };
    let bytes: [u8; 8] = note.as_slice().try_into().map_err(|_| Error::Damaged { view: space, what: "note" })?;
    Ok(Some(i64::from_le_bytes(bytes)))
}

/// The pushes of a source that wait, in order.
pub(super) fn waiting(store: &dyn OnlineStore, source: &str) -> Result<Vec<Waiting>> {
    let space = space(source);
    let rows = store.tail(&space, ENTITY)?;
    rows.into_iter().map(|row| read(row).ok_or_else(|| Error::Damaged { view: space.clone(), what: "push" })).collect()
}

fn read(row: TailRow) -> Option<Waiting> {
    let (length, rest) = row.payload.split_first_chunk::<4>()?;
    let (by, rows) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    let by = std::str::from_utf8(by).ok()?.to_owned();
    let mut batches = StreamReader::try_new(Cursor::new(rows), None).ok()?;
    let rows = batches.next()?.ok()?;
    Some(Waiting { last: row.key.event_time, by, rows, place: row.key })
}

/// Takes away pushes that have landed.
pub(super) fn forget(store: &dyn OnlineStore, source: &str, landed: &[Waiting]) -> Result<()> {
    let gone = landed.iter().map(|push| OnlineChange::Delete { entity: ENTITY.to_vec(), key: push.place });
    store.write(&space(source), gone.collect(), None)
}

/// Syncs that writers at the same time share: one that waits while another syncs is served by the next sync, together with
/// all who wait by then.
#[derive(Default)]
pub(super) struct Syncs {
    written: AtomicU64,
    synced: Mutex<u64>,
}

impl Syncs {
    /// Returns when everything that its caller has written so far would survive a loss of power.
    pub(super) fn sync(&self, store: &dyn OnlineStore) -> Result<()> {
        let mine = self.written.fetch_add(1, Ordering::SeqCst) + 1;
        let mut synced = self.synced.lock();
        if *synced >= mine {
            return Ok(());
        }
        let all = self.written.load(Ordering::SeqCst);
        store.persist()?;
        *synced = all;
        Ok(())
    }
}
