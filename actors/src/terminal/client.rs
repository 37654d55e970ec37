//! One client on one session: its place in the output, its input lane, its size.
//!
//! A [`Client`] belongs to the edge's connection and outlives the terminal actor: when the
//! actor is restarted, the connection joins the new hub with the same client, which goes on
//! from the same byte in both directions.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use devpocket_protocol::Size;
use devpocket_protocol::agent::StreamId;
use devpocket_protocol::client::{Exit, Mode, SessionState, Status};
use devpocket_protocol::input::InputGap;
use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;
use uuid::Uuid;

use super::hub::{Hub, Link, State};
use super::lane::Lane;
use super::snapshot::{Snapshot, SnapshotCell};
use super::window::{AckAhead, Window};

/// The most output in one event, in bytes: small enough that a key's echo need not wait long
/// behind it, large enough to cost few frames.
const OUTPUT_TURN: usize = 32 * 1024;

/// How long a client may leave its window full while there is output for it.
pub const STALL_LIMIT: Duration = Duration::from_secs(60);

/// Where a client wants output to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With a picture of the screen.
    Screen,
    /// With this byte; it has everything before.
    Offset(u64),
}

/// Why a client's connection is ended from this side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kick {
    /// By an operator, or because the same client connected again.
    Detached,
    /// The environment was deleted.
    EnvironmentDeleted,
    /// It left its window full for [`STALL_LIMIT`].
    TooSlow,
}

/// What a client is to be told next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Output, contiguous with the last one or with the last snapshot.
    Output {
        /// The offset of the first byte.
        offset: u64,
        /// The bytes.
        data: Bytes,
    },
    /// A picture of the screen that replaces all output before it.
    Snapshot(Snapshot),
    /// All input before this offset reached the agent.
    InputAck(u64),
    /// Something changed.
    Status(Status),
    /// The session ended. The last event.
    Exit(Exit),
    /// The connection is to be closed. The last event.
    Kicked(Kick),
    /// The terminal actor is gone: join its successor's hub.
    Orphaned,
}

/// The number of the next client of this process: no two have the same, so that whoever means one
/// never hits another.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// A client's own part of a session.
#[derive(Debug)]
pub struct Client {
    pub(super) number: u64,
    /// When it connected.
    pub(super) since: DateTime<Utc>,
    pub(super) mode: Mode,
    pub(super) lane: Lane,
    pub(super) view: Mutex<View>,
    /// Larger for the client that typed later; 0 when it never did.
    active: AtomicU64,
    /// When it last typed or changed its size, in milliseconds since 1970; 0 when it never did.
    active_at: AtomicI64,
    pub(super) hub: RwLock<Arc<Hub>>,
}

#[derive(Debug)]
pub(super) struct View {
    pub(super) place: Place,
    pub(super) window: Window,
    pub(super) size: Size,
    /// Whether it was given its place in the output: only then is it told of changes.
    pub(super) placed: bool,
    /// What the client was last told.
    pub(super) told: Status,
    pub(super) told_input: u64,
    output_was_last: bool,
    kicked: Option<Kick>,
    /// Since when output waits for an ACK.
    pub(super) stalled_since: Option<Instant>,
}

/// Where a client is in the output.
#[derive(Debug)]
pub(super) enum Place {
    /// It has all before this offset.
    At(u64),
    /// It needs a snapshot: it has no place yet, or fell off the ring.
    Nowhere(Option<Arc<SnapshotCell>>),
}

impl Client {
    /// A client that has not attached yet.
    #[must_use]
    pub fn new(hub: &Arc<Hub>, stream: Uuid, mode: Mode, size: Size) -> Arc<Self> {
        let view = View {
            place: Place::Nowhere(None),
            window: Window::starting_at(0),
            size,
            placed: false,
            told: Status::of(SessionState::Live),
            told_input: 0,
            output_was_last: false,
            kicked: None,
            stalled_since: None,
        };
        Arc::new(Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            since: Utc::now(),
            mode,
            lane: Lane::new(StreamId(stream.into_bytes())),
            view: Mutex::new(view),
            active: AtomicU64::new(0),
            active_at: AtomicI64::new(0),
            hub: RwLock::new(Arc::clone(hub)),
        })
    }

    /// What the client may do.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    pub(super) fn lane(&self) -> &Lane {
        &self.lane
    }

    /// The input stream's id as people write it.
    #[must_use]
    pub fn stream_name(&self) -> String {
        Uuid::from_bytes(self.lane.stream().0).to_string()
    }

    pub(super) fn size(&self) -> (Size, u64) {
        (self.view.lock().size, self.last_active())
    }

    pub(super) fn last_active(&self) -> u64 {
        self.active.load(Ordering::Relaxed)
    }

    /// Notes that this client was the last one active; returns when it was before.
    pub(super) fn was_active(&self, now: u64) -> u64 {
        self.active_at.store(Utc::now().timestamp_millis(), Ordering::Relaxed);
        self.active.swap(now, Ordering::Relaxed)
    }

    /// When it last typed or changed its size.
    pub(super) fn last_active_at(&self) -> Option<DateTime<Utc>> {
        let millis = Some(self.active_at.load(Ordering::Relaxed)).filter(|millis| *millis > 0);
        DateTime::from_timestamp_millis(millis?)
    }

    pub(super) fn kick(&self, kick: Kick) {
        self.view.lock().kicked.get_or_insert(kick);
    }

    fn hub(&self) -> Arc<Hub> {
        Arc::clone(&self.hub.read())
    }

    /// Takes input; waits while there is no room for it, because the program does not read.
    /// Cancel-safe: what was taken stays taken, and a repeat is recognised.
    ///
    /// # Errors
    /// When bytes are missing before `offset`.
    pub async fn input(&self, offset: u64, data: &[u8]) -> Result<(), InputGap> {
        let mut done = 0;
        self.hub().count_keys();
        loop {
            let n = self.lane.take(offset + done as u64, &data[done..])?;
            self.hub().active(self, n, false);
            done += n;
            if done == data.len() {
                return Ok(());
            }
            self.lane.room().await;
        }
    }

    /// The offset at which this client's next input byte is expected, for clients that do not
    /// count themselves.
    #[must_use]
    pub fn next_input(&self) -> u64 {
        self.lane.end()
    }

    /// The client's screen has this size now.
    pub fn resize(&self, size: Size) {
        self.view.lock().size = size;
        self.hub().active(self, 0, true);
    }

    /// The client has shown all output before `offset`.
    ///
    /// # Errors
    /// When that was never sent.
    pub fn ack(&self, offset: u64) -> Result<(), AckAhead> {
        let mut view = self.view.lock();
        if view.window.ack(offset)? {
            view.stalled_since = None;
            drop(view);
            self.hub().wake_clients();
        }
        Ok(())
    }

    /// The next event, if there is one now.
    pub(super) fn poll(&self, state: &mut State) -> Option<Event> {
        let mut view = self.view.lock();
        if let Some(kick) = view.kicked {
            return Some(Event::Kicked(kick));
        }
        if state.link == Link::Orphaned && state.ended.is_none() {
            return Some(Event::Orphaned);
        }
        // Turn about: an echo goes before its acknowledgement, and in a flood of output
        // acknowledgements still come.
        if view.output_was_last
            && let Some(ack) = self.next_ack(&mut view)
        {
            return Some(ack);
        }
        if view.placed
            && let Some(status) = view.next_status(state.status())
        {
            return Some(Event::Status(status));
        }
        let output = view.next_output(state);
        view.output_was_last = output.is_some();
        output.or_else(|| self.next_ack(&mut view))
    }

    /// What the agent has taken since the client was last told.
    fn next_ack(&self, view: &mut View) -> Option<Event> {
        let acked = self.lane.acked();
        if acked <= view.told_input || self.mode == Mode::View {
            return None;
        }
        view.told_input = acked;
        view.output_was_last = false;
        Some(Event::InputAck(acked))
    }
}

impl View {
    /// A snapshot that an earlier hub was asked for will not come.
    pub(super) fn forget_hub(&mut self) {
        if let Place::Nowhere(waiting) = &mut self.place {
            *waiting = None;
        }
    }

    fn next_output(&mut self, state: &mut State) -> Option<Event> {
        if let Place::At(offset) = self.place
            && offset < state.ring.start()
        {
            self.place = Place::Nowhere(None);
        }
        match &mut self.place {
            Place::At(offset) => {
                if *offset >= state.ring.end() {
                    // Ahead of the ring it waits: the ring is being filled after a restart. If the
                    // session has ended, nothing fills it any more.
                    let is_last = *offset == state.ring.end() || state.link != Link::Live;
                    return state.ended.clone().filter(|_| is_last).map(Event::Exit);
                }
                let room = usize::try_from(self.window.room()).unwrap_or(usize::MAX);
                if room == 0 {
                    self.stalled_since.get_or_insert_with(Instant::now);
                    return None;
                }
                let mut data = Vec::new();
                let n = state.ring.read(*offset, room.min(OUTPUT_TURN), &mut data).ok()?;
                let event = Event::Output { offset: *offset, data: data.into() };
                *offset += n as u64;
                self.window.send(n);
                Some(event)
            }
            Place::Nowhere(_) if self.window.room() == 0 => {
                self.stalled_since.get_or_insert_with(Instant::now);
                None
            }
            Place::Nowhere(waiting) => {
                if state.link != Link::Live && state.ended.is_some() {
                    return state.ended.clone().map(Event::Exit);
                }
                let (start, end) = (state.ring.start(), state.ring.end());
                let cell = waiting.get_or_insert_with(|| state.snapshot.join(start, end));
                let snapshot = cell.get()?.clone();
                if snapshot.offset < start {
                    // It took so long that the bytes after it are gone: ask for another.
                    *waiting = Some(state.snapshot.join(start, end));
                    return None;
                }
                self.window.jump_to(snapshot.offset);
                self.place = Place::At(snapshot.offset);
                self.placed = true;
                // If the session has another size by now, the client is told so next.
                self.told.cols = Some(snapshot.size.cols());
                self.told.rows = Some(snapshot.size.rows());
                state.snapshots_sent += 1;
                Some(Event::Snapshot(snapshot))
            }
        }
    }

    /// What changed since the client was last told.
    fn next_status(&mut self, now: Status) -> Option<Status> {
        if now == self.told {
            return None;
        }
        let told = std::mem::replace(&mut self.told, now.clone());
        let size_changed = (now.cols, now.rows) != (told.cols, told.rows) || now.size_from != told.size_from;
        Some(Status {
            state: now.state,
            attachments: now.attachments.filter(|_| now.attachments != told.attachments),
            cols: now.cols.filter(|_| size_changed),
            rows: now.rows.filter(|_| size_changed),
            size_from: now.size_from.filter(|_| size_changed),
            message: None,
        })
    }
}
