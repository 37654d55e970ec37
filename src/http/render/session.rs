//! Terminal sessions.

use devpocket_actors::persistence::terminals::TerminalSession;
use serde_json::{Value, json};

use super::{both, optional_timestamp, timestamp};

/// A terminal session.
#[must_use]
pub fn session(session: &TerminalSession) -> Value {
    both(json!({
        "id": session.id,
        "sessionId": session.session_id,
        "environmentId": session.environment_id,
        "name": session.name,
        "status": session.status,
        "cols": session.cols,
        "rows": session.rows,
        "startedAt": timestamp(session.started_at),
        "lastActivityAt": optional_timestamp(session.last_activity_at),
    }))
}
