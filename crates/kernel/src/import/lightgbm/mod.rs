//! LightGBM's text (<https://lightgbm.readthedocs.io>, `src/boosting/gbdt_model_text.cpp` and `src/io/tree.cpp` of
//! versions 2 to 4): a header of `key=value` lines, a block of such lines for each tree, and the parameters of the training.

mod skops;
mod text;
mod tree;

use mainspring_spec::{DataType, Task};

use super::numbered;
use crate::artifact::{ARTIFACT_FORMAT, Body, Encoding, Input, Link, ModelArtifact, Node, Precision, TreeEnsemble};
use text::Text;
use tree::{Missing, Reader};

/// Reads the text of a booster.
pub(super) fn read(bytes: &[u8]) -> Result<(ModelArtifact, String), String> {
    let text = std::str::from_utf8(bytes).map_err(|error| format!("it is not UTF-8: {error}"))?;
    read_text(text)
}

/// Reads an estimator that skops wrote.
pub(super) fn from_skops(bytes: &[u8]) -> Result<(ModelArtifact, String), String> {
    let estimator = skops::estimator(bytes)?;
    let (mut model, objective) = read_text(&estimator.booster)?;
    if model.classes.len() == estimator.classes.len() {
        model.classes = estimator.classes;
    }
    Ok((model, objective))
}

fn read_text(text: &str) -> Result<(ModelArtifact, String), String> {
    let text = Text::parse(text)?;
    let names: Vec<&str> = text.required("feature_names")?.split_ascii_whitespace().collect();
    let features = text.number::<usize>("max_feature_idx")?.saturating_add(1);
    if names.len() != features {
        return Err(format!("it names {} features and has {features}", names.len()));
    }
    let per_iteration = text.number::<usize>("num_tree_per_iteration")?;
    if text.trees.is_empty() || per_iteration == 0 || text.trees.len() % per_iteration != 0 {
        return Err(format!("{} trees are not whole iterations of {per_iteration}", text.trees.len()));
    }
    let objective = text.value("objective").unwrap_or("custom");
    let Answer { task, link, scale } = answer(objective, per_iteration)?;
    let iterations = text.trees.len() / per_iteration;
    #[expect(clippy::cast_precision_loss, reason = "there are far fewer trees than 2^53")]
    let share = if text.has_flag("average_output") { scale / iterations.max(1) as f64 } else { scale };

    let mut reader = Reader::new(features);
    let mut trees = Vec::with_capacity(text.trees.len());
    for (number, block) in text.trees.iter().enumerate() {
        let mut tree =
            reader.read(block, number % per_iteration).map_err(|reason| format!("tree {number}: {reason}"))?;
        for node in &mut tree.nodes {
            if let Node::Leaf { value } = node {
                *value *= share;
            }
        }
        trees.push(tree);
    }
    let inputs = inputs(&names, &text, &reader.missing)?;
    let ensemble = TreeEnsemble {
        outputs: per_iteration,
        base: vec![0.0; per_iteration],
        trees,
        sets: reader.sets,
        precision: Precision::Double,
    };
    let classes = if task == Task::Multiclass { numbered(per_iteration) } else { vec![] };
    let body = Body::Trees(ensemble);
    let objective = objective.split_ascii_whitespace().next().unwrap_or_default().to_owned();
    Ok((ModelArtifact { format: ARTIFACT_FORMAT, task, classes, inputs, body, link }, objective))
}

struct Answer {
    task: Task,
    link: Link,
    /// What scores are multiplied by before the link.
    scale: f64,
}

/// What is predicted, and how scores become it.
fn answer(objective: &str, outputs: usize) -> Result<Answer, String> {
    let mut words = objective.split_ascii_whitespace();
    let name = words.next().unwrap_or_default();
    let sigmoid = words.clone().find_map(|word| word.strip_prefix("sigmoid:"));
    let (task, link) = match name {
        "binary" => (Task::Binary, Link::Logistic),
        "multiclass" | "softmax" => (Task::Multiclass, Link::Softmax),
        "multiclassova" | "multiclass_ova" | "ova" | "ovr" => (Task::Multiclass, Link::Independent),
        // these learn the root where `reg_sqrt` asks for it, and say so; the others leave it alone
        "regression" | "regression_l1" | "fair" | "quantile" | "mape" if words.any(|word| word == "sqrt") => {
            (Task::Regression, Link::SignedSquare)
        }
        "cross_entropy" | "xentropy" => (Task::Regression, Link::Logistic),
        "cross_entropy_lambda" | "xentlambda" => (Task::Regression, Link::Softplus),
        "poisson" | "gamma" | "tweedie" => (Task::Regression, Link::Exponential),
        "regression" | "regression_l2" | "regression_l1" | "huber" | "fair" | "quantile" | "mape" | "lambdarank"
        | "rank_xendcg" | "custom" | "none" => (Task::Regression, Link::Identity),
        other => return Err(format!("the objective `{other}` is not known; what its scores mean cannot be said")),
    };
    if task != Task::Multiclass && outputs != 1 {
        return Err(format!("it has {outputs} scores for the objective `{name}`; one is run"));
    }
    let scale = match sigmoid {
        Some(number) => number.parse::<f64>().ok().filter(|scale| scale.is_finite()),
        None => Some(1.0),
    };
    let scale = scale.ok_or_else(|| format!("the objective `{objective}` has a sigmoid that is no number"))?;
    Ok(Answer { task, link, scale })
}

fn inputs(names: &[&str], text: &Text<'_>, missing: &[Option<Missing>]) -> Result<Vec<Input>, String> {
    let mut inputs: Vec<Input> = names
        .iter()
        .zip(missing)
        .map(|(name, missing)| Input {
            name: (*name).to_owned(),
            data_type: DataType::Float64,
            encoding: match missing {
                Some(Missing::Zero) => Encoding::ZeroIsMissing,
                Some(Missing::Nothing | Missing::NaN) | None => Encoding::Number,
            },
        })
        .collect();
    for (feature, categories) in text.categories()? {
        let input = inputs.get_mut(feature).ok_or_else(|| format!("feature {feature} has categories and is none"))?;
        input.data_type = categories.data_type;
        input.encoding = Encoding::Category { values: categories.values };
    }
    Ok(inputs)
}
