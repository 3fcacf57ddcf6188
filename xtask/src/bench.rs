//! `cargo xtask bench`: the benchmarks, in release, by hand; figures go to `benches/README.md`.
//!
//! A benchmark is a program in `benches/src/bin/`, or a script `benches/NAME.py` that starts the release binary
//! (`MAINSPRING_BINARY`) and, where there is one, the peer. A script names the client suite whose Python environment it
//! needs in a line `# suite: NAME`, and is given the folder of compiled benchmark programs in `MAINSPRING_BENCHES`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{cargo, root, run as run_command, target_folder};
use crate::services;

/// Runs the named benchmarks, or all of them.
pub fn run(names: &[String]) -> Result<(), String> {
    let known = known()?;
    for name in names {
        if !known.iter().any(|bench| bench.name == *name) {
            let names: Vec<&str> = known.iter().map(|bench| bench.name.as_str()).collect();
            return Err(format!("there is no benchmark `{name}`; they are {}", names.join(", ")));
        }
    }
    run_command(cargo().args(["build", "--release", "--locked", "--package", "mainspring-cli"]))?;
    run_command(cargo().args(["build", "--release", "--locked", "--package", "mainspring-benches", "--bins"]))?;
    for bench in known.iter().filter(|bench| names.is_empty() || names.contains(&bench.name)) {
        eprintln!("\n== {}", bench.name);
        match &bench.script {
            Some((script, suite)) => run_script(script, suite)?,
            None => run_program(&bench.name)?,
        }
    }
    Ok(())
}

struct Bench {
    name: String,
    /// A script and the suite whose environment it needs; else it is a program.
    script: Option<(PathBuf, String)>,
}

fn known() -> Result<Vec<Bench>, String> {
    let mut known = Vec::new();
    for path in entries(&root().join("benches/src/bin"))? {
        known.push(Bench { name: stem(&path), script: None });
    }
    for path in entries(&root().join("benches"))? {
        if path.extension().is_some_and(|ending| ending == "py") {
            let text =
                std::fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            // the other scripts are parts of programs
            if let Some(suite) = text.lines().find_map(|line| line.strip_prefix("# suite: ")) {
                known.push(Bench { name: stem(&path), script: Some((path, suite.trim().to_owned())) });
            }
        }
    }
    known.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(known)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    Ok(entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect())
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn run_script(script: &Path, suite: &str) -> Result<(), String> {
    let python = services::python_environment(&root().join("tests/clients").join(suite))?;
    run_command(
        Command::new(python)
            .arg(script)
            .current_dir(root())
            .env("PYTHONPATH", root().join("tests/clients"))
            .env("MAINSPRING_BINARY", target_folder().join("release/mainspring"))
            .env("MAINSPRING_BENCHES", target_folder().join("release")),
    )
}

fn run_program(name: &str) -> Result<(), String> {
    let mut bench = Command::new(target_folder().join("release").join(name));
    bench.current_dir(root());
    if name == "idle" {
        bench.arg(demo_folder()?);
    }
    run_command(&mut bench)
}

/// A project with a model behind an endpoint, made by a day of the demo.
fn demo_folder() -> Result<PathBuf, String> {
    let folder = target_folder().join("bench-flights");
    let mut demo = Command::new(target_folder().join("release/mainspring"));
    demo.args(["demo", "--once", "--days", "1", "--listen", "127.0.0.1:0", "--dir"]).arg(&folder);
    run_command(&mut demo)?;
    Ok(folder)
}
