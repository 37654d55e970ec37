//! The install log of an environment: a ring that followers read by their own cursor, and
//! lines in Postgres.

use std::sync::Arc;

use devpocket_protocol::ring::Ring;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::persistence::engine::LOG_LINE_BYTES;
use crate::persistence::{Late, LogLevel, LogLine, Persistence};

/// How much of the log is held for followers, in bytes; all of it is in Postgres.
const LIMIT: usize = 64 * 1024;

/// The most that a follower is given at once, in bytes.
const TURN: usize = 16 * 1024;

/// The log of one environment, shared by its actor and those who follow it.
#[derive(Debug)]
pub struct InstallLog {
    /// The log, and how many went before it.
    ring: Mutex<(u64, Ring)>,
    changed: watch::Sender<()>,
}

/// Writes what an agent tells of its install log: to those who follow it, and to Postgres.
pub(super) struct LogWriter {
    log: Arc<InstallLog>,
    persistence: Persistence,
    environment: String,
    /// Names the agent's start: with a line's offset it makes an id that is the same when the
    /// log is read again, so that no line is stored twice.
    instance: String,
    offset: u64,
    line: Vec<u8>,
}

impl LogWriter {
    pub(super) fn new(
        log: Arc<InstallLog>,
        persistence: Persistence,
        environment: String,
        instance: String,
    ) -> Self {
        log.restart();
        Self { log, persistence, environment, instance, offset: 0, line: Vec::new() }
    }

    /// Where the log is to be read from.
    pub(super) fn next_offset(&self) -> u64 {
        self.offset
    }

    /// Takes log bytes at `offset`; the agent sends them contiguously, but for what it no longer held.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        self.log.append(offset, data);
        if offset != self.offset {
            self.line.clear();
            self.offset = offset;
        }
        for piece in data.split_inclusive(|byte| *byte == b'\n') {
            self.offset += piece.len() as u64;
            // A line is cut where the store would cut it anyway.
            let room = LOG_LINE_BYTES.saturating_sub(self.line.len());
            self.line.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                self.store_line();
            }
        }
    }

    fn store_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\r', '\n']);
        let mut line = LogLine::now(self.environment.clone(), LogLevel::Info, "install", text);
        line.id = format!("{}:{}", self.instance, self.offset);
        self.persistence.late(Late::LogLine(line));
    }
}

/// Reads a log. Each has a cursor of its own.
#[derive(Debug)]
pub struct LogFollower {
    log: Arc<InstallLog>,
    changed: watch::Receiver<()>,
    generation: u64,
    cursor: u64,
}

impl Default for InstallLog {
    fn default() -> Self {
        Self { ring: Mutex::new((0, Ring::new(LIMIT))), changed: watch::Sender::new(()) }
    }
}

impl InstallLog {
    /// Adds what came at `offset`; what is known already is skipped.
    pub(super) fn append(&self, offset: u64, data: &[u8]) {
        let mut held = self.ring.lock();
        let ring = &mut held.1;
        let end = ring.end();
        if offset > end {
            ring.restart_at(offset);
        }
        let known = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX).min(data.len());
        ring.append(&data[known..]);
        drop(held);
        self.changed.send_replace(());
    }

    /// A new instance of the environment begins a new log.
    pub(super) fn restart(&self) {
        let mut held = self.ring.lock();
        held.0 += 1;
        held.1.restart_at(0);
        drop(held);
        self.changed.send_replace(());
    }

    /// Follows the log from the oldest byte held.
    #[must_use]
    pub fn follow(self: &Arc<Self>) -> LogFollower {
        let (generation, cursor) = {
            let held = self.ring.lock();
            (held.0, held.1.start())
        };
        LogFollower { log: Arc::clone(self), changed: self.changed.subscribe(), generation, cursor }
    }
}

impl LogFollower {
    /// What is there and was not read, if anything.
    pub fn read(&mut self) -> Option<Vec<u8>> {
        let held = self.log.ring.lock();
        let (generation, ring) = (held.0, &held.1);
        if generation != self.generation || self.cursor < ring.start() {
            // Too slow, or a new log began: go on with the oldest that is held.
            self.generation = generation;
            self.cursor = ring.start();
        }
        let mut out = Vec::new();
        let n = ring.read(self.cursor, TURN, &mut out).unwrap_or(0);
        self.cursor += n as u64;
        (n > 0).then_some(out)
    }

    /// Waits until there may be more. Cancel-safe.
    pub async fn changed(&mut self) {
        // The sender lives as long as the log that this holds.
        let _ = self.changed.changed().await;
    }
}
