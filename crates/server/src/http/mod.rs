//! What every request passes on its way in and out: who asks, from where, and what an error looks like.

mod assets;
mod denials;
mod encoding;
mod guard;
mod problem;

pub use assets::{asset, icon};
pub(crate) use denials::DeniedPredictions;
pub(crate) use encoding::{Encoding, Undecoded};
pub use guard::Caller;
pub(crate) use guard::{admit, secured};
pub use problem::Problem;
pub(crate) use problem::challenged;
