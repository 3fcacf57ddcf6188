//! What every request passes on its way in and out: who asks, from where, and what an error looks like.

mod assets;
mod guard;
mod problem;

pub use assets::asset;
pub use guard::Caller;
pub(crate) use guard::{admit, secured};
pub use problem::Problem;
