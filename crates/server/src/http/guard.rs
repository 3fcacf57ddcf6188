//! Who asks, and whether they may: every request passes here before anything is done for it.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use mainspring_catalog::{Catalog, Change, Principal};
use mainspring_govern::{Denied, Resource, Unauthenticated};

use crate::app::App;
use crate::http::Problem;

/// Who sent a request; handlers take it as an extension.
#[derive(Debug, Clone)]
pub struct Caller {
    /// As they were authenticated.
    pub principal: Principal,
}

impl Caller {
    /// Lets the caller pass, or answers 403 and leaves an entry in the audit log when it was no mere look.
    ///
    /// # Errors
    ///
    /// The policy's no, as a [`Problem`].
    pub async fn may(&self, app: &App, action: &str, kind: &str, name: &str) -> Result<(), Problem> {
        let resource = Resource::new(kind, name);
        let Err(denied) = app.layers().authorizer.check(&self.principal, action, &resource) else { return Ok(()) };
        if !action.ends_with(".read") {
            record_denied(&app.catalog, &denied).await;
        }
        Err(Problem::forbidden(denied.to_string()))
    }
}

/// Leaves an entry in the audit log of an attempt that the policy denied.
pub(super) async fn record_denied(catalog: &Catalog, denied: &Denied) {
    let Denied { principal, action, resource, .. } = denied;
    let attempt = Change::new(principal, &**action, resource.to_string()).denied();
    if let Err(error) = catalog.commit(attempt).await {
        tracing::error!(%error, %action, "a denied attempt could not be audited");
    }
}

/// Pages take nothing from elsewhere, run no inline script, and are framed by nobody.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Checks host, origin and credentials of what a peer asks.
///
/// # Errors
///
/// Why it is not let in, as a [`Problem`].
pub(crate) fn admit(app: &App, headers: &HeaderMap, peer: IpAddr) -> Result<Principal, Problem> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    app.hosts.check(text(header::HOST), text(header::ORIGIN)).map_err(|error| Problem::forbidden(error.to_string()))?;
    app.identity.authenticate(text(header::AUTHORIZATION), peer).map_err(|error| match error {
        Unauthenticated::TooManyAttempts { .. } => Problem {
            status: StatusCode::TOO_MANY_REQUESTS,
            title: "too many attempts",
            detail: error.to_string(),
            trace_id: None,
        },
        _ => Problem::unauthenticated(error.to_string()),
    })
}

/// An answer with what tells browsers how to treat it.
pub(crate) fn secured(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    let is_page = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if is_page {
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    }
    response
}
