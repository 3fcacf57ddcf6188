//! `serve`: the server, wired in one screen; and `run` on a folder that a server holds.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use arc_swap::ArcSwap;
use mainspring_catalog::{Catalog, ListQuery};
use mainspring_flow::{FlowRun, RunRequest, RunState, TaskRun};
use mainspring_govern::{AllowedHosts, Reach, check_bind};
use mainspring_registry::{Registry, WebhookSender};
use mainspring_serve::{LakeSink, ServeConfig, ServeEngine, Sources};
use mainspring_server::query::RowLimits;
use mainspring_server::{App, Layers, Parts};
use mainspring_spec::Project;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::work::open_online;
use crate::args::ServeArgs;
use crate::config::Place;
use crate::output::{self, BOLD, Failure, talk};
use crate::progress;
use crate::wiring::{PARALLEL, Stores};

/// How often the server looks whether something else is applied or live.
const FOLLOW: Duration = Duration::from_secs(1);
/// How often pushed rows land in the lake: one commit for all that came since.
const LAND: Duration = Duration::from_secs(2);
/// How long a server that holds its lock may take to answer, on a machine that is busy: a verb that goes on without it
/// finds the online store taken.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// The file in the state folder that says where the server of this folder listens.
const ADDRESS_FILE: &str = "server.json";

/// A server that is up.
pub struct Running {
    /// What its handlers share.
    pub app: App,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it listens for gRPC, when it does.
    pub grpc_address: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    servers: Vec<JoinHandle<std::io::Result<()>>>,
    following: JoinHandle<()>,
    landing: JoinHandle<()>,
    keys: JoinHandle<()>,
    webhooks: JoinHandle<()>,
    courier: Option<JoinHandle<()>>,
    address_file: PathBuf,
    /// Locked as long as the server lives, however it ends.
    _claim: File,
}

/// `serve`.
pub async fn serve(place: &Place, args: ServeArgs) -> Result<ExitCode, Failure> {
    let project = place.folder.join(mainspring_spec::PROJECT_FILE).is_file().then(|| place.project()).transpose()?;
    let mut stores = Stores::open(place, project.as_ref()).await?;
    stores.config.take(&args);
    let mut stop = StopAsked::listen()?;
    let running = tokio::select! {
        running = start(&stores, stores.config.listen, stores.config.grpc) => running?,
        // what is half started holds nothing that the next start does not mend
        () = stop.wait() => return Ok(ExitCode::SUCCESS),
    };
    // the first line on stdout says where, for people and for programs that started this one
    let grpc = running.grpc_address.map(|address| format!(", gRPC at grpc://{address}")).unwrap_or_default();
    output::text(&format!("{BOLD}Mainspring{BOLD:#} is at http://{}/{grpc}", running.address))?;
    std::io::stdout().flush()?;
    stop.wait().await;
    talk("stopping: requests under way are answered, the prediction log is written");
    running.stop().await?;
    Ok(ExitCode::SUCCESS)
}

/// Ctrl-C and polite kills, from the moment they are listened for: neither ends the process by itself any more.
pub struct StopAsked {
    interrupt: Signal,
    terminate: Signal,
}

impl StopAsked {
    /// Listens from now on: before the first word about being up, since who reads it may ask to stop at once.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits until one has come.
    pub async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Starts the server of a folder.
pub async fn start(stores: &Stores, listen: SocketAddr, grpc: Option<SocketAddr>) -> Result<Running, Failure> {
    for address in [Some(listen), grpc].into_iter().flatten() {
        check_bind(address, stores.identity.has_keys())
            .map_err(|refused| Failure::hinted(refused, "make a key first: mainspring key create NAME --role owner"))?;
    }
    if let Some(url) = address_of_running(&stores.config.state).await {
        return Err(Failure::hinted(
            anyhow!("a server of {} is up already, at {url}", stores.config.folder.display()),
            "one server at a time has a folder; it follows `apply`, `promote` and `run` by itself",
        ));
    }
    let online = open_online(stores)?;
    let stores = &stores.with_tracking().await?;
    let listener = bind(listen, "--listen").await?;
    let address = listener.local_addr()?;
    let grpc_listener = match grpc {
        Some(grpc) => Some(bind(grpc, "--grpc").await?),
        None => None,
    };
    let grpc_address = grpc_listener.as_ref().map(TcpListener::local_addr).transpose()?;

    let project = stores.applied_or_empty().await?;
    let layers = Arc::new(ArcSwap::from_pointee(stores.layers(&project, online.clone(), PARALLEL).await?));
    let engine = ServeEngine::new(ServeConfig::default(), Arc::new(LakeSink::new(stores.lake.clone())));
    let mut metrics = prometheus_client::registry::Registry::with_prefix("mainspring");
    engine.register_metrics(&mut metrics);
    stores.watch_metrics.register(&mut metrics);
    stores.lineage_metrics.register(&mut metrics);
    let reach = if stores.config.allow_private_webhooks { Reach::Anywhere } else { Reach::Public };
    let webhooks = WebhookSender::new(stores.registry.clone(), reach);
    let (changed, looked) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let app = App::new(Parts {
        catalog: stores.catalog.clone(),
        lake: stores.lake.clone(),
        registry: stores.registry.clone(),
        serve: engine.clone(),
        identity: stores.identity.clone(),
        layers: layers.clone(),
        metrics: Arc::new(metrics),
        started_at: jiff::Timestamp::now(),
        row_limits: RowLimits::declared(&stores.config.query).map_err(|words| anyhow!(words))?,
        hosts: Arc::new(AllowedHosts::new(address, &[])),
        webhooks: webhooks.clone(),
        changed: changed.clone(),
        looked: looked.clone(),
    });
    engine.refresh(&sources(stores, &layers.load())).await;

    // keys made or revoked by another process are known within a second
    let keys = stores.identity.keep_fresh();
    let webhooks = tokio::spawn(webhooks.run());
    let landing = tokio::spawn(land_pushed(layers.clone()));
    let following = tokio::spawn(follow(stores.clone(), online, layers, engine, project, changed, looked));
    let courier = stores.courier()?.map(|courier| tokio::spawn(courier.run()));
    let (stop, stopped) = watch::channel(false);
    let until = |mut stopped: watch::Receiver<bool>| async move {
        let _sender_gone = stopped.wait_for(|stop| *stop).await;
    };
    let http = mainspring_server::serve(app.clone(), listener, until(stopped.clone()));
    let http = async move {
        http.await;
        Ok(())
    };
    let mut servers = vec![tokio::spawn(http)];
    if let Some(listener) = grpc_listener {
        servers.push(tokio::spawn(mainspring_server::grpc::serve(app.clone(), listener, until(stopped))));
    }
    tokio::spawn(look_for_files(stores.registry.clone(), stores.config.files.clone()));
    let address_file = stores.config.state.join(ADDRESS_FILE);
    let claim = claim(&address_file, &Address { process: std::process::id(), url: format!("http://{address}") })
        .with_context(|| format!("cannot write {}", address_file.display()))?;
    Ok(Running {
        app,
        address,
        grpc_address,
        stop,
        servers,
        following,
        landing,
        keys,
        webhooks,
        courier,
        address_file,
        _claim: claim,
    })
}

/// Says so when the bucket for logged files does not let us in. The server does all the rest without it.
async fn look_for_files(registry: Registry, place: String) {
    if let Err(error) = registry.files().reach().await {
        talk(&format!("artifacts cannot be stored in {place} as it is: {error}"));
        talk("  see to the bucket, and to AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL");
    }
}

async fn bind(address: SocketAddr, flag: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::hinted(
            anyhow::Error::from(error).context(format!("cannot listen on {address}")),
            format!("name another address with {flag}; with port 0 the machine chooses one"),
        )
    })
}

impl Running {
    /// Answers what is under way, writes what is queued, and ends.
    pub async fn stop(self) -> Result<(), Failure> {
        self.following.abort();
        self.landing.abort();
        self.keys.abort();
        // what is under way is sent again after the next start
        self.webhooks.abort();
        if let Some(courier) = &self.courier {
            courier.abort();
        }
        let _already_gone = std::fs::remove_file(&self.address_file);
        self.stop.send_replace(true);
        // connections that are kept open without a request do not hold the end up
        match tokio::time::timeout(Duration::from_secs(5), futures::future::try_join_all(self.servers)).await {
            Ok(ended) => ended?.into_iter().collect::<std::io::Result<()>>()?,
            Err(_) => tracing::debug!("connections were still open"),
        }
        self.app.serve.shutdown().await;
        self.app.catalog.close().await;
        Ok(())
    }
}

/// Brings what clients push into the lake, for as long as the server runs. What is cut short waits in the online store.
async fn land_pushed(layers: Arc<ArcSwap<Layers>>) {
    let mut ticks = tokio::time::interval(LAND);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match layers.load_full().features.land_all_pushed().await {
            Ok(0) => {}
            Ok(rows) => tracing::debug!(rows, "pushed rows landed"),
            Err(error) => tracing::error!(%error, "pushed rows cannot land; they wait"),
        }
    }
}

fn sources(stores: &Stores, layers: &Layers) -> Sources {
    Sources { project: layers.project.clone(), registry: stores.registry.clone(), features: layers.features.clone() }
}

/// Follows what is applied, and what is live, for as long as the server runs.
async fn follow(
    stores: Stores,
    online: Arc<mainspring_features::FjallStore>,
    layers: Arc<ArcSwap<Layers>>,
    engine: Arc<ServeEngine>,
    mut project: Arc<Project>,
    changed: Arc<Notify>,
    looked: Arc<Notify>,
) {
    let mut ticks = tokio::time::interval(FOLLOW);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = changed.notified() => {}
        }
        match stores.applied_or_empty().await {
            Ok(now) if now != project => match stores.layers(&now, online.clone(), PARALLEL).await {
                Ok(made) => {
                    tracing::info!(project = %now.file.project, "another project is applied");
                    layers.store(Arc::new(made));
                    project = now;
                }
                Err(failure) => tracing::error!(?failure, "the applied project cannot be taken up"),
            },
            Ok(_) => {}
            // the server goes on with what it has
            Err(failure) => tracing::warn!(?failure, "the catalog does not answer"),
        }
        engine.refresh(&sources(&stores, &layers.load())).await;
        looked.notify_waiters();
    }
}

/// Where the server of a folder listens.
#[derive(Debug, Serialize, Deserialize)]
struct Address {
    process: u32,
    url: String,
}

/// Writes down where the server listens, and locks the file: the system lets the lock go with the process, so that the
/// file of a server that was killed is not taken for one that is up.
fn claim(path: &Path, address: &Address) -> std::io::Result<File> {
    let mut file = File::options().create(true).truncate(false).write(true).open(path)?;
    file.lock()?;
    file.set_len(0)?;
    file.write_all(&serde_json::to_vec(address)?)?;
    Ok(file)
}

/// The root of the server that runs on a folder, if one does.
pub async fn address_of_running(state: &Path) -> Option<String> {
    let mut file = File::open(state.join(ADDRESS_FILE)).ok()?;
    if file.try_lock_shared().is_ok() {
        // nobody holds it: a server that was killed left it behind
        return None;
    }
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    let address: Address = serde_json::from_str(&text).ok()?;
    let client = reqwest::Client::builder().timeout(ANSWERS_WITHIN).build().ok()?;
    let answer = client.get(format!("{}/health", address.url)).send().await.ok()?;
    answer.status().is_success().then_some(address.url)
}

/// Has a server do a run, and follows it in the catalog.
pub async fn run_there(server: &str, request: &RunRequest, catalog: &Catalog) -> anyhow::Result<FlowRun> {
    #[derive(Deserialize)]
    struct Started {
        run: String,
    }
    let body = serde_json::json!({ "targets": request.targets, "force": request.force });
    let answer = reqwest::Client::new().post(format!("{server}/api/v1/workflows/runs")).json(&body).send().await?;
    if !answer.status().is_success() {
        bail!("the server at {server} refused the run: {}", answer.text().await?);
    }
    let Started { run } = answer.json().await?;
    talk(&format!("the server at {server} does the run"));
    let mut told = BTreeSet::new();
    loop {
        for task in catalog.all::<TaskRun>(ListQuery::of(&run)).await? {
            if task.document.state.is_final() && told.insert(task.document.task.clone()) {
                talk(&progress::line(&task.document));
            }
        }
        let now = catalog.get::<FlowRun>(&run).await?.ok_or_else(|| anyhow!("run {run} is gone from the catalog"))?;
        if now.document.state != RunState::Running {
            return Ok(now.document);
        }
        if address_of_running_at(server).await.is_none() {
            bail!("the server at {server} is gone; `mainspring run` takes run {run} up where it was");
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

async fn address_of_running_at(server: &str) -> Option<()> {
    reqwest::get(format!("{server}/health")).await.ok().map(|_| ())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[tokio::test]
    async fn a_kill_before_anyone_waits_is_not_lost_and_does_not_end_the_process() {
        let mut stop = StopAsked::listen().unwrap();
        assert!(Command::new("kill").args(["-TERM", &std::process::id().to_string()]).status().unwrap().success());
        tokio::time::timeout(Duration::from_secs(10), stop.wait()).await.unwrap();
    }
}
