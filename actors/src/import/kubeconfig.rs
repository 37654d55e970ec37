//! Kubeconfigs as the old server kept them: AES-256-GCM, written `iv:tag:ciphertext` in hex, with a
//! key of scrypt; or, where its API had stored them, plain.

use aes_gcm::aead::consts::U16;
use aes_gcm::aead::{Aead as _, KeyInit as _};
use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, Key, Nonce};
use secrecy::{ExposeSecret as _, SecretString};

/// Of all its installations.
const SALT: &[u8] = b"devpocket-salt";
/// log2 of 16384, r, p: the defaults of Node.js.
const COST: (u8, u32, u32) = (14, 8, 1);

/// Opens old kubeconfigs. No `Debug`.
pub(super) struct OldKey(AesGcm<Aes256, U16>);

impl OldKey {
    /// Takes a moment: it is made to.
    pub(super) fn new(secret: &SecretString) -> Option<Self> {
        let (log_n, r, p) = COST;
        let params = scrypt::Params::new(log_n, r, p, 32).ok()?;
        let mut key = [0; 32];
        scrypt::scrypt(secret.expose_secret().as_bytes(), SALT, &params, &mut key).ok()?;
        Some(Self(AesGcm::new(&Key::<Aes256>::from(key))))
    }

    fn open(&self, text: &str) -> Option<String> {
        let mut parts = text.trim().split(':').map(unhex);
        let (iv, tag, sealed) = (parts.next()??, parts.next()??, parts.next()??);
        let iv: [u8; 16] = iv.try_into().ok()?;
        let sealed = [sealed, tag].concat();
        let opened = self.0.decrypt(&Nonce::<U16>::from(iv), sealed.as_slice()).ok()?;
        String::from_utf8(opened).ok()
    }
}

/// The kubeconfig, if it can be read.
pub(super) fn open(key: Option<&OldKey>, stored: &str) -> Option<SecretString> {
    let plain = stored.contains("apiVersion") && stored.contains("clusters");
    let text = if plain { Some(stored.to_owned()) } else { key?.open(stored) };
    text.map(SecretString::from)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by Node.js's own crypto.
    const SEALED: &str = include_str!("../../../tests/fixtures/reference/kubeconfig.sealed");

    #[test]
    fn what_the_old_server_sealed_is_opened_with_its_secret_alone() {
        let key = OldKey::new(&SecretString::from("the-reference-secret-key-of-40-characters"));
        let opened = open(key.as_ref(), SEALED).unwrap();
        assert!(opened.expose_secret().starts_with("apiVersion: v1"));
        let other = OldKey::new(&SecretString::from("another-secret-key-of-more-than-32-characters"));
        assert!(open(other.as_ref(), SEALED).is_none() && open(None, SEALED).is_none());
        for bad in ["", "::", "a:b", "é:é:é", "00:00:00", "mock"] {
            assert!(open(key.as_ref(), bad).is_none(), "{bad}");
        }
        assert!(open(None, "apiVersion: v1\nclusters: []").is_some());
    }
}
