//! Endpoints for the tests of the faces: `fare` (a number, from two fields and two features), `cause` (three classes).

use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::{Extension, Router};
use futures::FutureExt;
use mainspring_catalog::Principal;
use mainspring_features::Value;
use mainspring_govern::{Denied, Resource};
use mainspring_kernel::{ARTIFACT_FORMAT, Body as ModelBody, Encoding, Input, LinearModel, Link, ModelArtifact};
use mainspring_serve::{
    FeatureLookup, Found, InputFrom, LogBatch, LogSink, Plan, PlannedInput, RequestField, ServeConfig, ServeEngine,
    SinkError,
};
use mainspring_spec::{self as spec, DataType, InputRef, Task};
use parking_lot::Mutex;
use serde_json::Value as Json;
use tower::ServiceExt;

use super::{Gate, Record, Served};
use crate::http::Caller;

struct Nowhere;

#[async_trait]
impl LogSink for Nowhere {
    async fn write(&self, _: &LogBatch) -> Result<(), SinkError> {
        Ok(())
    }
}

/// A wind of 3 and no holiday, always.
struct Calm;

impl FeatureLookup for Calm {
    fn look_up(&self, _: &[Value], at: &[i64]) -> Result<Found, String> {
        let features = at.iter().flat_map(|_| [Value::Float(3.0), Value::Bool(false)]).collect();
        Ok(Found { features, ..Found::default() })
    }
}

fn fare_plan() -> Plan {
    let field = |name: &str, data_type, required| RequestField { name: name.into(), data_type, required };
    let input = |name: &str, data_type, from, categories: Option<&[&str]>| PlannedInput {
        name: name.into(),
        data_type,
        from,
        categories: categories.map(|all| all.iter().map(ToString::to_string).collect()),
    };
    let feature = |name: &str| InputRef::Feature { view: "weather".into(), feature: name.into() };
    Plan::new(
        vec![
            field("carrier", DataType::String, true),
            field("seats", DataType::Int64, true),
            field("scheduled", DataType::Timestamp, false),
        ],
        vec![
            input("carrier", DataType::String, InputFrom::Field(0), Some(&["UA", "DL"])),
            input("seats", DataType::Int64, InputFrom::Field(1), None),
            input("wind", DataType::Float64, InputFrom::Feature(0), None),
            input("holiday", DataType::Bool, InputFrom::Feature(1), None),
        ],
        vec![feature("wind"), feature("holiday")],
    )
}

/// `1000 if DL + seats + 10 wind + 100 if holiday`, an unknown number being 0.
fn fare_model() -> ModelArtifact {
    let number = || Encoding::Standard { mean: 0.0, deviation: 1.0, fill: 0.0 };
    let input = |name: &str, data_type, encoding| Input { name: name.into(), data_type, encoding };
    ModelArtifact {
        format: ARTIFACT_FORMAT,
        task: Task::Regression,
        classes: vec![],
        inputs: vec![
            input("carrier", DataType::String, Encoding::OneHot { values: vec!["UA".into(), "DL".into()] }),
            input("seats", DataType::Int64, number()),
            input("wind", DataType::Float64, number()),
            input("holiday", DataType::Bool, number()),
        ],
        body: ModelBody::Linear(LinearModel { weights: vec![vec![0.0, 1000.0, 1.0, 10.0, 100.0]], bias: vec![0.0] }),
        link: Link::Identity,
    }
}

fn cause_model() -> ModelArtifact {
    ModelArtifact {
        format: ARTIFACT_FORMAT,
        task: Task::Multiclass,
        classes: vec!["carrier".into(), "weather".into(), "security".into()],
        inputs: vec![],
        body: ModelBody::Constant(vec![0.25, 0.5, 0.25]),
        link: Link::Identity,
    }
}

/// An endpoint as a project declares it.
pub(super) fn declared(name: &str, change: impl FnOnce(&mut spec::Endpoint)) -> spec::Endpoint {
    let mut endpoint = spec::Endpoint {
        name: name.into(),
        description: String::new(),
        registered: false,
        model: name.into(),
        alias: "champion".into(),
        // no answer is late, however busy the machine
        limits: spec::Limits { rows: 100, timeout: spec::Span::from_micros(600_000_000), ..spec::Limits::default() },
        fallback: spec::Fallback::default(),
        log: spec::PredictionLogging::default(),
    };
    change(&mut endpoint);
    endpoint
}

/// The faces over both endpoints. `mallory` may do nothing.
pub(super) struct Faces {
    pub(super) engine: Arc<ServeEngine>,
    served: Served,
    denied: Arc<Mutex<Vec<Denied>>>,
}

pub(super) async fn faces() -> Faces {
    let engine = ServeEngine::new(ServeConfig::default(), Arc::new(Nowhere));
    let denied = Arc::default();
    let served = Served { engine: Arc::clone(&engine), gate: gate(), record: record(&denied) };
    let faces = Faces { engine, served, denied };
    faces.deploy_fare(declared("fare", |_| {})).await;
    let fields = vec![RequestField { name: "flight".into(), data_type: DataType::String, required: false }];
    let plan = Plan::new(fields, vec![], vec![]);
    faces.engine.deploy(declared("cause", |_| {}), &cause_model(), 12, plan, None).await.unwrap();
    faces
}

fn gate() -> Gate {
    Arc::new(|principal, action, endpoint| {
        if principal.name != "mallory" {
            return Ok(());
        }
        Err(Denied {
            principal: principal.clone(),
            action: action.into(),
            resource: Resource::new("endpoint", endpoint),
            reason: "it has no role".into(),
        })
    })
}

fn record(kept: &Arc<Mutex<Vec<Denied>>>) -> Record {
    let kept = Arc::clone(kept);
    Arc::new(move |denied: Denied| {
        kept.lock().push(denied);
        std::future::ready(()).boxed()
    })
}

impl Faces {
    /// Who was denied what since this was asked last, as it was written down.
    pub(super) fn take_denied(&self) -> Vec<String> {
        let denied = std::mem::take(&mut *self.denied.lock());
        denied.iter().map(|it| format!("{} {} {}", it.principal, it.action, it.resource)).collect()
    }

    pub(super) async fn deploy_fare(&self, declared: spec::Endpoint) {
        self.engine.deploy(declared, &fare_model(), 3, fare_plan(), Some(Arc::new(Calm))).await.unwrap();
    }

    fn router(&self) -> Router {
        super::oip::router(self.served.clone()).merge(super::predict::router(self.served.clone()))
    }

    /// Asks as somebody, or as nobody.
    pub(super) async fn send_as(&self, caller: Option<&str>, request: Request<Body>) -> Answered {
        let mut router = self.router();
        if let Some(name) = caller {
            router = router.layer(Extension(Caller { principal: Principal::user(name) }));
        }
        let response = router.oneshot(request).await.unwrap();
        let status = response.status();
        let retry_after = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or(Json::Null);
        Answered { status, retry_after, body }
    }

    /// Asks as somebody, and gives the answer as it came.
    pub(super) async fn send_raw(&self, request: Request<Body>) -> (u16, axum::http::HeaderMap, Vec<u8>) {
        let router = self.router().layer(Extension(Caller { principal: Principal::user("ada") }));
        let (head, body) = router.oneshot(request).await.unwrap().into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        (head.status.as_u16(), head.headers, bytes.into())
    }

    pub(super) async fn post(&self, path: &str, body: impl Into<Body>) -> Answered {
        self.send_as(Some("ada"), Request::post(path).body(body.into()).unwrap()).await
    }

    pub(super) async fn get(&self, path: &str) -> Answered {
        self.send_as(Some("ada"), Request::get(path).body(Body::empty()).unwrap()).await
    }
}

/// A response.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<String>,
    pub(super) body: Json,
}
