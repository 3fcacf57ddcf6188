//! Many rows through small trees, 64 or 256 at a time, without walking.
//!
//! The answers of 64 rows to one question are one word. A block of rows is first turned into such words, one for each
//! threshold of each column: the rows that reach it. A tree is then all rows at its root, and each question parts those that
//! came to it in three instructions a word; what arrives at the leaves is turned into the numbers of the rows' leaves, and
//! their values are added up. What takes long of that is written for several kinds of processor ([`lanes`](super::lanes)).
//!
//! Arithmetic for 100 trees of 31 leaves over 28 columns: a row takes 28 searches of some 20 instructions, and each tree, for
//! words of 64 bits, some 4 instructions a row for its questions, 3 for the numbers and 4 for the sum, where a walk takes
//! some 60. With four words to a block the questions take 1 to 2, as all else of a question is done once for them.

use super::lanes::{Aligned, Bits, LANES, Lanes, Numbers};
use super::questions::{LEAVES_MAX, Questions};
use super::ranks::{Column, Ranks};

/// Words of a block where there are many rows: with more, the answers would not fit a second-level cache.
pub(super) const WORDS: usize = 4;
/// Columns whose values are read together, because they share cache lines.
const COLUMNS: usize = 4;
/// Words of a cache line.
const LINE: usize = 8;
/// Places of a tree: its leaves behind its questions, of which it has one fewer.
const PLACES: usize = 2 * LEAVES_MAX;

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

/// What a block of `64 * W` rows is worked on with.
#[derive(Debug)]
pub(super) struct Block<const W: usize> {
    columns: Aligned<[Numbers<f64, W>; COLUMNS]>,
    /// The words of all banks, and room to begin with a cache line.
    words: Vec<u64>,
    /// The rows at each place of a tree.
    arrived: Aligned<[Bits<W>; PLACES]>,
    leaves: Aligned<Numbers<u8, W>>,
}

impl Slices {
    /// Lays trees out.
    pub(super) fn compile(trees: &[Questions], ranks: &Ranks) -> Self {
        let questions = || trees.iter().flat_map(|tree| &tree.questions);
        let bank = |column: &Column| Bank {
            words: column.count + 2,
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
                let rank = if question.threshold.is_nan() {
                    banks[at].words - 1
                } else {
                    ranks.place(ranks.columns[at], question.threshold) + 1
                };
                let word = first[at] + with_missing + rank;
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
    pub(super) fn block<const W: usize>(&self) -> Block<W> {
        Block {
            columns: Aligned([[[0.0; LANES]; W]; COLUMNS]),
            words: vec![0; W * self.words + LINE],
            arrived: Aligned([[0; W]; PLACES]),
            leaves: Aligned([[0; LANES]; W]),
        }
    }

    /// Answers all questions for all rows of a block, at most `64 * W` of them. `values` has shape `[rows, columns]`.
    #[inline(always)]
    pub(super) fn ask<L: Lanes, const W: usize>(
        &self,
        lanes: L,
        ranks: &Ranks,
        columns: usize,
        values: &[f64],
        block: &mut Block<W>,
    ) {
        let rows = (values.len() / columns.max(1)).min(W * LANES);
        let mut rest = aligned(&mut block.words);
        for (some, banks) in ranks.columns.chunks(COLUMNS).zip(self.banks.chunks(COLUMNS)) {
            read(some, columns, values, &mut block.columns.0);
            for ((column, bank), x) in some.iter().zip(banks).zip(&block.columns.0) {
                let (own, after) = rest.split_at_mut(bank.all());
                rest = after;
                let (present, with_missing) = own.split_at_mut(bank.words);
                lanes.rank(ranks, *column, x, rows, &mut present[..=column.count]);
                if bank.has_missing {
                    let missing = x.each_ref().map(missing);
                    for (rows, with_missing) in present.iter().zip(with_missing) {
                        *with_missing = std::array::from_fn(|word| rows[word] | missing[word]);
                    }
                }
            }
        }
    }

    /// Finds the leaves of a block's rows in a tree.
    #[inline(always)]
    pub(super) fn find<'a, L: Lanes, const W: usize>(
        &self,
        lanes: L,
        tree: usize,
        block: &'a mut Block<W>,
    ) -> &'a Numbers<u8, W> {
        let tree = &self.trees[tree];
        match tree.leaves {
            0..=32 => tree.find::<L, 32, W>(lanes, block),
            _ => tree.find::<L, LEAVES_MAX, W>(lanes, block),
        }
        &block.leaves.0
    }
}

/// The words of a block, from the beginning of a cache line.
#[inline(always)]
fn aligned<const W: usize>(words: &mut [u64]) -> &mut [Bits<W>] {
    let skipped = words.as_ptr().align_offset(size_of::<u64>() * LINE).min(LINE);
    words[skipped..].as_chunks_mut().0
}

/// Reads the values of a few columns. There may be fewer rows than a block has: what the others hold does not matter.
///
/// Not inlined, as for AVX-512 it would become gathering loads.
#[inline(never)]
fn read<const W: usize>(some: &[Column], columns: usize, values: &[f64], into: &mut [Numbers<f64, W>; COLUMNS]) {
    let [first, second, third, fourth] = into.each_mut().map(|column| column.as_flattened_mut().iter_mut());
    let numbers: [usize; COLUMNS] = std::array::from_fn(|at| some[at.min(some.len() - 1)].number as usize);
    for ((((first, second), third), fourth), row) in
        first.zip(second).zip(third).zip(fourth).zip(values.chunks_exact(columns.max(1)))
    {
        *first = row[numbers[0]];
        *second = row[numbers[1]];
        *third = row[numbers[2]];
        *fourth = row[numbers[3]];
    }
}

/// Which values are missing.
#[inline(always)]
fn missing(values: &[f64; LANES]) -> u64 {
    values.iter().enumerate().fold(0, |missing, (row, x)| missing | u64::from(x.is_nan()) << row)
}

impl Bank {
    fn all(self) -> usize {
        if self.has_missing { 2 * self.words } else { self.words }
    }
}

impl Tree {
    /// Finds the leaves of a block's rows, for a tree of at most so many.
    #[inline(always)]
    fn find<L: Lanes, const LEAVES: usize, const W: usize>(&self, lanes: L, block: &mut Block<W>) {
        let Block { words, arrived, leaves, .. } = block;
        self.part(aligned(words), &mut arrived.0);
        if let Some(arrived) = arrived.0[LEAVES_MAX..].first_chunk_mut::<LEAVES>() {
            // not all of them need be there
            arrived[self.leaves..].fill([0; W]);
            lanes.number(arrived, &mut leaves.0);
        }
    }

    /// Parts the rows of a block at each question, parents before children, on to the leaves.
    #[inline(always)]
    fn part<const W: usize>(&self, words: &[Bits<W>], arrived: &mut [Bits<W>; PLACES]) {
        // a tree without questions is its only leaf
        arrived[if self.questions.is_empty() { LEAVES_MAX } else { 0 }] = [u64::MAX; W];
        for question in &self.questions {
            let here = arrived[usize::from(question.place) % PLACES];
            let reached = words[question.word as usize];
            let right: Bits<W> = std::array::from_fn(|word| here[word] & reached[word]);
            arrived[usize::from(question.left) % PLACES] = std::array::from_fn(|word| here[word] ^ right[word]);
            arrived[usize::from(question.right) % PLACES] = right;
        }
    }
}
