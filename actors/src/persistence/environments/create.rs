//! Making an environment: every rule about it is checked where it cannot be raced.

use sqlx::types::Json;
use sqlx::{FromRow, PgTransaction};

use super::Environment;
use crate::persistence::engine::Write;
use crate::persistence::error::WriteError;
use crate::persistence::secrets::Variables;
use crate::persistence::variables::{KeptVariables, Sealing};
use crate::persistence::words::{ClusterStatus, Plan};
use crate::plans::{Plans, Wish};

/// `constraint` of the `Conflict` for a name that is taken.
pub const NAME_TAKEN: &str = "environments_user_id_name_live";

/// Writes a new environment, status CREATING, wanted RUNNING.
///
/// In this order: `NotFound("user")`, `LimitReached`, `BeyondPlan`, `Conflict(`[`NAME_TAKEN`]`)`,
/// `NotFound("template")` (also for a deprecated one), `NotFound("cluster")` (also for one that the
/// owner may not use), `Refused` when the cluster is full or takes nothing new.
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
    /// Cluster, by id or name; `None`: of those with room, one of the wished region, else of the
    /// owner's preferred one, else the operator's preferred cluster, else the default, else the emptiest.
    pub cluster: Option<String>,
    /// Where it should be, if there is room.
    pub region: Option<String>,
    /// The operator's preference, by id or name.
    pub preferred_cluster: Option<String>,
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

impl Write for Sealing<CreateEnvironment> {
    type Output = Environment;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<Environment, WriteError> {
        let Self { write: new, vault } = self;
        // The owner's row is the lock: of two requests of one person the second counts after
        // the first was committed. Requests of different people do not meet.
        let plan: Plan = sqlx::query_scalar(
            "SELECT subscription_plan FROM users WHERE id = $1 AND is_active FOR NO KEY UPDATE",
        )
        .bind(&new.user_id)
        .fetch_optional(&mut **tx)
        .await?
        .ok_or(WriteError::NotFound { what: "user" })?;
        let allowance = *new.plans.of(plan);
        let (live, taken): (i64, bool) = sqlx::query_as(
            "SELECT count(*), COALESCE(bool_or(name = $2), false)
             FROM environments WHERE user_id = $1 AND status <> 'TERMINATED'",
        )
        .bind(&new.user_id)
        .bind(&new.name)
        .fetch_one(&mut **tx)
        .await?;
        if live >= i64::from(allowance.environments) {
            return Err(WriteError::LimitReached { limit: allowance.environments });
        }
        let wish =
            Wish { cpu: new.cpu.as_deref(), memory: new.memory.as_deref(), storage: new.storage.as_deref() };
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
        .bind(&new.template)
        .fetch_optional(&mut **tx)
        .await?
        .ok_or(WriteError::NotFound { what: "template" })?;
        let cluster_id = new.pick_cluster(tx).await?;
        let mut variables = basis.environment_variables;
        variables.0.extend(new.variables.0);
        let variables = KeptVariables::seal(&vault, &new.id, &variables)?;
        Ok(sqlx::query_as(
            "INSERT INTO environments (id, name, description, user_id, template_id, cluster_id,
                 docker_image, port, resources_cpu, resources_memory, resources_storage,
                 environment_variables)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING *",
        )
        .bind(new.id)
        .bind(new.name)
        .bind(new.description)
        .bind(new.user_id)
        .bind(basis.id)
        .bind(cluster_id)
        .bind(basis.docker_image)
        .bind(basis.default_port)
        .bind(new.cpu.unwrap_or_else(|| allowance.at_most_cpu(basis.default_resources_cpu)))
        .bind(new.memory.unwrap_or_else(|| allowance.at_most_memory(basis.default_resources_memory)))
        .bind(new.storage.unwrap_or_else(|| allowance.at_most_storage(basis.default_resources_storage)))
        .bind(Json(variables))
        .fetch_one(&mut **tx)
        .await?)
    }
}

impl CreateEnvironment {
    /// The one place where it is decided on which cluster an environment is made. The number of
    /// places is a guide for operators, not a promise, so it is not locked: two people may take the
    /// last place together.
    async fn pick_cluster(&self, tx: &mut PgTransaction<'_>) -> Result<String, WriteError> {
        // The lock keeps a cluster from being removed meanwhile.
        let picked: Option<(String, ClusterStatus, bool)> = sqlx::query_as(
            "WITH load AS (
                 SELECT cluster_id, count(*) AS taken FROM environments
                 WHERE status <> 'TERMINATED' GROUP BY cluster_id)
             SELECT c.id, c.status, c.max_environments > COALESCE(l.taken, 0)
             FROM clusters c
             LEFT JOIN load l ON l.cluster_id = c.id
             WHERE c.deleted_at IS NULL
               AND CASE WHEN $1::text IS NULL THEN c.status = 'ACTIVE' ELSE c.id = $1 OR c.name = $1 END
               AND (NOT c.restricted
                    OR EXISTS (SELECT FROM user_clusters g WHERE g.cluster_id = c.id AND g.user_id = $2)
                    OR EXISTS (SELECT FROM users u WHERE u.id = $2 AND u.role = 'ADMIN'))
             ORDER BY (c.id = $1) DESC NULLS LAST,
                      c.max_environments > COALESCE(l.taken, 0) DESC,
                      (lower(c.region) = lower($3)) DESC NULLS LAST,
                      (lower(c.region) = (SELECT lower(preferred_region) FROM users WHERE id = $2))
                          DESC NULLS LAST,
                      (c.id = $4 OR c.name = $4) DESC NULLS LAST,
                      c.is_default DESC,
                      c.max_environments - COALESCE(l.taken, 0) DESC, c.name
             LIMIT 1
             FOR KEY SHARE OF c",
        )
        .bind(&self.cluster)
        .bind(&self.user_id)
        .bind(&self.region)
        .bind(&self.preferred_cluster)
        .fetch_optional(&mut **tx)
        .await?;
        let why = match (picked, self.cluster.is_some()) {
            (Some((id, ClusterStatus::Active, true)), _) => return Ok(id),
            (Some((_, ClusterStatus::Active, false)), true) => {
                "this cluster is full: choose another one, or leave the choice to the server"
            }
            (Some(_), true) => {
                "this cluster takes no new environments at the moment: choose another one, or leave the choice to \
                 the server"
            }
            (None, true) => return Err(WriteError::NotFound { what: "cluster" }),
            (Some(_), false) => "all clusters are full at the moment: try again later",
            (None, false) => "no cluster takes new environments at the moment: try again later",
        };
        Err(WriteError::Refused { why })
    }
}
