//! Many rows through small trees, 64 at a time, without walking and without vector instructions.
//!
//! The answers of 64 rows to one question are one word. A block of rows is first turned into such words, one for each
//! threshold of each column: each row sets a bit at its rank, and the words above a place are then those of the rows that
//! reach it. A tree is then 64 rows at its root, and each question parts those that came to it in three instructions; what
//! arrives at the leaves is turned into the numbers of the rows' leaves, and these are added up row by row.
//!
//! Arithmetic for 100 trees of 31 leaves over 28 columns: a row takes 28 searches of 7 steps, and each tree some 2
//! instructions a row for its questions, 2 for the numbers and 2 for the sum, where a walk takes some 60.

use super::questions::{LEAVES_MAX, Questions};
use super::ranks::{Ranks, TOGETHER};

/// Rows of a block: bits of a word.
pub(super) const ROWS: usize = 64;
/// Places of a tree: its leaves and one fewer questions.
const PLACES: usize = 2 * LEAVES_MAX;
/// Words that hold the numbers of a block's leaves, a byte for each row.
const NUMBER_WORDS: usize = ROWS / 8;

/// For each byte, its bits spread over the bytes of a word.
const SPREAD: [u64; 256] = {
    let mut spread = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut bit = 0;
        while bit < 8 {
            spread[byte] |= ((byte as u64 >> bit) & 1) << (8 * bit);
            bit += 1;
        }
        byte += 1;
    }
    spread
};

/// Trees, as blocks of rows go through them.
#[derive(Debug)]
pub(super) struct Slices {
    trees: Vec<Tree>,
    /// Words of a block: for each column those of its thresholds, then the same with the rows where it is missing.
    words: usize,
}

#[derive(Debug)]
struct Tree {
    questions: Vec<Question>,
    /// The place of each leaf, from left to right.
    places: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Question {
    word: u32,
    place: u8,
    left: u8,
}

/// The rows' leaves of a block, tree by tree.
#[derive(Debug)]
pub(super) struct Block {
    words: Vec<u64>,
    numbers: Vec<[u64; NUMBER_WORDS]>,
}

impl Slices {
    /// Lays trees out.
    pub(super) fn compile(trees: &[Questions], ranks: &Ranks) -> Self {
        let mut first = Vec::with_capacity(ranks.columns.len());
        let mut words = 0;
        for column in &ranks.columns {
            first.push(words);
            words += 2 * column.size;
        }
        let tree = |tree: &Questions| {
            let questions = tree.questions.iter().filter_map(|question| {
                let at = ranks.columns.binary_search_by_key(&question.column, |column| column.number).ok()?;
                let column = ranks.columns[at];
                let bank = if question.missing_right { column.size } else { 0 };
                let word = first[at] + bank + ranks.place(column, question.threshold);
                Some(Question { word: u32::try_from(word).ok()?, place: question.place, left: question.left })
            });
            let places = tree.leaves.iter().map(|leaf| leaf.place);
            Tree { questions: questions.collect(), places: places.collect() }
        };
        Self { trees: trees.iter().map(tree).collect(), words }
    }

    /// Room for a block.
    pub(super) fn block(&self) -> Block {
        Block { words: vec![0; self.words], numbers: vec![[0; NUMBER_WORDS]; self.trees.len()] }
    }

    /// Finds the leaves of a block's rows, at most [`ROWS`] of them. `values` has shape `[rows, columns]`.
    pub(super) fn find(&self, ranks: &Ranks, columns: usize, values: &[f64], block: &mut Block) {
        ask(ranks, columns, values, &mut block.words);
        for (tree, numbers) in self.trees.iter().zip(&mut block.numbers) {
            *numbers = match tree.places.len() {
                0..=32 => numbered::<32>(tree.part(&block.words)),
                _ => numbered::<LEAVES_MAX>(tree.part(&block.words)),
            };
        }
    }
}

impl Block {
    /// For each tree, the numbers of the leaves of eight rows, a byte each; `eighth` of the block's.
    pub(super) fn eighth(&self, eighth: usize) -> impl Iterator<Item = [u8; 8]> + '_ {
        self.numbers.iter().map(move |numbers| numbers[eighth].to_le_bytes())
    }
}

/// Answers all questions for all rows.
fn ask(ranks: &Ranks, columns: usize, values: &[f64], words: &mut [u64]) {
    let mut rest = words;
    for column in &ranks.columns {
        let (own, after) = rest.split_at_mut(2 * column.size);
        rest = after;
        let (present, with_missing) = own.split_at_mut(column.size);
        present.fill(0);
        let (mut missing, mut bit) = (0, 0);
        let mut cells = values.get(column.number as usize..).unwrap_or_default().iter().step_by(columns.max(1));
        while bit < ROWS {
            let mut x = [0.0; TOGETHER];
            for (x, cell) in x.iter_mut().zip(&mut cells) {
                *x = *cell;
            }
            for rank in ranks.ranks(*column, x) {
                // the last place, which no rank is above, takes those that reach nothing, and is cleared below
                let reached = rank.wrapping_sub(1) & (column.size - 1);
                present[reached] |= 1 << bit;
                missing |= u64::from(rank == column.size) << bit;
                bit += 1;
            }
        }
        let mut above = 0;
        if let Some(last) = present.last_mut() {
            *last = 0;
        }
        for (word, with_missing) in present.iter_mut().zip(with_missing).rev() {
            above |= *word;
            *word = above;
            *with_missing = above | missing;
        }
    }
}

impl Tree {
    /// Parts the rows of a block at each question, and returns which arrive at each leaf.
    #[inline(never)]
    fn part<const LEAVES: usize>(&self, words: &[u64]) -> [u64; LEAVES] {
        let mut rows = [0; PLACES];
        rows[0] = u64::MAX;
        for question in &self.questions {
            let here = rows[usize::from(question.place) % PLACES];
            let right = here & words[question.word as usize];
            rows[usize::from(question.left) % PLACES] = here ^ right;
            rows[(usize::from(question.left) + 1) % PLACES] = right;
        }
        let mut arrived = [0; LEAVES];
        for (arrived, place) in arrived.iter_mut().zip(&self.places) {
            *arrived = rows[usize::from(*place) % PLACES];
        }
        arrived
    }
}

/// The number of each row's leaf, a byte each.
#[inline(never)]
fn numbered<const LEAVES: usize>(mut arrived: [u64; LEAVES]) -> [u64; NUMBER_WORDS] {
    // a bit of the numbers is set for rows at leaves that have it; then pairs of leaves become one, for the next bit
    let mut bits = [0; LEAVES_MAX.ilog2() as usize];
    let mut leaves = LEAVES;
    for bit in bits.iter_mut().take(LEAVES.ilog2() as usize) {
        leaves /= 2;
        for leaf in 0..leaves {
            *bit |= arrived[2 * leaf + 1];
            arrived[leaf] = arrived[2 * leaf] | arrived[2 * leaf + 1];
        }
    }
    let mut numbers = [0; NUMBER_WORDS];
    for (word, number) in numbers.iter_mut().enumerate() {
        for (at, bit) in bits.iter().enumerate().take(LEAVES.ilog2() as usize) {
            *number |= SPREAD[usize::from((bit >> (8 * word)) as u8)] << at;
        }
    }
    numbers
}
