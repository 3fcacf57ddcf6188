//! Trees in the order of their ensemble, cut into parts that are scored in one way each. Sums depend on the order, so parts
//! are runs of trees and are added up one after the other; whichever way a part goes, its bits are the same.

use crate::artifact::{Precision, TreeEnsemble};

use super::forest::Forest;
use super::lanes::{LANES, Processor};
use super::section::Section;
use super::sets::Sets;
use super::slices::WORDS;

/// The most trees that are scored without walking; the tables of so many take some 20 MB. What comes after them walks.
const SECTIONS_MAX: usize = 32;
/// Trees of a section.
const SECTION_TREES: usize = 128;
/// From so many rows on a block of 64 rows takes less than the rows one by one.
const BLOCK_ROWS_MIN: usize = 16;
/// From so many rows on a block of all words takes less than blocks of one.
const WIDE_ROWS_MIN: usize = 80;

/// How many small trees are asked in the time that one is walked.
const WALK_STEPS: usize = 8;

/// A compiled [`TreeEnsemble`].
#[derive(Debug)]
pub(super) struct Ensemble {
    base: Vec<f64>,
    parts: Vec<Part>,
    sets: Sets,
    precision: Precision,
}

#[derive(Debug)]
enum Part {
    Asked(Section),
    Walked(Forest),
}

/// How leaves are added up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sum<'a> {
    /// Numbers in the score of a row.
    pub(super) outputs: usize,
    pub(super) sets: &'a Sets,
    pub(super) precision: Precision,
}

impl Sum<'_> {
    #[inline]
    pub(super) fn add(&self, score: &mut f64, leaf: f64) {
        *score = self.precision.sum(*score, leaf);
    }
}

impl Precision {
    #[inline(always)]
    pub(super) fn sum(self, score: f64, leaf: f64) -> f64 {
        match self {
            Self::Double => score + leaf,
            Self::Single => f64::from(score as f32 + leaf as f32),
        }
    }
}

impl Ensemble {
    /// Lays out an ensemble that has been validated.
    pub(super) fn compile(ensemble: &TreeEnsemble) -> Self {
        Self::compile_for(ensemble, Processor::best())
    }

    fn compile_for(ensemble: &TreeEnsemble, processor: Processor) -> Self {
        let part = |(number, trees)| {
            let forest = Forest::compile(trees);
            let section = if number < SECTIONS_MAX { forest.questions() } else { None };
            section.and_then(|trees| Section::compile(&trees, processor)).map_or(Part::Walked(forest), Part::Asked)
        };
        Self {
            base: ensemble.base.clone(),
            parts: ensemble.trees.chunks(SECTION_TREES).enumerate().map(part).collect(),
            sets: Sets::compile(&ensemble.sets),
            precision: ensemble.precision,
        }
    }

    /// How long a row takes; see [`Scorer::steps_per_row`](super::Scorer::steps_per_row).
    pub(super) fn steps_per_row(&self) -> usize {
        let steps = self.parts.iter().map(|part| match part {
            Part::Asked(section) => section.trees(),
            Part::Walked(forest) => WALK_STEPS * forest.trees(),
        });
        1 + steps.sum::<usize>()
    }

    fn sum(&self) -> Sum<'_> {
        Sum { outputs: self.base.len(), sets: &self.sets, precision: self.precision }
    }

    /// Adds up the leaves of one row.
    pub(super) fn score_row(&self, row: &[f64], out: &mut [f64]) {
        out.copy_from_slice(&self.base);
        self.add_row(row, out);
    }

    fn add_row(&self, row: &[f64], scores: &mut [f64]) {
        let sum = self.sum();
        for part in &self.parts {
            match part {
                Part::Asked(section) => section.add_row(&sum, row, scores),
                Part::Walked(forest) => forest.add_row(&sum, row, scores),
            }
        }
    }

    /// Adds up the leaves of many rows: blocks of many and of fewer rows, and what is left over row by row.
    pub(super) fn score_batch(&self, columns: usize, values: &[f64], out: &mut [f64]) {
        let outputs = self.base.len();
        if let [base] = self.base[..] {
            out.fill(base);
        } else {
            for row in out.chunks_exact_mut(outputs) {
                row.copy_from_slice(&self.base);
            }
        }
        let rows = out.len() / outputs;
        let wide = in_blocks(rows, WORDS * LANES, WIDE_ROWS_MIN);
        let narrow = in_blocks(rows - wide, LANES, BLOCK_ROWS_MIN);
        let (wide_values, values) = values.split_at(wide * columns);
        let (wide_scores, scores) = out.split_at_mut(wide * outputs);
        let (narrow_values, values) = values.split_at(narrow * columns);
        let (narrow_scores, scores) = scores.split_at_mut(narrow * outputs);
        if wide > 0 {
            self.add_blocks::<WORDS>(columns, wide_values, wide_scores);
        }
        if narrow > 0 {
            self.add_blocks::<1>(columns, narrow_values, narrow_scores);
        }
        for (row, scores) in scores.chunks_exact_mut(outputs).enumerate() {
            self.add_row(&values[row * columns..(row + 1) * columns], scores);
        }
    }

    /// Adds up the leaves of blocks of rows, part by part.
    fn add_blocks<const W: usize>(&self, columns: usize, values: &[f64], scores: &mut [f64]) {
        let sum = self.sum();
        for part in &self.parts {
            let blocks = scores.chunks_mut(W * LANES * sum.outputs).enumerate().map(|(number, scores)| {
                let first = number * W * LANES * columns;
                (&values[first..first + scores.len() / sum.outputs * columns], scores)
            });
            match part {
                Part::Asked(section) => {
                    let mut scratch = section.scratch::<W>(&sum);
                    blocks.for_each(|(values, scores)| section.add_block(&sum, columns, values, scores, &mut scratch));
                }
                Part::Walked(forest) => {
                    blocks.for_each(|(values, scores)| forest.add_block(&sum, columns, values, scores));
                }
            }
        }
    }
}

/// How many of some rows go in blocks of `size`: all, unless the last block would have fewer than `least`.
fn in_blocks(rows: usize, size: usize, least: usize) -> usize {
    if rows % size < least { rows - rows % size } else { rows }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};

    use super::*;
    use crate::artifact::{Less, Node, Tree};

    /// What the artifact means, one question after the other.
    fn by_the_book(ensemble: &TreeEnsemble, row: &[f64]) -> Vec<f64> {
        let mut scores = ensemble.base.clone();
        for tree in &ensemble.trees {
            let mut at = 0;
            loop {
                match tree.nodes[at as usize] {
                    Node::Leaf { value } => {
                        let score = &mut scores[tree.output];
                        *score = match ensemble.precision {
                            Precision::Double => *score + value,
                            Precision::Single => f64::from(*score as f32 + value as f32),
                        };
                        break;
                    }
                    Node::Among { feature, set, inside, outside, missing } => {
                        let x = row[feature as usize];
                        let is_in = |category: &u32| f64::from(*category) == x.trunc();
                        at = if x.is_nan() {
                            missing
                        } else if ensemble.sets[set as usize].iter().any(is_in) {
                            inside
                        } else {
                            outside
                        };
                    }
                    Node::Split { feature, threshold, less, left, right, missing } => {
                        let x = row[feature as usize];
                        let goes_left = match less {
                            Less::Strict => x < threshold,
                            Less::OrEqual => x <= threshold,
                            Less::Any => true,
                        };
                        at = if x.is_nan() {
                            missing
                        } else if goes_left {
                            left
                        } else {
                            right
                        };
                    }
                }
            }
        }
        scores
    }

    /// Thresholds and values are drawn from few numbers, so that equality happens often.
    fn number(random: &mut SmallRng) -> f64 {
        const NUMBERS: [f64; 9] = [-1.0, -0.0, 0.0, f64::MIN_POSITIVE, 0.5, 1.0, f64::MAX, f64::MIN, 2.0];
        NUMBERS[random.random_range(0..NUMBERS.len())]
    }

    fn ensemble(random: &mut SmallRng, outputs: usize, columns: u32) -> TreeEnsemble {
        let sets: Vec<Vec<u32>> =
            if random.random() { vec![] } else { vec![vec![0, 2], vec![1], vec![], vec![2, 1_000_000]] };
        let precision = if random.random() { Precision::Double } else { Precision::Single };
        // of every kind: small, large, and too large to do without walking; in one section and in two
        let splits = [12, 30, 60][random.random_range(0..3)];
        let trees_max = [8, 40, SECTION_TREES + 20][random.random_range(0..3)];
        let trees = (0..random.random_range(0..trees_max))
            .map(|_| {
                let mut nodes = vec![Node::Leaf { value: random.random() }];
                for _ in 0..random.random_range(0..splits) {
                    let at = random.random_range(0..nodes.len());
                    if matches!(nodes[at], Node::Split { .. }) {
                        continue;
                    }
                    let left = nodes.len() as u32;
                    let missing = left + random.random_range(0..3);
                    for _ in 0..3 {
                        nodes.push(Node::Leaf { value: random.random_range(-1.0..1.0) });
                    }
                    let less = [Less::Strict, Less::OrEqual, Less::Any][random.random_range(0..3)];
                    let feature = random.random_range(0..columns);
                    nodes[at] = if sets.is_empty() || random.random() {
                        Node::Split { feature, threshold: number(random), less, left, right: left + 1, missing }
                    } else {
                        let set = random.random_range(0..sets.len() as u32);
                        Node::Among { feature, set, inside: left, outside: left + 1, missing }
                    };
                }
                Tree { output: random.random_range(0..outputs), nodes }
            })
            .collect();
        let base = (0..outputs).map(|_| f64::from(random.random::<f32>())).collect();
        TreeEnsemble { outputs, base, trees, sets, precision }
    }

    proptest! {
        #[test]
        fn rows_and_batches_have_the_bits_that_the_artifact_means(seed in any::<u64>(), rows in 1usize..350) {
            let mut random = SmallRng::seed_from_u64(seed);
            let (outputs, columns) = (random.random_range(1..4), random.random_range(1..6u32));
            let ensemble = ensemble(&mut random, outputs, columns);
            let columns = columns as usize;
            let values: Vec<f64> = (0..rows * columns)
                .map(|_| match random.random_range(0..8) {
                    0 => f64::NAN,
                    1 => f64::INFINITY,
                    2 => f64::NEG_INFINITY,
                    _ => number(&mut random),
                })
                .collect();
            let bits = |scores: &[f64]| scores.iter().map(|x| x.to_bits()).collect::<Vec<_>>();

            for processor in Processor::all() {
                let compiled = Ensemble::compile_for(&ensemble, processor);
                let mut batch = vec![0.0; rows * outputs];
                compiled.score_batch(columns, &values, &mut batch);

                for (row, of_batch) in values.chunks(columns).zip(batch.chunks(outputs)) {
                    let expected = bits(&by_the_book(&ensemble, row));
                    let mut one = vec![0.0; outputs];
                    compiled.score_row(row, &mut one);
                    prop_assert_eq!(bits(&one), expected.clone());
                    prop_assert_eq!(bits(of_batch), expected, "{:?}", processor);
                }
            }
        }
    }
}
