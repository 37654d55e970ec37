//! The journal of supervision: who failed, and what was decided about it.
//!
//! Held in memory, for operators: the newest [`HELD`] events. Starts and stops in the course of
//! things are none; with them nothing else would be seen.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::registry::ActorPath;

/// The most events that are held.
pub const HELD: usize = 2_000;

/// The longest reason that is held, in bytes: a panic's text may be anything.
pub const REASON_BYTES: usize = 2_000;

/// Something that happened to an actor, or was decided about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SupervisionEvent {
    /// Its place in the journal, from 1 on, without gaps.
    pub seq: u64,
    /// When.
    pub at: DateTime<Utc>,
    /// To whom.
    pub actor: ActorPath,
    /// Who decided: its supervisor. The root has none.
    pub parent: Option<ActorPath>,
    /// What.
    pub what: What,
}

/// What can happen to an actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It failed and will be started again.
    Failed {
        /// Why.
        reason: String,
        /// After this pause.
        pause: Duration,
        /// How much of the policy's patience is used.
        failures: Failures,
    },
    /// It failed too often and is left alone.
    GivenUp {
        /// Why it failed last.
        reason: String,
        /// How much of the policy's patience is used.
        failures: Failures,
    },
    /// It was started again.
    Restarted,
    /// Somebody asked for it to be started again.
    Asked {
        /// Who.
        by: Arc<str>,
    },
    /// Its handler does not return.
    Stuck,
    /// Its handler has returned after all.
    Returned,
}

/// Failures of an actor, and how many its supervisor bears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failures {
    /// So many within the window.
    pub count: usize,
    /// With one more than this it is given up.
    pub allowed: usize,
    /// The length of the window.
    pub window: Duration,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Journal {
    events: Mutex<VecDeque<SupervisionEvent>>,
    last: watch::Sender<u64>,
}

impl Default for Journal {
    fn default() -> Self {
        Self { events: Mutex::default(), last: watch::Sender::new(0) }
    }
}

impl Journal {
    pub(super) fn note(&self, actor: &ActorPath, parent: Option<&ActorPath>, what: What) {
        let mut events = self.events.lock();
        let seq = *self.last.borrow() + 1;
        if events.len() == HELD {
            events.pop_front();
        }
        let (actor, parent) = (actor.clone(), parent.cloned());
        events.push_back(SupervisionEvent { seq, at: Utc::now(), actor, parent, what });
        self.last.send_replace(seq);
    }

    /// The events after number `after`, of one actor or of all, oldest first; at most the newest
    /// `limit` of them.
    #[must_use]
    pub fn read(&self, after: u64, actor: Option<&ActorPath>, limit: usize) -> Vec<SupervisionEvent> {
        let events = self.events.lock();
        let newest_first = events.iter().rev().take_while(|event| event.seq > after);
        let meant = newest_first.filter(|event| actor.is_none_or(|actor| event.actor == *actor));
        let mut found: Vec<_> = meant.take(limit).cloned().collect();
        drop(events);
        found.reverse();
        found
    }

    /// The number of the newest event, as it grows.
    #[must_use]
    pub fn last(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }
}

/// `reason`, cut to what is held.
pub(super) fn bounded(reason: &str) -> String {
    let mut end = reason.len().min(REASON_BYTES);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::registry::Kind;
    use super::*;

    #[test]
    fn it_holds_the_newest_and_tells_what_came_after() {
        let journal = Journal::default();
        let (mailer, user) = (ActorPath::single(Kind::Mailer), ActorPath::of(Kind::User, "u"));
        for _ in 0..HELD {
            journal.note(&mailer, None, What::Restarted);
        }
        journal.note(&user, Some(&mailer), What::Stuck);
        let seqs = |events: Vec<SupervisionEvent>| events.iter().map(|event| event.seq).collect::<Vec<_>>();
        let last = HELD as u64 + 1;
        assert_eq!(*journal.last().borrow(), last);
        assert_eq!(journal.read(0, None, usize::MAX).len(), HELD);
        assert_eq!(seqs(journal.read(0, None, 2)), [last - 1, last]);
        assert_eq!(seqs(journal.read(last - 1, None, 10)), [last]);
        assert_eq!(seqs(journal.read(0, Some(&user), 10)), [last]);
        assert!(journal.read(last, None, 10).is_empty());
    }

    #[test]
    fn a_long_reason_is_cut_between_two_characters() {
        assert_eq!(bounded("short"), "short");
        let long = format!("x{}", "ä".repeat(REASON_BYTES));
        assert_eq!(bounded(&long).len(), REASON_BYTES - 1);
    }
}
