//! `cargo xtask bench`: the benchmarks, in release, by hand; figures go to `benches/README.md`.

use crate::run::{cargo, run as run_command};

const NAMES: [&str; 5] = ["infer", "point_in_time", "ingest", "drift", "idle"];

/// Runs the named benchmarks, or all of them.
pub fn run(names: &[String]) -> Result<(), String> {
    let named: Vec<&str> = names.iter().map(String::as_str).collect();
    for name in if named.is_empty() { &NAMES[..] } else { &named } {
        if !NAMES.contains(name) {
            return Err(format!("there is no benchmark `{name}`; they are {}", NAMES.join(", ")));
        }
        run_command(cargo().args(["run", "--release", "--locked", "--package", "mainspring-benches", "--bin", name]))?;
    }
    Ok(())
}
