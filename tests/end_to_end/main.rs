//! End to end: the real binary in a temporary folder, driven as a user or a client would.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests stop at the first surprise")]

mod harness;
