//! Verifying: every entry and every document of one snapshot, streamed.

use futures::TryStreamExt;
use sqlx::{Row, SqlitePool};

use super::failure::storage;
use super::read::{entry_row, head_of};
use crate::audit::Verifier;
use crate::{AuditHead, AuditVerdict, Fault, Result};

const DOING: &str = "verifying the audit log";

pub(super) async fn verify(pool: &SqlitePool, witness: Option<&AuditHead>) -> Result<AuditVerdict> {
    // One transaction is one snapshot: changes that are committed meanwhile are not seen.
    let mut transaction = pool.begin().await.map_err(storage(DOING))?;
    let (head, _) = head_of(&mut transaction).await.map_err(storage(DOING))?;
    let mut verifier = Verifier::new(head, witness.cloned());

    {
        let mut rows = sqlx::query(include_str!("sql/chain.sql")).fetch(&mut *transaction);
        while let Some(row) = rows.try_next().await.map_err(storage(DOING))? {
            let step = match entry_row(&row) {
                Ok(entry) => verifier.entry(&entry),
                // A field that is no longer text or number was not written by us.
                Err(_) => Err(Fault::Altered { seq: verifier.next_seq() }),
            };
            if let Err(fault) = step {
                return Ok(verifier.broken(fault));
            }
        }
    }
    if let Err(fault) = verifier.end_of_entries() {
        return Ok(verifier.broken(fault));
    }

    {
        let mut rows = sqlx::query(include_str!("sql/bodies.sql")).fetch(&mut *transaction);
        while let Some(row) = rows.try_next().await.map_err(storage(DOING))? {
            let kind: String = row.try_get(0).map_err(storage(DOING))?;
            let id: String = row.try_get(1).map_err(storage(DOING))?;
            let version: i64 = row.try_get(2).map_err(storage(DOING))?;
            let body: Vec<u8> = row.try_get(3).map_err(storage(DOING))?;
            if let Err(fault) = verifier.document(&kind, &id, version, &body) {
                return Ok(verifier.broken(fault));
            }
        }
    }
    Ok(verifier.end_of_documents())
}
