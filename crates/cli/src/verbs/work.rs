//! What is done to data: run, label, monitor, maintain, query, check.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use datafusion::arrow::json::LineDelimitedWriter;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::DataFrame;
use mainspring_catalog::ListQuery;
use mainspring_features::{CheckReport, FeatureStore, FjallStore, VersionInputs};
use mainspring_flow::{FlowRun, RunRequest, RunState, TaskGraph, TaskRun};
use mainspring_lake::{MaintainOptions, TableName};
use mainspring_registry::Registry;
use mainspring_server::query::platform::SCHEMA as PLATFORM;
use mainspring_watch::{LABELS_MAX, LabelsPushed, PushedLabel};

use super::{principal, serve};
use crate::args::{FeaturesVerb, LabelsVerb, MaintainArgs, MonitorArgs, QueryArgs, RunArgs};
use crate::config::Place;
use crate::output::{self, BAD, Column, Failure, GOOD, count, listing, talk};
use crate::progress;
use crate::wiring::Stores;

/// How long a run that is over waits for its lineage events to be taken, by a receiver that takes them: there may be a whole
/// backlog, or the machine is busy. For one that is down it waits less.
const DELIVERY_MAX: Duration = Duration::from_secs(15);

/// `run`.
pub async fn run(place: &Place, args: RunArgs) -> Result<ExitCode, Failure> {
    let stores = Stores::of_project(place).await?;
    let project = stores.applied().await?;
    let retries =
        args.targets.first().and_then(|name| project.workflows.get(name)).map_or(2, |workflow| workflow.retries);
    let request = RunRequest {
        graph: TaskGraph::of(&project, &args.targets)?,
        targets: args.targets.clone(),
        retries,
        force: args.force,
    };
    // a server on this folder holds the online store, so it does the run
    let run = match serve::address_of_running(&stores.config.state).await {
        Some(server) => serve::run_there(&server, &request, &stores.catalog).await?,
        None => {
            let online = open_online(&stores)?;
            let layers = stores.layers(&project, online, args.parallel).await?;
            let (events, follow) = tokio::sync::mpsc::unbounded_channel();
            let shown = tokio::spawn(progress::follow(follow));
            let run = layers.flow.run(&request, &principal(), &events).await;
            drop(events);
            shown.await?;
            deliver(&stores).await?;
            run?
        }
    };
    report(&stores, &run, args.json).await
}

/// Takes the events of the run to where they are wanted; what cannot be delivered now is delivered by the next process.
async fn deliver(stores: &Stores) -> Result<(), Failure> {
    if let Some(courier) = stores.courier()?
        && let Err(reason) = courier.flush(DELIVERY_MAX).await
    {
        talk(&format!("lineage events wait for the next run or server: {reason}"));
    }
    Ok(())
}

async fn report(stores: &Stores, run: &FlowRun, as_json: bool) -> Result<ExitCode, Failure> {
    let tasks: Vec<TaskRun> =
        stores.catalog.all::<TaskRun>(ListQuery::of(&run.id)).await?.into_iter().map(|task| task.document).collect();
    if as_json {
        output::json(&serde_json::json!({ "run": run, "tasks": tasks }))?;
    } else {
        let seconds = run.ended_at.map_or(0.0, |ended| ended.duration_since(run.started_at).as_secs_f64());
        let words = if run.state == RunState::Succeeded {
            format!("{GOOD}succeeded{GOOD:#}")
        } else {
            format!("{BAD}failed{BAD:#}")
        };
        output::text(&format!("run {} {words}: {} tasks in {seconds:.1} s", run.id, tasks.len()))?;
    }
    Ok(if run.state == RunState::Succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Opens the embedded online store, which one process at a time may have.
pub fn open_online(stores: &Stores) -> Result<Arc<FjallStore>, Failure> {
    let folder = &stores.config.online;
    let store = FjallStore::open(folder).map_err(|error| {
        Failure::hinted(
            anyhow::Error::from(error).context(format!("cannot open the online store in {}", folder.display())),
            "one process at a time may have it: end the other `mainspring` on this folder, or ask its server",
        )
    })?;
    Ok(Arc::new(store))
}

/// `features`.
pub async fn features(place: &Place, verb: FeaturesVerb) -> Result<ExitCode, Failure> {
    let FeaturesVerb::Check { endpoint, sample, json } = verb;
    let stores = Stores::of_project(place).await?;
    let project = stores.applied().await?;
    let features = FeatureStore::offline(stores.lake.clone(), stores.catalog.clone(), project.clone());
    let all = endpoint.is_none();
    let endpoints: Vec<String> = match endpoint {
        Some(endpoint) => vec![endpoint],
        // a model that is only in the registry looks no features up
        None => project.endpoints.values().filter(|one| !one.registered).map(|one| one.name.clone()).collect(),
    };
    let mut reports = vec![];
    for endpoint in &endpoints {
        // asked about every endpoint, one that nobody has asked for a prediction is no fault
        if all && !stores.lake.exists(&TableName::new("predictions", endpoint)?).await? {
            talk(&format!("{endpoint}: nothing to check, as no prediction has been logged yet"));
            continue;
        }
        reports.push((endpoint.clone(), check(&stores.registry, &features, endpoint, sample).await?));
    }
    let agree = reports.iter().all(|(_, report)| report.values_different == 0);
    if json {
        let shown: Vec<_> = reports
            .iter()
            .map(|(endpoint, report)| serde_json::json!({ "endpoint": endpoint, "report": report }))
            .collect();
        output::json(&shown)?;
    } else {
        for (endpoint, report) in &reports {
            let words = if report.values_different == 0 {
                format!("{GOOD}agree{GOOD:#}")
            } else {
                format!("{BAD}differ{BAD:#}")
            };
            output::text(&format!(
                "{endpoint}: {words}, {} values of {} predictions compared, {} differ",
                count(report.values_compared),
                count(report.rows_checked),
                count(report.values_different)
            ))?;
            if report.rows_older > 0 {
                output::text(&format!(
                    "  {} predictions passed over: they are older than the present declaration of their features",
                    count(report.rows_older)
                ))?;
            }
            for mismatch in report.mismatches.iter().take(20) {
                output::text(&format!(
                    "  {} {} at {}: served {}, recomputed {}",
                    mismatch.prediction_id, mismatch.feature, mismatch.as_of, mismatch.served, mismatch.recomputed
                ))?;
            }
        }
    }
    Ok(if agree { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Recomputes a sample of what an endpoint served, each prediction on the inputs of the version that answered it. Versions
/// that are gone are passed over.
pub async fn check(
    registry: &Registry,
    features: &FeatureStore,
    endpoint: &str,
    sample: usize,
) -> Result<CheckReport, Failure> {
    let mut inputs = VersionInputs::new();
    if let Some(declared) = features.project().endpoints.get(endpoint) {
        for version in features.versions_logged(endpoint).await? {
            let Ok(found) = registry.version(&declared.model, version).await else { continue };
            let artifact = registry.open_model(&found).await?;
            inputs.insert(version, artifact.inputs.into_iter().map(|input| input.name).collect());
        }
    }
    Ok(features.check(endpoint, sample, &inputs).await?)
}

/// `labels`.
pub async fn labels(place: &Place, verb: LabelsVerb) -> Result<ExitCode, Failure> {
    let LabelsVerb::Push { model, file, json } = verb;
    let stores = Stores::of_project(place).await?;
    let watch = stores.watch(&stores.applied().await?);
    let read = File::open(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut lines = BufReader::new(read).lines().zip(1_u64..);
    let mut sum = LabelsPushed { given: 0, landed: 0 };
    loop {
        let part = next_labels(&mut lines, &file)?;
        if part.is_empty() {
            break;
        }
        let pushed = watch.push_labels(&model, &part, &principal()).await;
        let pushed =
            pushed.with_context(|| format!("the labels of {} after the first {}", file.display(), sum.given))?;
        sum.given += pushed.given;
        sum.landed += pushed.landed;
    }
    if json {
        return output::json(&sum);
    }
    output::text(&format!("{} of {} labels are new, and kept", count(sum.landed), count(sum.given)))
}

/// Reads the next labels of a file, as many as one push takes.
fn next_labels(
    lines: &mut impl Iterator<Item = (std::io::Result<String>, u64)>,
    file: &Path,
) -> anyhow::Result<Vec<PushedLabel>> {
    let mut labels = vec![];
    while labels.len() < LABELS_MAX
        && let Some((text, number)) = lines.next()
    {
        let text = text.with_context(|| format!("cannot read {}", file.display()))?;
        if !text.trim().is_empty() {
            let label = serde_json::from_str(&text).with_context(|| format!("line {number} of {}", file.display()))?;
            labels.push(label);
        }
    }
    Ok(labels)
}

/// `monitor`.
pub async fn monitor(place: &Place, args: MonitorArgs) -> Result<ExitCode, Failure> {
    let stores = Stores::of_project(place).await?;
    let project = stores.applied().await?;
    let watch = stores.watch(&project);
    let monitors: Vec<String> = match args.monitor {
        Some(monitor) => vec![monitor],
        None => project.monitors.keys().cloned().collect(),
    };
    let mut reports = vec![];
    for monitor in &monitors {
        watch.evaluate(monitor, None, &principal()).await?;
        reports.extend(watch.reports(monitor, &mainspring_watch::ReportQuery::default()).await?);
    }
    if args.json {
        return output::json(&reports);
    }
    let rows = reports.iter().map(|report| {
        let quality = report.performance.as_ref();
        let metric = |name: &str| {
            quality
                .and_then(|quality| quality.metrics.get(name))
                .map_or_else(String::new, |value| format!("{value:.4}"))
        };
        let (feature, psi) = report
            .greatest_psi()
            .map_or((String::new(), String::new()), |(feature, psi)| (feature.to_owned(), format!("{psi:.3}")));
        vec![
            report.monitor.clone(),
            report.from.strftime("%Y-%m-%d").to_string(),
            report.model_version.to_string(),
            count(report.traffic.predictions),
            quality.map_or_else(String::new, |quality| count(quality.labelled)),
            metric("auc"),
            metric("log_loss"),
            metric("rmse"),
            psi,
            feature,
            report.breaches().count().to_string(),
        ]
    });
    let columns = [
        Column::Left("monitor"),
        Column::Left("window"),
        Column::Right("version"),
        Column::Right("predictions"),
        Column::Right("labelled"),
        Column::Right("AUC"),
        Column::Right("log loss"),
        Column::Right("RMSE"),
        Column::Right("PSI"),
        Column::Left("moved farthest"),
        Column::Right("breaches"),
    ];
    listing(&columns, rows.collect())
}

/// `maintain`.
pub async fn maintain(place: &Place, args: MaintainArgs) -> Result<ExitCode, Failure> {
    let keep: mainspring_spec::Span = args.keep.parse().map_err(|error: String| anyhow::anyhow!(error))?;
    let stores = Stores::of_project(place).await?;
    // what a model was trained from must stay readable
    let mut keep_versions = BTreeMap::new();
    for (table, versions) in stores.registry.pinned_tables().await? {
        keep_versions.insert(table.parse::<TableName>()?, versions);
    }
    let keep = jiff::SignedDuration::from_micros(keep.as_micros());
    let options = MaintainOptions { keep, keep_versions, ..MaintainOptions::default() };
    let report = stores.lake.maintain(options).await?;
    if args.json {
        return output::json(&report);
    }
    let rows = report.tables.iter().map(|table| {
        vec![
            table.table.to_string(),
            count(table.files_before),
            count(table.files_after),
            count(table.files_removed),
            table.version.to_string(),
        ]
    });
    let columns = [
        Column::Left("table"),
        Column::Right("files before"),
        Column::Right("after"),
        Column::Right("removed"),
        Column::Right("version"),
    ];
    listing(&columns, rows.collect())
}

/// `query`.
pub async fn query(place: &Place, args: QueryArgs) -> Result<ExitCode, Failure> {
    let stores = Stores::of_project(place).await?;
    let frame = stores.lake.ask(&args.sql, &pins(&stores, &args).await?).await.map_err(no_answer)?;
    // the engine explains a query only where that is all of the statement
    let is_explained = matches!(frame.logical_plan(), LogicalPlan::Explain(_) | LogicalPlan::Analyze(_));
    let frame = if is_explained {
        frame
    } else {
        // one row more tells whether there are more
        frame.limit(0, Some(args.limit.saturating_add(1))).context("cannot limit the query")?
    };
    show(frame, args.limit, args.json).await
}

/// Why a query has no answer. The lake does not know of the views that only a server has.
fn no_answer(error: mainspring_lake::Error) -> Failure {
    match error {
        mainspring_lake::Error::NoTable { table, .. }
            if table.split_once('.').is_some_and(|(schema, _)| schema == PLATFORM) =>
        {
            Failure::hinted(
                anyhow::anyhow!(
                    "{table} cannot be read here: `{PLATFORM}` is there only over Flight SQL, of a running server"
                ),
                "start one with `mainspring serve --grpc 127.0.0.1:7879` and ask it as docs/guides/flight-sql.md shows",
            )
        }
        other => other.into(),
    }
}

/// The most versions of a table that are looked through for those of a moment.
const VERSIONS_MAX: usize = 100_000;

/// The versions that a query names, by number or by moment.
async fn pins(stores: &Stores, args: &QueryArgs) -> Result<BTreeMap<TableName, u64>, Failure> {
    let mut pins = BTreeMap::new();
    if let Some(at) = args.at {
        // a query that cannot be read says so itself when it is run
        let names = mainspring_spec::table_names(&args.sql).unwrap_or_default();
        let named = |table: &TableName| {
            let bare = matches!(table.schema(), "sources" | "features");
            names.iter().any(|name| *name == table.to_string() || (bare && *name == table.name()))
        };
        for table in stores.lake.tables().await? {
            let versions = stores.lake.history(&table, VERSIONS_MAX).await?;
            match versions.iter().find(|version| version.at.is_some_and(|committed| committed <= at)) {
                Some(then) => {
                    pins.insert(table, then.version);
                }
                None if named(&table) => {
                    return Err(Failure::hinted(
                        anyhow::anyhow!("there was no table {table} at {at}"),
                        format!(
                            "`mainspring list tables` shows when it was made; `--pin {table}=VERSION` reads a version"
                        ),
                    ));
                }
                None => {}
            }
        }
    }
    for pin in &args.pin {
        let wrong =
            || anyhow::anyhow!("`--pin {pin}` is not of the form schema.table=VERSION, as in sources.flights=3");
        let (table, version) = pin.split_once('=').ok_or_else(wrong)?;
        pins.insert(table.parse()?, version.parse().map_err(|_| wrong())?);
    }
    Ok(pins)
}

async fn show(frame: DataFrame, limit: usize, as_json: bool) -> Result<ExitCode, Failure> {
    let numeric: Vec<bool> = frame.schema().fields().iter().map(|field| field.data_type().is_numeric()).collect();
    let names: Vec<String> = frame.schema().fields().iter().map(|field| field.name().clone()).collect();
    let batches = frame.collect().await.context("the query failed")?;
    let total: usize = batches.iter().map(datafusion::arrow::array::RecordBatch::num_rows).sum();
    if total > limit {
        talk(&format!("only the first {limit} rows are shown; --limit N shows more"));
    }
    let mut left = limit;
    let kept: Vec<_> = batches
        .iter()
        .map(|batch| {
            let rows = batch.num_rows().min(left);
            left -= rows;
            batch.slice(0, rows)
        })
        .collect();
    if as_json {
        let mut lines = LineDelimitedWriter::new(vec![]);
        for batch in &kept {
            lines.write(batch)?;
        }
        lines.finish()?;
        return output::bytes(&lines.into_inner());
    }
    let options = FormatOptions::default();
    let mut rows = vec![];
    for batch in &kept {
        let formatters = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
            .collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            rows.push(formatters.iter().map(|column| column.value(row).to_string()).collect());
        }
    }
    // a table's columns borrow their names; a query's are few and live as long as the program
    let columns: Vec<Column> = names
        .into_iter()
        .zip(numeric)
        .map(|(name, numeric)| {
            let name: &'static str = Box::leak(name.into_boxed_str());
            if numeric { Column::Right(name) } else { Column::Left(name) }
        })
        .collect();
    listing(&columns, rows)
}
