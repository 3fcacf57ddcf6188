//! `cargo xtask test`: everything that must hold before a change lands.

use crate::clients;
use crate::run::{cargo, run as run_command};
use crate::services::Bucket;

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
            "rust" => {
                let bucket = Bucket::start()?;
                let mut tests = cargo();
                bucket.tell(tests.args(["test", "--workspace", "--locked"]));
                run_command(&mut tests)?;
            }
            "clients" => clients::run_suites(None)?,
            other if other.starts_with("clients:") => clients::run_suites(other.strip_prefix("clients:"))?,
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
