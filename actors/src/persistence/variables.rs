//! Environments' variables: people keep keys in them, so rows hold them sealed.

use std::fmt;

use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

use super::error::WriteError;
use super::secrets::{Hidden, Variables};
use super::vault::{Vault, VaultError};

/// Variables as a row holds them: sealed for it, or plain as they were before variables were
/// sealed ([`super::rotation::seal_plain`] seals those).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum KeptVariables {
    /// A text of [`Vault::seal`].
    Sealed(String),
    /// The variables themselves.
    Plain(Variables),
}

impl KeptVariables {
    /// Seals variables for an environment's row.
    ///
    /// # Errors
    /// As [`Vault::seal`].
    pub fn seal(vault: &Vault, environment_id: &str, variables: &Variables) -> Result<Self, VaultError> {
        let text = serde_json::to_vec(variables).map_err(|_| VaultError::Damaged)?;
        Ok(Self::Sealed(vault.seal(&place(environment_id), &text)?.expose().to_owned()))
    }

    /// The variables.
    ///
    /// # Errors
    /// As [`Vault::open`].
    pub fn open(&self, vault: &Vault, environment_id: &str) -> Result<Variables, VaultError> {
        match self {
            Self::Plain(variables) => Ok(variables.clone()),
            Self::Sealed(text) => {
                let text = vault.open(&place(environment_id), &Hidden::new(text.clone()))?;
                serde_json::from_str(text.expose_secret()).map_err(|_| VaultError::Damaged)
            }
        }
    }

    /// Those that need no key: all of them, once they were opened.
    #[must_use]
    pub const fn plain(&self) -> Option<&Variables> {
        match self {
            Self::Plain(variables) => Some(variables),
            Self::Sealed(_) => None,
        }
    }
}

/// What an environment's variables are sealed for.
pub(super) fn place(environment_id: &str) -> String {
    format!("environments/{environment_id}/variables")
}

impl fmt::Debug for KeptVariables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sealed(_) => f.write_str("[sealed variables]"),
            Self::Plain(variables) => variables.fmt(f),
        }
    }
}

/// A write with the vault that it seals with.
#[derive(Debug, Clone)]
pub struct Sealing<W> {
    /// What is written.
    pub write: W,
    /// Seals, and opens what is there.
    pub vault: Vault,
}

impl From<VaultError> for WriteError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::OtherKey(_) => Self::Refused {
                why: "its variables were sealed with a key that this server does not have; ask its operator \
                      to name it in SECRET_KEY_PREVIOUS, or replace all of them",
            },
            VaultError::Damaged => {
                Self::Refused { why: "its variables are damaged and cannot be read; replace all of them" }
            }
        }
    }
}
