//! Secrets at rest: AES-256-GCM with a random 96-bit nonce, the key's id, and the place that a
//! secret is for as associated data.

use std::fmt;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

use super::secrets::{Hidden, hex};

const VERSION: &str = "v1";
const NONCE_BYTES: usize = 12;
const KEY_ID_CHARS: usize = 8;

/// Seals and opens secrets with one key. Cheap to clone.
#[derive(Clone)]
pub struct Vault {
    cipher: Aes256Gcm,
    key_id: String,
}

/// Why a secret can't be sealed or opened. Tells nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// Sealed with another key.
    #[error(
        "it was sealed with another key (id {0}): set SECRET_KEY to the one of that time, or add it anew"
    )]
    OtherKey(String),
    /// Not something that was sealed here for this place, or changed since.
    #[error("what is stored was damaged, or was not sealed for this place: add it anew")]
    Damaged,
}

impl Vault {
    /// A vault under a key made of `secret`, which must be random: at least 32 characters of it.
    #[must_use]
    pub fn new(secret: &str) -> Self {
        // The labels part the key from its public id.
        let digest = |label: &[u8]| {
            let mut digest = Sha256::new();
            digest.update(label);
            digest.update([0]);
            digest.update(secret.as_bytes());
            digest.finalize()
        };
        let key: [u8; 32] = digest(b"devpocket vault key").into();
        let mut key_id = hex(&digest(b"devpocket vault key id"));
        key_id.truncate(KEY_ID_CHARS);
        Self { cipher: Aes256Gcm::new(&Key::<Aes256Gcm>::from(key)), key_id }
    }

    /// Seals a secret for a place; it can be opened for no other.
    ///
    /// # Errors
    /// When the secret is too large for the cipher (64 GiB).
    pub fn seal(&self, place: &str, secret: &[u8]) -> Result<Hidden, VaultError> {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload { msg: secret, aad: place.as_bytes() };
        let sealed = self.cipher.encrypt(&Nonce::from(nonce), payload).map_err(|_| VaultError::Damaged)?;
        let text = STANDARD.encode([nonce.as_slice(), sealed.as_slice()].concat());
        Ok(Hidden::new(format!("{VERSION}.{}.{text}", self.key_id)))
    }

    /// Opens what was sealed for a place.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub fn open(&self, place: &str, sealed: &Hidden) -> Result<SecretString, VaultError> {
        let mut parts = sealed.expose().splitn(3, '.');
        let (Some(VERSION), Some(key_id), Some(text)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(VaultError::Damaged);
        };
        if key_id != self.key_id {
            return Err(VaultError::OtherKey(key_id.chars().take(KEY_ID_CHARS).collect()));
        }
        let bytes = STANDARD.decode(text).map_err(|_| VaultError::Damaged)?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or(VaultError::Damaged)?;
        let payload = Payload { msg: sealed, aad: place.as_bytes() };
        let opened = self.cipher.decrypt(&Nonce::from(*nonce), payload).map_err(|_| VaultError::Damaged)?;
        Ok(String::from_utf8(opened).map_err(|_| VaultError::Damaged)?.into())
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn what_was_sealed_is_opened_in_its_place_alone() {
        let vault = Vault::new(SECRET);
        let sealed = vault.seal("clusters/a", b"apiVersion: v1").unwrap();
        assert!(!sealed.expose().contains("apiVersion"));
        assert_eq!(vault.open("clusters/a", &sealed).unwrap().expose_secret(), "apiVersion: v1");
        assert_eq!(vault.open("clusters/b", &sealed).unwrap_err(), VaultError::Damaged);
        assert_ne!(vault.seal("clusters/a", b"apiVersion: v1").unwrap(), sealed, "nonces are random");
    }

    #[test]
    fn another_key_is_named_and_damage_is_noticed() {
        let vault = Vault::new(SECRET);
        let sealed = vault.seal("p", b"secret").unwrap();
        let other = Vault::new("another secret of sufficient length").open("p", &sealed).unwrap_err();
        assert_eq!(other, VaultError::OtherKey(vault.key_id.clone()));
        for damaged in ["", "v1", "v1.x", "v2.a.b", "plain text"] {
            assert!(vault.open("p", &Hidden::new(damaged.into())).is_err(), "{damaged}");
        }
        let mut flipped = sealed.expose().to_owned();
        let last = if flipped.pop() == Some('A') { 'B' } else { 'A' };
        flipped.push(last);
        assert!(vault.open("p", &Hidden::new(flipped)).is_err());
    }
}
