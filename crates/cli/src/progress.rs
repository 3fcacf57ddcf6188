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
    let words = match record.state {
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

/// The outputs of a task as words: `336,776 rows_landed, 12 rows_quarantined`.
fn figures(record: &TaskRun) -> String {
    let figure = |(name, value): (&String, &serde_json::Value)| {
        let name = name.replace('_', " ");
        match value {
            serde_json::Value::Number(number) => match number.as_u64() {
                Some(whole) => Some(format!("{name} {}", count(whole))),
                None => number.as_f64().map(|real| format!("{name} {real:.4}")),
            },
            serde_json::Value::String(text) if !text.is_empty() && text.len() < 40 => Some(format!("{name} {text}")),
            _ => None,
        }
    };
    record.outputs.iter().filter_map(figure).collect::<Vec<_>>().join(", ")
}
