//! A client joined to a hub: how it gets its place, and what it is told next.

use std::sync::Arc;
use std::time::Duration;

use devpocket_protocol::Size;
use devpocket_protocol::client::{Mode, SessionState, WINDOW};
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};

use super::client::{Client, Event, Kick, Place, STALL_LIMIT, Start};
use super::hub::{Hub, Link, State};
use super::window::Window;

/// How long an attach may wait for the agent.
const ATTACH_LIMIT: Duration = Duration::from_secs(10);

/// Why a client could not be attached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// The session has ended.
    #[error("the session has ended")]
    Ended,
    /// It says to have output that the session has not produced.
    #[error("the session's output ends at {end}, before the offset to resume from")]
    Ahead {
        /// Where the output ends.
        end: u64,
    },
    /// The agent can't be reached at the moment.
    #[error("the environment can't be reached at the moment")]
    Unavailable,
    /// The terminal actor went away meanwhile: ask for its successor.
    #[error("the session is being restarted")]
    Orphaned,
}

/// A client joined to a hub. Dropping it detaches the client, which ends nothing.
#[derive(Debug)]
pub struct Attachment {
    hub: Arc<Hub>,
    client: Arc<Client>,
    number: u64,
    changed: watch::Receiver<()>,
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.hub.leave(self.number);
    }
}

/// Where an attached client stands; what HELLO tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Where the next output or the snapshot is.
    pub output_offset: u64,
    /// The oldest output held.
    pub oldest_offset: u64,
    /// The next input byte expected.
    pub input_offset: u64,
    /// The session's size.
    pub size: Size,
}

impl Attachment {
    /// Joins `client` to `hub` and waits until it has a place in the output and its lane is
    /// known to the agent. Dropping the future detaches it.
    ///
    /// # Errors
    /// See [`AttachError`].
    pub async fn attach(
        hub: &Arc<Hub>,
        client: &Arc<Client>,
        start: Start,
    ) -> Result<(Self, Standing), AttachError> {
        let mut attachment = Self::join(hub, client);
        let standing =
            timeout(ATTACH_LIMIT, attachment.settle(start)).await.unwrap_or(Err(AttachError::Unavailable))?;
        Ok((attachment, standing))
    }

    /// Joins a client that has been attached before to the hub of a restarted actor: it goes
    /// on where it is.
    #[must_use]
    pub fn rejoin(hub: &Arc<Hub>, client: &Arc<Client>) -> Self {
        // What the connection told it when the actor failed.
        client.view.lock().told.state = SessionState::Reconnecting;
        Self::join(hub, client)
    }

    fn join(hub: &Arc<Hub>, client: &Arc<Client>) -> Self {
        *client.hub.write() = Arc::clone(hub);
        client.view.lock().forget_hub();
        let changed = hub.changes();
        let number = hub.join(client);
        Self { hub: Arc::clone(hub), client: Arc::clone(client), number, changed }
    }

    /// The client.
    #[must_use]
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// The session.
    #[must_use]
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    async fn settle(&mut self, start: Start) -> Result<Standing, AttachError> {
        loop {
            self.changed.borrow_and_update();
            if let Some(settled) = self.hub.with_state(|state| self.try_settle(state, start)) {
                return settled;
            }
            // The sender lives in the hub that this attachment holds.
            let _ = self.changed.changed().await;
        }
    }

    /// Finds the client's place, in one step under the hub's lock.
    fn try_settle(&self, state: &mut State, start: Start) -> Option<Result<Standing, AttachError>> {
        if state.link == Link::Orphaned {
            return Some(Err(AttachError::Orphaned));
        }
        // Who has read a part of it may read the rest, as long as the agent can be asked for it.
        if state.ended.is_some() && (start == Start::Screen || state.link != Link::Live) {
            return Some(Err(AttachError::Ended));
        }
        if state.link != Link::Live {
            return None;
        }
        let input_offset = match self.client.mode {
            Mode::Control => self.client.lane.synced()?,
            Mode::View => 0,
        };
        let mut view = self.client.view.lock();
        if let (Start::Offset(offset), Place::Nowhere(None)) = (start, &view.place) {
            let end = state.agent_end;
            if offset > end {
                return Some(Err(AttachError::Ahead { end }));
            }
            if offset >= state.ring.start() && end - offset <= WINDOW {
                view.place = Place::At(offset);
                view.window = Window::starting_at(offset);
            }
        }
        let (oldest, end) = (state.ring.start(), state.ring.end());
        let output_offset = match &mut view.place {
            Place::At(offset) => *offset,
            Place::Nowhere(waiting) => {
                let cell = waiting.get_or_insert_with(|| state.snapshot.join(oldest, end));
                cell.get()?.offset
            }
        };
        view.placed = matches!(view.place, Place::At(_));
        view.told_input = input_offset;
        view.told.cols = Some(state.size.cols());
        view.told.rows = Some(state.size.rows());
        Some(Ok(Standing { output_offset, oldest_offset: oldest, input_offset, size: state.size }))
    }

    /// The next event; waits for it. Cancel-safe: an event is only taken when it is returned.
    pub async fn next(&mut self) -> Event {
        loop {
            self.changed.borrow_and_update();
            if let Some(event) = self.hub.with_state(|state| self.client.poll(state)) {
                return event;
            }
            let stalled = self.client.view.lock().stalled_since;
            match stalled {
                None => {
                    let _ = self.changed.changed().await;
                }
                Some(since) => tokio::select! {
                    _ = self.changed.changed() => {}
                    () = sleep_until(since + STALL_LIMIT) => return Event::Kicked(Kick::TooSlow),
                },
            }
        }
    }
}
