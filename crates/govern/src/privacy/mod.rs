//! Which columns tell of persons, from the source through everything made from it.

mod made_from;
mod marked;
mod marks;
mod query;

pub use made_from::{ColumnLineage, ColumnSource, columns_of_model, columns_of_source, columns_of_view};
pub use marked::Marked;
pub use marks::PrivacyMarks;
