//! Many rows through small trees, 64 at a time, without walking and without vector instructions.
//!
//! The answers of 64 rows to one question are one word. A block of rows is first turned into such words, one for each
//! threshold of each column: each row sets a bit at its rank, and the words above a place are then those of the rows that
//! reach it. A tree is then 64 rows at its root, and each question parts those that came to it in three instructions; what
//! arrives at the leaves is turned into the numbers of the rows' leaves, and these are added up row by row.
//!
//! Arithmetic for 100 trees of 31 leaves over 28 columns: a row takes 28 searches of some 25 instructions, and each tree some
//! 4 instructions a row for its questions, 3 for the numbers and 4 for the sum, where a walk takes some 60.

use super::questions::{LEAVES_MAX, Questions};
use super::ranks::{Column, Ranks};

/// Rows of a block: bits of a word.
pub(super) const ROWS: usize = 64;
/// Places of a tree: its leaves behind its questions, of which it has one fewer.
const PLACES: usize = 2 * LEAVES_MAX;

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
    banks: Vec<Bank>,
    /// Words of a block: those of all banks.
    words: usize,
}

/// The words of a column: one for each rank, of the rows that have at least that one, and one that stays empty. Where
/// questions send what is missing to the right, as many again, with the rows where the column is missing.
#[derive(Debug, Clone, Copy)]
struct Bank {
    words: usize,
    has_missing: bool,
}

#[derive(Debug)]
struct Tree {
    questions: Vec<Question>,
    leaves: usize,
}

/// Places are those of questions, or of leaves behind [`LEAVES_MAX`].
#[derive(Debug, Clone, Copy)]
struct Question {
    word: u32,
    place: u8,
    left: u8,
    right: u8,
}

/// What a block of rows is worked on with, and its result: the rows' leaves, tree by tree.
#[derive(Debug)]
pub(super) struct Block {
    words: Vec<u64>,
    /// The rows at each place of a tree.
    arrived: [u64; PLACES],
    pub(super) leaves: Vec<[u8; ROWS]>,
}

impl Slices {
    /// Lays trees out.
    pub(super) fn compile(trees: &[Questions], ranks: &Ranks) -> Self {
        let questions = || trees.iter().flat_map(|tree| &tree.questions);
        let bank = |column: &Column| Bank {
            words: column.size + 1,
            has_missing: questions().any(|question| question.column == column.number && question.missing_right),
        };
        let banks: Vec<Bank> = ranks.columns.iter().map(bank).collect();
        let mut words = 0;
        let mut first = Vec::with_capacity(banks.len());
        for bank in &banks {
            first.push(words);
            words += bank.all();
        }
        let tree = |tree: &Questions| {
            let leaf = |place: u8| tree.leaves.iter().position(|leaf| leaf.place == place);
            // questions stay where they are among places, breadth first, and leaves come behind them from left to right
            let mut own = [0; PLACES];
            for (number, question) in tree.questions.iter().enumerate() {
                own[usize::from(question.place)] = number;
            }
            let place = |place: u8| leaf(place).map_or(own[usize::from(place)], |leaf| LEAVES_MAX + leaf) as u8;
            let questions = tree.questions.iter().filter_map(|question| {
                let at = ranks.columns.binary_search_by_key(&question.column, |column| column.number).ok()?;
                let with_missing = if question.missing_right { banks[at].words } else { 0 };
                let word = first[at] + with_missing + ranks.place(ranks.columns[at], question.threshold) + 1;
                Some(Question {
                    word: u32::try_from(word).ok()?,
                    place: place(question.place),
                    left: place(question.left),
                    right: place(question.left + 1),
                })
            });
            Tree { questions: questions.collect(), leaves: tree.leaves.len() }
        };
        Self { trees: trees.iter().map(tree).collect(), banks, words }
    }

    /// Room for a block.
    pub(super) fn block(&self) -> Block {
        Block { words: vec![0; self.words], arrived: [0; PLACES], leaves: vec![[0; ROWS]; self.trees.len()] }
    }

    /// Finds the leaves of a block's rows, at most [`ROWS`] of them. `values` has shape `[rows, columns]`.
    pub(super) fn find(&self, ranks: &Ranks, columns: usize, values: &[f64], block: &mut Block) {
        let Block { words, arrived, leaves } = block;
        self.ask(ranks, columns, values, words);
        for (tree, leaves) in self.trees.iter().zip(leaves) {
            match tree.leaves {
                0..=32 => tree.find::<32>(words, arrived, leaves),
                _ => tree.find::<LEAVES_MAX>(words, arrived, leaves),
            }
        }
    }

    /// Answers all questions for all rows.
    fn ask(&self, ranks: &Ranks, columns: usize, values: &[f64], words: &mut [u64]) {
        let mut rest = words;
        for (column, bank) in ranks.columns.iter().zip(&self.banks) {
            let (own, after) = rest.split_at_mut(bank.all());
            rest = after;
            let (present, with_missing) = own.split_at_mut(bank.words);
            present.fill(0);
            let number = column.number as usize;
            // there may be fewer rows than a block has: what the others reach does not matter
            let values = || values.chunks_exact(columns.max(1)).take(ROWS).map(|row| row[number]);
            let mut row = 1u64;
            ranks.reached(*column, values(), |rank| {
                present[rank] |= row;
                row = row.rotate_left(1);
            });
            let missing = if bank.has_missing { missing(values()) } else { 0 };
            let mut reached = 0;
            for word in present.iter_mut().rev() {
                reached |= *word;
                *word = reached;
            }
            for (word, with_missing) in present.iter().zip(with_missing) {
                *with_missing = word | missing;
            }
        }
    }
}

/// Which values are missing.
fn missing(values: impl Iterator<Item = f64>) -> u64 {
    values.enumerate().fold(0, |missing, (row, x)| missing | u64::from(x.is_nan()) << row)
}

impl Bank {
    fn all(self) -> usize {
        if self.has_missing { 2 * self.words } else { self.words }
    }
}

impl Tree {
    /// Finds the leaves of a block's rows, for a tree of at most so many.
    #[inline]
    fn find<const LEAVES: usize>(&self, words: &[u64], arrived: &mut [u64; PLACES], numbers: &mut [u8; ROWS]) {
        // not all of them need be there
        if let Some(leaves) = arrived[LEAVES_MAX..].first_chunk_mut::<LEAVES>() {
            *leaves = [0; LEAVES];
        }
        self.part(words, arrived);
        if let Some(leaves) = arrived[LEAVES_MAX..].first_chunk::<LEAVES>() {
            number(leaves, numbers);
        }
    }

    /// Parts the rows of a block at each question, parents before children, on to the leaves.
    #[inline(never)]
    fn part(&self, words: &[u64], arrived: &mut [u64; PLACES]) {
        // a tree without questions is its only leaf
        arrived[if self.questions.is_empty() { LEAVES_MAX } else { 0 }] = u64::MAX;
        for question in &self.questions {
            let here = arrived[usize::from(question.place) % PLACES];
            let right = here & words[question.word as usize];
            arrived[usize::from(question.left) % PLACES] = here ^ right;
            arrived[usize::from(question.right) % PLACES] = right;
        }
    }
}

/// The number of each row's leaf, from which rows arrived at each.
#[inline(never)]
fn number<const LEAVES: usize>(arrived: &[u64; LEAVES], numbers: &mut [u8; ROWS]) {
    let mut arrived = *arrived;
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
    for (byte, numbers) in numbers.chunks_exact_mut(8).enumerate() {
        let mut eight = 0;
        for (at, bit) in bits.iter().enumerate().take(LEAVES.ilog2() as usize) {
            eight |= SPREAD[usize::from((bit >> (8 * byte)) as u8)] << at;
        }
        numbers.copy_from_slice(&eight.to_le_bytes());
    }
}
