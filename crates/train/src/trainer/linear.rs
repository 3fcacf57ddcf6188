//! Logistic and linear regression by `linfa`, on standardised numbers and a column for each frequent text.
//!
//! Standardising makes one penalty fair to all inputs. A number that is not known stands at the mean of the training rows.

use std::fmt::Display;

use linfa::DatasetBase;
use linfa::traits::Fit;
use linfa_linear::{Link as LinfaLink, TweedieRegressor};
use linfa_logistic::{LogisticRegression, MultiLogisticRegression};
use mainspring_kernel::{Body, Encoding, Input, LinearModel, Link};
use mainspring_spec::{Linear, Task};
use ndarray::{Array1, Array2, ShapeBuilder};

use super::{Fitted, Problem, Step, importance, input_of_columns};
use crate::evaluate::{Scored, metrics};
use crate::frame::Frame;
use crate::{Error, Result};

/// Where an infinite number was put: it says nothing of a mean.
const INFINITE: f64 = 1e299;

/// Slopes at which the solver may stop. A line search that finds no way down any more, because the solution is reached as
/// well as 64 bits can say, is an error to the solver; the next, coarser one then ends before it.
const TOLERANCES: [f64; 3] = [1e-4, 1e-2, 1.0];

pub(super) fn check(model: &str, params: &Linear) -> Result<()> {
    let out_of = |parameter: &'static str, found: String, range: &'static str| {
        Err(Error::Parameter { model: model.into(), parameter, found, range })
    };
    match params {
        Linear { l2, .. } if !(l2.is_finite() && *l2 >= 0.0) => out_of("l2", l2.to_string(), "0 or more"),
        Linear { iterations: 0, .. } => out_of("iterations", "0".into(), "at least 1"),
        Linear { .. } => Ok(()),
    }
}

pub(super) fn fit_logistic(problem: Problem<'_>, params: &Linear) -> Result<Fitted> {
    let (model, task, classes) = (problem.model, problem.task, problem.classes);
    solve(problem, |records, labels| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "labels are class numbers")]
        let targets: Array1<usize> = labels.iter().map(|label| *label as usize).collect();
        let data = DatasetBase::new(records, targets);
        let linear = if task == Task::Multiclass {
            let fitted = by_tolerance(model, "logistic_regression", |tolerance| {
                let solver = MultiLogisticRegression::default().alpha(params.l2).max_iterations(params.iterations);
                solver.gradient_tolerance(tolerance).fit(&data)
            })?;
            let weights = fitted.params().columns().into_iter().map(|weights| weights.to_vec()).collect();
            debug_assert_eq!(fitted.intercept().len(), classes, "every class has training rows");
            LinearModel { weights, bias: fitted.intercept().to_vec() }
        } else {
            let fitted = by_tolerance(model, "logistic_regression", |tolerance| {
                let solver = LogisticRegression::default().alpha(params.l2).max_iterations(params.iterations);
                solver.gradient_tolerance(tolerance).fit(&data)
            })?;
            // linfa calls the more frequent class positive.
            let sign = if fitted.labels().pos.class == 1 { 1.0 } else { -1.0 };
            let weights = vec![fitted.params().iter().map(|weight| sign * weight).collect()];
            LinearModel { weights, bias: vec![sign * fitted.intercept()] }
        };
        let link = if task == Task::Multiclass { Link::Softmax } else { Link::Logistic };
        Ok((data.records, linear, link))
    })
}

pub(super) fn fit_regression(problem: Problem<'_>, params: &Linear) -> Result<Fitted> {
    let model = problem.model;
    solve(problem, |records, labels| {
        // In units of its deviation the label meets the solver's tolerance, whatever it is measured in. The weights are
        // those of the label as it is: both terms of the loss shrink by the same factor.
        let (mean, deviation) = mean_and_deviation(labels);
        let targets: Array1<f64> = labels.iter().map(|label| (label - mean) / deviation).collect();
        let data = DatasetBase::new(records, targets);
        let fitted = by_tolerance(model, "linear_regression", |tolerance| {
            let iterations = usize::try_from(params.iterations).unwrap_or(usize::MAX);
            let solver = TweedieRegressor::params().power(0.0).link(LinfaLink::Identity).alpha(params.l2);
            solver.max_iter(iterations).tol(tolerance).fit(&data)
        })?;
        let weights = vec![fitted.coef.iter().map(|weight| weight * deviation).collect()];
        let bias = vec![fitted.intercept * deviation + mean];
        Ok((data.records, LinearModel { weights, bias }, Link::Identity))
    })
}

/// Standardises, lends the columns to a solver, and reports.
fn solve(
    mut problem: Problem<'_>,
    solver: impl FnOnce(Array2<f64>, &[f64]) -> Result<(Array2<f64>, LinearModel, Link)>,
) -> Result<Fitted> {
    let failed = |reason: String| Error::Trainer { model: problem.model.into(), trainer: "linear", reason };
    let inputs = with_standards(&problem.inputs, &problem.train);
    standardise(&inputs, &mut problem.train);
    standardise(&inputs, &mut problem.validation);

    let (rows, columns) = (problem.train.rows, problem.train.columns);
    let values = std::mem::take(&mut problem.train.values);
    let records = Array2::from_shape_vec((rows, columns).f(), values).map_err(|error| failed(error.to_string()))?;
    let (records, linear, link) = solver(records, &problem.train.labels)?;
    if linear.bias.iter().chain(linear.weights.iter().flatten()).any(|weight| !weight.is_finite()) {
        return Err(failed("its weights grew beyond all bounds; raise `l2`".into()));
    }
    // The columns come back as they were lent: one after the other.
    problem.train.values = records.into_raw_vec_and_offset().0;

    let mut gains = vec![0.0; inputs.len()];
    for weights in &linear.weights {
        for (column, (input, weight)) in input_of_columns(&inputs).into_iter().zip(weights).enumerate() {
            gains[input] += weight.abs() * spread(problem.train.column(column));
        }
    }
    let importance = importance(&inputs, &gains, &vec![0; inputs.len()]);
    let history = last_losses(&problem, &linear, link);
    Ok(Fitted {
        inputs,
        body: Body::Linear(linear),
        link,
        history,
        importance,
        remarks: vec![],
        train: problem.train,
        validation: problem.validation,
    })
}

fn by_tolerance<T, E: Display>(
    model: &str,
    trainer: &'static str,
    mut fit: impl FnMut(f64) -> Result<T, E>,
) -> Result<T> {
    let mut reason = String::new();
    for tolerance in TOLERANCES {
        match fit(tolerance) {
            Ok(fitted) => return Ok(fitted),
            Err(error) => reason = error.to_string(),
        }
    }
    Err(Error::Trainer { model: model.into(), trainer, reason })
}

/// The inputs, with numbers to be standardised by the training rows. They must be encoded as they are so far.
fn with_standards(inputs: &[Input], train: &Frame) -> Vec<Input> {
    let mut column = 0;
    let mut standard = vec![];
    for input in inputs {
        let encoding = match &input.encoding {
            Encoding::Number => {
                let known: Vec<f64> =
                    train.column(column).iter().copied().filter(|x| !x.is_nan() && x.abs() < INFINITE).collect();
                let (mean, deviation) = mean_and_deviation(&known);
                Encoding::Standard { mean, deviation, fill: mean }
            }
            other => other.clone(),
        };
        column += input.encoding.width();
        standard.push(Input { encoding, ..input.clone() });
    }
    standard
}

/// Does to columns of plain numbers what the kernel's encoder does for the encoding `Standard`.
pub(super) fn standardise(inputs: &[Input], frame: &mut Frame) {
    let mut column = 0;
    for input in inputs {
        if let Encoding::Standard { mean, deviation, fill } = input.encoding {
            for cell in frame.column_mut(column) {
                let known = if cell.is_nan() || cell.abs() >= INFINITE { fill } else { *cell };
                *cell = (known - mean) / deviation;
            }
        }
        column += input.encoding.width();
    }
}

/// Of no numbers the mean is 0; of equal ones the deviation counts as 1.
fn mean_and_deviation(known: &[f64]) -> (f64, f64) {
    let rows = known.len().max(1) as f64;
    let mean = known.iter().sum::<f64>() / rows;
    let variance = known.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / rows;
    let deviation = variance.sqrt();
    // What is left of equal numbers is rounding: far below their size.
    if deviation > mean.abs() * 1e-12 && deviation.is_normal() { (mean, deviation) } else { (mean, 1.0) }
}

fn spread(column: &[f64]) -> f64 {
    let rows = column.len().max(1) as f64;
    let mean = column.iter().sum::<f64>() / rows;
    (column.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / rows).sqrt()
}

/// linfa reports no iterations; the loss it ended with is the one step there is.
fn last_losses(problem: &Problem<'_>, linear: &LinearModel, link: Link) -> Vec<Step> {
    let parts = [
        ("train_log_loss", "train_rmse", &problem.train),
        ("validation_log_loss", "validation_rmse", &problem.validation),
    ];
    let mut steps = vec![];
    for (log_loss, rmse, frame) in parts {
        let predictions = predict(linear, link, frame);
        let scored =
            Scored { task: problem.task, outputs: linear.bias.len(), labels: &frame.labels, predictions: &predictions };
        let metrics = metrics(scored);
        let (key, metric) = if problem.task == Task::Regression { (rmse, "rmse") } else { (log_loss, "log_loss") };
        steps.extend(metrics.get(metric).map(|value| Step { key, iteration: 1, value: *value }));
    }
    steps
}

fn predict(linear: &LinearModel, link: Link, frame: &Frame) -> Vec<f64> {
    let outputs = linear.bias.len();
    let mut scores: Vec<f64> = linear.bias.iter().copied().cycle().take(frame.rows * outputs).collect();
    for (output, weights) in linear.weights.iter().enumerate() {
        for (column, weight) in weights.iter().enumerate() {
            for (row, cell) in frame.column(column).iter().enumerate() {
                scores[row * outputs + output] += weight * cell;
            }
        }
    }
    match link {
        // the others belong to models that were trained elsewhere
        Link::Identity | Link::Independent | Link::Exponential | Link::Softplus | Link::SignedSquare | Link::Step => {}
        Link::Logistic => scores.iter_mut().for_each(|score| *score = 1.0 / (1.0 + (-*score).exp())),
        Link::Softmax => scores.chunks_exact_mut(outputs).for_each(|row| {
            let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            row.iter_mut().for_each(|score| *score = (*score - most).exp());
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|p| *p /= sum);
        }),
    }
    scores
}

#[cfg(test)]
mod tests {
    use mainspring_kernel::{ARTIFACT_FORMAT, ModelArtifact, Scorer};
    use mainspring_spec::DataType;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    fn number(name: &str) -> Input {
        Input { name: name.into(), data_type: DataType::Float64, encoding: Encoding::Number }
    }

    /// Two numbers of very different size, a constant and an unknown one.
    fn frame(rows: usize, label: impl Fn(f64, f64, f64) -> f64) -> Frame {
        let mut random = StdRng::seed_from_u64(5);
        let mut values = vec![f64::NAN; rows * 4];
        let mut labels = vec![];
        for row in 0..rows {
            let (a, b): (f64, f64) = (random.random(), random.random::<f64>() * 1e6);
            (values[row], values[rows + row], values[2 * rows + row]) = (a, b, 3.3);
            labels.push(label(a, b / 1e6, random.random()));
        }
        Frame { rows, columns: 4, values, labels }
    }

    fn problem(task: Task, classes: usize, train: Frame) -> Problem<'static> {
        let inputs = ["a", "b", "constant", "unknown"].map(number).to_vec();
        let validation = Frame { columns: 4, ..Frame::default() };
        Problem { model: "m", task, classes, seed: 0, inputs, train, validation }
    }

    fn kernel_predictions(task: Task, classes: usize, fitted: &Fitted, raw: &Frame) -> Vec<f64> {
        let artifact = ModelArtifact {
            format: ARTIFACT_FORMAT,
            task,
            classes: (0..classes).map(|class| class.to_string()).collect(),
            inputs: fitted.inputs.clone(),
            body: fitted.body.clone(),
            link: fitted.link,
        };
        let mut frame = raw.clone();
        standardise(&fitted.inputs, &mut frame);
        frame.predict(&Scorer::compile(&artifact).unwrap()).unwrap()
    }

    #[test]
    fn a_line_is_found_again_in_the_units_of_the_inputs() {
        let raw = frame(2_000, |a, b, _| 7.0 + 3.0 * a - 500.0 * b);

        let params = Linear { l2: 1e-9, iterations: 200 };
        let fitted = fit_regression(problem(Task::Regression, 0, raw.clone()), &params).unwrap();

        for (prediction, label) in kernel_predictions(Task::Regression, 0, &fitted, &raw).iter().zip(&raw.labels) {
            assert!((prediction - label).abs() < 1e-2, "{prediction} {label}");
        }
        assert_eq!(fitted.importance[0].input, "b");
    }

    #[test]
    fn the_logistic_slope_is_found_whichever_class_is_rarer() {
        for shift in [-1.5, 1.5] {
            let raw = frame(20_000, |a, b, draw| {
                let p = 1.0 / (1.0 + (-(shift + 4.0 * (a - 0.5) - 2.0 * (b - 0.5))).exp());
                f64::from(u8::from(draw < p))
            });

            let fitted = fit_logistic(problem(Task::Binary, 0, raw.clone()), &Linear::default()).unwrap();

            let Body::Linear(linear) = &fitted.body else { panic!("a linear model was asked for") };
            // A uniform number has the deviation 1/√12.
            let slope = |column: usize| linear.weights[0][column] * 12f64.sqrt();
            assert!((slope(0) - 4.0).abs() < 0.3 && (slope(1) + 2.0).abs() < 0.3, "{} {}", slope(0), slope(1));
            let predictions = kernel_predictions(Task::Binary, 0, &fitted, &raw);
            let loss = Scored { task: Task::Binary, outputs: 1, labels: &raw.labels, predictions: &predictions };
            assert!((metrics(loss)["log_loss"] - fitted.history[0].value).abs() < 1e-12);
        }
    }

    #[test]
    fn three_classes_by_logistic_regression() {
        let raw = frame(3_000, |a, b, _| if a > 0.6 { 2.0 } else { f64::from(u8::from(b > 0.5)) });

        let fitted =
            fit_logistic(problem(Task::Multiclass, 3, raw.clone()), &Linear { l2: 0.1, iterations: 200 }).unwrap();

        let predictions = kernel_predictions(Task::Multiclass, 3, &fitted, &raw);
        let scored = Scored { task: Task::Multiclass, outputs: 3, labels: &raw.labels, predictions: &predictions };
        assert!(metrics(scored)["accuracy"] > 0.9, "{:?}", metrics(scored));
    }

    #[test]
    fn the_same_rows_give_the_same_weights() {
        let label = |a: f64, _: f64, draw: f64| f64::from(u8::from(draw < a));
        let fit = || fit_logistic(problem(Task::Binary, 0, frame(5_000, label)), &Linear::default()).unwrap().body;

        assert_eq!(fit(), fit());
    }

    #[test]
    fn separable_rows_without_penalty_still_end() {
        let raw = frame(200, |a, _, _| f64::from(u8::from(a > 0.5)));

        let fitted = fit_logistic(problem(Task::Binary, 0, raw), &Linear { l2: 0.0, iterations: 1_000 });

        assert!(matches!(&fitted, Ok(_) | Err(Error::Trainer { .. })));
    }
}
