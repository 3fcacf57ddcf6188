//! Observations in memory, each waiting for the latest row that it may know.
//!
//! A row that happened at `e` and became known at `k` may be known to every observation at or after `max(e, k)`. So it is
//! offered to one slot only, the first observation of its key not before that moment; when all rows have been offered, the
//! best row of an observation is the best of its own slot and of those before it in time. Rows need no order.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::interleave;
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use arrow::row::{Row, RowConverter};
use datafusion::common::Result;
use datafusion::common::hash_utils::RandomState;

use crate::fold::fresh;

/// Rows held for each slot at most, on average, before those that were beaten are let go.
const HELD_ROWS_A_SLOT: usize = 2;
/// The fewest rows held before any are let go.
const HELD_ROWS_MIN: usize = 1 << 17;

/// The observations, by key and moment.
pub(super) struct Slots {
    converter: Arc<RowConverter>,
    groups: Groups,
    /// The moment of each slot, ascending within a group.
    moments: Vec<i64>,
    /// The observation of each slot, counted over all batches.
    observations: Vec<u32>,
}

/// The slots of each key, from and up to. Short keys are kept in the table itself.
#[derive(Default)]
struct Groups {
    short: HashMap<u128, (u32, u32), RandomState>,
    long: HashMap<Box<[u8]>, (u32, u32), RandomState>,
}

/// A key of at most 15 bytes as a number, with its length in the last byte.
fn short(key: Row<'_>) -> Option<u128> {
    let bytes = key.data();
    if bytes.len() > 15 {
        return None;
    }
    let mut padded = [0; 16];
    padded[..bytes.len()].copy_from_slice(bytes);
    padded[15] = u8::try_from(bytes.len()).unwrap_or_default();
    Some(u128::from_le_bytes(padded))
}

impl Groups {
    #[inline]
    fn get(&self, key: Row<'_>) -> Option<(u32, u32)> {
        match short(key) {
            Some(key) => self.short.get(&key).copied(),
            None => self.long.get(key.data()).copied(),
        }
    }

    /// Numbers keys as they come; the number stands where later the slots' range will.
    fn number(&mut self, key: Row<'_>) -> u32 {
        let next = (u32::try_from(self.short.len() + self.long.len()).unwrap_or(u32::MAX), 0);
        match short(key) {
            Some(key) => self.short.entry(key).or_insert(next).0,
            None => self.long.entry(key.data().into()).or_insert(next).0,
        }
    }

    fn len(&self) -> usize {
        self.short.len() + self.long.len()
    }

    fn ranges_mut(&mut self) -> impl Iterator<Item = &mut (u32, u32)> {
        self.short.values_mut().chain(self.long.values_mut())
    }

    fn ranges(&self) -> impl Iterator<Item = (u32, u32)> {
        self.short.values().chain(self.long.values()).copied()
    }
}

impl Slots {
    /// Orders observations by key and moment. Those with a null in either get no slot.
    pub(super) fn of(
        converter: Arc<RowConverter>,
        batches: &[RecordBatch],
        keys: &[usize],
        at: Option<usize>,
    ) -> Result<Self> {
        let mut groups = Groups::default();
        let mut places: Vec<(u32, i64, u32)> = vec![];
        let mut observation = 0_u32;
        for batch in batches {
            let columns: Vec<ArrayRef> = keys.iter().map(|&key| batch.column(key).clone()).collect();
            let rows = converter.convert_columns(&columns)?;
            let moments = at.map(|at| batch.column(at).as_primitive::<TimestampMicrosecondType>());
            for row in 0..batch.num_rows() {
                let moment = match &moments {
                    None => Some(i64::MAX),
                    Some(moments) => moments.is_valid(row).then(|| moments.value(row)),
                };
                if let Some(moment) = moment.filter(|_| columns.iter().all(|key| key.is_valid(row))) {
                    places.push((groups.number(rows.row(row)), moment, observation));
                }
                observation += 1;
            }
        }
        places.sort_unstable();
        let mut starts = vec![0; groups.len() + 1];
        for (group, ..) in &places {
            starts[*group as usize + 1] += 1;
        }
        for group in 1..starts.len() {
            starts[group] += starts[group - 1];
        }
        for range in groups.ranges_mut() {
            let group = range.0 as usize;
            *range = (starts[group], starts[group + 1]);
        }
        let moments = places.iter().map(|place| place.1).collect();
        let observations = places.iter().map(|place| place.2).collect();
        Ok(Self { converter, groups, moments, observations })
    }
}

/// The place of a row among others of its key: event time, known at, row id.
type Rank = (i64, i64, i64);

/// The best row offered to a slot so far.
#[derive(Debug, Clone, Copy)]
struct Entry {
    rank: Rank,
    /// Where the row is held; `NONE` when no row was offered.
    batch: u32,
    row: u32,
}

const NONE: u32 = u32::MAX;

/// The best rows offered so far, of one part of the timeline.
pub(super) struct Best {
    entries: Vec<Entry>,
    held: Vec<Vec<ArrayRef>>,
    held_rows: usize,
    /// Rows of a batch with the slots of their keys; kept to be used again.
    candidates: Vec<(u32, u32, u32)>,
}

/// Where a batch of the timeline has its columns.
pub(super) struct Offered<'a> {
    pub(super) keys: &'a [usize],
    pub(super) event_time: Option<usize>,
    pub(super) known_at: Option<usize>,
    pub(super) row_id: Option<usize>,
    /// The columns that become features.
    pub(super) payload: &'a [usize],
}

impl Best {
    pub(super) fn new(slots: &Slots) -> Self {
        let none = Entry { rank: (i64::MIN, i64::MIN, i64::MIN), batch: NONE, row: 0 };
        Self { entries: vec![none; slots.moments.len()], held: vec![], held_rows: 0, candidates: vec![] }
    }

    /// Offers the rows of a batch. Three short loops rather than one: in each the processor waits for memory for many rows
    /// at a time, and nearly all of the time goes into waiting for memory.
    pub(super) fn offer(&mut self, slots: &Slots, batch: &RecordBatch, columns: &Offered<'_>) -> Result<()> {
        let keys: Vec<ArrayRef> = columns.keys.iter().map(|&key| batch.column(key).clone()).collect();
        let rows = slots.converter.convert_columns(&keys)?;
        let times = |column: Option<usize>| {
            column.map(|column| batch.column(column).as_primitive::<TimestampMicrosecondType>().values().as_ref())
        };
        let (event_times, known_ats): (Option<&[i64]>, Option<&[i64]>) =
            (times(columns.event_time), times(columns.known_at));
        let row_ids = columns.row_id.map(|id| batch.column(id).as_primitive::<Int64Type>().values().as_ref());
        let nulls = keys.iter().any(|key| key.null_count() > 0);

        self.candidates.clear();
        for (row, key) in rows.iter().enumerate() {
            if let Some((from, to)) = slots.groups.get(key)
                && !(nulls && keys.iter().any(|key| key.is_null(row)))
            {
                self.candidates.push((u32::try_from(row).unwrap_or(NONE), from, to));
            }
        }
        let time = |times: Option<&[i64]>, row: u32| times.map(|times| times[row as usize]);
        let knowable = |row: u32| {
            let event_time = time(event_times, row).unwrap_or(i64::MIN);
            (event_time, time(known_ats, row).unwrap_or(event_time))
        };
        for (row, from, to) in &mut self.candidates {
            let (event_time, known_at) = knowable(*row);
            let moment = event_time.max(known_at);
            let passed = slots.moments[*from as usize..*to as usize].partition_point(|&at| at < moment);
            *from += u32::try_from(passed).unwrap_or(NONE);
        }
        let number = u32::try_from(self.held.len()).unwrap_or(NONE);
        let mut taken = false;
        for &(row, slot, end) in &self.candidates {
            if slot == end {
                continue;
            }
            let (event_time, known_at) = knowable(row);
            let entry = &mut self.entries[slot as usize];
            let rank = (event_time, known_at, row_ids.map_or(0, |ids| ids[row as usize]));
            if rank >= entry.rank {
                *entry = Entry { rank, batch: number, row };
                taken = true;
            }
        }
        if taken {
            self.held.push(columns.payload.iter().map(|&column| batch.column(column).clone()).collect());
            self.held_rows += batch.num_rows();
        }
        Ok(())
    }

    /// Whether many of the rows held have been beaten.
    pub(super) fn is_wasteful(&self) -> bool {
        self.held_rows > (self.entries.len() * HELD_ROWS_A_SLOT).max(HELD_ROWS_MIN)
    }

    /// Lets go of the rows that have been beaten.
    pub(super) fn compact(&mut self) -> Result<()> {
        let wanted = self.entries.iter().filter(|entry| entry.batch != NONE);
        let places: Vec<(usize, usize)> = wanted.map(|entry| (entry.batch as usize, entry.row as usize)).collect();
        let Some(columns) = self.held.first().map(Vec::len) else { return Ok(()) };
        let kept = (0..columns)
            .map(|column| {
                let arrays: Vec<&dyn Array> = self.held.iter().map(|batch| batch[column].as_ref()).collect();
                Ok(interleave(&arrays, &places)?)
            })
            .collect::<Result<Vec<_>>>()?;
        for (row, entry) in self.entries.iter_mut().filter(|entry| entry.batch != NONE).enumerate() {
            (entry.batch, entry.row) = (0, u32::try_from(row).unwrap_or(NONE));
        }
        self.held_rows = places.len();
        self.held = vec![kept];
        Ok(())
    }

    /// About how much memory is held.
    pub(super) fn size_bytes(&self) -> usize {
        let held: usize = self.held.iter().flatten().map(|column| column.get_array_memory_size()).sum();
        self.entries.len() * size_of::<Entry>() + held
    }
}

/// The answer of each observation.
pub(super) struct Answers {
    /// For each observation its row: 0 for none, else 1 + the place of its batch, and its row.
    rows: Vec<(usize, usize)>,
    held: Vec<Vec<ArrayRef>>,
}

impl Answers {
    /// Puts the best rows of all parts together.
    pub(super) fn of(slots: &Slots, parts: Vec<Best>, observations: usize, ttl: Option<i64>) -> Self {
        let mut rows = vec![(0, 0); observations];
        let mut offsets = vec![];
        let mut batches = 1;
        for part in &parts {
            offsets.push(batches);
            batches += part.held.len();
        }
        for (from, to) in slots.groups.ranges() {
            let mut best: Option<(Rank, (usize, usize))> = None;
            for slot in from as usize..to as usize {
                for (part, offset) in parts.iter().zip(&offsets) {
                    let entry = part.entries[slot];
                    if entry.batch != NONE && best.is_none_or(|(rank, _)| entry.rank >= rank) {
                        best = Some((entry.rank, (offset + entry.batch as usize, entry.row as usize)));
                    }
                }
                if let Some((rank, row)) = best
                    && fresh(rank.0, slots.moments[slot], ttl)
                {
                    rows[slots.observations[slot] as usize] = row;
                }
            }
        }
        Self { rows, held: parts.into_iter().flat_map(|part| part.held).collect() }
    }

    /// The feature columns of some observations.
    pub(super) fn columns(
        &self,
        observations: std::ops::Range<usize>,
        types: &[arrow::datatypes::DataType],
    ) -> Result<Vec<ArrayRef>> {
        types
            .iter()
            .enumerate()
            .map(|(column, data_type)| {
                let null = arrow::array::new_null_array(data_type, 1);
                let mut arrays: Vec<&dyn Array> = vec![null.as_ref()];
                arrays.extend(self.held.iter().map(|batch| batch[column].as_ref()));
                Ok(interleave(&arrays, &self.rows[observations.clone()])?)
            })
            .collect()
    }
}
