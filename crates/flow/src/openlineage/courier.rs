//! Takes events out of the outbox to who they are for.

use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mainspring_catalog::{Catalog, Change, Expect, Principal};
use serde::Serialize;
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::Instant;
use url::Url;

use super::metrics::{Fate, LineageMetrics};
use super::outbox::{self, Queued};
use crate::error::Result;

/// Events that are taken out at once: their removal is one change.
const BATCH: usize = 100;
/// The longest that a receiver may take for an event.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// The longest that the way to a receiver may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long after its begin a flush still tries a receiver again that has failed: somebody waits for the flush.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// The wait after a failure; doubled for each further one, up to [`BACKOFF_MAX`].
const BACKOFF: Duration = Duration::from_millis(500);
/// The longest wait between two tries.
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// How often the outbox is looked into when nobody rings: another process may have put something there.
const LOOK: Duration = Duration::from_secs(10);

/// Where events go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    /// Posted, each for itself.
    Url(String),
    /// Appended to a file, one a line.
    File(PathBuf),
}

/// Takes events out.
#[derive(Clone)]
pub struct Courier {
    catalog: Catalog,
    destination: Destination,
    client: reqwest::Client,
    metrics: LineageMetrics,
    bell: Arc<Notify>,
}

/// How a delivery ended.
enum Ended {
    /// Nothing waits.
    Empty,
    /// More may wait.
    More,
    /// The receiver did not answer as it should; what it took is out of the box.
    Failed(String),
}

impl Courier {
    /// A courier to a destination, awoken by `bell`.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(
        catalog: Catalog,
        destination: Destination,
        metrics: LineageMetrics,
        bell: Arc<Notify>,
    ) -> std::result::Result<Self, reqwest::Error> {
        // a receiver that leads elsewhere is not followed: events tell of data
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_MAX)
            .timeout(ANSWER_MAX)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { catalog, destination, client, metrics, bell })
    }

    /// Takes events out for ever.
    pub async fn run(self) {
        let mut backoff = BACKOFF;
        loop {
            match self.deliver().await {
                Ok(Ended::More) => backoff = BACKOFF,
                Ok(Ended::Empty) => {
                    backoff = BACKOFF;
                    let _rung_or_time_to_look = tokio::time::timeout(LOOK, self.bell.notified()).await;
                }
                Ok(Ended::Failed(reason)) => {
                    tracing::warn!(%reason, wait = ?backoff, "lineage events wait: their receiver failed");
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
                Err(error) => {
                    tracing::warn!(%error, wait = ?backoff, "lineage events wait: the catalog failed");
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
            }
        }
    }

    /// Takes out what waits, for so long at most, and for a few seconds when the receiver fails; what is left is for the next
    /// process.
    ///
    /// # Errors
    /// Why something is left.
    pub async fn flush(&self, patience: Duration) -> std::result::Result<(), String> {
        let begun = Instant::now();
        let until = begun + patience;
        let retry_until = begun + patience.min(RETRY_MAX);
        let mut backoff = BACKOFF;
        loop {
            let reason = match tokio::time::timeout_at(until, self.deliver()).await {
                Ok(Ok(Ended::Empty)) => return Ok(()),
                Ok(Ok(Ended::More)) => continue,
                Ok(Ok(Ended::Failed(reason))) => reason,
                Ok(Err(error)) => error.to_string(),
                Err(_) => return Err("there was no time to deliver them all".into()),
            };
            if Instant::now() + backoff >= retry_until {
                return Err(reason);
            }
            tokio::time::sleep(backoff).await;
            backoff *= 2;
        }
    }

    /// Takes out the events that have waited longest.
    async fn deliver(&self) -> Result<Ended> {
        let waiting = outbox::oldest(&self.catalog, BATCH).await?;
        if waiting.is_empty() {
            return Ok(Ended::Empty);
        }
        let (gone, failure) = match &self.destination {
            Destination::Url(url) => self.post(url, &waiting).await,
            Destination::File(path) => match append(path, &waiting).await {
                Ok(()) => {
                    self.metrics.count(Fate::Delivered, waiting.len());
                    (waiting.len(), None)
                }
                Err(error) => (0, Some(format!("{}: {error}", path.display()))),
            },
        };
        if gone > 0 {
            let mut change = Change::new(&Principal::system("lineage"), "lineage.deliver", "lineage:outbox")
                .detail(serde_json::json!({ "events": gone }));
            for event in waiting.iter().take(gone) {
                change = change.delete::<Queued>(&event.id, Expect::Any);
            }
            self.catalog.commit(change).await?;
        }
        Ok(failure.map_or(Ended::More, Ended::Failed))
    }

    /// Posts events in their order: how many are out of the box, and why the next one is not.
    async fn post(&self, url: &str, waiting: &[Queued]) -> (usize, Option<String>) {
        for (index, queued) in waiting.iter().enumerate() {
            let failure = match self.client.post(url).json(&queued.event).send().await {
                Ok(answer) if answer.status().is_success() => {
                    self.metrics.count(Fate::Delivered, 1);
                    continue;
                }
                // to try again helps against overload and a receiver that is being mended, not against a refusal
                Ok(answer)
                    if answer.status().is_client_error()
                        && !matches!(answer.status().as_u16(), 401 | 403 | 404 | 408 | 425 | 429) =>
                {
                    self.metrics.count(Fate::Refused, 1);
                    tracing::warn!(status = %answer.status(), event = %queued.id, "a lineage event was refused");
                    continue;
                }
                Ok(answer) => format!("{} answered {}", without_secrets(url), answer.status()),
                Err(error) => format!("{}: {}", without_secrets(url), without_url(error)),
            };
            return (index, Some(failure));
        }
        (waiting.len(), None)
    }
}

fn without_url(error: reqwest::Error) -> String {
    let error = error.without_url();
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}

/// A URL as it may be logged: without a name and password in it, and without its query, where others have their keys.
fn without_secrets(url: &str) -> String {
    match Url::parse(url) {
        Ok(url) => url.origin().ascii_serialization() + url.path(),
        // it may hold them all the same, and the failure says what is wrong with it
        Err(_) => "the URL of the receiver".into(),
    }
}

/// Appends events, one a line; they are durable when this returns.
async fn append(path: &Path, events: &[Queued]) -> std::io::Result<()> {
    let mut lines = Vec::new();
    // a file that is not there, or may not be read, is taken as whole
    if ends_within_a_line(path).await.unwrap_or(false) {
        // what is left of a line stands by itself; its event is written again
        lines.push(b'\n');
    }
    for queued in events {
        serde_json::to_writer(&mut lines, &queued.event)?;
        lines.push(b'\n');
    }
    let mut file = OpenOptions::new().create(true).append(true).open(path).await?;
    file.write_all(&lines).await?;
    // writing goes on behind this, and that it failed is told here alone
    file.flush().await?;
    file.sync_data().await
}

/// Whether a file ends within a line, as a kill or a full disk leaves it.
async fn ends_within_a_line(path: &Path) -> std::io::Result<bool> {
    // a pipe has no length either, and nothing to look back at
    if tokio::fs::metadata(path).await?.len() == 0 {
        return Ok(false);
    }
    let mut file = File::open(path).await?;
    file.seek(SeekFrom::End(-1)).await?;
    Ok(file.read_u8().await? != b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_we_are_to_the_receiver_is_not_logged() {
        for (url, shown) in [
            ("https://me:s3cret@host:5000/api/v1/lineage?api_key=s3cret", "https://host:5000/api/v1/lineage"),
            ("http://s3cret@host", "http://host/"),
            ("http://host/of@somebody", "http://host/of@somebody"),
            ("http://me:s3cret@host:port/", "the URL of the receiver"),
        ] {
            assert_eq!(without_secrets(url), shown);
        }
    }
}
