//! Rows that clients push: online at once, in the lake soon after, and the same in both.
//!
//! A push goes into the tables of sources. Before it is acknowledged, two things are in the online store, written in one
//! step and synced: the rows as they came ([`log`]), and for each view over them the rows of its timeline ([`live`]), computed
//! by the view's own base query over the pushed rows alone ([`query`]). Behind, [`land`] brings the rows as they came into
//! the lake's tables, each once, from which views are computed anew like from any other; their row ids do not depend on the
//! way, so what is materialised later lands on the same places.
//!
//! The arithmetic: a push is one planned query of a few rows a view (some 50 µs), one batch of the store and one sync (1 to
//! 5 ms), which pushes at the same time share. Landing is one commit of the lake for all that has come since the last.

mod land;
mod live;
mod log;
mod query;
mod table;
mod take;

pub(crate) use live::LiveViews;
pub use take::{PUSH_ROWS_MAX, Push, PushReport, PushTo};

/// Whose turn it is to write to an online store. A store has one of these, whichever projects are served from it.
#[derive(Default)]
pub struct Turns {
    /// Held while a view is materialised.
    pub(crate) writing: tokio::sync::Mutex<()>,
    /// Held while pushed rows are numbered, written and made visible, which gives pushes their order. Taken after
    /// `writing` where both are needed.
    pub(crate) taking: tokio::sync::Mutex<()>,
    /// Held while pushed rows land in the lake. Taken last.
    landing: tokio::sync::Mutex<()>,
    syncs: log::Syncs,
    /// Rows that wait to land, by source; what waited when the process began counts once it is looked at.
    waiting: parking_lot::Mutex<std::collections::HashMap<String, u64>>,
}
