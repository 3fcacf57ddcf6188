//! Who asks, what they may do, and what is known of persons.
//!
//! A request comes in with or without a key; [`Identity`] turns it into a [`Principal`]. Before anything is done for
//! it, [`Authorizer::check`] asks the project's Cedar policies, the same over every face. What was done is in the
//! audit log of the catalog.
//!
//! - Nothing is permitted that no policy permits, and an action or resource that the schema does not know is denied.
//! - Over loopback without credentials one is the local owner. On any other address the server does not start without
//!   a key ([`check_bind`]), and a browser that was tricked into asking a local address is refused
//!   ([`AllowedHosts`]).
//! - Keys are shown once and kept as hashes. What the server must know again itself is kept sealed, if it is given a key
//!   for that ([`Vault`]).
//! - A column that is marked `personal` at its source stays marked in every view, training set and prediction log
//!   made from it ([`PrivacyMarks`]). Where no declaration is left that could mark, everything counts as marked.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests stop at the first surprise")
)]

mod access;
mod error;
mod identity;
mod network;
mod outbound;
mod privacy;
mod vault;

pub use access::{ACTIONS, Authorizer, Denied, Resource, Role, Roles, default_policy};
pub use error::{Error, PolicyProblem};
pub use identity::{ApiKey, CreatedKey, Identity, NewKey, Secret, Unauthenticated, presented_key};
pub use mainspring_catalog::{Principal, PrincipalKind};
pub use network::{AllowedHosts, ForbiddenHost, RefusedBind, check_bind};
pub use outbound::{ForbiddenDestination, Reach, is_public, resolve};
pub use privacy::{
    ColumnLineage, ColumnSource, Marked, PrivacyMarks, columns_of_model, columns_of_source, columns_of_view,
};
pub use vault::{KeptSecret, SECRETS_KEY, Vault, VaultError};

/// The result of an operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
