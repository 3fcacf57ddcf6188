//! `cargo xtask bench`: the benchmarks, in release, by hand; figures go to `benches/README.md`.

use std::path::PathBuf;

use crate::run::{cargo, run as run_command, target_folder};

const NAMES: [&str; 5] = ["infer", "point_in_time", "ingest", "drift", "idle"];

/// Runs the named benchmarks, or all of them.
pub fn run(names: &[String]) -> Result<(), String> {
    let named: Vec<&str> = names.iter().map(String::as_str).collect();
    for name in if named.is_empty() { &NAMES[..] } else { &named } {
        if !NAMES.contains(name) {
            return Err(format!("there is no benchmark `{name}`; they are {}", NAMES.join(", ")));
        }
        let mut bench = cargo();
        bench.args(["run", "--release", "--locked", "--package", "mainspring-benches", "--bin", name]);
        if *name == "idle" {
            bench.arg("--").arg(demo_folder()?);
        }
        run_command(&mut bench)?;
    }
    Ok(())
}

/// A project with a model behind an endpoint, made by a day of the demo.
fn demo_folder() -> Result<PathBuf, String> {
    let folder = target_folder().join("bench-flights");
    let mut demo = cargo();
    demo.args(["run", "--release", "--locked", "--package", "mainspring-cli", "--", "demo", "--once", "--days", "1"]);
    run_command(demo.args(["--listen", "127.0.0.1:0", "--dir"]).arg(&folder))?;
    Ok(folder)
}
