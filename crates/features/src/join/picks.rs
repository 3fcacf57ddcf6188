//! Rows picked out of batches, to be gathered into one batch later.

use arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow::compute::interleave;
use datafusion::common::Result;

/// A row of a batch held by [`Picks`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pick {
    sequence: usize,
    row: usize,
}

/// Batches some of whose rows are still wanted.
#[derive(Default)]
pub(super) struct Picks {
    /// Each with its place in the stream, ascending.
    held: Vec<(usize, Vec<ArrayRef>)>,
}

impl Picks {
    /// Names a row of a batch of the stream; the batch is held from now on.
    pub(super) fn pick(&mut self, sequence: usize, batch: &RecordBatch, columns: &[usize], row: usize) -> Pick {
        if self.held.last().is_none_or(|(last, _)| *last != sequence) {
            self.held.push((sequence, columns.iter().map(|&column| batch.column(column).clone()).collect()));
        }
        Pick { sequence, row }
    }

    /// How many batches are held.
    pub(super) fn batches(&self) -> usize {
        self.held.len()
    }

    /// The picked rows' columns; `None` becomes nulls. `types` are the columns' types.
    pub(super) fn gather(&self, picks: &[Option<Pick>], types: &[arrow::datatypes::DataType]) -> Result<Vec<ArrayRef>> {
        // Place 0 is a null; the batches follow.
        let places: Vec<(usize, usize)> = picks
            .iter()
            .map(|pick| match pick {
                None => (0, 0),
                Some(pick) => match self.held.binary_search_by_key(&pick.sequence, |(sequence, _)| *sequence) {
                    Ok(place) => (place + 1, pick.row),
                    Err(_) => (0, 0),
                },
            })
            .collect();
        types
            .iter()
            .enumerate()
            .map(|(column, data_type)| {
                let null = new_null_array(data_type, 1);
                let mut arrays: Vec<&dyn Array> = vec![&null];
                arrays.extend(self.held.iter().map(|(_, columns)| columns[column].as_ref()));
                Ok(interleave(&arrays, &places)?)
            })
            .collect()
    }

    /// Lets go of all batches but those of the rows still wanted.
    pub(super) fn retain(&mut self, wanted: impl Iterator<Item = Pick>) {
        let wanted: std::collections::BTreeSet<usize> = wanted.map(|pick| pick.sequence).collect();
        self.held.retain(|(sequence, _)| wanted.contains(sequence));
    }
}
