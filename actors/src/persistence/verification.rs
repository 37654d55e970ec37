//! Proofs sent by mail: a link, or six digits to type on the phone.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgTransaction};

use super::engine::Write;
use super::error::WriteError;
use super::ids::new_id;
use super::secrets::TokenHash;
use super::users::MarkVerified;
use super::words::VerificationPurpose;

/// Wrong codes after which a proof is void. Ten of a million codes: a guesser needs
/// a hundred thousand mails.
pub const MAX_CODE_ATTEMPTS: i32 = 10;

/// Stores a new proof. Older ones for the same purpose are void from now on.
#[derive(Debug, Clone)]
pub struct CreateVerification {
    /// Whose.
    pub user_id: String,
    /// What for.
    pub purpose: VerificationPurpose,
    /// [`TokenHash::of`] the link's token.
    pub link: TokenHash,
    /// [`super::vault::Vault::code_hash`] of the digits.
    pub code: Option<TokenHash>,
    /// Its end.
    pub expires_at: DateTime<Utc>,
}

impl Write for CreateVerification {
    type Output = ();

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<(), WriteError> {
        sqlx::query(
            "UPDATE email_verification_tokens SET used_at = now()
             WHERE user_id = $1 AND purpose = $2 AND used_at IS NULL",
        )
        .bind(&self.user_id)
        .bind(self.purpose)
        .execute(&mut **tx)
        .await?;
        sqlx::query(
            "INSERT INTO email_verification_tokens (id, token, code, user_id, purpose, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(new_id())
        .bind(self.link)
        .bind(self.code)
        .bind(self.user_id)
        .bind(self.purpose)
        .bind(self.expires_at)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}

/// What somebody shows.
#[derive(Debug, Clone)]
pub enum Proof {
    /// The token of the link.
    Link(TokenHash),
    /// The digits, and who types them.
    Code {
        /// Who.
        user_id: String,
        /// [`super::vault::Vault::code_hash`] of the digits.
        code: TokenHash,
    },
}

/// Uses a proof. For [`VerificationPurpose::VerifyEmail`] the account is verified in the same
/// transaction.
#[derive(Debug, Clone)]
pub struct UseVerification {
    /// What it must be for.
    pub purpose: VerificationPurpose,
    /// What is shown.
    pub proof: Proof,
}

/// What a shown proof is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verification {
    /// Good, and spent now.
    Accepted {
        /// Whose it is.
        user_id: String,
    },
    /// Unknown, used, expired, or a wrong code: one answer for all, as the difference would
    /// help only who guesses.
    Rejected,
    /// Too many wrong codes: a new mail is needed.
    Exhausted,
}

#[derive(FromRow)]
struct Open {
    id: String,
    user_id: String,
    attempts: i32,
    code: Option<TokenHash>,
}

impl Write for UseVerification {
    type Output = Verification;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<Verification, WriteError> {
        // Locked: guesses sent in parallel are counted one after the other.
        const BY_LINK: &str = "SELECT id, user_id, attempts, code FROM email_verification_tokens
             WHERE token = $1 AND purpose = $2 AND used_at IS NULL AND expires_at > now() FOR UPDATE";
        const BY_USER: &str = "SELECT id, user_id, attempts, code FROM email_verification_tokens
             WHERE user_id = $1 AND purpose = $2 AND used_at IS NULL AND expires_at > now()
             ORDER BY created_at DESC LIMIT 1 FOR UPDATE";
        let (query, key) = match &self.proof {
            Proof::Link(token) => (BY_LINK, token.as_str()),
            Proof::Code { user_id, .. } => (BY_USER, user_id.as_str()),
        };
        let open: Option<Open> =
            sqlx::query_as(query).bind(key).bind(self.purpose).fetch_optional(&mut **tx).await?;
        let Some(open) = open else {
            return Ok(Verification::Rejected);
        };
        if let Proof::Code { code, .. } = &self.proof {
            if open.attempts >= MAX_CODE_ATTEMPTS {
                return Ok(Verification::Exhausted);
            }
            if open.code.as_ref() != Some(code) {
                sqlx::query("UPDATE email_verification_tokens SET attempts = attempts + 1 WHERE id = $1")
                    .bind(&open.id)
                    .execute(&mut **tx)
                    .await?;
                return Ok(Verification::Rejected);
            }
        }
        sqlx::query("UPDATE email_verification_tokens SET used_at = now() WHERE id = $1")
            .bind(&open.id)
            .execute(&mut **tx)
            .await?;
        if self.purpose == VerificationPurpose::VerifyEmail {
            MarkVerified { user_id: open.user_id.clone() }.apply(tx).await?;
        }
        Ok(Verification::Accepted { user_id: open.user_id })
    }
}
