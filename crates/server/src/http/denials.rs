//! Predictions that the policy denied, in the audit log.

use std::time::{Duration, Instant};

use mainspring_catalog::Catalog;
use mainspring_govern::Denied;
use quick_cache::sync::Cache;

use super::guard::record_denied;

/// How long after one the same attempt is not written down again: a client that is turned away may come back a thousand times a
/// second, and each entry is a durable write.
const SAME_AGAIN: Duration = Duration::from_secs(60);
/// How many attempts are remembered, by principal and endpoint; beyond it one may be written down sooner.
const REMEMBERED: usize = 1_024;

/// Writes denied predictions down, each of a principal for an endpoint at most once a minute.
pub(crate) struct DeniedPredictions {
    catalog: Catalog,
    last: Cache<(String, String), Instant>,
}

impl DeniedPredictions {
    pub(crate) fn new(catalog: Catalog) -> Self {
        Self { catalog, last: Cache::new(REMEMBERED) }
    }

    /// Leaves an entry, unless the same attempt left one a moment ago.
    pub(crate) async fn record(&self, denied: &Denied) {
        let attempt = (denied.principal.to_string(), denied.resource.to_string());
        if self.last.get(&attempt).is_some_and(|at| at.elapsed() < SAME_AGAIN) {
            return;
        }
        self.last.insert(attempt, Instant::now());
        record_denied(&self.catalog, denied).await;
    }
}

#[cfg(test)]
mod tests {
    use mainspring_catalog::{AuditQuery, Principal};
    use mainspring_govern::Resource;

    use super::*;

    #[tokio::test]
    async fn an_attempt_that_is_repeated_is_written_down_once() {
        let catalog = Catalog::open("sqlite::memory:").await.unwrap();
        let denials = DeniedPredictions::new(catalog.clone());
        let denied = |endpoint: &str| Denied {
            principal: Principal::local_owner(),
            action: "endpoint.predict".into(),
            resource: Resource::new("endpoint", endpoint),
            reason: "a policy says so".into(),
        };

        for endpoint in ["fare", "fare", "late", "fare", "late"] {
            denials.record(&denied(endpoint)).await;
        }

        let entries = catalog.audit(AuditQuery::default()).await.unwrap();
        let subjects: Vec<_> = entries.iter().map(|entry| entry.subject.as_str()).collect();
        assert_eq!(subjects, ["endpoint:late", "endpoint:fare"]);
    }
}
