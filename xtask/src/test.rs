//! `cargo xtask test`: everything that must hold before a change lands.

use std::process::Command;

use crate::run::{cargo, root, run as run_command, target_folder};
use crate::services;

const PARTS: [&str; 4] = ["fmt", "lint", "rust", "clients"];

fn run_parts(parts: &[&str]) -> Result<(), String> {
    for part in parts {
        match *part {
            "fmt" => run_command(cargo().args(["fmt", "--all", "--check"]))?,
            "lint" => run_command(cargo().args([
                "clippy",
                "--workspace",
                "--all-targets",
                "--locked",
                "--",
                "-D",
                "warnings",
            ]))?,
            "rust" => run_command(cargo().args(["test", "--workspace", "--locked"]))?,
            "clients" => clients()?,
            other => return Err(format!("there is no part `{other}`; the parts are {}", PARTS.join(", "))),
        }
    }
    Ok(())
}

/// Parses the command line of `cargo xtask test`.
pub fn run(parts: &[String]) -> Result<(), String> {
    let named: Vec<&str> = parts.iter().map(String::as_str).collect();
    run_parts(if named.is_empty() { &PARTS } else { &named })
}

/// Drives the real binary with the real clients: the browser, the Delta and Prometheus readers.
fn clients() -> Result<(), String> {
    let services = services::install()?;
    run_command(cargo().args(["build", "--locked", "--package", "mainspring-cli"]))?;
    run_command(
        Command::new(&services.python)
            .args(["-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", "tests/clients"])
            .current_dir(root())
            .env("MAINSPRING_BINARY", target_folder().join("debug/mainspring"))
            .env("CHROMIUM", &services.chromium),
    )
}
