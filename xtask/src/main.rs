//! The project's own commands: `cargo xtask test`, `cargo xtask bench`, `cargo xtask services`.
#![expect(clippy::print_stderr, reason = "a command line tool talks on stderr")]

mod bench;
mod clients;
mod run;
mod services;
mod test;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test [PART..]     format, lints, all Rust tests, then the real clients against the real binary
                    parts: fmt lint rust clients (default: all, in that order);
                    clients:NAME is one suite of tests/clients/
  services          installs what the tests need: Chromium, an S3 server, Python environments with pinned clients
  bench [NAME..]    builds in release and runs the benchmarks, printing the ratios to their peers
                    names: the programs and scripts of benches/ (default: all)
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.split_first().map(|(command, rest)| (command.as_str(), rest)) {
        Some(("test", parts)) => test::run(parts),
        Some(("services", [])) => clients::install(),
        Some(("bench", names)) => bench::run(names),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
