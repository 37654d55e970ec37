//! What a session and its clients look like to administrators.

use std::sync::atomic::Ordering;

use chrono::{DateTime, Utc};
use devpocket_protocol::Size;
use devpocket_protocol::client::{Mode, SessionState};

use super::client::{Client, Kick, View};
use super::hub::{Hub, State};
use crate::supervision::Gauges;

/// One client of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientShown {
    /// Names the connection: no other one of this process has it.
    pub number: u64,
    /// Its input stream, which stays when it connects again.
    pub stream: String,
    /// What it may do.
    pub mode: Mode,
    /// Its screen, which need not be the session's.
    pub size: Size,
    /// When it connected.
    pub since: DateTime<Utc>,
    /// Bytes of output that it has not shown yet, as far as is known.
    pub behind: u64,
    /// Those of them that were sent to it and that it has not acknowledged.
    pub in_flight: u64,
    /// Whether it has left its window full, so that nothing is sent to it.
    pub is_slow: bool,
    /// When it last typed or changed its size.
    pub last_active_at: Option<DateTime<Utc>>,
}

impl Hub {
    /// The clients, the oldest first.
    #[must_use]
    pub fn clients(&self) -> Vec<ClientShown> {
        let state = self.lock();
        state.clients.iter().map(|(number, client)| client.shown(*number, &state)).collect()
    }

    /// Ends the connection of one client. False: there is none of that number.
    #[must_use]
    pub fn kick(&self, number: u64, kick: Kick) -> bool {
        let client = self.lock().clients.iter().find(|(other, _)| *other == number).cloned();
        let Some((_, client)) = client else { return false };
        client.kick(kick);
        self.wake_clients();
        true
    }

    /// The session's state in a word.
    pub(super) fn state_word(&self) -> &'static str {
        let state = self.lock();
        if state.ended.is_some() {
            return "ended";
        }
        match state.status().state {
            SessionState::Live => "live",
            SessionState::Reconnecting => "reconnecting",
            SessionState::EnvironmentStarting => "environment_starting",
            // Connections drain, not sessions.
            SessionState::Draining => "draining",
        }
    }

    pub(super) fn gauges(&self) -> Gauges {
        let state = self.lock();
        let views = || state.clients.iter().map(|(_, client)| client.view.lock());
        Gauges {
            attachments: state.clients.len(),
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
            bytes_out: self.bytes_out.load(Ordering::Relaxed),
            keys: self.keys.load(Ordering::Relaxed),
            ring_used: state.ring.len(),
            ring_limit: state.ring.limit(),
            snapshots: state.snapshots_sent,
            behind: views().map(|view| view.behind(&state)).max().unwrap_or(0),
            is_slow: views().any(|view| view.stalled_since.is_some()),
        }
    }
}

impl Client {
    fn shown(&self, number: u64, state: &State) -> ClientShown {
        let view = self.view.lock();
        ClientShown {
            number,
            stream: self.stream_name(),
            mode: self.mode(),
            size: view.size,
            since: self.since,
            behind: view.behind(state),
            in_flight: view.window.in_flight(),
            is_slow: view.stalled_since.is_some(),
            last_active_at: self.last_active_at(),
        }
    }
}

impl View {
    /// Bytes of output that the client has not shown. One that has no place yet waits for a
    /// picture of the screen and misses none.
    fn behind(&self, state: &State) -> u64 {
        if !self.placed {
            return 0;
        }
        state.ring.end().saturating_sub(self.window.sent()) + self.window.in_flight()
    }
}
