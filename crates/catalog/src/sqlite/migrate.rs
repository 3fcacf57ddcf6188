//! Bringing the schema up to date: numbered steps, forward only, each applied once.

use futures::TryStreamExt;
use jiff::Timestamp;
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::{Row, SqliteConnection, SqlitePool};

use super::apply::{add_entry, set_head};
use super::failure::storage;
use super::read::head_of;
use crate::audit::{Chain, Tally};
use crate::{Change, Edge, Error, Principal, Result};

/// Never edited once released: a database remembers the digest of what it was given.
const MIGRATIONS: [&str; 3] = [
    include_str!("../../migrations/sqlite/0001_catalog.sql"),
    include_str!("../../migrations/sqlite/0002_changed_since.sql"),
    include_str!("../../migrations/sqlite/0003_edges_of_entries.sql"),
];
/// How many of them a catalog has that says of each edge which entry added it.
const EDGES_OF_ENTRIES: usize = 3;

/// Applies what is missing, in one transaction under the write lock, so that two processes may open at once.
pub(super) async fn migrate(pool: &SqlitePool) -> Result<()> {
    let doing = "bringing the catalog's schema up to date";
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await.map_err(storage(doing))?;
    sqlx::raw_sql(include_str!("sql/migrations.sql")).execute(&mut *transaction).await.map_err(storage(doing))?;
    let applied = sqlx::query("SELECT version, digest FROM migrations ORDER BY version")
        .fetch_all(&mut *transaction)
        .await
        .map_err(storage(doing))?;
    for row in &applied {
        let version: i64 = row.try_get(0).map_err(storage(doing))?;
        let digest: String = row.try_get(1).map_err(storage(doing))?;
        let known = usize::try_from(version - 1).ok().and_then(|index| MIGRATIONS.get(index));
        match known {
            None => return Err(Error::Newer { found: version, known: MIGRATIONS.len() as i64 }),
            Some(text) if digest != digest_of(text) => return Err(Error::MigrationChanged { version }),
            Some(_) => {}
        }
    }
    for (text, version) in MIGRATIONS.iter().zip(1_i64..).skip(applied.len()) {
        sqlx::raw_sql(*text).execute(&mut *transaction).await.map_err(storage(doing))?;
        sqlx::query("INSERT INTO migrations (version, digest, applied_at) VALUES (?1, ?2, ?3)")
            .bind(version)
            .bind(digest_of(text))
            .bind(Timestamp::now().as_microsecond())
            .execute(&mut *transaction)
            .await
            .map_err(storage(doing))?;
    }
    if applied.len() < EDGES_OF_ENTRIES {
        seal_edges(&mut transaction).await.map_err(storage(doing))?;
    }
    transaction.commit().await.map_err(storage(doing))
}

/// Adds the entry that holds the edges of older releases. Theirs digest edges in an order that nothing kept, so what they
/// wrote cannot be checked any more; from here on it is.
async fn seal_edges(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let mut tally = Tally::added_edges();
    {
        let mut rows = sqlx::query("SELECT from_node, to_node, kind, at FROM edges ORDER BY from_node, to_node, kind")
            .fetch(&mut *connection);
        while let Some(row) = rows.try_next().await? {
            let edge = Edge { from: row.try_get(0)?, to: row.try_get(1)?, kind: row.try_get(2)? };
            tally.added_edge(&edge, row.try_get(3)?);
        }
    }
    if tally.count() == 0 {
        return Ok(());
    }
    let (head, at) = head_of(connection).await?;
    let mut chain = Chain::at(head, at);
    let place = chain.next(Timestamp::now());
    let change = Change::new(&Principal::system("catalog"), "catalog.seal", "catalog:edges")
        .detail(json!({"reason": "edges written by an older release"}));
    let entry = chain.append(&change, place, tally);
    sqlx::query("UPDATE edges SET seq = ?1").bind(entry.seq).execute(&mut *connection).await?;
    add_entry(connection, &entry).await?;
    set_head(connection, &chain).await
}

fn digest_of(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}
