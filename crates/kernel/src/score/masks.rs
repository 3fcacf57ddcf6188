//! One row through small trees without walking them.
//!
//! A question that sends a row to the right takes the leaves to its left away; when all questions of a tree have done so,
//! the first leaf that is left is the row's (QuickScorer, Lucchese et al., SIGIR 2015). Which leaves the questions about one
//! column take away depends on the rank of its value only, so that is tabulated: a row costs one pass of `and` for each
//! column, over the masks of all trees of a table.
//!
//! Arithmetic for 32 trees of 31 leaves over 28 columns: 960 questions make some 1,000 rows of masks of 128 bytes, which a
//! second-level cache holds; a row of inputs reads 28 of them, two cache lines each, where walking would read some 250 lines
//! that wait for each other.

use std::collections::BTreeSet;
use std::ops::{BitAnd, Range};

use super::questions::Questions;
use super::ranks::Ranks;

/// The most columns that the questions of a table may be about: reading the masks of more takes as long as walking.
pub(super) const COLUMNS_MAX: usize = 128;

/// The leaves of a tree, a bit each.
pub(super) trait Mask: Copy + Eq + BitAnd<Output = Self> {
    const ALL: Self;
    /// All but these.
    fn all_but(leaves: &Range<u8>) -> Self;
    /// The first that is left.
    fn first(self) -> usize;
}

macro_rules! mask {
    ($kind:ty) => {
        impl Mask for $kind {
            const ALL: Self = Self::MAX;

            fn all_but(leaves: &Range<u8>) -> Self {
                leaves.clone().fold(Self::MAX, |mask, leaf| mask & !(1 << leaf))
            }

            fn first(self) -> usize {
                self.trailing_zeros() as usize
            }
        }
    };
}

mask!(u32);
mask!(u64);

/// The masks of the trees of a table: two cache lines.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Row<M, const TREES: usize>([M; TREES]);

/// At most `TREES` trees.
#[derive(Debug)]
pub(super) struct Table<M, const TREES: usize> {
    columns: Vec<Column>,
    /// For each column and rank, which row holds its masks.
    rows_of: Vec<u16>,
    rows: Vec<Row<M, TREES>>,
    trees: usize,
}

#[derive(Debug, Clone, Copy)]
struct Column {
    /// Among the columns of the ranks.
    at: usize,
    /// Its first place in `rows_of`.
    first: usize,
}

impl<M: Mask, const TREES: usize> Table<M, TREES> {
    /// Tabulates trees; none when their questions are about too many columns.
    pub(super) fn compile(trees: &[Questions], ranks: &Ranks) -> Option<Self> {
        let mut table = Self { columns: vec![], rows_of: vec![], rows: vec![], trees: trees.len() };
        let asked = trees.iter().flat_map(|tree| &tree.questions).map(|question| question.column);
        let asked: BTreeSet<u32> = asked.collect();
        if asked.len() > COLUMNS_MAX {
            return None;
        }
        for (at, column) in ranks.columns.iter().enumerate().filter(|(_, column)| asked.contains(&column.number)) {
            let mut reached: Vec<Vec<(usize, M)>> = vec![Vec::new(); column.size];
            let mut missing = [M::ALL; TREES];
            for (tree, questions) in trees.iter().enumerate() {
                for question in questions.questions.iter().filter(|question| question.column == column.number) {
                    let mask = M::all_but(&question.left_leaves);
                    reached[ranks.place(*column, question.threshold)].push((tree, mask));
                    if question.missing_right {
                        missing[tree] = missing[tree] & mask;
                    }
                }
            }
            table.columns.push(Column { at, first: table.rows_of.len() });
            table.tabulate(&reached, missing);
        }
        u16::try_from(table.rows.len()).is_ok().then_some(table)
    }

    /// Appends what is left at each rank of a column, and when the value is missing.
    fn tabulate(&mut self, reached: &[Vec<(usize, M)>], missing: [M; TREES]) {
        let mut left = [M::ALL; TREES];
        self.push(left);
        // at rank 1 the threshold at place 0 has been reached; nothing reaches the last place
        for questions in &reached[..reached.len() - 1] {
            for (tree, mask) in questions {
                left[*tree] = left[*tree] & *mask;
            }
            if questions.is_empty() {
                self.rows_of.extend(self.rows_of.last().copied());
            } else {
                self.push(left);
            }
        }
        self.push(missing);
    }

    fn push(&mut self, masks: [M; TREES]) {
        // there are fewer than the questions of a table and two for each column
        self.rows_of.push(u16::try_from(self.rows.len()).unwrap_or(u16::MAX));
        self.rows.push(Row(masks));
    }

    /// The leaf of each tree, for a row whose values have these ranks.
    pub(super) fn leaves(&self, ranks: &[usize]) -> impl Iterator<Item = usize> + use<M, TREES> {
        let mut left = [M::ALL; TREES];
        self.intersect(ranks, &mut left);
        left.into_iter().take(self.trees).map(M::first)
    }

    /// Kept apart from what reads the masks one by one, so that it is compiled to vector instructions.
    #[inline(never)]
    fn intersect(&self, ranks: &[usize], into: &mut [M; TREES]) {
        let mut left = [M::ALL; TREES];
        for column in &self.columns {
            let row = &self.rows[usize::from(self.rows_of[column.first + ranks[column.at]])];
            for (left, mask) in left.iter_mut().zip(row.0) {
                *left = *left & mask;
            }
        }
        *into = left;
    }
}
