//! A run of small trees: the ranks of their columns, and from there one row by [`masks`](super::masks) or many by
//! [`slices`](super::slices).

use super::ensemble::Sum;
use super::masks::Table;
use super::questions::{LEAVES_MAX, Questions};
use super::ranks::{Column, Ranks};
use super::slices::{Block, ROWS, Slices};

/// Rows whose leaves are added up together.
const TOGETHER: usize = 8;

#[derive(Debug)]
pub(super) struct Section {
    ranks: Ranks,
    tables: Tables,
    slices: Slices,
    trees: Vec<Tree>,
}

/// Trees of at most 32 leaves have small masks, so that more of them fit into a table.
#[derive(Debug)]
enum Tables {
    Small(Vec<Table<u32, 32>>),
    Large(Vec<Table<u64, 16>>),
}

#[derive(Debug)]
struct Tree {
    output: usize,
    leaves: [f64; LEAVES_MAX],
}

impl Section {
    /// Lays trees out; none when their questions are about too many columns.
    pub(super) fn compile(trees: &[Questions]) -> Option<Self> {
        let ranks = ranks(trees);
        let are_small = trees.iter().all(|tree| tree.leaves.len() <= 32);
        let tables = if are_small {
            let tables = trees.chunks(32).map(|trees| Table::compile(trees, &ranks));
            Tables::Small(tables.collect::<Option<_>>()?)
        } else {
            let tables = trees.chunks(16).map(|trees| Table::compile(trees, &ranks));
            Tables::Large(tables.collect::<Option<_>>()?)
        };
        let slices = Slices::compile(trees, &ranks);
        let tree = |tree: &Questions| {
            let mut leaves = [0.0; LEAVES_MAX];
            for (leaf, found) in leaves.iter_mut().zip(&tree.leaves) {
                *leaf = found.value;
            }
            Tree { output: tree.output, leaves }
        };
        Some(Self { ranks, tables, slices, trees: trees.iter().map(tree).collect() })
    }

    pub(super) fn trees(&self) -> usize {
        self.trees.len()
    }

    /// Adds up the leaves of one row.
    pub(super) fn add_row(&self, sum: &Sum<'_>, row: &[f64], scores: &mut [f64]) {
        let rank = |column: &Column| {
            let x = row.get(column.number as usize).copied().unwrap_or(0.0);
            self.ranks.rank(*column, x)
        };
        let ranks: Vec<usize> = self.ranks.columns.iter().map(rank).collect();
        let mut trees = self.trees.iter();
        // each table brings as many leaves as it has trees
        let mut add = |leaf: usize| {
            if let Some(tree) = trees.next() {
                sum.add(&mut scores[tree.output], tree.leaves[leaf % LEAVES_MAX]);
            }
        };
        match &self.tables {
            Tables::Small(tables) => tables.iter().for_each(|table| table.leaves(&ranks).for_each(&mut add)),
            Tables::Large(tables) => tables.iter().for_each(|table| table.leaves(&ranks).for_each(&mut add)),
        }
    }

    /// Room for a block of rows.
    pub(super) fn block(&self) -> Block {
        self.slices.block()
    }

    /// Adds up the leaves of a block of rows, at most [`ROWS`].
    pub(super) fn add_block(
        &self,
        sum: &Sum<'_>,
        columns: usize,
        values: &[f64],
        scores: &mut [f64],
        block: &mut Block,
    ) {
        self.slices.find(&self.ranks, columns, values, block);
        if sum.outputs == 1 && scores.len() == ROWS {
            for (scores, first) in scores.chunks_exact_mut(TOGETHER).zip((0..).step_by(TOGETHER)) {
                self.add_together(sum, block, first, scores);
            }
            return;
        }
        for (tree, leaves) in self.trees.iter().zip(&block.leaves) {
            for (scores, leaf) in scores.chunks_exact_mut(sum.outputs).zip(leaves) {
                sum.add(&mut scores[tree.output], tree.leaves[usize::from(*leaf) % LEAVES_MAX]);
            }
        }
    }

    /// Adds up the leaves of a few rows with one score each, which stay in registers meanwhile.
    fn add_together(&self, sum: &Sum<'_>, block: &Block, first: usize, scores: &mut [f64]) {
        let mut sums = [0.0; TOGETHER];
        sums.copy_from_slice(scores);
        for (tree, leaves) in self.trees.iter().zip(&block.leaves) {
            for (score, leaf) in sums.iter_mut().zip(&leaves[first..first + TOGETHER]) {
                sum.add(score, tree.leaves[usize::from(*leaf) % LEAVES_MAX]);
            }
        }
        scores.copy_from_slice(&sums);
    }
}

/// The thresholds of all columns that questions are about, in the order of the columns.
fn ranks(trees: &[Questions]) -> Ranks {
    let questions = || trees.iter().flat_map(|tree| &tree.questions);
    let mut columns: Vec<u32> = questions().map(|question| question.column).collect();
    columns.sort_unstable();
    columns.dedup();
    let mut thresholds: Vec<Vec<f64>> = vec![Vec::new(); columns.len()];
    for question in questions().filter(|question| !question.threshold.is_nan()) {
        if let Ok(at) = columns.binary_search(&question.column) {
            thresholds[at].push(question.threshold);
        }
    }
    let mut ranks = Ranks::default();
    for (column, thresholds) in columns.into_iter().zip(thresholds) {
        ranks.push(column, thresholds);
    }
    ranks
}
