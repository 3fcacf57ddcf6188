//! The model artifact and the code that scores it.
//!
//! Training ends in a [`ModelArtifact`]: the model as data, with the way its inputs become numbers. It is written as
//! canonical JSON, so the same model is the same bytes and has the same hash. Reading it back checks every bound and
//! every reference, so hostile bytes end in an [`Error`], never in a panic, a loop or an unbounded allocation; nothing in
//! an artifact is ever executed.
//!
//! [`Scorer::compile`] turns an artifact into flat arrays. Evaluation after training and answering requests both call the
//! same scorer, with one row or with many, and get the same bits: what was evaluated is what is served.
//!
//! What comes in: typed [`Value`]s by input, or an Arrow record batch. What goes out: for each row the probability of
//! true, a probability for each class, or a number.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests stop at the first surprise")
)]

mod artifact;
mod encode;
mod error;
pub mod import;
mod score;

pub use artifact::{
    ARTIFACT_BYTES_MAX, ARTIFACT_FORMAT, Body, Encoding, Input, Less, LinearModel, Link, ModelArtifact, Node,
    Precision, Tree, TreeEnsemble,
};
pub use encode::{EXACT_BELOW, Encoder, Matrix, Value};
pub use error::Error;
pub use score::Scorer;
