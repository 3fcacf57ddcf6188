//! The table of routes. To register a route is to document it: both come from the handler's types, so that the document
//! and what serves cannot part.

use axum::Router;
use axum::handler::Handler;
use axum::routing::{get, post};
use serde_json::{Map, Value, json};

use super::describe::{Described, Gives, Operation, Schemas, Takes};
use crate::app::App;
use crate::http::Problem;

/// The version of the specification that the document follows.
const OPENAPI: &str = "3.1.0";
/// Where every error of an operation is described.
const PROBLEM: &str = "#/components/responses/Problem";

/// Routes and their description.
pub struct Table {
    router: Router<App>,
    paths: Map<String, Value>,
    schemas: Schemas,
}

impl Table {
    /// No routes yet.
    pub fn new() -> Self {
        Self { router: Router::new(), paths: Map::new(), schemas: Schemas::new() }
    }

    /// A route that is asked.
    pub fn get<H, T, P>(mut self, path: &'static str, summary: &'static str, handler: H) -> Self
    where
        H: Handler<T, App> + Described<P>,
        T: 'static,
    {
        self.describe("get", path, summary, H::describe);
        self.router = self.router.route(path, get(handler));
        self
    }

    /// A route to which something is sent.
    pub fn post<H, T, P>(mut self, path: &'static str, summary: &'static str, handler: H) -> Self
    where
        H: Handler<T, App> + Described<P>,
        T: 'static,
    {
        self.describe("post", path, summary, H::describe);
        self.router = self.router.route(path, post(handler));
        self
    }

    /// A route that is served elsewhere, by a handler that reads and writes these types without serde.
    pub fn elsewhere<T: Takes, G: Gives>(mut self, method: &str, path: &'static str, summary: &'static str) -> Self {
        self.describe(method, path, summary, |operation, schemas| {
            T::describe(operation, schemas);
            G::describe(operation, schemas);
        });
        self
    }

    fn describe(
        &mut self,
        method: &str,
        path: &'static str,
        summary: &str,
        tell: impl FnOnce(&mut Operation, &mut Schemas),
    ) {
        let in_path = path.split(['{', '}']).skip(1).step_by(2).map(Into::into).collect();
        let mut operation = Operation { in_path, ..Operation::default() };
        tell(&mut operation, &mut self.schemas);
        let words: Vec<&str> = path.split(['/', '{', '}', '.']).filter(|word| !word.is_empty()).skip(2).collect();
        let mut responses = json!({ "4XX": { "$ref": PROBLEM }, "5XX": { "$ref": PROBLEM } });
        if let Some((status, content)) = operation.answer {
            responses[status.to_string()] = json!({ "description": "As asked", "content": content });
        }
        let mut told = json!({
            "operationId": format!("{method}_{}", words.join("_")),
            "summary": summary,
            "tags": [words.first()],
            "parameters": operation.parameters,
            "responses": responses,
        });
        if let Some(body) = operation.body {
            told["requestBody"] = body;
        }
        let methods = self.paths.entry(path).or_insert_with(|| json!({}));
        methods[method] = told;
    }

    /// The router and the document.
    pub fn into_parts(mut self) -> (Router<App>, Value) {
        let problem = self.schemas.written::<Problem>();
        let document = json!({
            "openapi": OPENAPI,
            "info": {
                "title": "Mainspring",
                "version": env!("CARGO_PKG_VERSION"),
                "description": "What is, as JSON, and the few things that are done by asking. A list answers up to \
                    `limit` items, and in `next` what to send as `after` for those that follow. Errors are problem \
                    details (RFC 9457).",
            },
            "security": [{}, { "key": [] }],
            "paths": self.paths,
            "components": {
                "schemas": self.schemas.into_components(),
                "responses": {
                    "Problem": {
                        "description": "What was wrong, and what mends it",
                        "content": { "application/problem+json": { "schema": problem } },
                    },
                },
                "securitySchemes": {
                    "key": {
                        "type": "http",
                        "scheme": "bearer",
                        "description": "A key of `mainspring key create`; callers from this machine need none",
                    },
                },
            },
        });
        (self.router, document)
    }
}
