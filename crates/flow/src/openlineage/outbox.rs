//! Events that wait to be taken, in the catalog.

use mainspring_catalog::{Catalog, Document, ListQuery};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Result;

/// The most events that wait. A run of a hundred tasks makes two hundred; this is a day of such runs each quarter of an
/// hour, and some 100 MB.
pub const OUTBOX_MAX: u64 = 20_000;
/// The most bytes of an event; of larger ones the facets about single columns are left out.
pub const EVENT_BYTES_MAX: usize = 1 << 20;

/// An event that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Queued {
    /// Sorts by time of birth (UUID version 7).
    pub id: String,
    /// The event.
    pub event: Value,
}

impl Document for Queued {
    const KIND: &'static str = "lineage_outbox";

    fn id(&self) -> String {
        self.id.clone()
    }
}

/// Whether there is room for one more.
pub async fn has_room(catalog: &Catalog, most: u64) -> Result<bool> {
    Ok(catalog.count::<Queued>(None).await? < most)
}

/// The events that have waited longest.
pub async fn oldest(catalog: &Catalog, count: usize) -> Result<Vec<Queued>> {
    let waiting = catalog.list::<Queued>(ListQuery::default().limit(count)).await?;
    Ok(waiting.into_iter().map(|stored| stored.document).collect())
}
