//! Every actor by its path: the one place to look them up, and what they tell of themselves.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use dashmap::DashMap;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::Instant;

#[cfg(feature = "chaos")]
use super::actor::Envelope;
use super::actor::Failure;
use super::addr::Addr;

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
    const fn name(self) -> &'static str {
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

/// One actor, as introspection shows it.
#[derive(Debug, Clone, Serialize)]
pub struct ActorSnapshot {
    /// `kind` or `kind:id`.
    pub name: String,
    /// The kind.
    pub kind: Kind,
    /// The parent's name; the root has none.
    pub parent: Option<String>,
    /// A word for what it does: its own, or `starting`, `restarting`, `failed`, `stuck`.
    pub state: &'static str,
    /// When the running incarnation started.
    pub started: Option<DateTime<Utc>>,
    /// How often it was restarted.
    pub restarts: u64,
    /// Why it last failed.
    pub last_failure: Option<String>,
    /// Messages handled by all incarnations.
    pub handled: u64,
    /// Messages that wait.
    pub mailbox: u64,
    /// For how long the message at hand has been handled, in milliseconds.
    pub busy_ms: Option<u64>,
    /// Figures of terminals.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub gauges: Option<Gauges>,
}

/// All actors by path.
#[derive(Default)]
pub struct Registry {
    actors: DashMap<ActorPath, Entry>,
    #[cfg(feature = "chaos")]
    faults_at_start: DashMap<ActorPath, ()>,
}

struct Entry {
    parent: Option<ActorPath>,
    probe: Arc<Probe>,
    /// An `Addr<M>`; its type tells who may find it.
    addr: Box<dyn Any + Send + Sync>,
    #[cfg(feature = "chaos")]
    inject: Box<dyn Fn() -> bool + Send + Sync>,
}

impl Registry {
    /// Makes the address of an actor. Its place is kept over restarts, until [`Registry::remove`].
    pub(super) fn register<M: Send + 'static>(&self, path: ActorPath, parent: Option<ActorPath>) -> Addr<M> {
        let probe = Arc::new(Probe::default());
        let addr = Addr::<M>::new(path.clone(), Arc::clone(&probe));
        #[cfg(feature = "chaos")]
        let inject = {
            let addr = addr.clone();
            Box::new(move || addr.send(Envelope::Fault(Fault::Panic)).is_ok())
        };
        let entry = Entry {
            parent,
            probe,
            addr: Box::new(addr.clone()),
            #[cfg(feature = "chaos")]
            inject,
        };
        self.actors.insert(path, entry);
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
        self.actors.get(path)?.addr.downcast_ref::<Addr<M>>().cloned()
    }

    /// Every actor, parents before children.
    #[must_use]
    pub fn snapshot(&self) -> Vec<ActorSnapshot> {
        let mut actors: Vec<_> = self
            .actors
            .iter()
            .map(|entry| (entry.key().clone(), entry.probe.snapshot(entry.key(), entry.parent.as_ref())))
            .collect();
        actors.sort_by(|(a, _), (b, _)| a.cmp(b));
        actors.into_iter().map(|(_, snapshot)| snapshot).collect()
    }

    /// One actor.
    #[must_use]
    pub fn inspect(&self, path: &ActorPath) -> Option<ActorSnapshot> {
        let entry = self.actors.get(path)?;
        Some(entry.probe.snapshot(path, entry.parent.as_ref()))
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
        self.actors.get(path).is_some_and(|entry| (entry.inject)())
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

/// A fault that tests strike an actor with (feature `chaos`; nothing makes one otherwise).
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    #[cfg_attr(not(feature = "chaos"), expect(dead_code, reason = "made by tests alone"))]
    Panic,
}

impl Fault {
    #[expect(clippy::panic, reason = "a panic is what it is for")]
    pub(super) fn strike(self) -> Result<(), Failure> {
        match self {
            Self::Panic => panic!("injected fault"),
        }
    }
}

/// Where an actor's books are kept: outside of it, so that they outlive a failure.
#[derive(Default)]
pub struct Probe {
    handled: AtomicU64,
    restarts: AtomicU64,
    /// May dip below 0 for a moment when a message is handled before it was counted.
    mailbox: AtomicI64,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    state: Option<&'static str>,
    started: Option<DateTime<Utc>>,
    last_failure: Option<String>,
    handling_since: Option<Instant>,
    gauges: Option<Arc<dyn Fn() -> (&'static str, Gauges) + Send + Sync>>,
}

/// Ends the handling of a message, also when the handler panics.
pub(super) struct Handling(Arc<Probe>);

impl Drop for Handling {
    fn drop(&mut self) {
        self.0.handled.fetch_add(1, Ordering::Relaxed);
        self.0.books.lock().handling_since = None;
    }
}

impl Probe {
    pub(super) fn queued(&self) {
        self.mailbox.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn unqueued(&self) {
        self.mailbox.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn handling(self: Arc<Self>) -> Handling {
        self.unqueued();
        self.books.lock().handling_since = Some(Instant::now());
        Handling(self)
    }

    pub(super) fn started(&self) {
        self.mailbox.store(0, Ordering::Relaxed);
        let mut books = self.books.lock();
        books.started = Some(Utc::now());
        books.state = Some("running");
    }

    pub(super) fn restarted(&self) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self, failure: &str, state: &'static str) {
        let mut books = self.books.lock();
        books.last_failure = Some(failure.to_owned());
        books.state = Some(state);
        books.gauges = None;
    }

    pub(super) fn set_state(&self, state: &'static str) {
        self.books.lock().state = Some(state);
    }

    pub(super) fn last_failure(&self) -> Option<String> {
        self.books.lock().last_failure.clone()
    }

    fn busy(&self) -> Option<Duration> {
        self.books.lock().handling_since.map(|since| since.elapsed())
    }

    fn snapshot(&self, path: &ActorPath, parent: Option<&ActorPath>) -> ActorSnapshot {
        let busy = self.busy();
        let books = self.books.lock();
        let (state, started) = (books.state.unwrap_or("starting"), books.started);
        let (last_failure, gauges) = (books.last_failure.clone(), books.gauges.clone());
        drop(books);
        let gauges = gauges.map(|gauges| gauges());
        let state = gauges.map_or(state, |(state, _)| state);
        let stuck = busy.is_some_and(|busy| busy > super::watchdog::LIMIT);
        ActorSnapshot {
            name: path.to_string(),
            kind: path.kind(),
            parent: parent.map(ToString::to_string),
            state: if stuck { "stuck" } else { state },
            started,
            restarts: self.restarts.load(Ordering::Relaxed),
            last_failure,
            handled: self.handled.load(Ordering::Relaxed),
            mailbox: self.mailbox.load(Ordering::Relaxed).try_into().unwrap_or(0),
            busy_ms: busy.map(|busy| u64::try_from(busy.as_millis()).unwrap_or(u64::MAX)),
            gauges: gauges.map(|(_, gauges)| gauges),
        }
    }
}

impl<M: Send + 'static> Addr<M> {
    /// Gives introspection the actor's state and figures from outside of its mailbox, until it
    /// ends.
    pub fn show(&self, gauges: impl Fn() -> (&'static str, Gauges) + Send + Sync + 'static) {
        self.probe().books.lock().gauges = Some(Arc::new(gauges));
    }
}
