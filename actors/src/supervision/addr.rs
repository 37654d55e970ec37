//! An address that stays valid when the actor behind it is restarted.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use ractor::ActorRef;
use tokio::sync::oneshot;

use super::actor::{Envelope, Letter};
use super::probe::Probe;
use super::registry::ActorPath;

/// How long a call may take: every handler is a plain function, so a reply that takes this
/// long means that the work behind it (a task the handler started) hangs.
pub const CALL_LIMIT: Duration = Duration::from_secs(20);

/// Sends messages to an actor, whichever incarnation of it runs.
pub struct Addr<M: Send + 'static> {
    shared: Arc<Shared<M>>,
}

struct Shared<M: Send + 'static> {
    path: ActorPath,
    probe: Arc<Probe>,
    /// The running incarnation.
    actor: RwLock<Option<ActorRef<Letter<M>>>>,
}

/// The actor does not run at the moment: it failed and will be restarted, or it stopped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not running")]
pub struct Down(pub ActorPath);

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The actor does not run, or failed before it answered.
    #[error(transparent)]
    Down(#[from] Down),
    /// No answer within [`CALL_LIMIT`].
    #[error("{0} did not answer in time")]
    TimedOut(ActorPath),
}

/// Where a handler, or a task it started, puts its answer. Dropping it unanswered tells the
/// caller at once.
#[derive(Debug)]
pub struct Reply<T>(oneshot::Sender<T>);

impl<T> Reply<T> {
    /// Answers. A caller that has gone away is no error.
    pub fn send(self, answer: T) {
        let _ = self.0.send(answer);
    }

    /// Whether nobody waits for the answer any more.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.0.is_closed()
    }
}

impl<M: Send + 'static> Addr<M> {
    pub(super) fn new(path: ActorPath, probe: Arc<Probe>) -> Self {
        Self { shared: Arc::new(Shared { path, probe, actor: RwLock::new(None) }) }
    }

    pub(super) fn set(&self, actor: Option<ActorRef<Letter<M>>>) {
        let mut running = self.shared.actor.write();
        if actor.is_none() {
            // Under the lock: what is sent later is counted for the next incarnation.
            self.shared.probe.emptied();
        }
        *running = actor;
    }

    /// Which actor this is.
    #[must_use]
    pub fn path(&self) -> &ActorPath {
        &self.shared.path
    }

    pub(super) fn probe(&self) -> &Arc<Probe> {
        &self.shared.probe
    }

    /// Queues a message. The mailbox is unbounded, so only control messages go through it and
    /// each kind is bounded by what causes it (a client, a row, a timer).
    ///
    /// # Errors
    /// When the actor does not run.
    pub fn cast(&self, message: M) -> Result<(), Down> {
        self.send(Envelope::Message(message))
    }

    /// As [`Addr::cast`], but gives the message back when the actor does not run.
    ///
    /// # Errors
    /// The message.
    pub fn offer(&self, message: M) -> Result<(), M> {
        if self.is_up() {
            // Between the look and the send it may fail: then the message is lost with its
            // mailbox, as any queued one is.
            let _ = self.cast(message);
            return Ok(());
        }
        Err(message)
    }

    pub(super) fn send(&self, envelope: Envelope<M>) -> Result<(), Down> {
        let actor = self.shared.actor.read();
        let sent = actor.as_ref().is_some_and(|actor| {
            self.shared.probe.queued();
            actor.cast(Letter::new(envelope)).inspect_err(|_| self.shared.probe.unqueued()).is_ok()
        });
        if sent { Ok(()) } else { Err(Down(self.shared.path.clone())) }
    }

    /// Queues a message that carries where to answer, and waits for the answer.
    ///
    /// # Errors
    /// When the actor does not run, fails before it answers, or takes longer than [`CALL_LIMIT`].
    pub async fn call<T>(&self, message: impl FnOnce(Reply<T>) -> M) -> Result<T, CallError> {
        let (reply, answer) = oneshot::channel();
        self.cast(message(Reply(reply)))?;
        match tokio::time::timeout(CALL_LIMIT, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(Down(self.shared.path.clone()).into()),
            Err(_) => Err(CallError::TimedOut(self.shared.path.clone())),
        }
    }

    /// Whether an incarnation runs.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.shared.actor.read().is_some()
    }
}

impl<M: Send + 'static> Clone for Addr<M> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<M: Send + 'static> std::fmt::Debug for Addr<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Addr({})", self.shared.path)
    }
}
