//! Metrics of predicted probabilities against labels that are true or false.

use mainspring_registry::{CalibrationBin, CurvePoint};

/// The least probability that counts in a logarithm, as scikit-learn had it for 64-bit numbers.
pub(super) const PROBABILITY_MIN: f64 = 1e-15;

/// The area under the ROC curve: the share of pairs of a true and a false row in which the true one is ranked higher, a tie
/// counting half. Exact, by rank sums (Mann and Whitney 1947). `None` when one of the classes has no row.
#[must_use]
pub fn auc(labels: &[bool], scores: &[f64]) -> Option<f64> {
    let order = ascending(scores);
    let positives = labels.iter().filter(|label| **label).count() as f64;
    let negatives = labels.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        return None;
    }
    let mut rank_sum = 0.0;
    let mut before = 0usize;
    for ties in order.chunk_by(|a, b| scores[*a] == scores[*b]) {
        // Ranks `before + 1 ..= before + ties`, each counted as their mean.
        let rank = before as f64 + (ties.len() as f64 + 1.0) / 2.0;
        rank_sum += rank * ties.iter().filter(|row| labels[**row]).count() as f64;
        before += ties.len();
    }
    Some((rank_sum - positives * (positives + 1.0) / 2.0) / (positives * negatives))
}

/// The mean of the precision at each threshold, weighted by the recall gained there. `None` without a true row.
#[must_use]
pub fn average_precision(labels: &[bool], scores: &[f64]) -> Option<f64> {
    let positives = labels.iter().filter(|label| **label).count() as f64;
    if positives == 0.0 {
        return None;
    }
    let (mut area, mut found, mut predicted) = (0.0, 0.0, 0.0);
    for step in Descent::new(labels, scores) {
        let gained = step.positives - found;
        found = step.positives;
        predicted = step.positives + step.negatives;
        area += gained / positives * (found / predicted);
    }
    debug_assert!(predicted as usize == labels.len(), "every row is at or above the last threshold");
    Some(area)
}

/// Minus the mean logarithm of the probability given to what came true. `None` without rows.
#[must_use]
pub fn log_loss(labels: &[bool], probabilities: &[f64]) -> Option<f64> {
    mean(labels.iter().zip(probabilities).map(|(label, p)| {
        let of_label = if *label { *p } else { 1.0 - p };
        -of_label.clamp(PROBABILITY_MIN, 1.0).ln()
    }))
}

/// The mean squared difference of probability and outcome. `None` without rows.
#[must_use]
pub fn brier(labels: &[bool], probabilities: &[f64]) -> Option<f64> {
    mean(labels.iter().zip(probabilities).map(|(label, p)| (f64::from(u8::from(*label)) - p).powi(2)))
}

/// Counts of true against predicted class at a threshold: `[[tn, fp], [fn, tp]]`.
#[must_use]
pub fn confusion(labels: &[bool], probabilities: &[f64], threshold: f64) -> [[u64; 2]; 2] {
    let mut counts = [[0; 2]; 2];
    for (label, p) in labels.iter().zip(probabilities) {
        counts[usize::from(*label)][usize::from(*p >= threshold)] += 1;
    }
    counts
}

/// The ROC curve from (0, 0) to (1, 1), in at most `most` points. Empty when one of the classes has no row.
#[must_use]
pub fn roc(labels: &[bool], scores: &[f64], most: usize) -> Vec<CurvePoint> {
    let (positives, negatives) = totals(labels);
    if positives == 0.0 || negatives == 0.0 {
        return vec![];
    }
    // JSON has no infinity: above every score stands the greatest finite number.
    let start = CurvePoint { x: 0.0, y: 0.0, threshold: f64::MAX };
    let points = Descent::new(labels, scores).map(|step| CurvePoint {
        x: step.negatives / negatives,
        y: step.positives / positives,
        threshold: step.threshold,
    });
    thin(std::iter::once(start).chain(points).collect(), most)
}

/// Recall against precision, from the highest threshold down, in at most `most` points. Empty without a true row.
#[must_use]
pub fn precision_recall(labels: &[bool], scores: &[f64], most: usize) -> Vec<CurvePoint> {
    let (positives, _) = totals(labels);
    if positives == 0.0 {
        return vec![];
    }
    let points = Descent::new(labels, scores).map(|step| CurvePoint {
        x: step.positives / positives,
        y: step.positives / (step.positives + step.negatives),
        threshold: step.threshold,
    });
    thin(points.collect(), most)
}

/// Mean prediction against the share of true, in bins of equal width; bins without rows are left out.
#[must_use]
pub fn calibration(labels: &[bool], probabilities: &[f64], bins: usize) -> Vec<CalibrationBin> {
    let mut sums = vec![(0u64, 0.0, 0u64); bins];
    for (label, p) in labels.iter().zip(probabilities) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a probability times a small count"
        )]
        let bin = ((p * bins as f64) as usize).min(bins.saturating_sub(1));
        if let Some((rows, predicted, observed)) = sums.get_mut(bin) {
            *rows += 1;
            *predicted += p;
            *observed += u64::from(*label);
        }
    }
    let width = 1.0 / bins as f64;
    let bin = |(number, (rows, predicted, observed)): (usize, (u64, f64, u64))| CalibrationBin {
        from: number as f64 * width,
        to: (number + 1) as f64 * width,
        rows,
        predicted: predicted / rows as f64,
        observed: observed as f64 / rows as f64,
    };
    sums.into_iter().enumerate().filter(|(_, (rows, ..))| *rows > 0).map(bin).collect()
}

/// What is at or above a threshold.
struct Step {
    threshold: f64,
    positives: f64,
    negatives: f64,
}

/// Walks the distinct scores from the highest down.
struct Descent<'a> {
    labels: &'a [bool],
    scores: &'a [f64],
    order: Vec<usize>,
    at: usize,
    positives: f64,
    negatives: f64,
}

impl<'a> Descent<'a> {
    fn new(labels: &'a [bool], scores: &'a [f64]) -> Self {
        let mut order = ascending(scores);
        order.reverse();
        Self { labels, scores, order, at: 0, positives: 0.0, negatives: 0.0 }
    }
}

impl Iterator for Descent<'_> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let threshold = self.scores[*self.order.get(self.at)?];
        while let Some(row) = self.order.get(self.at).filter(|row| self.scores[**row] == threshold) {
            if self.labels[*row] {
                self.positives += 1.0;
            } else {
                self.negatives += 1.0;
            }
            self.at += 1;
        }
        Some(Step { threshold, positives: self.positives, negatives: self.negatives })
    }
}

fn totals(labels: &[bool]) -> (f64, f64) {
    let positives = labels.iter().filter(|label| **label).count();
    (positives as f64, (labels.len() - positives) as f64)
}

fn ascending(scores: &[f64]) -> Vec<usize> {
    debug_assert!(scores.iter().all(|score| !score.is_nan()), "a scorer answers with numbers");
    let mut order: Vec<usize> = (0..scores.len()).collect();
    // Equal scores may come in any order: every caller takes them together.
    order.sort_unstable_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    order
}

/// Keeps the ends and points that lie at least a step of the curve's length apart.
fn thin(points: Vec<CurvePoint>, most: usize) -> Vec<CurvePoint> {
    if points.len() <= most {
        return points;
    }
    let distance = |a: &CurvePoint, b: &CurvePoint| (a.x - b.x).abs() + (a.y - b.y).abs();
    let length: f64 = points.windows(2).map(|pair| distance(&pair[0], &pair[1])).sum();
    let step = length / most.saturating_sub(2).max(1) as f64;
    let last = points.last().copied();
    let (mut kept, mut walked): (Vec<CurvePoint>, f64) = (vec![], step);
    let mut previous = None;
    for point in points {
        walked += previous.map_or(0.0, |previous| distance(&previous, &point));
        previous = Some(point);
        if walked >= step && kept.len() + 1 < most {
            kept.push(point);
            walked = 0.0;
        }
    }
    if kept.last() != last.as_ref() {
        kept.extend(last);
    }
    kept
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> Option<f64> {
    let rows = values.len();
    (rows > 0).then(|| values.sum::<f64>() / rows as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn auc_by_pairs(labels: &[bool], scores: &[f64]) -> Option<f64> {
        let (mut won, mut pairs) = (0.0, 0.0);
        for (i, a) in labels.iter().enumerate() {
            for (j, b) in labels.iter().enumerate() {
                if *a && !*b {
                    pairs += 1.0;
                    won += if scores[i] > scores[j] {
                        1.0
                    } else if scores[i] == scores[j] {
                        0.5
                    } else {
                        0.0
                    };
                }
            }
        }
        (pairs > 0.0).then(|| won / pairs)
    }

    /// Few different scores, so that ties are common.
    fn rows() -> impl Strategy<Value = Vec<(bool, u8)>> {
        proptest::collection::vec((any::<bool>(), 0u8..12), 0..60)
    }

    fn split(rows: &[(bool, u8)]) -> (Vec<bool>, Vec<f64>) {
        rows.iter().map(|(label, score)| (*label, f64::from(*score) / 12.0)).unzip()
    }

    proptest! {
        #[test]
        fn auc_is_the_share_of_pairs_in_order(rows in rows()) {
            let (labels, scores) = split(&rows);

            match (auc(&labels, &scores), auc_by_pairs(&labels, &scores)) {
                (Some(fast), Some(slow)) => prop_assert!((fast - slow).abs() < 1e-12, "{fast} {slow}"),
                (fast, slow) => prop_assert_eq!(fast, slow),
            }
        }

        #[test]
        fn the_roc_curve_encloses_the_auc(rows in rows()) {
            let (labels, scores) = split(&rows);
            let curve = roc(&labels, &scores, 1_000);

            let area: f64 = curve.windows(2).map(|p| (p[1].x - p[0].x) * (p[0].y + p[1].y) / 2.0).sum();

            if let Some(auc) = auc(&labels, &scores) {
                prop_assert!((area - auc).abs() < 1e-12, "{area} {auc}");
            } else {
                prop_assert!(curve.is_empty());
            }
        }

        #[test]
        fn curves_keep_their_ends_and_their_bound(rows in proptest::collection::vec((any::<bool>(), any::<u16>()), 2..600)) {
            let (labels, scores): (Vec<bool>, Vec<f64>) = rows.iter().map(|(l, s)| (*l, f64::from(*s))).unzip();
            prop_assume!(labels.iter().any(|l| *l) && labels.iter().any(|l| !*l));

            let curve = roc(&labels, &scores, 50);
            let recall = precision_recall(&labels, &scores, 50);

            prop_assert!(curve.len() <= 50 && recall.len() <= 50);
            prop_assert_eq!((curve[0].x, curve[0].y), (0.0, 0.0));
            prop_assert_eq!((curve[curve.len() - 1].x, curve[curve.len() - 1].y), (1.0, 1.0));
            prop_assert_eq!(recall[recall.len() - 1].x, 1.0);
            prop_assert!(curve.windows(2).all(|p| p[0].x <= p[1].x && p[0].y <= p[1].y));
        }

        #[test]
        fn calibration_counts_every_row_once(rows in rows()) {
            let (labels, scores) = split(&rows);

            let bins = calibration(&labels, &scores, 10);

            prop_assert_eq!(bins.iter().map(|bin| bin.rows).sum::<u64>(), labels.len() as u64);
            for bin in bins {
                prop_assert!(bin.from - 1e-12 <= bin.predicted && bin.predicted <= bin.to + 1e-12, "{:?}", bin);
            }
        }
    }

    #[test]
    fn figures_that_scikit_learn_gives() {
        let labels = [false, false, true, true];
        let scores = [0.1, 0.4, 0.35, 0.8];

        // roc_auc_score, average_precision_score, log_loss and brier_score_loss of scikit-learn.
        assert_eq!(auc(&labels, &scores), Some(0.75));
        assert!((average_precision(&labels, &scores).unwrap() - 0.833_333_333_333_333_3).abs() < 1e-15);
        assert!((log_loss(&labels, &scores).unwrap() - 0.472_287_953_809_176_15).abs() < 1e-12);
        assert!((brier(&labels, &scores).unwrap() - 0.158_125).abs() < 1e-15);
        assert_eq!(confusion(&labels, &scores, 0.5), [[2, 0], [1, 1]]);
    }

    #[test]
    fn a_certain_mistake_costs_much_but_not_infinitely() {
        let loss = log_loss(&[true], &[0.0]).unwrap();

        assert!((loss - 34.538_776).abs() < 1e-5, "{loss}");
    }

    #[test]
    fn one_class_has_no_auc() {
        assert_eq!(auc(&[true, true], &[0.1, 0.2]), None);
        assert_eq!(auc(&[], &[]), None);
        assert_eq!(average_precision(&[false], &[0.3]), None);
    }
}
