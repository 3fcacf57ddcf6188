//! Who asks: keys, and the person at the machine.

mod attempts;
mod authenticate;
mod key;
mod store;
#[cfg(test)]
mod tests;

pub use authenticate::{Identity, Unauthenticated, presented_key};
pub use key::{ApiKey, CreatedKey, NewKey, Secret};
