//! A run on the terminal: a bar for each task under way, one clear line for each task that ended.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use mainspring_flow::{FlowEvent, Task, TaskRun, TaskState};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::output::{BAD, GOOD, SOFT, WARN, count, talk};

/// How often a bar is looked at.
const FRAME: Duration = Duration::from_millis(100);
/// The longest figure that is a text: two lines of a terminal.
const FIGURE_CHARS: usize = 160;
/// Figures that are there only when something is to be looked at, though the task did what it is for.
const WARNINGS: [&str; 3] = ["broken", "files_refused", "gates_missed"];

/// A bar on long work that is shown only on a terminal.
pub fn bar(total: u64) -> ProgressBar {
    let target =
        if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(total), target);
    bar.set_style(style(total > 0));
    bar
}

fn style(known: bool) -> ProgressStyle {
    let template = if known {
        "  {spinner:.cyan} {prefix:<34} {bar:28.cyan/dim} {human_pos:>10} of {human_len:<10} {msg}"
    } else {
        "  {spinner:.cyan} {prefix:<34} {human_pos:>10} rows  {elapsed:.dim} {msg}"
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━━─")
}

/// Shows a run until its events end.
pub async fn follow(mut events: UnboundedReceiver<FlowEvent>) {
    let target =
        if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bars = MultiProgress::with_draw_target(target);
    let mut shown: BTreeMap<Task, (ProgressBar, std::sync::Arc<mainspring_flow::TaskProgress>)> = BTreeMap::new();
    let mut frames = tokio::time::interval(FRAME);
    loop {
        tokio::select! {
            event = events.recv() => match event {
                None => break,
                Some(FlowEvent::RunStarted { run, resumed: true, .. }) => {
                    say(&bars, &format!("{WARN}takes up run {run}, whose process died{WARN:#}"));
                }
                Some(FlowEvent::TaskStarted { task, progress, .. }) => {
                    let bar = bars.add(bar(0).with_prefix(task.to_string()));
                    shown.insert(task, (bar, progress));
                }
                Some(FlowEvent::TaskRetrying { task, error }) => {
                    if let Some((bar, _)) = shown.remove(&task) {
                        bar.finish_and_clear();
                    }
                    say(&bars, &format!("  {WARN}again{WARN:#}  {task}: {error}"));
                }
                Some(FlowEvent::TaskEnded(record)) => {
                    if let Some((bar, _)) = shown.remove(&record.task) {
                        bar.finish_and_clear();
                    }
                    say(&bars, &line(&record));
                }
                Some(FlowEvent::RunStarted { .. } | FlowEvent::RunEnded { .. }) => {}
            },
            _ = frames.tick() => for (bar, progress) in shown.values() {
                let (done, total) = progress.rows();
                if total > 0 && bar.length() != Some(total) {
                    bar.set_length(total);
                    bar.set_style(style(true));
                }
                bar.set_position(done);
                bar.tick();
            },
        }
    }
}

fn say(bars: &MultiProgress, line: &str) {
    bars.suspend(|| talk(line));
}

/// One line on a task that ended.
pub fn line(record: &TaskRun) -> String {
    let seconds = record.seconds().map_or_else(String::new, |seconds| format!("{seconds:.1} s"));
    let is_done = matches!(record.state, TaskState::Succeeded | TaskState::Unchanged);
    let words = match record.state {
        _ if is_done && WARNINGS.iter().any(|name| record.outputs.contains_key(*name)) => {
            format!("{WARN}warn{WARN:#} ")
        }
        TaskState::Succeeded => format!("{GOOD}done{GOOD:#} "),
        TaskState::Unchanged => format!("{SOFT}same{SOFT:#} "),
        TaskState::Blocked => format!("{WARN}held{WARN:#} "),
        _ => format!("{BAD}fail{BAD:#} "),
    };
    let told = match record.state {
        TaskState::Failed => record.attempts.last().and_then(|attempt| attempt.error.clone()).unwrap_or_default(),
        TaskState::Blocked => "something it needs failed".into(),
        _ => figures(record),
    };
    format!("  {words}  {:<36} {seconds:>8}   {told}", record.task.to_string())
}

/// Texts such as why a gate was missed; the whole of them is in `run --json` and in the log of the attempt.
fn cut(text: &str) -> String {
    if text.chars().count() <= FIGURE_CHARS {
        return text.to_owned();
    }
    text.chars().take(FIGURE_CHARS - 1).chain(['…']).collect()
}

/// The outputs of a task as words: `336,776 rows_landed, 12 rows_quarantined`.
fn figures(record: &TaskRun) -> String {
    let figure = |(name, value): (&String, &serde_json::Value)| {
        let name = name.replace('_', " ");
        match value {
            serde_json::Value::Number(number) => match number.as_u64() {
                Some(whole) => Some(format!("{name} {}", count(whole))),
                None => number.as_f64().map(|real| format!("{name} {real:.4}")),
            },
            serde_json::Value::String(text) if !text.is_empty() => Some(format!("{name} {}", cut(text))),
            _ => None,
        }
    };
    record.outputs.iter().filter_map(figure).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use mainspring_flow::{Figures, TaskKind};

    use super::*;

    fn done(outputs: Figures) -> TaskRun {
        let task = Task { kind: TaskKind::Train, name: "m".into() };
        TaskRun { run: "r".into(), task, state: TaskState::Succeeded, attempts: vec![], outputs }
    }

    #[test]
    fn what_a_gate_asks_for_is_told_and_marked() {
        let reason = "auc is 0.6100, the gate asks for at least 0.7";

        let refused = line(&done(Figures::from([("gates_missed".to_owned(), serde_json::Value::from(reason))])));
        let live = line(&done(Figures::from([("promotion".to_owned(), serde_json::Value::from("live"))])));

        assert!(refused.contains("warn") && refused.contains(&format!("gates missed {reason}")), "{refused}");
        assert!(live.contains("done") && live.contains("promotion live"), "{live}");
    }

    #[test]
    fn a_long_figure_is_cut_between_characters() {
        assert_eq!(cut(&"ü".repeat(500)).chars().count(), FIGURE_CHARS);
        assert_eq!(cut("short"), "short");
    }
}
