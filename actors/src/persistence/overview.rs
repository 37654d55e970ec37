//! What there is in all, for operators.

use std::collections::BTreeMap;

use sqlx::PgPool;

use super::clusters::{self, ClusterWithLoad};
use super::error::ReadError;
use super::words::EnvironmentStatus;

/// What there is in all.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Environments that are not terminated, by their status.
    pub environments: BTreeMap<EnvironmentStatus, i64>,
    /// Mails that are to be sent.
    pub mails_queued: i64,
    /// Mails that were given up.
    pub mails_dead: i64,
    /// All clusters, by name.
    pub clusters: Vec<ClusterWithLoad>,
}

/// Counts.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn counts(pool: &PgPool) -> Result<Counts, ReadError> {
    let environments: Vec<(EnvironmentStatus, i64)> = sqlx::query_as(
        "SELECT status, count(*) FROM environments WHERE status <> 'TERMINATED' GROUP BY status",
    )
    .fetch_all(pool)
    .await?;
    let (mails_queued, mails_dead) = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE state = 'WAITING'), count(*) FILTER (WHERE state = 'DEAD')
         FROM outgoing_mails",
    )
    .fetch_one(pool)
    .await?;
    let clusters = clusters::list(pool, None).await?;
    Ok(Counts { environments: environments.into_iter().collect(), mails_queued, mails_dead, clusters })
}
