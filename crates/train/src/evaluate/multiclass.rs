//! Metrics of a probability for each class against class numbers.

use mainspring_registry::ClassReport;

use super::binary::PROBABILITY_MIN;

/// A class that no training row had: no probability is given to it, and no prediction of it is right.
pub(crate) const UNKNOWN_CLASS: usize = usize::MAX;

/// The number of the likeliest class of each row; the first of equals. `probabilities` has shape `[rows, classes]`.
#[must_use]
pub fn likeliest(probabilities: &[f64], classes: usize) -> Vec<usize> {
    let best = |row: &[f64]| {
        row.iter()
            .enumerate()
            .fold((0, f64::NEG_INFINITY), |best, (class, p)| if *p > best.1 { (class, *p) } else { best })
            .0
    };
    probabilities.chunks_exact(classes.max(1)).map(best).collect()
}

/// Minus the mean logarithm of the probability given to the class that came true. `None` without rows.
#[must_use]
pub fn log_loss(labels: &[usize], probabilities: &[f64], classes: usize) -> Option<f64> {
    let of_label =
        |(label, row): (&usize, &[f64])| -row.get(*label).copied().unwrap_or(0.0).clamp(PROBABILITY_MIN, 1.0).ln();
    let sum: f64 = labels.iter().zip(probabilities.chunks_exact(classes.max(1))).map(of_label).sum();
    (!labels.is_empty()).then(|| sum / labels.len() as f64)
}

/// The share of rows whose likeliest class is the true one. `None` without rows.
#[must_use]
pub fn accuracy(labels: &[usize], predicted: &[usize]) -> Option<f64> {
    let right = labels.iter().zip(predicted).filter(|(label, predicted)| label == predicted).count();
    (!labels.is_empty()).then(|| right as f64 / labels.len() as f64)
}

/// Counts of true against predicted class, `[true][predicted]`. Rows of unknown classes are left out.
#[must_use]
pub fn confusion(labels: &[usize], predicted: &[usize], classes: usize) -> Vec<Vec<u64>> {
    let mut counts = vec![vec![0; classes]; classes];
    for (label, predicted) in labels.iter().zip(predicted) {
        if let Some(count) = counts.get_mut(*label).and_then(|row: &mut Vec<u64>| row.get_mut(*predicted)) {
            *count += 1;
        }
    }
    counts
}

/// Precision, recall and F1 of each class.
#[must_use]
pub fn by_class(labels: &[usize], predicted: &[usize], classes: &[String]) -> Vec<ClassReport> {
    // Counted by class, not through the confusion table: a thousand classes would make it a million cells.
    let mut counts = vec![(0u64, 0u64, 0u64); classes.len()];
    for (label, predicted) in labels.iter().zip(predicted) {
        if let Some((there, ..)) = counts.get_mut(*label) {
            *there += 1;
        }
        if let Some((_, found, right)) = counts.get_mut(*predicted) {
            *found += 1;
            *right += u64::from(label == predicted);
        }
    }
    let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    let report = |(class, (rows, found, right)): (&String, (u64, u64, u64))| ClassReport {
        class: class.clone(),
        rows,
        precision: share(right, found),
        recall: share(right, rows),
        f1: share(2 * right, found + rows),
    };
    classes.iter().zip(counts).map(report).collect()
}

/// The mean F1 of the classes that occur among labels or predictions. `None` when none does.
#[must_use]
pub fn macro_f1(reports: &[ClassReport], predicted: &[usize]) -> Option<f64> {
    let mut occurs: Vec<bool> = reports.iter().map(|report| report.rows > 0).collect();
    for class in predicted {
        if let Some(occurs) = occurs.get_mut(*class) {
            *occurs = true;
        }
    }
    let f1: Vec<f64> = reports.iter().zip(occurs).filter(|(_, occurs)| *occurs).map(|(report, _)| report.f1).collect();
    (!f1.is_empty()).then(|| f1.iter().sum::<f64>() / f1.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: [f64; 12] = [0.7, 0.2, 0.1, 0.1, 0.8, 0.1, 0.3, 0.3, 0.4, 0.5, 0.25, 0.25];
    const LABELS: [usize; 4] = [0, 1, 2, 1];

    #[test]
    fn figures_that_scikit_learn_gives() {
        let predicted = likeliest(&P, 3);
        let classes = ["a".to_string(), "b".to_string(), "c".to_string()];
        let reports = by_class(&LABELS, &predicted, &classes);

        // log_loss, accuracy_score, f1_score(average="macro") of scikit-learn.
        assert_eq!(predicted, [0, 1, 2, 0]);
        assert!((log_loss(&LABELS, &P, 3).unwrap() - 0.720_600_774_929_447_2).abs() < 1e-4);
        assert_eq!(accuracy(&LABELS, &predicted), Some(0.75));
        assert!((macro_f1(&reports, &predicted).unwrap() - 0.777_777_777_777_777_7).abs() < 1e-12);
        assert_eq!(confusion(&LABELS, &predicted, 3), [[1, 0, 0], [1, 1, 0], [0, 0, 1]]);
    }

    #[test]
    fn a_class_that_was_not_trained_is_wrong_whatever_is_predicted() {
        let predicted = likeliest(&P, 3);
        let labels = [0, 1, 2, UNKNOWN_CLASS];

        assert_eq!(accuracy(&labels, &predicted), Some(0.75));
        assert!(log_loss(&labels, &P, 3).unwrap() > 8.0);
    }

    #[test]
    fn of_equals_the_first_class_is_the_likeliest() {
        assert_eq!(likeliest(&[0.5, 0.5], 2), [0]);
    }
}
