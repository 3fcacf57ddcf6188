//! Words and tables on a terminal: data to stdout, talk to stderr, readable without colour.

use std::ffi::OsStr;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Table};
use serde::Serialize;

/// Something that worked or was found in order.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Something to look at.
pub const WARN: Style = AnsiColor::Yellow.on_default();
/// Something that failed.
pub const BAD: Style = AnsiColor::Red.on_default();
/// Something of less weight.
pub const SOFT: Style = Style::new().dimmed();
/// Something of more weight.
pub const BOLD: Style = Style::new().bold();

/// Why a verb failed, and what would mend it.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong.
    error: anyhow::Error,
    /// What to do about it.
    hint: Option<String>,
}

impl Failure {
    /// A failure with words on what to do.
    pub fn hinted(error: impl Into<anyhow::Error>, hint: impl Into<String>) -> Self {
        Self { error: error.into(), hint: Some(hint.into()) }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { error: error.into(), hint: None }
    }
}

/// Shows why a verb failed.
pub fn fail(failure: &Failure) -> ExitCode {
    // causes that only repeat what was said are passed over
    let mut said = failure.error.to_string();
    for cause in failure.error.chain().skip(1) {
        let cause = cause.to_string();
        if !said.contains(&cause) {
            said = format!("{said}: {cause}");
        }
    }
    talk(&format!("{BAD}error:{BAD:#} {said}"));
    if let Some(hint) = &failure.hint {
        talk(&format!("{GOOD}hint:{GOOD:#} {hint}"));
    }
    ExitCode::FAILURE
}

/// A line of talk, on stderr.
pub fn talk(line: &str) {
    let _nobody_reads = writeln!(anstream::stderr(), "{line}");
}

/// Text that was asked for, on stdout.
pub fn text(text: &str) -> Result<ExitCode, Failure> {
    match writeln!(anstream::stdout(), "{text}") {
        // the reader has seen enough, as `head` has
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Bytes that were asked for, on stdout.
pub fn bytes(bytes: &[u8]) -> Result<ExitCode, Failure> {
    match std::io::stdout().write_all(bytes) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// What was asked for as JSON, on stdout.
pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<ExitCode, Failure> {
    text(&serde_json::to_string_pretty(value)?)
}

/// A column of a [`listing`].
#[derive(Debug, Clone, Copy)]
pub enum Column {
    /// Words, to the left.
    Left(&'static str),
    /// Numbers, to the right.
    Right(&'static str),
}

/// A table that aligns, without lines.
pub fn listing(columns: &[Column], rows: Vec<Vec<String>>) -> Result<ExitCode, Failure> {
    if rows.is_empty() {
        talk(&format!("{SOFT}nothing to list{SOFT:#}"));
        return Ok(ExitCode::SUCCESS);
    }
    text(&table(columns, rows))
}

/// The text of a [`listing`].
pub fn table(columns: &[Column], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    let styled = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    if styled {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.set_header(columns.iter().map(|column| match column {
        Column::Left(name) => Cell::new(name).add_attribute(Attribute::Bold),
        Column::Right(name) => Cell::new(name).add_attribute(Attribute::Bold).set_alignment(CellAlignment::Right),
    }));
    for row in rows {
        table.add_row(row);
    }
    for (index, column) in columns.iter().enumerate() {
        if let Some(shown) = table.column_mut(index) {
            shown.set_padding((0, 2));
            if matches!(column, Column::Right(_)) {
                shown.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// A count with thin separators: `336,776`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A size in binary units: `12.3 MiB`.
#[expect(clippy::cast_precision_loss, reason = "a size is shown with three digits")]
pub fn size(bytes: u64) -> String {
    let mut amount = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if amount < 1024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{amount:.1} {unit}") };
        }
        amount /= 1024.0;
    }
    format!("{amount:.1} TiB")
}

/// A time in UTC to the second.
pub fn time(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Starts the log: on stderr, for people when they watch a verb, as JSON lines when the program serves unattended.
pub fn start_logging(verbose: u8, serving: bool) {
    let fallback = match (verbose, serving) {
        (0, false) => "error",
        (0, true) => "info,buoyant_kernel=warn,datafusion=warn,deltalake=warn,fjall=warn,lsm_tree=warn,sqlx=warn",
        (1, _) => "info,mainspring=debug",
        _ => "debug",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("MAINSPRING_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(fallback));
    let is_terminal = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(is_coloured(is_terminal, std::env::var_os("NO_COLOR").as_deref()))
        .with_writer(std::io::stderr);
    let started = if serving && !is_terminal {
        log.json().flatten_event(true).try_init()
    } else {
        log.with_target(false).compact().try_init()
    };
    debug_assert!(started.is_ok(), "the log was started twice");
}

/// Whether the log may hold colours: they are for eyes, and in a file they are rubbish. See <https://no-color.org>.
fn is_coloured(is_terminal: bool, no_color: Option<&OsStr>) -> bool {
    is_terminal && no_color.is_none_or(OsStr::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_coloured_on_a_terminal_alone_and_not_where_that_is_not_wanted() {
        assert!(is_coloured(true, None));
        assert!(is_coloured(true, Some(OsStr::new(""))));
        assert!(!is_coloured(true, Some(OsStr::new("1"))));
        assert!(!is_coloured(false, None));
    }

    #[test]
    fn counts_are_grouped_by_thousands() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(336_776), "336,776");
        assert_eq!(count(1_000_000), "1,000,000");
    }

    #[test]
    fn sizes_carry_their_unit() {
        assert_eq!(size(512), "512 B");
        assert_eq!(size(5_032_358), "4.8 MiB");
    }

    #[test]
    fn numbers_stand_to_the_right_under_their_heading() {
        let shown = table(
            &[Column::Left("table"), Column::Right("rows")],
            vec![vec!["sources.flights".into(), "336,776".into()], vec!["sources.planes".into(), "3,322".into()]],
        );

        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{shown}");
    }
}
