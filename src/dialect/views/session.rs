//! Terminal sessions, and what opens a socket to them.

use devpocket_actors::persistence::terminals::TerminalSession;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::view::bare;
use super::{SessionStatusWord, Timestamp, View};

/// A terminal session.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// Its row's id.
    pub id: String,
    /// By which it is attached to and ended.
    pub session_id: String,
    /// Where it runs.
    pub environment_id: String,
    /// What its owner calls it.
    #[schema(example = "main")]
    pub name: String,
    /// Whether somebody is attached.
    pub status: SessionStatusWord,
    /// Its width in characters.
    pub cols: i32,
    /// Its height in characters.
    pub rows: i32,
    /// When it began.
    pub started_at: Timestamp,
    /// When it was last used.
    pub last_activity_at: Option<Timestamp>,
}

impl From<&TerminalSession> for Session {
    fn from(session: &TerminalSession) -> Self {
        Self {
            id: session.id.clone(),
            session_id: session.session_id.clone(),
            environment_id: session.environment_id.clone(),
            name: session.name.clone(),
            status: session.status.into(),
            cols: session.cols,
            rows: session.rows,
            started_at: session.started_at.into(),
            last_activity_at: session.last_activity_at.map(Timestamp),
        }
    }
}

impl View for Session {}

/// The live sessions of an environment.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SessionList {
    /// The oldest first.
    pub sessions: Vec<Session>,
}

impl View for SessionList {
    /// No existing client reads it, so it stays what it is in camel.
    fn snake(&self) -> Value {
        json!({ "sessions": bare(&self.sessions) })
    }
}

/// A ticket for one WebSocket.
#[derive(Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ticket {
    /// Goes with the handshake as the subprotocol `ticket.…`.
    pub ticket: String,
    /// Its life in seconds.
    #[schema(example = 30)]
    pub expires_in: u64,
}

impl View for Ticket {}
