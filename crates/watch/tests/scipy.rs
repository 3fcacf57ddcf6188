//! Every statistic against SciPy's own answers, stored in `fixtures/scipy.json` by `fixtures/make.py`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "tests stop at the first surprise"
)]

use mainspring_watch::drift::{
    PValue, chi_square_contingency, chi_square_goodness, jensen_shannon, kolmogorov_smirnov, kolmogorov_survival,
    wasserstein,
};
use serde::Deserialize;

const TOLERANCE: f64 = 1e-9;

#[derive(Deserialize)]
struct Fixtures {
    samples: Vec<TwoSamples>,
    kolmogorov: Vec<(f64, f64, f64)>,
    jensen_shannon: Vec<Shares>,
    chi_square: ChiSquares,
}

#[derive(Deserialize)]
struct TwoSamples {
    name: String,
    #[serde(default)]
    reference: Vec<f64>,
    #[serde(default)]
    current: Vec<f64>,
    recipe: Option<Recipe>,
    wasserstein: f64,
    auto: Test,
    exact: Option<Test>,
    asymp: Test,
}

#[derive(Deserialize)]
struct Recipe {
    reference: Formula,
    current: Formula,
}

/// Rows, multiplier, modulus, divisor, shift.
#[derive(Deserialize)]
struct Formula(u64, u64, u64, f64, f64);

impl Formula {
    fn values(&self) -> Vec<f64> {
        (0..self.0).map(|i| ((i * self.1) % self.2) as f64 / self.3 + self.4).collect()
    }
}

#[derive(Deserialize)]
struct Test {
    statistic: f64,
    location: f64,
    sign: i8,
    p_value: f64,
}

#[derive(Deserialize)]
struct Shares {
    p: Vec<f64>,
    q: Vec<f64>,
    base: f64,
    distance: f64,
}

#[derive(Deserialize)]
struct ChiSquares {
    contingency: Vec<Contingency>,
    goodness: Vec<Goodness>,
}

#[derive(Deserialize)]
struct Contingency {
    reference: Vec<f64>,
    current: Vec<f64>,
    statistic: f64,
    degrees_of_freedom: u64,
    p_value: f64,
}

#[derive(Deserialize)]
struct Goodness {
    observed: Vec<f64>,
    expected: Vec<f64>,
    statistic: f64,
    p_value: f64,
}

fn fixtures() -> Fixtures {
    serde_json::from_str(include_str!("fixtures/scipy.json")).unwrap()
}

/// Equal to 1e-9, absolutely for small and relatively for large numbers.
#[track_caller]
fn assert_close(what: &str, ours: f64, theirs: f64) {
    let off = (ours - theirs).abs() / theirs.abs().max(1.0);
    assert!(off <= TOLERANCE, "{what}: {ours:e} is not SciPy's {theirs:e}");
}

#[test]
fn two_sample_statistics_equal_scipy() {
    for case in fixtures().samples {
        let (mut reference, mut current) = match &case.recipe {
            Some(recipe) => (recipe.reference.values(), recipe.current.values()),
            None => (case.reference.clone(), case.current.clone()),
        };
        reference.sort_unstable_by(f64::total_cmp);
        current.sort_unstable_by(f64::total_cmp);

        let name = &case.name;
        assert_close(&format!("{name}: Wasserstein"), wasserstein(&reference, &current).unwrap(), case.wasserstein);
        for (mode, theirs) in [
            (PValue::Auto, Some(&case.auto)),
            (PValue::Exact, case.exact.as_ref()),
            (PValue::Asymptotic, Some(&case.asymp)),
        ] {
            let Some(theirs) = theirs else { continue };
            let ours = kolmogorov_smirnov(&reference, &current, mode).unwrap();
            assert_close(&format!("{name}: statistic, {mode:?}"), ours.statistic, theirs.statistic);
            assert_close(&format!("{name}: location, {mode:?}"), ours.location, theirs.location);
            assert_close(&format!("{name}: p-value, {mode:?}"), ours.p_value, theirs.p_value);
            assert_eq!(ours.sign, theirs.sign, "{name}: sign, {mode:?}");
        }
    }
}

#[test]
fn kolmogorov_distribution_equals_scipy_in_every_branch() {
    for (n, x, theirs) in fixtures().kolmogorov {
        assert_close(&format!("P(D_{n} > {x})"), kolmogorov_survival(n, x), theirs);
    }
}

#[test]
fn jensen_shannon_equals_scipy() {
    for case in fixtures().jensen_shannon {
        let ours = jensen_shannon(&case.p, &case.q, case.base).unwrap();
        assert_close(&format!("{:?} and {:?} in base {}", case.p, case.q, case.base), ours, case.distance);
    }
}

#[test]
fn chi_square_equals_scipy() {
    let cases = fixtures().chi_square;
    for case in cases.contingency {
        let ours = chi_square_contingency(&case.reference, &case.current).unwrap();
        assert_close(&format!("statistic of {} categories", case.reference.len()), ours.statistic, case.statistic);
        assert_close(&format!("p-value of {} categories", case.reference.len()), ours.p_value, case.p_value);
        assert_eq!(ours.degrees_of_freedom, case.degrees_of_freedom);
    }
    for case in cases.goodness {
        let ours = chi_square_goodness(&case.observed, &case.expected).unwrap();
        assert_close(&format!("statistic of {} counts", case.observed.len()), ours.statistic, case.statistic);
        assert_close(&format!("p-value of {} counts", case.observed.len()), ours.p_value, case.p_value);
    }
}
