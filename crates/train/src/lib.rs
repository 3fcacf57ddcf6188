//! From observations to a registered model version.
//!
//! [`train`] asks the lake for a model's observations at pinned table versions, joins them with features as they were known
//! at each observation's moment, parts them into training, validation and test, and writes all that to the table
//! `training.<model>`. It reads that version back, encodes it with the kernel's own encoder, fits the declared trainer,
//! evaluates the result through the kernel's scorer on rows it has not learned from, and registers the version with its
//! run, metrics and lineage. What was measured is what will be served.
//!
//! Three promises. **Nothing from the future**: words and means come from training rows alone, features from what was known
//! at the moment of the observation, and when split by time a label that became known after the test began is not learned
//! from. **The same in gives the same out**: rows are put into an order of their own before anything is summed, so neither
//! threads nor the order of files change a byte of the model. **The metrics are shared**: [`evaluate`] is what monitoring
//! uses on the prediction log.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests stop at the first surprise")
)]

mod commit;
mod dataset;
mod dry_run;
mod error;
pub mod evaluate;
mod fit;
mod frame;
#[cfg(test)]
mod tests;
mod train;
mod trainer;

pub use dataset::{AT_COLUMN, LABEL_COLUMN, LABEL_KNOWN_AT_COLUMN, ROW_COLUMN, SPLIT_COLUMN};
pub use dry_run::dry_run;
pub use error::{Error, Result};
pub use train::{Promotion, TrainContext, TrainOptions, TrainReport, train};
