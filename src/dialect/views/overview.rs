//! The whole server in figures, as operators see it.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::{Timestamp, View};

/// The whole server in figures.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Overview {
    /// This process.
    pub process: ProcessFigures,
    /// The supervision tree.
    pub actors: ActorFigures,
    /// Terminal sessions.
    pub sessions: SessionFigures,
    /// Environments.
    pub environments: EnvironmentFigures,
    /// Postgres.
    pub database: DatabaseFigures,
    /// Outgoing mail.
    pub mail: MailFigures,
    /// Clusters, by name.
    pub clusters: Vec<ClusterFigures>,
}

impl View for Overview {}

/// This process.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProcessFigures {
    /// The version of this build.
    pub version: &'static str,
    /// When it started.
    pub started_at: Timestamp,
    /// How long ago that was.
    pub uptime_secs: u64,
    /// Resident memory.
    pub memory_bytes: u64,
    /// CPU, in percent of one core, since the last look.
    pub cpu_percent: f64,
    /// Tasks of the asynchronous runtime.
    pub tasks: usize,
    /// Threads.
    pub threads: u64,
    /// WebSockets and streams of events.
    pub sockets: usize,
    /// Open files, sockets included.
    pub files: u64,
    /// Whether it says goodbye to its clients.
    pub draining: bool,
}

/// The supervision tree.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActorFigures {
    /// All actors.
    pub total: usize,
    /// By kind.
    pub by_kind: BTreeMap<&'static str, usize>,
    /// Restarts of those there are.
    pub restarts: u64,
    /// Those that wait for their restart.
    pub restarting: usize,
    /// Those that were given up.
    pub failed: usize,
    /// Those whose handler does not return.
    pub stuck: usize,
}

/// Terminal sessions.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionFigures {
    /// Live ones.
    pub live: usize,
    /// Their clients.
    pub attachments: usize,
    /// Those with a client that leaves its window full.
    pub slow: usize,
    /// Bytes of input a second.
    pub bytes_in: u64,
    /// Bytes of output a second.
    pub bytes_out: u64,
    /// Frames of input a second.
    pub keys: u64,
}

/// Environments.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentFigures {
    /// Those that have an actor.
    pub awake: usize,
    /// All that are not terminated, by their status.
    pub by_status: BTreeMap<&'static str, i64>,
}

/// Postgres, and the queues in front of it.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseFigures {
    /// Whether the last write reached it.
    pub available: bool,
    /// Connections.
    pub size: u32,
    /// Connections that are not in use.
    pub idle: usize,
    /// The most connections.
    pub max: u32,
    /// Durable writes that wait or run.
    pub durable_backlog: usize,
    /// Late writes that wait.
    pub late_backlog: usize,
    /// Statuses that wait.
    pub status_backlog: usize,
    /// Durable writes that were committed.
    pub durable_done: u64,
    /// Durable writes that ended in an error.
    pub durable_failed: u64,
    /// Late writes that are done.
    pub late_written: u64,
    /// Late writes dropped because too many waited.
    pub late_dropped: u64,
    /// Late writes that the database refused.
    pub late_refused: u64,
    /// Items in the last late batch.
    pub last_batch: usize,
    /// How long it took, in milliseconds.
    pub batch_ms: f64,
    /// How long a durable write takes, on the average, in milliseconds.
    pub write_ms: f64,
}

/// Outgoing mail.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct MailFigures {
    /// Mails that wait to be stored or sent, in this process.
    pub waiting: usize,
    /// Mails that are to be sent, in the database.
    pub queued: i64,
    /// Mails that were given up.
    pub dead: i64,
}

/// A cluster.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterFigures {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// A word: `healthy`, `unhealthy`, `checking`, what was found there, or `unused`.
    pub state: &'static str,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it was last looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checked_at: Option<Timestamp>,
    /// How long its answer took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// How long ago its watch last told something, in milliseconds. A quiet one tells that it lives
    /// about once a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watch_lag_ms: Option<u64>,
    /// How often all was listed anew, because the watch could not go on.
    pub relists: u64,
    /// Channels to agents that are open.
    pub channels: usize,
    /// Calls that failed since the start.
    pub errors: u64,
    /// Environments on it that are not terminated.
    pub environments: i64,
}

/// The server at one moment of the last hour.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    /// When.
    pub at: Timestamp,
    /// Actors.
    pub actors: usize,
    /// Restarts since the process started.
    pub restarts: u64,
    /// Environments that have an actor.
    pub environments: usize,
    /// Live terminal sessions.
    pub sessions: usize,
    /// Their clients.
    pub attachments: usize,
    /// Bytes of input a second.
    pub bytes_in: u64,
    /// Bytes of output a second.
    pub bytes_out: u64,
    /// Frames of input a second.
    pub keys: u64,
    /// Resident memory.
    pub memory_bytes: u64,
    /// CPU, in percent of one core.
    pub cpu_percent: f64,
    /// Tasks of the asynchronous runtime.
    pub tasks: usize,
    /// WebSockets and streams of events.
    pub sockets: usize,
    /// Durable writes that wait or run.
    pub durable_backlog: usize,
    /// Late writes that wait.
    pub late_backlog: usize,
    /// How long a durable write takes, on the average, in milliseconds.
    pub write_ms: f64,
    /// Mails that wait.
    pub mail_waiting: i64,
}

/// The last hour.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Charts {
    /// The pause between two points.
    pub every_secs: u64,
    /// Oldest first.
    pub points: Vec<Point>,
}

impl View for Charts {}
