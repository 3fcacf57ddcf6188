//! Models: observations, inputs, split, trainer, gates, slices.

use std::collections::BTreeSet;

use super::context::{Context, Path};
use super::expression::{self, Scope};
use super::feature::check_table;
use super::metric::metrics;
use crate::diagnostic::{quote, suggest};
use crate::graph::{ObjectKind, ObjectRef};
use crate::model::{BoostedTrees, DataType, Linear, Model, SplitBy, Task, Trainer};
use crate::resolve::InputRef;
use crate::tree::Step;

pub(super) fn check(context: &mut Context<'_>, model: &Model) {
    let object = ObjectRef::new(ObjectKind::Model, &model.name);
    let project = context.project;
    let from = &model.observations.from;
    check_table(context, &object, &["observations".into(), "from".into()], from);
    let columns = project.table_columns(from).unwrap_or_default();
    let table = format!("source `{from}`");
    let scope = match project.sources.contains_key(from) {
        true => Scope::Exactly(&table, &columns),
        false => Scope::Unknown,
    };
    let label = check_observations(context, &object, model, scope);
    let inputs = check_features(context, &object, model);
    check_leak(context, &object, &label, &inputs);
    check_slices(context, &object, model, scope, &inputs);
    check_split(context, &object, model, scope);
    check_trainer(context, &object, model);
    check_gates(context, &object, model);
}

/// Checks the expressions over observations. Gives the columns that the label is made from.
fn check_observations(context: &mut Context<'_>, object: &ObjectRef, model: &Model, scope: Scope<'_>) -> Vec<String> {
    let observations = &model.observations;
    let to = |key: &'static str| [Step::Key("observations"), Step::Key(key)];
    for (key, text) in
        [("where", &observations.filter), ("at", &observations.at), ("label_known_at", &observations.label_known_at)]
    {
        if let Some(text) = text {
            expression::check(context, object, &to(key), text, scope);
        }
    }
    if let Scope::Exactly(table, fields) = scope {
        let known: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        for (at, column) in observations.key.iter().enumerate().filter(|(_, column)| !known.contains(&column.as_str()))
        {
            let path: Path<'_> = &["observations".into(), "key".into(), at.into()];
            context.report_column(object, path, table, column, &known);
        }
        for (key, text) in [("at", &observations.at), ("label_known_at", &observations.label_known_at)] {
            let problem = text.as_ref().and_then(|text| expression::cast_problem(text, fields, DataType::Timestamp));
            if let Some(problem) = problem {
                context.report(
                    object,
                    &to(key),
                    "impossible_cast",
                    problem,
                    "write an expression that gives a timestamp",
                );
            }
        }
    }
    expression::check(context, object, &to("label"), &observations.label, scope)
}

/// Checks each item of `features`. Gives what they mean.
fn check_features(context: &mut Context<'_>, object: &ObjectRef, model: &Model) -> Vec<InputRef> {
    if model.features.is_empty() {
        let help = "list features, `view.*`, or columns of the observations";
        context.report(object, &["features".into()], "empty_value", "the model is given nothing to learn from", help);
    }
    let mut inputs: Vec<InputRef> = Vec::new();
    let mut names = BTreeSet::new();
    for (at, item) in model.features.iter().enumerate() {
        let path: Path<'_> = &["features".into(), at.into()];
        let found = match context.project.resolve_input(model, item) {
            Ok(found) => found,
            Err(_) if context.any_unsure(&[ObjectKind::FeatureView, ObjectKind::Source]) => continue,
            Err(unresolved) => {
                let help = unresolved.help.unwrap_or_default();
                context.report(object, path, "unknown_feature", unresolved.message, help);
                continue;
            }
        };
        for input in found {
            if !names.insert(input.name().to_owned()) {
                let message = format!("the model already has an input called {}", quote(input.name()));
                let help = "leave one of the two out; inputs of a model have different names";
                context.report(object, path, "duplicate_input", message, help);
            }
            inputs.push(input);
        }
    }
    inputs
}

/// A column that the label is made from cannot be an input: it would tell the answer.
fn check_leak(context: &mut Context<'_>, object: &ObjectRef, label: &[String], inputs: &[InputRef]) {
    let own = inputs.iter().filter(|input| matches!(input, InputRef::Column { .. }));
    for input in own.filter(|input| label.iter().any(|column| column == input.name())) {
        let message = format!("the label is made from column {}, which is also an input", quote(input.name()));
        let help = "leave it out of `features`: it is not known when the prediction is made";
        let path: Path<'_> = &["observations".into(), "label".into()];
        context.report(object, path, "label_leak", message, help);
    }
}

fn check_slices(context: &mut Context<'_>, object: &ObjectRef, model: &Model, scope: Scope<'_>, inputs: &[InputRef]) {
    let Scope::Exactly(table, fields) = scope else { return };
    let known: Vec<&str> =
        fields.iter().map(|field| field.name.as_str()).chain(inputs.iter().map(InputRef::name)).collect();
    for (at, slice) in model.slices.iter().enumerate().filter(|(_, slice)| !known.contains(&slice.as_str())) {
        context.report_column(object, &["slices".into(), at.into()], table, slice, &known);
    }
}

fn check_split(context: &mut Context<'_>, object: &ObjectRef, model: &Model, scope: Scope<'_>) {
    let split = &model.split;
    let to = |key: &'static str| [Step::Key("split"), Step::Key(key)];
    if split.by == SplitBy::Time && model.observations.at.is_none() {
        let message = "rows cannot be parted by time, for `observations` does not say when the prediction is made";
        context.report(object, &to("by"), "missing_key", message, "add `at:` under `observations`, or split at random");
    }
    match (&split.column, scope) {
        (None, _) if split.by == SplitBy::Group => {
            let message = "a split by group needs the column whose values stay together";
            context.report(object, &to("by"), "missing_key", message, "add `column:` under `split`");
        }
        (Some(_), _) if split.by != SplitBy::Group => {
            context.report(
                object,
                &to("column"),
                "misplaced_key",
                "`column` is for a split by group",
                "write `by: group`, or leave it out",
            );
        }
        (Some(column), Scope::Exactly(table, fields)) => {
            let known: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
            if !known.contains(&column.as_str()) {
                context.report_column(object, &to("column"), table, column, &known);
            }
        }
        _ => {}
    }
    if let Some(from) = &split.test_from {
        if split.by != SplitBy::Time {
            context.report(
                object,
                &to("test_from"),
                "misplaced_key",
                "`test_from` is for a split by time",
                "write `by: time`, or `test:` with a share",
            );
        } else if expression::parse_time(from, DataType::Timestamp).is_none() {
            let message = format!("{} cannot be cast to timestamp", quote(from));
            context.report(
                object,
                &to("test_from"),
                "impossible_cast",
                message,
                expression::example(DataType::Timestamp),
            );
        }
    }
    if !(split.test > 0.0 && split.test < 1.0) {
        let message = format!("{} is not a share of the rows for the test", split.test);
        context.report(object, &to("test"), "out_of_range", message, "write a number between 0 and 1, such as 0.2");
    }
    if !(0.0..1.0).contains(&split.validation) {
        let message = format!("{} is not a share of the training rows", split.validation);
        context.report(
            object,
            &to("validation"),
            "out_of_range",
            message,
            "write a number from 0 to less than 1, such as 0.1",
        );
    }
}

fn check_trainer(context: &mut Context<'_>, object: &ObjectRef, model: &Model) {
    let (name, fits) = match &model.trainer {
        Trainer::BoostedTrees(_) => ("boosted_trees", true),
        Trainer::LogisticRegression(_) => ("logistic_regression", model.task != Task::Regression),
        Trainer::LinearRegression(_) => ("linear_regression", model.task == Task::Regression),
        Trainer::Constant(_) => ("constant", true),
    };
    if !fits {
        let other = if name == "linear_regression" { "logistic_regression" } else { "linear_regression" };
        let message = format!("`{name}` cannot do this model's task");
        context.report(
            object,
            &["trainer".into(), name.into()],
            "wrong_trainer",
            message,
            format!("write `{other}`, or change `task`"),
        );
    }
    let bounds: Vec<Bound> = match &model.trainer {
        Trainer::BoostedTrees(trees) => bounds_of_trees(trees),
        Trainer::LogisticRegression(linear) | Trainer::LinearRegression(linear) => bounds_of_linear(linear),
        Trainer::Constant(_) => vec![],
    };
    for bound in bounds.into_iter().filter(|bound| !(bound.least..=bound.most).contains(&bound.value)) {
        let message = format!("{} is outside what `{}` may be", bound.value, bound.key);
        let help = format!("write a number from {} to {}", bound.least, bound.most);
        context.report(object, &["trainer".into(), name.into(), bound.key.into()], "out_of_range", message, help);
    }
}

/// What a parameter may be.
struct Bound {
    key: &'static str,
    value: f64,
    least: f64,
    most: f64,
}

fn bounds_of_trees(trees: &BoostedTrees) -> Vec<Bound> {
    let bound = |key, value: f64, least, most| Bound { key, value, least, most };
    vec![
        bound("trees", trees.trees.into(), 1.0, 10_000.0),
        bound("leaves", trees.leaves.into(), 2.0, 4_096.0),
        bound("depth", trees.depth.into(), 1.0, 64.0),
        bound("learning_rate", trees.learning_rate, 1e-6, 1.0),
        bound("l2", trees.l2, 0.0, 1e9),
        bound("min_leaf_weight", trees.min_leaf_weight, 0.0, 1e9),
        bound("subsample", trees.subsample, 0.01, 1.0),
        bound("columns_by_tree", trees.columns_by_tree, 0.01, 1.0),
        bound("early_stopping_rounds", trees.early_stopping_rounds.map_or(1.0, f64::from), 1.0, 10_000.0),
    ]
}

fn bounds_of_linear(linear: &Linear) -> Vec<Bound> {
    vec![
        Bound { key: "l2", value: linear.l2, least: 0.0, most: 1e9 },
        Bound { key: "iterations", value: linear.iterations as f64, least: 1.0, most: 100_000.0 },
    ]
}

fn check_gates(context: &mut Context<'_>, object: &ObjectRef, model: &Model) {
    for (at, gate) in model.gates.iter().enumerate() {
        let path: Path<'_> = &["gates".into(), at.into()];
        check_metric(context, object, path, &gate.metric, model.task);
        check_bounds(context, object, path, gate.min, gate.max, gate.worse_than_champion_by_at_most);
    }
}

/// A metric that the evaluation of a task gives.
pub(super) fn check_metric(context: &mut Context<'_>, object: &ObjectRef, path: Path<'_>, metric: &str, task: Task) {
    let known = metrics(task);
    if !known.contains(&metric) {
        let path: Vec<Step<'_>> = path.iter().copied().chain([Step::Key("metric")]).collect();
        let message = format!("{} is not a metric of this model's task", quote(metric));
        context.report(
            object,
            &path,
            "unknown_metric",
            message,
            suggest(metric, known.iter().copied()).unwrap_or_default(),
        );
    }
}

/// A bound on a metric that can both be kept and broken.
pub(super) fn check_bounds(
    context: &mut Context<'_>,
    object: &ObjectRef,
    path: Path<'_>,
    min: Option<f64>,
    max: Option<f64>,
    slack: Option<f64>,
) {
    let finite = [min, max, slack].iter().flatten().all(|bound| bound.is_finite());
    if min.is_none() && max.is_none() && slack.is_none() {
        context.report(object, path, "bad_bounds", "a metric without a bound is never broken", "add `min:` or `max:`");
    } else if !finite || min.zip(max).is_some_and(|(min, max)| min > max) {
        context.report(
            object,
            path,
            "bad_bounds",
            "no value keeps these bounds",
            "write finite numbers, `min` not above `max`",
        );
    } else if slack.is_some_and(|slack| slack < 0.0) {
        let help = "write 0 for at least as good; for better than the champion use `min` or `max`";
        context.report(object, path, "bad_bounds", "a version cannot be worse by less than nothing", help);
    }
}
