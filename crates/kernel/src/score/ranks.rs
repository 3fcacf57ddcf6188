//! Where a value stands among the thresholds of its column. All questions of a section about a column are answered by that
//! one number: `x >= t` holds if and only if the rank of `x` is above the place of `t`.

//!
//! Thresholds that are spread evenly are found through a grid: the cell of a value says how many thresholds lie in the cells
//! before it, and the few in its own cell are compared. Whatever the rounding, a greater value never has an earlier cell, so
//! the rank is exact. Other columns are searched by halving.

use std::hint::select_unpredictable;

/// Values whose ranks are searched together, so that their loads do not wait for each other.
pub(super) const TOGETHER: usize = 8;
/// Cells of a grid for each threshold.
const CELLS_EACH: usize = 4;
/// The most thresholds in a cell of a grid; where there are more, halving takes no longer.
const IN_CELL_MAX: usize = 4;
/// Added to a number from 0 to 2^51 it leaves the number, rounded, in the lower bits.
const ROUNDING: f64 = 4_503_599_627_370_496.0;

/// The thresholds of some columns.
#[derive(Debug, Default)]
pub(super) struct Ranks {
    pub(super) columns: Vec<Column>,
    thresholds: Vec<f64>,
    /// For each cell of each grid, the thresholds in the cells before it.
    cells: Vec<u16>,
}

/// The thresholds of a column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    /// Of the encoded row.
    pub(super) number: u32,
    first: usize,
    /// A power of two, and more than there are thresholds; the rank of what is missing.
    pub(super) size: usize,
    grid: Option<Grid>,
}

#[derive(Debug, Clone, Copy)]
struct Grid {
    first: usize,
    /// A power of two.
    cells: usize,
    low: f64,
    scale: f64,
    /// The most thresholds in a cell.
    in_cell: usize,
}

impl Grid {
    /// The cell of a value; the first for what is missing.
    #[inline]
    fn cell(&self, x: f64) -> usize {
        let last = (self.cells - 1) as f64;
        let along = (x - self.low) * self.scale;
        let along = if along > 0.0 { along } else { 0.0 };
        let along = if along < last { along } else { last };
        (along + ROUNDING).to_bits() as usize & (self.cells - 1)
    }
}

impl Ranks {
    /// Adds a column with thresholds in any order.
    pub(super) fn push(&mut self, number: u32, mut thresholds: Vec<f64>) {
        thresholds.sort_unstable_by(f64::total_cmp);
        // 0 and -0 are one threshold
        thresholds.dedup();
        let size = (thresholds.len() + 1).next_power_of_two();
        let grid = self.grid(&thresholds, size * CELLS_EACH);
        self.columns.push(Column { number, first: self.thresholds.len(), size, grid });
        // nothing is at or above NaN; a grid compares with some beyond the last
        thresholds.resize(size + IN_CELL_MAX, f64::NAN);
        self.thresholds.extend(thresholds);
    }

    fn grid(&mut self, thresholds: &[f64], cells: usize) -> Option<Grid> {
        let (low, high) = (*thresholds.first()?, *thresholds.last()?);
        let scale = cells as f64 / (high - low);
        let mut grid = Grid { first: self.cells.len(), cells, low, scale, in_cell: 0 };
        let mut in_cell = vec![0u16; cells];
        thresholds.iter().for_each(|threshold| in_cell[grid.cell(*threshold)] += 1);
        grid.in_cell = usize::from(in_cell.iter().copied().max()?);
        if grid.in_cell > IN_CELL_MAX || thresholds.len() > usize::from(u16::MAX) {
            return None;
        }
        self.cells.extend(in_cell.iter().scan(0, |before, own| {
            *before += own;
            Some(*before - own)
        }));
        Some(grid)
    }

    fn thresholds(&self, column: Column) -> &[f64] {
        &self.thresholds[column.first..column.first + column.size + IN_CELL_MAX]
    }

    /// The place of a threshold that the column has; the last, which no rank is above, for one that nothing reaches.
    pub(super) fn place(&self, column: Column, threshold: f64) -> usize {
        let place = self.thresholds(column).partition_point(|known| *known < threshold);
        if threshold.is_nan() { column.size - 1 } else { place }
    }

    /// The rank of a value: how many thresholds it is at or above.
    pub(super) fn rank(&self, column: Column, x: f64) -> usize {
        let [rank] = self.ranks(column, [x]);
        rank
    }

    /// The ranks of several values.
    #[inline]
    pub(super) fn ranks<const COUNT: usize>(&self, column: Column, x: [f64; COUNT]) -> [usize; COUNT] {
        let thresholds = self.thresholds(column);
        let mut ranks = match &column.grid {
            Some(grid) => {
                let cells = &self.cells[grid.first..grid.first + grid.cells];
                // `map` of an array is a call that is not inlined
                let mut before = [0; COUNT];
                for (before, x) in before.iter_mut().zip(x) {
                    *before = usize::from(cells[grid.cell(x)]);
                }
                let mut ranks = before;
                for further in 0..grid.in_cell {
                    for ((rank, before), x) in ranks.iter_mut().zip(before).zip(x) {
                        *rank += usize::from(thresholds[before + further] <= x);
                    }
                }
                ranks
            }
            None => {
                let (mut at, mut step) = ([0; COUNT], column.size / 2);
                while step > 0 {
                    for (at, x) in at.iter_mut().zip(x) {
                        *at = select_unpredictable(thresholds[*at + step - 1] <= x, *at + step, *at);
                    }
                    step /= 2;
                }
                at
            }
        };
        for (rank, x) in ranks.iter_mut().zip(x) {
            *rank = if x.is_nan() { column.size } else { *rank };
        }
        ranks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_is_above_the_places_of_the_thresholds_that_a_value_reaches() {
        let even = vec![0.5, -1.0, 0.5, 0.0, -0.0, 1.5];
        let infinite = vec![0.5, -1.0, 0.0, f64::INFINITY, f64::MIN];
        let crowded: Vec<f64> = (0..40).map(|power| 10f64.powi(power)).collect();
        let all = [vec![], vec![0.25], even, infinite, crowded, vec![1.0, 1.0f64.next_up(), 1e300]];
        let mut ranks = Ranks::default();
        all.iter().for_each(|thresholds| ranks.push(7, thresholds.clone()));

        assert_eq!(ranks.columns.iter().map(|column| column.size).collect::<Vec<_>>(), [1, 2, 8, 8, 64, 4]);
        assert!(ranks.columns[2].grid.is_some() && ranks.columns[4].grid.is_none());
        let edges = [f64::NEG_INFINITY, f64::MIN, -1.5, -0.0, 0.25, 0.3, 0.5, 1.0, 7e11, f64::MAX, f64::INFINITY];
        for (column, thresholds) in ranks.columns.iter().zip(&all) {
            let around = thresholds.iter().flat_map(|t| [t.next_down(), *t, t.next_up()]);
            for x in around.chain(edges) {
                let rank = ranks.rank(*column, x);
                assert_eq!(ranks.ranks(*column, [x, f64::NAN]), [rank, column.size]);
                for threshold in thresholds {
                    assert_eq!(rank > ranks.place(*column, *threshold), x >= *threshold, "{x} {threshold}");
                }
                assert!(rank <= ranks.place(*column, f64::NAN), "no value is above what nothing reaches");
            }
        }
    }
}
