//! Late writes: what may reach the database a moment after it happened, in batches.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::time::Instant;

use crate::persistence::ids::new_id;
use crate::persistence::words::LogLevel;

/// Items at which a batch is written at once.
pub const FLUSH_ITEMS: usize = 256;

/// Longest wait of an item for others to join its batch.
pub const FLUSH_AFTER: Duration = Duration::from_millis(500);

/// Items held while the database is away. Beyond it the oldest go, and are counted.
pub const LATE_BACKLOG: usize = 10_000;

/// Rows written in one transaction when a backlog is worked off.
pub(super) const BATCH_ROWS: usize = 1_024;

/// Longest text kept of one log line; the rest is cut off. What bounds the items must also
/// bound the bytes.
pub const LOG_LINE_BYTES: usize = 8 * 1024;

/// One line about an environment: an install step, a container's last words.
#[derive(Debug, Clone)]
pub struct LogLine {
    /// Given here, so that a repeated batch doubles nothing.
    pub id: String,
    /// Whose.
    pub environment_id: String,
    /// How heavy.
    pub level: LogLevel,
    /// The text.
    pub message: String,
    /// Who said it, e.g. `install`, `container`, `server`.
    pub source: String,
    /// Anything more.
    pub metadata: Option<Value>,
    /// When.
    pub timestamp: DateTime<Utc>,
}

impl LogLine {
    /// A line said now.
    #[must_use]
    pub fn now(environment_id: String, level: LogLevel, source: &str, message: &str) -> Self {
        let mut end = message.len().min(LOG_LINE_BYTES);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        Self {
            id: new_id(),
            environment_id,
            level,
            message: message[..end].to_owned(),
            source: source.to_owned(),
            metadata: None,
            timestamp: Utc::now(),
        }
    }
}

/// One measurement of an environment. Usage in percent, network in bytes since its start.
#[derive(Debug, Clone)]
pub struct Metric {
    /// Given here, so that a repeated batch doubles nothing.
    pub id: String,
    /// Whose.
    pub environment_id: String,
    /// Percent of its CPU.
    pub cpu_usage: f64,
    /// Percent of its memory.
    pub memory_usage: f64,
    /// Percent of its volume.
    pub storage_usage: f64,
    /// Bytes received.
    pub network_rx: i64,
    /// Bytes sent.
    pub network_tx: i64,
    /// When.
    pub timestamp: DateTime<Utc>,
}

/// One line of the audit record.
#[derive(Debug, Clone)]
pub struct AuditEntry {
    /// Given here, so that a repeated batch doubles nothing.
    pub id: String,
    /// Who did it; `None`: the server.
    pub actor_id: Option<String>,
    /// The name as it is now.
    pub actor_name: Option<String>,
    /// What, e.g. `environment.create`.
    pub action: String,
    /// Kind of the thing it was done to.
    pub target_type: Option<String>,
    /// Which one.
    pub target_id: Option<String>,
    /// From where.
    pub ip: Option<String>,
    /// Anything more; never a secret.
    pub detail: Option<Value>,
    /// When.
    pub timestamp: DateTime<Utc>,
}

impl AuditEntry {
    /// Something done now.
    #[must_use]
    pub fn now(action: impl Into<String>) -> Self {
        Self {
            id: new_id(),
            actor_id: None,
            actor_name: None,
            action: action.into(),
            target_type: None,
            target_id: None,
            ip: None,
            detail: None,
            timestamp: Utc::now(),
        }
    }
}

/// A write nobody waits for.
#[derive(Debug, Clone)]
pub enum Late {
    /// Somebody used the environment.
    Activity {
        /// Which.
        environment_id: String,
        /// When.
        at: DateTime<Utc>,
    },
    /// Somebody used the terminal session.
    TerminalActivity {
        /// Its row's id.
        terminal_id: String,
        /// When.
        at: DateTime<Utc>,
    },
    /// The person is here, by this sign-in.
    UserSeen {
        /// Who.
        user_id: String,
        /// By which sign-in, when it is known.
        session_id: Option<String>,
        /// When.
        at: DateTime<Utc>,
    },
    /// A line about an environment.
    LogLine(LogLine),
    /// A measurement.
    Metric(Metric),
    /// A line of the audit record. What must never be lost is written durably instead.
    Audit(AuditEntry),
}

/// A row to add.
#[derive(Debug, Clone)]
pub(super) enum Row {
    Log(LogLine),
    Metric(Metric),
    Audit(AuditEntry),
}

/// A row whose "last used" time moves. In the order in which rows are locked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Touch {
    User(String),
    UserSession(String),
    Environment(String),
    Terminal(String),
}

/// What is written together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) touches: Vec<(Touch, DateTime<Utc>)>,
    pub(super) rows: Vec<Row>,
}

impl Batch {
    pub(super) fn len(&self) -> usize {
        self.touches.len() + self.rows.len()
    }
}

/// The backlog. A batch that is being written stays here until it has landed, so that it
/// survives the worker.
#[derive(Debug, Default)]
pub(super) struct LateQueue {
    rows: VecDeque<Row>,
    touches: HashMap<Touch, DateTime<Utc>>,
    in_flight: Option<Arc<Batch>>,
    waiting_since: Option<Instant>,
}

impl LateQueue {
    /// Takes an item. Returns how many had to go for it.
    pub(super) fn push(&mut self, item: Late) -> u64 {
        match item {
            Late::Activity { environment_id, at } => self.touch(Touch::Environment(environment_id), at),
            Late::TerminalActivity { terminal_id, at } => self.touch(Touch::Terminal(terminal_id), at),
            Late::UserSeen { user_id, session_id, at } => {
                let dropped = session_id.map_or(0, |id| self.touch(Touch::UserSession(id), at));
                dropped + self.touch(Touch::User(user_id), at)
            }
            Late::LogLine(mut line) => {
                line.message.retain(|c| c != '\0');
                line.metadata = line.metadata.map(without_nul);
                self.row(Row::Log(line))
            }
            Late::Metric(metric) => self.row(Row::Metric(metric)),
            Late::Audit(mut entry) => {
                entry.action.retain(|c| c != '\0');
                entry.detail = entry.detail.map(without_nul);
                self.row(Row::Audit(entry))
            }
        }
    }

    fn row(&mut self, row: Row) -> u64 {
        let dropped = self.make_room();
        self.rows.push_back(row);
        dropped
    }

    /// The latest time wins; a thing touched a thousand times is one item.
    fn touch(&mut self, touch: Touch, at: DateTime<Utc>) -> u64 {
        if let Some(known) = self.touches.get_mut(&touch) {
            *known = at.max(*known);
            return 0;
        }
        let dropped = self.make_room();
        self.touches.insert(touch, at);
        dropped
    }

    fn make_room(&mut self) -> u64 {
        self.waiting_since.get_or_insert_with(Instant::now);
        if self.len() < LATE_BACKLOG {
            return 0;
        }
        if self.rows.pop_front().is_none() {
            // Only "last used" times are left, ten thousand of them: any one may go, as the
            // next use writes it anew.
            if let Some(touch) = self.touches.keys().next().cloned() {
                self.touches.remove(&touch);
            }
        }
        1
    }

    /// Everything not yet landed.
    pub(super) fn len(&self) -> usize {
        self.waiting() + self.in_flight.as_ref().map_or(0, |batch| batch.len())
    }

    fn waiting(&self) -> usize {
        self.rows.len() + self.touches.len()
    }

    /// When the next batch is due: `None` while there is nothing to write.
    pub(super) fn due(&self, draining: bool) -> Option<Instant> {
        if self.in_flight.is_some() || (draining && self.waiting() > 0) || self.waiting() >= FLUSH_ITEMS {
            return Some(Instant::now());
        }
        self.waiting_since.map(|since| since + FLUSH_AFTER)
    }

    /// The batch to write now: the one that was being written, if a worker died over it.
    pub(super) fn take(&mut self) -> Arc<Batch> {
        if let Some(batch) = &self.in_flight {
            return Arc::clone(batch);
        }
        let count = self.rows.len().min(BATCH_ROWS);
        let mut touches: Vec<_> = self.touches.drain().collect();
        touches.sort_by(|a, b| a.0.cmp(&b.0));
        let batch = Arc::new(Batch { touches, rows: self.rows.drain(..count).collect() });
        self.waiting_since = (!self.rows.is_empty()).then(Instant::now);
        self.in_flight = Some(Arc::clone(&batch));
        batch
    }

    /// The batch taken last is in the database.
    pub(super) fn landed(&mut self) {
        self.in_flight = None;
    }
}

/// jsonb holds no NUL character either.
fn without_nul(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace('\0', "")),
        Value::Array(items) => Value::Array(items.into_iter().map(without_nul).collect()),
        Value::Object(entries) => {
            entries.into_iter().map(|(key, value)| (key.replace('\0', ""), without_nul(value))).collect()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Late {
        Late::LogLine(LogLine::now("e".into(), LogLevel::Info, "test", text))
    }

    #[test]
    fn activity_is_one_item_and_keeps_the_latest() {
        let mut queue = LateQueue::default();
        let now = Utc::now();
        for seconds in [0, 5, 2] {
            let at = now + chrono::TimeDelta::seconds(seconds);
            queue.push(Late::Activity { environment_id: "e".into(), at });
        }
        let batch = queue.take();
        assert_eq!(
            batch.touches,
            vec![(Touch::Environment("e".into()), now + chrono::TimeDelta::seconds(5))]
        );
    }

    #[test]
    fn the_oldest_go_when_the_backlog_is_full() {
        let mut queue = LateQueue::default();
        let dropped: u64 = (0..LATE_BACKLOG + 3).map(|n| queue.push(line(&n.to_string()))).sum();
        assert_eq!((dropped, queue.len()), (3, LATE_BACKLOG));
        let batch = queue.take();
        assert!(matches!(&batch.rows[0], Row::Log(line) if line.message == "3"));
        assert_eq!(batch.rows.len(), BATCH_ROWS);
    }

    #[test]
    fn a_batch_stays_until_it_has_landed() {
        let mut queue = LateQueue::default();
        queue.push(line("a"));
        let first = queue.take();
        queue.push(line("b"));
        assert!(Arc::ptr_eq(&first, &queue.take()));
        queue.landed();
        assert_eq!(queue.take().rows.len(), 1);
    }

    #[test]
    fn long_lines_are_cut_at_a_character() {
        let text = "ä".repeat(LOG_LINE_BYTES);
        let line = LogLine::now("e".into(), LogLevel::Info, "test", &text);
        assert!(line.message.len() <= LOG_LINE_BYTES && line.message.ends_with('ä'));
    }
}
