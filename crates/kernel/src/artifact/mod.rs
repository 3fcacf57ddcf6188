//! What a model is made of.

mod bytes;
mod validate;
mod wire;

pub(crate) use validate::{CLASSES_MAX, INPUTS_MAX};

use mainspring_spec::{DataType, Task};
use serde::{Deserialize, Serialize};

/// The format written and read by this version.
pub const ARTIFACT_FORMAT: u32 = 1;

/// The most bytes an artifact may have: some 2 million splits, far beyond what boosting on tables needs.
pub const ARTIFACT_BYTES_MAX: usize = 256 << 20;

/// A model as data: how inputs become numbers, how numbers become a score, how a score becomes an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelArtifact {
    /// Always [`ARTIFACT_FORMAT`].
    pub format: u32,
    /// The kind of answer.
    pub task: Task,
    /// Binary: empty, or the names of false and true. Multiclass: the names of the classes, in the order of the outputs.
    /// Regression: empty.
    pub classes: Vec<String>,
    /// What is given, in order.
    pub inputs: Vec<Input>,
    /// What computes the scores.
    pub body: Body,
    /// What turns scores into the answer.
    pub link: Link,
}

/// An input, and the columns of the encoded row that it fills.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The feature's or column's name.
    pub name: String,
    /// The type it is declared with.
    pub data_type: DataType,
    /// How it becomes numbers.
    pub encoding: Encoding,
}

/// How a value becomes one or several numbers of the encoded row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Encoding {
    /// The number itself. True is 1; a timestamp is its microseconds since 1970, a date its days; null is NaN.
    Number,
    /// As [`Number`](Self::Number), but 0 also stands for what is not known and becomes NaN: LightGBM's `zero_as_missing`.
    ZeroIsMissing,
    /// The position of the text in a list; null and what is not in the list are NaN.
    Category {
        /// The known values.
        values: Vec<String>,
    },
    /// One column a value, 1 where it is equal and 0 elsewhere; null and what is not in the list are all 0.
    OneHot {
        /// The known values.
        values: Vec<String>,
    },
    /// `(x - mean) / deviation`.
    Standard {
        /// The mean of the training rows.
        mean: f64,
        /// Their standard deviation; above 0.
        deviation: f64,
        /// The `x` that stands in for null.
        fill: f64,
    },
}

impl Encoding {
    /// How many columns of the encoded row it fills.
    #[must_use]
    pub fn width(&self) -> usize {
        match self {
            Self::OneHot { values } => values.len(),
            Self::Number | Self::ZeroIsMissing | Self::Category { .. } | Self::Standard { .. } => 1,
        }
    }
}

/// What computes the scores of a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Body {
    /// Sums of tree leaves.
    Trees(TreeEnsemble),
    /// Weighted sums of the columns.
    Linear(LinearModel),
    /// The same scores for every row, one for each output.
    Constant(Vec<f64>),
}

/// Trees whose leaves are added up, in the order of the list, onto the base of their output.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TreeEnsemble {
    /// How many scores a row gets.
    pub outputs: usize,
    /// What each score starts from.
    pub base: Vec<f64>,
    /// The trees.
    pub trees: Vec<Tree>,
    /// The sets of categories that [`Node::Among`] names, each in ascending order without repetition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sets: Vec<Vec<u32>>,
    /// How the leaves are added up.
    #[serde(default, skip_serializing_if = "Precision::is_double")]
    pub precision: Precision,
}

/// The numbers in which leaves are added up. Sums differ in their last digits, and a score is the same as another program's
/// only in the numbers of that program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 64-bit floats, as forust and LightGBM have it.
    #[default]
    Double,
    /// 32-bit floats, as XGBoost has it.
    Single,
}

impl Precision {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
    fn is_double(&self) -> bool {
        *self == Self::Double
    }
}

/// A decision tree; the first node is the root.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tree {
    /// The score it adds to.
    pub output: usize,
    /// Its nodes. A split's children come after it, and no node has two parents, so following a row always ends.
    pub nodes: Vec<Node>,
}

/// A node of a tree.
///
/// In JSON a leaf is `[value]`, a split is `[feature, threshold, "<", "<=" or "any", left, right, missing]`, and a question about a
/// category is `[feature, set, "in", inside, outside, missing]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Node {
    /// The end of the way.
    Leaf {
        /// What is added to the score.
        value: f64,
    },
    /// A question about one column.
    Split {
        /// The column of the encoded row.
        feature: u32,
        /// What it is compared with; finite.
        threshold: f64,
        /// Whether equality goes left.
        less: Less,
        /// The node for smaller values.
        left: u32,
        /// The node for other values.
        right: u32,
        /// The node for NaN: `left`, `right`, or a third child.
        missing: u32,
    },
    /// A question about one column that holds categories by their numbers. A number's fraction is cut off; a number below 0
    /// is in no set.
    Among {
        /// The column of the encoded row.
        feature: u32,
        /// Which of [`TreeEnsemble::sets`].
        set: u32,
        /// The node for the set's categories.
        inside: u32,
        /// The node for other categories.
        outside: u32,
        /// The node for NaN: `inside`, `outside`, or a third child.
        missing: u32,
    },
}

/// The comparison that sends a value to the left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Less {
    /// `x < threshold`, as forust and XGBoost have it.
    #[serde(rename = "<")]
    Strict,
    /// `x <= threshold`, as LightGBM and scikit-learn have it.
    #[serde(rename = "<=")]
    OrEqual,
    /// Every number, whatever the threshold: only what is missing may go elsewhere.
    #[serde(rename = "any")]
    Any,
}

/// Weighted sums of the columns of the encoded row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinearModel {
    /// Shape `[outputs, columns]`.
    pub weights: Vec<Vec<f64>>,
    /// One for each output.
    pub bias: Vec<f64>,
}

/// What turns scores into the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// The scores are the answer.
    Identity,
    /// `1 / (1 + exp(-score))`. With several classes these are divided by their sum (one model against the rest each).
    Logistic,
    /// `exp(score)` divided by the sum over the classes.
    Softmax,
    /// `1 / (1 + exp(-score))` of each class by itself; the probabilities need not add up to 1.
    Independent,
    /// `exp(score)`: counts, amounts and rates.
    Exponential,
    /// `log(1 + exp(score))`.
    Softplus,
    /// `score * |score|`, for models that learned the square root.
    SignedSquare,
    /// 1 above 0, and 0 elsewhere.
    Step,
}

impl Body {
    /// How many scores a row gets.
    #[must_use]
    pub fn outputs(&self) -> usize {
        match self {
            Self::Trees(ensemble) => ensemble.outputs,
            Self::Linear(linear) => linear.bias.len(),
            Self::Constant(scores) => scores.len(),
        }
    }
}

impl ModelArtifact {
    /// How many numbers an encoded row has.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.inputs.iter().map(|input| input.encoding.width()).sum()
    }
}
