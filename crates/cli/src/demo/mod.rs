//! `demo`: a year of real flights, from raw files to watched predictions.
//!
//! January to June is what the model learns from. July to December is replayed as if live, one day at a time: features
//! are brought up to date to the end of the day (each value is used only from the moment it was known, so nothing of the
//! future is seen), each flight is predicted over HTTP one hour before its departure, and as months end their true arrivals
//! are joined and drift and quality are judged.

mod folder;
mod memory;
mod replay;
mod report;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, anyhow, bail};
use indicatif::ProgressBar;
use mainspring_catalog::ListQuery;
use mainspring_flow::{FlowRun, RunRequest, RunState, TaskGraph, TaskKind, TaskRun};
use mainspring_server::Layers;

use crate::args::DemoArgs;
use crate::config::Place;
use crate::demo::report::{Report, StepFigures, TableFigures, TrainingFigures};
use crate::output::{BOLD, Failure, GOOD, SOFT, count, size, talk, text};
use crate::verbs::{self, principal};
use crate::wiring::{PARALLEL, Stores};

/// The endpoint and the model of the example.
const ENDPOINT: &str = "arrival_delay";
/// What an honest model reaches; well above, and the future leaked in.
const AUC_EXPECTED: std::ops::RangeInclusive<f64> = 0.68..=0.80;
/// How many predictions are recomputed offline.
const SAMPLE: usize = 2_000;

/// `demo`.
pub async fn run(place: &Place, args: DemoArgs) -> Result<ExitCode, Failure> {
    let begun = Instant::now();
    let mut report = Report::default();
    let mut peak = None;
    let mut steps = Steps { report: &mut report, peak: &mut peak };
    talk(&format!("{BOLD}A year of flights out of New York, end to end{BOLD:#}"));

    let place = place.at(&args.dir);
    let timer = steps.begin();
    folder::write(&args.dir)?;
    let project = place.project()?;
    let stores = Stores::open(&place, Some(&project)).await?;
    let plan = mainspring_spec::diff(None, &project);
    verbs::commit(&stores.catalog, &project, &plan).await?;
    let again = mainspring_spec::diff(stores.catalog.declared().await?.as_ref(), &project);
    if !again.is_empty() {
        return Err(anyhow!("a second plan right after apply is not empty").into());
    }
    steps.end(
        timer,
        "declare",
        &format!("{} objects planned and applied in {}", plan.changes.len(), args.dir.display()),
    );

    let project = stores.applied().await?;
    let online = verbs::open_online(&stores)?;
    let layers = stores.layers(&project, online.clone(), PARALLEL).await?;

    let timer = steps.begin();
    let ingested = tasks(&stores, &layers, &[TaskKind::Ingest]).await?;
    for task in &ingested {
        let figure = |name: &str| task.outputs.get(name).and_then(serde_json::Value::as_u64).unwrap_or_default();
        let table = TableFigures {
            rows_read: figure("rows_read"),
            rows_superseded: figure("rows_superseded"),
            rows_quarantined: figure("rows_quarantined"),
            rows_dropped: figure("rows_dropped"),
        };
        steps.report.tables.insert(task.task.name.clone(), table);
    }
    let (read, aside) = (steps.report.tables.values())
        .fold((0, 0), |(read, aside), table| (read + table.rows_read, aside + table.rows_quarantined));
    steps.end(timer, "ingest", &format!("{} rows read and checked, {} quarantined", count(read), count(aside)));

    let timer = steps.begin();
    for task in tasks(&stores, &layers, &[TaskKind::Backfill]).await? {
        let rows = task.outputs.get("rows").and_then(serde_json::Value::as_u64).unwrap_or_default();
        steps.report.feature_rows.insert(task.task.name, rows);
    }
    let rows: u64 = steps.report.feature_rows.values().sum();
    steps.end(timer, "features", &format!("{} feature rows in {} views", count(rows), steps.report.feature_rows.len()));

    let timer = steps.begin();
    tasks(&stores, &layers, &[TaskKind::Train]).await?;
    let version = stores.registry.live(ENDPOINT, "champion").await?;
    let version = version.ok_or_else(|| anyhow!("no version of {ENDPOINT} passed its gates"))?;
    let set =
        version.training_set.as_ref().ok_or_else(|| anyhow!("version {} has no training set", version.version))?;
    steps.report.training = TrainingFigures {
        rows: set.train_rows,
        validation_rows: set.validation_rows,
        test_rows: set.test_rows,
        inputs: stores.registry.open_model(&version).await?.inputs.len(),
    };
    steps.report.test = version.metrics.clone();
    let auc = version.metrics.get("auc").copied().unwrap_or(f64::NAN);
    if !AUC_EXPECTED.contains(&auc) {
        steps.report.complaints.push(format!("the test AUC is {auc:.4}, expected within {AUC_EXPECTED:?}"));
    }
    steps.end(
        timer,
        "train",
        &format!(
            "version {} learned from {} rows, AUC {auc:.4} on {} later ones",
            version.version,
            count(set.train_rows),
            count(set.test_rows)
        ),
    );

    // the layers of the server take their place: one process, one online store
    drop((layers, online));
    let timer = steps.begin();
    let running = verbs::start(&stores, args.listen, None).await?;
    steps.end(timer, "serve", &format!("{ENDPOINT} answers at http://{}/", running.address));

    let timer = steps.begin();
    let outcome = replay::replay(&running, &project, args.days, &mut *steps.report).await?;
    let made = steps.report.predictions.made;
    steps.end(timer, "replay", &format!("{} predictions over HTTP, {outcome}", count(made)));
    if steps.report.predictions.failed > 0 {
        steps.report.complaints.push(format!("{} predictions failed", steps.report.predictions.failed));
    }

    let timer = steps.begin();
    let check = verbs::check(&stores.registry, &running.app.layers().features, ENDPOINT, SAMPLE).await?;
    steps.report.consistency.rows = check.rows_checked;
    steps.report.consistency.mismatches = check.values_different;
    if let Some(first) = check.mismatches.first() {
        steps.report.complaints.push(format!("served and recomputed features differ: {first:?}"));
    }
    let logged = running.app.lake.sql("select count(*) from predictions.arrival_delay").await?;
    let logged = first_number(logged).await?;
    if logged != made {
        steps.report.complaints.push(format!("{made} predictions were made and {logged} are in the log"));
    }
    let audit = stores.catalog.verify_audit().await?;
    if !audit.is_intact() {
        steps.report.complaints.push(audit.to_string());
    }
    steps.end(
        timer,
        "verify",
        &format!("{} predictions recomputed offline; audit: {audit}", count(check.rows_checked)),
    );

    report.held = report.complaints.is_empty();
    report.seconds = begun.elapsed().as_secs_f64();
    report.peak_memory_bytes = peak;
    text(&report.summary())?;
    if let Some(file) = &args.report {
        std::fs::write(file, serde_json::to_vec_pretty(&report)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    if !args.once {
        let mut stop = verbs::StopAsked::listen()?;
        text(&format!("The console is at {BOLD}http://{}/{BOLD:#} until Ctrl-C", running.address))?;
        stop.wait().await;
    }
    running.stop().await?;
    Ok(if report.held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn first_number(frame: datafusion::prelude::DataFrame) -> anyhow::Result<u64> {
    use datafusion::arrow::array::AsArray;
    use datafusion::arrow::datatypes::Int64Type;

    let batches = frame.collect().await?;
    let column = batches.first().context("a count has a row")?.column(0).as_primitive_opt::<Int64Type>();
    Ok(column.filter(|column| !column.is_empty()).map_or(0, |column| column.value(0)).unsigned_abs())
}

/// Runs the tasks of some kinds and shows how far they are; one that fails ends the demo.
async fn tasks(stores: &Stores, layers: &Layers, kinds: &[TaskKind]) -> anyhow::Result<Vec<TaskRun>> {
    let graph = TaskGraph::of(&layers.project, &[])?.of_kinds(kinds);
    let request = RunRequest { targets: vec![], graph, retries: 1, force: false };
    let (events, follow) = tokio::sync::mpsc::unbounded_channel();
    let shown = tokio::spawn(crate::progress::follow(follow));
    let run = layers.flow.run(&request, &principal(), &events).await;
    drop(events);
    shown.await?;
    let run: FlowRun = run?;
    let tasks = stores.catalog.all::<TaskRun>(ListQuery::of(&run.id)).await?;
    if run.state != RunState::Succeeded {
        bail!("run {} failed; see above", run.id);
    }
    Ok(tasks.into_iter().map(|task| task.document).collect())
}

/// Measures steps, and tells of each in one line.
struct Steps<'a> {
    report: &'a mut Report,
    peak: &'a mut Option<u64>,
}

impl Steps<'_> {
    fn begin(&self) -> Instant {
        memory::forget_peak();
        Instant::now()
    }

    fn end(&mut self, begun: Instant, step: &str, told: &str) {
        let seconds = begun.elapsed().as_secs_f64();
        let peak = memory::peak_bytes();
        *self.peak = (*self.peak).max(peak);
        let memory = peak.map(size).unwrap_or_default();
        talk(&format!("{GOOD}✓{GOOD:#} {BOLD}{step:<9}{BOLD:#} {told}  {SOFT}{seconds:.1} s, {memory}{SOFT:#}"));
        self.report.steps.push(StepFigures { step: step.to_owned(), seconds, peak_memory_bytes: peak });
    }
}

/// A bar for a step with a known length.
fn bar(total: u64, prefix: &str) -> ProgressBar {
    crate::progress::bar(total).with_prefix(prefix.to_owned())
}
