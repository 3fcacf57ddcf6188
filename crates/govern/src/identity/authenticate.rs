//! From a request's credentials to a principal. No database is asked: the keys are in memory.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, Engine};
use jiff::Timestamp;
use mainspring_catalog::{Catalog, Principal};
use subtle::ConstantTimeEq;

use super::attempts::Attempts;
use super::key::{Secret, hash};
use crate::{Result, Role, Roles};

/// Base64 of Basic credentials; the Flight clients in Go leave the padding away.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// The longest `Authorization` header that is looked at.
const MAX_HEADER_BYTES: usize = 4_096;

/// Why it is not known who asks. Words that are safe to send: they do not tell which part of a key was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unauthenticated {
    /// There are no credentials, and they are needed.
    #[error("credentials are needed here; send `Authorization: Bearer KEY`")]
    Missing,
    /// The header is of another kind.
    #[error("the Authorization header is not understood; send `Authorization: Bearer KEY`")]
    Malformed,
    /// The key is unknown, revoked or expired.
    #[error("the key is not valid; it may be mistyped, revoked or expired")]
    Wrong,
    /// Too many wrong keys came from the same address.
    #[error("too many wrong keys came from this address; try again in {retry_after_seconds} seconds")]
    TooManyAttempts {
        /// When to try again.
        retry_after_seconds: u64,
    },
}

pub(super) struct LiveKey {
    pub(super) hash: [u8; 32],
    pub(super) principal: Principal,
    pub(super) expires_at: Option<Timestamp>,
}

/// Knows who asks. Clones share the keys.
#[derive(Clone)]
pub struct Identity {
    catalog: Catalog,
    keys: Arc<ArcSwap<HashMap<String, LiveKey>>>,
    roles: Roles,
    attempts: Arc<Attempts>,
    loopback_is_owner: bool,
}

impl Identity {
    /// Reads the keys from the catalog. Whoever comes over loopback without credentials is the local owner, unless
    /// [`Self::requiring_keys`].
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn open(catalog: Catalog) -> Result<Self> {
        let identity = Self {
            catalog,
            keys: Arc::default(),
            roles: Roles::default(),
            attempts: Arc::default(),
            loopback_is_owner: true,
        };
        identity.refresh().await?;
        Ok(identity)
    }

    /// Asks for a key also over loopback. For a server behind a proxy on the same machine: all that comes through it
    /// comes from loopback.
    #[must_use]
    pub fn requiring_keys(mut self) -> Self {
        self.loopback_is_owner = false;
        self
    }

    /// Says who asks, by the `Authorization` header and the address of the other end.
    ///
    /// Credentials that are wrong are refused wherever they come from: nobody becomes the local owner by mistyping.
    /// An address that sent too many wrong keys hears so instead of having more of them looked at; a right key works
    /// from there all the same, since a whole company may come from one address.
    ///
    /// # Errors
    /// [`Unauthenticated`]: a 401, or a 429 for [`Unauthenticated::TooManyAttempts`].
    pub fn authenticate(&self, authorization: Option<&str>, peer: IpAddr) -> Result<Principal, Unauthenticated> {
        let Some(header) = authorization else {
            let at_the_machine = peer.to_canonical().is_loopback() && self.loopback_is_owner;
            return if at_the_machine { Ok(Principal::local_owner()) } else { Err(Unauthenticated::Missing) };
        };
        let key = presented_key(header).ok_or(Unauthenticated::Malformed)?;
        match self.holder(&key, Timestamp::now()) {
            Some(principal) => Ok(principal),
            None => Err(match self.attempts.wrong(peer, Instant::now()) {
                Some(wait) => Unauthenticated::TooManyAttempts { retry_after_seconds: wait.as_secs().max(1) },
                None => Unauthenticated::Wrong,
            }),
        }
    }

    /// Whether any key works, so that [`check_bind`](crate::check_bind) may let the server be reached from elsewhere.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        let now = Timestamp::now();
        self.keys.load().values().any(|key| key.is_live(now))
    }

    /// Who holds which roles, for [`Authorizer::with_roles`](crate::Authorizer::with_roles).
    #[must_use]
    pub fn roles(&self) -> Roles {
        self.roles.clone()
    }

    fn holder(&self, key: &str, now: Timestamp) -> Option<Principal> {
        let keys = self.keys.load();
        let known = keys.get(Secret::key_id(key)?);
        // An unknown key costs the same as a wrong one; which ids exist is not told by time.
        let kept = known.map_or([0; 32], |known| known.hash);
        let matches = bool::from(hash(key).ct_eq(&kept));
        known.filter(|known| matches && known.is_live(now)).map(|known| known.principal.clone())
    }

    pub(super) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    pub(super) fn know(&self, keys: HashMap<String, LiveKey>, members: Vec<(Principal, Vec<Role>)>) {
        self.roles.assign(members);
        self.keys.store(Arc::new(keys));
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("keys", &self.keys.load().len()).finish_non_exhaustive()
    }
}

impl LiveKey {
    fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

/// The key in a header: the token of `Bearer` (RFC 6750), or the password of `Basic` (RFC 7617), for clients that know
/// nothing but a user and a password. The user's name counts for nothing: a key names its holder. The scheme's case does
/// not matter.
#[must_use]
pub fn presented_key(header: &str) -> Option<Cow<'_, str>> {
    if header.len() > MAX_HEADER_BYTES {
        return None;
    }
    let (scheme, token) = header.trim().split_once(' ')?;
    let token = token.trim();
    if token.is_empty() {
        return None;
    }
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(token.into());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(BASE64.decode(token).ok()?).ok()?;
    let (_, password) = pair.split_once(':')?;
    (!password.is_empty()).then(|| password.to_owned().into())
}
