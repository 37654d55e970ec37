//! Whether a client gets on with the head of its request.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// Where a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Between requests.
    Idle,
    /// In the head of one, since then.
    Head(Instant),
    /// One is being answered.
    Busy,
}

/// Where a connection is, told by its bytes. Clones are of the same connection.
#[derive(Clone)]
pub(super) struct Pace(Arc<watch::Sender<Phase>>);

impl Default for Pace {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Phase::Idle)))
    }
}

impl Pace {
    /// Bytes have come.
    pub(super) fn heard(&self) {
        self.0.send_if_modified(|phase| {
            let begins = *phase == Phase::Idle;
            if begins {
                *phase = Phase::Head(Instant::now());
            }
            begins
        });
    }

    /// A head is complete.
    pub(super) fn head_ended(&self) {
        self.0.send_replace(Phase::Busy);
    }

    /// A request is answered, but for the rest of its answer.
    pub(super) fn answered(&self) {
        self.0.send_replace(Phase::Idle);
    }

    /// Waits until a head takes longer than `limit`. Cancel-safe.
    pub(super) async fn late(&self, limit: Duration) {
        let mut phases = self.0.subscribe();
        loop {
            let phase = *phases.borrow_and_update();
            match phase {
                Phase::Head(since) => {
                    if timeout_at(since + limit, phases.changed()).await.is_err() {
                        return;
                    }
                }
                // This very value holds the sender.
                Phase::Idle | Phase::Busy => drop(phases.changed().await),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    async fn is_late_after(pace: &Pace, wait: Duration) -> bool {
        tokio::time::timeout(wait, pace.late(LIMIT)).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_so_long_however_it_trickles() {
        let pace = Pace::default();
        assert!(!is_late_after(&pace, LIMIT * 9).await, "nothing was begun");
        pace.heard();
        tokio::time::advance(LIMIT / 2).await;
        pace.heard();
        assert!(is_late_after(&pace, LIMIT * 6 / 10).await);
        pace.head_ended();
        assert!(!is_late_after(&pace, LIMIT * 9).await, "an answer may take its time");
        pace.heard();
        assert!(!is_late_after(&pace, LIMIT * 9).await, "so may a body: others look after it");
        pace.answered();
        pace.heard();
        assert!(is_late_after(&pace, LIMIT * 2).await, "the next head");
    }
}
