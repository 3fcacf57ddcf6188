//! The one place where gates are judged.

use mainspring_spec::Gate;
use serde::{Deserialize, Serialize};

use crate::ModelVersion;

/// What the gates say about giving a version an alias.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Verdict {
    /// The model.
    pub model: String,
    /// The version judged.
    pub version: u64,
    /// The alias asked for.
    pub alias: String,
    /// The version that has the alias now.
    pub champion: Option<u64>,
    /// One for each bound of each gate.
    pub results: Vec<GateResult>,
}

impl Verdict {
    /// Whether every gate is met.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.results.iter().all(|result| result.passed)
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { model, version, alias, .. } = self;
        if self.passed() {
            return write!(f, "version {version} of model `{model}` may have the alias `{alias}`");
        }
        write!(f, "version {version} of model `{model}` may not have the alias `{alias}`: ")?;
        for (number, failed) in self.results.iter().filter(|result| !result.passed).enumerate() {
            write!(f, "{}{}", if number > 0 { "; " } else { "" }, failed.reason)?;
        }
        Ok(())
    }
}

/// What one bound says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct GateResult {
    /// The metric.
    pub metric: String,
    /// The bound in words, as `at least 0.71`.
    pub bound: String,
    /// What the version reaches on its test rows.
    pub value: Option<f64>,
    /// Whether it is met.
    pub passed: bool,
    /// The result as a sentence.
    pub reason: String,
}

/// Whether more of a metric is better. `None` for metrics that are not known.
#[must_use]
pub fn higher_is_better(metric: &str) -> Option<bool> {
    match metric {
        "auc" | "average_precision" | "accuracy" | "precision" | "recall" | "f1" | "macro_f1" | "r2" => Some(true),
        "log_loss" | "brier" | "rmse" | "mae" => Some(false),
        _ => None,
    }
}

/// Judges a version by gates, against the version that has the alias now. Two versions are compared on the same rows
/// where the candidate's training measured the champion on its own test rows; otherwise each by its own test rows.
#[must_use]
pub fn judge(gates: &[Gate], alias: &str, candidate: &ModelVersion, champion: Option<&ModelVersion>) -> Verdict {
    let champion = champion.filter(|champion| champion.version != candidate.version);
    let results = gates.iter().flat_map(|gate| judge_gate(gate, candidate, champion)).collect();
    Verdict {
        model: candidate.model.clone(),
        version: candidate.version,
        alias: alias.into(),
        champion: champion.map(|champion| champion.version),
        results,
    }
}

fn judge_gate(gate: &Gate, candidate: &ModelVersion, champion: Option<&ModelVersion>) -> Vec<GateResult> {
    let metric = &gate.metric;
    let value = candidate.metrics.get(metric).copied();
    let result = |bound: String, passed: bool, reason: String| GateResult {
        metric: metric.clone(),
        bound,
        value,
        passed,
        reason,
    };
    let Some(found) = value else {
        let known = candidate.metrics.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        return vec![result("measured".into(), false, format!("{metric} was not measured; there are {known}"))];
    };
    let mut results = vec![];
    if let Some(min) = gate.min {
        let reason = format!("{metric} is {found:.4}, the gate asks for at least {min}");
        results.push(result(format!("at least {min}"), found >= min, reason));
    }
    if let Some(max) = gate.max {
        let reason = format!("{metric} is {found:.4}, the gate asks for at most {max}");
        results.push(result(format!("at most {max}"), found <= max, reason));
    }
    if let Some(slack) = gate.worse_than_champion_by_at_most {
        let (passed, reason) = against_champion(metric, found, slack, candidate, champion);
        results.push(result(format!("at most {slack} worse than the champion"), passed, reason));
    }
    results
}

fn against_champion(
    metric: &str,
    found: f64,
    slack: f64,
    candidate: &ModelVersion,
    champion: Option<&ModelVersion>,
) -> (bool, String) {
    let Some(champion) = champion else {
        return (true, format!("{metric} has no champion to be compared with"));
    };
    let on_same_rows = candidate
        .compared
        .as_ref()
        .filter(|compared| compared.version == champion.version)
        .and_then(|compared| compared.metrics.get(metric));
    let (Some(higher), Some(theirs)) =
        (higher_is_better(metric), on_same_rows.or_else(|| champion.metrics.get(metric)).copied())
    else {
        return (
            false,
            format!("{metric} of version {} is not known, so it cannot be compared with", champion.version),
        );
    };
    let worse_by = if higher { theirs - found } else { found - theirs };
    let rows = if on_same_rows.is_some() { "the same rows" } else { "its own test rows" };
    let reason = format!(
        "{metric} is {found:.4}, version {} reaches {theirs:.4} on {rows}, the gate lets it be {slack} worse",
        champion.version
    );
    (worse_by <= slack, reason)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::Compared;
    use crate::version::tests::version;

    fn gate(metric: &str) -> Gate {
        Gate { metric: metric.into(), min: None, max: None, worse_than_champion_by_at_most: None }
    }

    fn with(number: u64, metric: &str, value: f64) -> ModelVersion {
        ModelVersion { metrics: BTreeMap::from([(metric.to_string(), value)]), ..version("m", number) }
    }

    fn passes(gate: Gate, candidate: &ModelVersion, champion: Option<&ModelVersion>) -> bool {
        judge(&[gate], "champion", candidate, champion).passed()
    }

    #[test]
    fn bounds_are_inclusive() {
        let candidate = with(1, "auc", 0.71);

        assert!(passes(Gate { min: Some(0.71), ..gate("auc") }, &candidate, None));
        assert!(!passes(Gate { min: Some(0.72), ..gate("auc") }, &candidate, None));
        assert!(passes(Gate { max: Some(0.71), ..gate("auc") }, &candidate, None));
        assert!(!passes(Gate { max: Some(0.70), ..gate("auc") }, &candidate, None));
    }

    #[test]
    fn a_metric_that_was_not_measured_fails() {
        let verdict = judge(&[Gate { min: Some(0.0), ..gate("f2") }], "champion", &with(1, "auc", 0.9), None);

        assert!(!verdict.passed());
        assert!(verdict.to_string().contains("f2 was not measured; there are auc"), "{verdict}");
    }

    #[test]
    fn worse_than_the_champion_means_lower_for_auc_and_higher_for_loss() {
        let slack = |metric: &str, slack| Gate { worse_than_champion_by_at_most: Some(slack), ..gate(metric) };

        assert!(!passes(slack("auc", 0.0), &with(2, "auc", 0.70), Some(&with(1, "auc", 0.72))));
        assert!(passes(slack("auc", 0.03), &with(2, "auc", 0.70), Some(&with(1, "auc", 0.72))));
        assert!(passes(slack("log_loss", 0.0), &with(2, "log_loss", 0.40), Some(&with(1, "log_loss", 0.50))));
        assert!(!passes(slack("log_loss", 0.0), &with(2, "log_loss", 0.51), Some(&with(1, "log_loss", 0.50))));
    }

    #[test]
    fn without_a_champion_the_comparison_is_met() {
        let gate = Gate { worse_than_champion_by_at_most: Some(0.0), ..gate("auc") };

        assert!(passes(gate.clone(), &with(1, "auc", 0.1), None));
        assert!(passes(gate, &with(1, "auc", 0.1), Some(&with(1, "auc", 0.1))));
    }

    #[test]
    fn the_champion_on_the_same_rows_counts_before_its_own_figures() {
        let gate = Gate { worse_than_champion_by_at_most: Some(0.0), ..gate("auc") };
        let metrics = BTreeMap::from([("auc".to_string(), 0.60)]);
        let candidate = ModelVersion { compared: Some(Compared { version: 1, metrics }), ..with(2, "auc", 0.65) };

        assert!(passes(gate.clone(), &candidate, Some(&with(1, "auc", 0.9))));
        assert!(!passes(gate, &candidate, Some(&with(3, "auc", 0.9))), "another champion was not measured");
    }
}
