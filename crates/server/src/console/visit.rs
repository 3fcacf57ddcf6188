//! Someone looks at a page: who, through which look, and how the page goes back to them.

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Response};

use super::page::{Block, Document, Frame, Page, PageLink};
use crate::app::App;
use crate::http::{Caller, Problem};
use crate::views::{self, Look};

/// The pages of the navigation, with the key that leads to each after `g`.
const PAGES: [(&str, &str, char); 10] = [
    ("/", "Overview", 'o'),
    ("/tables", "Tables", 't'),
    ("/features", "Features", 'f'),
    ("/runs", "Runs", 'r'),
    ("/models", "Models", 'm'),
    ("/endpoints", "Endpoints", 'e'),
    ("/workflows", "Workflows", 'w'),
    ("/monitors", "Monitors", 'd'),
    ("/audit", "Audit", 'a'),
    ("/api", "API", 'p'),
];

/// Someone looks at a page.
pub struct Visit {
    pub(super) app: App,
    pub(super) caller: Caller,
    pub(super) look: Look,
    frame: Frame,
}

/// A page, or why there is none.
pub type Shown = Result<Html<String>, Failure>;

impl FromRequestParts<App> for Visit {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Caller>().cloned();
        let caller = caller.ok_or_else(|| Problem::unauthenticated("nobody said who asks"))?;
        let look = Look::at(app);
        let path = parts.uri.path().to_owned();
        let frame = Frame {
            project: look.project.file.project.clone(),
            principal: caller.principal.to_string(),
            pages: PAGES.iter().map(|page| link(*page, &path)).collect(),
        };
        Ok(Self { app: app.clone(), caller, look, frame })
    }
}

fn link((href, name, key): (&'static str, &'static str, char), path: &str) -> PageLink {
    let current = match path.strip_prefix(href) {
        Some(rest) if href != "/" => rest.is_empty() || rest.starts_with('/'),
        Some(rest) => rest.is_empty(),
        None => false,
    };
    PageLink { href, name, key, current }
}

impl Visit {
    /// Lets the visitor see things of a kind, or answers 403.
    pub async fn may(&self, action: &str, kind: &str, name: &str) -> Result<(), Failure> {
        let allowed = self.caller.may(&self.app, action, kind, name).await;
        allowed.map_err(|problem| self.fail(problem))
    }

    /// Lets the visitor see what there is, or answers 403.
    pub async fn may_list(&self) -> Result<(), Failure> {
        self.may("project.read", "project", &self.look.project.file.project).await
    }

    /// Whether the visitor may do something; asking leaves no trace.
    pub fn could(&self, action: &str, kind: &str, name: &str) -> bool {
        let resource = mainspring_govern::Resource::new(kind, name);
        self.app.layers().authorizer.check(&self.caller.principal, action, &resource).is_ok()
    }

    /// What was seen, or the page that says why not.
    pub fn seen<T>(&self, seen: views::Result<T>) -> Result<T, Failure> {
        seen.map_err(|error| self.fail(error.into()))
    }

    /// The page.
    pub fn show(self, page: Page) -> Shown {
        let document = Document { frame: self.frame, page };
        match document.render() {
            Ok(text) => Ok(Html(text)),
            Err(error) => Err(Failure { problem: Problem::internal(&error), page: None }),
        }
    }

    /// The page that says why there is no other.
    pub fn fail(&self, problem: Problem) -> Failure {
        let title = match problem.status {
            StatusCode::NOT_FOUND => "Not here",
            StatusCode::FORBIDDEN => "Not allowed",
            _ => "Something failed",
        };
        let lead = match &problem.trace_id {
            Some(trace) => format!("{}. The server's log has more under {trace}.", problem.detail),
            None => problem.detail.clone(),
        };
        let mut page = Page::new(title, lead).with(Block::Note("Press g and o for the overview.".into()));
        // what is gone was below a page that may say what is there
        if let Some(above) = self.frame.pages.iter().find(|page| page.current) {
            page = page.under(above.name, above.href);
        }
        let document = Document { frame: self.frame.clone(), page };
        Failure { problem, page: document.render().ok() }
    }
}

/// Why there is no page, as a page where there can be one.
pub struct Failure {
    problem: Problem,
    page: Option<String>,
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self.page {
            Some(page) => (self.problem.status, Html(page)).into_response(),
            None => self.problem.into_response(),
        }
    }
}

/// Blocks without the frame, for parts that are fetched again.
pub fn fragment(blocks: &[Block]) -> Shown {
    let mut text = String::new();
    for block in blocks {
        if let Err(error) = block.render_into(&mut text) {
            return Err(Failure { problem: Problem::internal(&error), page: None });
        }
    }
    Ok(Html(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_page_is_current() {
        for path in ["/", "/tables", "/tables/sources.flights", "/runs/abc", "/audit", "/api"] {
            let current = PAGES.iter().filter(|page| link(**page, path).current).count();
            assert_eq!(current, 1, "{path}");
        }
        assert!(!link(PAGES[1], "/tablespoons").current);
    }

    #[test]
    fn keys_are_unique() {
        let keys: std::collections::BTreeSet<char> = PAGES.iter().map(|(_, _, key)| *key).collect();
        assert_eq!(keys.len(), PAGES.len());
    }
}
