//! Answering, over stores and logs that do as a test says.

mod answering;
mod following;
mod logging;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use mainspring_catalog::Principal;
use mainspring_features::Value;
use mainspring_kernel::{ARTIFACT_FORMAT, Body, Encoding, Input, LinearModel, Link, ModelArtifact};
use mainspring_spec::{self as spec, DataType, InputRef, Task};
use parking_lot::Mutex;

use crate::log::SinkError;
use crate::{
    Answer, Endpoint, Error, FeatureLookup, Found, InputFrom, LogBatch, LogSink, Plan, PlannedInput, RequestField,
    ServeConfig, ServeEngine, parse_request,
};

/// Distance in the request, wind looked up.
fn plan() -> Plan {
    let field = |name: &str, data_type| RequestField { name: name.into(), data_type, required: true };
    let input =
        |name: &str, from| PlannedInput { name: name.into(), data_type: DataType::Float64, from, categories: None };
    Plan::new(
        vec![field("origin", DataType::String), field("distance", DataType::Float64)],
        vec![input("distance", InputFrom::Field(1)), input("wind", InputFrom::Feature(0))],
        vec![InputRef::Feature { view: "weather".into(), feature: "wind".into() }],
    )
}

/// `bias + by_distance * distance + by_wind * wind`, an unknown wind being 5.
fn linear(bias: f64, by_distance: f64, by_wind: f64) -> ModelArtifact {
    let input = |name: &str, fill| Input {
        name: name.into(),
        data_type: DataType::Float64,
        encoding: Encoding::Standard { mean: 0.0, deviation: 1.0, fill },
    };
    ModelArtifact {
        format: ARTIFACT_FORMAT,
        task: Task::Regression,
        classes: vec![],
        inputs: vec![input("distance", 0.0), input("wind", 5.0)],
        body: Body::Linear(LinearModel { weights: vec![vec![by_distance, by_wind]], bias: vec![bias] }),
        link: Link::Identity,
    }
}

fn declared(change: impl FnOnce(&mut spec::Endpoint)) -> spec::Endpoint {
    let mut endpoint = spec::Endpoint {
        name: "delay".into(),
        description: String::new(),
        registered: false,
        model: "delay".into(),
        alias: "champion".into(),
        // what is not about being late must not be late because the machine is
        limits: spec::Limits { timeout: spec::Span::from_micros(600_000_000), ..spec::Limits::default() },
        fallback: spec::Fallback::default(),
        log: spec::PredictionLogging::default(),
    };
    change(&mut endpoint);
    endpoint
}

/// A store of features that does what it is told.
struct Store<F>(F, bool);

impl<F> FeatureLookup for Store<F>
where
    F: Fn(&[Value]) -> Result<Vec<Value>, String> + Send + Sync,
{
    fn look_up(&self, fields: &[Value], _: &[i64]) -> Result<Found, String> {
        Ok(Found { features: (self.0)(fields)?, ..Found::default() })
    }

    fn may_wait(&self) -> bool {
        self.1
    }
}

fn here<F>(store: F) -> Option<Arc<dyn FeatureLookup>>
where
    F: Fn(&[Value]) -> Result<Vec<Value>, String> + Send + Sync + 'static,
{
    Some(Arc::new(Store(store, false)))
}

fn elsewhere<F>(store: F) -> Option<Arc<dyn FeatureLookup>>
where
    F: Fn(&[Value]) -> Result<Vec<Value>, String> + Send + Sync + 'static,
{
    Some(Arc::new(Store(store, true)))
}

/// A wind of 3 for every row.
fn windy(fields: &[Value]) -> Result<Vec<Value>, String> {
    Ok(vec![Value::Float(3.0); fields.len() / 2])
}

/// A log in memory.
#[derive(Default)]
struct Memory {
    batches: Mutex<Vec<LogBatch>>,
    /// What was tried, also in vain.
    tries: Mutex<Vec<i64>>,
    is_down: AtomicBool,
}

impl Memory {
    fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }

    fn rows(&self) -> usize {
        self.batches.lock().iter().map(|batch| batch.rows.num_rows()).sum()
    }
}

#[async_trait]
impl LogSink for Memory {
    async fn write(&self, batch: &LogBatch) -> Result<(), SinkError> {
        self.tries.lock().push(batch.sequence);
        if self.is_down.load(Ordering::SeqCst) {
            return Err(SinkError::Unavailable("the disk is away".into()));
        }
        self.batches.lock().push(batch.clone());
        Ok(())
    }
}

fn engine(sink: &Arc<Memory>) -> Arc<ServeEngine> {
    let config = ServeConfig { log_flush_every: Duration::from_millis(20), log_flush_rows: 100 };
    ServeEngine::new(config, Arc::clone(sink) as Arc<dyn LogSink>)
}

const ONE_ROW: &str = r#"{"rows":[{"origin":"JFK","distance":100}]}"#;

fn rows(count: usize) -> String {
    format!(r#"{{"rows":[{}]}}"#, vec![r#"{"origin":"JFK","distance":100}"#; count].join(","))
}

async fn ask(endpoint: &Endpoint, body: &str) -> Result<Answer, Error> {
    let caller = Principal::local_owner();
    endpoint.answer(&caller, |deployed, most| parse_request(body.as_bytes(), &deployed.plan, "delay", most)).await
}

fn values(answer: &Answer) -> Vec<f64> {
    answer.predictions().map(|prediction| prediction.value).collect()
}
