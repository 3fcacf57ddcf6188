//! July to December, replayed over HTTP as if live.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use datafusion::arrow::json::WriterBuilder;
use datafusion::arrow::json::writer::LineDelimited;
use futures::{StreamExt, TryStreamExt};
use hdrhistogram::Histogram;
use jiff::civil::date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use mainspring_spec::Project;
use mainspring_watch::WindowReport;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::ENDPOINT;
use super::report::{MonthFigures, Report};
use crate::output::{BOLD, SOFT, WARN, count, talk};
use crate::verbs::{Running, principal};

/// The longest answer that is told apart from longer ones, in microseconds: the client's patience.
const LONGEST_US: u64 = 30_000_000;
/// Requests under way at once.
const CONCURRENCY: usize = 16;
/// Labels of a month are taken as come this long after its end: the last flights have landed.
const LABELS_COME: i64 = 24;
/// The monitor of the example.
const MONITOR: &str = "arrival_delay";

/// One flight to predict, as a client would ask.
struct Asked {
    at: Timestamp,
    body: Vec<u8>,
}

/// The part of an answer that the demo looks at.
#[derive(Deserialize)]
struct Answer {
    degraded: bool,
    predictions: Vec<Value>,
}

/// Replays the second half of the year, or its first `days`.
pub async fn replay(
    running: &Running,
    project: &Project,
    days: Option<u32>,
    report: &mut Report,
) -> anyhow::Result<String> {
    let first = date(2013, 7, 1);
    let days = days.unwrap_or(184).clamp(1, 184);
    let flights = flights(running, project).await?;
    let client = reqwest::Client::builder()
        .pool_max_idle_per_host(CONCURRENCY)
        .timeout(Duration::from_micros(LONGEST_US))
        .build()?;
    let url: Arc<str> = format!("http://{}/api/v1/endpoints/{ENDPOINT}/predict", running.address).into();
    let views: Vec<&String> =
        (project.feature_views.values()).filter(|view| view.is_served_online()).map(|view| &view.name).collect();

    let mut latency = Histogram::<u64>::new_with_bounds(1, LONGEST_US, 3)?;
    let mut sending = Duration::ZERO;
    let mut next = 0;
    let total = flights.partition_point(|flight| flight.at < end_of(first, days)) as u64;
    let bar = super::bar(total, "replay");
    for day in 0..days {
        let today = first.checked_add(Span::new().days(day))?;
        let evening = end_of(first, day + 1);
        for view in &views {
            running.app.layers().features.materialize_online(view, Some(evening)).await?;
        }
        let until = next + flights[next..].partition_point(|flight| flight.at < evening);
        let begun = Instant::now();
        let mut answers = futures::stream::iter(&flights[next..until])
            .map(|flight| ask(&client, url.clone(), &flight.body))
            .buffer_unordered(CONCURRENCY);
        while let Some((answer, micros)) = answers.next().await {
            latency.saturating_record(micros);
            bar.inc(1);
            match answer {
                Ok(answer) if answer.predictions.len() == 1 => {
                    report.predictions.made += 1;
                    report.predictions.degraded += u64::from(answer.degraded);
                }
                Ok(_) => report.predictions.failed += 1,
                Err(error) => {
                    if report.predictions.failed == 0 {
                        report.complaints.push(format!("the first failed prediction: {error:#}"));
                    }
                    report.predictions.failed += 1;
                }
            }
        }
        sending += begun.elapsed();
        next = until;
        bar.set_message(today.strftime("%-d %B").to_string());

        let tomorrow = today.tomorrow()?;
        if tomorrow.month() != today.month() || day + 1 == days {
            running.app.serve.flush().await;
            let come = evening.checked_add(jiff::SignedDuration::from_hours(LABELS_COME))?;
            let month = today.strftime("%Y-%m").to_string();
            let figures = watch(running, &month, come).await?;
            bar.suspend(|| tell(&figures));
            report.months.push(figures);
        }
    }
    bar.finish_and_clear();
    report.predictions.per_second = report.predictions.made as f64 / sending.as_secs_f64().max(1e-9);
    report.predictions.latency_p50_ms = latency.value_at_quantile(0.50) as f64 / 1000.0;
    report.predictions.latency_p99_ms = latency.value_at_quantile(0.99) as f64 / 1000.0;
    Ok(format!(
        "half within {:.2} ms, 99 in 100 within {:.2} ms",
        report.predictions.latency_p50_ms, report.predictions.latency_p99_ms
    ))
}

fn end_of(first: jiff::civil::Date, days: u32) -> Timestamp {
    let day = first.saturating_add(Span::new().days(days));
    day.to_zoned(TimeZone::UTC).map_or(Timestamp::MAX, |midnight| midnight.timestamp())
}

async fn ask(client: &reqwest::Client, url: Arc<str>, body: &[u8]) -> (anyhow::Result<Answer>, u64) {
    let begun = Instant::now();
    let request = client.post(&*url).header("content-type", "application/json").body(body.to_vec());
    let answer = async {
        let answer = request.send().await?;
        let status = answer.status();
        let bytes = answer.bytes().await?;
        if !status.is_success() {
            bail!("{status}: {}", String::from_utf8_lossy(&bytes));
        }
        Ok(serde_json::from_slice(&bytes)?)
    };
    let answer = answer.await;
    (answer, u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX))
}

/// Every flight from July on, by the moment of its prediction, as the body of its request.
async fn flights(running: &Running, project: &Project) -> anyhow::Result<Vec<Asked>> {
    let model = project.endpoints.get(ENDPOINT).and_then(|endpoint| project.models.get(&endpoint.model));
    let model = model.ok_or_else(|| anyhow!("the example has no endpoint {ENDPOINT}"))?;
    let at = model.observations.at.as_deref().context("the example's observations have a time")?;
    let fields: Vec<String> =
        project.request_fields(&model.name)?.into_iter().map(|field| format!("\"{}\"", field.name)).collect();
    let query = format!(
        "select cast(to_unixtime({at}) as bigint) as as_of_seconds, {} from {} where {at} >= timestamp '2013-07-01T00:00:00Z' order by {at}",
        fields.join(", "),
        model.observations.from
    );
    let mut batches = running.app.lake.sql(&query).await?.execute_stream().await?;
    let mut asked = vec![];
    while let Some(batch) = batches.try_next().await? {
        // a field that is not known is sent as null, not left out
        let mut lines = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(vec![]);
        lines.write(&batch)?;
        lines.finish()?;
        for line in lines.into_inner().split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let mut row: Map<String, Value> = serde_json::from_slice(line)?;
            let seconds =
                row.remove("as_of_seconds").and_then(|seconds| seconds.as_i64()).context("a time in seconds")?;
            let at = Timestamp::from_second(seconds)?;
            asked.push(Asked { at, body: serde_json::to_vec(&serde_json::json!({ "as_of": at, "rows": [row] }))? });
        }
    }
    Ok(asked)
}

/// Judges a month that has ended.
async fn watch(running: &Running, month: &str, come: Timestamp) -> anyhow::Result<MonthFigures> {
    let watch = running.app.layers().watch.clone();
    let evaluated = watch.evaluate(MONITOR, Some(come), &principal()).await?;
    let of_month = |report: &&WindowReport| report.from.strftime("%Y-%m").to_string() == month;
    let window = evaluated.iter().find(of_month).ok_or_else(|| anyhow!("the monitor has no window for {month}"))?;
    let drift = window.greatest_psi();
    let drifted: std::collections::BTreeSet<String> = window.breaches().map(|breach| breach.subject()).collect();
    Ok(MonthFigures {
        month: month.to_owned(),
        predictions: window.traffic.predictions,
        labelled: window.performance.as_ref().map_or(0, |performance| performance.labelled),
        quality: window.performance.as_ref().map_or_else(BTreeMap::new, |performance| performance.metrics.clone()),
        drift_feature: drift.map(|(feature, _)| feature.to_owned()),
        drift_psi: drift.map(|(_, psi)| psi),
        drifted: drifted.len(),
        alerts: drifted.into_iter().collect(),
    })
}

/// One line on a month.
fn tell(month: &MonthFigures) {
    let metric = |name: &str| month.quality.get(name).map_or_else(|| "-".into(), |value| format!("{value:.3}"));
    let drift = match (&month.drift_feature, month.drift_psi) {
        (Some(feature), Some(psi)) => format!("{feature} moved farthest, PSI {psi:.2}"),
        _ => "no drift figure".into(),
    };
    let alerts = if month.alerts.is_empty() {
        String::new()
    } else {
        format!("  {WARN}{} bounds broken{WARN:#}", month.alerts.len())
    };
    talk(&format!(
        "  {BOLD}{}{BOLD:#}  {:>7} predictions, {:>7} labels, AUC {}, log loss {}  {SOFT}{drift}{SOFT:#}{alerts}",
        month.month,
        count(month.predictions),
        count(month.labelled),
        metric("auc"),
        metric("log_loss")
    ));
}
