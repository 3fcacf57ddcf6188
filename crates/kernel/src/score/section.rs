//! A run of small trees: the ranks of their columns, and from there one row by [`masks`](super::masks) or many by
//! [`slices`](super::slices).

use super::ensemble::Sum;
use super::lanes::{Aligned, LANES, Lanes, Numbers, Processor, Work};
use super::masks::Table;
use super::questions::{LEAVES_MAX, Questions};
use super::ranks::{Column, Ranks};
use super::slices::{Block, Slices};

#[derive(Debug)]
pub(super) struct Section {
    ranks: Ranks,
    tables: Tables,
    slices: Slices,
    trees: Vec<Tree>,
    processor: Processor,
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
    leaves: Aligned<[f64; LEAVES_MAX]>,
}

impl Section {
    /// Lays trees out; none when their questions are about too many columns.
    pub(super) fn compile(trees: &[Questions], processor: Processor) -> Option<Self> {
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
            let mut leaves = Aligned([0.0; LEAVES_MAX]);
            for (leaf, found) in leaves.0.iter_mut().zip(&tree.leaves) {
                *leaf = found.value;
            }
            Tree { output: tree.output, leaves }
        };
        Some(Self { ranks, tables, slices, trees: trees.iter().map(tree).collect(), processor })
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
                sum.add(&mut scores[tree.output], tree.leaves.0[leaf % LEAVES_MAX]);
            }
        };
        match &self.tables {
            Tables::Small(tables) => tables.iter().for_each(|table| table.leaves(&ranks).for_each(&mut add)),
            Tables::Large(tables) => tables.iter().for_each(|table| table.leaves(&ranks).for_each(&mut add)),
        }
    }

    /// Room for a block of rows.
    pub(super) fn scratch<const W: usize>(&self, sum: &Sum<'_>) -> Scratch<W> {
        Scratch { block: self.slices.block(), sums: vec![Aligned([[0.0; LANES]; W]); sum.outputs] }
    }

    /// Adds up the leaves of a block of rows, at most `64 * W`.
    pub(super) fn add_block<const W: usize>(
        &self,
        sum: &Sum<'_>,
        columns: usize,
        values: &[f64],
        scores: &mut [f64],
        scratch: &mut Scratch<W>,
    ) {
        let rows = scores.len() / sum.outputs;
        let Scratch { block, sums } = scratch;
        for (row, scores) in scores.chunks_exact(sum.outputs).enumerate() {
            for (sums, score) in sums.iter_mut().zip(scores) {
                sums.0.as_flattened_mut()[row] = *score;
            }
        }
        self.processor.run(AddBlock { section: self, sum, rows, columns, values, block, sums });
        for (row, scores) in scores.chunks_exact_mut(sum.outputs).enumerate() {
            for (sums, score) in sums.iter().zip(scores) {
                *score = sums.0.as_flattened()[row];
            }
        }
    }
}

/// What a block of rows is worked on with.
#[derive(Debug)]
pub(super) struct Scratch<const W: usize> {
    block: Block<W>,
    /// One for each output.
    sums: Vec<Aligned<Numbers<f64, W>>>,
}

struct AddBlock<'a, const W: usize> {
    section: &'a Section,
    sum: &'a Sum<'a>,
    rows: usize,
    columns: usize,
    values: &'a [f64],
    block: &'a mut Block<W>,
    sums: &'a mut [Aligned<Numbers<f64, W>>],
}

impl<const W: usize> Work for AddBlock<'_, W> {
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let Self { section, sum, rows, columns, values, block, sums } = self;
        section.slices.ask(lanes, &section.ranks, columns, values, block);
        for (number, tree) in section.trees.iter().enumerate() {
            let leaves = section.slices.find(lanes, number, block);
            let sums = &mut sums[tree.output].0;
            match (&section.tables, tree.leaves.0.first_chunk::<32>()) {
                (Tables::Small(_), Some(values)) => lanes.add(sum.precision, values, leaves, rows, sums),
                _ => lanes.add(sum.precision, &tree.leaves.0, leaves, rows, sums),
            }
        }
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
