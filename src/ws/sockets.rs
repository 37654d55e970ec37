//! Counts live sockets, so that a shutdown can wait for them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// All live sockets of this process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sockets {
    state: Arc<watch::Sender<State>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    live: usize,
    closing: bool,
}

/// One live socket.
#[derive(Debug)]
pub struct Socket {
    state: Arc<watch::Sender<State>>,
    changes: watch::Receiver<State>,
}

impl Default for Sockets {
    fn default() -> Self {
        Self { state: Arc::new(watch::Sender::new(State::default())) }
    }
}

impl Sockets {
    /// Counts one more, until it is dropped.
    pub(crate) fn enter(&self) -> Socket {
        self.state.send_modify(|state| state.live += 1);
        Socket { state: Arc::clone(&self.state), changes: self.state.subscribe() }
    }

    /// The number of live sockets.
    #[must_use]
    pub fn live(&self) -> usize {
        self.state.borrow().live
    }

    /// Whether this process goes away: a new socket would be closed at once.
    #[must_use]
    pub fn are_closing(&self) -> bool {
        self.state.borrow().closing
    }

    /// Tells all sockets that this process goes away and waits until they have closed, at most
    /// for `limit`. Returns how many have not.
    pub async fn close(&self, limit: Duration) -> usize {
        self.state.send_modify(|state| state.closing = true);
        let mut changes = self.state.subscribe();
        let _ = tokio::time::timeout(limit, changes.wait_for(|state| state.live == 0)).await;
        self.live()
    }
}

impl Socket {
    /// Waits until this process goes away. Cancel-safe.
    pub(crate) async fn closing(&mut self) {
        // The sender is held by this very socket.
        let _ = self.changes.wait_for(|state| state.closing).await;
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.state.send_modify(|state| state.live -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_close_waits_for_those_that_leave_and_gives_up_on_those_that_do_not() {
        let sockets = Sockets::default();
        let (mut first, second) = (sockets.enter(), sockets.enter());
        let leaving = tokio::spawn(async move { first.closing().await });
        assert_eq!(sockets.close(Duration::from_secs(5)).await, 1);
        leaving.await.unwrap();
        drop(second);
        assert_eq!(sockets.close(Duration::from_secs(5)).await, 0);
    }
}
