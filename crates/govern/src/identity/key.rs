//! A key: made at random, shown once, kept as a hash.

use jiff::Timestamp;
use mainspring_catalog::{Document, Principal, PrincipalKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Error, Result, Role};

/// How every key starts, so that a scanner for leaked secrets knows one when it sees it.
const PREFIX: &str = "ms";
/// 64 bits tell keys apart.
const ID_BYTES: usize = 8;
/// 256 bits cannot be guessed, so a plain SHA-256 keeps them: a slow hash is for what people make up.
const SECRET_BYTES: usize = 32;
const DOMAIN: &[u8] = b"mainspring.key.v1\0";
/// The longest name of a key.
const MAX_NAME_BYTES: usize = 64;

/// A key as the catalog keeps it. Revoked ones stay, so that the audit log can be read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ApiKey {
    /// The name, which is also that of the principal who comes with it.
    pub name: String,
    /// Whether a person or a program comes with it.
    pub kind: PrincipalKind,
    /// What it is trusted with.
    pub roles: Vec<Role>,
    /// The public part of the key.
    pub key_id: String,
    /// The SHA-256 of the whole key, in hexadecimal.
    pub hash: String,
    /// Who made it.
    pub created_by: Principal,
    /// When it stops working.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub revoked_at: Option<Timestamp>,
}

impl ApiKey {
    /// Who comes with the key.
    #[must_use]
    pub fn principal(&self) -> Principal {
        Principal { kind: self.kind, name: self.name.clone() }
    }

    /// Whether it works at a moment.
    #[must_use]
    pub fn is_live(&self, at: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| at < end)
    }
}

impl Document for ApiKey {
    const KIND: &'static str = "api_key";

    fn id(&self) -> String {
        self.name.clone()
    }
}

/// The key that somebody asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct NewKey {
    /// Letters, digits and `._@-`; unique among all principals.
    pub name: String,
    /// [`PrincipalKind::User`] or [`PrincipalKind::Service`].
    pub kind: PrincipalKind,
    /// What it is trusted with; at least one.
    pub roles: Vec<Role>,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
}

impl NewKey {
    /// A key without end for a program.
    #[must_use]
    pub fn service(name: impl Into<String>, role: Role) -> Self {
        Self { name: name.into(), kind: PrincipalKind::Service, roles: vec![role], expires_at: None }
    }

    /// A key without end for a person.
    #[must_use]
    pub fn user(name: impl Into<String>, role: Role) -> Self {
        Self { kind: PrincipalKind::User, ..Self::service(name, role) }
    }

    pub(super) fn validate(&self, now: Timestamp) -> Result<()> {
        let refuse =
            |rule: &str, mend: &str| Err(Error::Key { name: self.name.clone(), rule: rule.into(), mend: mend.into() });
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._@-".contains(c);
        if self.name.is_empty() || self.name.len() > MAX_NAME_BYTES || !self.name.chars().all(is_plain) {
            return refuse("its name is not 1 to 64 letters, digits and `._@-`", "choose another name");
        }
        if self.name == Principal::local_owner().name {
            return refuse("`local` is the person at the machine", "choose another name");
        }
        if self.kind == PrincipalKind::System {
            return refuse("parts of mainspring need none", "make it for a user or a service");
        }
        if self.roles.is_empty() {
            return refuse("it has no role", "give it one of caller, viewer, editor, admin and owner");
        }
        if self.expires_at.is_some_and(|end| end <= now) {
            return refuse("it would have expired already", "choose a later end");
        }
        Ok(())
    }
}

/// A key that was just made: the only time that its secret is seen.
#[derive(Debug)]
pub struct CreatedKey {
    /// What the catalog keeps.
    pub record: ApiKey,
    /// What its holder sends as `Authorization: Bearer ...`.
    pub secret: Secret,
}

/// A text that does not show itself in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Makes a key at random.
    pub(super) fn random() -> Result<Self> {
        let mut bytes = [0; ID_BYTES + SECRET_BYTES];
        getrandom::fill(&mut bytes).map_err(|error| Error::Random { reason: error.to_string() })?;
        let (id, secret) = bytes.split_at(ID_BYTES);
        Ok(Self(format!("{PREFIX}_{}_{}", hex::encode(id), hex::encode(secret))))
    }

    /// The public part, if the text has the shape of a key.
    pub(super) fn key_id(text: &str) -> Option<&str> {
        let rest = text.strip_prefix(PREFIX)?.strip_prefix('_')?;
        let (id, secret) = rest.split_once('_')?;
        (id.len() == 2 * ID_BYTES && secret.len() == 2 * SECRET_BYTES).then_some(id)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// The hash under which a key is kept.
pub(super) fn hash(key: &str) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(DOMAIN);
    hasher.update(key.as_bytes());
    hasher.finalize().into()
}
