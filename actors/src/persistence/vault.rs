//! Secrets at rest: AES-256-GCM with a random 96-bit nonce, the key's id, and the place that a
//! secret is for as associated data.
//!
//! One key seals, earlier ones open too, so that a key can be changed while servers run:
//! [`super::rotation`] seals anew what earlier keys have sealed.

use std::fmt;
use std::sync::Arc;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256, Sha512};

use super::secrets::{Hidden, TokenHash, hex};

/// Begins everything sealed; the queries of [`super::rotation`] know it too.
const VERSION: &str = "v1";
const NONCE_BYTES: usize = 12;
const KEY_ID_CHARS: usize = 8;

/// Seals with one key and opens with several. Cheap to clone.
#[derive(Clone)]
pub struct Vault {
    /// The first one seals.
    keys: Arc<[SealingKey]>,
}

struct SealingKey {
    id: String,
    cipher: Aes256Gcm,
    codes: Hmac<Sha256>,
}

impl SealingKey {
    fn new(secret: &str) -> Self {
        // The labels part the keys from each other and from the public id.
        let labelled = |label: &str| [label.as_bytes(), &[0], secret.as_bytes()].concat();
        let mut id = hex(&Sha256::digest(labelled("devpocket vault key id")));
        id.truncate(KEY_ID_CHARS);
        let key: [u8; 32] = Sha256::digest(labelled("devpocket vault key")).into();
        let codes = Sha512::digest(labelled("devpocket mailed codes"));
        Self {
            id,
            cipher: Aes256Gcm::new(&Key::<Aes256Gcm>::from(key)),
            codes: hmac::digest::KeyInit::new(&codes),
        }
    }
}

/// Why a secret can't be sealed or opened. Tells nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// Sealed with another key.
    #[error(
        "it was sealed with another key (id {0}): set SECRET_KEY to the one of that time, or name that one \
         in SECRET_KEY_PREVIOUS, or add it anew"
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
        Self::with_previous(secret, [])
    }

    /// The same that also opens what was sealed with the keys of `previous`.
    #[must_use]
    pub fn with_previous<'a>(secret: &'a str, previous: impl IntoIterator<Item = &'a str>) -> Self {
        Self { keys: std::iter::once(secret).chain(previous).map(SealingKey::new).collect() }
    }

    fn current(&self) -> &SealingKey {
        &self.keys[0]
    }

    /// The id of the key that seals. No secret.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.current().id
    }

    /// Whether what was sealed with the key of that id can be opened.
    #[must_use]
    pub fn has_key(&self, id: &str) -> bool {
        self.keys.iter().any(|key| key.id == id)
    }

    /// Seals a secret for a place; it can be opened for no other.
    ///
    /// # Errors
    /// When the secret is too large for the cipher (64 GiB).
    pub fn seal(&self, place: &str, secret: &[u8]) -> Result<Hidden, VaultError> {
        let key = self.current();
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload { msg: secret, aad: place.as_bytes() };
        let sealed = key.cipher.encrypt(&Nonce::from(nonce), payload).map_err(|_| VaultError::Damaged)?;
        let text = STANDARD.encode([nonce.as_slice(), sealed.as_slice()].concat());
        Ok(Hidden::new(format!("{VERSION}.{}.{text}", key.id)))
    }

    /// Opens what was sealed for a place.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub fn open(&self, place: &str, sealed: &Hidden) -> Result<SecretString, VaultError> {
        let mut parts = sealed.expose().splitn(3, '.');
        let (Some(VERSION), Some(id), Some(text)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(VaultError::Damaged);
        };
        let Some(key) = self.keys.iter().find(|key| key.id == id) else {
            return Err(VaultError::OtherKey(id.chars().take(KEY_ID_CHARS).collect()));
        };
        let bytes = STANDARD.decode(text).map_err(|_| VaultError::Damaged)?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or(VaultError::Damaged)?;
        let payload = Payload { msg: sealed, aad: place.as_bytes() };
        let opened = key.cipher.decrypt(&Nonce::from(*nonce), payload).map_err(|_| VaultError::Damaged)?;
        Ok(String::from_utf8(opened).map_err(|_| VaultError::Damaged)?.into())
    }

    /// What is stored of a short code that was mailed to somebody: an HMAC, so that who reads the
    /// table cannot try out all codes without the key. With another key all open codes are void.
    #[must_use]
    pub fn code_hash(&self, user_id: &str, code: &str) -> TokenHash {
        let mut mac = self.current().codes.clone();
        mac.update(user_id.as_bytes());
        mac.update(&[0]);
        mac.update(code.as_bytes());
        TokenHash::of_digest(&mac.finalize().into_bytes())
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("key_id", &self.key_id()).finish_non_exhaustive()
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
        assert_eq!(other, VaultError::OtherKey(vault.key_id().to_owned()));
        for damaged in ["", "v1", "v1.x", "v2.a.b", "plain text"] {
            assert!(vault.open("p", &Hidden::new(damaged.into())).is_err(), "{damaged}");
        }
        let mut flipped = sealed.expose().to_owned();
        let last = if flipped.pop() == Some('A') { 'B' } else { 'A' };
        flipped.push(last);
        assert!(vault.open("p", &Hidden::new(flipped)).is_err());
    }

    #[test]
    fn earlier_keys_open_and_the_current_one_seals() {
        let old = Vault::new(SECRET);
        let sealed = old.seal("p", b"secret").unwrap();
        let new = Vault::with_previous("another secret of sufficient length", [SECRET]);
        assert_eq!(new.open("p", &sealed).unwrap().expose_secret(), "secret");
        assert!(new.has_key(old.key_id()) && new.key_id() != old.key_id());
        let resealed = new.seal("p", b"secret").unwrap();
        assert_eq!(old.open("p", &resealed).unwrap_err(), VaultError::OtherKey(new.key_id().to_owned()));
    }

    #[test]
    fn codes_belong_to_people_and_to_a_key() {
        let vault = Vault::new(SECRET);
        let hash = vault.code_hash("ann", "123456");
        assert_eq!(hash, vault.code_hash("ann", "123456"));
        assert_ne!(hash, vault.code_hash("bob", "123456"));
        assert_ne!(hash, Vault::new("another secret of sufficient length").code_hash("ann", "123456"));
        assert_eq!(hash.as_str().len(), 64);
    }
}
