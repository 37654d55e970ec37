//! The JSON dialect of the existing mobile app, on the same sessions.
//!
//! Its clients know no offsets: output is text, written as it comes, and what the socket took
//! counts as shown. A client that connects again is sent the screen.

use std::time::Duration;

use bytes::Bytes;
use devpocket_actors::persistence::environments::EnvironmentView;
use devpocket_actors::terminal::Event;
use devpocket_actors::user::UserEvent;
use devpocket_protocol::Size;
use devpocket_protocol::client::close as code;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::dialect::{Dialect, Ending, Request};
use crate::auth::Principal;
use crate::dialect::{Dialect as Spelling, spelling};
use crate::events::messages;

/// The largest message of a client in bytes: a paste arrives as one.
pub(super) const MAX_MESSAGE: usize = 1024 * 1024;

/// After how many of the server's pings a client that was not heard is detached. The reference
/// server pings every 30 s and waits for 120 s.
const MISSED_PINGS: u32 = 4;

/// The state of a JSON connection.
pub(super) struct Json {
    /// How often the server pings.
    ping_every: Duration,
    spelling: Spelling,
    /// The beginning of a character whose end has not come yet, at most 3 bytes.
    partial: Vec<u8>,
}

fn text(value: &Value) -> Message {
    Message::text(value.to_string())
}

/// The first message on a terminal or logs socket.
pub(super) fn welcome(view: &EnvironmentView, pty: bool, principal: &Principal) -> Message {
    let environment = &view.environment;
    let status = match principal.dialect.unwrap_or_default() {
        Spelling::Camel => environment.status.as_str().to_owned(),
        Spelling::Snake => spelling::status(environment.status.as_str()),
    };
    text(&json!({
        "type": "welcome",
        "message": if pty { "Connected to the terminal" } else { "Connected to the logs" },
        "environment": {
            "id": environment.id,
            "name": environment.name,
            "template": view.template_name,
            "status": status,
            "installationCompleted": environment.installation_completed,
            "installation_completed": environment.installation_completed,
            "ptyEnabled": pty,
            "pty_enabled": pty,
        },
    }))
}

impl Json {
    pub(super) const fn new(ping_every: Duration, spelling: Spelling) -> Self {
        Self { ping_every, spelling, partial: Vec::new() }
    }

    /// The whole characters of `data` and what was left before. Bytes that are no UTF-8 become U+FFFD.
    fn characters(&mut self, data: &[u8]) -> String {
        self.partial.extend_from_slice(data);
        let bytes = std::mem::take(&mut self.partial);
        let keep = match std::str::from_utf8(&bytes) {
            // Cut off in the middle of a character: its end may be in the next piece.
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => incomplete_tail(&bytes),
        };
        self.partial = bytes[keep..].to_vec();
        String::from_utf8_lossy(&bytes[..keep]).into_owned()
    }
}

/// Where an incomplete character at the very end begins, or the length if there is none.
fn incomplete_tail(bytes: &[u8]) -> usize {
    let from = bytes.len().saturating_sub(3);
    let starts = (from..bytes.len()).rev().find(|at| bytes[*at] >= 0xc0);
    let needed = |lead: u8| match lead {
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    };
    match starts {
        Some(at) if bytes.len() - at < needed(bytes[at]) => at,
        _ => bytes.len(),
    }
}

impl Dialect for Json {
    fn heartbeat(&self) -> (Duration, Duration) {
        (self.ping_every, self.ping_every * MISSED_PINGS)
    }

    fn acknowledges_for_client(&self) -> bool {
        true
    }

    /// The app can't renew its token on a socket, and shows a closed socket as an error.
    fn ends_with_token(&self) -> bool {
        false
    }

    fn news(&self, event: &UserEvent) -> Vec<Message> {
        messages(event, self.spelling).iter().map(text).collect()
    }

    fn event(&mut self, event: &Event) -> Option<Message> {
        let value = match event {
            Event::Output { data, .. } => {
                let data = self.characters(data);
                if data.is_empty() {
                    return None;
                }
                json!({"type": "output", "data": data})
            }
            Event::Snapshot(snapshot) => {
                self.partial.clear();
                json!({"type": "output", "data": String::from_utf8_lossy(&snapshot.data)})
            }
            Event::Exit(exit) => json!({
                "type": "info",
                "message": "The session ended",
                "reason": exit.reason,
                "code": exit.code,
                "signal": exit.signal,
            }),
            Event::Status(status) => json!({"type": "status_update", "state": status.state}),
            Event::InputAck(_) | Event::Kicked(_) | Event::Orphaned => return None,
        };
        Some(text(&value))
    }

    fn pong(&self, _number: u64) -> Message {
        text(&json!({"type": "pong"}))
    }

    fn ping(&self) -> Option<Message> {
        Some(text(&json!({"type": "ping"})))
    }

    /// Its clients know the codes of RFC 6455 alone.
    fn close(&self, ending: &Ending) -> (u16, String) {
        let (_, reason) = ending.code();
        let code = match ending {
            Ending::SessionEnded | Ending::Left => code::ENDED,
            Ending::GoingAway => code::GOING_AWAY,
            Ending::TooLarge => code::TOO_LARGE,
            Ending::Failed => code::FAILED,
            _ => code::POLICY,
        };
        (code, reason)
    }
}

fn mistake(message: &str) -> Request {
    Request::Mistake(text(&json!({"type": "error", "message": message, "data": message})))
}

/// Reads a client's message. What makes no sense is answered and forgiven.
pub(super) fn decode(message: Message) -> Result<Request, Ending> {
    let value: Result<Value, _> = match &message {
        Message::Text(text) => serde_json::from_str(text),
        // Some clients send JSON in binary frames.
        Message::Binary(bytes) => serde_json::from_slice(bytes),
        _ => return Ok(Request::Nothing),
    };
    let Ok(value) = value else {
        return Ok(mistake("Failed to process message: it is not JSON"));
    };
    Ok(match value["type"].as_str() {
        Some("input") => match value["data"].as_str() {
            Some(data) => Request::Input(None, Bytes::copy_from_slice(data.as_bytes())),
            None => mistake("Failed to process message: input needs a string in data"),
        },
        Some("resize") => match size(&value) {
            Some(size) => Request::Resize(size),
            None => mistake("Failed to process message: resize needs cols and rows from 1 to 1000"),
        },
        Some("ping") => Request::Ping(0),
        Some(_) => Request::Nothing,
        None => mistake("Failed to process message: it has no type"),
    })
}

/// A size at the top level, or inside `metadata` or `data` as some clients have it.
fn size(value: &Value) -> Option<Size> {
    [value, &value["metadata"], &value["data"]].into_iter().find_map(|place| {
        let side = |name: &str| u16::try_from(place[name].as_u64()?).ok();
        Size::new(side("cols")?, side("rows")?).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn received(text: &str) -> Request {
        decode(Message::text(text)).unwrap()
    }

    #[test]
    fn the_apps_messages() {
        let input = Request::Input(None, Bytes::from_static(b"ls\r"));
        assert_eq!(received(r#"{"type":"input","data":"ls\r"}"#), input);
        assert_eq!(decode(Message::binary(&br#"{"type":"input","data":"ls\r"}"#[..])), Ok(input));
        let size = Request::Resize(Size::new(40, 20).unwrap());
        assert_eq!(received(r#"{"type":"resize","cols":40,"rows":20}"#), size);
        assert_eq!(received(r#"{"type":"resize","metadata":{"cols":40,"rows":20}}"#), size);
        assert_eq!(received(r#"{"type":"ping"}"#), Request::Ping(0));
        assert_eq!(received(r#"{"type":"dance"}"#), Request::Nothing);
    }

    #[test]
    fn what_makes_no_sense_is_answered() {
        for bad in ["", "hello", "[]", "{}", r#"{"type":"input"}"#, r#"{"type":"resize","cols":0,"rows":5}"#]
        {
            let Request::Mistake(Message::Text(answer)) = received(bad) else { panic!("{bad}") };
            let answer: Value = serde_json::from_str(&answer).unwrap();
            assert!(answer["message"].as_str().unwrap().contains("Failed to process message"));
            assert_eq!(answer["message"], answer["data"]);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in ".*") {
            prop_assert!(decode(Message::text(text)).is_ok());
        }

        /// Text cut into any pieces of bytes arrives whole.
        #[test]
        fn characters_survive_any_cut(text in "\\PC{0,60}", cuts in prop::collection::vec(1usize..6, 1..40)) {
            let (mut json, mut got, mut rest) = (Json::new(Duration::from_secs(30), Spelling::Camel), String::new(), text.as_bytes());
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (piece, later) = rest.split_at((*cut).min(rest.len()));
                got.push_str(&json.characters(piece));
                rest = later;
            }
            prop_assert_eq!(got, text);
        }

        #[test]
        fn broken_text_is_bounded(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..20)) {
            let mut json = Json::new(Duration::from_secs(30), Spelling::Camel);
            for piece in pieces {
                json.characters(&piece);
                prop_assert!(json.partial.len() <= 3);
            }
        }
    }
}
