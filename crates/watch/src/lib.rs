//! Watches what an endpoint is asked and answers.
//!
//! Comes in: the prediction log, the training set of the version that answered, labels as they become known.
//! Goes out: a [`WindowReport`] for each monitor, calendar window and model version, and alerts that open when a bound
//! breaks and resolve when it holds again.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests stop at the first surprise")
)]

pub mod drift;
