//! Boosting against forust's own booster, against itself, and on shapes that break trainers.

use forust_ml::GradientBooster;
use forust_ml::gradientbooster::GrowPolicy;
use forust_ml::objective::ObjectiveType;
use mainspring_kernel::{ARTIFACT_FORMAT, Encoding, Input, ModelArtifact, Scorer};
use mainspring_spec::DataType;

use super::*;
use crate::evaluate::{Scored, metrics};
use crate::frame::Frame;

/// Rows with a pattern, noise and nulls; column-major.
fn rows(rows: usize, columns: usize, seed: u64) -> Frame {
    let mut random = StdRng::seed_from_u64(seed);
    let mut values = vec![0.0; rows * columns];
    for cell in &mut values {
        let drawn: f64 = random.random();
        *cell = if random.random::<f64>() < 0.1 { f64::NAN } else { (drawn * 1_000.0).round() / 10.0 };
    }
    let score = |row: usize| {
        let cell = |column: usize| values[column * rows + row];
        let first = if cell(0).is_nan() { 30.0 } else { cell(0) };
        (first - 50.0) / 20.0 + if cell(1) > 70.0 { 1.5 } else { 0.0 }
    };
    let labels = (0..rows).map(score).collect();
    Frame { rows, columns, values, labels }
}

fn binary(mut frame: Frame, seed: u64) -> Frame {
    let mut random = StdRng::seed_from_u64(seed);
    for label in &mut frame.labels {
        *label = f64::from(u8::from(random.random::<f64>() < 1.0 / (1.0 + (-*label).exp())));
    }
    frame
}

fn inputs(columns: usize) -> Vec<Input> {
    let input = |number| Input { name: format!("x{number}"), data_type: DataType::Float64, encoding: Encoding::Number };
    (0..columns).map(input).collect()
}

fn problem(task: Task, classes: usize, train: Frame, validation: Frame) -> Problem<'static> {
    let columns = train.columns;
    Problem { model: "m", task, classes, seed: 7, inputs: inputs(columns), train, validation }
}

fn artifact(task: Task, classes: usize, fitted: &Fitted) -> ModelArtifact {
    ModelArtifact {
        format: ARTIFACT_FORMAT,
        task,
        classes: (0..classes).map(|class| format!("c{class}")).collect(),
        inputs: fitted.inputs.clone(),
        body: fitted.body.clone(),
        link: fitted.link,
    }
}

fn empty(columns: usize) -> Frame {
    Frame { rows: 0, columns, values: vec![], labels: vec![] }
}

fn trained(
    task: Task,
    classes: usize,
    train: Frame,
    validation: Frame,
    params: &BoostedTrees,
) -> (ModelArtifact, Fitted) {
    let fitted = fit(problem(task, classes, train, validation), params, &|_| {}).unwrap();
    (artifact(task, classes, &fitted), fitted)
}

#[test]
fn the_kernel_answers_what_forust_itself_predicts() {
    let params = BoostedTrees { trees: 40, early_stopping_rounds: None, ..BoostedTrees::default() };
    for (task, objective) in [(Task::Binary, ObjectiveType::LogLoss), (Task::Regression, ObjectiveType::SquaredLoss)] {
        let plain = rows(3_000, 6, 1);
        let frame = if task == Task::Binary { binary(plain, 2) } else { plain };
        let mut booster = GradientBooster::default()
            .set_objective_type(objective)
            .set_iterations(40)
            .set_learning_rate(0.1)
            .set_max_depth(8)
            .set_max_leaves(31)
            .set_l2(1.0)
            .set_min_leaf_weight(1.0)
            .set_initialize_base_score(true);
        booster.grow_policy = GrowPolicy::LossGuide;
        let data = Matrix::new(&frame.values, frame.rows, frame.columns);
        booster.fit_unweighted(&data, &frame.labels, None).unwrap();
        let theirs = booster.predict(&data, true);

        let (artifact, _) = trained(task, 0, frame.clone(), empty(6), &params);

        let ours = frame.predict(&Scorer::compile(&artifact).unwrap()).unwrap();
        for (ours, theirs) in ours.iter().zip(theirs) {
            let theirs = if task == Task::Binary { 1.0 / (1.0 + (-theirs).exp()) } else { theirs };
            assert!((ours - theirs).abs() < 1e-9, "{task:?}: {ours} and {theirs}");
        }
    }
}

#[test]
fn the_same_rows_give_the_same_bytes_also_with_draws() {
    let params = BoostedTrees {
        trees: 20,
        subsample: 0.7,
        columns_by_tree: 0.5,
        early_stopping_rounds: None,
        ..BoostedTrees::default()
    };
    let train = || binary(rows(4_000, 8, 3), 4);

    let (first, _) = trained(Task::Binary, 0, train(), empty(8), &params);
    let (second, _) = trained(Task::Binary, 0, train(), empty(8), &params);
    let other = fit(Problem { seed: 8, ..problem(Task::Binary, 0, train(), empty(8)) }, &params, &|_| {}).unwrap();

    assert_eq!(first.to_bytes().unwrap(), second.to_bytes().unwrap());
    assert_ne!(first, artifact(Task::Binary, 0, &other), "another seed draws other rows");
}

#[test]
fn early_stopping_keeps_the_best_round() {
    let params =
        BoostedTrees { trees: 400, learning_rate: 0.5, early_stopping_rounds: Some(5), ..BoostedTrees::default() };
    let (train, validation) = (binary(rows(1_000, 4, 5), 6), binary(rows(1_000, 4, 7), 8));

    let (artifact, fitted) = trained(Task::Binary, 0, train, validation.clone(), &params);

    let Body::Trees(ensemble) = &artifact.body else { panic!("trees were asked for") };
    let losses: Vec<f64> = fitted.history.iter().filter(|s| s.key == "validation_log_loss").map(|s| s.value).collect();
    let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(losses.len() < 400, "it stopped early");
    assert_eq!(ensemble.trees.len(), losses.iter().position(|loss| *loss == best).unwrap() + 1);
    let predictions = validation.predict(&Scorer::compile(&artifact).unwrap()).unwrap();
    let scored = Scored { task: Task::Binary, outputs: 1, labels: &validation.labels, predictions: &predictions };
    assert!((metrics(scored)["log_loss"] - best).abs() < 1e-9, "what is kept is what was measured");
}

#[test]
fn three_classes_are_told_apart() {
    let classify = |mut frame: Frame| {
        for row in 0..frame.rows {
            let (a, b) = (frame.values[row], frame.values[frame.rows + row]);
            frame.labels[row] = if a > 60.0 { 2.0 } else { f64::from(u8::from(b > 50.0)) };
        }
        frame
    };
    let (train, test) = (classify(rows(3_000, 5, 9)), classify(rows(1_000, 5, 10)));

    let params = BoostedTrees { trees: 30, ..BoostedTrees::default() };
    let (artifact, fitted) = trained(Task::Multiclass, 3, train, empty(5), &params);

    let predictions = test.predict(&Scorer::compile(&artifact).unwrap()).unwrap();
    let scored = Scored { task: Task::Multiclass, outputs: 3, labels: &test.labels, predictions: &predictions };
    assert!(metrics(scored)["accuracy"] > 0.97, "{:?}", metrics(scored));
    let losses: Vec<f64> = fitted.history.iter().map(|step| step.value).collect();
    assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "the training loss goes down: {losses:?}");
    let shares: f64 = fitted.importance.iter().map(|importance| importance.share).sum();
    assert!((shares - 1.0).abs() < 1e-9);
    let first_two: Vec<&str> = fitted.importance.iter().take(2).map(|importance| importance.input.as_str()).collect();
    assert!(first_two.contains(&"x0") && first_two.contains(&"x1"), "{first_two:?}");
}

#[test]
fn columns_without_any_information_do_no_harm() {
    let mut frame = binary(rows(500, 4, 11), 12);
    frame.column_mut(2).fill(f64::NAN);
    frame.column_mut(3).fill(5.0);
    let mut few = binary(rows(3, 2, 1), 1);
    few.labels = vec![0.0, 1.0, 0.0];
    let no_columns = Frame { rows: 4, columns: 0, values: vec![], labels: vec![0.0, 1.0, 1.0, 1.0] };
    let params = BoostedTrees { trees: 10, ..BoostedTrees::default() };

    for frame in [frame, few, no_columns] {
        let columns = frame.columns;
        let (artifact, _) = trained(Task::Binary, 0, frame.clone(), empty(columns), &params);
        let predictions = frame.predict(&Scorer::compile(&artifact).unwrap()).unwrap();
        assert!(predictions.iter().all(|p| (0.0..=1.0).contains(p)));
    }
}

#[test]
fn a_thousand_columns_train() {
    let frame = binary(rows(400, 1_000, 13), 14);
    let params = BoostedTrees { trees: 5, columns_by_tree: 0.3, ..BoostedTrees::default() };

    let (artifact, _) = trained(Task::Binary, 0, frame.clone(), empty(1_000), &params);

    assert!(frame.predict(&Scorer::compile(&artifact).unwrap()).is_ok());
}
