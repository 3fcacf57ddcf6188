//! Gradient-boosted trees: rounds of one tree for each output, grown by `forust-ml` on binned columns.
//!
//! The rounds are driven here rather than by forust's own booster, because that knows one output only, and neither reports
//! each round nor softmax. Trees, bins and splits are forust's (XGBoost's algorithm on histograms). All sums are made in
//! an order that does not depend on threads, so the same rows and parameters give the same trees.

use forust_ml::binning::bin_matrix;
use forust_ml::constraints::ConstraintMap;
use forust_ml::data::Matrix;
use forust_ml::gradientbooster::GrowPolicy;
use forust_ml::sampler::SampleMethod;
use forust_ml::splitter::MissingImputerSplitter;
use forust_ml::tree::{Tree, TreeRows};
use mainspring_kernel::{Body, Less, Link, Node, TreeEnsemble};
use mainspring_spec::{BoostedTrees, Task};
use rand::rngs::StdRng;
use rand::seq::index;
use rand::{Rng, SeedableRng};

use super::objective::{Derivatives, Objective};
use super::{Fitted, Problem, Step, importance, input_of_columns};
use crate::{Error, Result};

/// The bins of a column: what XGBoost and LightGBM take.
const BINS: u16 = 256;

/// A tree and the output that it adds to.
struct Grown {
    output: usize,
    tree: Tree,
}

pub(super) fn check(model: &str, params: &BoostedTrees) -> Result<()> {
    let out_of = |parameter: &'static str, found: String, range: &'static str| {
        Err(Error::Parameter { model: model.into(), parameter, found, range })
    };
    let share = |value: f64| value > 0.0 && value <= 1.0;
    match params {
        BoostedTrees { trees, .. } if !(1..=100_000).contains(trees) => {
            out_of("trees", trees.to_string(), "between 1 and 100000")
        }
        BoostedTrees { leaves, .. } if !(2..=65_536).contains(leaves) => {
            out_of("leaves", leaves.to_string(), "between 2 and 65536")
        }
        BoostedTrees { depth, .. } if !(1..=64).contains(depth) => {
            out_of("depth", depth.to_string(), "between 1 and 64")
        }
        BoostedTrees { learning_rate, .. } if !share(*learning_rate) => {
            out_of("learning_rate", learning_rate.to_string(), "above 0 and at most 1")
        }
        BoostedTrees { subsample, .. } if !share(*subsample) => {
            out_of("subsample", subsample.to_string(), "above 0 and at most 1")
        }
        BoostedTrees { columns_by_tree, .. } if !share(*columns_by_tree) => {
            out_of("columns_by_tree", columns_by_tree.to_string(), "above 0 and at most 1")
        }
        BoostedTrees { l2, .. } if !(l2.is_finite() && *l2 >= 0.0) => out_of("l2", l2.to_string(), "0 or more"),
        BoostedTrees { min_leaf_weight, .. } if !(min_leaf_weight.is_finite() && *min_leaf_weight >= 0.0) => {
            out_of("min_leaf_weight", min_leaf_weight.to_string(), "0 or more")
        }
        BoostedTrees { early_stopping_rounds: Some(0), .. } => {
            out_of("early_stopping_rounds", "0".into(), "at least 1, or left out")
        }
        _ => Ok(()),
    }
}

pub(super) fn fit(problem: Problem<'_>, params: &BoostedTrees, iteration: &dyn Fn(f64)) -> Result<Fitted> {
    let objective = Objective::of(problem.task);
    let base = objective.base(problem.outputs(), &problem.train.labels);
    let (mut grown, history, remarks) = boost(&problem, params, objective, &base, iteration)?;

    let best = best_round(&history, params.early_stopping_rounds);
    if let Some(best) = best {
        grown.truncate(best as usize * base.len());
    }
    let (gains, splits) = gains(&grown, &problem);
    let importance = importance(&problem.inputs, &gains, &splits);
    let trees = grown.iter().map(|grown| convert(&grown.tree, grown.output)).collect();
    Ok(Fitted {
        inputs: problem.inputs,
        body: Body::Trees(TreeEnsemble { outputs: base.len(), base, trees, ..TreeEnsemble::default() }),
        link: match problem.task {
            Task::Binary => Link::Logistic,
            Task::Multiclass => Link::Softmax,
            Task::Regression => Link::Identity,
        },
        history,
        importance,
        remarks,
        train: problem.train,
        validation: problem.validation,
    })
}

fn boost(
    problem: &Problem<'_>,
    params: &BoostedTrees,
    objective: Objective,
    base: &[f64],
    iteration: &dyn Fn(f64),
) -> Result<(Vec<Grown>, Vec<Step>, Vec<String>)> {
    let failed = |reason: String| Error::Trainer { model: problem.model.into(), trainer: "boosted_trees", reason };
    let (train, validation) = (&problem.train, &problem.validation);
    let data = Matrix::new(&train.values, train.rows, train.columns);
    let held_back = Matrix::new(&validation.values, validation.rows, validation.columns);
    let weights = vec![1.0; train.rows];
    let binned = bin_matrix(&data, &weights, BINS, f64::NAN, true).map_err(|error| failed(error.to_string()))?;
    drop(weights);
    let bins = Matrix::new(&binned.binned_data, train.rows, train.columns);
    let splitter = splitter(params);
    let mut draw = Draw::new(problem.seed, params, train.rows, train.columns);
    let method = if draw.samples_rows() { SampleMethod::Random } else { SampleMethod::None };

    let mut scores: Vec<Vec<f64>> = base.iter().map(|base| vec![*base; train.rows]).collect();
    let mut held_scores: Vec<Vec<f64>> = base.iter().map(|base| vec![*base; validation.rows]).collect();
    let mut derivatives = Derivatives::new(base.len(), train.rows);
    let (train_key, validation_key) = match objective.metric() {
        "rmse" => ("train_rmse", "validation_rmse"),
        _ => ("train_log_loss", "validation_log_loss"),
    };
    let (mut grown, mut history, mut remarks): (Vec<Grown>, Vec<Step>, Vec<String>) = (vec![], vec![], vec![]);
    let (mut best, mut best_at) = (f64::INFINITY, 0);
    for round in 1..=params.trees {
        objective.derive(&scores, &train.labels, &mut derivatives);
        let (rows, columns) = (draw.rows(), draw.columns());
        for output in 0..base.len() {
            let mut tree = Tree::new();
            let placed = tree.fit(
                &bins,
                rows.clone(),
                &columns,
                &binned.cuts,
                &derivatives.slope[output],
                &derivatives.curvature[output],
                &splitter,
                params.leaves as usize,
                params.depth as usize,
                true,
                &method,
                &GrowPolicy::LossGuide,
            );
            let placed = placed.filter(|_| !draw.samples_rows());
            add(&tree, placed, &data, &mut scores[output]);
            add(&tree, None, &held_back, &mut held_scores[output]);
            grown.push(Grown { output, tree });
        }
        history.push(Step { key: train_key, iteration: round, value: objective.loss(&scores, &train.labels) });
        iteration(f64::from(round) / f64::from(params.trees));
        if validation.rows == 0 {
            continue;
        }
        let loss = objective.loss(&held_scores, &validation.labels);
        history.push(Step { key: validation_key, iteration: round, value: loss });
        if loss < best {
            (best, best_at) = (loss, round);
        } else if params.early_stopping_rounds.is_some_and(|patience| round - best_at >= patience) {
            remarks.push(format!("stopped after {round} rounds: the best validation loss was that of round {best_at}"));
            break;
        }
    }
    Ok((grown, history, remarks))
}

/// The round with the least validation loss, where one may stop early.
fn best_round(history: &[Step], patience: Option<u32>) -> Option<u32> {
    patience?;
    let validation = history.iter().filter(|step| step.key.starts_with("validation"));
    validation.min_by(|a, b| a.value.total_cmp(&b.value)).map(|step| step.iteration)
}

/// Adds a tree's leaves to scores: by the rows it left in each leaf, or by walking it.
fn add(tree: &Tree, placed: Option<TreeRows>, data: &Matrix<f64>, scores: &mut [f64]) {
    if let Some(placed) = placed {
        for (rows, leaf) in placed.leaves(tree) {
            for row in rows {
                scores[*row] += leaf;
            }
        }
    } else if data.rows > 0 {
        for (score, leaf) in scores.iter_mut().zip(tree.predict(data, true, &f64::NAN)) {
            *score += leaf;
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "forust takes its parameters with 32 bits")]
fn splitter(params: &BoostedTrees) -> MissingImputerSplitter {
    MissingImputerSplitter {
        l1: 0.0,
        l2: params.l2 as f32,
        max_delta_step: 0.0,
        gamma: 0.0,
        min_leaf_weight: params.min_leaf_weight as f32,
        learning_rate: params.learning_rate as f32,
        allow_missing_splits: true,
        constraints_map: ConstraintMap::new(),
    }
}

/// Draws the rows and columns that each round sees.
struct Draw {
    random: StdRng,
    row_count: usize,
    column_count: usize,
    row_share: f64,
    column_share: f64,
}

impl Draw {
    fn new(seed: u64, params: &BoostedTrees, row_count: usize, column_count: usize) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            row_count,
            column_count,
            row_share: params.subsample,
            column_share: params.columns_by_tree,
        }
    }

    fn samples_rows(&self) -> bool {
        self.row_share < 1.0
    }

    fn rows(&mut self) -> Vec<usize> {
        if !self.samples_rows() {
            return (0..self.row_count).collect();
        }
        let share = self.row_share;
        let drawn: Vec<usize> = (0..self.row_count).filter(|_| self.random.random::<f64>() < share).collect();
        if drawn.is_empty() { (0..self.row_count).collect() } else { drawn }
    }

    fn columns(&mut self) -> Vec<usize> {
        if self.column_share >= 1.0 {
            return (0..self.column_count).collect();
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count")]
        let amount =
            ((self.column_count as f64 * self.column_share).round() as usize).clamp(1, self.column_count.max(1));
        let mut drawn = index::sample(&mut self.random, self.column_count, amount.min(self.column_count)).into_vec();
        drawn.sort_unstable();
        drawn
    }
}

/// What each input gained over all trees, and in how many splits.
fn gains(grown: &[Grown], problem: &Problem<'_>) -> (Vec<f64>, Vec<u64>) {
    let input_of = input_of_columns(&problem.inputs);
    let (mut gains, mut splits) = (vec![0.0; problem.inputs.len()], vec![0; problem.inputs.len()]);
    for node in grown.iter().flat_map(|grown| &grown.tree.nodes).filter(|node| !node.is_leaf) {
        if let Some(input) = input_of.get(node.split_feature) {
            gains[*input] += f64::from(node.split_gain.max(0.0));
            splits[*input] += 1;
        }
    }
    (gains, splits)
}

/// A tree in the words of the artifact.
#[expect(clippy::cast_possible_truncation, reason = "a tree has at most twice 65536 nodes, a row at most 2^32 columns")]
fn convert(tree: &Tree, output: usize) -> mainspring_kernel::Tree {
    let nodes = tree
        .nodes
        .iter()
        .map(|node| {
            if node.is_leaf {
                return Node::Leaf { value: f64::from(node.weight_value) };
            }
            Node::Split {
                feature: node.split_feature as u32,
                threshold: node.split_value,
                less: Less::Strict,
                left: node.left_child as u32,
                right: node.right_child as u32,
                missing: node.missing_node as u32,
            }
        })
        .collect();
    mainspring_kernel::Tree { output, nodes }
}

#[cfg(test)]
#[path = "boosting_tests.rs"]
mod tests;
