//! Secrets at rest: what the server itself must know again, kept so that a copy of the database does not tell it.
//!
//! Keys that clients come with are only compared, so their hashes are kept. A secret that deliveries are signed with is
//! needed itself: it is sealed with AES-256-GCM under a key that lies outside the database, with a nonce drawn at random
//! each time (NIST SP 800-38D, 8.2.2: good for 2^32 secrets a key), and bound to the thing that it is of, so that it opens
//! for no other. Sealed, it is written as `v1:` and, in base64, nonce (12 bytes), text, and tag (16 bytes).

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use base64::engine::{DecodePaddingMode, Engine};
use serde::{Deserialize, Serialize};

/// The variable of the environment that names the keys.
pub const SECRETS_KEY: &str = "MAINSPRING_SECRETS_KEY";
/// The most keys: each is tried in turn, and more than a few are never in rotation.
const KEYS_MAX: usize = 16;
/// The length of a key: that of AES-256.
const KEY_BYTES: usize = 32;
/// How the first form of sealed texts starts.
const FORM: &str = "v1:";
/// Base64 of keys, with or without its padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a secret is not kept or not known again. None of the words tells a key or a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// A key is none.
    #[error("key {number} of MAINSPRING_SECRETS_KEY is not 32 bytes, as 64 hexadecimal digits or in base64")]
    Key {
        /// Which one, from 1.
        number: usize,
    },
    /// There are too many keys.
    #[error("MAINSPRING_SECRETS_KEY has {count} keys, more than the {most} allowed", most = KEYS_MAX)]
    TooManyKeys {
        /// How many.
        count: usize,
    },
    /// A secret is sealed, and there is no key.
    #[error(
        "the secret of `{of}` is sealed, and MAINSPRING_SECRETS_KEY is not set; start the server with the key that sealed it, or set a new secret"
    )]
    NotSet {
        /// What it is of.
        of: String,
    },
    /// A secret was sealed with another key, for something else, or was altered.
    #[error(
        "the secret of `{of}` is opened by no key of MAINSPRING_SECRETS_KEY; add the key that sealed it, or set a new secret"
    )]
    NoKeyFits {
        /// What it is of.
        of: String,
    },
    /// A secret is sealed in a form of a later release, or was altered.
    #[error(
        "the secret of `{of}` is sealed in a form that this release does not know; use the release that sealed it, or set a new secret"
    )]
    Form {
        /// What it is of.
        of: String,
    },
    /// A secret could not be sealed.
    #[error("the secret of `{of}` could not be sealed; the operating system may have given no random bytes")]
    Seal {
        /// What it is of.
        of: String,
    },
}

/// A secret as the catalog keeps it: a plain text, as where no key is set, or `{"sealed": "v1:..."}`.
///
/// The two are told apart by their shape and not by how the text starts: what people choose may start in any way.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum KeptSecret {
    /// As it came.
    Plain(String),
    /// Sealed.
    Sealed {
        /// The form, and what the form says.
        sealed: String,
    },
}

impl KeptSecret {
    /// Whether a copy of the database tells it.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        matches!(self, Self::Plain(text) if !text.is_empty())
    }
}

impl std::fmt::Debug for KeptSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeptSecret(***)")
    }
}

/// The keys that secrets are sealed with: the first seals, and each opens. Without any, secrets stay plain. Clones share them.
#[derive(Clone, Default)]
pub struct Vault {
    keys: Arc<[RandomizedNonceKey]>,
}

impl Vault {
    /// The keys in a text, separated by commas.
    ///
    /// # Errors
    /// [`VaultError::Key`] for what is none, which an empty text is too: nobody sets a key to have no key.
    /// [`VaultError::TooManyKeys`].
    pub fn parse(text: &str) -> Result<Self, VaultError> {
        let count = text.split(',').count();
        if count > KEYS_MAX {
            return Err(VaultError::TooManyKeys { count });
        }
        let keys = text.split(',').enumerate().map(|(place, key)| {
            let unfit = VaultError::Key { number: place + 1 };
            match key_bytes(key.trim()) {
                Some(bytes) => RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(|_| unfit),
                None => Err(unfit),
            }
        });
        Ok(Self { keys: keys.collect::<Result<Vec<_>, _>>()?.into() })
    }

    /// How many keys there are.
    #[must_use]
    pub fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// A secret of something, `webhook:ID`, as it is to be kept: sealed with the first key, and plain where there is none.
    ///
    /// # Errors
    /// [`VaultError::Seal`].
    pub fn keep(&self, secret: &str, of: &str) -> Result<KeptSecret, VaultError> {
        let Some(key) = self.keys.first() else { return Ok(KeptSecret::Plain(secret.into())) };
        let mut text = secret.as_bytes().to_vec();
        let nonce = key
            .seal_in_place_append_tag(Aad::from(of.as_bytes()), &mut text)
            .map_err(|_| VaultError::Seal { of: of.into() })?;
        let nonce: &[u8; NONCE_LEN] = nonce.as_ref();
        let sealed = [nonce.as_slice(), text.as_slice()].concat();
        Ok(KeptSecret::Sealed { sealed: format!("{FORM}{}", STANDARD.encode(sealed)) })
    }

    /// The secret of something.
    ///
    /// # Errors
    /// [`VaultError::NotSet`], [`VaultError::NoKeyFits`], [`VaultError::Form`].
    pub fn open(&self, kept: &KeptSecret, of: &str) -> Result<String, VaultError> {
        match kept {
            KeptSecret::Plain(text) => Ok(text.clone()),
            KeptSecret::Sealed { sealed } => Ok(self.unseal(sealed, of)?.1),
        }
    }

    /// A secret as it would be kept today, where that is otherwise than it is kept: it is plain and there is a key, or it was
    /// sealed with a key that is no longer the first.
    ///
    /// # Errors
    /// As [`Self::open`] and [`Self::keep`].
    pub fn renew(&self, kept: &KeptSecret, of: &str) -> Result<Option<KeptSecret>, VaultError> {
        match kept {
            KeptSecret::Plain(text) if kept.is_plain() && !self.keys.is_empty() => self.keep(text, of).map(Some),
            KeptSecret::Plain(_) => Ok(None),
            KeptSecret::Sealed { sealed } => match self.unseal(sealed, of)? {
                (0, _) => Ok(None),
                (_, text) => self.keep(&text, of).map(Some),
            },
        }
    }

    /// The text, and the place of the key that opened it.
    fn unseal(&self, sealed: &str, of: &str) -> Result<(usize, String), VaultError> {
        if self.keys.is_empty() {
            return Err(VaultError::NotSet { of: of.into() });
        }
        let unknown = || VaultError::Form { of: of.into() };
        let encoded = sealed.strip_prefix(FORM).ok_or_else(unknown)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| unknown())?;
        let (nonce, body) = bytes.split_first_chunk::<NONCE_LEN>().ok_or_else(unknown)?;
        for (place, key) in self.keys.iter().enumerate() {
            // a key that does not fit leaves rubbish in what it is given
            let mut body = body.to_vec();
            let nonce = Nonce::assume_unique_for_key(*nonce);
            if let Ok(text) = key.open_in_place(nonce, Aad::from(of.as_bytes()), &mut body) {
                return match std::str::from_utf8(text) {
                    Ok(text) => Ok((place, text.to_owned())),
                    Err(_) => Err(unknown()),
                };
            }
        }
        Err(VaultError::NoKeyFits { of: of.into() })
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("keys", &self.keys.len()).finish()
    }
}

/// The bytes of a key; 64 hexadecimal digits would be 48 bytes in base64, so that no text is both.
fn key_bytes(text: &str) -> Option<[u8; KEY_BYTES]> {
    let bytes = if text.len() == 2 * KEY_BYTES { hex::decode(text).ok()? } else { BASE64.decode(text).ok()? };
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const OTHER: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    const OF: &str = "webhook:one";

    fn vault(keys: &str) -> Vault {
        Vault::parse(keys).unwrap()
    }

    fn sealed(kept: &KeptSecret) -> &str {
        match kept {
            KeptSecret::Sealed { sealed } => sealed,
            KeptSecret::Plain(_) => panic!("it is plain"),
        }
    }

    #[test]
    fn a_sealed_secret_opens_again_and_no_two_look_alike() {
        for secret in ["a secret", "", "grün 🔑", &"x".repeat(8_000)] {
            let one = vault(HEX).keep(secret, OF).unwrap();
            let two = vault(HEX).keep(secret, OF).unwrap();

            assert_eq!(vault(HEX).open(&one, OF).unwrap(), secret);
            assert_ne!(one, two);
            assert!(sealed(&one).starts_with("v1:"));
            assert!(secret.is_empty() || !sealed(&one).contains(secret));
        }
    }

    #[test]
    fn what_another_implementation_sealed_in_this_form_opens() {
        // AESGCM(bytes(range(32))).encrypt(bytes(range(12)), .., b"webhook:one") of Python's `cryptography`
        let json = r#"{"sealed":"v1:AAECAwQFBgcICQoLJiKlfqaXp2+tLvGr/CrcH/nzas9pYGa68GX3a6m7eT3B"}"#;

        let kept: KeptSecret = serde_json::from_str(json).unwrap();

        assert_eq!(vault(HEX).open(&kept, OF).unwrap(), "a secret of März");
        assert_eq!(serde_json::to_string(&kept).unwrap(), json);
    }

    #[test]
    fn a_key_is_32_bytes_in_hexadecimal_or_base64() {
        let kept = vault(HEX).keep("s", OF).unwrap();

        for same in [
            HEX.to_ascii_uppercase(),
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".into(),
            " AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8 \n".into(),
        ] {
            assert_eq!(vault(&same).open(&kept, OF).unwrap(), "s", "{same}");
        }
        for (unfit, number) in [
            ("", 1),
            ("password", 1),
            (&HEX[..62], 1),
            (HEX.replace('0', "g").as_str(), 1),
            (format!("{HEX},").as_str(), 2),
            (format!("{HEX},{OTHER},AAAA").as_str(), 3),
        ] {
            assert_eq!(Vault::parse(unfit).unwrap_err(), VaultError::Key { number }, "{unfit}");
        }
        let many = vec![HEX; KEYS_MAX + 1].join(",");
        assert_eq!(Vault::parse(&many).unwrap_err(), VaultError::TooManyKeys { count: KEYS_MAX + 1 });
    }

    #[test]
    fn without_its_key_a_secret_stays_shut_and_the_variable_is_named() {
        let kept = vault(HEX).keep("s", OF).unwrap();

        let none = Vault::default().open(&kept, OF).unwrap_err();
        let wrong = vault(OTHER).open(&kept, OF).unwrap_err();

        assert_eq!(none, VaultError::NotSet { of: OF.into() });
        assert_eq!(wrong, VaultError::NoKeyFits { of: OF.into() });
        assert!([none, wrong].iter().all(|error| error.to_string().contains(SECRETS_KEY)));
    }

    #[test]
    fn an_altered_secret_and_one_of_something_else_stay_shut() {
        let kept = vault(HEX).keep("secret", OF).unwrap();
        let bytes = STANDARD.decode(sealed(&kept).strip_prefix(FORM).unwrap()).unwrap();

        for place in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[place] ^= 1;
            let altered = KeptSecret::Sealed { sealed: format!("{FORM}{}", STANDARD.encode(altered)) };
            assert!(matches!(vault(HEX).open(&altered, OF), Err(VaultError::NoKeyFits { .. })), "byte {place}");
        }
        for length in 0..bytes.len() {
            let cut = KeptSecret::Sealed { sealed: format!("{FORM}{}", STANDARD.encode(&bytes[..length])) };
            assert!(vault(HEX).open(&cut, OF).is_err(), "{length} bytes");
        }
        for text in ["", "v1:", "v1:?", &sealed(&kept).replace("v1:", "v2:")] {
            let unknown = KeptSecret::Sealed { sealed: text.into() };
            assert!(matches!(vault(HEX).open(&unknown, OF), Err(VaultError::Form { .. })), "{text}");
        }
        assert!(matches!(vault(HEX).open(&kept, "webhook:two"), Err(VaultError::NoKeyFits { .. })));
    }

    #[test]
    fn keys_are_rotated_by_putting_the_new_one_first() {
        let old = vault(HEX).keep("s", OF).unwrap();
        let both = vault(&format!("{OTHER},{HEX}"));

        let renewed = both.renew(&old, OF).unwrap().unwrap();

        assert_eq!(both.open(&old, OF).unwrap(), "s");
        assert_eq!(vault(OTHER).open(&renewed, OF).unwrap(), "s");
        assert_eq!(both.renew(&renewed, OF).unwrap(), None);
        assert_eq!(vault(HEX).renew(&renewed, OF), Err(VaultError::NoKeyFits { of: OF.into() }));
    }

    #[test]
    fn a_plain_secret_opens_for_ever_and_is_sealed_as_soon_as_there_is_a_key() {
        for text in ["a secret", "v1:AAAA", "sealed:v1:AAAA", r#"{"sealed":"v1:AAAA"}"#] {
            let kept: KeptSecret = serde_json::from_value(text.into()).unwrap();

            assert_eq!(Vault::default().open(&kept, OF).unwrap(), text);
            assert_eq!(vault(HEX).open(&kept, OF).unwrap(), text);
            assert_eq!(Vault::default().renew(&kept, OF).unwrap(), None);
            let renewed = vault(HEX).renew(&kept, OF).unwrap().unwrap();
            assert_eq!(vault(HEX).open(&renewed, OF).unwrap(), text);
        }
        assert_eq!(Vault::default().keep("s", OF).unwrap(), KeptSecret::Plain("s".into()));
        assert_eq!(vault(HEX).renew(&KeptSecret::Plain(String::new()), OF).unwrap(), None, "it signs nothing");
    }

    #[test]
    fn neither_keys_nor_secrets_show_themselves() {
        let kept = KeptSecret::Plain("a secret".into());

        assert_eq!(format!("{kept:?} {:?}", vault(HEX)), "KeptSecret(***) Vault { keys: 1 }");
    }
}
