//! Encoded rows in columns, as trainers take them.

use mainspring_kernel::{Matrix, Scorer};

use crate::Result;

/// Rows that are turned at once from columns into what the kernel scores: small enough for the cache.
const BLOCK_ROWS: usize = 1_024;

/// Encoded rows, column by column, with their labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Frame {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// Shape `[columns, rows]`; NaN where nothing is known.
    pub(crate) values: Vec<f64>,
    /// Binary: 0 or 1. Multiclass: the class's number, -1 for one no training row has. Regression: the number.
    pub(crate) labels: Vec<f64>,
}

impl Frame {
    pub(crate) fn column(&self, column: usize) -> &[f64] {
        self.values.get(column * self.rows..(column + 1) * self.rows).unwrap_or_default()
    }

    pub(crate) fn column_mut(&mut self, column: usize) -> &mut [f64] {
        self.values.get_mut(column * self.rows..(column + 1) * self.rows).unwrap_or_default()
    }

    /// Scores every row with the kernel; the result has shape `[rows, outputs]`.
    pub(crate) fn predict(&self, scorer: &Scorer) -> Result<Vec<f64>> {
        let outputs = scorer.outputs();
        let mut predictions = vec![0.0; self.rows * outputs];
        let mut block = vec![0.0; BLOCK_ROWS * self.columns];
        let mut first = 0;
        for out in predictions.chunks_mut(BLOCK_ROWS * outputs) {
            let rows = out.len() / outputs;
            for column in 0..self.columns {
                let cells = &self.column(column)[first..first + rows];
                for (row, cell) in cells.iter().enumerate() {
                    block[row * self.columns + column] = *cell;
                }
            }
            scorer.score_batch(rows, &block[..rows * self.columns], out)?;
            first += rows;
        }
        Ok(predictions)
    }
}

/// Grows column by column while batches come in, in whatever order; [`parts`](Self::parts) puts them in order.
#[derive(Debug)]
pub(crate) struct Gatherer {
    columns: Vec<Vec<f64>>,
    keys: Vec<RowKey>,
    labels: Vec<f64>,
}

/// What decides a row's place: its part, its moment, and what names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RowKey {
    pub(crate) part: u8,
    pub(crate) at: i64,
    pub(crate) row: i64,
}

impl Gatherer {
    /// Room for so many rows: growing a column would need twice its size.
    pub(crate) fn new(columns: usize, rows: usize) -> Self {
        Self {
            columns: (0..columns).map(|_| Vec::with_capacity(rows)).collect(),
            keys: Vec::with_capacity(rows),
            labels: Vec::with_capacity(rows),
        }
    }

    /// Takes the rows of an encoded batch. An infinite number becomes the greatest finite one that every threshold still
    /// parts from its neighbours: the trees are the same, and the trainers' sums stay finite.
    pub(crate) fn push(&mut self, matrix: &Matrix, rows: impl IntoIterator<Item = (RowKey, f64)>) {
        for (key, label) in rows {
            self.keys.push(key);
            self.labels.push(label);
        }
        for (number, column) in self.columns.iter_mut().enumerate() {
            let cells = matrix.values.iter().skip(number).step_by(matrix.columns);
            column.extend(cells.map(|cell| if cell.is_infinite() { cell.signum() * 1e300 } else { *cell }));
        }
    }

    /// The rows of each part `0..parts`, and their places among what was pushed. The order is that of part, moment, name,
    /// label and values: rows that agree in all of these are the same, so the order in which they came has no say.
    pub(crate) fn parts(self, parts: u8) -> (Vec<Frame>, Vec<Vec<u32>>) {
        let Self { columns, keys, labels } = self;
        let mut order: Vec<u32> = (0u32..).take(keys.len()).collect();
        order.sort_unstable_by(|a, b| {
            let (a, b) = (*a as usize, *b as usize);
            let by_values = || {
                let mut columns = columns.iter().map(|column| column[a].total_cmp(&column[b]));
                columns.find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
            };
            keys[a].cmp(&keys[b]).then_with(|| labels[a].total_cmp(&labels[b])).then_with(by_values)
        });
        let places: Vec<Vec<u32>> = (0..parts)
            .map(|part| {
                let first = order.partition_point(|row| keys[*row as usize].part < part);
                let end = order.partition_point(|row| keys[*row as usize].part <= part);
                order[first..end].to_vec()
            })
            .collect();
        let mut frames: Vec<Frame> = places
            .iter()
            .map(|places| Frame {
                rows: places.len(),
                columns: columns.len(),
                values: Vec::with_capacity(places.len() * columns.len()),
                labels: places.iter().map(|row| labels[*row as usize]).collect(),
            })
            .collect();
        // Each column is freed as soon as it was copied, so the peak is little more than one copy of the data.
        for column in columns {
            for (frame, places) in frames.iter_mut().zip(&places) {
                frame.values.extend(places.iter().map(|row| column[*row as usize]));
            }
        }
        (frames, places)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn gather(rows: &[(u8, i64, f64)]) -> Vec<Frame> {
        let mut gatherer = Gatherer::new(2, 0);
        for (part, at, value) in rows {
            let matrix = Matrix { rows: 1, columns: 2, values: vec![*value, f64::NAN] };
            gatherer.push(&matrix, [(RowKey { part: *part, at: *at, row: 7 }, value * 2.0)]);
        }
        gatherer.parts(2).0
    }

    fn bits(frames: &[Frame]) -> Vec<(usize, Vec<u64>, Vec<u64>)> {
        let bits = |values: &[f64]| values.iter().map(|x| x.to_bits()).collect();
        frames.iter().map(|frame| (frame.rows, bits(&frame.values), bits(&frame.labels))).collect()
    }

    proptest! {
        #[test]
        fn the_order_in_which_rows_come_does_not_matter(
            (rows, shuffled) in proptest::collection::vec((0u8..2, 0i64..4, (0i32..4).prop_map(f64::from)), 0..40)
                .prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
        ) {
            prop_assert_eq!(bits(&gather(&rows)), bits(&gather(&shuffled)));
        }
    }

    #[test]
    fn rows_are_ordered_by_time_within_their_part() {
        let frames = gather(&[(1, 5, 50.0), (0, 9, 90.0), (0, 2, 20.0), (1, 1, 10.0)]);

        assert_eq!(frames[0].column(0), [20.0, 90.0]);
        assert_eq!(frames[1].column(0), [10.0, 50.0]);
        assert_eq!(frames[1].labels, [20.0, 100.0]);
        assert!(frames[0].column(1).iter().all(|cell| cell.is_nan()));
    }

    #[test]
    fn infinities_become_finite() {
        let frames = gather(&[(0, 0, f64::INFINITY), (0, 0, f64::NEG_INFINITY)]);

        assert_eq!(frames[0].column(0), [-1e300, 1e300]);
    }
}
