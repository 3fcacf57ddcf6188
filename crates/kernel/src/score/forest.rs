//! Trees as flat arrays, and walks through them: for trees that are too large or too many for what is faster.
//!
//! Each tree lies breadth first and the two children of a split lie side by side, so a node needs one link: the next
//! node is `first_child + goes_right`, computed without a branch. A leaf leads to itself, so a walk needs no test for the
//! end until none of the walkers moves any more. A node is 16 bytes, four to a cache line; leaf values lie apart,
//! because they are read once a walk.
//!
//! `x < t` goes left. Rewritten without loss: `x <= t` is `x < next_up(t)`; a third child for missing values is a split
//! before, with NaN as its threshold, that only sends missing values to the right. A question about a category carries
//! the number of its set where others have their threshold; walks of ensembles without sets do not look for it.

use crate::artifact::{Less, Node, Tree};

use super::ensemble::Sum;
use super::questions::{LEAVES_MAX, Leaf, Question, Questions};
use super::sets::Sets;

/// How many walks are under way at once: enough to hide a load from the second-level cache, few enough for registers.
const WALKERS: usize = 8;

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

/// Trees to be walked.
#[derive(Debug, Default)]
pub(super) struct Forest {
    nodes: Vec<FlatNode>,
    /// One for each node; 0 for splits.
    leaf_values: Vec<f64>,
    /// In the order of the ensemble, because sums depend on it.
    trees: Vec<Root>,
}

#[derive(Debug, Clone, Copy)]
struct Root {
    node: u32,
    output: u32,
}

impl Forest {
    /// Lays out trees that have been validated.
    pub(super) fn compile(trees: &[Tree]) -> Self {
        let mut forest = Self::default();
        for tree in trees {
            let node = forest.lay_out(tree);
            forest.trees.push(Root { node, output: index(tree.output) });
        }
        forest
    }

    pub(super) fn trees(&self) -> usize {
        self.trees.len()
    }

    /// The trees by their questions; none when one of them is too large for that, or asks for categories.
    pub(super) fn questions(&self) -> Option<Vec<Questions>> {
        let ends = self.trees.iter().skip(1).map(|tree| tree.node as usize).chain([self.nodes.len()]);
        self.trees.iter().zip(ends).map(|(tree, end)| self.questions_of(*tree, end)).collect()
    }

    /// A tree by its questions; its nodes lie from its root to `end`, breadth first.
    fn questions_of(&self, tree: Root, end: usize) -> Option<Questions> {
        let root = tree.node as usize;
        let nodes = &self.nodes[root..end];
        if nodes.len() >= 2 * LEAVES_MAX || nodes.iter().any(|node| node.feature & AMONG != 0) {
            return None;
        }
        let children = |place: usize| {
            let first = nodes[place].first_child as usize - root;
            (first != place).then_some(first)
        };
        // the leaves below each node, children before parents; then the first of them, parents before children
        let mut below = vec![1u8; nodes.len()];
        for place in (0..nodes.len()).rev() {
            if let Some(left) = children(place) {
                below[place] = below[left] + below[left + 1];
            }
        }
        let mut first = vec![0u8; nodes.len()];
        let mut questions = Vec::with_capacity(nodes.len() / 2);
        let mut leaves = vec![Leaf { place: 0, value: 0.0 }; usize::from(below[0])];
        for (place, node) in nodes.iter().enumerate() {
            let Some(left) = children(place) else {
                leaves[usize::from(first[place])] = Leaf { place: place as u8, value: self.leaf_values[root + place] };
                continue;
            };
            first[left] = first[place];
            first[left + 1] = first[place] + below[left];
            questions.push(Question {
                column: node.feature & !MISSING_RIGHT,
                threshold: node.threshold,
                missing_right: node.feature & MISSING_RIGHT != 0,
                place: place as u8,
                left: left as u8,
                left_leaves: first[left]..first[left + 1],
            });
        }
        Some(Questions { questions, leaves, output: tree.output as usize })
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
    pub(super) fn add_row(&self, sum: &Sum<'_>, row: &[f64], scores: &mut [f64]) {
        if sum.sets.is_empty() {
            self.walk_trees::<false>(sum, row, scores);
        } else {
            self.walk_trees::<true>(sum, row, scores);
        }
    }

    fn walk_trees<const SETS: bool>(&self, sum: &Sum<'_>, row: &[f64], scores: &mut [f64]) {
        for trees in self.trees.chunks(WALKERS) {
            let mut at = [trees[0].node; WALKERS];
            for (walker, tree) in at.iter_mut().zip(trees) {
                *walker = tree.node;
            }
            loop {
                let mut moved = 0;
                for walker in &mut at {
                    let next = self.next::<SETS>(*walker, row, sum.sets);
                    moved |= next ^ *walker;
                    *walker = next;
                }
                if moved == 0 {
                    break;
                }
            }
            for (walker, tree) in at.iter().zip(trees) {
                sum.add(&mut scores[tree.output as usize], self.leaf_values[*walker as usize]);
            }
        }
    }

    #[inline]
    fn next<const SETS: bool>(&self, at: u32, row: &[f64], sets: &Sets) -> u32 {
        let node = self.nodes[at as usize];
        if SETS && node.feature & AMONG != 0 { node.next_among(row, sets) } else { node.next(row) }
    }

    /// Adds up the leaves of a block of rows, tree by tree, eight rows at a time. What is left over goes row by row.
    pub(super) fn add_block(&self, sum: &Sum<'_>, columns: usize, values: &[f64], scores: &mut [f64]) {
        let rows = scores.len() / sum.outputs;
        let together = rows - rows % WALKERS;
        let (scores, scores_left) = scores.split_at_mut(together * sum.outputs);
        let (values, values_left) = values.split_at(together * columns);
        if sum.sets.is_empty() {
            self.walk_block::<false>(sum, columns, values, scores);
        } else {
            self.walk_block::<true>(sum, columns, values, scores);
        }
        for (row, scores) in scores_left.chunks_exact_mut(sum.outputs).enumerate() {
            self.add_row(sum, &values_left[row * columns..(row + 1) * columns], scores);
        }
    }

    /// Adds up the leaves of a block, whose rows are a multiple of eight.
    fn walk_block<const SETS: bool>(&self, sum: &Sum<'_>, columns: usize, values: &[f64], scores: &mut [f64]) {
        for tree in &self.trees {
            for (group, scores) in scores.chunks_exact_mut(WALKERS * sum.outputs).enumerate() {
                let first = group * WALKERS;
                let values = &values[first * columns..(first + WALKERS) * columns];
                let at = self.walk_rows::<SETS>(*tree, columns, values, sum.sets);
                for (scores, walker) in scores.chunks_exact_mut(sum.outputs).zip(at) {
                    sum.add(&mut scores[tree.output as usize], self.leaf_values[walker as usize]);
                }
            }
        }
    }

    /// Takes eight rows to their leaves.
    fn walk_rows<const SETS: bool>(&self, tree: Root, columns: usize, values: &[f64], sets: &Sets) -> [u32; WALKERS] {
        let rows: [&[f64]; WALKERS] = std::array::from_fn(|row| &values[row * columns..(row + 1) * columns]);
        let mut at = [tree.node; WALKERS];
        loop {
            let mut moved = 0;
            for (walker, row) in at.iter_mut().zip(rows) {
                let next = self.next::<SETS>(*walker, row, sets);
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
    use super::*;

    #[test]
    fn a_node_is_sixteen_bytes() {
        assert_eq!(size_of::<FlatNode>(), 16);
    }
}
