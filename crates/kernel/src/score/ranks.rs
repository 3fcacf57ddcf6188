//! Where a value stands among the thresholds of its column. All questions of a section about a column are answered by that
//! one number: `x >= t` holds if and only if the rank of `x` is above the place of `t`.
//!
//! Thresholds that are spread evenly are found through a grid: the cell of a value says how many thresholds lie in the cells
//! before it, and those in its own cell are compared. Whatever the rounding, a greater value never has an earlier cell, so
//! the rank is exact. Other columns are searched by halving, and so are all of them where a vector instruction looks up
//! thresholds for many values at once.

use super::lanes::LANES;

/// Cells of a grid for each threshold.
const CELLS_EACH: usize = 8;
/// Thresholds of a cell that every value is compared with; more are looked for when a value is above all of these.
const IN_CELL: usize = 2;
/// One in so many thresholds may lie in a cell behind those; where more do, halving takes no longer.
const CROWDED_SHARE: usize = 16;
/// Added to a number from 0 to 2^51 it leaves the number, rounded, in the lower bits.
const ROUNDING: f64 = 4_503_599_627_370_496.0;
/// The bit of a cell that has more than [`IN_CELL`] thresholds.
const CROWDED: u16 = 1 << 15;

/// The thresholds of some columns.
#[derive(Debug, Default)]
pub(super) struct Ranks {
    pub(super) columns: Vec<Column>,
    thresholds: Vec<f64>,
    /// For each cell of each grid, the thresholds in the cells before it, and [`CROWDED`].
    cells: Vec<u16>,
    /// For each column the thresholds in the order in which halving comes to them, from place 1 on: from place `n` it goes on
    /// to `2 * n` for values below, and else to the next. Lines of eight, the smallest columns take one.
    halves: Vec<[f64; 8]>,
}

/// The thresholds of a column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    /// Of the encoded row.
    pub(super) number: u32,
    first: usize,
    /// A power of two, and more than there are thresholds; the rank of what is missing.
    pub(super) size: usize,
    /// The thresholds: no value has a rank above.
    pub(super) count: usize,
    first_half: usize,
    grid: Option<Grid>,
}

#[derive(Debug, Clone, Copy)]
struct Grid {
    first: usize,
    /// A power of two.
    cells: usize,
    low: f64,
    scale: f64,
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
        let count = thresholds.len();
        let size = (count + 1).next_power_of_two();
        let grid = self.grid(&thresholds, size * CELLS_EACH);
        self.columns.push(Column {
            number,
            first: self.thresholds.len(),
            size,
            count,
            first_half: self.halves.len(),
            grid,
        });
        self.halves.extend(halves(&thresholds, size));
        // nothing is at or above NaN; a grid compares with some beyond the last
        thresholds.resize(size + IN_CELL, f64::NAN);
        self.thresholds.extend(thresholds);
    }

    fn grid(&mut self, thresholds: &[f64], cells: usize) -> Option<Grid> {
        let (low, high) = (*thresholds.first()?, *thresholds.last()?);
        let grid = Grid { first: self.cells.len(), cells, low, scale: cells as f64 / (high - low) };
        let mut in_cell = vec![0; cells];
        thresholds.iter().for_each(|threshold| in_cell[grid.cell(*threshold)] += 1);
        let behind: usize = in_cell.iter().map(|own: &usize| own.saturating_sub(IN_CELL)).sum();
        if behind * CROWDED_SHARE > thresholds.len() || thresholds.len() >= usize::from(CROWDED) {
            return None;
        }
        self.cells.extend(in_cell.iter().scan(0, |before, own| {
            let cell = u16::try_from(*before).ok()?;
            *before += own;
            Some(if *own > IN_CELL { cell | CROWDED } else { cell })
        }));
        Some(grid)
    }

    /// The place of a threshold that the column has; the last, which no rank is above, for one that nothing reaches.
    pub(super) fn place(&self, column: Column, threshold: f64) -> usize {
        let thresholds = &self.thresholds[column.first..column.first + column.size];
        let place = thresholds.partition_point(|known| *known < threshold);
        if threshold.is_nan() { column.size - 1 } else { place }
    }

    /// The rank of a value: how many thresholds it is at or above; [`Column::size`] for what is missing.
    pub(super) fn rank(&self, column: Column, x: f64) -> usize {
        if x.is_nan() {
            return column.size;
        }
        match &column.grid {
            Some(grid) => counted(self.thresholds(column), self.cells(grid)[grid.cell(x)], x),
            None => halved(self.halves(column), x),
        }
    }

    /// How many thresholds each of at most [`LANES`] values is at or above: none for what is missing.
    #[inline(always)]
    pub(super) fn reached(&self, column: Column, values: &[f64], reached: &mut [u16; LANES]) {
        let Some(grid) = &column.grid else {
            let halves = self.halves(column);
            for (reached, x) in reached.iter_mut().zip(values) {
                *reached = halved(halves, *x) as u16;
            }
            return;
        };
        // first all cells, which vector instructions find
        for (cell, x) in reached.iter_mut().zip(values) {
            *cell = grid.cell(*x) as u16;
        }
        let (thresholds, cells) = (self.thresholds(column), self.cells(grid));
        for (reached, x) in reached.iter_mut().zip(values) {
            *reached = counted(thresholds, cells[usize::from(*reached)], *x) as u16;
        }
    }

    /// The thresholds of a column and those beyond, which nothing reaches.
    #[inline]
    fn thresholds(&self, column: Column) -> &[f64] {
        &self.thresholds[column.first..column.first + column.size + IN_CELL]
    }

    #[inline]
    fn cells(&self, grid: &Grid) -> &[u16] {
        &self.cells[grid.first..grid.first + grid.cells]
    }

    /// The thresholds of a column as halving comes to them.
    #[inline]
    pub(super) fn halves(&self, column: Column) -> &[[f64; 8]] {
        &self.halves[column.first_half..column.first_half + lines(column.size)]
    }
}

/// How many thresholds a value is at or above, when this is its cell.
#[inline(always)]
fn counted(thresholds: &[f64], cell: u16, x: f64) -> usize {
    let mut rank = usize::from(cell & !CROWDED);
    for threshold in &thresholds[rank..rank + IN_CELL] {
        rank += usize::from(*threshold <= x);
    }
    if cell & CROWDED != 0 {
        while thresholds[rank] <= x {
            rank += 1;
        }
    }
    rank
}

/// How many lines a column's thresholds take, as halving comes to them.
fn lines(size: usize) -> usize {
    size.div_ceil(8)
}

/// Orders fewer than `size` ascending thresholds as halving comes to them.
fn halves(thresholds: &[f64], size: usize) -> Vec<[f64; 8]> {
    let mut halves = vec![[f64::NAN; 8]; lines(size)];
    let size = 8 * halves.len();
    for (place, half) in halves.as_flattened_mut().iter_mut().enumerate().skip(1) {
        let level = place.ilog2();
        let step = size >> level;
        let at = (place - (1 << level)) * step + step / 2 - 1;
        *half = thresholds.get(at).copied().unwrap_or(f64::NAN);
    }
    halves
}

/// How many thresholds a value is at or above.
#[inline]
fn halved(halves: &[[f64; 8]], x: f64) -> usize {
    let halves = halves.as_flattened();
    let mut place = 1;
    while place < halves.len() {
        place = 2 * place + usize::from(halves[place] <= x);
    }
    place - halves.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_is_above_the_places_of_the_thresholds_that_a_value_reaches() {
        let even = vec![0.5, -1.0, 0.5, 0.0, -0.0, 1.5];
        let infinite = vec![0.5, -1.0, 0.0, f64::INFINITY, f64::MIN];
        let crowded: Vec<f64> = (0..40).map(|power| 10f64.powi(power)).collect();
        let mut with_a_crowd: Vec<f64> = (0..80).map(f64::from).collect();
        with_a_crowd.extend([7.001, 7.002, 7.003, 7.004]);
        let all = [vec![], vec![0.25], even, infinite, crowded, vec![1.0, 1.0f64.next_up(), 1e300], with_a_crowd];
        let mut ranks = Ranks::default();
        all.iter().for_each(|thresholds| ranks.push(7, thresholds.clone()));

        assert_eq!(ranks.columns.iter().map(|column| column.size).collect::<Vec<_>>(), [1, 2, 8, 8, 64, 4, 128]);
        assert!(ranks.columns[2].grid.is_some() && ranks.columns[4].grid.is_none() && ranks.columns[6].grid.is_some());
        assert!(ranks.cells.iter().any(|cell| cell & CROWDED != 0));
        let edges = [f64::NEG_INFINITY, f64::MIN, -1.5, -0.0, 0.25, 0.3, 0.5, 1.0, 7e11, f64::MAX, f64::INFINITY];
        for (column, thresholds) in ranks.columns.iter().zip(&all) {
            let around = thresholds.iter().flat_map(|t| [t.next_down(), *t, t.next_up()]);
            for x in around.chain(edges) {
                let rank = ranks.rank(*column, x);
                let (mut values, mut reached) = ([f64::NAN; LANES], [7; LANES]);
                values[3] = x;
                ranks.reached(*column, &values, &mut reached);
                assert_eq!((usize::from(reached[3]), reached[4]), (rank, 0));
                assert_eq!((halved(ranks.halves(*column), x), ranks.rank(*column, f64::NAN)), (rank, column.size));
                for threshold in thresholds {
                    assert_eq!(rank > ranks.place(*column, *threshold), x >= *threshold, "{x} {threshold}");
                }
                assert!(rank <= ranks.place(*column, f64::NAN), "no value is above what nothing reaches");
            }
        }
    }
}
