//! Trees of other programs in our order: breadth first, children after their parent.

use crate::artifact::{Less, Node, Tree};

/// What is found at a place of another program's tree.
pub(super) enum Found {
    Leaf(f64),
    /// A question, with the places of what follows.
    Question {
        asks: Asks,
        yes: usize,
        no: usize,
        /// Whether what is missing goes where yes goes.
        missing_is_yes: bool,
    },
}

pub(super) enum Asks {
    Below { feature: u32, threshold: f64, less: Less },
    Among { feature: u32, set: u32 },
}

/// Puts a tree in our order, from the root at `root`. A tree has at most `places`; more are met only when ways lead back.
pub(super) fn lay_out(
    output: usize,
    root: usize,
    places: usize,
    mut look: impl FnMut(usize) -> Result<Found, String>,
) -> Result<Tree, String> {
    let mut waiting = vec![root];
    let mut nodes: Vec<Node> = Vec::new();
    while let Some(&place) = waiting.get(nodes.len()) {
        let node = match look(place)? {
            Found::Leaf(value) => Node::Leaf { value },
            Found::Question { asks, yes, no, missing_is_yes } => {
                let first = u32::try_from(waiting.len()).map_err(|_| "it has too many nodes".to_owned())?;
                waiting.extend([yes, no]);
                if waiting.len() > places {
                    return Err("its nodes are not a tree: a way leads back, or two ways lead to one node".into());
                }
                let missing = if missing_is_yes { first } else { first + 1 };
                match asks {
                    Asks::Below { feature, threshold, less } => {
                        Node::Split { feature, threshold, less, left: first, right: first + 1, missing }
                    }
                    Asks::Among { feature, set } => {
                        Node::Among { feature, set, inside: first, outside: first + 1, missing }
                    }
                }
            }
        };
        nodes.push(node);
    }
    Ok(Tree { output, nodes })
}
