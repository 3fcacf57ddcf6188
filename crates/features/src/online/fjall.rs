//! The embedded online store: a log-structured merge tree on the local disk.
//!
//! A row's key is the space, the entity's key, and the row's place, each part such that the order of bytes is the order
//! of rows; an entity's tail is then one short range. Small writes are one journal append a batch, and are synced once at the
//! end of a materialisation; many rows go into a sorted file of their own. A crash loses at most the last batches together
//! with the note that says how far it came, and the next materialisation starts from that note.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::store::{OnlineChange, OnlineStore, RowKey, TailRow};
use crate::error::{Error, Result};
use crate::push::Turns;

/// Bytes of one place: event time, known at, row id.
const PLACE_BYTES: usize = 24;
/// Rows taken away in one step when a space is cleared: bounds the memory of the batch.
const CLEAR_BATCH: usize = 10_000;
/// The block cache. Hot tails are cached decoded above the store, so this only serves cold ones.
const BLOCK_CACHE_BYTES: u64 = 16 << 20;
/// Memory for rows not yet in a sorted file.
const MEMTABLE_BYTES: u64 = 16 << 20;
/// The journal's most: rows not yet in a sorted file, and what compaction has not caught up with. 64 MiB is the least that
/// the store takes.
const JOURNAL_BYTES: u64 = 64 << 20;
/// Bytes of rows after which a sync also moves them into a sorted file. Without it the last rows of a materialisation would
/// be read back into memory from the journal at every start, and lie there.
const SETTLE_BYTES: u64 = 1 << 20;
/// From so many rows on, a write goes past the journal straight into a sorted file: what is in the journal is read again at
/// every start until 64 MiB of it have come together, at some 2 us a row.
const SORTED_ROWS: usize = 256;

/// See the [module](self).
pub struct FjallStore {
    database: Database,
    rows: Keyspace,
    notes: Keyspace,
    /// Bytes of rows written since the last were moved into a sorted file.
    unsettled: AtomicU64,
    turns: Arc<Turns>,
}

impl FjallStore {
    /// Opens or creates the store in a folder. One process at a time may have it open.
    ///
    /// # Errors
    /// When the folder cannot be written, is damaged, or is open in another process.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let failed = |error: fjall::Error| Error::Online {
            doing: "opening its folder",
            reason: format!("{}: {error}; is another mainspring process using this project?", folder.display()),
        };
        if let Some(parent) = folder.parent() {
            std::fs::create_dir_all(parent).map_err(|error| failed(error.into()))?;
        }
        let database = Database::builder(folder)
            .cache_size(BLOCK_CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES)
            .worker_threads(1)
            .open()
            .map_err(failed)?;
        let rows = database
            .keyspace("rows", || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES))
            .map_err(failed)?;
        let notes = database.keyspace("notes", KeyspaceCreateOptions::default).map_err(failed)?;
        // what a crash left in the journal is in memory now, and moves with the next rows
        Ok(Self { database, rows, notes, unsettled: AtomicU64::new(0), turns: Arc::default() })
    }
}

fn failed(doing: &'static str) -> impl Fn(fjall::Error) -> Error {
    move |error| Error::Online { doing, reason: error.to_string() }
}

/// The bytes that all keys of a space start with.
fn space_prefix(space: &str) -> Vec<u8> {
    let mut prefix = Vec::with_capacity(64);
    prefix.extend(space.as_bytes());
    prefix.push(0);
    prefix
}

/// The bytes that all keys of an entity start with. Its length comes first, so that no entity is the start of another.
fn entity_prefix(space: &str, entity: &[u8]) -> Vec<u8> {
    let mut prefix = space_prefix(space);
    prefix.extend(u32::try_from(entity.len()).unwrap_or(u32::MAX).to_be_bytes());
    prefix.extend(entity);
    prefix
}

fn row_key(space: &str, entity: &[u8], key: &RowKey) -> Vec<u8> {
    let mut bytes = entity_prefix(space, entity);
    for number in [key.event_time, key.known_at, key.row_id] {
        bytes.extend(ordered(number));
    }
    bytes
}

/// Big-endian with the sign bit turned, so that bytes order as numbers do.
fn ordered(number: i64) -> [u8; 8] {
    (number ^ i64::MIN).to_be_bytes()
}

fn unordered(bytes: &[u8]) -> Option<i64> {
    Some(i64::from_be_bytes(bytes.try_into().ok()?) ^ i64::MIN)
}

fn place(bytes: &[u8]) -> Option<RowKey> {
    Some(RowKey {
        event_time: unordered(bytes.get(..8)?)?,
        known_at: unordered(bytes.get(8..16)?)?,
        row_id: unordered(bytes.get(16..24)?)?,
    })
}

fn damaged(space: &str) -> Error {
    Error::Damaged { view: space.to_owned(), what: "key" }
}

impl FjallStore {
    /// Writes rows of a space as one sorted file. It is synced and made known in one step.
    fn write_sorted(&self, space: &str, changes: Vec<OnlineChange>) -> Result<()> {
        let keyed = |change| match change {
            OnlineChange::Put { entity, row } => (row_key(space, &entity, &row.key), Some(row.payload)),
            OnlineChange::Delete { entity, key } => (row_key(space, &entity, &key), None),
        };
        let mut rows: Vec<(Vec<u8>, Option<Vec<u8>>)> = changes.into_iter().map(keyed).collect();
        // what comes last for a place holds, so equal keys keep their order
        rows.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut file = self.rows.start_ingestion().map_err(failed("writing rows"))?;
        let mut rows = rows.into_iter().peekable();
        while let Some((key, payload)) = rows.next() {
            if rows.peek().is_some_and(|(next, _)| *next == key) {
                continue;
            }
            let written = match payload {
                Some(payload) => file.write(key, payload),
                None => file.write_tombstone(key),
            };
            written.map_err(failed("writing rows"))?;
        }
        file.finish().map_err(failed("writing rows"))
    }
}

impl OnlineStore for FjallStore {
    fn write_all(&self, mut writes: Vec<(&str, Vec<OnlineChange>)>, notes: &[(&str, &[u8])]) -> Result<()> {
        if let ([(space, changes)], []) = (&mut writes[..], notes)
            && changes.len() >= SORTED_ROWS
        {
            return self.write_sorted(space, std::mem::take(changes));
        }
        let mut batch = self.database.batch();
        let mut bytes = 0;
        for (space, changes) in writes {
            for change in changes {
                match change {
                    OnlineChange::Put { entity, row } => {
                        bytes += space.len() + entity.len() + PLACE_BYTES + row.payload.len();
                        batch.insert(&self.rows, row_key(space, &entity, &row.key), row.payload);
                    }
                    OnlineChange::Delete { entity, key } => batch.remove(&self.rows, row_key(space, &entity, &key)),
                }
            }
        }
        for (name, value) in notes {
            batch.insert(&self.notes, *name, *value);
        }
        batch.commit().map_err(failed("writing rows"))?;
        self.unsettled.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(())
    }

    fn tail(&self, space: &str, entity: &[u8]) -> Result<Vec<TailRow>> {
        let prefix = entity_prefix(space, entity);
        let mut rows = vec![];
        for guard in self.rows.prefix(&prefix) {
            let (key, payload) = guard.into_inner().map_err(failed("reading a tail"))?;
            let key = key.get(prefix.len()..).and_then(place).ok_or_else(|| damaged(space))?;
            rows.push(TailRow { key, payload: payload.to_vec() });
        }
        Ok(rows)
    }

    fn scan(&self, space: &str, visit: &mut dyn FnMut(&[u8], TailRow) -> Result<()>) -> Result<()> {
        let prefix = space_prefix(space);
        for guard in self.rows.prefix(&prefix) {
            let (bytes, payload) = guard.into_inner().map_err(failed("scanning"))?;
            let after = bytes.get(prefix.len() + 4..).ok_or_else(|| damaged(space))?;
            let (entity, key) =
                after.split_at_checked(after.len().saturating_sub(PLACE_BYTES)).ok_or_else(|| damaged(space))?;
            let key = place(key).ok_or_else(|| damaged(space))?;
            visit(entity, TailRow { key, payload: payload.to_vec() })?;
        }
        Ok(())
    }

    fn clear(&self, space: &str) -> Result<()> {
        let prefix = space_prefix(space);
        loop {
            let mut batch = self.database.batch();
            for guard in self.rows.prefix(&prefix).take(CLEAR_BATCH) {
                batch.remove(&self.rows, guard.key().map_err(failed("clearing"))?);
            }
            if batch.is_empty() {
                return Ok(());
            }
            batch.commit().map_err(failed("clearing"))?;
        }
    }

    fn note(&self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.notes.get(name).map_err(failed("reading a note"))?.map(|value| value.to_vec()))
    }

    fn forget(&self, name: &str) -> Result<()> {
        self.notes.remove(name).map_err(failed("forgetting a note"))
    }

    fn turns(&self) -> &Arc<Turns> {
        &self.turns
    }

    fn persist(&self) -> Result<()> {
        self.database.persist(PersistMode::SyncAll).map_err(failed("syncing to disk"))?;
        if self.unsettled.load(Ordering::Relaxed) >= SETTLE_BYTES {
            self.unsettled.store(0, Ordering::Relaxed);
            self.rows.rotate_memtable().map_err(failed("moving rows into a sorted file"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::thread::yield_now;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn conforms() {
        let folder = tempfile::tempdir().unwrap();
        let mut opened = 0;

        super::super::conformance::check(|| {
            opened += 1;
            FjallStore::open(folder.path().join(format!("store-{opened}"))).unwrap()
        });
    }

    #[test]
    fn what_was_persisted_is_there_after_opening_again() {
        let folder = tempfile::tempdir().unwrap();
        let row = TailRow { key: RowKey { event_time: -5, known_at: 7, row_id: i64::MIN }, payload: vec![1, 2] };
        {
            let store = FjallStore::open(folder.path()).unwrap();
            let put = OnlineChange::Put { entity: b"JFK".to_vec(), row: row.clone() };
            store.write("weather#1", vec![put], Some(("weather", b"state"))).unwrap();
            store.persist().unwrap();
        }

        let store = FjallStore::open(folder.path()).unwrap();

        assert_eq!(store.tail("weather#1", b"JFK").unwrap(), [row]);
        assert_eq!(store.note("weather").unwrap().as_deref(), Some(&b"state"[..]));
    }

    #[test]
    fn the_rows_of_a_materialisation_move_into_a_sorted_file_when_they_are_synced() {
        let folder = tempfile::tempdir().unwrap();
        let rows = |count: i64| {
            (0..count)
                .map(|id| OnlineChange::Put {
                    entity: id.to_be_bytes().to_vec(),
                    row: TailRow { key: RowKey { event_time: id, known_at: id, row_id: id }, payload: vec![7; 8_000] },
                })
                .collect::<Vec<_>>()
        };
        let store = FjallStore::open(folder.path()).unwrap();
        store.write("few#1", rows(10), None).unwrap();
        store.persist().unwrap();
        assert_eq!(store.rows.disk_space(), 0, "a few rows are not worth a file");

        store.write("many#1", rows(200), None).unwrap();
        assert_eq!(store.rows.disk_space(), 0, "they wait for the sync");
        store.persist().unwrap();
        let deadline = Instant::now() + Duration::from_secs(120);
        while store.rows.disk_space() == 0 {
            assert!(Instant::now() < deadline, "no sorted file came");
            yield_now();
        }
        assert_eq!(store.tail("many#1", &199_i64.to_be_bytes()).unwrap().len(), 1);
    }

    #[test]
    fn many_rows_at_once_are_kept_without_the_journal_and_the_last_of_a_place_holds() {
        let folder = tempfile::tempdir().unwrap();
        let key = |id| RowKey { event_time: id, known_at: id, row_id: id };
        let put = |id: i64, payload: &[u8]| OnlineChange::Put {
            entity: id.to_be_bytes().to_vec(),
            row: TailRow { key: key(id), payload: payload.to_vec() },
        };
        let journal = folder.path().join("0.jnl");
        {
            let store = FjallStore::open(folder.path()).unwrap();
            store.write("v#1", vec![put(1, b"early"), put(2, b"early")], None).unwrap();
            let before = journal.metadata().unwrap().len();
            let mut rows: Vec<OnlineChange> = (0..10_000).rev().map(|id| put(id, &[7; 100])).collect();
            rows.push(put(3, b"last"));
            rows.push(OnlineChange::Delete { entity: 2_i64.to_be_bytes().to_vec(), key: key(2) });
            store.write("v#1", rows, None).unwrap();
            store.write("v#1", vec![put(4, b"later")], None).unwrap();
            store.persist().unwrap();
            assert!(journal.metadata().unwrap().len() < before + 10_000, "the rows are in the journal");
        }

        let store = FjallStore::open(folder.path()).unwrap();

        let of = |id: i64| store.tail("v#1", &id.to_be_bytes()).unwrap().pop().map(|row| row.payload);
        assert_eq!(
            [1, 2, 3, 4, 9_999].map(of),
            [Some(vec![7; 100]), None, Some(b"last".to_vec()), Some(b"later".to_vec()), Some(vec![7; 100])]
        );
    }
}
