//! Verifying: every entry, document, metric and edge of one snapshot, streamed.

use futures::TryStreamExt;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};

use super::failure::storage;
use super::read::{entry_row, head_of};
use crate::audit::{EdgeRow, MetricRow, Verifier};
use crate::{AuditHead, AuditVerdict, Edge, Error, Fault, Result};

const DOING: &str = "verifying the audit log";

/// Either the log is not whole, or nobody could tell.
enum Stop {
    Found(Fault),
    Lost(Error),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Found(fault)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Lost(error)
    }
}

pub(super) async fn verify(pool: &SqlitePool, witness: Option<&AuditHead>) -> Result<AuditVerdict> {
    // One transaction is one snapshot: changes that are committed meanwhile are not seen.
    let mut transaction = pool.begin().await.map_err(storage(DOING))?;
    let (head, _) = head_of(&mut transaction).await.map_err(storage(DOING))?;
    let mut verifier = Verifier::new(head, witness.cloned());
    match follow(&mut transaction, &mut verifier).await {
        Ok(verdict) => Ok(verdict),
        Err(Stop::Found(fault)) => Ok(verifier.broken(fault)),
        Err(Stop::Lost(error)) => Err(error),
    }
}

async fn follow(connection: &mut SqliteConnection, verifier: &mut Verifier) -> Result<AuditVerdict, Stop> {
    {
        let mut rows = sqlx::query(include_str!("sql/chain.sql")).fetch(&mut *connection);
        while let Some(row) = rows.try_next().await.map_err(storage(DOING))? {
            // A field that is no longer text or number was not written by us.
            let entry = entry_row(&row).map_err(|_| Fault::Altered { seq: verifier.next_seq() })?;
            verifier.entry(&entry)?;
        }
    }
    verifier.end_of_entries()?;
    {
        let mut rows = sqlx::query(include_str!("sql/bodies.sql")).fetch(&mut *connection);
        while let Some(row) = rows.try_next().await.map_err(storage(DOING))? {
            let kind: String = row.try_get(0).map_err(storage(DOING))?;
            let id: String = row.try_get(1).map_err(storage(DOING))?;
            let version: i64 = row.try_get(2).map_err(storage(DOING))?;
            let body: Vec<u8> = row.try_get(3).map_err(storage(DOING))?;
            verifier.document(&kind, &id, version, &body)?;
        }
    }
    verifier.end_of_documents()?;
    {
        let mut rows = sqlx::query(include_str!("sql/metrics_in_order.sql")).fetch(&mut *connection);
        while let Some(row) = rows.try_next().await.map_err(storage(DOING))? {
            verifier.metric(metric_row(&row).ok().as_ref())?;
        }
    }
    {
        let mut rows = sqlx::query(include_str!("sql/edges_by_entry.sql")).fetch(&mut *connection);
        while let Some(row) = rows.try_next().await.map_err(storage(DOING))? {
            verifier.edge(edge_row(&row).ok().as_ref())?;
        }
    }
    Ok(verifier.end()?)
}

fn metric_row(row: &SqliteRow) -> Result<MetricRow, sqlx::Error> {
    Ok(MetricRow {
        ordinal: row.try_get(0)?,
        run: row.try_get(1)?,
        key: row.try_get(2)?,
        step: row.try_get(3)?,
        value: row.try_get(4)?,
        at: row.try_get(5)?,
    })
}

fn edge_row(row: &SqliteRow) -> Result<EdgeRow, sqlx::Error> {
    let edge = Edge { from: row.try_get(1)?, to: row.try_get(2)?, kind: row.try_get(3)? };
    Ok(EdgeRow { seq: row.try_get(0)?, edge, at: row.try_get(4)? })
}
