//! What waits to be stored, and when each is tried again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::stored::pause_after;
use super::{MAX_ATTEMPTS, Mail};

/// Mails that may wait. Beyond it the oldest goes: its reader has asked again long since.
pub const CAPACITY: usize = 1_000;

/// The mails that wait. A mail stays here until it is stored, sent or given up, so that it survives
/// the task that does that.
#[derive(Debug, Default)]
pub struct MailQueue {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<Entry>,
    last_id: u64,
}

#[derive(Debug)]
struct Entry {
    id: u64,
    mail: Arc<Mail>,
    attempts: u32,
    due: Instant,
}

pub(super) struct Waiting {
    pub(super) id: u64,
    pub(super) mail: Arc<Mail>,
}

impl MailQueue {
    /// Queues a mail. Never waits.
    pub fn push(&self, mail: Mail) {
        let mut state = self.state.lock();
        if state.entries.len() >= CAPACITY
            && let Some(oldest) = state.entries.pop_front()
        {
            tracing::warn!(
                mail = oldest.id,
                kind = oldest.mail.kind,
                "too many mails wait, dropping the oldest"
            );
        }
        state.last_id += 1;
        let id = state.last_id;
        state.entries.push_back(Entry { id, mail: Arc::new(mail), attempts: 0, due: Instant::now() });
        drop(state);
        self.changed.notify_waiters();
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.state.lock().entries.is_empty()
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.lock().entries.len()
    }

    /// Waits until nothing waits any more, or the deadline. True: everything was stored, sent or given up.
    pub async fn drain(&self, deadline: Duration) -> bool {
        let emptied = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if self.is_empty() {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(deadline, emptied).await.is_ok()
    }

    /// The mail that is due first, when it is due.
    pub(super) async fn next(&self) -> Waiting {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let first = {
                let state = self.state.lock();
                let first = state.entries.iter().min_by_key(|entry| entry.due);
                first.map(|entry| (entry.due, Waiting { id: entry.id, mail: Arc::clone(&entry.mail) }))
            };
            match first {
                Some((due, waiting)) if due <= Instant::now() => return waiting,
                Some((due, _)) => tokio::select! {
                    () = tokio::time::sleep_until(due) => {}
                    () = changed => {}
                },
                None => changed.await,
            }
        }
    }

    /// It is sent, or never will be.
    pub(super) fn done(&self, id: u64) {
        self.state.lock().entries.retain(|entry| entry.id != id);
        self.changed.notify_waiters();
    }

    /// It could not be sent now.
    pub(super) fn failed(&self, id: u64, reason: &str, now: Instant) {
        let mut state = self.state.lock();
        let Some(entry) = state.entries.iter_mut().find(|entry| entry.id == id) else { return };
        entry.attempts += 1;
        let kind = entry.mail.kind.clone();
        if entry.attempts >= MAX_ATTEMPTS {
            tracing::error!(mail = id, kind, reason, "mail could not be sent, giving it up");
            drop(state);
            return self.done(id);
        }
        let pause = pause_after(entry.attempts);
        tracing::warn!(mail = id, kind, reason, ?pause, "mail could not be sent, trying again later");
        entry.due = now + pause;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail() -> Mail {
        Mail {
            to: "a@b.c".into(),
            subject: "s".into(),
            text: "secret".into(),
            html: None,
            kind: "test".into(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_fails_does_not_hold_up_the_next_and_is_given_up_at_last() {
        let queue = MailQueue::default();
        queue.push(mail());
        let first = queue.next().await.id;
        queue.failed(first, "away", Instant::now());
        queue.push(mail());
        let second = queue.next().await.id;
        assert_ne!(first, second);
        queue.done(second);
        for _ in 1..MAX_ATTEMPTS {
            let again = queue.next().await.id;
            assert_eq!(again, first);
            queue.failed(again, "away", Instant::now());
        }
        assert!(queue.is_empty());
        assert!(queue.drain(Duration::from_secs(1)).await);
    }

    #[test]
    fn the_queue_is_bounded_and_prints_no_text() {
        let queue = MailQueue::default();
        for _ in 0..CAPACITY + 10 {
            queue.push(mail());
        }
        assert_eq!(queue.state.lock().entries.len(), CAPACITY);
        assert!(!format!("{queue:?}").contains("secret"));
    }
}
