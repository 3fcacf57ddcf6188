//! The whole server over a project in a temporary folder, as `mainspring serve` wires it.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use mainspring_catalog::Catalog;
use mainspring_features::{FeatureStore, FjallStore};
use mainspring_flow::{Engine, PlatformWork};
use mainspring_govern::{AllowedHosts, Authorizer, Identity, Reach};
use mainspring_ingest::Ingestor;
use mainspring_lake::{Lake, LakeConfig};
use mainspring_registry::{Registry, WebhookSender};
use mainspring_serve::{LakeSink, Plan, ServeConfig, ServeEngine};
use mainspring_server::query::RowLimits;
use mainspring_server::{App, Layers, Parts};
use mainspring_train::TrainContext;
use mainspring_watch::Watch;
use tokio::net::TcpListener;

use super::model;

pub const PATH: &str = "/v2/models/bench/infer";

pub struct Ours {
    pub address: SocketAddr,
    pub grpc_address: SocketAddr,
    pub engine: Arc<ServeEngine>,
}

pub async fn start(folder: &Path, logged: bool) -> anyhow::Result<Ours> {
    write_project(folder, logged)?;
    let project = Arc::new(mainspring_spec::load(folder)?);
    let catalog = Catalog::open(&format!("sqlite:{}", folder.join("catalog.db").display())).await?;
    let lake = Lake::open(LakeConfig {
        root: folder.join("lake").display().to_string(),
        memory_bytes: 256 << 20,
        spill_dir: folder.join("spill"),
        threads: 2,
    });
    let lake = lake.await?;
    let registry = Registry::new(catalog.clone(), folder.join("artifacts"));
    let online = Arc::new(FjallStore::open(folder.join("online"))?);
    let features = FeatureStore::open(lake.clone(), catalog.clone(), online, Arc::clone(&project));
    let identity = Identity::open(catalog.clone()).await?;
    let watch = Watch::new(lake.clone(), catalog.clone(), registry.clone(), Arc::clone(&project));
    let work = PlatformWork {
        catalog: catalog.clone(),
        ingestor: Ingestor::new(lake.clone(), catalog.clone(), Arc::clone(&project)),
        features: features.clone(),
        training: TrainContext {
            lake: lake.clone(),
            features: features.clone(),
            registry: registry.clone(),
            project: Arc::clone(&project),
        },
        watch: watch.clone(),
    };
    let layers = Layers {
        project: Arc::clone(&project),
        features,
        watch,
        authorizer: Arc::new(Authorizer::new(&project.policies)?.with_roles(identity.roles())),
        flow: Engine::new(catalog.clone(), Arc::new(work), 1),
    };
    let engine = ServeEngine::new(ServeConfig::default(), Arc::new(LakeSink::new(lake.clone())));
    let artifact = model::artifact();
    let plan = Plan::of_model(&project, "bench", Some(&artifact))?;
    engine.deploy(project.endpoints["bench"].clone(), &artifact, 1, plan, None).await?;
    let mut metrics = prometheus_client::registry::Registry::with_prefix("mainspring");
    engine.register_metrics(&mut metrics);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let webhooks = WebhookSender::new(registry.clone(), Reach::Public);
    let app = App::new(Parts {
        catalog,
        lake,
        registry,
        serve: Arc::clone(&engine),
        identity,
        layers: Arc::new(ArcSwap::from_pointee(layers)),
        metrics: Arc::new(metrics),
        started_at: jiff::Timestamp::now(),
        hosts: Arc::new(AllowedHosts::new(address, &[])),
        webhooks,
        changed: Arc::default(),
        looked: Arc::default(),
        row_limits: RowLimits::default(),
    });
    tokio::spawn(mainspring_server::serve(app.clone(), listener, std::future::pending()));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let grpc_address = listener.local_addr()?;
    tokio::spawn(mainspring_server::grpc::serve(app, listener, std::future::pending()));
    Ok(Ours { address, grpc_address, engine })
}

fn write_project(folder: &Path, logged: bool) -> anyhow::Result<()> {
    let mut columns = String::from("  - {name: id, type: string}\n  - {name: label, type: bool}\n");
    let mut features = String::new();
    for number in 0..model::COLUMNS {
        writeln!(columns, "  - {{name: x{number}, type: float64}}")?;
        write!(features, "{}x{number}", if number == 0 { "" } else { ", " })?;
    }
    let files = [
        ("mainspring.yaml", "project: bench\n".to_owned()),
        ("sources/rows.yaml", format!("source: rows\npath: data/*.csv\nkey: [id]\ncolumns:\n{columns}")),
        (
            "models/bench.yaml",
            format!(
                "model: bench\ntask: binary\nobservations: {{from: rows, label: label}}\nfeatures: [{features}]\n\
                 trainer: {{constant: {{}}}}\n"
            ),
        ),
        ("endpoints/bench.yaml", format!("endpoint: bench\nmodel: bench\nlog: {{enabled: {logged}}}\n")),
    ];
    for (path, text) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
        std::fs::write(path, text)?;
    }
    Ok(())
}
