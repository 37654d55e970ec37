//! What one terminal session shares between its channel to the agent and its clients.
//!
//! The channel appends output to the ring; each client reads it with a cursor of its own. Input
//! goes the other way: each client has a lane, and the channel reads them. Nothing is pushed
//! and nothing is queued per client, so what a session costs is bounded: one ring, and one lane
//! for each client that types faster than the agent takes it.
//!
//! Locks: the hub's state first, then a client's view; neither is held across an await.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use devpocket_protocol::Size;
use devpocket_protocol::agent::{ServerFrame, StreamId, Welcome};
use devpocket_protocol::client::{Exit, Mode, SessionState, Status};
use devpocket_protocol::ring::Ring;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::client::{Client, Kick};
use super::size::{SizePolicy, Sizer};
use super::snapshot::{Snapshot, SnapshotSlot};

/// The most output that the server holds of a session, in bytes: the client's window, so that
/// whoever is not further behind than that resumes byte for byte.
pub const RING_LIMIT: usize = 256 * 1024;

/// How long a change of height alone waits for a further one: a phone's keyboard slides in
/// steps, and each step would make a full-screen program repaint.
const HEIGHT_DEBOUNCE: Duration = Duration::from_millis(150);

/// The most input of one client that is sent to the agent before the next client's turn.
const INPUT_TURN: usize = 16 * 1024;

/// Names a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionName {
    /// Its id: global, and never used again.
    pub id: String,
    /// Its name, unique among the live sessions of its environment.
    pub name: String,
    /// The environment it lives in.
    pub environment: String,
}

/// The shared part of a terminal session.
#[derive(Debug)]
pub struct Hub {
    session: SessionName,
    state: Mutex<State>,
    /// Wakes clients.
    changed: watch::Sender<()>,
    /// Wakes the channel.
    work: Notify,
    pub(super) bytes_in: AtomicU64,
    pub(super) bytes_out: AtomicU64,
    pub(super) keys: AtomicU64,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) ring: Ring,
    /// The furthest that the agent is known to have come; the ring follows it.
    pub(super) agent_end: u64,
    pub(super) link: Link,
    pub(super) ended: Option<Exit>,
    pub(super) snapshot: SnapshotSlot,
    pub(super) size: Size,
    size_from: Option<u64>,
    /// A size that the agent has not been told, and when it is to be.
    wanted: Option<(Size, Instant)>,
    policy: SizePolicy,
    pub(super) clients: Vec<(u64, Arc<Client>)>,
    /// Whether there ever was one.
    had_clients: bool,
    pub(super) snapshots_sent: u64,
    activity: u64,
    environment_starting: bool,
}

/// The state of the channel to the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// There is none at the moment.
    Down,
    /// It works.
    Live,
    /// The terminal actor that owned it is gone: another hub will take this one's place.
    Orphaned,
}

impl Hub {
    pub(super) fn new(session: SessionName, size: Size) -> Arc<Self> {
        let state = State {
            ring: Ring::new(RING_LIMIT),
            agent_end: 0,
            link: Link::Down,
            ended: None,
            snapshot: SnapshotSlot::default(),
            size,
            size_from: None,
            wanted: None,
            policy: SizePolicy::default(),
            clients: Vec::new(),
            had_clients: false,
            snapshots_sent: 0,
            activity: 0,
            environment_starting: false,
        };
        Arc::new(Self {
            session,
            state: Mutex::new(state),
            changed: watch::Sender::new(()),
            work: Notify::new(),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            keys: AtomicU64::new(0),
        })
    }

    /// Which session it is.
    #[must_use]
    pub fn session(&self) -> &SessionName {
        &self.session
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Runs `look` on the state; wakes the channel if a snapshot is to be asked for after it.
    pub(super) fn with_state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = look(&mut state);
        let asked = state.snapshot.is_asked();
        drop(state);
        if asked {
            self.wake_channel();
        }
        result
    }

    pub(super) fn wake_clients(&self) {
        self.changed.send_replace(());
    }

    pub(super) fn wake_channel(&self) {
        self.work.notify_one();
    }

    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Waits until the channel has something to do. For the channel alone. Cancel-safe.
    pub(super) async fn work(&self) {
        self.work.notified().await;
    }

    // === What the channel tells ===

    /// A channel was opened: output comes from `welcome.output_offset` on.
    pub(super) fn connected(&self, welcome: &Welcome) {
        let mut state = self.lock();
        if state.ring.end() != welcome.output_offset {
            state.ring.restart_at(welcome.output_offset);
        }
        state.agent_end = state.agent_end.max(welcome.end_offset);
        state.link = Link::Live;
        state.environment_starting = false;
        state.snapshot.ask_again();
        state.size = welcome.size;
        for (_, client) in &state.clients {
            client.lane().unsync();
        }
        state.decide_size();
        drop(state);
        self.wake_clients();
        self.wake_channel();
    }

    /// The channel broke.
    pub(super) fn disconnected(&self) {
        let mut state = self.lock();
        if state.link == Link::Live {
            state.link = Link::Down;
        }
        drop(state);
        self.wake_clients();
    }

    /// Output came. A gap before it (the agent's ring turned over because the channel was
    /// slow) makes every client's cursor fall off the ring, and so get a snapshot.
    pub(super) fn output(&self, offset: u64, data: &[u8]) {
        self.bytes_out.fetch_add(data.len() as u64, Ordering::Relaxed);
        let mut state = self.lock();
        let end = state.ring.end();
        if offset > end {
            state.ring.restart_at(offset);
            state.ring.append(data);
        } else {
            let known = usize::try_from(end - offset).unwrap_or(usize::MAX).min(data.len());
            state.ring.append(&data[known..]);
        }
        state.agent_end = state.agent_end.max(state.ring.end());
        drop(state);
        self.wake_clients();
    }

    pub(super) fn snapshot(&self, snapshot: Snapshot) {
        let mut state = self.lock();
        state.agent_end = state.agent_end.max(snapshot.offset);
        state.snapshot.fill(snapshot);
        drop(state);
        self.wake_clients();
    }

    /// The agent took all input of `stream` before `offset`.
    pub(super) fn input_taken(&self, stream: StreamId, offset: u64) {
        let state = self.lock();
        for (_, client) in state.clients.iter().filter(|(_, client)| client.lane().stream() == stream) {
            client.lane().taken_until(offset);
        }
        drop(state);
        self.wake_clients();
        self.wake_channel();
    }

    /// The session ended; all of its output came before.
    pub(super) fn ended(&self, exit: Exit) {
        self.lock().ended.get_or_insert(exit);
        self.wake_clients();
    }

    /// Writes what the agent is to be told to `out`: control first, then input in turns.
    /// Returns when to come again if nobody wakes the channel before.
    pub(super) fn collect_work(&self, out: &mut Vec<u8>) -> Option<Instant> {
        let mut state = self.lock();
        if let Some((size, _)) = state.wanted.take_if(|(_, at)| *at <= Instant::now()) {
            ServerFrame::Resize(size).encode(out);
            state.size = size;
            self.wake_clients();
        }
        for (_, client) in &state.clients {
            if client.mode() == Mode::Control && client.lane().ask() {
                ServerFrame::StreamRequest(client.lane().stream()).encode(out);
            }
        }
        if state.snapshot.take_request() {
            ServerFrame::SnapshotRequest.encode(out);
        }
        for (_, client) in &state.clients {
            let mut data = Vec::new();
            if let Some(offset) = client.lane().send(INPUT_TURN, &mut data) {
                let stream = client.lane().stream();
                ServerFrame::Input { stream, offset, data: data.into() }.encode(out);
            }
        }
        state.wanted.map(|(_, at)| at)
    }

    // === What the terminal actor tells ===

    /// The environment is on its way to running, or is not any more.
    pub(super) fn set_environment_starting(&self, starting: bool) {
        self.lock().environment_starting = starting;
        self.wake_clients();
        self.wake_channel();
    }

    /// Changes whose size the session has.
    pub(super) fn set_size_policy(&self, policy: SizePolicy) {
        let mut state = self.lock();
        state.policy = policy;
        state.decide_size();
        drop(state);
        self.wake_channel();
    }

    /// Ends the connection of every client.
    pub(super) fn kick_all(&self, kick: Kick) {
        let state = self.lock();
        for (_, client) in &state.clients {
            client.kick(kick);
        }
        drop(state);
        self.wake_clients();
    }

    /// The terminal actor is gone.
    pub(super) fn orphan(&self) {
        self.lock().link = Link::Orphaned;
        self.wake_clients();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.lock().ended.is_some()
    }

    /// Whether no client is attached.
    pub(super) fn is_vacant(&self) -> bool {
        self.lock().clients.is_empty()
    }

    /// Whether a client was ever attached.
    pub(super) fn had_clients(&self) -> bool {
        self.lock().had_clients
    }

    /// Where the next channel should go on, if a ring is held.
    pub(super) fn resume_from(&self) -> Option<u64> {
        let state = self.lock();
        (!state.ring.is_empty()).then(|| state.ring.end())
    }

    pub(super) fn size(&self) -> Size {
        let state = self.lock();
        state.wanted.map_or(state.size, |(size, _)| size)
    }

    // === What clients tell ===

    /// Adds a client; returns its number. An older connection of the same input stream is the
    /// same client's, left behind when its network changed: it is detached.
    pub(super) fn join(&self, client: &Arc<Client>) -> u64 {
        let mut state = self.lock();
        for (_, other) in &state.clients {
            if other.lane().stream() == client.lane().stream() && client.mode() == Mode::Control {
                other.kick(Kick::Detached);
            }
        }
        let number = client.number;
        client.lane().unsync();
        state.activity = state.activity.max(client.last_active());
        state.clients.push((number, Arc::clone(client)));
        state.had_clients = true;
        state.decide_size();
        drop(state);
        self.wake_clients();
        self.wake_channel();
        number
    }

    pub(super) fn leave(&self, number: u64) {
        let mut state = self.lock();
        state.clients.retain(|(other, _)| *other != number);
        state.decide_size();
        drop(state);
        self.wake_clients();
        self.wake_channel();
    }

    /// A client sent a frame of input.
    pub(super) fn count_keys(&self) {
        self.keys.fetch_add(1, Ordering::Relaxed);
    }

    /// A client typed or changed its size, which makes it the latest.
    pub(super) fn active(&self, client: &Client, bytes: usize, resized: bool) {
        self.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
        let mut state = self.lock();
        state.activity += 1;
        let was_latest = client.was_active(state.activity) + 1 == state.activity;
        if resized || !was_latest {
            state.decide_size();
        }
        drop(state);
        self.wake_channel();
    }
}

impl State {
    /// Finds the size that the session shall have and, if it is another, when to tell the agent.
    fn decide_size(&mut self) {
        let sizers: Vec<_> = self
            .clients
            .iter()
            .filter(|(_, client)| client.mode() == Mode::Control)
            .map(|(number, client)| {
                let (size, active) = client.size();
                Sizer { client: *number, size, active }
            })
            .collect();
        let Some((size, from)) = self.policy.decide(&sizers) else { return };
        self.size_from = from;
        let now = Instant::now();
        if size == self.size {
            self.wanted = None;
        } else if self.wanted.is_none_or(|(wanted, _)| wanted != size) {
            let height_only = size.cols() == self.size.cols();
            self.wanted = Some((size, if height_only { now + HEIGHT_DEBOUNCE } else { now }));
        }
    }

    /// What clients may know of the session.
    pub(super) fn status(&self) -> Status {
        let state = if self.link == Link::Live || self.ended.is_some() {
            SessionState::Live
        } else if self.environment_starting {
            SessionState::EnvironmentStarting
        } else {
            SessionState::Reconnecting
        };
        let sizer = self.size_from.and_then(|from| self.clients.iter().find(|(number, _)| *number == from));
        Status {
            state,
            attachments: Some(self.clients.len()),
            cols: Some(self.size.cols()),
            rows: Some(self.size.rows()),
            size_from: sizer.map(|(_, client)| client.stream_name()),
            message: None,
        }
    }
}
