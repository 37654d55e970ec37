//! The supervision tree, as operators see it.

use devpocket_actors::observation::{Below, Row as TreeRow};
use devpocket_actors::supervision::{ActorSnapshot, Gauges, SupervisionEvent, What};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Pagination, Timestamp, View};

/// An actor.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Actor {
    /// `kind` or `kind:id`.
    #[schema(example = "mailer")]
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// Its supervisor; the root has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// What people call what it is responsible for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// A word for what it does: its own, or `starting`, `restarting`, `failed`, `stuck`.
    pub state: &'static str,
    /// When the running incarnation started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// How often it was restarted.
    pub restarts: u64,
    /// How it last failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<ActorFailure>,
    /// Messages handled by all incarnations.
    pub handled: u64,
    /// Messages that wait.
    pub mailbox: u64,
    /// How long ago the oldest message that is not handled yet was sent, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mailbox_age_ms: Option<u64>,
    /// For how long the message at hand has been handled, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub busy_ms: Option<u64>,
    /// How many actors it supervises.
    pub children: usize,
    /// Figures of a terminal session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminal: Option<TerminalGauges>,
}

/// A failure.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ActorFailure {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// Figures of a terminal session.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TerminalGauges {
    /// Clients attached.
    pub attachments: usize,
    /// Input bytes since the actor started.
    pub bytes_in: u64,
    /// Output bytes since the actor started.
    pub bytes_out: u64,
    /// Frames of input since the actor started: as a person types, a key each.
    pub keys: u64,
    /// Bytes in the ring.
    pub ring_used: usize,
    /// Bytes that the ring may hold.
    pub ring_limit: usize,
    /// Pictures of the screen sent since the actor started.
    pub snapshots: u64,
    /// Bytes of output that the client which is furthest behind has not shown.
    pub behind: u64,
    /// Whether a client has left its window full.
    pub is_slow: bool,
}

impl From<Gauges> for TerminalGauges {
    fn from(gauges: Gauges) -> Self {
        let Gauges { attachments, bytes_in, bytes_out, keys, ring_used, ring_limit, .. } = gauges;
        let Gauges { snapshots, behind, is_slow, .. } = gauges;
        Self { attachments, bytes_in, bytes_out, keys, ring_used, ring_limit, snapshots, behind, is_slow }
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Actor {
    fn new(actor: &ActorSnapshot, children: usize) -> Self {
        Self {
            name: actor.path.to_string(),
            kind: actor.path.kind().name(),
            parent: actor.parent.as_ref().map(ToString::to_string),
            label: actor.label.as_deref().map(str::to_owned),
            state: actor.state,
            started: actor.started.map(Timestamp),
            restarts: actor.restarts,
            last_failure: actor
                .last_failure
                .as_ref()
                .map(|failure| ActorFailure { at: failure.at.into(), reason: failure.reason.clone() }),
            handled: actor.handled,
            mailbox: actor.mailbox,
            mailbox_age_ms: actor.mailbox_age.map(millis),
            busy_ms: actor.busy.map(millis),
            children,
            terminal: actor.gauges.map(TerminalGauges::from),
        }
    }
}

impl From<TreeRow<'_>> for Actor {
    fn from(row: TreeRow<'_>) -> Self {
        Self::new(row.actor, row.children)
    }
}

/// An actor as the tree shows it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    #[serde(flatten)]
    actor: Actor,
    depth: usize,
    open: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    below: Option<BelowRow>,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct BelowRow {
    actors: usize,
    restarts: u64,
    failing: usize,
    attachments: usize,
}

impl From<TreeRow<'_>> for Row {
    fn from(row: TreeRow<'_>) -> Self {
        let Below { actors, restarts, failing, attachments } = row.below;
        let folded = row.children > 0 && !row.open;
        Self {
            actor: row.into(),
            depth: row.depth,
            open: row.open,
            below: folded.then_some(BelowRow { actors, restarts, failing, attachments }),
        }
    }
}

/// A page of actors.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ActorList {
    /// The actors.
    pub actors: Vec<Actor>,
    /// Where they lie.
    pub pagination: Pagination,
}

impl View for ActorList {}

/// One actor, those above it, and what happened to it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ActorDetail {
    /// The actor.
    pub actor: Actor,
    /// Its name and those of its supervisors, from the top.
    pub path: Vec<String>,
    /// What happened to it, oldest first; at most 100.
    pub history: Vec<Event>,
}

impl View for ActorDetail {}

/// Something that happened to an actor, or was decided about it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Its place in the journal of this process.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// To whom.
    pub actor: String,
    /// Whose decision it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// `failed` (it is started again after a pause), `given_up`, `restarted`, `asked` (somebody asked
    /// for a restart), `stuck` (its handler does not return), `returned`.
    #[schema(example = "failed")]
    pub what: &'static str,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The pause before it is started again, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause_ms: Option<u64>,
    /// Its failures within the window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<usize>,
    /// With one more failure than this it is given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<usize>,
    /// The length of the window in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_secs: Option<f64>,
    /// Who asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

impl From<&SupervisionEvent> for Event {
    fn from(event: &SupervisionEvent) -> Self {
        let plain = |what| Self {
            seq: event.seq,
            at: event.at.into(),
            actor: event.actor.to_string(),
            parent: event.parent.as_ref().map(ToString::to_string),
            what,
            reason: None,
            pause_ms: None,
            failures: None,
            allowed: None,
            window_secs: None,
            by: None,
        };
        let (what, reason, pause, failures) = match &event.what {
            What::Failed { reason, pause, failures } => ("failed", reason, Some(*pause), failures),
            What::GivenUp { reason, failures } => ("given_up", reason, None, failures),
            What::Restarted => return plain("restarted"),
            What::Asked { by } => return Self { by: Some(by.to_string()), ..plain("asked") },
            What::Stuck => return plain("stuck"),
            What::Returned => return plain("returned"),
        };
        Self {
            reason: Some(reason.clone()),
            pause_ms: pause.map(millis),
            failures: Some(failures.count),
            allowed: Some(failures.allowed),
            window_secs: Some(failures.window.as_secs_f64()),
            ..plain(what)
        }
    }
}

/// Part of the journal of supervision.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct History {
    /// Oldest first.
    pub events: Vec<Event>,
}

impl View for History {}
