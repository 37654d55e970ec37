//! Where environments run: a port with two adapters and one behaviour suite.
//!
//! [`Runtime`] is everything that the actors need of the outside. [`local`] runs environments
//! in sandboxes on this machine, [`kubernetes`] in pods of a cluster. Every call
//! may be repeated at any time: the environment actor's reconciler depends on that.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use crate::persistence::Plan;

pub mod kubernetes;
pub mod local;

/// The longest that any call of a [`Runtime`] may take before it must fail by itself.
pub const CALL_LIMIT: Duration = Duration::from_secs(30);

/// A byte stream to something inside an environment: an agent channel or a forwarded port.
/// Dropping it closes it.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// An owned [`Stream`].
pub type BoxStream = Box<dyn Stream>;

/// Names an environment to a runtime: its own id and its owner's, since a runtime may keep
/// owners apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EnvironmentKey {
    /// The environment's id: 25 characters, lower-case letters and digits.
    pub id: String,
    /// The owner's id, of the same form.
    pub user_id: String,
}

impl std::fmt::Display for EnvironmentKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.id)
    }
}

/// What an environment shall be, as far as a runtime cares.
///
/// `Debug` names the variables without their values: they may be secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct EnvironmentSpec {
    /// Which environment, and whose.
    pub key: EnvironmentKey,
    /// Its name, for people (host name, prompt).
    pub name: String,
    /// The owner's plan: what all of their environments together may use.
    pub plan: Plan,
    /// The template's name.
    pub template: String,
    /// The image, where the runtime has images.
    pub image: String,
    /// The port that the environment's own server listens on.
    pub port: u16,
    /// Variables of the template and the user.
    pub variables: BTreeMap<String, String>,
    /// Commands that run once in the life of the volume.
    pub install: Vec<String>,
    /// Commands that run at each start.
    pub startup: Vec<String>,
    /// What it may use.
    pub resources: Resources,
    /// What its template asks of the place where it runs.
    pub placement: Placement,
}

/// What a template asks of the place where its environments run. Runtimes without images or
/// nodes do not care.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Placement {
    /// Whether shells run as root inside; otherwise as user and group 1000. The default is
    /// root: images are made for it, and a development environment without its package
    /// manager is a poor one. It is root over the container alone: no privileges, no
    /// escalation, and few capabilities.
    pub run_as_root: bool,
    /// A container runtime of the cluster, such as gVisor's (a `RuntimeClass`).
    pub runtime_class: Option<String>,
    /// Labels that a node must have.
    pub node_selector: BTreeMap<String, String>,
}

impl Default for Placement {
    fn default() -> Self {
        Self { run_as_root: true, runtime_class: None, node_selector: BTreeMap::new() }
    }
}

/// What an environment may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resources {
    /// CPU in thousandths of a core.
    pub cpu_millis: u32,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Volume size in bytes.
    pub storage_bytes: u64,
}

/// What is the case, as the runtime sees it: only ever read, never assumed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Observed {
    /// Nothing runs. The volume may be there.
    #[default]
    Absent,
    /// On its way; the text says what it waits for, if the runtime knows.
    Starting(Option<String>),
    /// The agent can be reached. `instance` differs between two starts, so that an agent that
    /// was replaced unseen is noticed.
    Running {
        /// Names this start of the environment.
        instance: String,
        /// Why the instance before ended, if that was not asked for and the runtime knows.
        after: Option<String>,
    },
    /// It does not run and won't by waiting; the text says why and what to do.
    Failed(String),
}

/// Which lines of a log.
#[derive(Debug, Clone, Copy)]
pub struct LogQuery {
    /// At most so many lines, the newest ones; at most 1,000.
    pub lines: usize,
    /// Only lines not older than this.
    pub since: Option<DateTime<Utc>>,
    /// What the container before this one wrote, where the runtime keeps that.
    pub previous: bool,
}

/// One line of a runtime's own log of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written, where the runtime knows.
    pub at: Option<DateTime<Utc>>,
    /// The line without its end.
    pub text: String,
}

/// Lines of a log as they are written.
pub type LogStream = futures_util::stream::BoxStream<'static, LogLine>;

/// What an environment uses now.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stats {
    /// CPU, in percent of what the environment may use.
    pub cpu_percent: f64,
    /// Memory, in percent of what the environment may use.
    pub memory_percent: f64,
    /// Volume, in percent of its size.
    pub storage_percent: f64,
    /// Bytes received since it started; 0 where the runtime can't tell.
    pub network_rx: u64,
    /// Bytes sent since it started; 0 where the runtime can't tell.
    pub network_tx: u64,
}

/// What a place for environments has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Its machines.
    pub nodes: u32,
    /// Those that take environments at the moment.
    pub ready_nodes: u32,
    /// What all machines together have for environments and whatever else runs there.
    pub total: Resources,
    /// How much of that is used, by whomever; none: nobody tells.
    pub used: Option<Resources>,
}

/// How the connection to a place for environments does, for operators.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkFigures {
    /// How long ago its watch last told something; none: it has not yet, or there is none. A quiet
    /// one tells that it lives about once a minute.
    pub heard: Option<Duration>,
    /// How often all was listed anew, because the watch could not go on.
    pub listings: u64,
    /// Channels to agents that are open.
    pub channels: usize,
    /// Calls that failed since the start.
    pub errors: u64,
}

/// Why a runtime could not do as asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RuntimeError {
    /// It may work later: the caller retries with back-off.
    #[error("{0}")]
    Unavailable(String),
    /// It won't work by waiting; the text says what to do.
    #[error("{0}")]
    Rejected(String),
}

/// A place where environments run.
///
/// All calls are idempotent, safe to drop at any await (what was begun is found and finished
/// by the next call), and end within [`CALL_LIMIT`].
#[async_trait]
pub trait Runtime: Send + Sync + 'static {
    /// Whether the runtime can be used at all.
    ///
    /// # Errors
    /// What is missing, and what to do about it.
    async fn check(&self) -> Result<(), RuntimeError>;

    /// Keeps what [`Runtime::watch`] tells up to date, for as long as it is polled. Ends when
    /// that can't go on; asked again, it goes on without a gap. One at a time.
    async fn follow(&self) -> RuntimeError;

    /// The ids of the environments that there is anything of here, running or not.
    async fn inventory(&self) -> Result<Vec<String>, RuntimeError>;

    /// What there is here, and how much of it is used.
    ///
    /// # Errors
    /// When that can't be told.
    async fn capacity(&self) -> Result<Capacity, RuntimeError>;

    /// Makes the environment run as `spec` says, if it does not yet; its volume is made once
    /// and kept. Returns when it is on its way: [`Runtime::watch`] tells how it goes on.
    async fn ensure(&self, spec: &EnvironmentSpec) -> Result<(), RuntimeError>;

    /// Whether the volume of an environment that was made can have the size of `spec`, which is
    /// larger than its own, from the next start on. Changes nothing.
    ///
    /// # Errors
    /// `Rejected` when it can't.
    async fn may_grow(&self, spec: &EnvironmentSpec) -> Result<(), RuntimeError>;

    /// Ends everything that runs in the environment and keeps its volume. Returns when nothing
    /// runs any more.
    async fn stop(&self, environment: &EnvironmentKey) -> Result<(), RuntimeError>;

    /// Removes the environment and its volume, and nothing of anyone else.
    async fn delete(&self, environment: &EnvironmentKey) -> Result<(), RuntimeError>;

    /// What is the case, now and at each change. The receiver is the environment actor's own.
    async fn watch(&self, environment: &EnvironmentKey) -> Result<watch::Receiver<Observed>, RuntimeError>;

    /// Opens a channel to the environment's agent.
    async fn open(&self, environment: &EnvironmentKey) -> Result<BoxStream, RuntimeError>;

    /// What the runtime itself logged of the environment (its container's output).
    async fn logs(&self, environment: &EnvironmentKey, query: LogQuery)
    -> Result<Vec<LogLine>, RuntimeError>;

    /// The same, and what comes after it, until the log ends or can't be read any more.
    /// [`LogQuery::previous`] means nothing here.
    async fn follow_logs(
        &self,
        environment: &EnvironmentKey,
        query: LogQuery,
    ) -> Result<LogStream, RuntimeError>;

    /// What the environment uses now.
    async fn stats(&self, spec: &EnvironmentSpec) -> Result<Stats, RuntimeError>;

    /// How the connection to this place does; a place on this machine needs none.
    fn figures(&self) -> LinkFigures {
        LinkFigures::default()
    }

    /// Opens a connection to a port inside the environment.
    async fn forward(&self, environment: &EnvironmentKey, port: u16) -> Result<BoxStream, RuntimeError>;
}

impl std::fmt::Debug for EnvironmentSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnvironmentSpec")
            .field("key", &self.key)
            .field("name", &self.name)
            .field("template", &self.template)
            .field("variables", &self.variables.keys())
            .field("resources", &self.resources)
            .finish_non_exhaustive()
    }
}
