//! The whole system wired together, in one screen.

use std::sync::Arc;

use anyhow::Context;
use mainspring_catalog::Catalog;
use mainspring_features::{FeatureStore, FjallStore};
use mainspring_flow::openlineage::{Courier, LineageMetrics, Reporter};
use mainspring_flow::{Engine, PlatformWork};
use mainspring_govern::{Authorizer, Identity};
use mainspring_ingest::Ingestor;
use mainspring_lake::{Lake, LakeConfig};
use mainspring_registry::{FileStore, Registry, Tracking};
use mainspring_server::Layers;
use mainspring_spec::Project;
use mainspring_train::TrainContext;
use mainspring_watch::{Watch, WatchMetrics};
use tokio::sync::Notify;

use crate::config::{Config, Place};
use crate::output::Failure;

/// Tasks done at once unless said otherwise.
pub const PARALLEL: usize = 2;

/// The stores, which know nothing of a project.
#[derive(Clone)]
pub struct Stores {
    /// The effective configuration.
    pub config: Config,
    /// The metadata database.
    pub catalog: Catalog,
    /// The tables.
    pub lake: Lake,
    /// Runs, models, versions.
    pub registry: Registry,
    /// Who has a key, and with which roles.
    pub identity: Identity,
    /// Gauges of what was watched.
    pub watch_metrics: WatchMetrics,
    /// Counts of lineage events.
    pub lineage_metrics: LineageMetrics,
    /// Rung when lineage events wait.
    pub lineage_bell: Arc<Notify>,
}

impl Stores {
    /// Opens the stores of a place, making them when there are none.
    pub async fn open(place: &Place, project: Option<&Project>) -> Result<Self, Failure> {
        if !place.folder.is_dir() {
            return Err(Failure::hinted(
                anyhow::anyhow!("there is no folder {}", place.folder.display()),
                "-C DIR names the project folder; `mainspring -C DIR init` makes one",
            ));
        }
        let config = place.config(project)?;
        std::fs::create_dir_all(&config.state).with_context(|| format!("cannot make {}", config.state.display()))?;
        let catalog = Catalog::open(&config.catalog).await.context("cannot open the catalog")?;
        let lake = Lake::open(LakeConfig {
            root: config.lake.clone(),
            memory_bytes: config.memory_bytes,
            spill_dir: config.spill.clone(),
            threads: config.threads,
        })
        .await?;
        let files = FileStore::open(&config.files)?;
        let registry =
            Registry::new(catalog.clone(), &config.artifacts).with_files(files).with_vault(config.secrets_key.clone());
        let identity = Identity::open(catalog.clone()).await?;
        Ok(Self {
            config,
            catalog,
            lake,
            registry,
            identity,
            watch_metrics: WatchMetrics::default(),
            lineage_metrics: LineageMetrics::default(),
            lineage_bell: Arc::default(),
        })
    }

    /// The stores with the runs that clients track; one process at a time has them.
    pub async fn with_tracking(&self) -> Result<Self, Failure> {
        let folder = &self.config.tracking;
        let tracking = Tracking::open(self.catalog.clone(), folder).await.map_err(|error| {
            Failure::hinted(
                anyhow::Error::from(error).context(format!("cannot open the metrics in {}", folder.display())),
                "one process at a time may have them: end the other `mainspring serve` on this folder",
            )
        })?;
        Ok(Self { registry: self.registry.clone().with_tracking(tracking), ..self.clone() })
    }

    /// Opens the stores of a project; a folder without one stays as it is.
    pub async fn of_project(place: &Place) -> Result<Self, Failure> {
        Self::open(place, place.project_or_applied()?.as_ref()).await
    }

    /// Opens the stores of a folder, with or without a project.
    pub async fn of_folder(place: &Place) -> Result<Self, Failure> {
        if place.folder.join(mainspring_spec::PROJECT_FILE).is_file() {
            return Self::of_project(place).await;
        }
        Self::open(place, None).await
    }

    /// What is applied; without it there is nothing to run.
    pub async fn applied(&self) -> Result<Arc<Project>, Failure> {
        let declared = self.catalog.declared().await?;
        let Some(mut project) = declared else {
            return Err(Failure::hinted(
                anyhow::anyhow!("nothing is applied in {}", self.config.folder.display()),
                "`mainspring apply` makes the declared objects the applied ones",
            ));
        };
        project.folder.clone_from(&self.config.folder);
        Ok(Arc::new(project))
    }

    /// What is applied, with the endpoints that were asked for; without it a project without other objects, over which a
    /// server can run all the same.
    pub async fn applied_or_empty(&self) -> Result<Arc<Project>, Failure> {
        let mut project = match self.catalog.declared().await? {
            Some(project) => project,
            None => Project::empty(&self.config.folder),
        };
        project.folder.clone_from(&self.config.folder);
        Ok(Arc::new(self.registry.with_deployments(project).await?))
    }

    /// Who takes lineage events to where they are wanted, if they are wanted anywhere.
    pub fn courier(&self) -> Result<Option<Courier>, Failure> {
        let Some(destination) = self.config.lineage.clone() else { return Ok(None) };
        let (metrics, bell) = (self.lineage_metrics.clone(), self.lineage_bell.clone());
        Ok(Some(Courier::new(self.catalog.clone(), destination, metrics, bell)?))
    }

    /// Drift, quality and alerts of a project.
    pub fn watch(&self, project: &Arc<Project>) -> Watch {
        Watch::new(self.lake.clone(), self.catalog.clone(), self.registry.clone(), project.clone())
            .with_metrics(self.watch_metrics.clone())
    }

    /// The layers of a project over an online store.
    pub async fn layers(
        &self,
        project: &Arc<Project>,
        online: Arc<FjallStore>,
        parallel: usize,
    ) -> Result<Layers, Failure> {
        let features = FeatureStore::open(self.lake.clone(), self.catalog.clone(), online, project.clone());
        let watch = self.watch(project);
        let work = PlatformWork {
            ingestor: Ingestor::new(self.lake.clone(), self.catalog.clone(), project.clone()),
            features: features.clone(),
            training: TrainContext {
                lake: self.lake.clone(),
                features: features.clone(),
                registry: self.registry.clone(),
                project: project.clone(),
            },
            watch: watch.clone(),
            catalog: self.catalog.clone(),
        };
        let mut flow = Engine::new(self.catalog.clone(), Arc::new(work), parallel);
        if self.config.lineage.is_some() {
            let (metrics, bell) = (self.lineage_metrics.clone(), self.lineage_bell.clone());
            flow = flow.with_reporter(Reporter::new(self.catalog.clone(), project, &self.lake, metrics, bell));
        }
        Ok(Layers {
            project: project.clone(),
            features,
            watch,
            authorizer: Arc::new(Authorizer::new(&project.policies)?.with_roles(self.identity.roles())),
            flow,
        })
    }
}
