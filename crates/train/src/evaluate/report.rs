//! The whole evaluation of a version: metrics of each part, curves, and the same by slice.

use std::collections::BTreeMap;

use mainspring_registry::{CalibrationBin, ClassReport, Confusion, CurvePoint, Histogram, Part, SliceReport};
use mainspring_spec::Task;

use super::{Scored, binary, metrics, multiclass, regression};

/// The most points of a curve: a plot does not show more.
const CURVE_POINTS: usize = 200;
/// The bins of the calibration plot.
const CALIBRATION_BINS: usize = 20;
/// The bins of the residuals' histogram.
const RESIDUAL_BINS: usize = 40;
/// The most classes of a confusion table: beyond it nobody reads it, and it grows with the square.
const CONFUSION_CLASSES: usize = 100;
/// The most values of a slice that are reported each by itself; the rest is one.
const SLICE_VALUES: usize = 50;

/// The values by which test rows are parted: for each row a number into `values`.
#[derive(Debug, Clone)]
pub(crate) struct SliceColumn {
    pub(crate) column: String,
    pub(crate) values: Vec<String>,
    pub(crate) rows: Vec<u32>,
}

/// What test rows say about a model.
pub(crate) struct Report {
    pub(crate) test: Part,
    pub(crate) calibration: Vec<CalibrationBin>,
    pub(crate) roc: Vec<CurvePoint>,
    pub(crate) precision_recall: Vec<CurvePoint>,
    pub(crate) confusion: Option<Confusion>,
    pub(crate) by_class: Vec<ClassReport>,
    pub(crate) residuals: Option<Histogram>,
    pub(crate) slices: Vec<SliceReport>,
}

/// Evaluates predictions of the test rows.
pub(crate) fn report(scored: Scored<'_>, classes: &[String], slices: &[SliceColumn]) -> Report {
    let mut report = Report {
        test: part(scored),
        calibration: vec![],
        roc: vec![],
        precision_recall: vec![],
        confusion: None,
        by_class: vec![],
        residuals: None,
        slices: slices.iter().flat_map(|slice| slice_reports(scored, slice)).collect(),
    };
    match scored.task {
        Task::Binary => {
            let labels = scored.truths();
            report.calibration = binary::calibration(&labels, scored.predictions, CALIBRATION_BINS);
            report.roc = binary::roc(&labels, scored.predictions, CURVE_POINTS);
            report.precision_recall = binary::precision_recall(&labels, scored.predictions, CURVE_POINTS);
            let counts = binary::confusion(&labels, scored.predictions, 0.5);
            let counts = counts.map(|row| row.to_vec()).to_vec();
            report.confusion = Some(Confusion { classes: classes.to_vec(), counts });
        }
        Task::Multiclass => {
            let labels = scored.class_numbers();
            let predicted = multiclass::likeliest(scored.predictions, scored.outputs);
            report.by_class = multiclass::by_class(&labels, &predicted, classes);
            report.confusion = (classes.len() <= CONFUSION_CLASSES).then(|| Confusion {
                classes: classes.to_vec(),
                counts: multiclass::confusion(&labels, &predicted, classes.len()),
            });
        }
        Task::Regression => {
            report.residuals = regression::residual_histogram(scored.labels, scored.predictions, RESIDUAL_BINS);
        }
    }
    report
}

/// The metrics of some rows.
pub(crate) fn part(scored: Scored<'_>) -> Part {
    let rows = scored.labels.len();
    let has_mean = rows > 0 && scored.task != Task::Multiclass;
    Part {
        rows: rows as u64,
        mean_label: has_mean.then(|| scored.labels.iter().sum::<f64>() / rows as f64),
        metrics: metrics(scored),
    }
}

fn slice_reports(scored: Scored<'_>, slice: &SliceColumn) -> Vec<SliceReport> {
    let mut rows_of: Vec<Vec<usize>> = vec![vec![]; slice.values.len()];
    for (row, value) in slice.rows.iter().enumerate() {
        if let Some(rows) = rows_of.get_mut(*value as usize) {
            rows.push(row);
        }
    }
    let mut named: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (value, rows) in slice.values.iter().zip(rows_of) {
        if !rows.is_empty() {
            named.insert(value, rows);
        }
    }
    let mut by_size: Vec<(&str, Vec<usize>)> = named.into_iter().collect();
    // Stable, so that values with equally many rows stay in the order of their text.
    by_size.sort_by_key(|(_, rows)| std::cmp::Reverse(rows.len()));
    if by_size.len() > SLICE_VALUES {
        let mut rest: Vec<usize> = by_size.drain(SLICE_VALUES - 1..).flat_map(|(_, rows)| rows).collect();
        rest.sort_unstable();
        by_size.push(("(other)", rest));
    }
    by_size
        .into_iter()
        .map(|(value, rows)| SliceReport {
            column: slice.column.clone(),
            value: value.to_owned(),
            part: part_of(scored, &rows),
        })
        .collect()
}

fn part_of(scored: Scored<'_>, rows: &[usize]) -> Part {
    let labels: Vec<f64> = rows.iter().map(|row| scored.labels[*row]).collect();
    let of_row = |row: &usize| &scored.predictions[row * scored.outputs..(row + 1) * scored.outputs];
    let predictions: Vec<f64> = rows.iter().flat_map(of_row).copied().collect();
    part(Scored { labels: &labels, predictions: &predictions, ..scored })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_part_the_rows_and_the_rare_values_are_one() {
        let rows = 1_000usize;
        let labels: Vec<f64> = (0..rows).map(|row| f64::from(u8::from(row % 3 == 0))).collect();
        let predictions: Vec<f64> = (0..rows).map(|row| (row % 7) as f64 / 7.0).collect();
        let scored = Scored { task: Task::Binary, outputs: 1, labels: &labels, predictions: &predictions };
        let slice = SliceColumn {
            column: "airport".into(),
            values: (0..100).map(|value| format!("A{value:02}")).collect(),
            rows: (0..rows).map(|row| (row % 100) as u32).collect(),
        };

        let reports = slice_reports(scored, &slice);

        assert_eq!(reports.len(), SLICE_VALUES);
        assert_eq!(reports.iter().map(|report| report.part.rows).sum::<u64>(), 1_000);
        let other = reports.last().unwrap();
        assert_eq!((other.value.as_str(), other.part.rows), ("(other)", 510));
        let first_rows: Vec<usize> = (0..rows).step_by(100).collect();
        assert_eq!(reports[0].part, part_of(scored, &first_rows));
    }
}
