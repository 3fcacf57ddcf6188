//! OpenLineage 2-0-2: what this system tells others of its runs, and what others tell it.
//!
//! Out: with each change of a task's state goes an [event] of what it reads and writes into the [outbox], in the same
//! transaction of the catalog; so an event is neither lost when the process is killed, nor told of something that did
//! not happen. The [courier] takes events out, in order, to a URL or a file, and removes them once they were taken: each
//! arrives at least once. The outbox is bounded: when nobody takes events for long, the newest are left out and counted.
//!
//! In: an [observed](Observed) event becomes edges of the catalog's lineage graph, between the same nodes as our own
//! where it speaks of our tables and files.
//!
//! Source: <https://openlineage.io/spec/2-0-2/OpenLineage.json> and the facets beside it.

mod courier;
mod event;
mod facet;
mod metrics;
mod names;
mod observed;
mod outbox;
mod reported;
mod reporter;
#[cfg(test)]
mod tests;

pub use courier::{Courier, Destination};
pub use event::{Dataset, Datasets};
pub use metrics::LineageMetrics;
pub use observed::{Accepted, Observed, ObservedDataset, accept, identifier};
pub use reporter::Reporter;

pub(crate) use outbox::Queued;
pub(crate) use reported::datasets;
pub(crate) use reporter::{Moment, Told};
