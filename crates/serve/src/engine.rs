//! All endpoints, and how they follow the registry.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use mainspring_features::FeatureStore;
use mainspring_kernel::ModelArtifact;
use mainspring_registry::Registry;
use mainspring_spec::{self as spec, Project};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::Error;
use crate::deployed::Deployed;
use crate::endpoint::{Endpoint, EndpointStatus};
use crate::log::{LogRuntime, LogSink, WriterSettings, queue, write_until_closed};
use crate::lookup::{FeatureLookup, StoredFeatures};
use crate::metrics::Metrics;
use crate::plan::{Plan, suggestion};

/// How long the last batches of the log may take when the server ends.
const LAST_FLUSH: Duration = Duration::from_secs(10);

/// How the engine works, whatever is declared.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// The oldest a prediction gets before it is written to the log.
    pub log_flush_every: Duration,
    /// The most predictions in one write to the log.
    pub log_flush_rows: usize,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self { log_flush_every: Duration::from_secs(1), log_flush_rows: 32_768 }
    }
}

/// What endpoints are made from.
#[derive(Clone)]
pub struct Sources {
    /// What is declared and applied.
    pub project: Arc<Project>,
    /// Which version has which alias, and its model file.
    pub registry: Registry,
    /// Where features are looked up.
    pub features: FeatureStore,
}

/// What a refresh changed.
#[derive(Debug, Default)]
pub struct RefreshReport {
    /// Endpoints behind which another version now stands, with its number.
    pub switched: Vec<(String, Option<u64>)>,
    /// Endpoints that could not follow, with the reason; they go on with what they had.
    pub failed: Vec<(String, Error)>,
}

struct Held {
    endpoint: Arc<Endpoint>,
    /// What the deployed state was made from, to see whether it still holds.
    made_from: Option<Arc<Project>>,
    writer: JoinHandle<()>,
}

/// Answers predictions.
pub struct ServeEngine {
    config: ServeConfig,
    sink: Arc<dyn LogSink>,
    writers: LogRuntime,
    metrics: Metrics,
    /// Names the log writers of this process.
    start: Uuid,
    endpoints: ArcSwap<BTreeMap<String, Arc<Endpoint>>>,
    /// Held while endpoints change; requests never take it.
    held: tokio::sync::Mutex<BTreeMap<String, Held>>,
}

impl ServeEngine {
    /// An engine without endpoints.
    #[must_use]
    pub fn new(config: ServeConfig, sink: Arc<dyn LogSink>) -> Arc<Self> {
        Arc::new(Self {
            config,
            sink,
            writers: LogRuntime::start(),
            metrics: Metrics::new(),
            start: Uuid::now_v7(),
            endpoints: ArcSwap::default(),
            held: tokio::sync::Mutex::default(),
        })
    }

    /// Shows the engine's metrics in a registry.
    pub fn register_metrics(&self, registry: &mut prometheus_client::registry::Registry) {
        self.metrics.register(registry);
    }

    /// Brings metrics that are sampled up to date; call it before encoding them.
    pub fn sample_metrics(&self) {
        for endpoint in self.endpoints.load().values() {
            endpoint.sample();
        }
    }

    /// The endpoint of a name.
    ///
    /// # Errors
    /// When there is none; names one like it.
    pub fn endpoint(&self, name: &str) -> Result<Arc<Endpoint>, Error> {
        let endpoints = self.endpoints.load();
        endpoints.get(name).cloned().ok_or_else(|| Error::UnknownEndpoint {
            name: name.to_owned(),
            help: suggestion(name, endpoints.keys().map(String::as_str)),
        })
    }

    /// All endpoints, by name.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        self.endpoints.load().values().cloned().collect()
    }

    /// The figures of all endpoints, by name.
    #[must_use]
    pub fn status(&self) -> Vec<EndpointStatus> {
        self.endpoints.load().values().map(|endpoint| endpoint.status()).collect()
    }

    /// Whether requests can be answered: a version is behind one endpoint at least, or there are no endpoints. One that lost
    /// its version tells so itself, and does not take the others from their callers.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let endpoints = self.endpoints.load();
        endpoints.is_empty() || endpoints.values().any(|endpoint| endpoint.deployed().live.is_some())
    }

    /// Makes the endpoints those that are declared, and puts behind each the version that has its alias. What does not
    /// change goes on untouched; an endpoint whose new version cannot be loaded goes on with the one it has.
    pub async fn refresh(&self, sources: &Sources) -> RefreshReport {
        let mut held = self.held.lock().await;
        let mut report = RefreshReport::default();
        let gone: Vec<String> =
            held.keys().filter(|name| !sources.project.endpoints.contains_key(*name)).cloned().collect();
        for name in gone {
            if let Some(gone) = held.remove(&name) {
                tracing::info!(endpoint = %name, "endpoint taken away");
                self.metrics.switched(&name, live_of(&gone.endpoint.deployed()), None);
            }
        }
        for declared in sources.project.endpoints.values() {
            if let Err(error) = self.follow_one(&mut held, declared, sources, &mut report).await {
                tracing::warn!(endpoint = %declared.name, %error, "the endpoint cannot follow its alias");
                report.failed.push((declared.name.clone(), error));
            }
        }
        self.publish(&held);
        report
    }

    async fn follow_one(
        &self,
        held: &mut BTreeMap<String, Held>,
        declared: &spec::Endpoint,
        sources: &Sources,
        report: &mut RefreshReport,
    ) -> Result<(), Error> {
        let known = held.get(&declared.name);
        let unchanged_project =
            known.and_then(|held| held.made_from.as_ref()).is_some_and(|from| Arc::ptr_eq(from, &sources.project));
        if !unchanged_project {
            self.declare(held, declared, &sources.project)?;
        }
        let now = known_version(held, &declared.name);
        let wanted = sources.registry.live(&declared.model, &declared.alias).await?;
        let same_version = now == wanted.as_ref().map(|version| (version.model.clone(), version.version));
        if same_version && unchanged_project {
            return Ok(());
        }
        let deployed = match &wanted {
            Some(version) => {
                let artifact = sources.registry.open_model(version).await?;
                let unservable = |error: Error| Error::Unservable {
                    model: version.model.clone(),
                    version: version.version,
                    reason: error.to_string(),
                };
                let plan = Plan::of_endpoint(&sources.project, declared, Some(&artifact)).map_err(unservable)?;
                let lookup = StoredFeatures::compile(&sources.features, &plan).await.map_err(unservable)?;
                Deployed::new(&artifact, &version.model, version.version, plan, lookup)?
            }
            None => Deployed::empty(Plan::of_endpoint(&sources.project, declared, None)?),
        };
        let number = deployed.version();
        if let Some(held) = held.get_mut(&declared.name) {
            self.switch(&held.endpoint, deployed);
            held.made_from = Some(Arc::clone(&sources.project));
        }
        if !same_version {
            report.switched.push((declared.name.clone(), number));
        }
        Ok(())
    }

    /// Makes the endpoint if there is none, and gives it its limits.
    fn declare(
        &self,
        held: &mut BTreeMap<String, Held>,
        declared: &spec::Endpoint,
        project: &Project,
    ) -> Result<(), Error> {
        if let Some(known) = held.get(&declared.name) {
            known.endpoint.declare(declared.clone());
            return Ok(());
        }
        let deployed = Deployed::empty(Plan::of_endpoint(project, declared, None)?);
        held.insert(declared.name.clone(), self.start_endpoint(declared.clone(), deployed)?);
        Ok(())
    }

    fn start_endpoint(&self, declared: spec::Endpoint, deployed: Deployed) -> Result<Held, Error> {
        let (log, waiting) = queue(self.config.log_flush_rows);
        let settings = WriterSettings {
            endpoint: declared.name.clone(),
            writer: format!("predictions:{}:{}", declared.name, self.start),
            flush_every: self.config.log_flush_every,
        };
        let counts = Arc::clone(&log.counts);
        let metrics = self.metrics.of(&declared.name);
        let endpoint = Arc::new(Endpoint::new(declared, deployed, log, metrics)?);
        let writer = self.writers.spawn(write_until_closed(settings, waiting, counts, Arc::clone(&self.sink)));
        Ok(Held { endpoint, made_from: None, writer })
    }

    fn switch(&self, endpoint: &Endpoint, deployed: Deployed) {
        let now = live_of(&deployed).map(|(model, version)| (model.to_owned(), version));
        let before = endpoint.deploy(deployed);
        self.metrics.switched(
            endpoint.name(),
            live_of(&before),
            now.as_ref().map(|(model, version)| (model.as_str(), *version)),
        );
        tracing::info!(endpoint = %endpoint.name(), version = now.map(|(_, version)| version), "version switched");
    }

    /// Puts a model behind an endpoint without a registry: for benchmarks, tests and embedding. The endpoint is made if
    /// there is none of that name.
    ///
    /// # Errors
    /// When the model cannot be compiled, or its inputs are not the plan's.
    pub async fn deploy(
        &self,
        declared: spec::Endpoint,
        artifact: &ModelArtifact,
        version: u64,
        plan: Plan,
        lookup: Option<Arc<dyn FeatureLookup>>,
    ) -> Result<Arc<Endpoint>, Error> {
        let deployed = Deployed::new(artifact, &declared.model, version, plan.clone(), lookup)?;
        let mut held = self.held.lock().await;
        let endpoint = match held.get(&declared.name) {
            Some(known) => {
                known.endpoint.declare(declared);
                Arc::clone(&known.endpoint)
            }
            None => {
                let name = declared.name.clone();
                let made = self.start_endpoint(declared, Deployed::empty(plan))?;
                let endpoint = Arc::clone(&made.endpoint);
                held.insert(name, made);
                endpoint
            }
        };
        self.switch(&endpoint, deployed);
        self.publish(&held);
        Ok(endpoint)
    }

    fn publish(&self, held: &BTreeMap<String, Held>) {
        let endpoints = held.iter().map(|(name, held)| (name.clone(), Arc::clone(&held.endpoint))).collect();
        self.endpoints.store(Arc::new(endpoints));
    }

    /// Follows the registry until the handle is aborted: looks every so often, and whenever it is told to.
    pub fn follow<F>(self: &Arc<Self>, every: Duration, sources: F) -> JoinHandle<()>
    where
        F: Fn() -> Sources + Send + Sync + 'static,
    {
        let engine = Arc::clone(self);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(every);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                engine.refresh(&sources()).await;
            }
        })
    }

    /// Waits until all that was answered before is logged.
    pub async fn flush(&self) {
        futures::future::join_all(self.endpoints().iter().map(|endpoint| endpoint.flush())).await;
    }

    /// Takes all endpoints away and writes the rest of the log, within a bound of ten seconds.
    pub async fn shutdown(&self) {
        let held = std::mem::take(&mut *self.held.lock().await);
        let endpoints = self.endpoints();
        self.endpoints.store(Arc::default());
        let flushed = futures::future::join_all(endpoints.iter().map(|endpoint| endpoint.flush()));
        if tokio::time::timeout(LAST_FLUSH, flushed).await.is_err() {
            let waiting: usize = endpoints.iter().map(|endpoint| endpoint.status().log_waiting).sum();
            tracing::error!(waiting, "the server ends with predictions that were not logged");
        }
        for held in held.into_values() {
            held.writer.abort();
        }
    }
}

fn live_of(deployed: &Deployed) -> Option<(&str, u64)> {
    deployed.live.as_ref().map(|live| (live.model.as_str(), live.version))
}

fn known_version(held: &BTreeMap<String, Held>, name: &str) -> Option<(String, u64)> {
    let deployed = held.get(name)?.endpoint.deployed();
    live_of(&deployed).map(|(model, version)| (model.to_owned(), version))
}
