//! The typed declarations. Each file is one kind of object; the YAML a user writes has exactly these keys.

mod endpoint;
mod feast;
mod feature;
mod monitor;
mod predictor;
mod project;
mod source;
mod types;
mod workflow;

pub use endpoint::*;
pub use feast::*;
pub use feature::*;
pub use monitor::*;
pub use predictor::*;
pub use project::*;
pub use source::*;
pub use types::*;
pub use workflow::*;
