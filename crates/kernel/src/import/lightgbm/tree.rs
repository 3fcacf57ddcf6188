//! A tree: inner nodes have numbers from 0, leaves are written as -1, -2, and so on.

use super::text::{Block, number, numbers};
use crate::artifact::{Less, Tree};
use crate::import::layout::{Asks, Found, lay_out};

/// The bits of a decision: whether it is about a category, whether what is missing goes left, and two for what is missing.
const CATEGORICAL: u8 = 1;
const DEFAULT_LEFT: u8 = 2;

/// What counts as missing in a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// Nothing: NaN is taken for 0.
    Nothing,
    /// NaN and 0.
    Zero,
    /// NaN.
    NaN,
}

/// Reads trees, and gathers what they have in common.
pub(super) struct Reader {
    features: usize,
    /// What is missing in each feature, as far as it was met.
    pub(super) missing: Vec<Option<Missing>>,
    pub(super) sets: Vec<Vec<u32>>,
}

impl Reader {
    pub(super) fn new(features: usize) -> Self {
        Self { features, missing: vec![None; features], sets: Vec::new() }
    }

    pub(super) fn read(&mut self, block: &Block<'_>, output: usize) -> Result<Tree, String> {
        if block.get("is_linear").is_some_and(|flag| flag.trim() == "1") {
            return Err("its leaves are linear models (`linear_tree`), which are not run here; train without it".into());
        }
        let leaves: usize = number(block, "num_leaves")?;
        let splits = leaves.checked_sub(1).ok_or("it has no leaves")?;
        let leaf_value: Vec<f64> = numbers(block, "leaf_value", leaves)?;
        if splits == 0 {
            return lay_out(output, 0, 1, |_| Ok(Found::Leaf(leaf_value[0])));
        }
        let split_feature: Vec<u32> = numbers(block, "split_feature", splits)?;
        let threshold: Vec<f64> = numbers(block, "threshold", splits)?;
        let decision_type: Vec<u8> = numbers(block, "decision_type", splits)?;
        let left_child: Vec<i64> = numbers(block, "left_child", splits)?;
        let right_child: Vec<i64> = numbers(block, "right_child", splits)?;
        let first_set = self.read_sets(block)?;
        let place = |child: i64| match usize::try_from(child) {
            Ok(inner) if inner < splits => Ok(inner),
            Err(_) if child.unsigned_abs() <= leaves as u64 => {
                usize::try_from(!child).map(|leaf| splits + leaf).map_err(|error| error.to_string())
            }
            _ => Err(format!("a way leads to node {child} of {splits}")),
        };
        lay_out(output, 0, splits + leaves, |at| {
            if at >= splits {
                return Ok(Found::Leaf(leaf_value[at - splits]));
            }
            let (feature, threshold, decision) = (split_feature[at], threshold[at], decision_type[at]);
            if feature as usize >= self.features {
                return Err(format!("node {at} asks for feature {feature} of {}", self.features));
            }
            let (yes, no) = (place(left_child[at])?, place(right_child[at])?);
            if decision & CATEGORICAL != 0 {
                let set = set_number(threshold, first_set, self.sets.len())?;
                // whatever is no category goes right
                return Ok(Found::Question { asks: Asks::Among { feature, set }, yes, no, missing_is_yes: false });
            }
            let default_left = decision & DEFAULT_LEFT != 0;
            let (missing, missing_is_yes) = match decision >> 2 & 3 {
                0 => (Missing::Nothing, 0.0 <= threshold),
                1 => (Missing::Zero, default_left),
                2 => (Missing::NaN, default_left),
                _ => return Err(format!("the decision type {decision} of node {at} is not known")),
            };
            let known = &mut self.missing[feature as usize];
            if known.is_some_and(|known| known != missing && (known == Missing::Zero || missing == Missing::Zero)) {
                return Err(format!("0 is missing in some questions about feature {feature} and a number in others"));
            }
            *known = Some(missing);
            // the end of the last bin: it only parts numbers from what is missing
            let (threshold, less) =
                if threshold == f64::INFINITY { (0.0, Less::Any) } else { (threshold, Less::OrEqual) };
            Ok(Found::Question { asks: Asks::Below { feature, threshold, less }, yes, no, missing_is_yes })
        })
    }

    /// Reads the tree's sets of categories, and returns the number of the first.
    fn read_sets(&mut self, block: &Block<'_>) -> Result<usize, String> {
        let first = self.sets.len();
        let count: usize = if block.contains_key("num_cat") { number(block, "num_cat")? } else { 0 };
        if count == 0 {
            return Ok(first);
        }
        let boundaries: Vec<usize> = numbers(block, "cat_boundaries", count.saturating_add(1))?;
        let words: Vec<u32> = numbers(block, "cat_threshold", boundaries.last().copied().unwrap_or(0))?;
        for bounds in boundaries.windows(2) {
            let words = words.get(bounds[0]..bounds[1]).ok_or("`cat_boundaries` do not ascend")?;
            self.sets.push(members(words)?);
        }
        Ok(first)
    }
}

/// The set that a question names by its number within the tree.
fn set_number(threshold: f64, first: usize, sets: usize) -> Result<u32, String> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "compared with the original")]
    let within = threshold as usize;
    #[expect(clippy::cast_precision_loss, reason = "compared with what it came from")]
    let is_whole = within as f64 == threshold;
    let set = first.saturating_add(within);
    if !is_whole || set >= sets {
        return Err(format!("there is no set {threshold} of categories"));
    }
    u32::try_from(set).map_err(|_| "it has too many sets of categories".into())
}

/// The numbers of the bits that are set.
fn members(words: &[u32]) -> Result<Vec<u32>, String> {
    let mut members = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let first = u32::try_from(at * 32).map_err(|_| "a set has too many categories".to_owned())?;
        members.extend((0..32).filter(|bit| word >> bit & 1 == 1).map(|bit| first + bit));
    }
    Ok(members)
}
