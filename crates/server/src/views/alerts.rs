//! Alerts, and the audit log.

use mainspring_catalog::{AuditEntry, AuditQuery, AuditVerdict};
use mainspring_watch::{Alert, AlertQuery};
use schemars::JsonSchema;
use serde::Serialize;

use super::{LISTED_MAX, Look, Page, Result};

/// An alert.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AlertView {
    /// The alert as it is recorded.
    #[serde(flatten)]
    pub alert: Alert,
    /// What it says, in words.
    pub words: String,
}

impl From<Alert> for AlertView {
    fn from(alert: Alert) -> Self {
        Self { words: alert.title(), alert }
    }
}

/// Alerts, the newest first; of one monitor, or of all.
///
/// # Errors
/// When the catalog fails.
pub async fn alerts(look: &Look, monitor: Option<&str>, page: &Page) -> Result<Vec<AlertView>> {
    let (monitor, after) = (monitor.map(Into::into), page.after.clone());
    let query = AlertQuery { monitor, after, limit: Some(page.limit), ..AlertQuery::default() };
    Ok(look.watch.alerts(&query).await?.into_iter().map(AlertView::from).collect())
}

/// A page of the audit log.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AuditPage {
    /// Entries, the newest first.
    pub entries: Vec<AuditEntry>,
    /// Where the next page starts: the entries before this one.
    pub before: Option<i64>,
}

/// A page of the audit log, the newest first.
///
/// # Errors
/// When the catalog fails.
pub async fn audit(look: &Look, query: AuditQuery) -> Result<AuditPage> {
    let limit = query.limit.unwrap_or(100).clamp(1, LISTED_MAX);
    let entries = look.catalog.audit(AuditQuery { limit: Some(limit), ..query }).await?;
    let before = entries.last().filter(|last| entries.len() == limit && last.seq > 1).map(|last| last.seq);
    Ok(AuditPage { entries, before })
}

/// Whether the audit log is whole.
///
/// # Errors
/// When the catalog fails.
pub async fn verdict(look: &Look) -> Result<AuditVerdict> {
    Ok(look.catalog.verify_audit().await?)
}
