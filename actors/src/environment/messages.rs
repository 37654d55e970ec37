//! What an environment actor is told, and what it answers.

use std::sync::Arc;

use devpocket_protocol::Size;
use devpocket_protocol::client::{Exit, HelloEnvironment};

use super::EnvironmentError;
use super::lifecycle::{Change, LifecycleNews};
use super::log::InstallLog;
use super::sessions::Selector;
use crate::persistence::environments::EnvironmentView;
use crate::persistence::terminals::TerminalSession;
use crate::persistence::{AuditEntry, EnvironmentStatus, WriteError};
use crate::supervision::{Addr, Reply};
use crate::terminal::{Kick, TerminalMessage};

/// Where the answer to [`EnvironmentMessage::Open`] goes.
pub type OpenReply = Reply<Result<OpenTerminal, EnvironmentError>>;

/// What an environment actor can be told.
pub enum EnvironmentMessage {
    /// Change what is wanted, and note that line of the audit record with it. Answered when that is
    /// written, with the status then shown.
    Change(Change, Option<Box<AuditEntry>>, Reply<Result<EnvironmentStatus, EnvironmentError>>),
    /// Find or make a terminal session.
    Open(Selector, Size, OpenReply),
    /// End a terminal session.
    EndSession(Selector, Reply<Result<(), EnvironmentError>>),
    /// The install log, to follow.
    InstallLog(Reply<Result<Arc<InstallLog>, EnvironmentError>>),
    /// The row was changed: name, description, variables, resources.
    Refreshed(Box<EnvironmentView>),
    /// End the connections of all clients.
    Kick(Kick),
    /// From the actor's own tasks; nobody else can make one.
    Own(OwnNews),
}

/// What the actor's own tasks tell it.
pub struct OwnNews(pub(super) EnvironmentNews);

pub(super) enum EnvironmentNews {
    Lifecycle(LifecycleNews),
    SessionCreated(String, Result<TerminalSession, WriteError>),
    SessionEnded(String, Exit),
    Tick,
}

impl From<EnvironmentNews> for EnvironmentMessage {
    fn from(news: EnvironmentNews) -> Self {
        Self::Own(OwnNews(news))
    }
}

/// A terminal session that was found or made.
#[derive(Debug, Clone)]
pub struct OpenTerminal {
    /// Its actor.
    pub terminal: Addr<TerminalMessage>,
    /// Its row.
    pub session: TerminalSession,
    /// Its environment, as HELLO tells it.
    pub environment: HelloEnvironment,
}
