//! What a request says: the JSON object of a body, or the query of a GET, as named parameters.
//!
//! MLflow's servers read both through the same messages, so a handler takes [`Fields`] and does not care which it was. A
//! 64-bit integer may come as a number or as text, a list in a query is its key repeated, and an empty text counts as
//! absent where a value is required.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::{Code, Refused, Result};

/// The most parameters of a query: a hundred run ids and room for as many again.
const QUERY_PAIRS_MAX: usize = 1_000;

/// The parameters of a request.
#[derive(Debug, Default)]
pub(super) struct Fields {
    named: Map<String, Value>,
    /// Where one value may be a list of one.
    is_query: bool,
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            return Self::of_query(request.uri().query().unwrap_or_default());
        }
        let Payload(bytes) = Payload::from_request(request, state).await?;
        Self::of_json(&bytes)
    }
}

impl Fields {
    /// Reads a body. An empty one has no parameters.
    pub(super) fn of_json(bytes: &[u8]) -> Result<Self> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(named)) => Ok(Self { named, is_query: false }),
            Ok(_) => Err(Refused::new(Code::BadRequest, "The request body must be a JSON object.")),
            Err(error) => {
                Err(Refused::new(Code::BadRequest, format!("The request body could not be parsed as JSON: {error}.")))
            }
        }
    }

    /// Reads a query.
    pub(super) fn of_query(query: &str) -> Result<Self> {
        let mut named = Map::new();
        for (count, (key, value)) in url::form_urlencoded::parse(query.as_bytes()).enumerate() {
            if count == QUERY_PAIRS_MAX {
                let words = format!("The query has more than {QUERY_PAIRS_MAX} parameters; ask in parts.");
                return Err(Refused::invalid(words));
            }
            let value = Value::String(value.into_owned());
            match named.get_mut(key.as_ref()) {
                None => {
                    named.insert(key.into_owned(), value);
                }
                Some(Value::Array(all)) => all.push(value),
                Some(first) => *first = Value::Array(vec![first.take(), value]),
            }
        }
        Ok(Self { named, is_query: true })
    }

    /// A parameter as it came; null counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.named.get(name).filter(|value| !value.is_null())
    }

    /// A text, if there is one.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(Refused::bad_value(name, other, "it must be a string.")),
        }
    }

    /// A text that must be there and not be empty.
    pub(super) fn required(&self, name: &str) -> Result<&str> {
        self.text(name)?.filter(|text| !text.is_empty()).ok_or_else(|| Refused::missing(name))
    }

    /// A text that must be there, and may be empty.
    pub(super) fn required_or_empty(&self, name: &str) -> Result<&str> {
        self.text(name)?.ok_or_else(|| Refused::missing(name))
    }

    /// The run of a request, under its name of today or that of MLflow's beginnings.
    pub(super) fn run_id(&self) -> Result<&str> {
        match self.text("run_id")?.filter(|id| !id.is_empty()) {
            Some(id) => Ok(id),
            None => self.text("run_uuid")?.filter(|id| !id.is_empty()).ok_or_else(|| Refused::missing("run_id")),
        }
    }

    /// A whole number, if there is one.
    pub(super) fn integer(&self, name: &str) -> Result<Option<i64>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match integer(value) {
            Some(number) => Ok(Some(number)),
            None => Err(Refused::bad_value(name, value, "it must be an integer.")),
        }
    }

    /// How many things are wanted at most, within what is allowed.
    pub(super) fn max_results(&self, default: usize, most: usize) -> Result<usize> {
        let Some(asked) = self.integer("max_results")? else { return Ok(default) };
        match usize::try_from(asked) {
            Ok(asked) if (1..=most).contains(&asked) => Ok(asked),
            _ => Err(Refused::invalid(format!(
                "Invalid value {asked} for parameter 'max_results' supplied: it must be a positive integer, at most \
                 {most}."
            ))),
        }
    }

    /// A truth value, if there is one.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(other) => Err(Refused::bad_value(name, other, "it must be true or false.")),
        }
    }

    /// Texts: a JSON list, or a key of the query that is given once or often.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<&str>> {
        let Some(value) = self.get(name) else { return Ok(vec![]) };
        let texts = match value {
            Value::String(one) if self.is_query => Some(vec![one.as_str()]),
            Value::Array(all) => all.iter().map(Value::as_str).collect(),
            _ => None,
        };
        texts.ok_or_else(|| Refused::bad_value(name, value, "it must be a list of strings."))
    }

    /// A list of messages; absent is empty.
    pub(super) fn list<T: DeserializeOwned>(&self, name: &str) -> Result<Vec<T>> {
        let Some(value) = self.get(name) else { return Ok(vec![]) };
        Vec::<T>::deserialize(value).map_err(|why| Refused::bad_value(name, value, why))
    }

    /// Keys with their values, such as tags: `[{"key": "a", "value": "b"}]`. A value that is absent is empty.
    pub(super) fn pairs(&self, name: &str) -> Result<Vec<(String, String)>> {
        let Some(value) = self.get(name) else { return Ok(vec![]) };
        let bad = || Refused::bad_value(name, value, "it must be a list of objects with 'key' and 'value'.");
        let all = value.as_array().ok_or_else(bad)?;
        let mut pairs = Vec::with_capacity(all.len());
        for pair in all {
            let pair = pair.as_object().ok_or_else(bad)?;
            let key = match pair.get("key") {
                Some(Value::String(key)) => key.clone(),
                None | Some(Value::Null) => return Err(Refused::missing(&format!("{name}.key"))),
                Some(_) => return Err(bad()),
            };
            let text = match pair.get("value") {
                Some(Value::String(text)) => text.clone(),
                None | Some(Value::Null) => String::new(),
                Some(_) => return Err(bad()),
            };
            pairs.push((key, text));
        }
        Ok(pairs)
    }
}

pub(super) fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Clients in Python write whole floats as `3.0`.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked, and the fraction is none")]
fn whole(number: f64) -> Option<i64> {
    /// The largest below which every whole float is exact.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}

/// The variable parts of the path.
#[derive(Debug)]
pub(super) struct Path<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let taken = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        taken.map(|path| Self(path.0)).map_err(|rejection| Refused::invalid(rejection.body_text()))
    }
}

/// The bytes of a JSON body, for handlers that read it themselves.
pub(super) struct Payload(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for Payload {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        let has_kind = is_json(request.headers());
        let is_post = *request.method() == Method::POST;
        let bytes = Bytes::from_request(request, state).await.map_err(unread)?;
        // as MLflow's own server, which is strict where a browser could send a form
        if is_post && !has_kind {
            return Err(Refused::with_status(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                Code::InvalidParameterValue,
                "Bad Request. Content-Type must be one of ['application/json'].",
            ));
        }
        Ok(Self(bytes))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// Why a body did not arrive.
pub(super) fn unread(rejection: BytesRejection) -> Refused {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refused::with_status(
            StatusCode::PAYLOAD_TOO_LARGE,
            Code::BadRequest,
            "The request body is larger than this server takes; send it in parts.",
        ),
        status => {
            Refused::with_status(status, Code::BadRequest, format!("The request body could not be read: {rejection}."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Fields {
        Fields::of_json(text.as_bytes()).unwrap()
    }

    #[test]
    fn numbers_come_as_numbers_and_as_text() {
        let fields = json(r#"{"a": 3, "b": "3", "c": 3.0, "d": 3.5, "e": null}"#);

        for name in ["a", "b", "c"] {
            assert_eq!(fields.integer(name).unwrap(), Some(3), "{name}");
        }
        assert!(fields.integer("d").is_err());
        assert_eq!(fields.integer("e").unwrap(), None);
    }

    #[test]
    fn a_query_repeats_its_lists() {
        let fields = Fields::of_query("order_by=a&order_by=b+c&one=%26&max_results=7").unwrap();

        assert_eq!(fields.texts("order_by").unwrap(), ["a", "b c"]);
        assert_eq!(fields.texts("one").unwrap(), ["&"]);
        assert_eq!(fields.max_results(1, 10).unwrap(), 7);
        assert!(fields.max_results(1, 5).is_err());
    }

    #[test]
    fn one_text_is_no_list_in_a_body() {
        let refused = format!("{:?}", json(r#"{"experiment_ids": "13"}"#).texts("experiment_ids").unwrap_err());

        assert!(refused.contains("Invalid value \\\"13\\\" for parameter 'experiment_ids' supplied"), "{refused}");
        assert_eq!(json(r#"{"experiment_ids": ["13"]}"#).texts("experiment_ids").unwrap(), ["13"]);
    }

    #[test]
    fn an_empty_text_is_missing_where_one_is_required() {
        let fields = json(r#"{"name": "", "other": 123}"#);

        let missing = format!("{:?}", fields.required("name").unwrap_err());
        let wrong = format!("{:?}", fields.required("other").unwrap_err());

        assert!(missing.contains("Missing value for required parameter 'name'."), "{missing}");
        assert!(wrong.contains("Invalid value 123 for parameter 'other' supplied"), "{wrong}");
    }

    #[test]
    fn a_query_has_a_bound() {
        assert!(Fields::of_query(&"a=1&".repeat(QUERY_PAIRS_MAX + 1)).is_err());
    }
}
