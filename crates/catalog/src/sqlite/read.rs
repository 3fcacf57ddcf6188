//! Reading: documents, edges, metrics and audit entries.

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};

use super::failure::storage;
use crate::audit::AuditRow;
use crate::{AuditEntry, AuditHead, AuditQuery, Edge, Error, ListQuery, Metric, Record, Result, Seen};

const DOING: &str = "reading the catalog";
/// The most edges of one answer: a picture of more tells nothing.
const MAX_EDGES: i64 = 10_000;
/// The most metrics of one answer, about 100 MB.
const MAX_METRICS: i64 = 1_000_000;

pub(super) async fn get(pool: &SqlitePool, kind: &str, id: &str) -> Result<Option<Record>> {
    let row = sqlx::query(include_str!("sql/get.sql")).bind(kind).bind(id).fetch_optional(pool).await;
    row.map_err(storage(DOING))?.as_ref().map(record).transpose()
}

pub(super) async fn list(pool: &SqlitePool, kind: &str, query: &ListQuery) -> Result<Vec<Record>> {
    let prefix = query.prefix.as_deref().unwrap_or_default();
    // No id sorts behind the last character there is.
    let prefix_end = format!("{prefix}{}", char::MAX);
    let page = i64::try_from(query.page()).unwrap_or(i64::MAX);
    let sql = match (query.newest_first, &query.parent) {
        (false, None) => include_str!("sql/list.sql"),
        (false, Some(_)) => include_str!("sql/list_of_parent.sql"),
        (true, None) => include_str!("sql/list_newest.sql"),
        (true, Some(_)) => include_str!("sql/list_newest_of_parent.sql"),
    };
    let mut rows = sqlx::query(sql).bind(kind).bind(prefix).bind(prefix_end).bind(page);
    rows = if query.newest_first {
        let (before_at, before_id) = newest_cursor(pool, kind, query.after.as_deref()).await?;
        rows.bind(before_id).bind(before_at)
    } else {
        rows.bind(query.after.as_deref().unwrap_or_default())
    };
    if let Some(parent) = &query.parent {
        rows = rows.bind(parent);
    }
    rows.fetch_all(pool).await.map_err(storage(DOING))?.iter().map(record).collect()
}

/// Where a page starts that shows the newest first: before a time and, at that very time, an id.
async fn newest_cursor(pool: &SqlitePool, kind: &str, after: Option<&str>) -> Result<(i64, String)> {
    let Some(after) = after else {
        return Ok((i64::MAX, String::new()));
    };
    let last = get(pool, kind, after).await?;
    let last = last.ok_or_else(|| Error::CursorGone { kind: kind.into(), id: after.into() })?;
    Ok((last.created_at.as_microsecond(), last.id))
}

pub(super) async fn changed_since(pool: &SqlitePool, kind: &str, after: &Seen, limit: usize) -> Result<Vec<Record>> {
    let rows = sqlx::query(include_str!("sql/changed_since.sql"))
        .bind(kind)
        .bind(after.version)
        .bind(&after.id)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(pool)
        .await;
    rows.map_err(storage(DOING))?.iter().map(record).collect()
}

pub(super) async fn count(pool: &SqlitePool, kind: &str, parent: Option<&str>) -> Result<u64> {
    let query = match parent {
        None => sqlx::query("SELECT count(*) FROM documents WHERE kind = ?1").bind(kind),
        Some(parent) => {
            sqlx::query("SELECT count(*) FROM documents WHERE kind = ?1 AND parent = ?2").bind(kind).bind(parent)
        }
    };
    let row = query.fetch_one(pool).await.map_err(storage(DOING))?;
    let count: i64 = row.try_get(0).map_err(storage(DOING))?;
    Ok(count.unsigned_abs())
}

pub(super) async fn metrics(pool: &SqlitePool, run: &str, key: Option<&str>) -> Result<Vec<Metric>> {
    let query = match key {
        None => sqlx::query(include_str!("sql/metrics.sql")).bind(run).bind(MAX_METRICS),
        Some(key) => sqlx::query(include_str!("sql/metrics_of_key.sql")).bind(run).bind(MAX_METRICS).bind(key),
    };
    let rows = query.fetch_all(pool).await.map_err(storage(DOING))?;
    rows.iter().map(metric).collect()
}

pub(super) async fn edges(pool: &SqlitePool, sql: &'static str, node: &str) -> Result<Vec<Edge>> {
    let rows = sqlx::query(sql).bind(node).bind(MAX_EDGES).fetch_all(pool).await;
    rows.map_err(storage(DOING))?.iter().map(|row| edge(row).map_err(storage(DOING))).collect()
}

pub(super) async fn edge_page(
    pool: &SqlitePool,
    after: Option<&Edge>,
    from: Option<&str>,
    limit: usize,
) -> Result<Vec<Edge>> {
    let start = match (after, from) {
        (Some(after), _) => (after.from.as_str(), after.to.as_str(), after.kind.as_str()),
        (None, from) => (from.unwrap_or_default(), "", ""),
    };
    // No node sorts behind the last character there is.
    let end = from.map_or_else(|| char::MAX.to_string(), ToOwned::to_owned);
    let rows = sqlx::query(include_str!("sql/edges.sql"))
        .bind(start.0)
        .bind(start.1)
        .bind(start.2)
        .bind(end)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(pool)
        .await;
    rows.map_err(storage(DOING))?.iter().map(|row| edge(row).map_err(storage(DOING))).collect()
}

pub(super) async fn lineage(pool: &SqlitePool, node: &str, depth: u32) -> Result<Vec<Edge>> {
    let rows = sqlx::query(include_str!("sql/lineage.sql"))
        .bind(node)
        .bind(i64::from(depth))
        .bind(MAX_EDGES)
        .fetch_all(pool)
        .await;
    rows.map_err(storage(DOING))?.iter().map(|row| edge(row).map_err(storage(DOING))).collect()
}

pub(super) async fn audit(pool: &SqlitePool, query: &AuditQuery) -> Result<Vec<AuditEntry>> {
    let action_prefix = query.action.as_ref().map(|action| format!("{action}."));
    let rows = sqlx::query(include_str!("sql/audit.sql"))
        .bind(query.before.unwrap_or(i64::MAX))
        .bind(query.subject.as_deref())
        .bind(query.principal.as_deref())
        .bind(query.action.as_deref())
        .bind(action_prefix)
        .bind(i64::try_from(query.page()).unwrap_or(i64::MAX))
        .fetch_all(pool)
        .await;
    rows.map_err(storage(DOING))?
        .iter()
        .map(|row| entry_row(row).map_err(storage(DOING)).and_then(AuditRow::entry))
        .collect()
}

pub(super) async fn head(pool: &SqlitePool) -> Result<AuditHead> {
    let mut connection = pool.acquire().await.map_err(storage(DOING))?;
    Ok(head_of(&mut connection).await.map_err(storage(DOING))?.0)
}

/// The stored end of the chain and the time of its last entry.
pub(super) async fn head_of(connection: &mut SqliteConnection) -> Result<(AuditHead, i64), sqlx::Error> {
    let row = sqlx::query("SELECT seq, hash, at FROM audit_head").fetch_optional(connection).await?;
    match row {
        None => Ok((AuditHead::empty(), 0)),
        Some(row) => Ok((AuditHead { seq: row.try_get(0)?, hash: row.try_get(1)? }, row.try_get(2)?)),
    }
}

pub(super) fn entry_row(row: &SqliteRow) -> Result<AuditRow, sqlx::Error> {
    Ok(AuditRow {
        seq: row.try_get(0)?,
        at: row.try_get(1)?,
        principal_kind: row.try_get(2)?,
        principal: row.try_get(3)?,
        action: row.try_get(4)?,
        subject: row.try_get(5)?,
        outcome: row.try_get(6)?,
        detail: row.try_get(7)?,
        changes: row.try_get(8)?,
        prev_hash: row.try_get(9)?,
        hash: row.try_get(10)?,
    })
}

fn record(row: &SqliteRow) -> Result<Record> {
    Ok(Record {
        id: row.try_get(0).map_err(storage(DOING))?,
        version: row.try_get(1).map_err(storage(DOING))?,
        created_at: time(row, 2)?,
        updated_at: time(row, 3)?,
        body: row.try_get(4).map_err(storage(DOING))?,
    })
}

fn metric(row: &SqliteRow) -> Result<Metric> {
    Ok(Metric {
        run: row.try_get(0).map_err(storage(DOING))?,
        key: row.try_get(1).map_err(storage(DOING))?,
        step: row.try_get(2).map_err(storage(DOING))?,
        value: row.try_get::<Option<f64>, _>(3).map_err(storage(DOING))?.unwrap_or(f64::NAN),
        at: time(row, 4)?,
    })
}

fn edge(row: &SqliteRow) -> Result<Edge, sqlx::Error> {
    Ok(Edge { from: row.try_get(0)?, to: row.try_get(1)?, kind: row.try_get(2)? })
}

fn time(row: &SqliteRow, column: usize) -> Result<Timestamp> {
    let micros: i64 = row.try_get(column).map_err(storage(DOING))?;
    Timestamp::from_microsecond(micros)
        .map_err(|error| Error::Damaged { doing: DOING, reason: format!("a time is out of range: {error}") })
}
