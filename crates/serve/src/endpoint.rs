//! An endpoint, and the way of a prediction through it.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use mainspring_catalog::Principal;
use mainspring_spec as spec;
use serde::Serialize;

use crate::admission::{Admission, Permit};
use crate::answer::Answer;
use crate::deployed::{Deployed, Live};
use crate::identifier::identifiers;
use crate::latencies::Quantiles;
use crate::log::{Entry, LogQueue, Pushed};
use crate::metrics::EndpointMetrics;
use crate::spent::{Spending, Spent};
use crate::work::{Worked, work};
use crate::{Error, ErrorKind, Given, Question};

/// The most rows of fields whose features are looked up, or of values that are encoded, on the thread that accepted the
/// request: 100 trees over 64 rows take some 50 µs with it, about what moving to another thread and back costs at its worst.
const ROWS_IN_PLACE: usize = 64;
/// The longest that rows of numbers may take there, in [steps](mainspring_kernel::Scorer::steps_per_row): 1,024 rows of 100
/// trees take less than half a millisecond, less than their JSON took to read.
const STEPS_IN_PLACE: usize = 1 << 17;

/// A stable name under which predictions are answered.
pub struct Endpoint {
    name: String,
    declared: ArcSwap<spec::Endpoint>,
    deployed: ArcSwap<Deployed>,
    admission: Admission,
    log: LogQueue,
    metrics: EndpointMetrics,
    latency: Quantiles,
    spending: Spending,
}

/// Figures of an endpoint since the process started.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct EndpointStatus {
    /// The endpoint.
    pub endpoint: String,
    /// What it answers, in a sentence.
    pub description: String,
    /// Its model.
    pub model: String,
    /// The alias that picks the version.
    pub alias: String,
    /// The version that answers.
    pub version: Option<u64>,
    /// Requests answered, degraded ones among them.
    pub answered: u64,
    /// Requests answered without features that could not be read, or by the fallback.
    pub degraded: u64,
    /// Requests refused because too many were inside.
    pub refused: u64,
    /// Requests that were not understood.
    pub invalid: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Rows predicted.
    pub rows: u64,
    /// Half of the answered requests took at most this, in microseconds.
    pub latency_p50_us: u64,
    /// 99 of 100 answered requests took at most this, in microseconds.
    pub latency_p99_us: u64,
    /// Requests being answered.
    pub inside: u32,
    /// Predictions waiting to be logged.
    pub log_waiting: usize,
    /// Predictions logged.
    pub log_written: u64,
    /// Predictions that were not logged.
    pub log_shed: u64,
    /// Where the time went.
    pub spent: Spent,
}

impl Endpoint {
    pub(crate) fn new(
        declared: spec::Endpoint,
        deployed: Deployed,
        log: LogQueue,
        metrics: EndpointMetrics,
    ) -> Result<Self, Error> {
        let latency =
            Quantiles::new().map_err(|error| Error::Internal(format!("no histogram of latencies: {error:?}")))?;
        Ok(Self {
            name: declared.name.clone(),
            declared: ArcSwap::from_pointee(declared),
            deployed: ArcSwap::from_pointee(deployed),
            admission: Admission::default(),
            log,
            metrics,
            latency,
            spending: Spending::default(),
        })
    }

    /// The endpoint's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it is declared now.
    #[must_use]
    pub fn declared(&self) -> Arc<spec::Endpoint> {
        self.declared.load_full()
    }

    /// What stands behind it now.
    #[must_use]
    pub fn deployed(&self) -> Arc<Deployed> {
        self.deployed.load_full()
    }

    pub(crate) fn declare(&self, declared: spec::Endpoint) {
        self.declared.store(Arc::new(declared));
    }

    /// Puts another state behind the endpoint; requests under way keep theirs.
    pub(crate) fn deploy(&self, deployed: Deployed) -> Arc<Deployed> {
        self.deployed.swap(Arc::new(deployed))
    }

    /// Answers a question. `parse` makes it from a protocol's bytes, given what is deployed and the bound on rows.
    ///
    /// # Errors
    /// See [`Error::kind`]. A degraded answer is no error.
    pub async fn answer<P>(&self, caller: &Principal, parse: P) -> Result<Answer, Error>
    where
        P: FnOnce(&Deployed, u32) -> Result<Question, Error>,
    {
        let started = Instant::now();
        let outcome = self.try_answer(started, caller, parse).await;
        self.count(started, &outcome);
        outcome
    }

    async fn try_answer<P>(&self, started: Instant, caller: &Principal, parse: P) -> Result<Answer, Error>
    where
        P: FnOnce(&Deployed, u32) -> Result<Question, Error>,
    {
        let declared = self.declared.load();
        let limits = &declared.limits;
        let deployed = self.deployed.load_full();

        // Admit.
        let permit = self.admission.enter(limits.concurrency);
        let permit =
            permit.ok_or_else(|| Error::Overloaded { endpoint: self.name.clone(), most: limits.concurrency })?;

        // Without a version there may be no plan either, and then no request is the right one.
        if deployed.live.is_none() && declared.fallback.constant.is_none() {
            return Err(self.nothing_live(&declared));
        }

        // Parse.
        let question = Arc::new(parse(&deployed, limits.rows)?);
        if question.rows > limits.rows as usize {
            return Err(Error::TooManyRows { endpoint: self.name.clone(), most: limits.rows });
        }
        let parsed = Instant::now();
        self.metrics.parse.observe(parsed - started);

        // Features and scores, or the fallback.
        let now = Timestamp::now();
        let predicted_at = now.as_microsecond();
        let as_of = question.as_of.unwrap_or(predicted_at);
        let deadline = started + limits.timeout.as_std();
        let worked = self.work(&declared, &deployed, &question, as_of, deadline, permit).await;
        let (worked, is_fallback) = match (worked, declared.fallback.constant) {
            (Ok(worked), _) => (worked, false),
            (Err(error), Some(constant)) => {
                tracing::debug!(endpoint = %self.name, %error, "answered by the fallback");
                (Worked { scores: vec![constant; question.rows], ..Worked::default() }, true)
            }
            (Err(error), None) => return Err(error),
        };
        if let Some(reason) = &worked.without_features {
            tracing::warn!(endpoint = %self.name, %reason, "answered without features");
        }
        self.metrics.features.observe(worked.features_took);
        self.metrics.score.observe(worked.score_took);
        self.metrics.misses.inc_by(worked.misses);

        // Answer.
        let answering = Instant::now();
        self.spending.worked(answering - parsed);
        self.spending.answered_at(now);
        let answer = Answer {
            deployed,
            degraded: is_fallback || worked.without_features.is_some(),
            ids: identifiers(predicted_at, question.rows),
            scores: worked.scores,
            is_fallback,
        };
        self.metrics.rows.inc_by(question.rows as u64);

        // Log.
        if declared.log.enabled {
            let entry = Entry {
                deployed: &answer.deployed,
                question,
                ids: &answer.ids,
                features: worked.features,
                scores: &answer.scores,
                is_fallback,
                degraded: answer.degraded,
                predicted_at,
                as_of,
                caller,
                latency_us: micros(started.elapsed()).cast_signed(),
            };
            if self.log.push(entry, declared.log.queue as usize) == Pushed::Shed {
                tracing::debug!(endpoint = %self.name, "the prediction log is full");
            }
        }
        self.metrics.answer.observe(answering.elapsed());
        Ok(answer)
    }

    /// Computes here what is short, and elsewhere, within the deadline, what may be long. Work that is given up keeps its
    /// permit until it ends, so that a store that hangs cannot fill the process with it.
    async fn work(
        &self,
        declared: &spec::Endpoint,
        deployed: &Arc<Deployed>,
        question: &Arc<Question>,
        as_of: i64,
        deadline: Instant,
        permit: Permit,
    ) -> Result<Worked, Error> {
        let Some(live) = &deployed.live else { return Err(self.nothing_live(declared)) };
        let late = || Error::TimedOut { endpoint: self.name.clone(), timeout: declared.limits.timeout.as_std() };
        let may_miss = declared.fallback.missing_features;
        if is_short(live, question) {
            let worked = work(&self.name, &deployed.plan, live, question, as_of, may_miss)?;
            return if Instant::now() <= deadline { Ok(worked) } else { Err(late()) };
        }
        let (name, deployed, question) = (self.name.clone(), Arc::clone(deployed), Arc::clone(question));
        let elsewhere = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            match &deployed.live {
                Some(live) => work(&name, &deployed.plan, live, &question, as_of, may_miss),
                None => Err(Error::Internal("the version went away".into())),
            }
        });
        match within(deadline, elsewhere).await {
            Some(Ok(worked)) => worked,
            Some(Err(panicked)) => Err(Error::Internal(panicked.to_string())),
            None => Err(late()),
        }
    }

    fn nothing_live(&self, declared: &spec::Endpoint) -> Error {
        Error::NothingLive { endpoint: self.name.clone(), model: declared.model.clone(), alias: declared.alias.clone() }
    }

    fn count(&self, started: Instant, outcome: &Result<Answer, Error>) {
        let took = started.elapsed();
        match outcome {
            Ok(answer) => {
                let outcome = if answer.degraded { &self.metrics.degraded } else { &self.metrics.answered };
                outcome.inc();
                self.metrics.total.observe(took);
                self.latency.record(took);
            }
            Err(error) => {
                self.spending.failed(took);
                match error.kind() {
                    ErrorKind::Overloaded => drop(self.metrics.refused.inc()),
                    ErrorKind::Invalid | ErrorKind::TooLarge | ErrorKind::NotFound => drop(self.metrics.invalid.inc()),
                    ErrorKind::Unavailable | ErrorKind::TimedOut | ErrorKind::Internal => {
                        self.metrics.failed.inc();
                    }
                }
            }
        }
    }

    /// Waits until all that was answered before is logged.
    pub async fn flush(&self) {
        self.log.flush().await;
    }

    /// The figures so far.
    #[must_use]
    pub fn status(&self) -> EndpointStatus {
        use std::sync::atomic::Ordering::Relaxed;
        let declared = self.declared.load();
        let counts = &self.log.counts;
        let [p50, p99] = self.latency.at_most([0.5, 0.99]);
        EndpointStatus {
            endpoint: self.name.clone(),
            description: declared.description.clone(),
            model: declared.model.clone(),
            alias: declared.alias.clone(),
            version: self.deployed.load().version(),
            answered: self.metrics.answered.get() + self.metrics.degraded.get(),
            degraded: self.metrics.degraded.get(),
            refused: self.metrics.refused.get(),
            invalid: self.metrics.invalid.get(),
            failed: self.metrics.failed.get(),
            rows: self.metrics.rows.get(),
            latency_p50_us: p50,
            latency_p99_us: p99,
            inside: self.admission.inside(),
            log_waiting: counts.waiting.load(Relaxed),
            log_written: counts.written.load(Relaxed),
            log_shed: counts.shed.load(Relaxed),
            spent: self.spending.so_far(&self.metrics),
        }
    }

    /// Brings the sampled metrics up to date.
    pub(crate) fn sample(&self) {
        let status = self.status();
        self.metrics.sample(status.inside, status.log_waiting, status.log_written, status.log_shed);
    }
}

/// Whether a question is answered sooner than another thread could take it over.
fn is_short(live: &Live, question: &Question) -> bool {
    match &question.given {
        Given::Numbers(_) => question.rows.saturating_mul(live.scorer.steps_per_row()) <= STEPS_IN_PLACE,
        Given::Inputs(_) => question.rows <= ROWS_IN_PLACE,
        Given::Fields(_) => {
            question.rows <= ROWS_IN_PLACE && !live.lookup.as_ref().is_some_and(|lookup| lookup.may_wait())
        }
    }
}

async fn within<F: Future>(deadline: Instant, future: F) -> Option<F::Output> {
    tokio::time::timeout_at(deadline.into(), future).await.ok()
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
