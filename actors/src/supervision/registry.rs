//! Every actor by its path: the one place to look them up, and what they tell of themselves.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use dashmap::DashMap;
use serde::Serialize;

use super::actor::{Envelope, Failure, RestartDue};
use super::addr::Addr;
#[cfg(feature = "chaos")]
use super::fault::Fault;
use super::journal::{Journal, What};
use super::probe::Probe;

/// What an actor is responsible for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The top of the tree.
    Root,
    /// The one writer to Postgres.
    Persistence,
    /// Outgoing mail.
    Mailer,
    /// All clusters.
    Clusters,
    /// One cluster: its client, its watch, its health.
    Cluster,
    /// All users.
    Users,
    /// One user.
    User,
    /// One environment.
    Environment,
    /// One terminal session.
    Terminal,
}

impl Kind {
    /// All of them, as the tree has them from the top.
    pub const ALL: [Self; 9] = [
        Self::Root,
        Self::Persistence,
        Self::Mailer,
        Self::Clusters,
        Self::Cluster,
        Self::Users,
        Self::User,
        Self::Environment,
        Self::Terminal,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Persistence => "persistence",
            Self::Mailer => "mailer",
            Self::Clusters => "clusters",
            Self::Cluster => "cluster",
            Self::Users => "users",
            Self::User => "user",
            Self::Environment => "environment",
            Self::Terminal => "terminal",
        }
    }
}

/// Names an actor: its kind, and the id of what it is responsible for where there are several.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ActorPath {
    kind: Kind,
    id: Option<Arc<str>>,
}

impl ActorPath {
    /// The path of an actor that there is one of.
    #[must_use]
    pub const fn single(kind: Kind) -> Self {
        Self { kind, id: None }
    }

    /// The path of the actor responsible for `id`.
    #[must_use]
    pub fn of(kind: Kind, id: &str) -> Self {
        Self { kind, id: Some(id.into()) }
    }

    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The id, where there are several of the kind.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }
}

/// Not the name of an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a kind of actor, or kind:id")]
pub struct NoActorPath;

impl std::str::FromStr for ActorPath {
    type Err = NoActorPath;

    fn from_str(name: &str) -> Result<Self, NoActorPath> {
        let (kind, id) = name.split_once(':').map_or((name, None), |(kind, id)| (kind, Some(id)));
        let kind = Kind::ALL.into_iter().find(|known| known.name() == kind).ok_or(NoActorPath)?;
        match id {
            Some("") => Err(NoActorPath),
            id => Ok(Self { kind, id: id.map(Into::into) }),
        }
    }
}

impl std::fmt::Display for ActorPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.id {
            Some(id) => write!(f, "{}:{id}", self.kind.name()),
            None => f.write_str(self.kind.name()),
        }
    }
}

/// Figures that only some actors have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Gauges {
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
    /// Whether a client has left its window full, so that nothing is sent to it.
    pub is_slow: bool,
}

/// An actor's failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastFailure {
    /// When.
    pub at: DateTime<Utc>,
    /// Why; at most [`super::journal::REASON_BYTES`].
    pub reason: String,
}

/// One actor, as introspection shows it.
#[derive(Debug, Clone)]
pub struct ActorSnapshot {
    /// Which.
    pub path: ActorPath,
    /// Its supervisor; the root has none.
    pub parent: Option<ActorPath>,
    /// What people call what it is responsible for.
    pub label: Option<Arc<str>>,
    /// A word for what it does: its own, or `starting`, `restarting`, `failed`, `stuck`.
    pub state: &'static str,
    /// When the running incarnation started.
    pub started: Option<DateTime<Utc>>,
    /// How often it was restarted.
    pub restarts: u64,
    /// How it last failed.
    pub last_failure: Option<LastFailure>,
    /// Messages handled by all incarnations.
    pub handled: u64,
    /// Messages that wait.
    pub mailbox: u64,
    /// How long ago the oldest message that is not handled yet was sent.
    pub mailbox_age: Option<Duration>,
    /// For how long the message at hand has been handled.
    pub busy: Option<Duration>,
    /// Figures of terminals.
    pub gauges: Option<Gauges>,
}

impl ActorSnapshot {
    /// Whether it does not do its work: it failed, or hangs.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        matches!(self.state, "restarting" | "failed" | "stuck")
    }
}

/// Why an actor is not started again at somebody's wish.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestartRefused {
    /// There is none.
    #[error("there is no actor {0}")]
    Unknown(ActorPath),
    /// It is the root, which nobody supervises.
    #[error("the root is restarted with the server: drain it")]
    Root,
    /// Its supervisor does not run either at the moment.
    #[error("{0} is being restarted already, with its supervisor")]
    NotNow(ActorPath),
}

/// All actors by path.
#[derive(Default)]
pub struct Registry {
    actors: DashMap<ActorPath, Entry>,
    journal: Journal,
    #[cfg(feature = "chaos")]
    faults_at_start: DashMap<ActorPath, ()>,
}

struct Entry {
    parent: Option<ActorPath>,
    probe: Arc<Probe>,
    addr: Box<dyn Handle>,
}

/// An [`Addr`] of whatever messages.
trait Handle: Send + Sync {
    /// The address; its type tells who may find it.
    fn as_any(&self) -> &dyn Any;
    /// Makes the actor end, to be started again. Whether it runs.
    fn restart(&self, by: &Arc<str>) -> bool;
    /// Tells the actor to start a child of its that does not run. Whether it runs itself.
    fn revive(&self, child: &ActorPath, by: &Arc<str>) -> bool;
    /// Makes the actor panic. Whether it runs.
    #[cfg(feature = "chaos")]
    fn panic(&self) -> bool;
}

impl<M: Send + 'static> Handle for Addr<M> {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn restart(&self, by: &Arc<str>) -> bool {
        self.send(Envelope::Restart(Arc::clone(by))).is_ok()
    }

    fn revive(&self, child: &ActorPath, by: &Arc<str>) -> bool {
        let due = RestartDue { child: child.clone(), asked_by: Some(Arc::clone(by)) };
        self.send(Envelope::RestartDue(due)).is_ok()
    }

    #[cfg(feature = "chaos")]
    fn panic(&self) -> bool {
        self.send(Envelope::Fault(Fault::Panic)).is_ok()
    }
}

impl Registry {
    /// Makes the address of an actor. Its place is kept over restarts, until [`Registry::remove`].
    pub(super) fn register<M: Send + 'static>(&self, path: ActorPath, parent: Option<ActorPath>) -> Addr<M> {
        let probe = Arc::new(Probe::default());
        let addr = Addr::<M>::new(path.clone(), Arc::clone(&probe));
        self.actors.insert(path, Entry { parent, probe, addr: Box::new(addr.clone()) });
        addr
    }

    pub(super) fn remove(&self, path: &ActorPath) {
        self.actors.remove(path);
    }

    /// Forgets everything below `path`: it died with its parent.
    pub(super) fn remove_below(&self, path: &ActorPath) {
        let children: Vec<_> = self
            .actors
            .iter()
            .filter(|entry| entry.parent.as_ref() == Some(path))
            .map(|entry| entry.key().clone())
            .collect();
        for child in children {
            self.remove_below(&child);
            self.remove(&child);
        }
    }

    /// The address of an actor that takes messages of type `M`.
    #[must_use]
    pub fn find<M: Send + 'static>(&self, path: &ActorPath) -> Option<Addr<M>> {
        self.actors.get(path)?.addr.as_any().downcast_ref::<Addr<M>>().cloned()
    }

    /// Every actor, in no order.
    #[must_use]
    pub fn snapshot(&self) -> Vec<ActorSnapshot> {
        let all = self.actors.iter();
        all.map(|entry| entry.probe.snapshot(entry.key(), entry.parent.as_ref())).collect()
    }

    /// One actor.
    #[must_use]
    pub fn inspect(&self, path: &ActorPath) -> Option<ActorSnapshot> {
        let entry = self.actors.get(path)?;
        Some(entry.probe.snapshot(path, entry.parent.as_ref()))
    }

    /// The journal of supervision.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Notes what happened to an actor.
    pub(super) fn note(&self, actor: &ActorPath, what: What) {
        let parent = self.actors.get(actor).and_then(|entry| entry.parent.clone());
        self.journal.note(actor, parent.as_ref(), what);
    }

    /// Has an actor started again by its supervisor at once, at the wish of `by`; also one that
    /// waits for its restart or was given up. It does not count as a failure, and what is
    /// queued for it is handled before.
    ///
    /// # Errors
    /// See [`RestartRefused`].
    pub fn restart(&self, path: &ActorPath, by: &str) -> Result<(), RestartRefused> {
        let by: Arc<str> = by.into();
        // One entry at a time: none is locked while another is looked up.
        let parent = match self.actors.get(path) {
            None => return Err(RestartRefused::Unknown(path.clone())),
            Some(entry) => entry.parent.clone().ok_or(RestartRefused::Root)?,
        };
        let told = self.actors.get(path).is_some_and(|entry| entry.addr.restart(&by))
            || self.actors.get(&parent).is_some_and(|entry| entry.addr.revive(path, &by));
        if told { Ok(()) } else { Err(RestartRefused::NotNow(path.clone())) }
    }

    /// Actors whose handler has not returned for longer than `limit`.
    #[must_use]
    pub fn stuck(&self, limit: Duration) -> Vec<ActorPath> {
        let busy = |probe: &Probe| probe.busy().is_some_and(|busy| busy > limit);
        self.actors.iter().filter(|entry| busy(&entry.probe)).map(|entry| entry.key().clone()).collect()
    }

    /// Makes an actor panic in its next message, as a bug would. Returns whether it runs.
    #[cfg(feature = "chaos")]
    pub fn inject_panic(&self, path: &ActorPath) -> bool {
        self.actors.get(path).is_some_and(|entry| entry.addr.panic())
    }

    /// Makes an actor panic whenever it starts, or no more.
    #[cfg(feature = "chaos")]
    pub fn panic_at_start(&self, path: &ActorPath, on: bool) {
        if on {
            self.faults_at_start.insert(path.clone(), ());
        } else {
            self.faults_at_start.remove(path);
        }
    }

    #[cfg(feature = "chaos")]
    pub(super) fn fault_at_start(&self, path: &ActorPath) -> Result<(), Failure> {
        if self.faults_at_start.contains_key(path) { Fault::Panic.strike() } else { Ok(()) }
    }

    #[cfg(not(feature = "chaos"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "faults exist in test builds alone")]
    pub(super) const fn fault_at_start(&self, _path: &ActorPath) -> Result<(), Failure> {
        Ok(())
    }
}
