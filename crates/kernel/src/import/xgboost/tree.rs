//! A tree.

use super::schema::{Columns, Flag};
use super::threshold::less_than_single;
use crate::artifact::{Less, Tree};
use crate::import::layout::{Asks, Found, lay_out};

/// A category from here on is none: 32-bit floats are whole numbers no longer without gaps.
const CATEGORIES_END: i64 = 1 << 24;

/// Reads trees, and gathers their sets of categories.
pub(super) struct Reader {
    features: usize,
    pub(super) sets: Vec<Vec<u32>>,
}

impl Reader {
    pub(super) fn new(features: usize) -> Self {
        Self { features, sets: Vec::new() }
    }

    /// Reads a tree whose leaves have a weight.
    pub(super) fn read(&mut self, columns: &Columns, output: usize, weight: f32) -> Result<Tree, String> {
        let vector = columns.tree_param.size_leaf_vector;
        if vector > 1 {
            return Err(format!("its leaves have {vector} values (`multi_output_tree`); one is run"));
        }
        let nodes = columns.left_children.len();
        let same = [
            ("right_children", columns.right_children.len()),
            ("split_indices", columns.split_indices.len()),
            ("split_conditions", columns.split_conditions.len()),
            ("default_left", columns.default_left.len()),
        ];
        for (name, found) in same {
            if found != nodes {
                return Err(format!("`{name}` has {found} numbers for {nodes} nodes"));
            }
        }
        if nodes == 0 {
            return Err("it has no nodes".into());
        }
        let sets = self.read_sets(columns, nodes)?;
        let place = |child: i64| {
            let place = usize::try_from(child).ok().filter(|place| *place < nodes);
            place.ok_or_else(|| format!("a way leads to node {child} of {nodes}"))
        };
        lay_out(output, 0, nodes, |at| {
            let condition = columns.split_conditions[at];
            if columns.left_children[at] == -1 {
                return Ok(Found::Leaf(f64::from(condition * weight)));
            }
            let (left, right) = (place(columns.left_children[at])?, place(columns.right_children[at])?);
            let (feature, Flag(default_left)) = (columns.split_indices[at], columns.default_left[at]);
            if feature as usize >= self.features {
                return Err(format!("node {at} asks for feature {feature} of {}", self.features));
            }
            if columns.split_type.get(at).is_some_and(|kind| *kind == 1) {
                let set = sets.get(at).copied().flatten().ok_or_else(|| format!("node {at} has no categories"))?;
                // the categories of a set go right
                let asks = Asks::Among { feature, set };
                return Ok(Found::Question { asks, yes: right, no: left, missing_is_yes: !default_left });
            }
            if !condition.is_finite() {
                return Err(format!("the threshold of node {at} is {condition}"));
            }
            let asks = Asks::Below { feature, threshold: less_than_single(condition), less: Less::Strict };
            Ok(Found::Question { asks, yes: left, no: right, missing_is_yes: default_left })
        })
    }

    /// Reads the sets of categories, and returns the number of each node's.
    fn read_sets(&mut self, columns: &Columns, nodes: usize) -> Result<Vec<Option<u32>>, String> {
        if columns.categories_nodes.is_empty() {
            return Ok(vec![]);
        }
        let mut of_nodes = vec![None; nodes];
        let segments = columns.categories_segments.iter().zip(&columns.categories_sizes);
        // sets lie one after the other: what they take is bounded by what was given
        let mut left = columns.categories.len();
        for (node, (first, size)) in columns.categories_nodes.iter().zip(segments) {
            let listed = columns.categories.get(*first..first.saturating_add(*size));
            let listed = listed.ok_or_else(|| format!("the categories of node {node} are not there"))?;
            left = left.checked_sub(listed.len()).ok_or("its sets have more categories than it lists")?;
            let mut set = Vec::with_capacity(listed.len());
            for category in listed {
                let category = u32::try_from(*category).ok().filter(|_| *category < CATEGORIES_END);
                set.push(category.ok_or_else(|| format!("node {node} has a category beyond {CATEGORIES_END}"))?);
            }
            set.sort_unstable();
            set.dedup();
            let number = u32::try_from(self.sets.len()).map_err(|_| "it has too many sets of categories".to_owned())?;
            let place = of_nodes.get_mut(*node).ok_or_else(|| format!("node {node} of {nodes} has categories"))?;
            *place = Some(number);
            self.sets.push(set);
        }
        Ok(of_nodes)
    }
}
