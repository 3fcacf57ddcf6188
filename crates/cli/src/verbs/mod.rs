//! The verbs, each a few lines over one layer.

mod deploy;
mod import;
mod people;
mod project;
mod serve;
mod work;

pub use deploy::{deploy, register, undeploy};
pub use import::import;
pub use people::{audit, key, promote, rollback, versions};
pub use project::{apply, commit, config, init, plan, schema, validate};
pub use serve::{Running, StopAsked, serve, start};
pub use work::{check, features, labels, maintain, monitor, open_online, query, run};

use mainspring_catalog::Principal;

/// Who works at this terminal: the local owner.
pub fn principal() -> Principal {
    Principal::local_owner()
}
