//! Terminal sessions.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{FromRow, PgPool, PgTransaction};

use super::engine::Write;
use super::error::{ReadError, WriteError};
use super::words::SessionStatus;

/// A terminal session.
#[derive(Debug, Clone, FromRow)]
#[allow(missing_docs, reason = "the columns are described in migrations/0002_environments.sql")]
pub struct TerminalSession {
    pub id: String,
    pub environment_id: String,
    pub session_id: String,
    pub name: String,
    pub status: SessionStatus,
    pub client_info: Option<Value>,
    pub cols: i32,
    pub rows: i32,
    pub exit: Option<Value>,
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    pub last_activity_at: Option<DateTime<Utc>>,
}

/// The sessions of an environment that have not ended, oldest first.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn live(pool: &PgPool, environment_id: &str) -> Result<Vec<TerminalSession>, ReadError> {
    Ok(sqlx::query_as(
        "SELECT * FROM terminal_sessions WHERE environment_id = $1 AND status <> 'TERMINATED'
         ORDER BY started_at, id",
    )
    .bind(environment_id)
    .fetch_all(pool)
    .await?)
}

/// The newest `limit` sessions of an environment that ended after `since`, the last one first.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn ended(
    pool: &PgPool,
    environment_id: &str,
    since: DateTime<Utc>,
    limit: usize,
) -> Result<Vec<TerminalSession>, ReadError> {
    Ok(sqlx::query_as(
        "SELECT * FROM terminal_sessions
         WHERE environment_id = $1 AND status = 'TERMINATED' AND ended_at > $2
         ORDER BY ended_at DESC, id LIMIT $3",
    )
    .bind(environment_id)
    .bind(since)
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await?)
}

/// All sessions that have not ended: what a starting server takes up again.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn all_live(pool: &PgPool) -> Result<Vec<TerminalSession>, ReadError> {
    Ok(sqlx::query_as(
        "SELECT * FROM terminal_sessions WHERE status <> 'TERMINATED'
         ORDER BY environment_id, started_at, id",
    )
    .fetch_all(pool)
    .await?)
}

/// The session with that outside id.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn by_session_id(pool: &PgPool, session_id: &str) -> Result<Option<TerminalSession>, ReadError> {
    Ok(sqlx::query_as("SELECT * FROM terminal_sessions WHERE session_id = $1")
        .bind(session_id)
        .fetch_optional(pool)
        .await?)
}

/// A new session. `Conflict` (`terminal_sessions_name_live`) when a live one of the
/// environment has the name.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "fields are the columns")]
pub struct CreateTerminalSession {
    pub id: String,
    pub environment_id: String,
    pub session_id: String,
    pub name: String,
    pub cols: u16,
    pub rows: u16,
    pub client_info: Option<Value>,
}

impl Write for CreateTerminalSession {
    type Output = TerminalSession;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<TerminalSession, WriteError> {
        Ok(sqlx::query_as(
            "INSERT INTO terminal_sessions
                 (id, environment_id, session_id, name, cols, rows, client_info, last_activity_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, now()) RETURNING *",
        )
        .bind(self.id)
        .bind(self.environment_id)
        .bind(self.session_id)
        .bind(self.name)
        .bind(i32::from(self.cols))
        .bind(i32::from(self.rows))
        .bind(self.client_info)
        .fetch_one(&mut **tx)
        .await?)
    }
}

/// A session has ended. True: it had not before; how it ended first is what is kept.
#[derive(Debug, Clone)]
pub struct EndTerminalSession {
    /// Its row's id.
    pub id: String,
    /// Exit code, signal or reason.
    pub exit: Value,
}

impl Write for EndTerminalSession {
    type Output = bool;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<bool, WriteError> {
        let ended = sqlx::query(
            "UPDATE terminal_sessions SET status = 'TERMINATED', ended_at = now(), exit = $2
             WHERE id = $1 AND status <> 'TERMINATED'",
        )
        .bind(self.id)
        .bind(self.exit)
        .execute(&mut **tx)
        .await?;
        Ok(ended.rows_affected() > 0)
    }
}

/// All sessions of an environment have ended: its pod is gone. Returns their row ids.
#[derive(Debug, Clone)]
pub struct EndEnvironmentSessions {
    /// Whose.
    pub environment_id: String,
    /// The reason.
    pub exit: Value,
}

impl Write for EndEnvironmentSessions {
    type Output = Vec<String>;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<Vec<String>, WriteError> {
        Ok(sqlx::query_scalar(
            "UPDATE terminal_sessions SET status = 'TERMINATED', ended_at = now(), exit = $2
             WHERE environment_id = $1 AND status <> 'TERMINATED' RETURNING id",
        )
        .bind(self.environment_id)
        .bind(self.exit)
        .fetch_all(&mut **tx)
        .await?)
    }
}
