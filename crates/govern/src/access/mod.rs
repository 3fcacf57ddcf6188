//! What a principal may do.

mod authorizer;
mod policies;
mod resource;
mod role;

pub use authorizer::{ACTIONS, Authorizer, Denied};
pub use policies::default_policy;
pub use resource::Resource;
pub use role::{Role, Roles};
