//! `docs/reference/cli.md` is what `--help` says, verb by verb.
//!
//! `MAINSPRING_WRITE_DOCS=1 cargo test -p mainspring-cli --bin mainspring reference` writes the page anew.

use std::path::Path;

use clap::{Command, CommandFactory};

use crate::args::Cli;

const HEAD: &str = "# The command line\n\nWhat `mainspring VERB --help` says, for every verb. This page is written by a test; see `crates/cli/src/reference.rs`.\n";

fn page() -> String {
    let mut root = Cli::command().term_width(110).disable_version_flag(true).disable_help_subcommand(true);
    root.build();
    let mut page = HEAD.to_owned();
    section(&mut page, &mut root, "mainspring", 2);
    page
}

fn section(page: &mut String, command: &mut Command, name: &str, depth: usize) {
    let help = command.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    page.push_str(&format!("\n{} {name}\n\n```text\n{}\n```\n", "#".repeat(depth), help.join("\n").trim_end()));
    for verb in command.get_subcommands_mut() {
        let name = format!("{name} {}", verb.get_name());
        section(page, verb, &name, 3);
    }
}

#[test]
fn the_reference_is_what_help_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/cli.md");
    let page = page();
    if std::env::var_os("MAINSPRING_WRITE_DOCS").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &page).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(written == page, "docs/reference/cli.md is not what --help says; MAINSPRING_WRITE_DOCS=1 writes it anew");
}
