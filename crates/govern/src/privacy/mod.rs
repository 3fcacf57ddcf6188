//! Which columns tell of persons, from the source through everything made from it.

mod marks;
mod query;

pub use marks::PrivacyMarks;
