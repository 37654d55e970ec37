//! Where an actor's books are kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::addr::Addr;
use super::journal::bounded;
use super::registry::{ActorPath, ActorSnapshot, Gauges, LastFailure};

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
    label: Option<Arc<str>>,
    state: Option<&'static str>,
    started: Option<DateTime<Utc>>,
    last_failure: Option<LastFailure>,
    at_hand: Option<AtHand>,
    gauges: Option<Arc<dyn Fn() -> (&'static str, Gauges) + Send + Sync>>,
}

/// The message that is being handled.
#[derive(Clone, Copy)]
struct AtHand {
    sent: Instant,
    since: Instant,
}

/// Ends the handling of a message, also when the handler panics.
pub(super) struct Handling(Arc<Probe>);

impl Drop for Handling {
    fn drop(&mut self) {
        self.0.handled.fetch_add(1, Ordering::Relaxed);
        self.0.books.lock().at_hand = None;
    }
}

impl Probe {
    pub(super) fn queued(&self) {
        self.mailbox.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn unqueued(&self) {
        self.mailbox.fetch_sub(1, Ordering::Relaxed);
    }

    /// The mailbox is gone, with all that was in it.
    pub(super) fn emptied(&self) {
        self.mailbox.store(0, Ordering::Relaxed);
    }

    /// A message that was sent at `sent` is handled from now on.
    pub(super) fn handling(self: Arc<Self>, sent: Instant) -> Handling {
        self.unqueued();
        self.books.lock().at_hand = Some(AtHand { sent, since: Instant::now() });
        Handling(self)
    }

    pub(super) fn started(&self) {
        let mut books = self.books.lock();
        books.started = Some(Utc::now());
        books.state = Some("running");
    }

    pub(super) fn restarted(&self) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self, failure: &str, state: &'static str) {
        let mut books = self.books.lock();
        books.last_failure = Some(LastFailure { at: Utc::now(), reason: bounded(failure) });
        books.state = Some(state);
        books.gauges = None;
    }

    pub(super) fn set_state(&self, state: &'static str) {
        self.books.lock().state = Some(state);
    }

    /// Why it last failed.
    pub(super) fn last_failure(&self) -> Option<String> {
        self.books.lock().last_failure.as_ref().map(|failure| failure.reason.clone())
    }

    pub(super) fn busy(&self) -> Option<Duration> {
        self.books.lock().at_hand.map(|message| message.since.elapsed())
    }

    pub(super) fn snapshot(&self, path: &ActorPath, parent: Option<&ActorPath>) -> ActorSnapshot {
        let books = self.books.lock();
        let (state, started, at_hand) = (books.state.unwrap_or("starting"), books.started, books.at_hand);
        let (label, last_failure, gauges) =
            (books.label.clone(), books.last_failure.clone(), books.gauges.clone());
        drop(books);
        let gauges = gauges.map(|gauges| gauges());
        let state = gauges.map_or(state, |(state, _)| state);
        let busy = at_hand.map(|message| message.since.elapsed());
        let stuck = busy.is_some_and(|busy| busy > super::watchdog::LIMIT);
        ActorSnapshot {
            path: path.clone(),
            parent: parent.cloned(),
            label,
            state: if stuck { "stuck" } else { state },
            started,
            restarts: self.restarts.load(Ordering::Relaxed),
            last_failure,
            handled: self.handled.load(Ordering::Relaxed),
            mailbox: self.mailbox.load(Ordering::Relaxed).try_into().unwrap_or(0),
            mailbox_age: at_hand.map(|message| message.sent.elapsed()),
            busy,
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

    /// Gives introspection what people call what the actor is responsible for.
    pub fn describe(&self, label: impl Into<Arc<str>>) {
        self.probe().books.lock().label = Some(label.into());
    }
}
