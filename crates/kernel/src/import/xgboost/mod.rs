//! XGBoost's models (<https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html>), versions 1 to 3: one
//! schema, written as JSON or as Universal Binary JSON.
//!
//! XGBoost computes in 32-bit floats. A value is rounded to one before it is compared, which is the same as comparing it
//! with the number where that rounding turns (see [`threshold`]); leaves are added up in 32 bits by the kernel.

mod objective;
mod schema;
mod threshold;
mod tree;
mod ubjson;

use mainspring_spec::{DataType, Task};
use serde::Deserialize;

use super::numbered;
use crate::artifact::{
    ARTIFACT_FORMAT, Body, CLASSES_MAX, Encoding, INPUTS_MAX, Input, ModelArtifact, Precision, TreeEnsemble,
};
use objective::Objective;
use schema::{Booster, Forest, Learner, Model};
use tree::Reader;

pub(super) fn from_json(bytes: &[u8]) -> Result<(ModelArtifact, String), String> {
    let model: Model = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    convert(model.learner)
}

pub(super) fn from_ubjson(bytes: &[u8]) -> Result<(ModelArtifact, String), String> {
    let mut reader = ubjson::Reader::new(bytes);
    let model = Model::deserialize(&mut reader).map_err(|error| error.to_string())?;
    convert(model.learner)
}

fn convert(learner: Learner) -> Result<(ModelArtifact, String), String> {
    let objective = Objective::of(&learner.objective.name)?;
    let param = &learner.learner_model_param;
    let targets = param.num_target.unwrap_or(1).max(1);
    if targets > 1 {
        return Err(format!("it predicts {targets} targets at once; one is run"));
    }
    let outputs = param.num_class.max(1);
    if outputs > CLASSES_MAX {
        return Err(format!("it has {outputs} classes, more than the {CLASSES_MAX} allowed"));
    }
    if (outputs > 1) != (objective.task == Task::Multiclass) {
        return Err(format!("it has {outputs} scores for the objective `{}`", learner.objective.name));
    }
    let base = objective.base(&param.base_score, outputs)?;
    let inputs = inputs(&learner)?;
    let (forest, weights) = forest(&learner.gradient_booster)?;
    let kept = kept_trees(&learner, forest, outputs)?;

    let mut reader = Reader::new(inputs.len());
    let mut trees = Vec::with_capacity(kept);
    for (number, columns) in forest.trees.iter().take(kept).enumerate() {
        let output = forest.tree_info.get(number).copied().unwrap_or(0);
        let weight = weights.map_or(Ok(1.0), |weights| {
            weights.get(number).copied().ok_or_else(|| format!("tree {number} has no weight"))
        })?;
        trees.push(reader.read(columns, output, weight).map_err(|reason| format!("tree {number}: {reason}"))?);
    }
    let ensemble = TreeEnsemble { outputs, base, trees, sets: reader.sets, precision: Precision::Single };
    let classes = if objective.task == Task::Multiclass { numbered(outputs) } else { vec![] };
    let artifact = ModelArtifact {
        format: ARTIFACT_FORMAT,
        task: objective.task,
        classes,
        inputs,
        body: Body::Trees(ensemble),
        link: objective.link,
    };
    Ok((artifact, learner.objective.name))
}

/// The trees, and the weights that dropping out gave them.
fn forest(booster: &Booster) -> Result<(&Forest, Option<&[f32]>), String> {
    let missing = || format!("the booster `{}` has no trees", booster.name);
    match booster.name.as_str() {
        "gbtree" => Ok((booster.model.as_ref().ok_or_else(missing)?, None)),
        "dart" => {
            let inner = booster.gbtree.as_ref().and_then(|inner| inner.model.as_ref()).ok_or_else(missing)?;
            Ok((inner, Some(&booster.weight_drop)))
        }
        other => Err(format!("the booster `{other}` is not run here; `gbtree` and `dart` are")),
    }
}

/// How many trees the library uses by itself: a scikit-learn estimator stops at its best iteration, a booster does not.
fn kept_trees(learner: &Learner, forest: &Forest, outputs: usize) -> Result<usize, String> {
    let all = forest.trees.len();
    let best = learner.attributes.get("best_iteration").filter(|_| learner.attributes.contains_key("scikit_learn"));
    let Some(best) = best else { return Ok(all) };
    let best: usize = best.parse().map_err(|_| format!("its best iteration is `{best}`, which is no number"))?;
    let iterations = best.saturating_add(1);
    let trees = match &forest.iteration_indptr {
        Some(ends) if !ends.is_empty() => ends.get(iterations).copied().unwrap_or(all),
        _ => iterations.saturating_mul(forest.gbtree_model_param.num_parallel_tree.max(1)).saturating_mul(outputs),
    };
    Ok(trees.min(all))
}

fn inputs(learner: &Learner) -> Result<Vec<Input>, String> {
    let features = learner.learner_model_param.num_feature;
    let names = &learner.feature_names;
    if !names.is_empty() && names.len() != features {
        return Err(format!("it names {} features and has {features}", names.len()));
    }
    // what has no name takes room all the same
    if features > INPUTS_MAX {
        return Err(format!("it has {features} features, more than the {INPUTS_MAX} allowed"));
    }
    let categories = learner.gradient_booster.categories();
    (0..features)
        .map(|feature| {
            let name = names.get(feature).cloned().unwrap_or_else(|| format!("f{feature}"));
            let known = categories.and_then(|categories| categories.enc.get(feature)).map(schema::Categories::values);
            let known = known.transpose().map_err(|reason| format!("the categories of `{name}`: {reason}"))?.flatten();
            Ok(match known {
                Some((values, data_type)) => Input { name, data_type, encoding: Encoding::Category { values } },
                None => Input { name, data_type: DataType::Float64, encoding: Encoding::Number },
            })
        })
        .collect()
}
