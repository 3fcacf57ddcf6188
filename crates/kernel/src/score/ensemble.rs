//! Trees in the order of their ensemble, cut into parts that are scored in one way each. Sums depend on the order, so parts
//! are runs of trees and are added up one after the other; whichever way a part goes, its bits are the same.

use crate::artifact::{Precision, TreeEnsemble};

use super::forest::Forest;
use super::section::Section;
use super::sets::Sets;
use super::slices::ROWS;

/// The most trees that are scored without walking; the tables of so many take some 20 MB. What comes after them walks.
const SECTIONS_MAX: usize = 32;
/// Trees of a section.
const SECTION_TREES: usize = 128;
/// From so many rows on a block of rows takes less than the rows one by one.
const BLOCK_ROWS_MIN: usize = 24;

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
    precision: Precision,
}

impl Sum<'_> {
    #[inline]
    pub(super) fn add(&self, score: &mut f64, leaf: f64) {
        *score = match self.precision {
            Precision::Double => *score + leaf,
            Precision::Single => f64::from(*score as f32 + leaf as f32),
        };
    }
}

impl Ensemble {
    /// Lays out an ensemble that has been validated.
    pub(super) fn compile(ensemble: &TreeEnsemble) -> Self {
        let part = |(number, trees)| {
            let forest = Forest::compile(trees);
            let section = if number < SECTIONS_MAX { forest.questions() } else { None };
            section.and_then(|questions| Section::compile(&questions)).map_or(Part::Walked(forest), Part::Asked)
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

    /// Adds up the leaves of many rows: blocks of rows, part by part.
    pub(super) fn score_batch(&self, columns: usize, values: &[f64], out: &mut [f64]) {
        let outputs = self.base.len();
        let sum = self.sum();
        for row in out.chunks_exact_mut(outputs) {
            row.copy_from_slice(&self.base);
        }
        let rows = out.len() / outputs;
        let in_blocks = if rows % ROWS < BLOCK_ROWS_MIN { rows - rows % ROWS } else { rows };
        let (blocks, left) = out.split_at_mut(in_blocks * outputs);
        for part in &self.parts {
            let mut block = match part {
                Part::Asked(section) if !blocks.is_empty() => Some(section.block()),
                _ => None,
            };
            for (number, scores) in blocks.chunks_mut(ROWS * outputs).enumerate() {
                let first = number * ROWS * columns;
                let values = &values[first..first + scores.len() / outputs * columns];
                match (part, &mut block) {
                    (Part::Asked(section), Some(block)) => section.add_block(&sum, columns, values, scores, block),
                    (Part::Walked(forest), _) => forest.add_block(&sum, columns, values, scores),
                    (Part::Asked(_), None) => debug_assert!(false, "a section has its block"),
                }
            }
        }
        for (number, scores) in left.chunks_exact_mut(outputs).enumerate() {
            let first = (in_blocks + number) * columns;
            self.add_row(&values[first..first + columns], scores);
        }
    }
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
        fn rows_and_batches_have_the_bits_that_the_artifact_means(seed in any::<u64>(), rows in 1usize..150) {
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
            let compiled = Ensemble::compile(&ensemble);

            let mut batch = vec![0.0; rows * outputs];
            compiled.score_batch(columns, &values, &mut batch);

            for (number, row) in values.chunks(columns).enumerate() {
                let expected: Vec<u64> = by_the_book(&ensemble, row).iter().map(|x| x.to_bits()).collect();
                let mut one = vec![0.0; outputs];
                compiled.score_row(row, &mut one);
                prop_assert_eq!(one.iter().map(|x| x.to_bits()).collect::<Vec<_>>(), expected.clone());
                let of_batch = &batch[number * outputs..(number + 1) * outputs];
                prop_assert_eq!(of_batch.iter().map(|x| x.to_bits()).collect::<Vec<_>>(), expected);
            }
        }
    }
}
