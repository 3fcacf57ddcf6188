//! `POST /materialize` and `POST /materialize-incremental`: views are brought up to date, from their sources to the online
//! store.

use std::future::ready;

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use mainspring_flow::bring_online;
use mainspring_spec::Project;
use serde::Deserialize;

use super::Face;
use super::body::JsonBody;
use super::error::{Detail, Refused};
use super::names;
use super::request::not_json;
use crate::app::Layers;
use crate::http::Caller;

#[derive(Debug, Deserialize)]
struct MaterializeAsked {
    start_ts: Option<String>,
    end_ts: Option<String>,
    feature_views: Option<Vec<String>>,
    #[serde(default)]
    disable_event_timestamp: bool,
    version: Option<String>,
}

#[derive(Debug, Deserialize)]
struct IncrementalAsked {
    end_ts: String,
    feature_views: Option<Vec<String>>,
    version: Option<String>,
}

/// What stands behind the `?` of both.
#[derive(Debug, Deserialize)]
pub(super) struct Mode {
    /// Answer as soon as it is accepted.
    #[serde(rename = "async")]
    asked: Option<String>,
}

impl Mode {
    /// Whether to answer as soon as it is accepted. A boolean is what pydantic takes for one: Python's clients send `True`.
    fn is_async(&self) -> Result<bool, Refused> {
        let Some(asked) = &self.asked else { return Ok(false) };
        match asked.to_ascii_lowercase().as_str() {
            "1" | "on" | "t" | "true" | "y" | "yes" => Ok(true),
            "0" | "off" | "f" | "false" | "n" | "no" => Ok(false),
            _ => {
                let shown: String = asked.chars().take(60).collect();
                let message = "Input should be a valid boolean, unable to interpret input";
                let mut detail = Detail::new("bool_parsing", &[], message, shown.into());
                detail.loc = vec!["query".into(), "async".into()];
                Err(Refused::Invalid(vec![detail]))
            }
        }
    }
}

/// Answers `POST /materialize`.
///
/// Views are timelines here, and the online store keeps what a moment in reach may ask for; so `start_ts` is checked and
/// otherwise means nothing: rows before it are brought online too.
pub(super) async fn materialize(
    State(face): State<Face>,
    Extension(caller): Extension<Caller>,
    Query(mode): Query<Mode>,
    JsonBody(body): JsonBody,
) -> Result<Response, Refused> {
    let asked: MaterializeAsked = parsed(&body)?;
    let until = if asked.disable_event_timestamp {
        None
    } else {
        let start = moment("start_ts", asked.start_ts.as_deref())?;
        let end = moment("end_ts", asked.end_ts.as_deref())?;
        if start >= end {
            let message = format!("start_ts ({start}) must be before end_ts ({end})");
            return Err(Refused::invalid("value_error", &["start_ts"], message));
        }
        Some(end)
    };
    run(&face, caller, asked.feature_views, asked.version, until, &mode).await
}

/// Answers `POST /materialize-incremental`.
pub(super) async fn materialize_incremental(
    State(face): State<Face>,
    Extension(caller): Extension<Caller>,
    Query(mode): Query<Mode>,
    JsonBody(body): JsonBody,
) -> Result<Response, Refused> {
    let asked: IncrementalAsked = parsed(&body)?;
    let until = Some(moment("end_ts", Some(&asked.end_ts))?);
    run(&face, caller, asked.feature_views, asked.version, until, &mode).await
}

async fn run(
    face: &Face,
    caller: Caller,
    views: Option<Vec<String>>,
    version: Option<String>,
    until: Option<Timestamp>,
    mode: &Mode,
) -> Result<Response, Refused> {
    if version.is_some() {
        return Err(Refused::NotImplemented(
            "a feature view is kept in one version here, the newest; leave `version` out",
        ));
    }
    let is_async = mode.is_async()?;
    let (views, layers) = match views {
        Some(asked) => face.found(|layers| ready(views_of(&layers, &asked))).await?,
        None => {
            let layers = face.app.layers();
            (online_views(&layers.project), layers)
        }
    };
    for view in &views {
        caller.may(&face.app, "view.materialize", "view", view).await?;
    }
    let names = views.clone();
    let work = tokio::spawn(async move {
        let layers = layers;
        bring_online(&layers.flow, &layers.features, &views, until, &caller.principal).await
    });
    if is_async {
        tokio::spawn(async move {
            if let Ok(Err(error)) = work.await {
                tracing::error!(%error, "a materialisation that was accepted failed");
            }
        });
        let accepted = serde_json::json!({ "status": "accepted", "feature_views": names });
        return Ok((StatusCode::ACCEPTED, axum::Json(accepted)).into_response());
    }
    // It goes on when the caller is gone.
    let done = work.await.map_err(|error| Refused::internal(&error))?;
    done.map_err(|error| match error {
        mainspring_flow::Error::Busy { .. } => Refused::Later(StatusCode::CONFLICT, error.to_string()),
        mainspring_flow::Error::Features(error) => error.into(),
        mainspring_flow::Error::Failed { .. } => Refused::Later(StatusCode::CONFLICT, error.to_string()),
        other => Refused::internal(&other),
    })?;
    Ok(([(header::CONTENT_TYPE, "application/json")], "null").into_response())
}

/// Our names of the views that are asked for.
fn views_of(layers: &Layers, asked: &[String]) -> Result<Vec<String>, Refused> {
    let named = asked.iter().map(|asked| {
        let view = names::view(layers, asked);
        if !layers.project.feature_views.contains_key(&*view) {
            let message = format!("Feature view {view} does not exist");
            return Err(Refused::not_found("FeatureViewNotFoundException", message));
        }
        Ok(view.into_owned())
    });
    named.collect()
}

fn online_views(project: &Project) -> Vec<String> {
    let kept = project.feature_views.values().filter(|view| view.is_served_online());
    kept.map(|view| view.name.clone()).collect()
}

/// A moment in any of the usual forms of ISO 8601; without a zone it is in UTC.
fn moment(key: &str, text: Option<&str>) -> Result<Timestamp, Refused> {
    let Some(text) = text else {
        let message = "start_ts and end_ts are required when disable_event_timestamp is false";
        return Err(Refused::invalid("missing", &[key], message));
    };
    let micros = mainspring_features::timestamp(text);
    micros.and_then(|micros| Timestamp::from_microsecond(micros).ok()).ok_or_else(|| {
        let text: String = text.chars().take(60).collect();
        Refused::invalid(
            "value_error",
            &[key],
            format!("`{text}` is no moment; write for example 2026-07-01T12:00:00Z"),
        )
    })
}

fn parsed<T: for<'a> Deserialize<'a>>(body: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|error| {
        if error.is_data() { Refused::invalid("value_error", &[], error.to_string()) } else { not_json(&error) }
    })
}
