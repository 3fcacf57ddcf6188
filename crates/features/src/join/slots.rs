//! Observations in memory, each waiting for the latest row that it may know.
//!
//! A row that happened at `e` and became known at `k` may be known to every observation at or after `max(e, k)`. So it is
//! offered to one slot only, the first observation of its key not before that moment; when all rows have been offered, the
//! best row of an observation is the best of its own slot and of those before it in time. Rows need no order.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::interleave;
use arrow::datatypes::TimestampMicrosecondType;
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
    /// Where each group's slots start, and the end.
    starts: Vec<u32>,
    /// The moment of each slot, ascending within a group.
    moments: Vec<i64>,
    /// The observation of each slot, counted over all batches.
    observations: Vec<u32>,
}

/// Numbers of keys. Short ones are kept in the table itself.
#[derive(Default)]
struct Groups {
    short: HashMap<u128, u32, RandomState>,
    long: HashMap<Box<[u8]>, u32, RandomState>,
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
    fn get(&self, key: Row<'_>) -> Option<u32> {
        match short(key) {
            Some(key) => self.short.get(&key).copied(),
            None => self.long.get(key.data()).copied(),
        }
    }

    fn number(&mut self, key: Row<'_>) -> u32 {
        let next = u32::try_from(self.short.len() + self.long.len()).unwrap_or(u32::MAX);
        match short(key) {
            Some(key) => *self.short.entry(key).or_insert(next),
            None => *self.long.entry(key.data().into()).or_insert(next),
        }
    }

    fn len(&self) -> usize {
        self.short.len() + self.long.len()
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
        let moments = places.iter().map(|place| place.1).collect();
        let observations = places.iter().map(|place| place.2).collect();
        Ok(Self { converter, groups, starts, moments, observations })
    }

    /// The first slot of a group at or after a moment.
    #[inline]
    fn first(&self, group: u32, moment: i64) -> Option<usize> {
        let (start, end) = (self.starts[group as usize] as usize, self.starts[group as usize + 1] as usize);
        let place = start + self.moments[start..end].partition_point(|&at| at < moment);
        (place < end).then_some(place)
    }
}

/// The place of a row among others of its key: event time, known at, row id.
type Rank = (i64, i64, i64);

/// The best rows offered so far, of one part of the timeline.
pub(super) struct Best {
    ranks: Vec<Rank>,
    /// The held row of each slot: batch and row. `NONE` where no row was offered.
    rows: Vec<(u32, u32)>,
    held: Vec<Vec<ArrayRef>>,
    held_rows: usize,
}

const NONE: (u32, u32) = (u32::MAX, 0);

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
        let slots = slots.moments.len();
        Self { ranks: vec![(i64::MIN, i64::MIN, i64::MIN); slots], rows: vec![NONE; slots], held: vec![], held_rows: 0 }
    }

    /// Offers the rows of a batch.
    pub(super) fn offer(&mut self, slots: &Slots, batch: &RecordBatch, columns: &Offered<'_>) -> Result<()> {
        let keys: Vec<ArrayRef> = columns.keys.iter().map(|&key| batch.column(key).clone()).collect();
        let rows = slots.converter.convert_columns(&keys)?;
        let times = |column: Option<usize>| {
            column.map(|column| batch.column(column).as_primitive::<TimestampMicrosecondType>().values())
        };
        let (event_times, known_ats) = (times(columns.event_time), times(columns.known_at));
        let row_ids = columns.row_id.map(|id| batch.column(id).as_primitive::<arrow::datatypes::Int64Type>().values());
        let nulls = keys.iter().any(|key| key.null_count() > 0);
        let number = u32::try_from(self.held.len()).unwrap_or(u32::MAX);
        let mut taken = false;
        for row in 0..batch.num_rows() {
            if nulls && keys.iter().any(|key| key.is_null(row)) {
                continue;
            }
            let Some(group) = slots.groups.get(rows.row(row)) else { continue };
            let event_time = event_times.map_or(i64::MIN, |times| times[row]);
            let known_at = known_ats.map_or(event_time, |times| times[row]);
            let Some(slot) = slots.first(group, event_time.max(known_at)) else { continue };
            let rank = (event_time, known_at, row_ids.map_or(0, |ids| ids[row]));
            if self.rows[slot] == NONE || rank >= self.ranks[slot] {
                self.ranks[slot] = rank;
                self.rows[slot] = (number, u32::try_from(row).unwrap_or(u32::MAX));
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
        self.held_rows > (self.ranks.len() * HELD_ROWS_A_SLOT).max(HELD_ROWS_MIN)
    }

    /// Lets go of the rows that have been beaten.
    pub(super) fn compact(&mut self) -> Result<()> {
        let wanted: Vec<usize> = (0..self.rows.len()).filter(|&slot| self.rows[slot] != NONE).collect();
        let places: Vec<(usize, usize)> =
            wanted.iter().map(|&slot| (self.rows[slot].0 as usize, self.rows[slot].1 as usize)).collect();
        let Some(columns) = self.held.first().map(Vec::len) else { return Ok(()) };
        let kept = (0..columns)
            .map(|column| {
                let arrays: Vec<&dyn Array> = self.held.iter().map(|batch| batch[column].as_ref()).collect();
                Ok(interleave(&arrays, &places)?)
            })
            .collect::<Result<Vec<_>>>()?;
        for (row, slot) in wanted.into_iter().enumerate() {
            self.rows[slot] = (0, u32::try_from(row).unwrap_or(u32::MAX));
        }
        self.held_rows = places.len();
        self.held = vec![kept];
        Ok(())
    }

    /// About how much memory is held.
    pub(super) fn size_bytes(&self) -> usize {
        let held: usize = self.held.iter().flatten().map(|column| column.get_array_memory_size()).sum();
        self.ranks.len() * 32 + held
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
        for group in slots.starts.windows(2) {
            let mut best: Option<(Rank, (usize, usize))> = None;
            for slot in group[0] as usize..group[1] as usize {
                for (part, offset) in parts.iter().zip(&offsets) {
                    let row = part.rows[slot];
                    if row != NONE && best.is_none_or(|(rank, _)| part.ranks[slot] >= rank) {
                        best = Some((part.ranks[slot], (offset + row.0 as usize, row.1 as usize)));
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
