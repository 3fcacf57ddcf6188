//! Page tokens: a place in an answer, opaque to the client, that comes back with the question it was made for.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::{Refused, Result};

/// The longest token that is read: a sort value of a long tag and room for more.
const BYTES_MAX: usize = 64 << 10;

#[derive(Serialize, Deserialize)]
struct Token<T> {
    of: u64,
    place: T,
}

/// A token for a place in the answer to a question.
pub(super) fn write<T: Serialize>(place: T, question: impl Hash) -> Result<String> {
    let token = Token { of: fingerprint(question), place };
    let json = serde_json::to_vec(&token).map_err(|error| Refused::internal(&error))?;
    Ok(URL_SAFE_NO_PAD.encode(json))
}

/// The place of a token.
pub(super) fn read<T: DeserializeOwned>(token: &str, question: impl Hash) -> Result<T> {
    let invalid = || Refused::invalid("Invalid page token; ask for the first page, and then with the tokens it gives.");
    if token.len() > BYTES_MAX {
        return Err(invalid());
    }
    let json = URL_SAFE_NO_PAD.decode(token).map_err(|_| invalid())?;
    let token: Token<T> = serde_json::from_slice(&json).map_err(|_| invalid())?;
    if token.of != fingerprint(question) {
        return Err(Refused::invalid(
            "Invalid page token: it belongs to another search; filter and order must stay the same from page to page.",
        ));
    }
    Ok(token.place)
}

fn fingerprint(question: impl Hash) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(question)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_of_its_question() {
        let token = write(vec!["a", "b"], ("filter", 1)).unwrap();

        assert_eq!(read::<Vec<String>>(&token, ("filter", 1)).unwrap(), ["a", "b"]);
        assert!(read::<Vec<String>>(&token, ("filter", 2)).is_err());
        assert!(read::<Vec<String>>("nonsense!", ("filter", 1)).is_err());
        assert!(read::<u8>(&token, ("filter", 1)).is_err());
    }
}
