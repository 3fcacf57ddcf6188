//! A tree as its questions and its leaves from left to right, for the two ways of scoring that look at all questions instead
//! of walking.

use std::ops::Range;

/// The most leaves of a tree that is scored without walking: one for each bit of a word.
pub(super) const LEAVES_MAX: usize = 64;

/// A small tree whose questions compare with thresholds.
#[derive(Debug)]
pub(super) struct Questions {
    /// Parents before children.
    pub(super) questions: Vec<Question>,
    /// From left to right.
    pub(super) leaves: Vec<Leaf>,
    /// The score that it adds to.
    pub(super) output: usize,
}

/// A question: a value at or above the threshold goes right. NaN as a threshold sends no value to the right.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) column: u32,
    pub(super) threshold: f64,
    /// Whether what is missing goes right.
    pub(super) missing_right: bool,
    /// Its place in the tree, breadth first.
    pub(super) place: u8,
    /// The place of its left child; the right one follows it.
    pub(super) left: u8,
    /// The leaves to its left.
    pub(super) left_leaves: Range<u8>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Leaf {
    pub(super) place: u8,
    pub(super) value: f64,
}
