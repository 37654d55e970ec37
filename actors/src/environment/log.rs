//! The install log of an environment: a ring that followers read by their own cursor, and
//! lines in Postgres.

use std::sync::Arc;
use std::time::{Duration, Instant};

use devpocket_protocol::ring::Ring;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::known::EnvironmentArgs;
use crate::persistence::engine::LOG_LINE_BYTES;
use crate::persistence::{Late, LogLevel, LogLine};
use crate::user::Happening;

/// How much of the log is held for followers, in bytes; all of it is in Postgres.
const LIMIT: usize = 64 * 1024;

/// The most that a follower is given at once, in bytes.
const TURN: usize = 16 * 1024;

/// The most that a follower is given as one line, in bytes.
const LINE: usize = 8 * 1024;

/// Listeners are told of a line this often, so that a chatty command does not drown their
/// other news.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// The most of a line that listeners are told, in characters.
const TOLD: usize = 200;

/// The log of one environment, shared by its actor and those who follow it.
#[derive(Debug)]
pub struct InstallLog {
    /// The log, and how many went before it.
    ring: Mutex<(u64, Ring)>,
    changed: watch::Sender<()>,
}

/// Writes what an agent tells of its install log: to those who follow it, and to Postgres.
pub(super) struct LogWriter {
    args: EnvironmentArgs,
    environment: String,
    /// Names the agent's start: with a line's offset it makes an id that is the same when the
    /// log is read again, so that no line is stored twice.
    instance: String,
    offset: u64,
    line: Vec<u8>,
    /// When listeners were last told of a line.
    told: Option<Instant>,
}

impl LogWriter {
    pub(super) fn new(args: EnvironmentArgs, environment: String, instance: String) -> Self {
        args.log.restart();
        Self { args, environment, instance, offset: 0, line: Vec::new(), told: None }
    }

    /// Where the log is to be read from.
    pub(super) fn next_offset(&self) -> u64 {
        self.offset
    }

    /// Takes log bytes at `offset`; the agent sends them contiguously, but for what it no longer held.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        self.args.log.append(offset, data);
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
        self.args.persistence.late(Late::LogLine(line));
        if self.told.is_none_or(|told| told.elapsed() > TELL_EVERY) {
            self.told = Some(Instant::now());
            let line = text.chars().take(TOLD).collect();
            self.args.tell(Happening::Progress { line });
        }
    }
}

/// Reads a log. Each has a cursor of its own.
#[derive(Debug)]
pub struct LogFollower {
    log: Arc<InstallLog>,
    changed: watch::Receiver<()>,
    generation: u64,
    cursor: u64,
    /// The beginning of a line.
    partial: Vec<u8>,
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
        LogFollower {
            log: Arc::clone(self),
            changed: self.changed.subscribe(),
            generation,
            cursor,
            partial: Vec::new(),
        }
    }
}

impl LogFollower {
    /// The next line that is there, without its end; cut at [`LINE`], as a progress bar may draw
    /// itself for ever.
    pub fn ready(&mut self) -> Option<String> {
        loop {
            if let Some(line) = self.take_line() {
                return Some(line);
            }
            let bytes = self.read()?;
            self.partial.extend_from_slice(&bytes);
        }
    }

    /// The next line. Cancel-safe.
    pub async fn next(&mut self) -> String {
        loop {
            if let Some(line) = self.ready() {
                return line;
            }
            // The sender lives as long as the log that this holds.
            let _ = self.changed.changed().await;
        }
    }

    fn take_line(&mut self) -> Option<String> {
        let end = self.partial.iter().position(|byte| *byte == b'\n').map(|end| end + 1);
        let end = end.filter(|end| *end <= LINE).or_else(|| (self.partial.len() >= LINE).then_some(LINE))?;
        let line: Vec<u8> = self.partial.drain(..end).collect();
        Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
    }

    /// What is there and was not read, if anything.
    fn read(&mut self) -> Option<Vec<u8>> {
        let held = self.log.ring.lock();
        let (generation, ring) = (held.0, &held.1);
        if generation != self.generation || self.cursor < ring.start() {
            // Too slow, or a new log began: go on with the oldest that is held.
            self.generation = generation;
            self.cursor = ring.start();
            self.partial.clear();
        }
        let mut out = Vec::new();
        let n = ring.read(self.cursor, TURN, &mut out).unwrap_or(0);
        self.cursor += n as u64;
        (n > 0).then_some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_come_whole_and_endless_ones_in_pieces() {
        let log = Arc::new(InstallLog::default());
        log.append(0, b"one\r\ntw");
        let mut follower = log.follow();
        assert_eq!(follower.next().await, "one");
        assert_eq!(follower.ready(), None);
        log.append(7, b"o\n\n");
        assert_eq!((follower.next().await.as_str(), follower.next().await.as_str()), ("two", ""));
        log.append(10, &[b'.'; LINE + 1]);
        assert_eq!(follower.next().await.len(), LINE);
        assert_eq!(follower.ready(), None);
        // A new log: what was left of the old one is not its beginning.
        log.restart();
        log.append(0, b"new\n");
        assert_eq!(follower.next().await, "new");
    }
}
