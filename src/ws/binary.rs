//! The dialect `devpocket.v2` (`docs/protocol.md`).

use std::time::Duration;

use devpocket_actors::terminal::Event;
use devpocket_actors::user::UserEvent;
use devpocket_protocol::client::{ClientFrame, DEAD_AFTER_S, HEARTBEAT_S, ServerFrame};
use tokio_tungstenite::tungstenite::Message;

use super::dialect::{Dialect, Ending, Request};

/// The state of a binary connection: none, because a frame says everything.
pub(super) struct Binary;

pub(super) fn message(frame: &ServerFrame) -> Message {
    Message::Binary(frame.encode())
}

impl Dialect for Binary {
    fn heartbeat(&self) -> (Duration, Duration) {
        (Duration::from_secs(HEARTBEAT_S), Duration::from_secs(DEAD_AFTER_S))
    }

    fn acknowledges_for_client(&self) -> bool {
        false
    }

    fn ends_with_token(&self) -> bool {
        true
    }

    /// Its clients listen to the stream of events for that.
    fn news(&self, _event: &UserEvent) -> Vec<Message> {
        Vec::new()
    }

    fn event(&mut self, event: &Event) -> Option<Message> {
        let frame = match event.clone() {
            Event::Output { offset, data } => ServerFrame::Output { offset, data },
            Event::Snapshot(snapshot) => {
                ServerFrame::Snapshot { offset: snapshot.offset, size: snapshot.size, data: snapshot.data }
            }
            Event::InputAck(offset) => ServerFrame::InputAck(offset),
            Event::Status(status) => ServerFrame::Status(status),
            Event::Exit(exit) => ServerFrame::Exit(exit),
            Event::Kicked(_) | Event::Orphaned => return None,
        };
        Some(message(&frame))
    }

    fn pong(&self, number: u64) -> Message {
        message(&ServerFrame::Pong(number))
    }

    fn ping(&self) -> Option<Message> {
        None
    }

    fn close(&self, ending: &Ending) -> (u16, String) {
        ending.code()
    }
}

/// Reads a client's message.
pub(super) fn decode(message: Message) -> Result<Request, Ending> {
    let frame = match message {
        Message::Binary(frame) => frame,
        Message::Text(_) => return Err(Ending::Malformed("frames are binary messages".into())),
        _ => return Ok(Request::Nothing),
    };
    match ClientFrame::decode(frame) {
        Ok(ClientFrame::Input { offset, data }) => Ok(Request::Input(Some(offset), data)),
        Ok(ClientFrame::Resize(size)) => Ok(Request::Resize(size)),
        Ok(ClientFrame::Ack(offset)) => Ok(Request::Ack(offset)),
        Ok(ClientFrame::Ping(number)) => Ok(Request::Ping(number)),
        Err(error) => Err(Ending::Malformed(error.to_string())),
    }
}
