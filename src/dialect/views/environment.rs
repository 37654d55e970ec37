//! Environments.

use devpocket_actors::persistence::Variables;
use devpocket_actors::persistence::environments::EnvironmentView;
use devpocket_actors::persistence::records::StoredMetric;
use devpocket_actors::persistence::terminals::TerminalSession;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::view::{bare, spelled, with};
use super::{Amounts, CategoryWord, LevelWord, NOTHING, Pagination, Session, StatusWord, Timestamp, View};

/// What list and detail share.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Common {
    /// Its id.
    pub id: String,
    /// Its name, unique among its owner's.
    #[schema(example = "my-project")]
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What it was made of.
    pub template_id: String,
    /// Where it is.
    pub cluster_id: String,
    /// How it is. In snake one of five: `phase` has the exact word.
    pub status: StatusWord,
    /// How it is, exactly.
    pub phase: StatusWord,
    /// Why, and what to do about it.
    pub status_reason: Option<String>,
    /// What its container is made of.
    pub docker_image: String,
    /// Where what runs in it listens.
    pub port: i32,
    /// Where its web page is, if it has one.
    pub web_port: Option<i32>,
    /// What it may use.
    pub resources: Amounts,
    /// Its variables.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub environment_variables: Variables,
    /// Whether its install commands have run.
    pub installation_completed: bool,
    /// Where it can be reached from outside.
    pub external_url: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it was last used.
    pub last_activity_at: Option<Timestamp>,
    /// Percent of what it may use.
    pub cpu_usage: f64,
    /// Percent of what it may use.
    pub memory_usage: f64,
    /// Percent of what it may use.
    pub storage_usage: f64,
}

impl Common {
    fn of(view: &EnvironmentView) -> Self {
        let row = &view.environment;
        Self {
            id: row.id.clone(),
            name: row.name.clone(),
            description: row.description.clone(),
            template_id: row.template_id.clone(),
            cluster_id: row.cluster_id.clone(),
            status: row.status.into(),
            phase: row.status.into(),
            status_reason: row.status_reason.clone(),
            docker_image: row.docker_image.clone(),
            port: row.port,
            web_port: row.web_port,
            resources: Amounts {
                cpu: row.resources_cpu.clone(),
                memory: row.resources_memory.clone(),
                storage: row.resources_storage.clone(),
            },
            environment_variables: row.environment_variables.plain().cloned().unwrap_or_default(),
            installation_completed: row.installation_completed,
            external_url: row.external_url.clone(),
            created_at: row.created_at.into(),
            updated_at: row.updated_at.into(),
            last_activity_at: row.last_activity_at.map(Timestamp),
            cpu_usage: row.cpu_usage,
            memory_usage: row.memory_usage,
            storage_usage: row.storage_usage,
        }
    }

    /// What snake clients look for besides.
    fn more(&self) -> Value {
        json!({
            "resource_limits": self.resources,
            "url": self.external_url,
            "ssh_port": NOTHING,
            "last_activity": self.last_activity_at,
            "last_accessed": self.last_activity_at,
        })
    }
}

/// An environment in a list, or just made.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Environment {
    #[serde(flatten)]
    common: Common,
    /// The template's name for people.
    pub template_name: String,
    /// The cluster's name.
    pub cluster_name: String,
    /// The template's name for programs.
    pub template: String,
}

impl From<&EnvironmentView> for Environment {
    fn from(view: &EnvironmentView) -> Self {
        Self {
            common: Common::of(view),
            template_name: view.template_display_name.clone(),
            cluster_name: view.cluster_name.clone(),
            template: view.template_name.clone(),
        }
    }
}

impl View for Environment {
    fn snake(&self) -> Value {
        with(spelled(self), self.common.more())
    }
}

/// An environment that was changed.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdatedEnvironment {
    #[serde(flatten)]
    environment: Environment,
    /// Whether something runs that goes on with its old resources or variables until it is
    /// restarted.
    pub restart_required: bool,
    /// The same for people.
    pub message: &'static str,
}

impl UpdatedEnvironment {
    /// Of the environment as it is now.
    #[must_use]
    pub fn new(view: &EnvironmentView, restart_required: bool) -> Self {
        let message = if restart_required {
            "Saved. The new resources and variables count from the next start: restart the environment."
        } else {
            "Environment updated successfully"
        };
        Self { environment: view.into(), restart_required, message }
    }
}

impl View for UpdatedEnvironment {
    fn snake(&self) -> Value {
        let more = json!({ "restart_required": self.restart_required, "message": self.message });
        with(self.environment.snake(), more)
    }
}

/// A page of environments.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EnvironmentList {
    /// The newest change first.
    pub environments: Vec<Environment>,
    /// Where the page lies.
    pub pagination: Pagination,
}

impl View for EnvironmentList {
    fn snake(&self) -> Value {
        bare(&self.environments)
    }
}

/// An environment with its template, its cluster and its live sessions.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentDetail {
    #[serde(flatten)]
    common: Common,
    /// What it was made of.
    pub template: TemplateOfEnvironment,
    /// Where it is.
    pub cluster: ClusterOfEnvironment,
    /// Its namespace there.
    pub kubernetes_namespace: Option<String>,
    /// Its pod.
    pub kubernetes_pod_name: Option<String>,
    /// Its service.
    pub kubernetes_service_name: Option<String>,
    /// Its live sessions.
    pub terminal_sessions: Vec<Session>,
}

/// The template of an environment.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateOfEnvironment {
    /// Its name for programs.
    pub name: String,
    /// Its name for people.
    pub display_name: String,
    /// What it is for.
    pub description: String,
    /// The shelf it stands on.
    pub category: CategoryWord,
    /// For searching.
    pub tags: Vec<String>,
}

/// The cluster of an environment.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ClusterOfEnvironment {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub region: String,
}

impl EnvironmentDetail {
    /// Of an environment and its live sessions.
    #[must_use]
    pub fn new(view: &EnvironmentView, sessions: &[TerminalSession]) -> Self {
        let row = &view.environment;
        Self {
            common: Common::of(view),
            template: TemplateOfEnvironment {
                name: view.template_name.clone(),
                display_name: view.template_display_name.clone(),
                description: view.template_description.clone(),
                category: view.template_category.into(),
                tags: view.template_tags.clone(),
            },
            cluster: ClusterOfEnvironment {
                name: view.cluster_name.clone(),
                region: view.cluster_region.clone(),
            },
            kubernetes_namespace: row.kubernetes_namespace.clone(),
            kubernetes_pod_name: row.kubernetes_pod_name.clone(),
            kubernetes_service_name: row.kubernetes_service_name.clone(),
            terminal_sessions: sessions.iter().map(Session::from).collect(),
        }
    }
}

impl View for EnvironmentDetail {
    fn snake(&self) -> Value {
        with(spelled(self), self.common.more())
    }
}

/// What became of a wish to start, stop or restart.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ChangedEnvironment {
    /// For people.
    pub message: String,
    /// The status now; on the way up after a start it is `STARTING`, here and nowhere else.
    #[schema(example = "STARTING")]
    pub status: &'static str,
}

impl View for ChangedEnvironment {}

/// An environment that is made anew.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Recovering {
    /// Always true.
    pub success: bool,
    /// For people.
    pub message: &'static str,
    /// Which.
    pub environment_id: String,
    /// How it is now.
    pub status: StatusWord,
    /// How often it was recovered, with this time.
    pub recovery_attempt: u32,
    /// How often it may be.
    pub max_attempts: u32,
}

impl View for Recovering {}

/// Lines of a log.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Logs {
    /// Whose.
    pub environment_id: String,
    /// Its name.
    pub environment_name: String,
    /// The lines as one text, the oldest first. In snake: a list of texts.
    pub logs: String,
    /// The number of lines.
    pub lines: usize,
    /// The same.
    pub total: usize,
    /// The same.
    pub total_lines: usize,
    /// Whether there are older ones.
    pub has_more: bool,
    /// The lines with all that is known of them.
    pub entries: Vec<LogEntry>,
    /// This moment.
    pub timestamp: Timestamp,
}

/// A line of a log.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LogEntry {
    /// When it was written, if that is known.
    pub timestamp: Option<Timestamp>,
    /// How grave it is.
    pub level: LevelWord,
    /// The line.
    pub message: String,
    /// What wrote it.
    #[schema(example = "install")]
    pub source: String,
}

impl View for LogEntry {}

impl Logs {
    /// Of an environment; `wanted` lines were asked for.
    #[must_use]
    pub fn new(view: &EnvironmentView, entries: Vec<LogEntry>, wanted: u32) -> Self {
        let count = entries.len();
        let lines: Vec<&str> = entries.iter().map(|entry| entry.message.as_str()).collect();
        Self {
            environment_id: view.environment.id.clone(),
            environment_name: view.environment.name.clone(),
            logs: lines.join("\n"),
            lines: count,
            total: count,
            total_lines: count,
            has_more: count >= wanted as usize,
            entries,
            timestamp: Timestamp::now(),
        }
    }
}

impl View for Logs {
    fn snake(&self) -> Value {
        let lines: Vec<&str> = self.entries.iter().map(|entry| entry.message.as_str()).collect();
        with(spelled(self), json!({ "logs": lines }))
    }
}

/// What an environment uses, and used: a union of what clients look for.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Metrics {
    /// Whose.
    pub environment_id: String,
    /// How it is.
    pub status: StatusWord,
    /// The newest sample.
    pub current: CurrentUsage,
    /// Samples, the newest first, at most 100.
    pub historical: Vec<UsageSample>,
    /// What it may use.
    pub resources: UsageLimits,
    /// The newest sample, flat.
    #[serde(flatten)]
    pub newest: UsageSample,
}

/// Usage in percent.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CurrentUsage {
    /// Percent of what it may use.
    pub cpu_usage: f64,
    /// Percent of what it may use.
    pub memory_usage: f64,
    /// Percent of what it may use.
    pub storage_usage: f64,
    /// When.
    pub timestamp: Timestamp,
}

/// Usage in percent, and the network's traffic since the start in bytes.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageSample {
    /// Percent of what it may use.
    pub cpu_usage: f64,
    /// Percent of what it may use.
    pub memory_usage: f64,
    /// Percent of what it may use.
    pub storage_usage: f64,
    /// Bytes received.
    pub network_in: i64,
    /// Bytes sent.
    pub network_out: i64,
    /// When.
    pub timestamp: Timestamp,
}

/// What an environment may use.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct UsageLimits {
    /// The most.
    pub limits: Amounts,
}

impl Metrics {
    /// Of an environment and its samples, the newest first.
    #[must_use]
    pub fn new(view: &EnvironmentView, samples: &[StoredMetric]) -> Self {
        let row = &view.environment;
        let historical: Vec<UsageSample> = samples.iter().map(UsageSample::from).collect();
        let newest = UsageSample {
            cpu_usage: row.cpu_usage,
            memory_usage: row.memory_usage,
            storage_usage: row.storage_usage,
            network_in: historical.first().map_or(0, |sample| sample.network_in),
            network_out: historical.first().map_or(0, |sample| sample.network_out),
            timestamp: historical.first().map_or_else(Timestamp::now, |sample| sample.timestamp),
        };
        Self {
            environment_id: row.id.clone(),
            status: row.status.into(),
            current: CurrentUsage {
                cpu_usage: newest.cpu_usage,
                memory_usage: newest.memory_usage,
                storage_usage: newest.storage_usage,
                timestamp: newest.timestamp,
            },
            historical,
            resources: UsageLimits { limits: Common::of(view).resources },
            newest,
        }
    }
}

impl From<&StoredMetric> for UsageSample {
    fn from(metric: &StoredMetric) -> Self {
        Self {
            cpu_usage: metric.cpu_usage,
            memory_usage: metric.memory_usage,
            storage_usage: metric.storage_usage,
            network_in: metric.network_rx,
            network_out: metric.network_tx,
            timestamp: metric.timestamp.into(),
        }
    }
}

impl View for Metrics {
    fn snake(&self) -> Value {
        let sample = |sample: &UsageSample| {
            let more = json!({ "network_rx": sample.network_in, "network_tx": sample.network_out });
            with(spelled(sample), more)
        };
        let more = json!({
            "disk_usage": self.newest.storage_usage,
            "network_rx": self.newest.network_in,
            "network_tx": self.newest.network_out,
            "last_updated": self.newest.timestamp,
            "metrics": self.historical.iter().map(sample).collect::<Vec<_>>(),
        });
        with(spelled(self), more)
    }
}
