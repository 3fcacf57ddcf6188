//! The rules of an artifact. After these checks the scorer trusts every index.

use std::collections::HashSet;

use mainspring_spec::Task;

use super::{ARTIFACT_FORMAT, Body, Encoding, Link, ModelArtifact, Node, Tree};
use crate::Error;

/// The most inputs; a table of this many columns is beyond what the lake is made for.
pub(crate) const INPUTS_MAX: usize = 65_536;
/// The most numbers in an encoded row: 8 MB a row.
const COLUMNS_MAX: usize = 1 << 20;
/// The most classes; each answer carries a probability for each.
pub(crate) const CLASSES_MAX: usize = 10_000;
/// The most trees.
const TREES_MAX: usize = 1_000_000;
/// The most nodes of all trees together: 400 MB compiled.
const NODES_MAX: usize = 1 << 24;
/// The most categories in all sets together: 64 MB as lists.
const SET_MEMBERS_MAX: usize = 1 << 24;

impl ModelArtifact {
    /// Checks that all sizes agree, all numbers are finite, and every tree is one.
    ///
    /// # Errors
    /// Names the first rule that is broken, and where.
    pub fn validate(&self) -> Result<(), Error> {
        if self.format != ARTIFACT_FORMAT {
            return Err(Error::Format { found: self.format, known: ARTIFACT_FORMAT });
        }
        self.check_inputs()?;
        self.check_outputs()?;
        let columns = self.columns();
        match &self.body {
            Body::Trees(ensemble) => {
                ensure(ensemble.base.len() == ensemble.outputs, || {
                    format!("there are {} base scores for {} outputs", ensemble.base.len(), ensemble.outputs)
                })?;
                finite("base score", &ensemble.base)?;
                at_most("trees", ensemble.trees.len(), TREES_MAX)?;
                at_most("nodes", ensemble.trees.iter().map(|tree| tree.nodes.len()).sum(), NODES_MAX)?;
                check_sets(&ensemble.sets)?;
                for (number, tree) in ensemble.trees.iter().enumerate() {
                    ensure(tree.output < ensemble.outputs, || {
                        format!("tree {number} adds to output {} of {}", tree.output, ensemble.outputs)
                    })?;
                    check_tree(tree, columns, ensemble.sets.len())
                        .map_err(|rule| Error::Invalid(format!("tree {number}: {rule}")))?;
                }
            }
            Body::Linear(linear) => {
                ensure(linear.weights.len() == linear.bias.len(), || {
                    format!("there are {} rows of weights for {} outputs", linear.weights.len(), linear.bias.len())
                })?;
                finite("bias", &linear.bias)?;
                for (output, weights) in linear.weights.iter().enumerate() {
                    ensure(weights.len() == columns, || {
                        format!("output {output} has {} weights for {columns} columns", weights.len())
                    })?;
                    finite("weight", weights)?;
                }
            }
            Body::Constant(scores) => finite("constant score", scores)?,
        }
        Ok(())
    }

    fn check_inputs(&self) -> Result<(), Error> {
        at_most("inputs", self.inputs.len(), INPUTS_MAX)?;
        at_most("columns", self.columns(), COLUMNS_MAX)?;
        let mut names = HashSet::with_capacity(self.inputs.len());
        for input in &self.inputs {
            ensure(!input.name.is_empty(), || "an input has no name".into())?;
            ensure(names.insert(&input.name), || format!("two inputs are called `{}`", input.name))?;
            match &input.encoding {
                Encoding::Number | Encoding::ZeroIsMissing => {}
                Encoding::Category { values } | Encoding::OneHot { values } => {
                    distinct(values).map_err(|value| {
                        Error::Invalid(format!("input `{}` lists the value `{value}` twice", input.name))
                    })?;
                }
                Encoding::Standard { mean, deviation, fill } => {
                    finite("mean, deviation or fill", &[*mean, *deviation, *fill])?;
                    ensure(*deviation > 0.0, || format!("input `{}` has a deviation of {deviation}", input.name))?;
                }
            }
        }
        Ok(())
    }

    fn check_outputs(&self) -> Result<(), Error> {
        let (outputs, classes) = (self.body.outputs(), self.classes.len());
        at_most("classes", classes, CLASSES_MAX)?;
        distinct(&self.classes).map_err(|class| Error::Invalid(format!("two classes are called `{class}`")))?;
        let (shape_holds, link_fits) = match self.task {
            Task::Binary => (
                outputs == 1 && (classes == 0 || classes == 2),
                matches!(self.link, Link::Identity | Link::Logistic | Link::Step),
            ),
            Task::Multiclass => (
                outputs == classes && classes >= 2,
                matches!(self.link, Link::Identity | Link::Logistic | Link::Softmax | Link::Independent),
            ),
            Task::Regression => (outputs == 1 && classes == 0, !matches!(self.link, Link::Softmax | Link::Independent)),
        };
        ensure(shape_holds, || format!("a {:?} model cannot have {outputs} outputs and {classes} classes", self.task))?;
        ensure(link_fits, || format!("a {:?} model cannot have the link {:?}", self.task, self.link))?;
        if self.task != Task::Regression && self.link == Link::Identity {
            let shares = matches!(&self.body, Body::Constant(p) if p.iter().all(|p| (0.0..=1.0).contains(p)));
            ensure(shares, || "only constant probabilities from 0 to 1 may go without a link".into())?;
        }
        Ok(())
    }
}

/// Checks that sets are sorted, so that they can be searched, and not too many in all.
fn check_sets(sets: &[Vec<u32>]) -> Result<(), Error> {
    at_most("sets of categories", sets.len(), NODES_MAX)?;
    at_most("categories in sets", sets.iter().map(Vec::len).sum(), SET_MEMBERS_MAX)?;
    let unsorted = sets.iter().position(|set| !set.is_sorted_by(|before, after| before < after));
    unsorted.map_or(Ok(()), |number| Err(Error::Invalid(format!("set {number} is not in ascending order"))))
}

/// Checks that the nodes are a tree rooted in the first one: children lie after their parent, so no way is endless, and
/// none is shared, so compiling it takes no more room than it has. Nodes that nothing leads to are allowed.
fn check_tree(tree: &Tree, columns: usize, sets: usize) -> Result<(), String> {
    if tree.nodes.is_empty() {
        return Err("it has no nodes".into());
    }
    let mut has_parent = vec![false; tree.nodes.len()];
    for (number, node) in tree.nodes.iter().enumerate() {
        let (feature, children, missing) = match *node {
            Node::Leaf { value } if value.is_finite() => continue,
            Node::Leaf { .. } => return Err(format!("leaf {number} is not a finite number")),
            Node::Split { threshold, .. } if !threshold.is_finite() => {
                return Err(format!("the threshold of node {number} is not a finite number"));
            }
            Node::Among { set, .. } if set as usize >= sets => {
                return Err(format!("node {number} asks for set {set} of {sets}"));
            }
            Node::Split { feature, left, right, missing, .. } => (feature, [left, right], missing),
            Node::Among { feature, inside, outside, missing, .. } => (feature, [inside, outside], missing),
        };
        if feature as usize >= columns {
            return Err(format!("node {number} asks for column {feature} of {columns}"));
        }
        let third = (!children.contains(&missing)).then_some(missing);
        for child in children.into_iter().chain(third) {
            let child = child as usize;
            if child <= number || child >= tree.nodes.len() {
                return Err(format!(
                    "node {number} leads to node {child}, which must lie after it and before {}",
                    tree.nodes.len()
                ));
            }
            if std::mem::replace(&mut has_parent[child], true) {
                return Err(format!("two ways lead to node {child}"));
            }
        }
    }
    Ok(())
}

fn ensure(holds: bool, rule: impl FnOnce() -> String) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::Invalid(rule())) }
}

fn at_most(what: &str, found: usize, most: usize) -> Result<(), Error> {
    ensure(found <= most, || format!("it has {found} {what}, more than the {most} allowed"))
}

fn finite(what: &str, numbers: &[f64]) -> Result<(), Error> {
    ensure(numbers.iter().all(|number| number.is_finite()), || format!("a {what} is not a finite number"))
}

fn distinct(values: &[String]) -> Result<(), &String> {
    let mut seen = HashSet::with_capacity(values.len());
    values.iter().find(|value| !seen.insert(*value)).map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::{Input, Less, LinearModel, TreeEnsemble};

    fn artifact(nodes: Vec<Node>) -> ModelArtifact {
        ModelArtifact {
            format: ARTIFACT_FORMAT,
            task: Task::Regression,
            classes: vec![],
            inputs: vec![Input {
                name: "x".into(),
                data_type: mainspring_spec::DataType::Float64,
                encoding: Encoding::Number,
            }],
            body: Body::Trees(TreeEnsemble {
                outputs: 1,
                base: vec![0.0],
                trees: vec![Tree { output: 0, nodes }],
                ..TreeEnsemble::default()
            }),
            link: Link::Identity,
        }
    }

    fn split(feature: u32, threshold: f64, left: u32, right: u32, missing: u32) -> Node {
        Node::Split { feature, threshold, less: Less::Strict, left, right, missing }
    }

    const LEAF: Node = Node::Leaf { value: 1.0 };

    #[test]
    fn each_broken_rule_of_a_tree_is_named() {
        for (nodes, rule) in [
            (vec![], "has no nodes"),
            (vec![split(0, 1.0, 0, 1, 1), LEAF], "leads to node 0"),
            (vec![split(0, 1.0, 1, 3, 1), LEAF, LEAF], "leads to node 3"),
            (vec![split(0, 1.0, 1, 1, 1), LEAF], "two ways"),
            (vec![split(0, 1.0, 1, 2, 1), split(0, 1.0, 2, 3, 3), LEAF, LEAF], "two ways"),
            (vec![split(7, 1.0, 1, 2, 1), LEAF, LEAF], "column 7 of 1"),
            (vec![split(0, f64::NAN, 1, 2, 1), LEAF, LEAF], "threshold"),
            (vec![Node::Leaf { value: f64::INFINITY }], "leaf 0"),
        ] {
            let error = artifact(nodes).validate().unwrap_err().to_string();
            assert!(error.contains(rule), "expected `{rule}` in: {error}");
        }
        artifact(vec![split(0, 1.0, 1, 2, 3), LEAF, LEAF, LEAF]).validate().unwrap();
    }

    #[test]
    fn sizes_tasks_and_links_must_agree() {
        let good = artifact(vec![LEAF]);
        let mut wrong = vec![
            ModelArtifact { classes: vec!["a".into()], ..good.clone() },
            ModelArtifact { link: Link::Softmax, ..good.clone() },
            ModelArtifact { task: Task::Multiclass, ..good.clone() },
            ModelArtifact { inputs: vec![good.inputs[0].clone(), good.inputs[0].clone()], ..good.clone() },
            ModelArtifact {
                body: Body::Linear(LinearModel { weights: vec![vec![1.0, 2.0]], bias: vec![0.0] }),
                ..good.clone()
            },
            ModelArtifact { body: Body::Constant(vec![f64::NAN]), ..good.clone() },
            ModelArtifact { body: Body::Constant(vec![]), ..good.clone() },
        ];
        let mut deviation = good.clone();
        deviation.inputs[0].encoding = Encoding::Standard { mean: 0.0, deviation: 0.0, fill: 0.0 };
        wrong.push(deviation);
        let mut twice = good.clone();
        twice.inputs[0].encoding = Encoding::Category { values: vec!["UA".into(), "UA".into()] };
        wrong.push(twice);

        good.validate().unwrap();
        for artifact in wrong {
            assert!(artifact.validate().is_err(), "{artifact:?}");
        }
    }
}
