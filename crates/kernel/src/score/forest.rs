//! Trees as flat arrays.
//!
//! Each tree lies breadth first and the two children of a split lie side by side, so a node needs one link: the next
//! node is `first_child + goes_right`, computed without a branch. A leaf leads to itself, so a walk needs no test for the
//! end until none of the walkers moves any more. A node is 16 bytes, four to a cache line; leaf values lie apart,
//! because they are read once a walk.
//!
//! `x < t` goes left. Rewritten without loss: `x <= t` is `x < next_up(t)`; a third child for missing values is a split
//! before, with NaN as its threshold, that only sends missing values to the right. A question about a category carries
//! the number of its set where others have their threshold; walks of ensembles without sets do not look for it.

use crate::artifact::{Less, Node, Precision, Tree, TreeEnsemble};

use super::sets::Sets;

/// How many walks are under way at once: enough to hide a load from the second-level cache, few enough for registers.
const WALKERS: usize = 8;

/// Rows that a batch takes through a tree before the next tree: with 28 columns 14 kB, half a first-level cache.
const BLOCK_ROWS: usize = 64;

/// The bit of [`FlatNode::feature`] that sends missing values to the right.
const MISSING_RIGHT: u32 = 1 << 31;

/// The bit of [`FlatNode::feature`] that says that the threshold is the number of a set.
const AMONG: u32 = 1 << 30;

#[derive(Debug, Clone, Copy, PartialEq)]
struct FlatNode {
    /// A value at or above it goes right. NaN in leaves and in splits on missing values: nothing is at or above NaN.
    /// With [`AMONG`], the bits are the number of a set, and what is not in it goes right.
    threshold: f64,
    /// The left child; the right one follows it. For a leaf, the leaf.
    first_child: u32,
    /// The column, [`MISSING_RIGHT`] and [`AMONG`].
    feature: u32,
}

/// A compiled [`TreeEnsemble`].
#[derive(Debug)]
pub(super) struct Forest {
    base: Vec<f64>,
    nodes: Vec<FlatNode>,
    /// One for each node; 0 for splits.
    leaf_values: Vec<f64>,
    /// In the order of the ensemble, because sums depend on it.
    trees: Vec<Root>,
    sets: Sets,
    precision: Precision,
}

#[derive(Debug, Clone, Copy)]
struct Root {
    node: u32,
    output: u32,
}

impl Forest {
    /// Lays out an ensemble that has been validated.
    pub(super) fn compile(ensemble: &TreeEnsemble) -> Self {
        let mut forest = Self {
            base: ensemble.base.clone(),
            nodes: Vec::new(),
            leaf_values: Vec::new(),
            trees: Vec::with_capacity(ensemble.trees.len()),
            sets: Sets::compile(&ensemble.sets),
            precision: ensemble.precision,
        };
        for tree in &ensemble.trees {
            let node = forest.lay_out(tree);
            forest.trees.push(Root { node, output: index(tree.output) });
        }
        forest
    }

    /// Appends a tree breadth first and returns where its root lies.
    fn lay_out(&mut self, tree: &Tree) -> u32 {
        let root = self.reserve(1);
        let mut waiting = std::collections::VecDeque::from([(root, Place::Node(0))]);
        while let Some((at, place)) = waiting.pop_front() {
            let (node, children) = match place {
                Place::Node(source) => match tree.nodes[source as usize] {
                    Node::Leaf { value } => {
                        self.leaf_values[at as usize] = value;
                        (leaf(at), None)
                    }
                    Node::Split { feature, left, right, missing, .. }
                    | Node::Among { feature, inside: left, outside: right, missing, .. }
                        if missing != left && missing != right =>
                    {
                        let present = Place::Present(source);
                        let flag = feature | MISSING_RIGHT;
                        (
                            FlatNode { threshold: f64::NAN, first_child: 0, feature: flag },
                            Some([present, Place::Node(missing)]),
                        )
                    }
                    Node::Split { .. } | Node::Among { .. } => split(&tree.nodes, source),
                },
                Place::Present(source) => split(&tree.nodes, source),
            };
            self.nodes[at as usize] = node;
            if let Some(children) = children {
                let first = self.reserve(2);
                self.nodes[at as usize].first_child = first;
                waiting.extend([(first, children[0]), (first + 1, children[1])]);
            }
        }
        root
    }

    fn reserve(&mut self, count: usize) -> u32 {
        let first = index(self.nodes.len());
        for offset in 0..index(count) {
            self.nodes.push(leaf(first + offset));
            self.leaf_values.push(0.0);
        }
        first
    }

    /// Adds up the leaves of one row, eight trees at a time.
    pub(super) fn score_row(&self, row: &[f64], out: &mut [f64]) {
        if self.sets.is_empty() { self.add_row::<false>(row, out) } else { self.add_row::<true>(row, out) }
    }

    fn add_row<const SETS: bool>(&self, row: &[f64], out: &mut [f64]) {
        out.copy_from_slice(&self.base);
        for trees in self.trees.chunks(WALKERS) {
            let mut at = [trees[0].node; WALKERS];
            for (walker, tree) in at.iter_mut().zip(trees) {
                *walker = tree.node;
            }
            loop {
                let mut moved = 0;
                for walker in &mut at {
                    let next = self.next::<SETS>(*walker, row);
                    moved |= next ^ *walker;
                    *walker = next;
                }
                if moved == 0 {
                    break;
                }
            }
            for (walker, tree) in at.iter().zip(trees) {
                self.add(&mut out[tree.output as usize], *walker);
            }
        }
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the sum is meant to be one of 32-bit floats")]
    fn add(&self, score: &mut f64, leaf: u32) {
        let value = self.leaf_values[leaf as usize];
        *score = match self.precision {
            Precision::Double => *score + value,
            Precision::Single => f64::from(*score as f32 + value as f32),
        };
    }

    #[inline]
    fn next<const SETS: bool>(&self, at: u32, row: &[f64]) -> u32 {
        let node = self.nodes[at as usize];
        if SETS && node.feature & AMONG != 0 { node.next_among(row, &self.sets) } else { node.next(row) }
    }

    /// Adds up the leaves of many rows: blocks of rows, tree by tree, eight rows at a time. What is left over of a block
    /// goes row by row.
    pub(super) fn score_batch(&self, columns: usize, values: &[f64], out: &mut [f64]) {
        let outputs = self.base.len();
        for (block, scores) in out.chunks_mut(BLOCK_ROWS * outputs).enumerate() {
            let rows = scores.len() / outputs;
            let together = rows - rows % WALKERS;
            let first = block * BLOCK_ROWS;
            let values = &values[first * columns..(first + rows) * columns];
            let (scores, scores_left) = scores.split_at_mut(together * outputs);
            let (values, values_left) = values.split_at(together * columns);
            if self.sets.is_empty() {
                self.score_together::<false>(columns, values, scores);
            } else {
                self.score_together::<true>(columns, values, scores);
            }
            for (row, scores) in scores_left.chunks_exact_mut(outputs).enumerate() {
                self.score_row(&values_left[row * columns..(row + 1) * columns], scores);
            }
        }
    }

    /// Adds up the leaves of a block, whose rows are a multiple of eight.
    fn score_together<const SETS: bool>(&self, columns: usize, values: &[f64], scores: &mut [f64]) {
        let outputs = self.base.len();
        for row in scores.chunks_exact_mut(outputs) {
            row.copy_from_slice(&self.base);
        }
        for tree in &self.trees {
            for (group, scores) in scores.chunks_exact_mut(WALKERS * outputs).enumerate() {
                let first = group * WALKERS;
                let at = self.walk_rows::<SETS>(*tree, columns, &values[first * columns..(first + WALKERS) * columns]);
                for (scores, walker) in scores.chunks_exact_mut(outputs).zip(at) {
                    self.add(&mut scores[tree.output as usize], walker);
                }
            }
        }
    }

    /// Takes eight rows to their leaves.
    fn walk_rows<const SETS: bool>(&self, tree: Root, columns: usize, values: &[f64]) -> [u32; WALKERS] {
        let rows: [&[f64]; WALKERS] = std::array::from_fn(|row| &values[row * columns..(row + 1) * columns]);
        let mut at = [tree.node; WALKERS];
        loop {
            let mut moved = 0;
            for (walker, row) in at.iter_mut().zip(rows) {
                let next = self.next::<SETS>(*walker, row);
                moved |= next ^ *walker;
                *walker = next;
            }
            if moved == 0 {
                return at;
            }
        }
    }
}

impl FlatNode {
    #[inline]
    fn next(self, row: &[f64]) -> u32 {
        // A model without columns has only leaves, which ask for column 0.
        let x = row.get((self.feature & !MISSING_RIGHT) as usize).copied().unwrap_or(0.0);
        let right = (x >= self.threshold) | (x.is_nan() & (self.feature & MISSING_RIGHT != 0));
        self.first_child + u32::from(right)
    }

    fn next_among(self, row: &[f64], sets: &Sets) -> u32 {
        let x = row.get((self.feature & !(MISSING_RIGHT | AMONG)) as usize).copied().unwrap_or(0.0);
        let right = if x.is_nan() {
            self.feature & MISSING_RIGHT != 0
        } else {
            let set = usize::try_from(self.threshold.to_bits()).unwrap_or(usize::MAX);
            !sets.has(set, x)
        };
        self.first_child + u32::from(right)
    }
}

#[derive(Debug, Clone, Copy)]
enum Place {
    /// A node of the artifact.
    Node(u32),
    /// The comparison of a split whose missing values have been sent elsewhere.
    Present(u32),
}

fn leaf(at: u32) -> FlatNode {
    FlatNode { threshold: f64::NAN, first_child: at, feature: 0 }
}

fn split(nodes: &[Node], source: u32) -> (FlatNode, Option<[Place; 2]>) {
    let (threshold, feature, left, right, missing) = match nodes[source as usize] {
        Node::Split { feature, threshold, less: Less::Strict, left, right, missing } => {
            (threshold, feature, left, right, missing)
        }
        Node::Split { feature, threshold, less: Less::OrEqual, left, right, missing } => {
            (threshold.next_up(), feature, left, right, missing)
        }
        // nothing is at or above NaN
        Node::Split { feature, less: Less::Any, left, right, missing, .. } => (f64::NAN, feature, left, right, missing),
        Node::Among { feature, set, inside, outside, missing } => {
            (f64::from_bits(set.into()), feature | AMONG, inside, outside, missing)
        }
        Node::Leaf { .. } => {
            debug_assert!(false, "only splits are laid out as splits");
            return (leaf(0), None);
        }
    };
    let flag = if missing == right { MISSING_RIGHT } else { 0 };
    (FlatNode { threshold, first_child: 0, feature: feature | flag }, Some([Place::Node(left), Place::Node(right)]))
}

/// Sizes are bounded far below 2^31 by validation.
fn index(size: usize) -> u32 {
    debug_assert!(u32::try_from(size).is_ok(), "validation bounds the number of nodes");
    u32::try_from(size).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};

    use super::*;

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
        let trees = (0..random.random_range(0..20))
            .map(|_| {
                let mut nodes = vec![Node::Leaf { value: random.random() }];
                for _ in 0..random.random_range(0..12) {
                    let at = random.random_range(0..nodes.len());
                    if matches!(nodes[at], Node::Split { .. }) {
                        continue;
                    }
                    let left = index(nodes.len());
                    let missing = left + random.random_range(0..3);
                    for _ in 0..3 {
                        nodes.push(Node::Leaf { value: random.random_range(-1.0..1.0) });
                    }
                    let less = [Less::Strict, Less::OrEqual, Less::Any][random.random_range(0..3)];
                    let feature = random.random_range(0..columns);
                    nodes[at] = if sets.is_empty() || random.random() {
                        Node::Split { feature, threshold: number(random), less, left, right: left + 1, missing }
                    } else {
                        let set = random.random_range(0..index(sets.len()));
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
            let forest = Forest::compile(&ensemble);

            let mut batch = vec![0.0; rows * outputs];
            forest.score_batch(columns, &values, &mut batch);

            for (number, row) in values.chunks(columns).enumerate() {
                let expected: Vec<u64> = by_the_book(&ensemble, row).iter().map(|x| x.to_bits()).collect();
                let mut one = vec![0.0; outputs];
                forest.score_row(row, &mut one);
                prop_assert_eq!(one.iter().map(|x| x.to_bits()).collect::<Vec<_>>(), expected.clone());
                let of_batch = &batch[number * outputs..(number + 1) * outputs];
                prop_assert_eq!(of_batch.iter().map(|x| x.to_bits()).collect::<Vec<_>>(), expected);
            }
        }
    }

    #[test]
    fn a_node_is_sixteen_bytes() {
        assert_eq!(size_of::<FlatNode>(), 16);
    }
}
