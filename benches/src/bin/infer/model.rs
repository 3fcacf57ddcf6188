//! 100 trees of 31 leaves over 28 numbers, and a row for it.

use mainspring_kernel::{ARTIFACT_FORMAT, Body, Encoding, Input, Less, Link, ModelArtifact, Node, Tree, TreeEnsemble};
use mainspring_spec::{DataType, Task};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

pub const COLUMNS: u32 = 28;
const TREES: usize = 100;
const LEAVES: usize = 31;

pub fn artifact() -> ModelArtifact {
    let mut random = SmallRng::seed_from_u64(7);
    ModelArtifact {
        format: ARTIFACT_FORMAT,
        task: Task::Binary,
        classes: vec![],
        inputs: (0..COLUMNS)
            .map(|number| Input {
                name: format!("x{number}"),
                data_type: DataType::Float64,
                encoding: Encoding::Number,
            })
            .collect(),
        body: Body::Trees(TreeEnsemble {
            outputs: 1,
            base: vec![0.0],
            trees: (0..TREES).map(|_| tree(&mut random)).collect(),
            ..TreeEnsemble::default()
        }),
        link: Link::Logistic,
    }
}

fn tree(random: &mut SmallRng) -> Tree {
    let mut nodes = vec![Node::Leaf { value: 0.0 }];
    let mut leaves: Vec<u32> = vec![0];
    while leaves.len() < LEAVES {
        let at = leaves.swap_remove(random.random_range(0..leaves.len()));
        let left = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
        nodes.extend([(); 2].map(|()| Node::Leaf { value: random.random_range(-0.1..0.1) }));
        leaves.extend([left, left + 1]);
        nodes[at as usize] = Node::Split {
            feature: random.random_range(0..COLUMNS),
            threshold: random.random(),
            less: Less::Strict,
            left,
            right: left + 1,
            missing: left,
        };
    }
    Tree { output: 0, nodes }
}

/// Rows of inputs, of at most six decimals.
pub fn numbers(rows: usize) -> Vec<f64> {
    all_digits(rows).into_iter().map(|number| (number * 1e6).round() / 1e6).collect()
}

/// The same before they are rounded: as JSON each takes some 18 digits, as what is computed does.
pub fn all_digits(rows: usize) -> Vec<f64> {
    let mut random = SmallRng::seed_from_u64(11);
    (0..rows * COLUMNS as usize).map(|_| random.random()).collect()
}

/// The request in JSON: all inputs as one tensor.
pub fn request(numbers: &[f64]) -> String {
    let shape = [numbers.len() / COLUMNS as usize, COLUMNS as usize];
    let input = serde_json::json!({ "name": "input", "shape": shape, "datatype": "FP64", "data": numbers });
    serde_json::json!({ "inputs": [input] }).to_string()
}

/// The JSON before a tensor that follows as bytes, and is answered as bytes.
pub fn binary_head(rows: usize, datatype: &str, bytes: usize) -> String {
    let parameters = serde_json::json!({ "binary_data_size": bytes });
    let input = serde_json::json!({
        "name": "input", "shape": [rows, COLUMNS], "datatype": datatype, "parameters": parameters,
    });
    serde_json::json!({ "inputs": [input], "parameters": { "binary_data_output": true } }).to_string()
}
