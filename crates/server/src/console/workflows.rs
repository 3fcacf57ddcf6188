//! `/workflows`: runs of the dependency graph; `/workflows/{id}`: tasks over time, attempts, logs.

use axum::extract::Path;
use mainspring_flow::{FlowRun, RunState, TaskState};

use super::page::{Block, Cell, Page, Table, Tile, Tone};
use super::picture::{self, Stretch};
use super::visit::{Shown, Visit};
use super::words;
use crate::views::{self, TaskView, WorkflowDetail, WorkflowView};

/// The most runs that are listed.
const RUNS_SHOWN: usize = 200;

/// Answers `GET /workflows`.
pub async fn list(visit: Visit) -> Shown {
    visit.may_list().await?;
    let runs = visit.seen(views::workflows(&visit.look, &views::Page::first(RUNS_SHOWN)).await)?;
    let page =
        Page::new("Workflows", "Each walk over the dependency graph; one that was killed is taken up where it was")
            .with(Block::Table(runs_table(&runs)));
    visit.show(page)
}

fn runs_table(runs: &[WorkflowView]) -> Table {
    let rows = runs.iter().map(|view| {
        let run = &view.run;
        vec![
            Cell::link(format!("/workflows/{}", run.id), targets(run)),
            state(run.state),
            Cell::count(run.tasks.len() as u64),
            Cell::Time(run.started_at),
            Cell::maybe(view.seconds, Cell::span),
            Cell::count(u64::from(run.resumed)),
            Cell::text(&run.principal),
        ]
    });
    Table::new(&["run of", "state", "#tasks", "started", "#took", "#taken up again", "by"])
        .rows(rows)
        .or_else("Nothing ran yet: `mainspring run` brings everything up to date")
        .filtered("workflows")
}

fn targets(run: &FlowRun) -> String {
    match run.targets.as_slice() {
        [] => {
            let mut kinds: Vec<&str> = run.tasks.iter().map(|task| task.kind.as_str()).collect();
            kinds.dedup();
            if kinds.is_empty() { "nothing".into() } else { words::cut(&kinds.join(", "), 60) }
        }
        targets => words::cut(&targets.join(", "), 60),
    }
}

fn state(state: RunState) -> Cell {
    let (tone, word) = match state {
        RunState::Running => (Tone::Info, "running"),
        RunState::Succeeded => (Tone::Good, "succeeded"),
        RunState::Failed => (Tone::Bad, "failed"),
    };
    Cell::tag(tone, word)
}

const fn task_state(state: TaskState) -> (Tone, &'static str) {
    match state {
        TaskState::Pending => (Tone::Plain, "waiting"),
        TaskState::Running => (Tone::Info, "running"),
        TaskState::Succeeded => (Tone::Good, "succeeded"),
        TaskState::Unchanged => (Tone::Plain, "unchanged"),
        TaskState::Failed => (Tone::Bad, "failed"),
        TaskState::Blocked => (Tone::Warn, "blocked"),
    }
}

/// Answers `GET /workflows/{id}`.
pub async fn one(visit: Visit, Path(id): Path<String>) -> Shown {
    visit.may("workflow.read", "workflow", &id).await?;
    let run = visit.seen(views::workflow(&visit.look, &id).await)?;
    visit.show(page(&run))
}

fn page(detail: &WorkflowDetail) -> Page {
    let run = &detail.view.run;
    let attempts: usize = detail.task_runs.iter().map(|task| task.task.attempts.len()).sum();
    let again = (attempts as u64)
        .saturating_sub(detail.task_runs.iter().filter(|t| !t.task.attempts.is_empty()).count() as u64);
    let (tone, word) = match run.state {
        RunState::Running => (Tone::Info, "running"),
        RunState::Succeeded => (Tone::Good, "succeeded"),
        RunState::Failed => (Tone::Bad, "failed"),
    };
    let tiles = vec![
        Tile::new("Tasks", format!("{} of {}", detail.done, run.tasks.len()), "done, or with nothing to do")
            .mark(tone, word),
        Tile::new("Took", detail.view.seconds.map_or("–".into(), words::span), "from first to last"),
        Tile::new("Tried again", words::count(again), "after a failure that may pass"),
        Tile::new("Taken up again", words::count(u64::from(run.resumed)), "after its process died"),
    ];
    let mut page = Page::new(format!("Run of {}", targets(run)), format!("Asked for by {}", run.principal))
        .under("Workflows", "/workflows")
        .with(Block::Tiles(tiles))
        .with(Block::Facts(vec![
            ("Run", Cell::Code(run.id.clone())),
            ("Started", Cell::Time(run.started_at)),
            ("Ended", Cell::maybe(run.ended_at, Cell::Time)),
        ]))
        .section("Over time", Block::Picture(timeline(detail)))
        .section("Tasks", Block::Table(tasks_table(&detail.task_runs)));
    for task in detail.task_runs.iter().filter(|task| task.task.attempts.iter().any(|attempt| !attempt.log.is_empty()))
    {
        let lines: Vec<&str> =
            task.task.attempts.iter().flat_map(|attempt| attempt.log.iter().map(String::as_str)).collect();
        page = page.with(Block::Folded {
            id: format!("log-{}", task.task.task),
            summary: format!("What {} said ({})", task.task.task, words::several(lines.len() as u64, "line", "lines")),
            text: lines.join("\n"),
        });
    }
    page
}

fn timeline(detail: &WorkflowDetail) -> picture::Picture {
    let run = &detail.view.run;
    let names: Vec<String> = detail.task_runs.iter().map(|task| task.task.task.to_string()).collect();
    let since = |at: jiff::Timestamp| at.duration_since(run.started_at).as_secs_f64().max(0.0);
    // what is under way reaches to now
    let now = run.ended_at.unwrap_or_else(jiff::Timestamp::now);
    let attempts = detail
        .task_runs
        .iter()
        .enumerate()
        .flat_map(|(row, task)| task.task.attempts.iter().map(move |attempt| (row, task, attempt)));
    let stretches: Vec<Stretch> = attempts
        .map(|(row, task, attempt)| Stretch {
            row,
            from: since(attempt.started_at),
            to: since(attempt.ended_at.unwrap_or(now)),
            tone: match (&attempt.error, attempt.ended_at) {
                (Some(_), _) => "bad",
                (None, None) => "info",
                (None, Some(_)) => task_state(task.task.state).0.class(),
            },
            title: attempt.error.clone().unwrap_or_else(|| task.task.task.to_string()),
        })
        .collect();
    picture::timeline(&names, &stretches)
}

fn tasks_table(tasks: &[TaskView]) -> Table {
    let rows = tasks.iter().map(|view| {
        let task = &view.task;
        let (tone, word) = task_state(task.state);
        let error = task.attempts.iter().rev().find_map(|attempt| attempt.error.clone());
        let figures = task.outputs.iter().map(|(name, value)| {
            let value = value
                .as_f64()
                .map_or_else(|| value.as_str().map_or_else(|| value.to_string(), Into::into), words::figure);
            format!("{} {value}", name.replace('_', " "))
        });
        vec![
            Cell::Code(task.task.to_string()),
            Cell::tag(tone, word),
            Cell::count(task.attempts.len() as u64),
            Cell::maybe(view.seconds, Cell::span),
            match error {
                Some(error) => Cell::Text(words::cut(&error, 300)),
                None => Cell::Soft(words::cut(&figures.collect::<Vec<_>>().join(", "), 200)),
            },
        ]
    });
    Table::new(&["task", "state", "#attempts", "#took", "what came of it"]).rows(rows).or_else("It had no tasks")
}
