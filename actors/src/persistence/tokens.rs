//! Sign-ins and their refresh tokens.
//!
//! A refresh token is good for one use, which gives its successor. The successors of one
//! sign-in are a *family*. A used token that comes back was copied by somebody, and nobody can
//! say which of the two is the owner: the family and its sign-in end.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{FromRow, PgConnection, PgPool, PgTransaction};

use super::engine::Write;
use super::error::{ReadError, WriteError};
use super::ids::new_id;
use super::lockout::{self, PassSignIn, Place, network};
use super::records::SWEEP_ROWS;
use super::secrets::TokenHash;

/// One sign-in on one device.
#[derive(Debug, Clone, FromRow, serde::Serialize)]
#[allow(missing_docs, reason = "the columns are described in migrations/0001_people.sql")]
pub struct UserSession {
    pub id: String,
    pub user_id: String,
    pub device: Option<String>,
    pub user_agent: Option<String>,
    pub ip: Option<String>,
    pub created_at: DateTime<Utc>,
    pub last_seen_at: DateTime<Utc>,
    pub revoked_at: Option<DateTime<Utc>>,
}

/// The sign-ins of a person that are still good, last used first.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn live_sessions(pool: &PgPool, user_id: &str) -> Result<Vec<UserSession>, ReadError> {
    Ok(sqlx::query_as(
        "SELECT s.* FROM user_sessions s
         WHERE s.user_id = $1 AND s.revoked_at IS NULL
           AND EXISTS (SELECT FROM refresh_tokens r WHERE r.session_id = s.id
                       AND r.revoked_at IS NULL AND r.rotated_at IS NULL AND r.expires_at > now())
         ORDER BY s.last_seen_at DESC LIMIT 100",
    )
    .bind(user_id)
    .fetch_all(pool)
    .await?)
}

/// Whether the sign-in was ended. An unknown one counts as ended.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn is_session_revoked(pool: &PgPool, session_id: &str) -> Result<bool, ReadError> {
    let live: Option<bool> = sqlx::query_scalar("SELECT revoked_at IS NULL FROM user_sessions WHERE id = $1")
        .bind(session_id)
        .fetch_optional(pool)
        .await?;
    Ok(live != Some(true))
}

/// When a sign-in began. `None`: there is no such one.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn session_began(pool: &PgPool, session_id: &str) -> Result<Option<DateTime<Utc>>, ReadError> {
    Ok(sqlx::query_scalar("SELECT created_at FROM user_sessions WHERE id = $1")
        .bind(session_id)
        .fetch_optional(pool)
        .await?)
}

/// Begins a sign-in: its session, its first refresh token, the time of the login, and the
/// end of the count of wrong passwords from its address.
#[derive(Debug, Clone)]
pub struct StartUserSession {
    /// New id of the session.
    pub session_id: String,
    /// Who.
    pub user_id: String,
    /// What the client calls itself.
    pub device: Option<String>,
    /// Its user agent.
    pub user_agent: Option<String>,
    /// From where.
    pub ip: Option<String>,
    /// The first refresh token.
    pub refresh: TokenHash,
    /// Its end.
    pub expires_at: DateTime<Utc>,
}

impl Write for StartUserSession {
    type Output = ();

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<(), WriteError> {
        let known = sqlx::query(
            "UPDATE users SET last_login_at = now(), last_seen_at = now() WHERE id = $1 AND is_active",
        )
        .bind(&self.user_id)
        .execute(&mut **tx)
        .await?;
        if known.rows_affected() == 0 {
            return Err(WriteError::NotFound { what: "user" });
        }
        let place = Place { account: self.user_id.clone(), address: network(self.ip.as_deref()) };
        PassSignIn { place }.apply(tx).await?;
        sqlx::query(
            "INSERT INTO user_sessions (id, user_id, device, user_agent, ip) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(&self.session_id)
        .bind(&self.user_id)
        .bind(self.device)
        .bind(self.user_agent)
        .bind(self.ip)
        .execute(&mut **tx)
        .await?;
        IssueRefresh {
            user_id: self.user_id,
            session_id: self.session_id,
            refresh: self.refresh,
            expires_at: self.expires_at,
        }
        .apply(tx)
        .await
    }
}

/// A refresh token that begins a new family within a sign-in.
#[derive(Debug, Clone)]
pub struct IssueRefresh {
    /// Who.
    pub user_id: String,
    /// By which sign-in.
    pub session_id: String,
    /// The token.
    pub refresh: TokenHash,
    /// Its end.
    pub expires_at: DateTime<Utc>,
}

impl Write for IssueRefresh {
    type Output = ();

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<(), WriteError> {
        let owner = Owner { user_id: self.user_id, session_id: self.session_id, family_id: new_id() };
        insert(tx, &new_id(), &owner, &self.refresh, self.expires_at).await
    }
}

/// Uses a refresh token: the presented one is spent, `next` takes its place.
#[derive(Debug, Clone)]
pub struct RotateRefresh {
    /// What the client showed.
    pub presented: TokenHash,
    /// Its successor.
    pub next: TokenHash,
    /// The successor's end.
    pub expires_at: DateTime<Utc>,
    /// For this long after its use a token may be shown again *as long as its successor was
    /// never used*: on a phone the answer with the successor is easily lost, and that must
    /// not sign the person out. The successor that was lost is revoked. Zero: never.
    pub grace: Duration,
}

/// What became of a presented refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotation {
    /// `next` is good now.
    Rotated(Owner),
    /// It had been used before. Its family and its sign-in have just been ended.
    Reused(Owner),
    /// Unknown, expired, revoked, or of an inactive account.
    Invalid,
}

/// Whose a refresh token is.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Owner {
    /// Who.
    pub user_id: String,
    /// By which sign-in.
    pub session_id: String,
    /// Of which family.
    pub family_id: String,
}

#[derive(FromRow)]
struct Presented {
    id: String,
    #[sqlx(flatten)]
    owner: Owner,
    rotated_at: Option<DateTime<Utc>>,
    is_good: bool,
    successor_unused: bool,
}

impl Write for RotateRefresh {
    type Output = Rotation;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<Rotation, WriteError> {
        // The sign-in's row is the lock: of two requests with the same token the second sees
        // what the first did. Locking the tokens themselves could deadlock, as a family grows.
        sqlx::query(
            "SELECT id FROM user_sessions
             WHERE id = (SELECT session_id FROM refresh_tokens WHERE token = $1) FOR NO KEY UPDATE",
        )
        .bind(&self.presented)
        .execute(&mut **tx)
        .await?;
        let presented: Option<Presented> = sqlx::query_as(
            "SELECT r.id, r.user_id, r.session_id, r.family_id, r.rotated_at,
                    r.revoked_at IS NULL AND r.expires_at > now() AND u.is_active
                        AND s.revoked_at IS NULL AS is_good,
                    EXISTS (SELECT FROM refresh_tokens n WHERE n.id = r.replaced_by
                            AND n.rotated_at IS NULL AND n.revoked_at IS NULL) AS successor_unused
             FROM refresh_tokens r JOIN users u ON u.id = r.user_id
             JOIN user_sessions s ON s.id = r.session_id
             WHERE r.token = $1",
        )
        .bind(&self.presented)
        .fetch_optional(&mut **tx)
        .await?;
        let Some(presented) = presented.filter(|token| token.is_good) else {
            return Ok(Rotation::Invalid);
        };
        if let Some(rotated_at) = presented.rotated_at {
            let grace = TimeDelta::from_std(self.grace).unwrap_or(TimeDelta::zero());
            if !presented.successor_unused || Utc::now() - rotated_at > grace {
                revoke_family(tx, &presented.owner).await?;
                return Ok(Rotation::Reused(presented.owner));
            }
            sqlx::query(
                "UPDATE refresh_tokens SET revoked_at = now()
                 WHERE id = (SELECT replaced_by FROM refresh_tokens WHERE id = $1)",
            )
            .bind(&presented.id)
            .execute(&mut **tx)
            .await?;
        }
        let next_id = new_id();
        insert(tx, &next_id, &presented.owner, &self.next, self.expires_at).await?;
        // The time of the first use stays, or the grace could be drawn out for ever.
        sqlx::query(
            "UPDATE refresh_tokens SET rotated_at = COALESCE(rotated_at, clock_timestamp()),
                                       replaced_by = $2
             WHERE id = $1",
        )
        .bind(&presented.id)
        .bind(&next_id)
        .execute(&mut **tx)
        .await?;
        Ok(Rotation::Rotated(presented.owner))
    }
}

/// Ends all sign-ins of a person but the one named. Returns the ids of those it ended.
#[derive(Debug, Clone)]
pub struct RevokeAllRefresh {
    /// Whose.
    pub user_id: String,
    /// The one that stays.
    pub keep_session: Option<String>,
}

impl Write for RevokeAllRefresh {
    type Output = Vec<String>;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<Vec<String>, WriteError> {
        revoke_user(tx, &self.user_id, self.keep_session.as_deref()).await
    }
}

/// Ends one sign-in of a person. True: it was one, and was not ended before.
#[derive(Debug, Clone)]
pub struct RevokeUserSession {
    /// Whose; somebody else's sign-in cannot be ended by guessing ids.
    pub user_id: String,
    /// Which.
    pub session_id: String,
}

impl Write for RevokeUserSession {
    type Output = bool;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<bool, WriteError> {
        let ended = sqlx::query(
            "UPDATE user_sessions SET revoked_at = now()
             WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL",
        )
        .bind(&self.session_id)
        .bind(&self.user_id)
        .execute(&mut **tx)
        .await?;
        sqlx::query(
            "UPDATE refresh_tokens SET revoked_at = now()
             WHERE session_id = $1 AND user_id = $2 AND revoked_at IS NULL",
        )
        .bind(&self.session_id)
        .bind(&self.user_id)
        .execute(&mut **tx)
        .await?;
        Ok(ended.rows_affected() > 0)
    }
}

/// Removes tokens and proofs that ended more than `keep` ago, sign-ins of which no token is left,
/// and what counts no more of wrong passwords. Returns how many rows went. At most [`SWEEP_ROWS`]
/// of each go at once, so that the transaction stays short: call it again while it returns much.
#[derive(Debug, Clone)]
pub struct SweepTokens {
    /// How long to keep what has ended.
    pub keep: Duration,
}

impl Write for SweepTokens {
    type Output = u64;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<u64, WriteError> {
        let before = Utc::now() - TimeDelta::from_std(self.keep).unwrap_or(TimeDelta::days(30));
        let mut gone = lockout::sweep(tx).await?;
        for statement in [
            "DELETE FROM refresh_tokens WHERE id IN
                 (SELECT id FROM refresh_tokens WHERE expires_at < $1 LIMIT $2)",
            "DELETE FROM user_sessions WHERE id IN
                 (SELECT s.id FROM user_sessions s
                  WHERE s.last_seen_at < $1 AND s.created_at < $1
                    AND NOT EXISTS (SELECT FROM refresh_tokens r WHERE r.session_id = s.id) LIMIT $2)",
            "DELETE FROM email_verification_tokens WHERE id IN
                 (SELECT id FROM email_verification_tokens WHERE expires_at < $1 LIMIT $2)",
        ] {
            gone += sqlx::query(statement)
                .bind(before)
                .bind(SWEEP_ROWS)
                .execute(&mut **tx)
                .await?
                .rows_affected();
        }
        Ok(gone)
    }
}

async fn insert(
    tx: &mut PgConnection,
    id: &str,
    owner: &Owner,
    token: &TokenHash,
    expires_at: DateTime<Utc>,
) -> Result<(), WriteError> {
    sqlx::query(
        "INSERT INTO refresh_tokens (id, token, user_id, session_id, family_id, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(id)
    .bind(token)
    .bind(&owner.user_id)
    .bind(&owner.session_id)
    .bind(&owner.family_id)
    .bind(expires_at)
    .execute(tx)
    .await?;
    Ok(())
}

async fn revoke_family(tx: &mut PgConnection, owner: &Owner) -> Result<(), WriteError> {
    sqlx::query("UPDATE refresh_tokens SET revoked_at = now() WHERE family_id = $1 AND revoked_at IS NULL")
        .bind(&owner.family_id)
        .execute(&mut *tx)
        .await?;
    sqlx::query("UPDATE user_sessions SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL")
        .bind(&owner.session_id)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// Ends the sign-ins of a person and all their refresh tokens, but of the session to keep.
pub(super) async fn revoke_user(
    tx: &mut PgConnection,
    user_id: &str,
    keep: Option<&str>,
) -> Result<Vec<String>, WriteError> {
    // Sessions before tokens, as everywhere, and by id.
    let ended = sqlx::query_scalar(
        "UPDATE user_sessions s SET revoked_at = now()
         FROM (SELECT id FROM user_sessions
               WHERE user_id = $1 AND revoked_at IS NULL AND id IS DISTINCT FROM $2
               ORDER BY id FOR NO KEY UPDATE) i
         WHERE s.id = i.id RETURNING s.id",
    )
    .bind(user_id)
    .bind(keep)
    .fetch_all(&mut *tx)
    .await?;
    sqlx::query(
        "UPDATE refresh_tokens SET revoked_at = now()
         WHERE user_id = $1 AND revoked_at IS NULL AND session_id IS DISTINCT FROM $2",
    )
    .bind(user_id)
    .bind(keep)
    .execute(tx)
    .await?;
    Ok(ended)
}
