//! `models/*.yaml`: label, features, split, trainer, gates, slices.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A model: what it predicts, from what, how it is trained, and what a version must reach.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The model's name.
    #[serde(rename = "model")]
    pub name: String,
    /// What it predicts, in a sentence.
    #[serde(default)]
    pub description: String,
    /// The kind of prediction.
    pub task: Task,
    /// The rows to learn from: who, when, and what came of it.
    pub observations: Observations,
    /// What it is given: names of features, or `view.*` for all of a view, or names of the observation's own columns.
    pub features: Vec<String>,
    /// How rows are parted into training, validation and test.
    #[serde(default)]
    pub split: Split,
    /// The algorithm and its parameters.
    pub trainer: Trainer,
    /// The seed of everything random in training.
    #[serde(default)]
    pub seed: u64,
    /// What a version must reach on the test rows before an alias may name it.
    #[serde(default)]
    pub gates: Vec<Gate>,
    /// Columns whose values part the evaluation.
    #[serde(default)]
    pub slices: Vec<String>,
    /// Who gives a version that passes its gates the alias `champion`.
    #[serde(default)]
    pub promote: Promote,
}

/// The kind of prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// The probability of true.
    Binary,
    /// A probability for each class.
    Multiclass,
    /// A number.
    Regression,
}

/// The rows to learn from. Every column that is neither label nor time may be an entity key or a request field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Observations {
    /// The source or SQL view that holds them.
    pub from: String,
    /// A SQL condition; others are left out.
    #[serde(rename = "where")]
    pub filter: Option<String>,
    /// A SQL expression for the moment of the prediction: nothing known later may be used. Left out when rows have no time.
    pub at: Option<String>,
    /// A SQL expression for the label; rows where it is null are not learned from.
    pub label: String,
    /// A SQL expression for the moment at which the label became known. By default the moment of the prediction.
    pub label_known_at: Option<String>,
    /// The columns that name a prediction, by which a label is joined to it later. By default the source's key.
    #[serde(default)]
    pub key: Vec<String>,
}

/// How rows are parted into training, validation and test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// What the parts are cut by.
    pub by: SplitBy,
    /// For `group`: the column whose values stay together.
    pub column: Option<String>,
    /// For `time`: rows at or after this RFC 3339 time are the test; instead of `test`.
    pub test_from: Option<String>,
    /// The share of rows, groups or time-ordered rows for the test.
    #[serde(default = "fifth")]
    pub test: f64,
    /// The share of the training rows held back to stop early; the latest ones when split by time.
    #[serde(default = "tenth")]
    pub validation: f64,
}

fn fifth() -> f64 {
    0.2
}

fn tenth() -> f64 {
    0.1
}

impl Default for Split {
    fn default() -> Self {
        Self { by: SplitBy::Random, column: None, test_from: None, test: fifth(), validation: tenth() }
    }
}

/// What the parts of a split are cut by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SplitBy {
    /// The moment of the prediction: the test is what came last.
    Time,
    /// A hash of a column: equal values stay in one part.
    Group,
    /// A seeded draw.
    Random,
}

/// An algorithm with its parameters; exactly one key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trainer {
    /// Gradient-boosted trees.
    BoostedTrees(BoostedTrees),
    /// Logistic regression (binary or multinomial) on standardised inputs.
    LogisticRegression(Linear),
    /// Linear regression on standardised inputs.
    LinearRegression(Linear),
    /// Always the mean, or the class shares, of the training labels.
    Constant(Constant),
}

/// Parameters of gradient-boosted trees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BoostedTrees {
    /// The most trees.
    pub trees: u32,
    /// The most leaves of a tree.
    pub leaves: u32,
    /// The deepest a tree may be.
    pub depth: u32,
    /// How much of each tree's step is taken.
    pub learning_rate: f64,
    /// Penalty on the squares of leaf values.
    pub l2: f64,
    /// The least sum of hessians in a leaf.
    pub min_leaf_weight: f64,
    /// The share of rows each tree sees.
    pub subsample: f64,
    /// The share of columns each tree sees.
    pub columns_by_tree: f64,
    /// Trees without a better validation loss before training stops. Left out: all trees are grown.
    pub early_stopping_rounds: Option<u32>,
}

impl Default for BoostedTrees {
    fn default() -> Self {
        Self {
            trees: 100,
            leaves: 31,
            depth: 8,
            learning_rate: 0.1,
            l2: 1.0,
            min_leaf_weight: 1.0,
            subsample: 1.0,
            columns_by_tree: 1.0,
            early_stopping_rounds: Some(20),
        }
    }
}

/// Parameters of the linear models.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Linear {
    /// Penalty on the squares of weights.
    pub l2: f64,
    /// The most passes.
    pub iterations: u64,
}

impl Default for Linear {
    fn default() -> Self {
        Self { l2: 1.0, iterations: 100 }
    }
}

/// The constant baseline has no parameters.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Constant {}

/// What a version must reach: a bound on a metric of the test rows, or against the version that has the alias now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// The metric: `auc`, `log_loss`, `brier`, `accuracy`, `rmse`, `mae`, `r2`.
    pub metric: String,
    /// The least value allowed.
    pub min: Option<f64>,
    /// The greatest value allowed.
    pub max: Option<f64>,
    /// How much worse than the current champion it may be; 0 means at least as good.
    pub worse_than_champion_by_at_most: Option<f64>,
}

/// Who gives a version that passes its gates the alias `champion`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Promote {
    /// A person, with `mainspring promote`.
    #[default]
    Manual,
    /// The run that trained it.
    Auto,
}
