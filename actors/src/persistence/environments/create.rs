//! Making an environment: every rule about it is checked where it cannot be raced.

use sqlx::types::Json;
use sqlx::{FromRow, PgTransaction};

use super::Environment;
use crate::persistence::engine::Write;
use crate::persistence::error::WriteError;
use crate::persistence::secrets::Variables;
use crate::persistence::words::Plan;
use crate::plans::{Plans, Wish};

/// `constraint` of the `Conflict` for a name that is taken.
pub const NAME_TAKEN: &str = "environments_user_id_name_live";

/// Writes a new environment, status CREATING, wanted RUNNING.
///
/// In this order: `NotFound("user")`, `LimitReached`, `BeyondPlan`, `Conflict(`[`NAME_TAKEN`]`)`,
/// `NotFound("template")` (also for a deprecated one), `NotFound("cluster")` (also for one that
/// takes nothing new), `Refused` when the cluster is full.
#[derive(Debug, Clone)]
pub struct CreateEnvironment {
    /// New id.
    pub id: String,
    /// Owner.
    pub user_id: String,
    /// Name, already checked for its form.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Template, by id or name.
    pub template: String,
    /// Cluster, by id or name; `None`: the default one, else any that takes something.
    pub cluster: Option<String>,
    /// CPU; `None`: the template's, as far as the owner's plan goes.
    pub cpu: Option<String>,
    /// Memory; `None`: likewise.
    pub memory: Option<String>,
    /// Volume; `None`: likewise.
    pub storage: Option<String>,
    /// Added to the template's; the owner's win.
    pub variables: Variables,
    /// What each plan allows.
    pub plans: Plans,
}

#[derive(FromRow)]
struct Basis {
    id: String,
    docker_image: String,
    default_port: i32,
    default_resources_cpu: String,
    default_resources_memory: String,
    default_resources_storage: String,
    #[sqlx(json)]
    environment_variables: Variables,
}

impl Write for CreateEnvironment {
    type Output = Environment;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<Environment, WriteError> {
        // The owner's row is the lock: of two requests of one person the second counts after
        // the first was committed. Requests of different people do not meet.
        let plan: Plan = sqlx::query_scalar(
            "SELECT subscription_plan FROM users WHERE id = $1 AND is_active FOR NO KEY UPDATE",
        )
        .bind(&self.user_id)
        .fetch_optional(&mut **tx)
        .await?
        .ok_or(WriteError::NotFound { what: "user" })?;
        let allowance = *self.plans.of(plan);
        let (live, taken): (i64, bool) = sqlx::query_as(
            "SELECT count(*), COALESCE(bool_or(name = $2), false)
             FROM environments WHERE user_id = $1 AND status <> 'TERMINATED'",
        )
        .bind(&self.user_id)
        .bind(&self.name)
        .fetch_one(&mut **tx)
        .await?;
        if live >= i64::from(allowance.environments) {
            return Err(WriteError::LimitReached { limit: allowance.environments });
        }
        let wish = Wish {
            cpu: self.cpu.as_deref(),
            memory: self.memory.as_deref(),
            storage: self.storage.as_deref(),
        };
        allowance.check(plan, wish).map_err(WriteError::BeyondPlan)?;
        if taken {
            return Err(WriteError::Conflict { constraint: NAME_TAKEN.to_owned() });
        }
        let basis: Basis = sqlx::query_as(
            "UPDATE templates SET usage_count = usage_count + 1
             WHERE id = (SELECT id FROM templates
                         WHERE (id = $1 OR name = $1) AND status IN ('ACTIVE', 'BETA')
                         ORDER BY (id = $1) DESC LIMIT 1)
             RETURNING id, docker_image, default_port, default_resources_cpu,
                       default_resources_memory, default_resources_storage, environment_variables",
        )
        .bind(&self.template)
        .fetch_optional(&mut **tx)
        .await?
        .ok_or(WriteError::NotFound { what: "template" })?;
        let cluster_id = self.pick_cluster(tx).await?;
        let mut variables = basis.environment_variables;
        variables.0.extend(self.variables.0);
        Ok(sqlx::query_as(
            "INSERT INTO environments (id, name, description, user_id, template_id, cluster_id,
                 docker_image, port, resources_cpu, resources_memory, resources_storage,
                 environment_variables)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING *",
        )
        .bind(self.id)
        .bind(self.name)
        .bind(self.description)
        .bind(self.user_id)
        .bind(basis.id)
        .bind(cluster_id)
        .bind(basis.docker_image)
        .bind(basis.default_port)
        .bind(self.cpu.unwrap_or_else(|| allowance.at_most_cpu(basis.default_resources_cpu)))
        .bind(self.memory.unwrap_or_else(|| allowance.at_most_memory(basis.default_resources_memory)))
        .bind(self.storage.unwrap_or_else(|| allowance.at_most_storage(basis.default_resources_storage)))
        .bind(Json(variables))
        .fetch_one(&mut **tx)
        .await?)
    }
}

impl CreateEnvironment {
    /// Named, or the default, or the emptiest. The number of places is a guide for operators,
    /// not a promise, so it is not locked: two people may take the last place together.
    async fn pick_cluster(&self, tx: &mut PgTransaction<'_>) -> Result<String, WriteError> {
        let picked: Option<(String, bool)> = sqlx::query_as(
            "SELECT c.id, c.places > 0 FROM (
                 SELECT c.id, c.is_default, c.name,
                        c.max_environments - (SELECT count(*) FROM environments e
                                              WHERE e.cluster_id = c.id AND e.status <> 'TERMINATED') AS places
                 FROM clusters c
                 WHERE c.status = 'ACTIVE' AND ($1::text IS NULL OR c.id = $1 OR c.name = $1)) c
             ORDER BY (c.id = $1) DESC NULLS LAST, c.places > 0 DESC, c.is_default DESC, c.places DESC, c.name
             LIMIT 1",
        )
        .bind(&self.cluster)
        .fetch_optional(&mut **tx)
        .await?;
        match picked {
            Some((id, true)) => Ok(id),
            Some((_, false)) => Err(WriteError::Refused { why: "the cluster is full" }),
            None => Err(WriteError::NotFound { what: "cluster" }),
        }
    }
}
