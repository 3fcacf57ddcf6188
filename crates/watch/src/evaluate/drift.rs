//! Reads the columns of one version, of its reference and of windows, in parts that fit in memory, and compares them.

use std::collections::BTreeMap;

use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use mainspring_lake::TableName;
use mainspring_registry::TrainingSet;

use super::columns::{EXACT_ROWS_MAX, VALUES_MAX, Values, WatchedColumn, compare, read_all, read_windows};
use super::reference::{Failure, Learned, columns_query, inputs_query, predict, reference_of};
use super::target::Target;
use super::traffic::WindowTraffic;
use crate::drift::{Drift, map_columns};
use crate::{Error, Result, Role, Watch, sql};

/// The drift of each column in each of the windows given; of the same length as these.
pub(super) type WindowDrifts = Vec<Vec<(WatchedColumn, Drift)>>;

/// Compares the columns of one version in windows, which are in order of time, with its reference.
pub(super) async fn drift_of(
    watch: &Watch,
    target: &Target,
    learned: Learned<'_>,
    columns: &[WatchedColumn],
    windows: &[&WindowTraffic],
) -> Result<WindowDrifts> {
    let mut found: WindowDrifts = Vec::with_capacity(windows.len());
    for batch in batches(windows) {
        let mut drifts: WindowDrifts = batch.iter().map(|_| Vec::with_capacity(columns.len())).collect();
        let (predictions, features): (Vec<_>, Vec<_>) =
            columns.iter().cloned().partition(|column| column.role == Role::Prediction);
        let rows = exact_rows(reference_of(learned.set).rows) + window_rows(batch);
        for group in features.chunks(group_size(rows)) {
            let reference = read_reference(watch, target, learned, group).await?;
            compare_group(watch, target, group, reference, batch, &mut drifts).await?;
        }
        for column in predictions {
            let reference = read_predictions(watch, target, learned, &column).await?;
            let group = std::slice::from_ref(&column);
            compare_group(watch, target, group, vec![reference], batch, &mut drifts).await?;
        }
        found.append(&mut drifts);
    }
    Ok(found)
}

/// Windows that are read together: as many as half of the numbers that may be held.
fn batches<'a, 'b>(windows: &'a [&'b WindowTraffic]) -> impl Iterator<Item = &'a [&'b WindowTraffic]> {
    let mut rest = windows;
    std::iter::from_fn(move || {
        let mut rows = 0;
        let fits = rest.iter().take_while(|window| {
            rows += exact_rows(window.traffic.predictions);
            rows <= VALUES_MAX / 2
        });
        let count = fits.count().max(1).min(rest.len());
        let (batch, after) = rest.split_at(count);
        rest = after;
        (!batch.is_empty()).then_some(batch)
    })
}

/// The rows whose numbers are held one by one; a sketch of more rows takes about as much as these.
fn exact_rows(rows: u64) -> u64 {
    const SKETCH_ROWS: u64 = 12_000;
    if rows <= EXACT_ROWS_MAX { rows } else { SKETCH_ROWS }
}

fn window_rows(windows: &[&WindowTraffic]) -> u64 {
    windows.iter().map(|window| exact_rows(window.traffic.predictions)).sum()
}

/// How many columns of so many rows are read at once.
fn group_size(rows: u64) -> usize {
    usize::try_from(VALUES_MAX / rows.max(1)).unwrap_or(usize::MAX).max(1)
}

async fn compare_group(
    watch: &Watch,
    target: &Target,
    group: &[WatchedColumn],
    reference: Vec<Values>,
    windows: &[&WindowTraffic],
    drifts: &mut WindowDrifts,
) -> Result<()> {
    let (Some(first), Some(last)) = (windows.first(), windows.last()) else { return Ok(()) };
    let names: Vec<String> = group.iter().map(|column| sql::name(&column.logged)).collect();
    let query = format!(
        "SELECT as_of, {columns} FROM {log} WHERE model = {model} AND CAST(model_version AS BIGINT) = {version} \
         AND as_of >= {from} AND as_of < {to}",
        columns = names.join(", "),
        log = target.log_sql(),
        model = sql::text(&target.model.name),
        version = first.version,
        from = sql::moment(first.from),
        to = sql::moment(last.to.min(target.until)),
    );
    let mut read: Vec<(i64, i64, Vec<Values>)> = windows
        .iter()
        .map(|window| {
            let values = group.iter().map(|column| Values::new(column.kind, window.traffic.predictions)).collect();
            (window.from.as_microsecond(), window.to.as_microsecond(), values)
        })
        .collect();
    let stream = stream(watch, target, &target.pins, &query, "reading the prediction log").await?;
    read_windows(stream, group, &mut read).await.map_err(target.failed("reading the prediction log"))?;

    // From values by window and column to values by column and window.
    let mut by_column: Vec<Vec<Values>> = group.iter().map(|_| Vec::with_capacity(windows.len())).collect();
    for (_, _, values) in read {
        for (column, values) in by_column.iter_mut().zip(values) {
            column.push(values);
        }
    }
    let work: Vec<(Values, Vec<Values>)> = reference.into_iter().zip(by_column).collect();
    let compared =
        tokio::task::spawn_blocking(move || map_columns(work, |(reference, windows)| compare(reference, windows)))
            .await
            .map_err(|error| Error::Stopped { monitor: target.monitor.name.clone(), reason: error.to_string() })?;
    for (column, by_window) in group.iter().zip(compared) {
        for (drifts, drift) in drifts.iter_mut().zip(by_window) {
            drifts.push((column.clone(), drift));
        }
    }
    Ok(())
}

async fn read_reference(
    watch: &Watch,
    target: &Target,
    learned: Learned<'_>,
    group: &[WatchedColumn],
) -> Result<Vec<Values>> {
    let rows = reference_of(learned.set).rows;
    let mut values: Vec<Values> = group.iter().map(|column| Values::new(column.kind, rows)).collect();
    let (table, pins) = training_table(learned.set)?;
    let query = columns_query(&table, group);
    let stream = stream(watch, target, &pins, &query, "reading the training set").await?;
    read_all(stream, group, &mut values).await.map_err(target.failed("reading the training set"))?;
    Ok(values)
}

async fn read_predictions(
    watch: &Watch,
    target: &Target,
    learned: Learned<'_>,
    column: &WatchedColumn,
) -> Result<Values> {
    let artifact = watch.registry.open_model(learned.version).await?;
    let (table, pins) = training_table(learned.set)?;
    let query = inputs_query(&table, &artifact);
    let stream = stream(watch, target, &pins, &query, "reading the training set").await?;
    predict(&artifact, column, reference_of(learned.set).rows, stream).await.map_err(|failure| match failure {
        Failure::Stream(error) => target.failed("predicting the training set")(error),
        Failure::Kernel(error) => Error::Kernel(error),
    })
}

/// The training set's table in SQL, and the version that is pinned.
pub(super) fn training_table(set: &TrainingSet) -> Result<(String, BTreeMap<TableName, u64>)> {
    let table: TableName = set.table.parse()?;
    let text = format!("{}.{}", sql::name(table.schema()), sql::name(table.name()));
    Ok((text, BTreeMap::from([(table, set.version)])))
}

/// Starts a query over pinned versions.
pub(super) async fn stream(
    watch: &Watch,
    target: &Target,
    pins: &BTreeMap<TableName, u64>,
    query: &str,
    doing: &'static str,
) -> Result<SendableRecordBatchStream> {
    let frame = watch.lake.sql_at(query, pins).await?;
    frame.execute_stream().await.map_err(|error: DataFusionError| target.failed(doing)(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Traffic;

    fn window(rows: u64) -> WindowTraffic {
        let at = jiff::Timestamp::UNIX_EPOCH;
        let traffic = Traffic { predictions: rows, ..Traffic::default() };
        WindowTraffic { from: at, to: at, version: 1, traffic, newest: 0 }
    }

    #[test]
    fn batches_hold_every_window_once_and_fit() {
        let windows: Vec<WindowTraffic> =
            [1, 1_999_999, 2_000_000, 1_500_000, 2_000_000, 900_000_000, 2_000_000, 5].map(window).into();
        let windows: Vec<&WindowTraffic> = windows.iter().collect();

        let parts: Vec<_> = batches(&windows).collect();

        assert_eq!(parts.concat(), windows);
        assert!(parts.len() == 2 && parts.iter().all(|part| window_rows(part) <= VALUES_MAX / 2), "{parts:?}");
    }
}
