//! How many predictions each version answered in each window, and how.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use futures::{Stream, StreamExt};
use jiff::Timestamp;
use mainspring_spec::Window;

use super::rows::Rows;
use crate::label::{VERSION, of_model};
use crate::window::sql_unit;
use crate::{Traffic, sql, window_of};

/// The predictions of one version in one window.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WindowTraffic {
    pub from: Timestamp,
    pub to: Timestamp,
    pub version: u64,
    pub traffic: Traffic,
    /// When the newest was made, in microseconds: with the count it tells whether there are new ones.
    pub newest: i64,
}

/// The query whose rows [`read`] reads.
pub(super) fn query(log: &str, model: &str, window: Window, until: Timestamp) -> String {
    format!(
        "SELECT date_trunc('{unit}', as_of) AS window_from, {VERSION} AS version, \
         CAST(count(*) AS BIGINT) AS predictions, CAST(sum(CASE WHEN degraded THEN 1 ELSE 0 END) AS BIGINT) AS degraded, \
         approx_percentile_cont(latency_us, 0.5) AS p50, approx_percentile_cont(latency_us, 0.99) AS p99, \
         avg(prediction) AS mean_prediction, max(predicted_at) AS newest FROM {log} \
         WHERE {of_model} AND as_of < {until} \
         GROUP BY date_trunc('{unit}', as_of), {VERSION} ORDER BY window_from, version",
        unit = sql_unit(window),
        of_model = of_model(model),
        until = sql::moment(until),
    )
}

/// Reads the rows of [`query`], in order of time and version.
pub(super) async fn read<E: From<ArrowError>>(
    window: Window,
    mut stream: impl Stream<Item = Result<RecordBatch, E>> + Unpin,
) -> Result<Vec<WindowTraffic>, E> {
    let mut found = Vec::new();
    while let Some(batch) = stream.next().await.transpose()? {
        let rows = Rows::of(&batch)?;
        for row in 0..batch.num_rows() {
            let Some((micros, version)) = rows.group(row) else { continue };
            let Some((from, to)) = Timestamp::from_microsecond(micros).ok().and_then(|at| window_of(window, at)) else {
                continue;
            };
            let count = |name: &str| rows.whole(name, row).and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
            found.push(WindowTraffic {
                from,
                to,
                version,
                traffic: Traffic {
                    predictions: count("predictions"),
                    degraded: count("degraded"),
                    latency_us_p50: rows.number("p50", row),
                    latency_us_p99: rows.number("p99", row),
                    missing_feature_share: 0.0,
                    mean_prediction: rows.number("mean_prediction", row),
                },
                newest: rows.whole("newest", row).unwrap_or_default(),
            });
        }
    }
    Ok(found)
}
