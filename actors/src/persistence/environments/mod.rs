//! Environments: what is wanted, what was seen, what it is made of.
//!
//! [`reads`] for questions, [`create`] for the one write with rules of its own, [`changes`]
//! for all others, [`recovery`] for the one that is counted. An observed status does not come this way: see
//! [`super::Persistence::observe_status`].

mod changes;
mod create;
mod reads;
mod recovery;

use chrono::{DateTime, Utc};
use sqlx::FromRow;

pub use self::changes::{
    MarkTerminated, RecordInstallCompleted, SetDesired, SetRuntimeFacts, UpdateEnvironment, VariableChange,
};
pub use self::create::{CreateEnvironment, NAME_TAKEN};
pub use self::reads::{
    Activity, EnvironmentFilter, Fate, activity, all_live, by_id, count_by_status, count_live, fates, list,
};
pub use self::recovery::{MAX_RECOVERIES, RECOVERY_PAUSE, RecordRecovery, Recovery};
use super::variables::KeptVariables;
use super::vault::Vault;
use super::words::{DesiredState, EnvironmentStatus, Plan, TemplateCategory};
use crate::runtime::Placement;

/// An environment.
#[derive(Debug, Clone, FromRow)]
#[allow(missing_docs, reason = "the columns are described in migrations/0002_environments.sql")]
pub struct Environment {
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    pub user_id: String,
    pub template_id: String,
    pub cluster_id: String,
    pub desired_state: DesiredState,
    pub desired_generation: i64,
    pub replaces_instance: Option<String>,
    pub status: EnvironmentStatus,
    pub status_reason: Option<String>,
    pub status_sequence: i64,
    pub ready_at: Option<DateTime<Utc>>,
    pub recovery_attempts: i32,
    pub last_recovery_at: Option<DateTime<Utc>>,
    pub docker_image: String,
    pub port: i32,
    pub web_port: Option<i32>,
    pub resources_cpu: String,
    pub resources_memory: String,
    pub resources_storage: String,
    #[sqlx(json)]
    pub environment_variables: KeptVariables,
    pub installation_completed: bool,
    pub external_url: Option<String>,
    pub kubernetes_namespace: Option<String>,
    pub kubernetes_pod_name: Option<String>,
    pub kubernetes_service_name: Option<String>,
    pub cpu_usage: f64,
    pub memory_usage: f64,
    pub storage_usage: f64,
    pub last_activity_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// An environment with what is shown of its template and its cluster.
#[derive(Debug, Clone, FromRow)]
#[allow(missing_docs, reason = "named after the columns they come from")]
pub struct EnvironmentView {
    #[sqlx(flatten)]
    pub environment: Environment,
    pub template_name: String,
    pub template_display_name: String,
    pub template_description: String,
    pub template_category: TemplateCategory,
    pub template_tags: Vec<String>,
    pub install_commands: Vec<String>,
    pub startup_commands: Vec<String>,
    #[sqlx(json)]
    pub placement: Placement,
    pub owner_plan: Plan,
    pub cluster_name: String,
    pub cluster_region: String,
}

impl Environment {
    /// With its variables opened, to be shown. What can't be opened stays sealed, with a line in the
    /// log: the environment is still there, and its owner can give it new ones.
    #[must_use]
    pub fn opened(mut self, vault: &Vault) -> Self {
        match self.environment_variables.open(vault, &self.id) {
            Ok(variables) => self.environment_variables = KeptVariables::Plain(variables),
            Err(error) => tracing::error!(environment = self.id, %error, "its variables can't be shown"),
        }
        self
    }
}
