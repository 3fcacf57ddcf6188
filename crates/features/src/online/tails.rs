//! Tails in memory: what the reader sees of the store, bounded in bytes.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use mainspring_spec::DataType;
use parking_lot::RwLock;
use quick_cache::{Weighter, sync::Cache};
use serde::{Deserialize, Serialize};

use super::codec;
use super::store::{OnlineChange, OnlineStore};
use crate::error::{Error, Result};
use crate::fold::{Fold, Tail};
use crate::schema::ViewSchema;

/// How far a view is materialised. Kept in the store as a note, written in one step with the last rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnlineState {
    /// Which of the view's spaces is read.
    pub generation: u64,
    /// The declaration that the rows were made by.
    pub fingerprint: String,
    /// The version of the view's table that the rows come from. `None`: only pushed rows are there so far.
    pub version: Option<u64>,
    /// Rows known by then are there, in microseconds. `None`: all.
    pub until: Option<i64>,
    /// From this moment on answers are exact; rows that only earlier ones need may be gone.
    pub exact_from: i64,
    /// How long before [`Self::exact_from`] rows of a windowed view may have happened to be there, in microseconds: its
    /// longest window when rows were last chosen. 0 where it was not noted, so that any window is longer.
    #[serde(default)]
    pub reach: i64,
    /// The latest event time among the rows.
    pub latest_event_time: Option<i64>,
    /// The latest time at which a row became known.
    pub latest_known_at: Option<i64>,
    /// When it was materialised, in microseconds.
    pub materialized_at: i64,
}

impl OnlineState {
    pub(super) fn space(&self, view: &str) -> String {
        space(view, self.generation)
    }

    /// Rows of a windowed view that happened after this moment are there; earlier ones may be gone.
    pub(crate) const fn kept_after(&self) -> i64 {
        self.exact_from.saturating_sub(self.reach)
    }

    /// From this moment on the answers of a fold are exact: of the latest row from [`Self::exact_from`], of windows from
    /// when all rows that the longest one counts are there.
    pub(crate) fn exact_since(&self, fold: &Fold) -> i64 {
        match fold {
            Fold::Latest(_) => self.exact_from,
            Fold::Windows(fold) => self.kept_after().saturating_add(fold.longest()),
        }
    }
}

pub(crate) fn space(view: &str, generation: u64) -> String {
    format!("{view}#{generation}")
}

/// The online views of a project over one store, with one cache for all.
pub struct OnlineViews {
    store: Arc<dyn OnlineStore>,
    cache: Arc<TailCache>,
    views: RwLock<HashMap<String, Arc<ViewTails>>>,
    next_id: AtomicU32,
    /// Counts the views that were compiled anew, so that what was compiled over them is known to be outdated.
    compiled: AtomicU64,
}

type TailCache = Cache<Vec<u8>, Arc<Tail>, TailBytes>;

#[derive(Clone)]
struct TailBytes;

impl Weighter<Vec<u8>, Arc<Tail>> for TailBytes {
    fn weight(&self, key: &Vec<u8>, tail: &Arc<Tail>) -> u64 {
        (key.len() + tail.size_bytes()) as u64
    }
}

/// The tails of one view.
pub struct ViewTails {
    view: String,
    fingerprint: String,
    types: Vec<DataType>,
    id: u32,
    store: Arc<dyn OnlineStore>,
    cache: Arc<TailCache>,
    state: ArcSwapOption<OnlineState>,
    /// Counts changes of rows, so that a tail read before one is not cached after it.
    changes: AtomicU64,
    /// The last generation whose rows were taken away.
    cleared: AtomicU64,
}

impl OnlineViews {
    /// Serves the views of a store, keeping at most `cache_bytes` of tails in memory.
    #[must_use]
    pub fn new(store: Arc<dyn OnlineStore>, cache_bytes: u64) -> Self {
        let items = usize::try_from(cache_bytes / 1024).unwrap_or(usize::MAX).clamp(16, 1 << 20);
        let cache = Arc::new(Cache::with_weighter(items, cache_bytes, TailBytes));
        Self { store, cache, views: RwLock::default(), next_id: AtomicU32::new(0), compiled: AtomicU64::new(0) }
    }

    /// The tails of a view as it is compiled now.
    ///
    /// # Errors
    /// When the store fails.
    pub fn view(&self, schema: &ViewSchema) -> Result<Arc<ViewTails>> {
        let current = |tails: &Arc<ViewTails>| {
            tails.fingerprint == schema.fingerprint && tails.types.iter().copied().eq(schema.payload_types())
        };
        if let Some(tails) = self.views.read().get(&schema.view).filter(|tails| current(tails)) {
            return Ok(tails.clone());
        }
        let mut views = self.views.write();
        if let Some(tails) = views.get(&schema.view).filter(|tails| current(tails)) {
            return Ok(tails.clone());
        }
        let state = read_state(self.store.as_ref(), &schema.view)?;
        let tails = Arc::new(ViewTails {
            view: schema.view.clone(),
            fingerprint: schema.fingerprint.clone(),
            types: schema.payload_types().collect(),
            id: self.next_id.fetch_add(1, Ordering::Relaxed),
            store: self.store.clone(),
            cache: self.cache.clone(),
            state: ArcSwapOption::new(state.filter(|state| state.fingerprint == schema.fingerprint).map(Arc::new)),
            changes: AtomicU64::new(0),
            cleared: AtomicU64::new(0),
        });
        views.insert(schema.view.clone(), tails.clone());
        self.compiled.fetch_add(1, Ordering::SeqCst);
        Ok(tails)
    }

    /// Whether a view of this declaration is known to be online, be it without rows.
    pub(crate) fn has_begun(&self, view: &str, fingerprint: &str) -> bool {
        self.views
            .read()
            .get(view)
            .is_some_and(|tails| tails.fingerprint == fingerprint && tails.state.load().is_some())
    }

    /// Grows whenever a view is compiled anew.
    pub(crate) fn compiled(&self) -> u64 {
        self.compiled.load(Ordering::SeqCst)
    }

    pub(crate) fn store(&self) -> &dyn OnlineStore {
        self.store.as_ref()
    }

    /// How many bytes of tails are in memory.
    #[must_use]
    pub fn cached_bytes(&self) -> u64 {
        self.cache.weight()
    }
}

/// What the store says about a view, whichever declaration it was made by.
pub(crate) fn read_state(store: &dyn OnlineStore, view: &str) -> Result<Option<OnlineState>> {
    let Some(bytes) = store.note(view)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|_| Error::Damaged { view: view.to_owned(), what: "note" })
}

impl ViewTails {
    /// The view's name.
    pub(crate) fn name(&self) -> &str {
        &self.view
    }

    /// How far the view is materialised. `None`: not at all.
    #[must_use]
    pub fn state(&self) -> Option<Arc<OnlineState>> {
        self.state.load_full()
    }

    /// The rows of an entity, from memory or from the store. `scratch` is a buffer to be used again.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn tail(&self, state: &OnlineState, entity: &[u8], scratch: &mut Vec<u8>) -> Result<Arc<Tail>> {
        scratch.clear();
        scratch.extend(self.id.to_be_bytes());
        scratch.extend(state.generation.to_be_bytes());
        scratch.extend(entity);
        if let Some(tail) = self.cache.get(scratch.as_slice()) {
            return Ok(tail);
        }
        let changes = self.changes.load(Ordering::SeqCst);
        let tail = Arc::new(self.load(state, entity)?);
        self.cache.insert(scratch.clone(), tail.clone());
        // Rows may have been written since they were read here. The writer counts first and then forgets what is cached,
        // so either it forgets this tail or the count differs.
        if self.changes.load(Ordering::SeqCst) != changes {
            self.cache.remove(scratch.as_slice());
        }
        Ok(tail)
    }

    fn load(&self, state: &OnlineState, entity: &[u8]) -> Result<Tail> {
        let mut tail = Tail::new(self.types.iter().copied());
        let mut values = Vec::with_capacity(self.types.len());
        for row in self.store.tail(&state.space(&self.view), entity)? {
            codec::decode(&row.payload, &self.types, &mut values)
                .ok_or_else(|| Error::Damaged { view: self.view.clone(), what: "row" })?;
            tail.push(row.key.event_time, row.key.known_at, &values);
        }
        Ok(tail)
    }

    /// Writes rows of a generation; readers of that generation see them when [`Self::forget`] is called for their entities.
    pub(super) fn write(&self, generation: u64, changes: Vec<OnlineChange>) -> Result<()> {
        self.store.write(&space(&self.view, generation), changes, None)
    }

    /// Forgets what is cached of some entities.
    pub(crate) fn forget<'a>(&self, generation: u64, entities: impl Iterator<Item = &'a Vec<u8>>) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        let mut key = vec![];
        for entity in entities {
            key.clear();
            key.extend(self.id.to_be_bytes());
            key.extend(generation.to_be_bytes());
            key.extend(entity);
            self.cache.remove(key.as_slice());
        }
    }

    /// Makes a state the current one, durably, and then visible to readers.
    pub(crate) fn publish(&self, state: OnlineState) -> Result<()> {
        let note = serde_json::to_vec(&state).map_err(|error| Error::Online {
            doing: "writing how far a view is materialised",
            reason: error.to_string(),
        })?;
        self.store.write(&state.space(&self.view), vec![], Some((&self.view, &note)))?;
        self.store.persist()?;
        self.state.store(Some(Arc::new(state)));
        Ok(())
    }

    /// Takes away the rows of the generation before the present one. Not done when generations change, but before the next
    /// write: requests that began before the change may still be reading.
    pub(super) fn clear_former(&self) -> Result<()> {
        let Some(former) = self.state().map(|state| state.generation - 1).filter(|&former| former > 0) else {
            return Ok(());
        };
        if self.cleared.swap(former, Ordering::SeqCst) == former {
            return Ok(());
        }
        self.store.clear(&space(&self.view, former))
    }

    pub(super) fn store(&self) -> &dyn OnlineStore {
        self.store.as_ref()
    }
}
