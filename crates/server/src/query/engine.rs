//! Planning and running queries, on threads of their own.
//!
//! Predictions and pages are answered by the server's runtime; a scan that keeps a core busy for a minute must not make
//! them wait. So plans are made and run on a pool beside it, and what a query has ready waits in a queue of
//! [`BATCHES_AHEAD`] batches: a client that reads slowly slows the query down, and one that goes away ends it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::DataFrame;
use futures::{Stream, StreamExt};
use mainspring_catalog::Principal;
use mainspring_govern::PrivacyMarks;
use mainspring_lake::TableName;
use mainspring_spec::Project;
use parking_lot::Mutex;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};
use uuid::Uuid;

use super::error::{Error, Result};
use super::giving_way::{Ending, giving_way};
use super::parameters::{Parameters, placeholders};
use super::platform::Platform;
use super::reader::{Reader, ReaderCatalog};
use super::result::{plain_batch, plain_schema};
use super::statement::{self, STACK_BYTES};
use crate::app::App;

/// Batches that a query has ready before it waits for its reader: one on its way, one behind it.
const BATCHES_AHEAD: usize = 2;
/// The most queries of one principal at a time; a client opens some four.
const QUERIES_MAX_EACH: usize = 16;
/// The most queries at a time: each holds file handles and a share of the lake's memory.
const QUERIES_MAX: usize = 64;
/// The longest a query may take to be read to its end; a result that nobody reads would hold its memory for ever.
pub const QUERY_TIME_MAX: Duration = Duration::from_secs(3_600);

/// Names one run of a query, to cancel it by.
pub type QueryId = Uuid;

/// Plans and runs queries. Clones share the threads and what is under way.
#[derive(Clone)]
pub struct Queries(Arc<Shared>);

struct Shared {
    app: App,
    pool: Pool,
    marks: Mutex<Option<(Arc<Project>, Arc<PrivacyMarks>)>>,
    under_way: Mutex<UnderWay>,
}

#[derive(Default)]
struct UnderWay {
    by_principal: HashMap<Principal, usize>,
    by_id: HashMap<QueryId, (Principal, CancellationToken)>,
}

/// A runtime that may be dropped from anywhere.
struct Pool(Option<Runtime>);

impl Pool {
    fn start() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(std::thread::available_parallelism().map_or(2, usize::from))
            .thread_name("query")
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// The threads; without any of its own, those of the caller.
    fn handle(&self) -> Handle {
        self.0.as_ref().map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// A query that can be run: checked, planned, its tables pinned.
pub struct Planned {
    plan: LogicalPlan,
    state: SessionState,
    reader: Arc<Reader>,
    /// The columns of its result.
    pub schema: SchemaRef,
    /// Its placeholders as columns, in the order in which values are bound.
    pub placeholders: SchemaRef,
    /// The table versions that it reads.
    pub pins: BTreeMap<TableName, u64>,
}

impl fmt::Debug for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Planned").field("schema", &self.schema).field("pins", &self.pins).finish_non_exhaustive()
    }
}

impl Queries {
    /// An engine over the tables of an app, with threads of its own.
    ///
    /// # Errors
    /// When no threads can be started.
    pub fn start(app: App) -> std::io::Result<Self> {
        let shared = Shared { app, pool: Pool::start()?, marks: Mutex::default(), under_way: Mutex::default() };
        Ok(Self(Arc::new(shared)))
    }

    pub(super) fn app(&self) -> &App {
        &self.0.app
    }

    /// What a caller sees, with some tables pinned.
    pub(super) fn reader(&self, principal: &Principal, pins: BTreeMap<TableName, u64>) -> Reader {
        let app = &self.0.app;
        let layers = app.layers();
        Reader {
            principal: principal.clone(),
            lake: app.lake.clone(),
            marks: self.marks(&layers.project),
            platform: Platform::of(app),
            pins: Mutex::new(pins),
            withheld: Mutex::default(),
            layers,
        }
    }

    /// The marks of a project; they are made once for each project that is applied.
    fn marks(&self, project: &Arc<Project>) -> Arc<PrivacyMarks> {
        let mut known = self.0.marks.lock();
        match known.as_ref() {
            Some((of, marks)) if Arc::ptr_eq(of, project) => marks.clone(),
            _ => {
                let marks = Arc::new(PrivacyMarks::of(project));
                *known = Some((project.clone(), marks.clone()));
                marks
            }
        }
    }

    /// Plans a query for a caller: every table that it names asks the policy. Tables that are not pinned are read at their
    /// newest version, which [`Planned::pins`] tells.
    ///
    /// # Errors
    /// [`Error::NotAQuery`], [`Error::TooLarge`], [`Error::Clause`], [`Error::Denied`], [`Error::Withheld`],
    /// [`Error::Undeclared`], and what the engine says of it.
    pub async fn plan(
        &self,
        principal: &Principal,
        text: &str,
        pins: BTreeMap<TableName, u64>,
        parameters: Option<&Parameters>,
    ) -> Result<Planned> {
        let reader = Arc::new(self.reader(principal, pins));
        let (text, parameters) = (text.to_owned(), parameters.cloned());
        let mut tasks = JoinSet::new();
        tasks.spawn_on(async move { planned(reader, &text, parameters.as_ref()).await }, &self.0.pool.handle());
        match tasks.join_next().await {
            Some(Ok(planned)) => planned,
            Some(Err(error)) => Err(Error::Broken(error.to_string())),
            None => Err(Error::Cancelled),
        }
    }

    /// Runs a query: once, or once for each row of parameters.
    ///
    /// # Errors
    /// [`Error::TooManyQueries`], [`Error::Parameters`]. What fails later is the last item of the stream.
    pub fn run(&self, id: QueryId, planned: Planned, parameters: Option<Parameters>) -> Result<Rows> {
        let principal = planned.reader.principal.clone();
        let cancel = CancellationToken::new();
        let place = self.enter(id, &principal, &cancel)?;
        let roles = self.0.app.identity.roles().of(&principal);
        let limit = self.0.app.row_limits.of(&principal, &roles);
        let schema = planned.schema.clone();
        let cancelled = Box::pin(cancel.clone().cancelled_owned());
        let until_dropped = cancel.clone().drop_guard();
        let ending = Ending { cancelled: cancel.clone(), at: Instant::now() + QUERY_TIME_MAX };
        let (send, batches) = mpsc::channel(BATCHES_AHEAD);
        let mut task = JoinSet::new();
        let work = async move {
            let reader = planned.reader.clone();
            let work = send_all(&planned, parameters.as_ref(), limit, &send, &ending);
            let ended = tokio::select! {
                biased;
                () = cancel.cancelled() => Err(Error::Cancelled),
                ended = tokio::time::timeout_at(ending.at.into(), work) => ended.unwrap_or(Err(Error::Cancelled)),
            };
            match ended {
                Err(_) if cancel.is_cancelled() => Err(Error::Cancelled),
                Err(_) if Instant::now() >= ending.at => Err(Error::TookTooLong { seconds: QUERY_TIME_MAX.as_secs() }),
                ended => ended.map_err(|error| reader.explained(error)),
            }
        };
        task.spawn_on(work, &self.0.pool.handle());
        Ok(Rows { schema, batches, task, cancelled, is_over: false, _until_dropped: until_dropped, _place: place })
    }

    /// Stops a query of the caller; whether there was one under way.
    #[must_use]
    pub fn cancel(&self, principal: &Principal, id: QueryId) -> bool {
        let under_way = self.0.under_way.lock();
        let found = under_way.by_id.get(&id).filter(|(whose, _)| whose == principal);
        if let Some((_, cancel)) = found {
            cancel.cancel();
        }
        found.is_some()
    }

    fn enter(&self, id: QueryId, principal: &Principal, cancel: &CancellationToken) -> Result<Place> {
        let mut under_way = self.0.under_way.lock();
        if under_way.by_id.len() >= QUERIES_MAX {
            return Err(Error::TooManyQueries { whose: "the server has".into(), most: QUERIES_MAX });
        }
        let own = under_way.by_principal.entry(principal.clone()).or_default();
        if *own >= QUERIES_MAX_EACH {
            return Err(Error::TooManyQueries { whose: format!("{principal} has"), most: QUERIES_MAX_EACH });
        }
        *own += 1;
        // a ticket that is read twice at once has two runs; the name is the newer one's
        let run = Uuid::now_v7();
        let id = if under_way.by_id.contains_key(&id) { run } else { id };
        under_way.by_id.insert(id, (principal.clone(), cancel.clone()));
        Ok(Place { queries: self.clone(), id, principal: principal.clone() })
    }
}

impl fmt::Debug for Queries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queries").field("under_way", &self.0.under_way.lock().by_id.len()).finish_non_exhaustive()
    }
}

async fn planned(reader: Arc<Reader>, text: &str, parameters: Option<&Parameters>) -> Result<Planned> {
    let session = reader.lake.session();
    let name = session.state_ref().read().config_options().catalog.default_catalog.clone();
    let functions: Vec<String> = session.state_ref().read().table_functions().keys().cloned().collect();
    session.register_catalog(name, Arc::new(ReaderCatalog::new(reader.clone(), functions)));
    let state = session.state();
    let statement = mainspring_lake::described(statement::parse(text)?);
    let explained = |error: Error| reader.explained(error);
    let plan = state.statement_to_plan(statement).await.map_err(|error| explained(error.into()))?;
    statement::check_plan(&plan)?;
    let placeholders = placeholders(&plan)?;
    let schema = match parameters {
        // values have types that placeholders may not
        Some(parameters) => {
            let values = parameters.values(&placeholders, 0)?;
            plan.clone().with_param_values(values)?.schema().as_arrow().clone()
        }
        None => plan.schema().as_arrow().clone(),
    };
    let pins = reader.pins.lock().clone();
    Ok(Planned { schema: plain_schema(&schema), plan, state, reader, placeholders, pins })
}

/// Runs a plan for each row of parameters, and sends what comes until it ends, fails or is not wanted any more.
async fn send_all(
    planned: &Planned,
    parameters: Option<&Parameters>,
    (most, rule): (u64, String),
    send: &mpsc::Sender<RecordBatch>,
    ending: &Ending,
) -> Result<()> {
    let mut rows = 0_u64;
    for time in 0..parameters.map_or(1, Parameters::times) {
        let plan = match parameters {
            Some(parameters) => {
                planned.plan.clone().with_param_values(parameters.values(&planned.placeholders, time)?)?
            }
            None => planned.plan.clone(),
        };
        let frame = DataFrame::new(planned.state.clone(), plan);
        let context = Arc::new(frame.task_ctx());
        let mut batches = execute_stream(giving_way(frame.create_physical_plan().await?, ending)?, context)?;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            rows = rows.saturating_add(batch.num_rows() as u64);
            if rows > most {
                return Err(Error::TooManyRows { most, principal: planned.reader.principal.clone(), rule });
            }
            if send.send(plain_batch(&batch, &planned.schema)?).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The place of a query among those under way; given back when it is dropped.
struct Place {
    queries: Queries,
    id: QueryId,
    principal: Principal,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut under_way = self.queries.0.under_way.lock();
        under_way.by_id.remove(&self.id);
        if let Some(own) = under_way.by_principal.get_mut(&self.principal) {
            *own -= 1;
            if *own == 0 {
                under_way.by_principal.remove(&self.principal);
            }
        }
    }
}

/// The result of a query as it comes. Dropping it ends the query.
pub struct Rows {
    /// The columns of every batch.
    pub schema: SchemaRef,
    batches: mpsc::Receiver<RecordBatch>,
    task: JoinSet<Result<()>>,
    cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
    is_over: bool,
    /// Dropping the rows cancels the query, also where it does not give way.
    _until_dropped: DropGuard,
    _place: Place,
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl Stream for Rows {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        // the reader hears of it at once, however long the task takes to notice
        if self.cancelled.as_mut().poll(context).is_ready() {
            self.is_over = true;
            self.task.abort_all();
            return Poll::Ready(Some(Err(Error::Cancelled)));
        }
        if let Some(batch) = ready!(self.batches.poll_recv(context)) {
            return Poll::Ready(Some(Ok(batch)));
        }
        // no batch is left, and only the task knows whether that is the end of the result
        Poll::Ready(match ready!(self.task.poll_join_next(context)) {
            None | Some(Ok(Ok(()))) => None,
            Some(Ok(Err(error))) => Some(Err(error)),
            Some(Err(error)) => Some(Err(Error::Broken(error.to_string()))),
        })
    }
}
