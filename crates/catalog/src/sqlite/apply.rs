//! Writing: a batch of changes in one transaction.

use std::sync::atomic::Ordering;

use jiff::Timestamp;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::SqliteBackend;
use super::failure::{is_disk_failure, storage};
use super::read::head_of;
use crate::audit::{AuditRow, Chain, Tally};
use crate::change::Operation;
use crate::{Change, Committed, Edge, Error, Expect, Metric, Result};

const DOING: &str = "writing to the catalog";
/// Rows in one `INSERT`: six values each, and SQLite takes 32,766 values in a statement.
const METRICS_PER_INSERT: usize = 500;

/// Either the change does not hold, and the others may go on, or the transaction as a whole is lost.
enum Failure {
    Refused(Error),
    Lost(sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Lost(error)
    }
}

impl SqliteBackend {
    pub(super) async fn apply_batch(&self, changes: &[Change]) -> Result<Vec<Result<Committed>>> {
        if self.poisoned.load(Ordering::Acquire) {
            return Err(Error::Poisoned);
        }
        self.try_apply(changes).await.map_err(|error| {
            if is_disk_failure(&error) {
                tracing::error!(%error, "a write to the catalog failed at the disk; no more is written until restart");
                self.poisoned.store(true, Ordering::Release);
            }
            storage(DOING)(error)
        })
    }

    async fn try_apply(&self, changes: &[Change]) -> Result<Vec<Result<Committed>>, sqlx::Error> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let (head, at) = head_of(&mut transaction).await?;
        let started_at = head.seq;
        let mut chain = Chain::at(head, at);
        let mut outcomes = Vec::with_capacity(changes.len());
        for change in changes {
            match apply(&mut transaction, &mut chain, change).await {
                Ok(committed) => outcomes.push(Ok(committed)),
                Err(Failure::Refused(error)) => outcomes.push(Err(error)),
                Err(Failure::Lost(error)) => return Err(error),
            }
        }
        if chain.head().0.seq > started_at {
            set_head(&mut transaction, &chain).await?;
        }
        transaction.commit().await?;
        Ok(outcomes)
    }
}

/// Applies one change. Everything that can refuse it comes before the first write, so nothing needs to be taken back.
async fn apply(connection: &mut SqliteConnection, chain: &mut Chain, change: &Change) -> Result<Committed, Failure> {
    for operation in &change.operations {
        match operation {
            Operation::Put { kind, id, expect, .. }
            | Operation::Delete { kind, id, expect }
            | Operation::Require { kind, id, expect } => require(connection, kind, id, *expect).await?,
            Operation::Edge(_) | Operation::Metric(_) => {}
        }
    }
    let place = chain.next(Timestamp::now());
    let mut metrics = Vec::new();
    let mut edges = Vec::new();
    for operation in &change.operations {
        match operation {
            Operation::Put { kind, id, parent, body, .. } => {
                sqlx::query(include_str!("sql/put.sql"))
                    .bind(*kind)
                    .bind(id)
                    .bind(parent.as_deref())
                    .bind(place.seq)
                    .bind(place.at)
                    .bind(body)
                    .execute(&mut *connection)
                    .await?;
            }
            Operation::Delete { kind, id, .. } => {
                sqlx::query("DELETE FROM documents WHERE kind = ?1 AND id = ?2")
                    .bind(*kind)
                    .bind(id)
                    .execute(&mut *connection)
                    .await?;
            }
            Operation::Require { .. } => {}
            Operation::Edge(edge) => {
                let added = sqlx::query(include_str!("sql/add_edge.sql"))
                    .bind(&edge.from)
                    .bind(&edge.to)
                    .bind(&edge.kind)
                    .bind(place.at)
                    .bind(place.seq)
                    .execute(&mut *connection)
                    .await?;
                if added.rows_affected() > 0 {
                    edges.push(edge);
                }
            }
            Operation::Metric(metric) => metrics.push(metric),
        }
    }
    for chunk in metrics.chunks(METRICS_PER_INSERT) {
        add_metrics(connection, chunk).await?;
    }
    let entry = chain.append(change, place, tally_of(edges, place.at));
    add_entry(connection, &entry).await?;
    Ok(entry.committed())
}

/// The digest of edges that were not there before, in the order in which verifying reads them.
fn tally_of(mut added: Vec<&Edge>, at: i64) -> Tally {
    added.sort_unstable();
    let mut tally = Tally::added_edges();
    for edge in added {
        tally.added_edge(edge, at);
    }
    tally
}

async fn require(connection: &mut SqliteConnection, kind: &str, id: &str, expect: Expect) -> Result<(), Failure> {
    if expect == Expect::Any {
        return Ok(());
    }
    let row = sqlx::query("SELECT version FROM documents WHERE kind = ?1 AND id = ?2")
        .bind(kind)
        .bind(id)
        .fetch_optional(connection)
        .await?;
    let found = row.map(|row| row.try_get(0)).transpose()?;
    if expect.holds(found) {
        return Ok(());
    }
    Err(Failure::Refused(Error::Conflict { kind: kind.into(), id: id.into(), expected: expect, found }))
}

async fn add_metrics(connection: &mut SqliteConnection, metrics: &[&Metric]) -> Result<(), sqlx::Error> {
    let mut query = QueryBuilder::<Sqlite>::new("INSERT INTO metrics (run, key, step, value, at) ");
    query.push_values(metrics, |mut row, metric| {
        row.push_bind(&metric.run)
            .push_bind(&metric.key)
            .push_bind(metric.step)
            .push_bind((!metric.value.is_nan()).then_some(metric.value))
            .push_bind(metric.at.as_microsecond());
    });
    // One row, and a full chunk, come again and again; the sizes between are not worth a prepared statement each.
    let prepared = matches!(metrics.len(), 1 | METRICS_PER_INSERT);
    query.build().persistent(prepared).execute(connection).await.map(drop)
}

pub(super) async fn set_head(connection: &mut SqliteConnection, chain: &Chain) -> Result<(), sqlx::Error> {
    let (head, at) = chain.head();
    sqlx::query(include_str!("sql/set_head.sql"))
        .bind(head.seq)
        .bind(at)
        .bind(&head.hash)
        .execute(connection)
        .await
        .map(drop)
}

pub(super) async fn add_entry(connection: &mut SqliteConnection, entry: &AuditRow) -> Result<(), sqlx::Error> {
    sqlx::query(include_str!("sql/add_entry.sql"))
        .bind(entry.seq)
        .bind(entry.at)
        .bind(&entry.principal_kind)
        .bind(&entry.principal)
        .bind(&entry.action)
        .bind(&entry.subject)
        .bind(&entry.outcome)
        .bind(&entry.detail)
        .bind(&entry.changes)
        .bind(&entry.prev_hash)
        .bind(&entry.hash)
        .execute(connection)
        .await
        .map(drop)
}
