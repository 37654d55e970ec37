//! Clusters.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgPool, PgTransaction};

use super::Page;
use super::engine::Write;
use super::error::{ReadError, WriteError};
use super::ids::new_id;
use super::secrets::Hidden;
use super::words::{ClusterRole, ClusterStatus, EnvironmentStatus, RuntimeKind};

/// A cluster. The kubeconfig is sealed; whoever opens it holds the key.
#[derive(Debug, Clone, FromRow)]
#[allow(missing_docs, reason = "the columns are described in migrations/0002_environments.sql and 0006")]
pub struct Cluster {
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    pub provider: String,
    pub region: String,
    pub kubeconfig: Hidden,
    pub runtime: RuntimeKind,
    pub status: ClusterStatus,
    pub is_default: bool,
    pub node_count: i32,
    pub max_environments: i32,
    pub restricted: bool,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// A cluster with the number of environments that are not terminated on it.
#[derive(Debug, Clone, FromRow)]
pub struct ClusterWithLoad {
    /// The row.
    #[sqlx(flatten)]
    pub cluster: Cluster,
    /// Environments on it.
    pub active_environments: i64,
    /// What whoever asks was granted there, if they were.
    pub viewer_role: Option<ClusterRole>,
}

/// A [`ClusterWithLoad`], with a condition and an order. $1 is who asks: those clusters alone that
/// they may use; NULL: all.
macro_rules! with_load {
    ($rest:literal) => {
        concat!(
            "SELECT c.*, (SELECT count(*) FROM environments e
                          WHERE e.cluster_id = c.id AND e.status <> 'TERMINATED') AS active_environments,
                    g.role AS viewer_role
             FROM clusters c
             LEFT JOIN user_clusters g ON g.cluster_id = c.id AND g.user_id = $1
             WHERE c.deleted_at IS NULL
               AND ($1::text IS NULL OR NOT c.restricted OR g.id IS NOT NULL) ",
            $rest
        )
    };
}

/// All clusters, by name; for a viewer, those that they may use.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn list(pool: &PgPool, viewer: Option<&str>) -> Result<Vec<ClusterWithLoad>, ReadError> {
    Ok(sqlx::query_as(with_load!("ORDER BY c.name")).bind(viewer).fetch_all(pool).await?)
}

/// The cluster with that id or that name.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn by_id_or_name(pool: &PgPool, key: &str) -> Result<Option<ClusterWithLoad>, ReadError> {
    visible(pool, key, None).await
}

/// The same, for a viewer: if they may use it.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn visible(
    pool: &PgPool,
    key: &str,
    viewer: Option<&str>,
) -> Result<Option<ClusterWithLoad>, ReadError> {
    Ok(sqlx::query_as(with_load!("AND (c.id = $2 OR c.name = $2) ORDER BY (c.id = $2) DESC LIMIT 1"))
        .bind(viewer)
        .bind(key)
        .fetch_optional(pool)
        .await?)
}

/// An environment on a cluster, with its owner.
#[derive(Debug, Clone, FromRow)]
#[allow(missing_docs, reason = "named after the columns they come from")]
pub struct RecentEnvironment {
    pub id: String,
    pub name: String,
    pub status: EnvironmentStatus,
    pub user_id: String,
    pub username: String,
    pub email: String,
    pub created_at: DateTime<Utc>,
}

/// The newest environments on a cluster that are not terminated; of one owner, if `owner` says so.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn recent_environments(
    pool: &PgPool,
    cluster: &str,
    owner: Option<&str>,
    limit: u32,
) -> Result<Vec<RecentEnvironment>, ReadError> {
    Ok(sqlx::query_as(
        "SELECT e.id, e.name, e.status, e.user_id, u.username, u.email, e.created_at
         FROM environments e JOIN users u ON u.id = e.user_id
         WHERE e.cluster_id = $1 AND e.status <> 'TERMINATED' AND ($2::text IS NULL OR e.user_id = $2)
         ORDER BY e.created_at DESC, e.id LIMIT $3",
    )
    .bind(cluster)
    .bind(owner)
    .bind(Page { limit, offset: 0 }.limit())
    .fetch_all(pool)
    .await?)
}

/// Makes a cluster, or changes the one with that id. `Conflict` when another has the name.
/// The new default takes that place from the old one.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "fields are the columns")]
pub struct UpsertCluster {
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    pub provider: String,
    pub region: String,
    pub kubeconfig: Hidden,
    pub runtime: RuntimeKind,
    pub status: ClusterStatus,
    pub is_default: bool,
    pub node_count: i32,
    pub max_environments: i32,
}

impl Write for UpsertCluster {
    type Output = Cluster;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<Cluster, WriteError> {
        if self.is_default {
            sqlx::query("UPDATE clusters SET is_default = false WHERE is_default AND id <> $1")
                .bind(&self.id)
                .execute(&mut **tx)
                .await?;
        }
        Ok(sqlx::query_as(
            "INSERT INTO clusters (id, name, description, provider, region, kubeconfig, runtime,
                                   status, is_default, node_count, max_environments)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
             ON CONFLICT (id) DO UPDATE
             SET name = excluded.name, description = excluded.description,
                 provider = excluded.provider, region = excluded.region,
                 kubeconfig = excluded.kubeconfig, runtime = excluded.runtime,
                 status = excluded.status, is_default = excluded.is_default,
                 node_count = excluded.node_count, max_environments = excluded.max_environments,
                 updated_at = now()
             RETURNING *",
        )
        .bind(self.id)
        .bind(self.name)
        .bind(self.description)
        .bind(self.provider)
        .bind(self.region)
        .bind(self.kubeconfig)
        .bind(self.runtime)
        .bind(self.status)
        .bind(self.is_default)
        .bind(self.node_count)
        .bind(self.max_environments)
        .fetch_one(&mut **tx)
        .await?)
    }
}

/// What of a cluster is to change; `None` stays. A new default takes that place from the old one.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "fields are the columns")]
pub struct ClusterEdit {
    pub name: Option<String>,
    pub description: Option<Option<String>>,
    pub provider: Option<String>,
    pub region: Option<String>,
    /// Sealed.
    pub kubeconfig: Option<Hidden>,
    pub status: Option<ClusterStatus>,
    pub is_default: Option<bool>,
    pub max_environments: Option<i32>,
    pub restricted: Option<bool>,
}

/// Changes a cluster. `Conflict` when another has the name.
#[derive(Debug, Clone)]
pub struct ChangeCluster {
    /// Which.
    pub id: String,
    /// What changes.
    pub edit: ClusterEdit,
}

impl Write for ChangeCluster {
    type Output = Cluster;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<Cluster, WriteError> {
        let Self { id, edit } = self;
        if edit.is_default == Some(true) {
            sqlx::query("UPDATE clusters SET is_default = false WHERE is_default AND id <> $1")
                .bind(&id)
                .execute(&mut **tx)
                .await?;
        }
        sqlx::query_as(
            "UPDATE clusters
             SET name = COALESCE($2, name), description = CASE WHEN $3 THEN $4 ELSE description END,
                 provider = COALESCE($5, provider), region = COALESCE($6, region),
                 kubeconfig = COALESCE($7, kubeconfig), status = COALESCE($8, status),
                 is_default = COALESCE($9, is_default),
                 max_environments = COALESCE($10, max_environments),
                 restricted = COALESCE($11, restricted), updated_at = now()
             WHERE id = $1 AND deleted_at IS NULL RETURNING *",
        )
        .bind(id)
        .bind(edit.name)
        .bind(edit.description.is_some())
        .bind(edit.description.flatten())
        .bind(edit.provider)
        .bind(edit.region)
        .bind(edit.kubeconfig)
        .bind(edit.status)
        .bind(edit.is_default)
        .bind(edit.max_environments)
        .bind(edit.restricted)
        .fetch_optional(&mut **tx)
        .await?
        .ok_or(GONE)
    }
}

const GONE: WriteError = WriteError::NotFound { what: "cluster" };

/// Removes a cluster. `Refused` while environments that are not terminated are on it. What is
/// left of terminated ones keeps the row, without its kubeconfig and out of sight.
#[derive(Debug, Clone)]
pub struct DeleteCluster {
    /// Which.
    pub id: String,
}

impl Write for DeleteCluster {
    type Output = ();

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<(), WriteError> {
        // Whoever makes an environment there holds a share of this row's lock until it is made.
        let there: Option<String> =
            sqlx::query_scalar("SELECT id FROM clusters WHERE id = $1 AND deleted_at IS NULL FOR UPDATE")
                .bind(&self.id)
                .fetch_optional(&mut **tx)
                .await?;
        there.ok_or(GONE)?;
        let (live, ever): (bool, bool) = sqlx::query_as(
            "SELECT EXISTS (SELECT FROM environments WHERE cluster_id = $1 AND status <> 'TERMINATED'),
                    EXISTS (SELECT FROM environments WHERE cluster_id = $1)",
        )
        .bind(&self.id)
        .fetch_one(&mut **tx)
        .await?;
        if live {
            return Err(WriteError::Refused { why: "environments use this cluster" });
        }
        let sql = if ever {
            "UPDATE clusters SET deleted_at = now(), kubeconfig = '', status = 'INACTIVE', is_default = false,
                                 updated_at = now() WHERE id = $1"
        } else {
            "DELETE FROM clusters WHERE id = $1"
        };
        sqlx::query(sql).bind(self.id).execute(&mut **tx).await?;
        Ok(())
    }
}

/// Somebody who may use a cluster that is not for everybody.
#[derive(Debug, Clone, FromRow)]
#[allow(missing_docs, reason = "named after the columns they come from")]
pub struct Grant {
    pub user_id: String,
    pub username: String,
    pub role: ClusterRole,
    pub created_at: DateTime<Utc>,
}

/// Who was granted the use of a cluster, by name; of one person, if `user` says so.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn grants(pool: &PgPool, cluster: &str, user: Option<&str>) -> Result<Vec<Grant>, ReadError> {
    Ok(sqlx::query_as(
        "SELECT g.user_id, u.username, g.role, g.created_at
         FROM user_clusters g JOIN users u ON u.id = g.user_id
         WHERE g.cluster_id = $1 AND ($2::text IS NULL OR g.user_id = $2)
         ORDER BY u.username LIMIT 1000",
    )
    .bind(cluster)
    .bind(user)
    .fetch_all(pool)
    .await?)
}

/// Lets somebody use a cluster, which from then on is for those alone who were let.
/// `NotFound` when there is no such person or cluster.
#[derive(Debug, Clone)]
pub struct GrantCluster {
    /// Which cluster.
    pub cluster_id: String,
    /// Who.
    pub user_id: String,
    /// As what.
    pub role: ClusterRole,
}

impl Write for GrantCluster {
    type Output = ();

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<(), WriteError> {
        let there: Option<String> = sqlx::query_scalar("SELECT id FROM users WHERE id = $1 AND is_active")
            .bind(&self.user_id)
            .fetch_optional(&mut **tx)
            .await?;
        there.ok_or(WriteError::NotFound { what: "user" })?;
        let restricted = ChangeCluster {
            id: self.cluster_id.clone(),
            edit: ClusterEdit { restricted: Some(true), ..ClusterEdit::default() },
        };
        restricted.apply(tx).await?;
        sqlx::query(
            "INSERT INTO user_clusters (id, user_id, cluster_id, role) VALUES ($1, $2, $3, $4)
             ON CONFLICT (user_id, cluster_id) DO UPDATE SET role = excluded.role",
        )
        .bind(new_id())
        .bind(self.user_id)
        .bind(self.cluster_id)
        .bind(self.role)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}

/// Takes that back. The cluster stays closed to everybody else, also when this was the last one;
/// what the person has there stays. `NotFound` when there was no such grant.
#[derive(Debug, Clone)]
pub struct RevokeCluster {
    /// Which cluster.
    pub cluster_id: String,
    /// From whom.
    pub user_id: String,
}

impl Write for RevokeCluster {
    type Output = ();

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<(), WriteError> {
        let gone = sqlx::query("DELETE FROM user_clusters WHERE cluster_id = $1 AND user_id = $2")
            .bind(self.cluster_id)
            .bind(self.user_id)
            .execute(&mut **tx)
            .await?;
        if gone.rows_affected() == 0 {
            return Err(WriteError::NotFound { what: "grant" });
        }
        Ok(())
    }
}
