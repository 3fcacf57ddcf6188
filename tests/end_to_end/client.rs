//! Talking HTTP to a server.

use reqwest::header::{HOST, HeaderMap};
use serde_json::Value;

/// What a server answered.
#[derive(Debug)]
pub struct Answered {
    /// The HTTP status.
    pub status: u16,
    /// The head.
    pub headers: HeaderMap,
    /// The body.
    pub text: String,
}

impl Answered {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// Stops the test unless the request was answered well.
    pub fn fine(self) -> Self {
        assert_eq!(self.status, 200, "{self:?}");
        self
    }
}

/// Who a request says it comes from, and where it says it goes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manner<'a> {
    /// The API key.
    pub key: Option<&'a str>,
    /// The `Host` header.
    pub host: Option<&'a str>,
}

/// Sends a request as told; `body` makes it a POST.
pub async fn ask(url: &str, body: Option<String>, manner: Manner<'_>) -> Answered {
    let client = reqwest::Client::new();
    let mut request = match body {
        Some(body) => client.post(url).header("content-type", "application/json").body(body),
        None => client.get(url),
    };
    if let Some(key) = manner.key {
        request = request.bearer_auth(key);
    }
    if let Some(host) = manner.host {
        request = request.header(HOST, host);
    }
    let answer = request.send().await.unwrap_or_else(|error| panic!("{url}: {error}"));
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    Answered { status, headers, text: answer.text().await.expect("the body is text") }
}

/// Gets a page.
pub async fn get(url: &str) -> Answered {
    ask(url, None, Manner::default()).await
}

/// Posts JSON.
pub async fn post(url: &str, body: &Value) -> Answered {
    ask(url, Some(body.to_string()), Manner::default()).await
}
