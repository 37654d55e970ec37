//! Changes of an environment.

use sqlx::PgTransaction;
use sqlx::types::Json;

use super::Environment;
use crate::environment::parse_bytes;
use crate::persistence::engine::{Write, next_sequence};
use crate::persistence::error::WriteError;
use crate::persistence::secrets::Variables;
use crate::persistence::variables::{KeptVariables, Sealing};
use crate::persistence::words::{DesiredState, EnvironmentStatus, Plan};
use crate::plans::{Plans, Wish};

pub(super) const GONE: WriteError = WriteError::NotFound { what: "environment" };

/// What to do with an environment's variables.
#[derive(Debug, Clone)]
pub enum VariableChange {
    /// These and no others.
    Replace(Variables),
    /// These too; `None` removes one.
    Merge(std::collections::BTreeMap<String, Option<String>>),
}

/// Changes what is given. `BeyondPlan` when that is more than the owner's plan allows, `Refused`
/// when the volume would get smaller, `Conflict` ([`super::NAME_TAKEN`]) when the owner has
/// another one of that name.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "fields are the columns")]
pub struct UpdateEnvironment {
    pub id: String,
    pub name: Option<String>,
    pub description: Option<Option<String>>,
    pub cpu: Option<String>,
    pub memory: Option<String>,
    pub storage: Option<String>,
    pub variables: Option<VariableChange>,
    pub plans: Plans,
}

/// The only direction in which a volume can't go.
const SHRINKS: WriteError = WriteError::Refused {
    why: "a volume can't be made smaller: keep at least its present size, or make a new environment",
};

impl UpdateEnvironment {
    /// Whether the row may be changed so. What stays as it is may be more than the plan allows by
    /// now: a smaller plan must not stand in the way of other changes.
    ///
    /// # Errors
    /// `BeyondPlan` or `Refused`.
    pub fn check(&self, row: &Environment, plan: Plan) -> Result<(), WriteError> {
        let changed = |wished: &'_ Option<String>, present: &str| {
            wished.as_deref().filter(|wished| *wished != present).map(str::to_owned)
        };
        let cpu = changed(&self.cpu, &row.resources_cpu);
        let memory = changed(&self.memory, &row.resources_memory);
        let storage = changed(&self.storage, &row.resources_storage);
        let wish = Wish { cpu: cpu.as_deref(), memory: memory.as_deref(), storage: storage.as_deref() };
        self.plans.of(plan).check(plan, wish).map_err(WriteError::BeyondPlan)?;
        if self.volume(row).is_some_and(|(present, wished)| wished < present) {
            return Err(SHRINKS);
        }
        Ok(())
    }

    /// Whether the volume is to become larger.
    #[must_use]
    pub fn grows(&self, row: &Environment) -> bool {
        self.volume(row).is_some_and(|(present, wished)| wished > present)
    }

    /// The volume's present and wished size in bytes.
    fn volume(&self, row: &Environment) -> Option<(u64, u64)> {
        let size = |text: &str| parse_bytes("storage", text).ok();
        Some((size(&row.resources_storage)?, size(self.storage.as_deref()?)?))
    }
}

impl Write for Sealing<UpdateEnvironment> {
    type Output = Environment;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<Environment, WriteError> {
        let Self { write: update, vault } = self;
        // Locked: of two changes at once none may undo the other.
        let row: Environment = sqlx::query_as(
            "SELECT * FROM environments WHERE id = $1 AND status <> 'TERMINATED' FOR NO KEY UPDATE",
        )
        .bind(&update.id)
        .fetch_optional(&mut **tx)
        .await?
        .ok_or(GONE)?;
        let plan: Plan = sqlx::query_scalar("SELECT subscription_plan FROM users WHERE id = $1")
            .bind(&row.user_id)
            .fetch_one(&mut **tx)
            .await?;
        update.check(&row, plan)?;
        let variables = match update.variables {
            None => None,
            Some(VariableChange::Replace(variables)) => Some(variables),
            Some(VariableChange::Merge(changes)) => {
                let mut variables = row.environment_variables.open(&vault, &update.id)?;
                for (name, value) in changes {
                    match value {
                        Some(value) => variables.0.insert(name, value),
                        None => variables.0.remove(&name),
                    };
                }
                Some(variables)
            }
        };
        let seal = |variables: Variables| KeptVariables::seal(&vault, &update.id, &variables).map(Json);
        let variables = variables.map(seal).transpose()?;
        sqlx::query_as(
            "UPDATE environments
             SET name = COALESCE($2, name), description = CASE WHEN $3 THEN $4 ELSE description END,
                 resources_cpu = COALESCE($5, resources_cpu),
                 resources_memory = COALESCE($6, resources_memory),
                 resources_storage = COALESCE($7, resources_storage),
                 environment_variables = COALESCE($8, environment_variables), updated_at = now()
             WHERE id = $1 AND status <> 'TERMINATED' RETURNING *",
        )
        .bind(update.id)
        .bind(update.name)
        .bind(update.description.is_some())
        .bind(update.description.flatten())
        .bind(update.cpu)
        .bind(update.memory)
        .bind(update.storage)
        .bind(variables)
        .fetch_optional(&mut **tx)
        .await?
        .ok_or(GONE)
    }
}

/// Writes down what the owner wants, and what is to be shown until it can be observed: a
/// client that reads again right after "stop" must not see RUNNING.
#[derive(Debug, Clone)]
pub struct SetDesired {
    /// Which.
    pub id: String,
    /// What is wanted. Nothing can be wanted of what is wanted gone.
    pub desired: DesiredState,
    /// What to show until then.
    pub status: Option<EnvironmentStatus>,
    /// Why.
    pub reason: Option<String>,
    /// The instance that is to end first, for a restart.
    pub replaces: Option<String>,
}

impl Write for SetDesired {
    type Output = Environment;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<Environment, WriteError> {
        let row: Option<Environment> = sqlx::query_as(
            "UPDATE environments
             SET desired_state = $2, desired_generation = desired_generation + 1,
                 replaces_instance = $6,
                 status = COALESCE($3, status),
                 status_reason = CASE WHEN $3 IS NULL THEN status_reason ELSE $4 END,
                 -- Also moves without a status: what was seen before the wish is old.
                 status_sequence = GREATEST(status_sequence, $5), updated_at = now()
             WHERE id = $1 AND status <> 'TERMINATED'
               AND (desired_state <> 'TERMINATED' OR $2 = 'TERMINATED')
             RETURNING *",
        )
        .bind(&self.id)
        .bind(self.desired)
        .bind(self.status)
        .bind(self.reason)
        .bind(next_sequence())
        .bind(self.replaces)
        .fetch_optional(&mut **tx)
        .await?;
        if let Some(row) = row {
            return Ok(row);
        }
        let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM environments WHERE id = $1)")
            .bind(self.id)
            .fetch_one(&mut **tx)
            .await?;
        Err(if exists { WriteError::Refused { why: "the environment is terminated" } } else { GONE })
    }
}

/// Its objects are gone: nothing of it is left but the record. Its terminal sessions end.
#[derive(Debug, Clone)]
pub struct MarkTerminated {
    /// Which.
    pub id: String,
}

impl Write for MarkTerminated {
    type Output = ();

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<(), WriteError> {
        sqlx::query(
            "UPDATE environments
             SET desired_state = 'TERMINATED', status = 'TERMINATED', status_reason = NULL,
                 status_sequence = $2, updated_at = now()
             WHERE id = $1 AND status <> 'TERMINATED'",
        )
        .bind(&self.id)
        .bind(next_sequence())
        .execute(&mut **tx)
        .await?;
        sqlx::query(
            "UPDATE terminal_sessions
             SET status = 'TERMINATED', ended_at = now(), exit = '{\"reason\": \"environment terminated\"}'
             WHERE environment_id = $1 AND status <> 'TERMINATED'",
        )
        .bind(&self.id)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}

/// The template's install commands have been run: they are not run again.
#[derive(Debug, Clone)]
pub struct RecordInstallCompleted {
    /// Which.
    pub id: String,
}

impl Write for RecordInstallCompleted {
    type Output = ();

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<(), WriteError> {
        sqlx::query(
            "UPDATE environments SET installation_completed = true, recovery_attempts = 0, updated_at = now()
             WHERE id = $1",
        )
        .bind(self.id)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}

/// Where the runtime put it. What is `None` stays as it is.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "fields are the columns")]
pub struct SetRuntimeFacts {
    pub id: String,
    pub kubernetes_namespace: Option<String>,
    pub kubernetes_pod_name: Option<String>,
    pub kubernetes_service_name: Option<String>,
    pub external_url: Option<String>,
    pub web_port: Option<u16>,
}

impl Write for SetRuntimeFacts {
    type Output = ();

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<(), WriteError> {
        sqlx::query(
            "UPDATE environments
             SET kubernetes_namespace = COALESCE($2, kubernetes_namespace),
                 kubernetes_pod_name = COALESCE($3, kubernetes_pod_name),
                 kubernetes_service_name = COALESCE($4, kubernetes_service_name),
                 external_url = COALESCE($5, external_url), web_port = COALESCE($6, web_port)
             WHERE id = $1",
        )
        .bind(self.id)
        .bind(self.kubernetes_namespace)
        .bind(self.kubernetes_pod_name)
        .bind(self.kubernetes_service_name)
        .bind(self.external_url)
        .bind(self.web_port.map(i32::from))
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}
