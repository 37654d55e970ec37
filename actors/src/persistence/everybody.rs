//! Environments and terminal sessions of everybody, as administrators look for them.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgPool};

use super::Page;
use super::error::ReadError;
use super::like::containing;
use super::words::EnvironmentStatus;

/// What both lists may be narrowed by; `None` is any.
#[derive(Debug, Clone, Default)]
pub struct Common {
    /// A part of a name, of the owner's user name or of an id, in any case.
    pub search: Option<String>,
    /// Whose: an id or a user name.
    pub user: Option<String>,
    /// On which cluster: an id or a name.
    pub cluster: Option<String>,
}

/// Those that are among these ids, or those that are not: what the database does not know.
#[derive(Debug, Clone, Default)]
pub struct Among {
    /// Whether they are; `None`: it does not matter.
    pub are: Option<bool>,
    /// The ids.
    pub ids: Vec<String>,
}

/// An environment of somebody.
#[derive(Debug, Clone, FromRow)]
#[allow(missing_docs, reason = "named after the columns they come from")]
pub struct SomebodysEnvironment {
    pub id: String,
    pub name: String,
    pub user_id: String,
    pub username: String,
    pub cluster_id: String,
    pub cluster_name: String,
    pub template: String,
    pub status: EnvironmentStatus,
    pub status_reason: Option<String>,
    /// Live ones.
    pub sessions: i64,
    pub created_at: DateTime<Utc>,
    pub last_activity_at: Option<DateTime<Utc>>,
}

/// A question with the parameters that all conditions here have, $1 to $6.
macro_rules! asked {
    ($query:expr, $search:expr, $common:expr, $own:expr, $among:expr) => {
        $query
            .bind(&$search)
            .bind(&$common.user)
            .bind(&$common.cluster)
            .bind($own)
            .bind($among.are)
            .bind(&$among.ids)
    };
}

/// A question about environments: what of them, and the rest behind the condition.
macro_rules! environments {
    ($what:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            $what,
            " FROM environments e
             JOIN users u ON u.id = e.user_id
             JOIN templates t ON t.id = e.template_id
             JOIN clusters c ON c.id = e.cluster_id
             WHERE ($1::text IS NULL OR e.name ILIKE $1 OR e.id ILIKE $1 OR u.username ILIKE $1)
               AND ($2::text IS NULL OR u.id = $2 OR u.username = lower($2))
               AND ($3::text IS NULL OR c.id = $3 OR c.name = $3)
               AND (e.status = $4 OR ($4 IS NULL AND e.status <> 'TERMINATED'))
               AND ($5::boolean IS NULL OR (e.id = ANY($6)) = $5) ",
            $rest
        )
    };
}

/// A page of all environments, newest first; and how many there are in all. Without a status
/// terminated ones are left out.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn environments(
    pool: &PgPool,
    common: &Common,
    status: Option<EnvironmentStatus>,
    awake: &Among,
    page: Page,
) -> Result<(Vec<SomebodysEnvironment>, i64), ReadError> {
    let search = common.search.as_deref().map(containing);
    let question = sqlx::query_as(environments!(
        "e.id, e.name, e.user_id, u.username, e.cluster_id, c.name AS cluster_name, t.name AS template,
         e.status, e.status_reason, e.created_at, e.last_activity_at,
         (SELECT count(*) FROM terminal_sessions s
          WHERE s.environment_id = e.id AND s.status <> 'TERMINATED') AS sessions",
        "ORDER BY e.created_at DESC, e.id LIMIT $7 OFFSET $8"
    ));
    let rows = asked!(question, search, common, status, awake);
    let rows = rows.bind(page.limit()).bind(page.offset()).fetch_all(pool).await?;
    let question = sqlx::query_scalar(environments!("count(*)", ""));
    let total = asked!(question, search, common, status, awake).fetch_one(pool).await?;
    Ok((rows, total))
}

/// A live terminal session of somebody.
#[derive(Debug, Clone, FromRow)]
#[allow(missing_docs, reason = "named after the columns they come from")]
pub struct SomebodysSession {
    /// The id that the outside world uses.
    pub id: String,
    pub name: String,
    pub environment_id: String,
    pub environment_name: String,
    pub user_id: String,
    pub username: String,
    pub cluster_id: String,
    pub cluster_name: String,
    pub started_at: DateTime<Utc>,
}

/// A question about live sessions: what of them, and the rest of the condition.
macro_rules! sessions {
    ($what:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            $what,
            " FROM terminal_sessions s
             JOIN environments e ON e.id = s.environment_id
             JOIN users u ON u.id = e.user_id
             JOIN clusters c ON c.id = e.cluster_id
             WHERE s.status <> 'TERMINATED'
               AND ($1::text IS NULL OR s.name ILIKE $1 OR s.session_id ILIKE $1 OR e.name ILIKE $1
                    OR u.username ILIKE $1)
               AND ($2::text IS NULL OR u.id = $2 OR u.username = lower($2))
               AND ($3::text IS NULL OR c.id = $3 OR c.name = $3)
               AND ($4::text IS NULL OR e.id = $4 OR e.name = $4)
               AND ($5::boolean IS NULL OR (s.session_id = ANY($6)) = $5) ",
            $rest
        )
    };
}

/// A page of all live sessions, newest first, of all environments or of one (by id or name); and
/// how many there are in all.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn sessions(
    pool: &PgPool,
    common: &Common,
    environment: Option<&str>,
    slow: &Among,
    page: Page,
) -> Result<(Vec<SomebodysSession>, i64), ReadError> {
    let search = common.search.as_deref().map(containing);
    let question = sqlx::query_as(sessions!(
        "s.session_id AS id, s.name, e.id AS environment_id, e.name AS environment_name,
         u.id AS user_id, u.username, c.id AS cluster_id, c.name AS cluster_name, s.started_at",
        "ORDER BY s.started_at DESC, s.id LIMIT $7 OFFSET $8"
    ));
    let rows = asked!(question, search, common, environment, slow);
    let rows = rows.bind(page.limit()).bind(page.offset()).fetch_all(pool).await?;
    let question = sqlx::query_scalar(sessions!("count(*)", ""));
    let total = asked!(question, search, common, environment, slow).fetch_one(pool).await?;
    Ok((rows, total))
}

/// Whose a live session is: its environment and the environment's owner, by id.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn place_of_session(
    pool: &PgPool,
    session_id: &str,
) -> Result<Option<(String, String)>, ReadError> {
    Ok(sqlx::query_as(
        "SELECT e.id, e.user_id FROM terminal_sessions s JOIN environments e ON e.id = s.environment_id
         WHERE s.session_id = $1 AND s.status <> 'TERMINATED'",
    )
    .bind(session_id)
    .fetch_optional(pool)
    .await?)
}
