//! The live terminal sessions of an environment: what is known of them, and who waits for them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use devpocket_protocol::Size;
use devpocket_protocol::agent::SessionInfo;

use crate::persistence::ID_LENGTH;
use crate::persistence::terminals::TerminalSession;

/// The most live sessions in one environment; the agent holds no more.
pub const MAX_SESSIONS: usize = 64;

/// The longest session name in bytes.
pub const MAX_NAME: usize = 64;

/// Which session of an environment is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// One that exists, by its id.
    Id(String),
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
            Selector::Id(id) => self.0.get(id),
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
    /// here, so their end was written.
    pub(super) fn superfluous_in(&self, agent: &[SessionInfo]) -> Vec<String> {
        let unknown = |session: &&SessionInfo| !self.0.contains_key(&session.id);
        agent.iter().filter(unknown).map(|session| session.id.clone()).collect()
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
}
