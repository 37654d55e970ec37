//! Values that must not be printed, not even by accident through `{:?}`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A value from the database that is not to be shown: a password hash, a sealed kubeconfig.
#[derive(Clone, PartialEq, Eq, sqlx::Type)]
#[sqlx(transparent)]
pub struct Hidden(String);

impl Hidden {
    /// Wraps it.
    #[must_use]
    pub const fn new(value: String) -> Self {
        Self(value)
    }

    /// The value. The name makes each use visible in review.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// An environment's variables. Printed as their number only: people keep keys in them.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Variables(pub BTreeMap<String, String>);

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} variables]", self.0.len())
    }
}

/// A digest of a token, in hex: the only form in which a token is stored or looked up. SHA-256, or
/// for short codes [`super::vault::Vault::code_hash`].
#[derive(Clone, PartialEq, Eq, Hash, sqlx::Type)]
#[sqlx(transparent)]
pub struct TokenHash(String);

impl TokenHash {
    /// Of a token with more entropy than can be guessed.
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self(hex(&Sha256::digest(token.as_bytes())))
    }

    /// Of a digest that was made elsewhere.
    pub(super) fn of_digest(digest: &[u8]) -> Self {
        Self(hex(digest))
    }

    /// The digest in hex.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[token hash]")
    }
}

/// A digest in lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_printed() {
        let variables = Variables(BTreeMap::from([("KEY".to_owned(), "hunter2".to_owned())]));
        assert_eq!(format!("{variables:?}"), "[1 variables]");
        assert_eq!(format!("{:?}", Hidden::new("hunter2".into())), "[hidden]");
    }

    #[test]
    fn hashes_are_the_known_ones() {
        let hash = TokenHash::of("abc");
        assert!(hash.as_str().starts_with("ba7816bf8f01cfea"));
    }
}
