//! What administrators see of everything. No existing client reads these, so lists have their
//! envelope in both dialects. Members that nothing is known of are left out.

use devpocket_actors::persistence::audit::StoredAudit;
use devpocket_actors::persistence::everybody::{SomebodysEnvironment, SomebodysSession};
use devpocket_actors::supervision::Gauges;
use devpocket_actors::terminal::ClientShown;
use devpocket_protocol::client::Mode;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::view::{bare, spelled, with};
use super::{Pagination, StatusWord, TerminalGauges, Timestamp, View};

/// A line of the audit record.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditRecord {
    /// Its id.
    pub id: String,
    /// When it was done.
    pub at: Timestamp,
    /// What was done.
    #[schema(example = "admin.user.suspend")]
    pub action: String,
    /// Who did it; the server if nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<String>,
    /// Their user name then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor_name: Option<String>,
    /// To what kind of thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "user")]
    pub target_type: Option<String>,
    /// To which.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_id: Option<String>,
    /// From where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// Anything more. Its keys are the same in both dialects.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub details: Option<Value>,
}

impl From<StoredAudit> for AuditRecord {
    fn from(line: StoredAudit) -> Self {
        Self {
            id: line.id,
            at: line.timestamp.into(),
            action: line.action,
            actor_id: line.actor_id,
            actor_name: line.actor_name,
            target_type: line.target_type,
            target_id: line.target_id,
            ip: line.ip,
            details: line.detail,
        }
    }
}

impl View for AuditRecord {}

/// A page of the audit record.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AuditRecords {
    /// The newest first.
    pub entries: Vec<AuditRecord>,
    /// Where the page lies.
    pub pagination: Pagination,
}

impl View for AuditRecords {}

/// A thing by its id and its name.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Named {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// Somebody by id and user name.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Somebody {
    /// Their id.
    pub id: String,
    /// Their user name.
    pub username: String,
}

/// An environment of somebody.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdminEnvironment {
    /// Its id.
    pub id: String,
    /// Its name, unique among its owner's.
    pub name: String,
    /// Whose.
    pub user: Somebody,
    /// Where.
    pub cluster: Named,
    /// What it was made of: the template's name for programs.
    #[schema(example = "nodejs")]
    pub template: String,
    /// How it is. In snake one of five, beside the exact word in `phase`.
    pub status: StatusWord,
    /// Why, and what to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<String>,
    /// Whether its actor runs.
    pub awake: bool,
    /// Its live terminal sessions.
    pub sessions: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_activity_at: Option<Timestamp>,
}

impl AdminEnvironment {
    /// Of a row; whether it is awake only its server knows.
    #[must_use]
    pub fn new(row: SomebodysEnvironment, awake: bool) -> Self {
        Self {
            id: row.id,
            name: row.name,
            user: Somebody { id: row.user_id, username: row.username },
            cluster: Named { id: row.cluster_id, name: row.cluster_name },
            template: row.template,
            status: row.status.into(),
            status_reason: row.status_reason,
            awake,
            sessions: row.sessions,
            created_at: row.created_at.into(),
            last_activity_at: row.last_activity_at.map(Timestamp),
        }
    }
}

impl View for AdminEnvironment {
    fn snake(&self) -> Value {
        with(spelled(self), json!({ "phase": self.status.0.as_str().to_ascii_lowercase() }))
    }
}

/// A page of everybody's environments.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AdminEnvironments {
    /// The newest first.
    pub environments: Vec<AdminEnvironment>,
    /// Where the page lies.
    pub pagination: Pagination,
}

impl View for AdminEnvironments {
    fn snake(&self) -> Value {
        json!({ "environments": bare(&self.environments), "pagination": spelled(&self.pagination) })
    }
}

/// A live terminal session of somebody. Its figures count from the start of its actor; without an
/// actor they are 0.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdminSession {
    /// By which it is ended, and its actor named.
    pub id: String,
    /// What its owner calls it.
    #[schema(example = "main")]
    pub name: String,
    /// Where it runs.
    pub environment: Named,
    /// Whose.
    pub user: Somebody,
    /// On which cluster.
    pub cluster: Named,
    /// How its actor is: `live`, `reconnecting`, `environment_starting`, `starting`, `restarting`,
    /// `failed`, `stuck`; `asleep` while nobody needs one.
    #[schema(example = "live")]
    pub state: &'static str,
    /// When it began.
    pub started_at: Timestamp,
    /// What its actor counts.
    #[serde(flatten)]
    pub gauges: TerminalGauges,
}

impl AdminSession {
    /// Of a row and what its actor tells, if one runs.
    #[must_use]
    pub fn new(row: SomebodysSession, actor: Option<(&'static str, Option<Gauges>)>) -> Self {
        let (state, gauges) = actor.unwrap_or(("asleep", None));
        Self {
            id: row.id,
            name: row.name,
            environment: Named { id: row.environment_id, name: row.environment_name },
            user: Somebody { id: row.user_id, username: row.username },
            cluster: Named { id: row.cluster_id, name: row.cluster_name },
            state,
            started_at: row.started_at.into(),
            gauges: gauges.unwrap_or_default().into(),
        }
    }
}

impl View for AdminSession {}

/// A page of everybody's live sessions.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AdminSessions {
    /// The newest first.
    pub sessions: Vec<AdminSession>,
    /// Where the page lies.
    pub pagination: Pagination,
}

impl View for AdminSessions {}

/// One client of a terminal session.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdminClient {
    /// By which its connection is closed; another connection never has it.
    pub number: u64,
    /// Its input stream: the same when it connects again.
    pub stream: String,
    /// `control`, or `view` when it only looks.
    #[schema(example = "control")]
    pub mode: &'static str,
    /// Its width in characters.
    pub cols: u16,
    /// Its height in characters.
    pub rows: u16,
    /// When it connected.
    pub since: Timestamp,
    /// Bytes of output that it has not shown.
    pub behind: u64,
    /// Those of them that were sent and that it has not acknowledged.
    pub window: u64,
    /// Whether it has left its window full, so that nothing is sent to it.
    pub is_slow: bool,
    /// When it last typed or changed its size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_active_at: Option<Timestamp>,
}

impl From<ClientShown> for AdminClient {
    fn from(client: ClientShown) -> Self {
        Self {
            number: client.number,
            stream: client.stream,
            mode: match client.mode {
                Mode::Control => "control",
                Mode::View => "view",
            },
            cols: client.size.cols(),
            rows: client.size.rows(),
            since: client.since.into(),
            behind: client.behind,
            window: client.in_flight,
            is_slow: client.is_slow,
            last_active_at: client.last_active_at.map(Timestamp),
        }
    }
}

/// The clients of a terminal session.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AdminClients {
    /// The oldest first.
    pub clients: Vec<AdminClient>,
}

impl View for AdminClients {}

/// What the server logs.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LogFilter {
    /// The filter now.
    #[schema(example = "info,devpocket=debug")]
    pub filter: String,
    /// The filter of the configuration, which counts again after the next start.
    #[schema(example = "info")]
    pub started: String,
}

impl View for LogFilter {}
