//! From rows in memory to a model and what is known of it.

use std::collections::BTreeMap;

use mainspring_kernel::{ARTIFACT_FORMAT, ModelArtifact, Scorer};
use mainspring_lake::Progress;
use mainspring_registry::{Evaluation, Part};
use mainspring_spec::{Model, Task};

use crate::dataset::{Loaded, Parts};
use crate::evaluate::{Scored, metrics, part, report};
use crate::frame::Frame;
use crate::trainer::{Fitted, Problem, Step, constant_prediction, finish_encoding, fit};
use crate::{Error, Result};

/// The fewest rows that say anything.
const TRAIN_ROWS_MIN: usize = 10;

/// Refuses rows from which nothing can be learned, with the reason.
pub(crate) fn check_rows(model: &Model, loaded: &Loaded) -> Result<()> {
    let Parts { train, test, .. } = &loaded.parts;
    let too_few = |part: &'static str, rows: usize, least: usize| {
        let mend = if loaded.purged > 0 && part == "the training part" {
            format!(
                "the labels of {} further rows became known only after the test began: choose a later `test_from`",
                loaded.purged
            )
        } else {
            "bring more rows, or change `split`".into()
        };
        Err(Error::TooFewRows { model: model.name.clone(), part, rows, least, mend })
    };
    if train.rows < TRAIN_ROWS_MIN {
        return too_few("the training part", train.rows, TRAIN_ROWS_MIN);
    }
    let wants_test = model.split.test > 0.0 || model.split.test_from.is_some();
    if wants_test && test.rows == 0 {
        return too_few("the test part", 0, 1);
    }
    let one_class = |label: String| Err(Error::OneClass { model: model.name.clone(), rows: train.rows, label });
    match model.task {
        Task::Binary if train.labels.iter().all(|label| *label == train.labels[0]) => {
            one_class((train.labels[0] > 0.5).to_string())
        }
        Task::Multiclass if loaded.classes.len() < 2 => one_class(loaded.classes.concat()),
        _ => Ok(()),
    }
}

/// What training gives, before it is registered.
pub(crate) struct Outcome {
    pub(crate) artifact: ModelArtifact,
    /// Its run is filled in later.
    pub(crate) evaluation: Evaluation,
    pub(crate) history: Vec<Step>,
    pub(crate) purged: u64,
}

/// Trains and evaluates on a thread that may block, and hands its progress on.
pub(crate) async fn fit_off_thread(model: &Model, loaded: Loaded, progress: &dyn Progress) -> Result<Outcome> {
    let rows = loaded.parts.train.rows as u64;
    let (sender, mut done) = tokio::sync::mpsc::unbounded_channel::<u64>();
    progress.total(rows);
    let declared = model.clone();
    let mut work = tokio::task::spawn_blocking(move || {
        let told = std::cell::Cell::new(0u64);
        let iteration = |part: f64| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count")]
            let reached = (rows as f64 * part) as u64;
            // The receiver goes when the caller gives up; the work then ends unheard.
            let _ = sender.send(reached.saturating_sub(told.get()));
            told.set(reached);
        };
        fit_and_evaluate(&declared, loaded, &iteration)
    });
    loop {
        tokio::select! {
            Some(rows) = done.recv() => progress.advance(rows),
            outcome = &mut work => return outcome.map_err(|error| Error::stopped(model, &error))?,
        }
    }
}

fn fit_and_evaluate(model: &Model, loaded: Loaded, iteration: &dyn Fn(f64)) -> Result<Outcome> {
    let Loaded { inputs, classes, parts, slices, purged } = loaded;
    let Parts { train, validation, mut test } = parts;
    let class_count = if model.task == Task::Multiclass { classes.len() } else { 0 };
    let problem = Problem {
        model: &model.name,
        task: model.task,
        classes: class_count,
        seed: model.seed,
        inputs,
        train,
        validation,
    };
    let fitted = fit(problem, &model.trainer, iteration)?;
    let Fitted { inputs, body, link, history, importance, mut remarks, train, validation } = fitted;
    finish_encoding(&inputs, &mut test);
    let artifact =
        ModelArtifact { format: ARTIFACT_FORMAT, task: model.task, classes: classes.clone(), inputs, body, link };

    // Through the kernel, so that what is measured is what will be served.
    let scorer = Scorer::compile(&artifact)?;
    let scored = |frame: &Frame| -> Result<Part> {
        let predictions = frame.predict(&scorer)?;
        Ok(part(Scored {
            task: model.task,
            outputs: scorer.outputs(),
            labels: &frame.labels,
            predictions: &predictions,
        }))
    };
    let predictions = test.predict(&scorer)?;
    let test_scored =
        Scored { task: model.task, outputs: scorer.outputs(), labels: &test.labels, predictions: &predictions };
    let unknown = test.labels.iter().filter(|label| model.task == Task::Multiclass && **label < 0.0).count();
    if unknown > 0 {
        remarks.push(format!("{unknown} test rows have a class that no training row has; they count as wrong"));
    }
    if purged > 0 {
        remarks.push(format!("{purged} rows were not learned from: their label was not known when the test began"));
    }
    let report = report(test_scored, &classes, &slices);
    let evaluation = Evaluation {
        run: String::new(),
        model: model.name.clone(),
        task: model.task,
        baseline: baseline(model.task, class_count, &train, &test),
        validation: if validation.rows > 0 { Some(scored(&validation)?) } else { None },
        train: scored(&train)?,
        classes,
        test: report.test,
        calibration: report.calibration,
        roc: report.roc,
        precision_recall: report.precision_recall,
        confusion: report.confusion,
        by_class: report.by_class,
        residuals: report.residuals,
        slices: report.slices,
        importance,
        remarks,
    };
    Ok(Outcome { artifact, evaluation, history, purged })
}

/// What a constant learned from the training rows reaches on the test rows.
fn baseline(task: Task, classes: usize, train: &Frame, test: &Frame) -> BTreeMap<String, f64> {
    let constant = constant_prediction(task, classes, &train.labels);
    let predictions: Vec<f64> = constant.iter().copied().cycle().take(constant.len() * test.rows).collect();
    metrics(Scored { task, outputs: constant.len(), labels: &test.labels, predictions: &predictions })
}
