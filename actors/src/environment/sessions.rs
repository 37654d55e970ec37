//! The terminal sessions of an environment: those that live, and those that ended a short while ago.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use devpocket_protocol::Size;
use devpocket_protocol::agent::SessionInfo;
use devpocket_protocol::client::{Exit, ExitReason};

use crate::persistence::ID_LENGTH;
use crate::persistence::terminals::TerminalSession;

/// The most live sessions in one environment; the agent holds no more.
pub const MAX_SESSIONS: usize = 64;

/// The longest session name in bytes.
pub const MAX_NAME: usize = 64;

/// How long a session that has ended can still be read to its end by who was away meanwhile.
pub(super) const KEPT: TimeDelta = TimeDelta::minutes(5);

/// How many of them; the agent keeps no more.
pub(super) const MAX_KEPT: usize = 32;

/// Which session of an environment is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// One that lives, by its id.
    Id(String),
    /// One by its id, also if it ended a short while ago: for who has read a part of it.
    Resumed(String),
    /// By name; one that does not exist is made.
    Name(String),
}

/// A name that no session can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a session's name has 1 to {MAX_NAME} letters, digits, dots, hyphens and underscores")]
pub struct InvalidName;

impl Selector {
    /// Reads what a client gave: a text of an id's form is an id, so that an id of a session
    /// that ended is never taken for a name.
    ///
    /// # Errors
    /// When it can be neither.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let is_id = text.len() == ID_LENGTH
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            && text.starts_with(|c: char| c.is_ascii_lowercase());
        let is_name = (1..=MAX_NAME).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        match (is_id, is_name) {
            (true, _) => Ok(Self::Id(text.to_owned())),
            (false, true) => Ok(Self::Name(text.to_owned())),
            (false, false) => Err(InvalidName),
        }
    }
}

/// One live session.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) row: TerminalSession,
    /// Whether the agent has made it.
    pub(super) made: Arc<AtomicBool>,
}

impl Entry {
    pub(super) fn is_made(&self) -> bool {
        self.made.load(Ordering::Relaxed)
    }

    pub(super) fn size(&self) -> Size {
        let side = |n: i32| u16::try_from(n).unwrap_or(0);
        Size::new(side(self.row.cols), side(self.row.rows)).unwrap_or_default()
    }
}

/// All live sessions, by id.
#[derive(Debug, Default)]
pub(super) struct Sessions(HashMap<String, Entry>);

impl Sessions {
    /// The sessions that a predecessor or an earlier process left: the agent has made them, or
    /// nobody was ever attached to them.
    pub(super) fn left(rows: Vec<TerminalSession>) -> Self {
        let entry = |row: TerminalSession| {
            (row.session_id.clone(), Entry { row, made: Arc::new(AtomicBool::new(true)) })
        };
        Self(rows.into_iter().map(entry).collect())
    }

    pub(super) fn find(&self, selector: &Selector) -> Option<&Entry> {
        match selector {
            Selector::Id(id) | Selector::Resumed(id) => self.0.get(id),
            Selector::Name(name) => self.0.values().find(|entry| entry.row.name == *name),
        }
    }

    pub(super) fn add(&mut self, row: TerminalSession) {
        let id = row.session_id.clone();
        self.0.entry(id).or_insert_with(|| Entry { row, made: Arc::new(AtomicBool::new(false)) });
    }

    pub(super) fn remove(&mut self, id: &str) -> Option<Entry> {
        self.0.remove(id)
    }

    pub(super) fn ids(&self, which: impl Fn(&Entry) -> bool) -> Vec<String> {
        self.0.iter().filter(|(_, entry)| which(entry)).map(|(id, _)| id.clone()).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn rows(&self) -> Vec<TerminalSession> {
        let mut rows: Vec<_> = self.0.values().map(|entry| entry.row.clone()).collect();
        rows.sort_by(|a, b| a.started_at.cmp(&b.started_at).then_with(|| a.id.cmp(&b.id)));
        rows
    }

    /// Sessions that were made in an agent and that the running agent does not have.
    pub(super) fn missing_from(&self, agent: &[SessionInfo]) -> Vec<String> {
        let made = |entry: &&Entry| entry.is_made();
        let known = |entry: &&Entry| !agent.iter().any(|session| session.id == entry.row.session_id);
        self.0.values().filter(made).filter(known).map(|entry| entry.row.session_id.clone()).collect()
    }

    /// Sessions that the agent still holds and that nobody needs any more: they are not live
    /// here, so their end was written, and it is too long ago.
    pub(super) fn superfluous_in(&self, agent: &[SessionInfo], ended: &Ended) -> Vec<String> {
        let unknown =
            |session: &&SessionInfo| !self.0.contains_key(&session.id) && ended.find(&session.id).is_none();
        agent.iter().filter(unknown).map(|session| session.id.clone()).collect()
    }
}

/// The sessions whose end the agent still holds, oldest first: at most [`MAX_KEPT`].
#[derive(Debug, Default)]
pub(super) struct Ended(VecDeque<Entry>);

impl Ended {
    /// Those that ended before this actor started.
    pub(super) fn left(mut rows: Vec<TerminalSession>) -> Self {
        rows.sort_by_key(|row| row.ended_at);
        let mut ended = Self::default();
        for row in rows {
            let exit = row.exit.clone().and_then(|exit| serde_json::from_value(exit).ok());
            if exit.as_ref().is_some_and(is_held) {
                ended.push(Entry { row, made: Arc::new(AtomicBool::new(true)) });
            }
        }
        ended
    }

    /// Keeps one that has just ended, if its agent holds its end. Returns the id of one that had to go.
    pub(super) fn keep(&mut self, mut entry: Entry, exit: &Exit) -> Option<String> {
        if !is_held(exit) || !entry.is_made() {
            return None;
        }
        entry.row.ended_at = Some(Utc::now());
        entry.row.exit = serde_json::to_value(exit).ok();
        self.push(entry)
    }

    fn push(&mut self, entry: Entry) -> Option<String> {
        self.0.push_back(entry);
        let oldest = if self.0.len() > MAX_KEPT { self.0.pop_front() } else { None };
        oldest.map(|entry| entry.row.session_id)
    }

    pub(super) fn find(&self, id: &str) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.row.session_id == id)
    }

    /// Takes off those whose time is over; returns their ids.
    pub(super) fn expire(&mut self, now: DateTime<Utc>) -> Vec<String> {
        let is_over = |entry: &Entry| entry.row.ended_at.is_none_or(|ended| now - ended >= KEPT);
        let over = self.0.iter().filter(|entry| is_over(entry)).map(|entry| entry.row.session_id.clone());
        let over = over.collect();
        self.0.retain(|entry| !is_over(entry));
        over
    }

    /// The agent that held them is gone.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn rows(&self) -> Vec<TerminalSession> {
        self.0.iter().map(|entry| entry.row.clone()).collect()
    }
}

/// Whether the agent holds the output of a session that ended so.
fn is_held(exit: &Exit) -> bool {
    match exit.reason {
        ExitReason::Exited | ExitReason::Signaled | ExitReason::Closed => true,
        ExitReason::FailedToStart | ExitReason::EnvironmentGone | ExitReason::PodGone => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_never_taken_for_a_name() {
        let id = crate::persistence::new_id();
        assert_eq!(Selector::parse(&id), Ok(Selector::Id(id.clone())));
        assert_eq!(Selector::parse("main"), Ok(Selector::Name("main".into())));
        assert_eq!(Selector::parse("devpocket_1.x-y"), Ok(Selector::Name("devpocket_1.x-y".into())));
        for bad in ["", "a b", "a/b", "ä", &"x".repeat(65)] {
            assert_eq!(Selector::parse(bad), Err(InvalidName), "{bad}");
        }
    }

    fn entry(id: &str) -> Entry {
        let row = TerminalSession {
            id: format!("row-{id}"),
            environment_id: "e".into(),
            session_id: id.into(),
            name: "main".into(),
            status: crate::persistence::SessionStatus::Active,
            client_info: None,
            cols: 80,
            rows: 24,
            exit: None,
            started_at: Utc::now(),
            ended_at: None,
            last_activity_at: None,
        };
        Entry { row, made: Arc::new(AtomicBool::new(true)) }
    }

    #[test]
    fn an_end_is_kept_for_a_while_if_the_agent_holds_it() {
        let (mut ended, exited) = (Ended::default(), Exit::because(ExitReason::Exited));
        assert_eq!(ended.keep(entry("gone"), &Exit::because(ExitReason::PodGone)), None);
        assert!(ended.find("gone").is_none());
        assert_eq!(ended.keep(entry("kept"), &exited), None);
        assert!(ended.find("kept").is_some());
        // An actor after this one knows it too.
        assert!(Ended::left(ended.rows()).find("kept").is_some());
        assert_eq!(ended.expire(Utc::now()), Vec::<String>::new());
        assert_eq!(ended.expire(Utc::now() + KEPT), ["kept"]);
        assert!(ended.find("kept").is_none());
    }

    #[test]
    fn no_more_ends_are_kept_than_the_agent_keeps() {
        let (mut ended, exited) = (Ended::default(), Exit::because(ExitReason::Exited));
        let pushed: Vec<_> =
            (0..MAX_KEPT + 2).filter_map(|n| ended.keep(entry(&n.to_string()), &exited)).collect();
        assert_eq!(pushed, ["0", "1"]);
        assert_eq!(ended.rows().len(), MAX_KEPT);
    }
}
