//! The bounds of a monitor, held against what was found.

use mainspring_spec::{DriftRules, MetricBound, Monitor};

use crate::{Bound, ColumnReport, Judgement, Performance, Role, Rule, Traffic};

/// Judges every bound that can be judged. Windows of too few rows are not: they say more about chance than about drift.
pub(super) fn judge(
    monitor: &Monitor,
    traffic: &Traffic,
    columns: &[ColumnReport],
    performance: Option<&Performance>,
) -> Vec<Judgement> {
    let mut judgements = Vec::new();
    if traffic.predictions >= monitor.min_rows {
        let watched = |column: &&ColumnReport| {
            let named = &monitor.drift.features;
            column.role == Role::Prediction || named.is_empty() || named.contains(&column.name)
        };
        for column in columns.iter().filter(watched) {
            judge_column(&monitor.drift, column, &mut judgements);
        }
    }
    if let Some(performance) = performance.filter(|performance| performance.labelled >= monitor.min_rows) {
        judgements.extend(monitor.performance.iter().filter_map(|bound| judge_metric(bound, performance)));
    }
    judgements
}

fn judge_column(rules: &DriftRules, column: &ColumnReport, judgements: &mut Vec<Judgement>) {
    let candidates = [
        (Rule::Psi, column.psi, rules.psi.map(Bound::AtMost)),
        (Rule::Ks, column.ks.map(|test| test.statistic), rules.ks.map(Bound::AtMost)),
        (Rule::JensenShannon, column.jensen_shannon, rules.jensen_shannon.map(Bound::AtMost)),
        (
            Rule::Wasserstein,
            column.wasserstein.and_then(|distance| distance.in_deviations),
            rules.wasserstein.map(Bound::AtMost),
        ),
        (Rule::ChiSquareP, column.chi_square.map(|test| test.p_value), rules.chi_square_p.map(Bound::AtLeast)),
    ];
    for (rule, value, bound) in candidates {
        if let (Some(value), Some(bound)) = (value, bound) {
            let broken = bound.is_broken_by(value);
            judgements.push(Judgement { rule, column: Some(column.name.clone()), value, bound, broken });
        }
    }
}

/// One judgement for a metric, also when it has a bound on either side: the broken one is named.
fn judge_metric(declared: &MetricBound, performance: &Performance) -> Option<Judgement> {
    let value = *performance.metrics.get(&declared.metric)?;
    let bounds = [declared.min.map(Bound::AtLeast), declared.max.map(Bound::AtMost)];
    let bounds: Vec<Bound> = bounds.into_iter().flatten().collect();
    let broken = bounds.iter().find(|bound| bound.is_broken_by(value));
    let bound = *broken.or(bounds.first())?;
    Some(Judgement {
        rule: Rule::Metric(declared.metric.clone()),
        column: None,
        value,
        bound,
        broken: broken.is_some(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::drift::Summary;

    fn monitor(yaml: serde_json::Value) -> Monitor {
        serde_json::from_value(yaml).unwrap()
    }

    fn column(name: &str, role: Role, psi: f64) -> ColumnReport {
        ColumnReport {
            name: name.into(),
            role,
            reference: Summary::default(),
            current: Summary::default(),
            psi: Some(psi),
            ks: None,
            jensen_shannon: None,
            wasserstein: None,
            chi_square: None,
            approximate: false,
        }
    }

    fn traffic(predictions: u64) -> Traffic {
        Traffic { predictions, ..Traffic::default() }
    }

    #[test]
    fn only_the_features_named_and_the_prediction_are_judged() {
        let monitor = monitor(serde_json::json!({
            "monitor": "m", "endpoint": "e", "drift": {"features": ["wind"], "psi": 0.1}
        }));
        let columns = [
            column("wind", Role::Feature, 0.3),
            column("rain", Role::Feature, 0.9),
            column("prediction", Role::Prediction, 0.05),
        ];

        let judged = judge(&monitor, &traffic(100), &columns, None);

        let outcome: Vec<_> = judged.iter().map(|j| (j.subject(), j.broken)).collect();
        assert_eq!(outcome, [("psi:wind".to_owned(), true), ("psi:prediction".to_owned(), false)]);
    }

    #[test]
    fn too_few_rows_are_not_judged() {
        let monitor = monitor(serde_json::json!({"monitor": "m", "endpoint": "e", "min_rows": 50}));

        assert!(judge(&monitor, &traffic(49), &[column("wind", Role::Feature, 9.0)], None).is_empty());
    }

    #[test]
    fn metric_between_two_bounds_names_the_one_that_breaks() {
        let monitor = monitor(serde_json::json!({
            "monitor": "m", "endpoint": "e", "min_rows": 1,
            "performance": [{"metric": "auc", "min": 0.6, "max": 0.9}, {"metric": "rmse", "max": 1.0}]
        }));
        let performance = |auc| Performance {
            labelled: 10,
            metrics: BTreeMap::from([("auc".to_owned(), auc)]),
            ..Performance::default()
        };

        let bounds = |auc| {
            let judged = judge(&monitor, &traffic(10), &[], Some(&performance(auc)));
            judged.iter().map(|j| (j.broken, j.bound)).collect::<Vec<_>>()
        };

        assert_eq!(bounds(0.7), [(false, Bound::AtLeast(0.6))]);
        assert_eq!(bounds(0.5), [(true, Bound::AtLeast(0.6))]);
        assert_eq!(bounds(0.95), [(true, Bound::AtMost(0.9))]);
    }
}
