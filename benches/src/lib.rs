//! What benchmarks share.

pub mod load;
