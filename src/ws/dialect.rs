//! What the two dialects have in common: events go out, requests come in, connections end.

use std::time::Duration;

use bytes::Bytes;
use devpocket_actors::terminal::{Event, Kick};
use devpocket_actors::user::UserEvent;
use devpocket_protocol::Size;
use devpocket_protocol::client::close as code;
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::upgrade::WebSocket;

/// How long a client may take to answer a close.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// How a dialect looks on the wire.
pub(super) trait Dialect: Send + Sync {
    /// How often the server pings, and after how much silence a client is detached.
    fn heartbeat(&self) -> (Duration, Duration);

    /// Whether what was written to the socket counts as shown: clients of this dialect do not
    /// acknowledge.
    fn acknowledges_for_client(&self) -> bool;

    /// Whether the end of the token it came by ends a connection.
    fn ends_with_token(&self) -> bool;

    /// The message for an event; `None` when clients of this dialect are not told.
    fn event(&mut self, event: &Event) -> Option<Message>;

    /// The messages for what happens to the environments of whoever is connected.
    fn news(&self, event: &UserEvent) -> Vec<Message>;

    /// The answer to a ping of the client.
    fn pong(&self, number: u64) -> Message;

    /// The server's own heartbeat, where the dialect has one.
    fn ping(&self) -> Option<Message>;

    /// The close code and reason for an ending.
    fn close(&self, ending: &Ending) -> (u16, String);
}

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    /// Type; at the client's own offset, or behind what came before.
    Input(Option<u64>, Bytes),
    /// Its screen has another size.
    Resize(Size),
    /// Output was shown.
    Ack(u64),
    /// A heartbeat.
    Ping(u64),
    /// Nothing that concerns the session.
    Nothing,
    /// Something wrong that the dialect forgives with this answer.
    Mistake(Message),
}

/// Reads a client's messages.
pub(super) type Decode = fn(Message) -> Result<Request, Ending>;

/// Why a connection ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    /// The session ended; the client was told how.
    SessionEnded,
    /// From the session's side.
    Kicked(Kick),
    /// This server process goes away.
    GoingAway,
    /// The client broke the protocol; the text says how.
    Malformed(String),
    /// The client may not do that.
    Forbidden(&'static str),
    /// A message above the limit.
    TooLarge,
    /// The sign-in ended, or the token did.
    Unauthorized,
    /// The client was not let in; for clients that expect to hear so by a close.
    Refused(&'static str),
    /// Nothing was heard of the client for too long.
    Silent,
    /// Something of ours failed.
    Failed,
    /// The client closed, or its connection broke.
    Left,
}

impl Ending {
    pub(super) const fn refused(reason: &'static str) -> Self {
        Self::Refused(reason)
    }

    /// The protocol's close code, and a reason for people.
    pub(super) fn code(&self) -> (u16, String) {
        let (code, reason) = match self {
            Self::SessionEnded => (code::ENDED, "the session ended"),
            Self::GoingAway => (code::GOING_AWAY, "the server goes away; connect again"),
            Self::Kicked(Kick::Detached) => (code::DETACHED, "detached"),
            Self::Kicked(Kick::EnvironmentDeleted) => (code::GONE, "the environment was deleted"),
            Self::Kicked(Kick::TooSlow) => (code::TOO_SLOW, "too slow for too long"),
            Self::Malformed(reason) => (code::MALFORMED, reason.as_str()),
            Self::Forbidden(reason) => (code::FORBIDDEN, *reason),
            Self::TooLarge => (code::TOO_LARGE, "the frame is too large"),
            Self::Unauthorized => (code::UNAUTHORIZED, "the token expired or was revoked; sign in again"),
            Self::Refused(reason) => (code::POLICY, *reason),
            Self::Silent => (code::TOO_SLOW, "nothing was heard of the client"),
            Self::Failed => (code::FAILED, "the server failed; connect again"),
            Self::Left => (code::ENDED, ""),
        };
        (code, reason.to_owned())
    }
}

/// The most bytes of a close reason (RFC 6455 §5.5: 125 with the code).
const MAX_REASON: usize = 123;

/// A close frame whose reason fits.
pub(super) fn close_frame((code, mut reason): (u16, String)) -> Message {
    while reason.len() > MAX_REASON {
        reason.pop();
    }
    Message::Close(Some(CloseFrame { code: code.into(), reason: reason.into() }))
}

/// Closes a socket and waits for the other side to do the same.
pub(super) async fn close(socket: &mut WebSocket, ending: &Ending) {
    let closing = async {
        if socket.send(close_frame(ending.code())).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    // A client that does not answer is left.
    let _ = tokio::time::timeout(CLOSE_LIMIT, closing).await;
}
