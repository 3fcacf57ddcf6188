//! Keys of rows, and sets of them.

mod flat;
mod key;
mod set;

pub use key::{Key, KeyHash, Keys};
pub use set::KeySet;
