//! Clusters.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgPool, PgTransaction};

use super::engine::Write;
use super::error::{ReadError, WriteError};
use super::secrets::Hidden;
use super::words::{ClusterStatus, RuntimeKind};

/// A cluster. The kubeconfig is sealed; whoever opens it holds the key.
#[derive(Debug, Clone, FromRow)]
#[allow(missing_docs, reason = "the columns are described in migrations/0002_environments.sql")]
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
}

/// All clusters, by name.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn list(pool: &PgPool) -> Result<Vec<ClusterWithLoad>, ReadError> {
    Ok(sqlx::query_as(
        "SELECT c.*, (SELECT count(*) FROM environments e
                      WHERE e.cluster_id = c.id AND e.status <> 'TERMINATED') AS active_environments
         FROM clusters c ORDER BY c.name",
    )
    .fetch_all(pool)
    .await?)
}

/// The cluster with that id or that name.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn by_id_or_name(pool: &PgPool, key: &str) -> Result<Option<ClusterWithLoad>, ReadError> {
    Ok(sqlx::query_as(
        "SELECT c.*, (SELECT count(*) FROM environments e
                      WHERE e.cluster_id = c.id AND e.status <> 'TERMINATED') AS active_environments
         FROM clusters c WHERE c.id = $1 OR c.name = $1 ORDER BY (c.id = $1) DESC LIMIT 1",
    )
    .bind(key)
    .fetch_optional(pool)
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

/// Removes a cluster nothing was ever made on. `Refused` while rows of environments,
/// also terminated ones, refer to it: set it `INACTIVE` instead.
#[derive(Debug, Clone)]
pub struct DeleteCluster {
    /// Which.
    pub id: String,
}

impl Write for DeleteCluster {
    type Output = ();

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<(), WriteError> {
        let used: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM environments WHERE cluster_id = $1)")
            .bind(&self.id)
            .fetch_one(&mut **tx)
            .await?;
        if used {
            return Err(WriteError::Refused { why: "environments use this cluster" });
        }
        let gone = sqlx::query("DELETE FROM clusters WHERE id = $1").bind(self.id).execute(&mut **tx).await?;
        if gone.rows_affected() == 0 {
            return Err(WriteError::NotFound { what: "cluster" });
        }
        Ok(())
    }
}
