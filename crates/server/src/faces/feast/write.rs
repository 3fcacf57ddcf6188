//! `POST /push` and `POST /write-to-online-store`: a data frame becomes one push.

use std::borrow::Cow;
use std::future::ready;

use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use mainspring_features::{Push, PushTo};
use serde::Deserialize;

use super::Face;
use super::body::JsonBody;
use super::error::{Detail, Refused};
use super::frame::Frame;
use super::names;
use super::request::not_json;
use crate::app::Layers;
use crate::faces::not_a_number::nulls_for_nan;
use crate::http::Caller;

#[derive(Debug, Deserialize)]
struct PushAsked<'a> {
    #[serde(borrow)]
    push_source_name: Cow<'a, str>,
    #[serde(borrow)]
    df: Frame<'a>,
    #[serde(borrow, default = "online")]
    to: Cow<'a, str>,
}

fn online<'a>() -> Cow<'a, str> {
    Cow::Borrowed("online")
}

#[derive(Debug, Deserialize)]
struct WriteAsked<'a> {
    #[serde(borrow)]
    feature_view_name: Cow<'a, str>,
    #[serde(borrow)]
    df: Frame<'a>,
}

/// Answers `POST /push`.
pub(super) async fn push(
    State(face): State<Face>,
    Extension(caller): Extension<Caller>,
    JsonBody(body): JsonBody,
) -> Result<Response, Refused> {
    let mut rewritten = Vec::new();
    let (pushes, to, layers) = {
        let asked: PushAsked<'_> = parsed(&body, &mut rewritten, &["push_source_name", "df"])?;
        let to = match asked.to.as_ref() {
            // What is online is offline too: training sees what was served.
            "online" | "online_and_offline" => PushTo::Online,
            "offline" => PushTo::Lake,
            other => {
                let other: String = other.chars().take(60).collect();
                let message = format!("`{other}` is no way to push; write online, offline or online_and_offline");
                return Err(Refused::invalid("push_mode", &["to"], message));
            }
        };
        asked.df.check()?;
        let (pushes, layers) = face.found(|layers| ready(pushes_to(&layers, &asked))).await?;
        (pushes, to, layers)
    };
    take(&face, &layers, &caller, pushes, to).await?;
    Ok(StatusCode::OK.into_response())
}

/// Answers `POST /write-to-online-store`.
pub(super) async fn write_to_online_store(
    State(face): State<Face>,
    Extension(caller): Extension<Caller>,
    JsonBody(body): JsonBody,
) -> Result<Response, Refused> {
    let mut rewritten = Vec::new();
    let (pushes, layers) = {
        let asked: WriteAsked<'_> = parsed(&body, &mut rewritten, &["feature_view_name", "df"])?;
        asked.df.check()?;
        let (push, layers) = face.found(|layers| ready(write_to(&layers, &asked))).await?;
        (vec![push], layers)
    };
    take(&face, &layers, &caller, pushes, PushTo::Online).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], "null").into_response())
}

/// The rows for each source that takes pushes of the name.
fn pushes_to(layers: &Layers, asked: &PushAsked<'_>) -> Result<Vec<Push>, Refused> {
    let mut pushes = vec![];
    for source in layers.features.push_targets(&asked.push_source_name)? {
        pushes.push(Push { source: source.name.clone(), rows: asked.df.batch(source)? });
    }
    Ok(pushes)
}

/// The rows for the source that a view is written by.
fn write_to(layers: &Layers, asked: &WriteAsked<'_>) -> Result<Push, Refused> {
    let (_, source) = layers.features.write_target(&names::view(layers, &asked.feature_view_name))?;
    Ok(Push { source: source.name.clone(), rows: asked.df.batch(source)? })
}

async fn take(face: &Face, layers: &Layers, caller: &Caller, pushes: Vec<Push>, to: PushTo) -> Result<(), Refused> {
    for push in &pushes {
        caller.may(&face.app, "source.push", "source", &push.source).await?;
    }
    layers.features.push(pushes, to, &caller.principal).await?;
    Ok(())
}

/// A body that must have some keys. `NaN`, which pandas has where a value is missing, is null, as for Feast's server; the body
/// with null for it is then kept in `rewritten`.
fn parsed<'a, T: Deserialize<'a>>(body: &'a [u8], rewritten: &'a mut Vec<u8>, required: &[&str]) -> Result<T, Refused> {
    let error = match serde_json::from_slice(body) {
        Ok(asked) => return Ok(asked),
        Err(error) => error,
    };
    let Some(with_nulls) = nulls_for_nan(body) else { return Err(explain(body, &error, required)) };
    *rewritten = with_nulls;
    let body = rewritten.as_slice();
    serde_json::from_slice(body).map_err(|error| explain(body, &error, required))
}

/// Says what is wrong with a body that could not be read.
fn explain(body: &[u8], error: &serde_json::Error, required: &[&str]) -> Refused {
    if !error.is_data() {
        return not_json(error);
    }
    let tree: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let missing = required.iter().filter(|key| tree.is_object() && tree.get(**key).is_none());
    let missing: Vec<Detail> =
        missing.map(|key| Detail::new("missing", &[key], "Field required", serde_json::Value::Null)).collect();
    if missing.is_empty() { Refused::invalid("value_error", &[], error.to_string()) } else { Refused::Invalid(missing) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_read_as_it_came_and_with_null_for_each_nan() {
        let required = ["push_source_name", "df"];
        let (mut strict, mut loose, mut short) = (vec![], vec![], vec![]);
        let body = br#"{"push_source_name": "NaN", "df": {"id": [1, 2], "rate": [null, 0.5]}}"#;
        let with_nan = br#"{"push_source_name": "NaN", "df": {"id": [1, 2], "rate": [NaN, 0.5]}}"#;

        let asked: PushAsked<'_> = parsed(body, &mut strict, &required).unwrap();
        let mended: PushAsked<'_> = parsed(with_nan, &mut loose, &required).unwrap();
        let refused = parsed::<PushAsked<'_>>(br#"{"df": {"rate": [NaN]}}"#, &mut short, &required).unwrap_err();

        assert_eq!(format!("{asked:?}"), format!("{mended:?}"));
        assert!(matches!(asked.push_source_name, Cow::Borrowed("NaN")));
        let is_missing = |details: &[Detail]| details.len() == 1 && details[0].loc[1] == "push_source_name";
        assert!(matches!(&refused, Refused::Invalid(details) if is_missing(details)), "{refused:?}");
        assert_eq!((strict.as_slice(), loose.as_slice()), (&b""[..], &body[..]), "what is JSON is not rewritten");
    }
}
