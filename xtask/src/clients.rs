//! The real clients against the real binary: each folder of `tests/clients/` with a `requirements.txt` is a suite, with a
//! Python environment of its own, since the clients do not agree on their dependencies.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{cargo, root, run, shown, target_folder};
use crate::services;

/// What a suite's tests came to.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    passed: u64,
    failed: u64,
    skipped: u64,
}

/// Runs every suite, or the named one, shows the counts of each, and fails when a test failed.
pub fn run_suites(named: Option<&str>) -> Result<(), String> {
    let suites = suites()?;
    let chosen: Vec<&PathBuf> =
        suites.iter().filter(|suite| named.is_none_or(|named| suite.ends_with(named))).collect();
    if chosen.is_empty() {
        let names: Vec<_> = suites.iter().map(|suite| name(suite)).collect();
        return Err(format!("there is no client suite `{}`; they are {}", named.unwrap_or(""), names.join(", ")));
    }
    let chromium = services::chromium()?;
    run(cargo().args(["build", "--locked", "--package", "mainspring-cli"]))?;
    let bucket = services::Bucket::start()?;
    let mut counted = Vec::new();
    for suite in chosen {
        let python = services::python_environment(suite)?;
        counted.push((name(suite), run_suite(suite, &python, &chromium, &bucket)?));
    }
    report(&counted)
}

/// Installs what all suites need.
pub fn install() -> Result<(), String> {
    services::chromium()?;
    services::seaweedfs()?;
    suites()?.iter().try_for_each(|suite| services::python_environment(suite).map(|_| ()))
}

fn suites() -> Result<Vec<PathBuf>, String> {
    let folder = root().join("tests/clients");
    let entries = std::fs::read_dir(&folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let mut suites: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.join("requirements.txt").is_file())
        .collect();
    suites.sort();
    Ok(suites)
}

fn name(suite: &Path) -> String {
    suite.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Runs one suite to its end, whether or not its tests pass: the others are to be seen too.
fn run_suite(suite: &Path, python: &Path, chromium: &Path, bucket: &services::Bucket) -> Result<Counts, String> {
    let results = target_folder().join(format!("clients-{}.xml", name(suite)));
    let _none_yet = std::fs::remove_file(&results);
    let mut pytest = Command::new(python);
    pytest
        .args(["-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider"])
        .arg(format!("--junitxml={}", results.display()))
        .arg(suite)
        .current_dir(root())
        .env("PYTHONPATH", root().join("tests/clients"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("MAINSPRING_BINARY", target_folder().join("debug/mainspring"))
        .env("CHROMIUM", chromium);
    bucket.tell(&mut pytest);
    eprintln!("$ {}", shown(&pytest));
    let status = pytest.status().map_err(|error| format!("cannot start pytest: {error}"))?;
    let counts = std::fs::read_to_string(&results).ok().as_deref().and_then(counts);
    match counts {
        Some(counts) if status.success() || counts.failed > 0 => Ok(counts),
        _ => Err(format!("the suite {} ended with {status} before its tests did", name(suite))),
    }
}

/// The counts of a JUnit file, from the attributes of its one suite.
fn counts(xml: &str) -> Option<Counts> {
    let suite = &xml[xml.find("<testsuite ")?..];
    let attribute = |name: &str| -> Option<u64> {
        let rest = &suite[suite.find(&format!(" {name}=\""))? + name.len() + 3..];
        rest[..rest.find('"')?].parse().ok()
    };
    let failed = attribute("failures")? + attribute("errors")?;
    let skipped = attribute("skipped")?;
    Some(Counts { passed: attribute("tests")?.saturating_sub(failed + skipped), failed, skipped })
}

fn report(counted: &[(String, Counts)]) -> Result<(), String> {
    eprintln!("\nreal clients");
    for (suite, counts) in counted {
        eprintln!(
            "  {suite:<12} {:>4} passed {:>4} failed {:>4} skipped",
            counts.passed, counts.failed, counts.skipped
        );
    }
    let sum = |of: fn(&Counts) -> u64| counted.iter().map(|(_, counts)| of(counts)).sum::<u64>();
    let (passed, failed) = (sum(|counts| counts.passed), sum(|counts| counts.failed));
    eprintln!("clients: {passed} passed, {failed} failed");
    match (passed, failed) {
        (0, 0) => Err("no client test ran".into()),
        (_, 0) => Ok(()),
        _ => Err(format!("{failed} client tests failed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_what_pytest_writes() {
        let xml = r#"<?xml version="1.0"?><testsuites name="pytest tests"><testsuite name="pytest" errors="1" failures="2" skipped="3" tests="10" time="0.1">"#;

        let counts = counts(xml).map(|counts| (counts.passed, counts.failed, counts.skipped));

        assert_eq!(counts, Some((4, 3, 3)));
    }
}
