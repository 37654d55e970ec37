//! Accounts.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgPool, PgTransaction};

use super::administration::check_not_last;
use super::engine::{Write, next_sequence};
use super::error::{ReadError, WriteError};
use super::lockout::forgive;
use super::secrets::Hidden;
use super::tokens::revoke_user;
use super::words::{Plan, Role};

/// An account, as stored. Not serialisable on purpose: the edge chooses what it shows.
#[derive(Debug, Clone, FromRow)]
#[allow(missing_docs, reason = "the columns are described in migrations/0001_people.sql")]
pub struct User {
    pub id: String,
    pub email: String,
    pub username: String,
    pub full_name: String,
    pub password: Option<Hidden>,
    pub avatar_url: Option<String>,
    pub is_active: bool,
    pub is_verified: bool,
    pub email_verified_at: Option<DateTime<Utc>>,
    pub subscription_plan: Plan,
    pub role: Role,
    pub google_id: Option<String>,
    pub failed_login_attempts: i32,
    pub account_locked_until: Option<DateTime<Utc>>,
    pub last_login_at: Option<DateTime<Utc>>,
    pub last_seen_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl User {
    /// Whether somebody has locked the account by hand, so that nothing is let in at `now`.
    /// Wrong passwords don't do that: [`super::lockout`].
    #[must_use]
    pub fn is_locked(&self, now: DateTime<Utc>) -> bool {
        self.account_locked_until.is_some_and(|until| until > now)
    }
}

/// The account with that id, also an inactive one.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn by_id(pool: &PgPool, id: &str) -> Result<Option<User>, ReadError> {
    Ok(sqlx::query_as("SELECT * FROM users WHERE id = $1").bind(id).fetch_optional(pool).await?)
}

/// The name of the account with that id.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn username(pool: &PgPool, id: &str) -> Result<Option<String>, ReadError> {
    let name = sqlx::query_scalar("SELECT username FROM users WHERE id = $1").bind(id);
    Ok(name.fetch_optional(pool).await?)
}

/// An account and how many environments it has that are not terminated.
#[derive(Debug, Clone, FromRow)]
pub struct Counted {
    /// The account.
    #[sqlx(flatten)]
    pub user: User,
    /// Its environments.
    pub environments: i64,
}

/// The account with that id and the number of its environments.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn counted(pool: &PgPool, id: &str) -> Result<Option<Counted>, ReadError> {
    Ok(sqlx::query_as(
        "SELECT u.*, (SELECT count(*) FROM environments e
                      WHERE e.user_id = u.id AND e.status <> 'TERMINATED') AS environments
         FROM users u WHERE u.id = $1",
    )
    .bind(id)
    .fetch_optional(pool)
    .await?)
}

/// The account with that user name or address, in any case.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn by_username_or_email(pool: &PgPool, login: &str) -> Result<Option<User>, ReadError> {
    // A user name cannot hold an @, so at most one row answers to either.
    Ok(sqlx::query_as("SELECT * FROM users WHERE username = $1 OR email = $1 LIMIT 1")
        .bind(login.to_lowercase())
        .fetch_optional(pool)
        .await?)
}

/// How somebody stands who shows a token.
#[derive(Debug, Clone, FromRow)]
pub struct Standing {
    /// Their user name.
    pub username: String,
    /// What they pay for.
    #[sqlx(rename = "subscription_plan")]
    pub plan: Plan,
    /// What they may administer.
    pub role: Role,
    /// Whether their address is verified.
    pub is_verified: bool,
    /// Whether the account may be used, and the sign-in has not been ended.
    pub is_admitted: bool,
    /// Whether somebody has locked the account by hand.
    pub is_locked: bool,
}

/// How the person with that id stands, who came by that sign-in, if it is known. `None`: there is
/// no such account.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn standing(
    pool: &PgPool,
    id: &str,
    session_id: Option<&str>,
) -> Result<Option<Standing>, ReadError> {
    Ok(sqlx::query_as(
        "SELECT u.username, u.subscription_plan, u.role, u.is_verified,
                COALESCE(u.account_locked_until > now(), false) AS is_locked,
                u.is_active AND ($2::text IS NULL OR EXISTS (
                    SELECT FROM user_sessions s
                    WHERE s.id = $2 AND s.user_id = u.id AND s.revoked_at IS NULL)) AS is_admitted
         FROM users u WHERE u.id = $1",
    )
    .bind(id)
    .bind(session_id)
    .fetch_optional(pool)
    .await?)
}

/// Makes an account. `Conflict` names `users_email_key`, `users_username_key` or
/// `users_google_id_key`.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "fields are the columns")]
pub struct CreateUser {
    pub id: String,
    pub email: String,
    pub username: String,
    pub full_name: String,
    pub password: Option<Hidden>,
    pub avatar_url: Option<String>,
    pub is_verified: bool,
    pub subscription_plan: Plan,
    pub role: Role,
    pub google_id: Option<String>,
}

impl Write for CreateUser {
    type Output = User;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<User, WriteError> {
        Ok(sqlx::query_as(
            "INSERT INTO users (id, email, username, full_name, password, avatar_url, is_verified,
                                email_verified_at, subscription_plan, role, google_id)
             VALUES ($1, $2, $3, $4, $5, $6, $7, CASE WHEN $7 THEN now() END, $8, $9, $10)
             RETURNING *",
        )
        .bind(self.id)
        .bind(self.email.to_lowercase())
        .bind(self.username.to_lowercase())
        .bind(self.full_name)
        .bind(self.password)
        .bind(self.avatar_url)
        .bind(self.is_verified)
        .bind(self.subscription_plan)
        .bind(self.role)
        .bind(self.google_id)
        .fetch_one(&mut **tx)
        .await?)
    }
}

/// Changes what is given of a profile. `Some(None)` empties the picture.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "fields are the columns")]
pub struct UpdateUser {
    pub id: String,
    pub full_name: Option<String>,
    pub username: Option<String>,
    pub avatar_url: Option<Option<String>>,
    pub subscription_plan: Option<Plan>,
    pub role: Option<Role>,
    pub is_active: Option<bool>,
    pub google_id: Option<String>,
}

impl Write for UpdateUser {
    type Output = User;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<User, WriteError> {
        sqlx::query_as(
            "UPDATE users
             SET full_name = COALESCE($2, full_name), username = COALESCE($3, username),
                 avatar_url = CASE WHEN $4 THEN $5 ELSE avatar_url END,
                 subscription_plan = COALESCE($6, subscription_plan), role = COALESCE($7, role),
                 is_active = COALESCE($8, is_active), google_id = COALESCE($9, google_id),
                 updated_at = now()
             WHERE id = $1 RETURNING *",
        )
        .bind(self.id)
        .bind(self.full_name)
        .bind(self.username.map(|name| name.to_lowercase()))
        .bind(self.avatar_url.is_some())
        .bind(self.avatar_url.flatten())
        .bind(self.subscription_plan)
        .bind(self.role)
        .bind(self.is_active)
        .bind(self.google_id)
        .fetch_optional(&mut **tx)
        .await?
        .ok_or(WriteError::NotFound { what: "user" })
    }
}

/// The address belongs to the account.
#[derive(Debug, Clone)]
pub struct MarkVerified {
    /// Whose.
    pub user_id: String,
}

impl Write for MarkVerified {
    type Output = User;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<User, WriteError> {
        sqlx::query_as(
            "UPDATE users SET is_verified = true, email_verified_at = COALESCE(email_verified_at, now()),
                              updated_at = now()
             WHERE id = $1 RETURNING *",
        )
        .bind(self.user_id)
        .fetch_optional(&mut **tx)
        .await?
        .ok_or(WriteError::NotFound { what: "user" })
    }
}

/// Sets a new password, forgets wrong ones, and ends every sign-in but the one named: who knew the
/// old password is out.
#[derive(Debug, Clone)]
pub struct ChangePassword {
    /// Whose.
    pub user_id: String,
    /// The new hash.
    pub password: Hidden,
    /// The sign-in that may stay.
    pub keep_session: Option<String>,
}

impl Write for ChangePassword {
    type Output = ();

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<(), WriteError> {
        let changed = sqlx::query(
            "UPDATE users SET password = $2, failed_login_attempts = 0, updated_at = now() WHERE id = $1",
        )
        .bind(&self.user_id)
        .bind(self.password)
        .execute(&mut **tx)
        .await?;
        if changed.rows_affected() == 0 {
            return Err(WriteError::NotFound { what: "user" });
        }
        forgive(tx, &self.user_id).await?;
        revoke_user(tx, &self.user_id, self.keep_session.as_deref()).await?;
        Ok(())
    }
}

/// Deletes an account as far as the person is concerned: nothing that tells who it was is
/// left, its sign-ins end, its environments are wanted gone. The row stays, as others refer
/// to it. Returns the ids of the environments to take down. `Refused` for the last administrator.
#[derive(Debug, Clone)]
pub struct DeleteUser {
    /// Whose.
    pub user_id: String,
}

impl Write for DeleteUser {
    type Output = Vec<String>;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<Vec<String>, WriteError> {
        check_not_last(tx, &self.user_id).await?;
        let changed = sqlx::query(
            "UPDATE users
             SET is_active = false, email = 'deleted_' || id || '@devpocket.deleted',
                 username = 'deleted_' || id, full_name = 'Deleted User', password = NULL,
                 avatar_url = NULL, google_id = NULL, updated_at = now()
             WHERE id = $1",
        )
        .bind(&self.user_id)
        .execute(&mut **tx)
        .await?;
        if changed.rows_affected() == 0 {
            return Err(WriteError::NotFound { what: "user" });
        }
        revoke_user(tx, &self.user_id, None).await?;
        // Only wanted gone: they are marked as gone when their objects are.
        let environments: Vec<String> = sqlx::query_scalar(
            "UPDATE environments e
             SET desired_state = 'TERMINATED', desired_generation = e.desired_generation + 1,
                 status = 'STOPPING', status_reason = NULL,
                 status_sequence = GREATEST(e.status_sequence, $2), updated_at = now()
             FROM (SELECT id FROM environments WHERE user_id = $1 AND status <> 'TERMINATED'
                   ORDER BY id FOR NO KEY UPDATE) i
             WHERE e.id = i.id RETURNING e.id",
        )
        .bind(&self.user_id)
        .bind(next_sequence())
        .fetch_all(&mut **tx)
        .await?;
        Ok(environments)
    }
}
