//! Questions about environments.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgPool};

use super::{Environment, EnvironmentView};
use crate::persistence::Page;
use crate::persistence::error::ReadError;
use crate::persistence::words::{DesiredState, EnvironmentStatus};

/// An [`EnvironmentView`], with a condition and an order.
macro_rules! view {
    ($rest:literal) => {
        concat!(
            "SELECT e.*, t.name AS template_name, t.display_name AS template_display_name,
                    t.description AS template_description, t.category AS template_category,
                    t.tags AS template_tags, t.install_commands, t.startup_commands, t.placement,
                    u.subscription_plan AS owner_plan,
                    c.name AS cluster_name, c.region AS cluster_region
             FROM environments e
             JOIN users u ON u.id = e.user_id
             JOIN templates t ON t.id = e.template_id
             JOIN clusters c ON c.id = e.cluster_id ",
            $rest
        )
    };
}

/// Which environments to list.
#[derive(Debug, Clone, Default)]
pub struct EnvironmentFilter {
    /// Only of that person; `None` (for administrators): of everybody.
    pub user_id: Option<String>,
    /// Only with that status. The only way to see terminated ones.
    pub status: Option<EnvironmentStatus>,
    /// Only made of that template (id or name).
    pub template: Option<String>,
}

/// A page of environments, newest change first; and how many there are in all.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn list(
    pool: &PgPool,
    filter: &EnvironmentFilter,
    page: Page,
) -> Result<(Vec<EnvironmentView>, i64), ReadError> {
    let rows: Vec<EnvironmentView> = sqlx::query_as(view!(
        "WHERE ($1::text IS NULL OR e.user_id = $1)
           AND (e.status = $2 OR ($2 IS NULL AND e.status <> 'TERMINATED'))
           AND ($3::text IS NULL OR t.id = $3 OR t.name = $3)
         ORDER BY e.updated_at DESC, e.id LIMIT $4 OFFSET $5"
    ))
    .bind(&filter.user_id)
    .bind(filter.status)
    .bind(&filter.template)
    .bind(page.limit())
    .bind(page.offset())
    .fetch_all(pool)
    .await?;
    // A page that is not full tells how many there are, and few people have more than one.
    let found = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    if found < page.limit() && (found > 0 || page.offset == 0) {
        return Ok((rows, page.offset() + found));
    }
    let total = sqlx::query_scalar(
        "SELECT count(*) FROM environments e JOIN templates t ON t.id = e.template_id
         WHERE ($1::text IS NULL OR e.user_id = $1)
           AND (e.status = $2 OR ($2 IS NULL AND e.status <> 'TERMINATED'))
           AND ($3::text IS NULL OR t.id = $3 OR t.name = $3)",
    )
    .bind(&filter.user_id)
    .bind(filter.status)
    .bind(&filter.template)
    .fetch_one(pool)
    .await?;
    Ok((rows, total))
}

/// The environment with that id, also a terminated one. Whether the person who asks may see
/// it is for the caller to decide: `environment.user_id` says whose it is.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn by_id(pool: &PgPool, id: &str) -> Result<Option<EnvironmentView>, ReadError> {
    Ok(sqlx::query_as(view!("WHERE e.id = $1")).bind(id).fetch_optional(pool).await?)
}

/// Every environment that is not terminated, by owner: what a starting server looks after.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn all_live(pool: &PgPool) -> Result<Vec<Environment>, ReadError> {
    Ok(sqlx::query_as(
        "SELECT * FROM environments WHERE status <> 'TERMINATED' ORDER BY user_id, created_at, id",
    )
    .fetch_all(pool)
    .await?)
}

/// What became of an environment, as far as its cluster is concerned.
#[derive(Debug, Clone, FromRow)]
pub struct Fate {
    /// Which.
    pub id: String,
    /// Whose.
    pub user_id: String,
    /// Its status.
    pub status: EnvironmentStatus,
    /// What is wanted of it.
    pub desired_state: DesiredState,
    /// Whether it came up before, so that it has a volume.
    #[sqlx(rename = "installation_completed")]
    pub installed: bool,
}

/// The fates of a cluster's environments: of all that are not terminated, and of `present`.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn fates(pool: &PgPool, cluster_id: &str, present: &[String]) -> Result<Vec<Fate>, ReadError> {
    Ok(sqlx::query_as(
        "SELECT id, user_id, status, desired_state, installation_completed FROM environments
         WHERE cluster_id = $1 AND (status <> 'TERMINATED' OR id = ANY($2))",
    )
    .bind(cluster_id)
    .bind(present)
    .fetch_all(pool)
    .await?)
}

/// How many environments a person has that are not terminated.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn count_live(pool: &PgPool, user_id: &str) -> Result<i64, ReadError> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM environments WHERE user_id = $1 AND status <> 'TERMINATED'")
        .bind(user_id)
        .fetch_one(pool)
        .await?)
}

/// The same by status; statuses with none are left out.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn count_by_status(
    pool: &PgPool,
    user_id: &str,
) -> Result<Vec<(EnvironmentStatus, i64)>, ReadError> {
    Ok(sqlx::query_as(
        "SELECT status, count(*) FROM environments
         WHERE user_id = $1 AND status <> 'TERMINATED' GROUP BY status ORDER BY status",
    )
    .bind(user_id)
    .fetch_all(pool)
    .await?)
}

/// What a person did lately.
#[derive(Debug, Clone, FromRow)]
pub struct Activity {
    /// Environments made within a week.
    pub created_last_7_days: i64,
    /// Environments made within 30 days.
    pub created_last_30_days: i64,
    /// Environments used within a week.
    pub active_last_week: i64,
    /// The last use of any.
    pub last_activity_at: Option<DateTime<Utc>>,
}

/// What a person did lately, terminated environments left out.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn activity(pool: &PgPool, user_id: &str) -> Result<Activity, ReadError> {
    Ok(sqlx::query_as(
        "SELECT count(*) FILTER (WHERE created_at > now() - interval '7 days') AS created_last_7_days,
                count(*) FILTER (WHERE created_at > now() - interval '30 days') AS created_last_30_days,
                count(*) FILTER (WHERE last_activity_at > now() - interval '7 days') AS active_last_week,
                max(last_activity_at) AS last_activity_at
         FROM environments WHERE user_id = $1 AND status <> 'TERMINATED'",
    )
    .bind(user_id)
    .fetch_one(pool)
    .await?)
}
