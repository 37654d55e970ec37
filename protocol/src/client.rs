//! The frames of `devpocket.v2` between a terminal client and the server (`docs/protocol.md`).
//!
//! One binary WebSocket message is one frame: a type byte, then big-endian fields.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::wire::{Fields, put_json};
use crate::{DecodeError, Size};

/// The WebSocket subprotocol that names this version.
pub const SUBPROTOCOL: &str = "devpocket.v2";

/// The prefix of the second subprotocol, which carries a ticket.
pub const TICKET_PREFIX: &str = "ticket.";

/// The largest frame in bytes, its type byte included, in either direction.
pub const MAX_FRAME: usize = 64 * 1024;

/// The most bytes that an OUTPUT or INPUT frame can carry: type byte and offset come before them.
pub const MAX_DATA: usize = MAX_FRAME - 9;

/// The most bytes that a SNAPSHOT can carry: type byte, offset and size come before them.
pub const MAX_SNAPSHOT: usize = MAX_FRAME - 13;

/// How many bytes the server keeps in flight beyond the last ACK.
pub const WINDOW: u64 = 256 * 1024;

/// How often a client sends PING, in seconds.
pub const HEARTBEAT_S: u64 = 20;

/// After how many seconds of silence a client is detached.
pub const DEAD_AFTER_S: u64 = 45;

const INPUT: u8 = 0x01;
const RESIZE: u8 = 0x02;
const ACK: u8 = 0x03;
const PING: u8 = 0x04;
const OUTPUT: u8 = 0x81;
const SNAPSHOT: u8 = 0x82;
const INPUT_ACK: u8 = 0x83;
const PONG: u8 = 0x84;
const STATUS: u8 = 0x85;
const EXIT: u8 = 0x86;
const HELLO: u8 = 0x87;

/// What a client sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientFrame {
    /// Bytes for the program.
    Input {
        /// The input stream's offset of the first byte.
        offset: u64,
        /// The bytes, at most [`MAX_DATA`].
        data: Bytes,
    },
    /// The client's screen has this size now.
    Resize(Size),
    /// All output before this offset was parsed by the emulator.
    Ack(u64),
    /// A heartbeat; the same number comes back.
    Ping(u64),
}

/// What the server sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerFrame {
    /// Output of the program, contiguous with what came before.
    Output {
        /// The output offset of the first byte.
        offset: u64,
        /// The bytes, at most [`MAX_DATA`].
        data: Bytes,
    },
    /// The whole state of the terminal; replaces all output before it.
    Snapshot {
        /// The output offset at which it is true.
        offset: u64,
        /// The size at which it is true.
        size: Size,
        /// What to write to a reset terminal of that size, at most [`MAX_SNAPSHOT`].
        data: Bytes,
    },
    /// All input before this offset reached the agent.
    InputAck(u64),
    /// The answer to a PING.
    Pong(u64),
    /// Something about the session changed.
    Status(Status),
    /// The session ended; the socket closes after it.
    Exit(Exit),
    /// The first frame, once.
    Hello(Hello),
}

/// The first frame: where the client stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The session's id; a resume needs it.
    pub session_id: String,
    /// The session's name.
    pub session: String,
    /// The client's input stream.
    pub stream: String,
    /// Where the next OUTPUT or the SNAPSHOT stands, as far as it is known now.
    pub output_offset: u64,
    /// The oldest offset that can be resumed from.
    pub oldest_offset: u64,
    /// The next input byte that the session expects from this stream.
    pub input_offset: u64,
    /// The session's columns.
    pub cols: u16,
    /// The session's rows.
    pub rows: u16,
    /// Bytes that may be in flight beyond the last ACK.
    pub window: u64,
    /// Seconds between two PINGs.
    pub heartbeat_s: u64,
    /// What this client may do.
    pub mode: Mode,
    /// The environment that the session lives in.
    pub environment: HelloEnvironment,
}

/// The environment of a session, as HELLO tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelloEnvironment {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its status, in capitals.
    pub status: String,
}

/// What a client may do with a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Type, resize and look.
    #[default]
    Control,
    /// Look.
    View,
}

/// What a session does at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// Keys reach the program and its output comes.
    Live,
    /// The way to the environment broke and is being made anew.
    Reconnecting,
    /// The environment is on its way to running.
    EnvironmentStarting,
    /// This server process goes away; connect again.
    Draining,
}

/// A change that clients are told of. Only what changed is given, except for the state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// What the session does.
    pub state: SessionState,
    /// How many clients are attached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachments: Option<usize>,
    /// The session's columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cols: Option<u16>,
    /// The session's rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u16>,
    /// The input stream of the client that the size is from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_from: Option<String>,
    /// What a person may read about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Status {
    /// A status that tells the state alone.
    #[must_use]
    pub const fn of(state: SessionState) -> Self {
        Self { state, attachments: None, cols: None, rows: None, size_from: None, message: None }
    }
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Why.
    pub reason: ExitReason,
    /// The shell's exit code, when it ended by itself.
    pub code: Option<i32>,
    /// The signal's name (`SIGKILL`), when one ended the shell.
    pub signal: Option<String>,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitReason {
    /// The shell ended by itself.
    Exited,
    /// A signal ended the shell.
    Signaled,
    /// Somebody ended the session.
    Closed,
    /// The shell could not be started.
    FailedToStart,
    /// Its environment was stopped, restarted or deleted.
    EnvironmentGone,
    /// What its environment runs in went away unasked: killed, evicted, out of memory, node
    /// gone. The environment comes back on its volume.
    PodGone,
}

impl Exit {
    /// An end that no process status belongs to.
    #[must_use]
    pub const fn because(reason: ExitReason) -> Self {
        Self { reason, code: None, signal: None }
    }
}

/// The WebSocket close codes of the protocol.
pub mod close {
    /// The session ended.
    pub const ENDED: u16 = 1000;
    /// This server goes away.
    pub const GOING_AWAY: u16 = 1001;
    /// The JSON dialect's refusal.
    pub const POLICY: u16 = 1008;
    /// Frame too large.
    pub const TOO_LARGE: u16 = 1009;
    /// The server failed.
    pub const FAILED: u16 = 1011;
    /// Overloaded.
    pub const OVERLOADED: u16 = 1013;
    /// Malformed frame or wrong offset.
    pub const MALFORMED: u16 = 4400;
    /// Token revoked or expired.
    pub const UNAUTHORIZED: u16 = 4401;
    /// Not allowed in this mode.
    pub const FORBIDDEN: u16 = 4403;
    /// Environment deleted.
    pub const GONE: u16 = 4404;
    /// Too slow for too long.
    pub const TOO_SLOW: u16 = 4408;
    /// Detached by an operator or from another device.
    pub const DETACHED: u16 = 4410;
}

fn frame(kind: u8, room: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + room);
    out.push(kind);
    out
}

fn with_offset(kind: u8, offset: u64, data: &[u8]) -> Bytes {
    let mut out = frame(kind, 8 + data.len());
    out.extend_from_slice(&offset.to_be_bytes());
    out.extend_from_slice(data);
    out.into()
}

fn put_size(out: &mut Vec<u8>, size: Size) {
    out.extend_from_slice(&size.cols().to_be_bytes());
    out.extend_from_slice(&size.rows().to_be_bytes());
}

fn check_length(frame: &Bytes) -> Result<(), DecodeError> {
    if frame.len() > MAX_FRAME {
        return Err(DecodeError::TooLarge { len: frame.len(), max: MAX_FRAME });
    }
    Ok(())
}

impl ClientFrame {
    /// Reads a frame as a client sent it.
    ///
    /// # Errors
    /// When the bytes are no such frame; the socket closes with 4400 then.
    pub fn decode(frame: Bytes) -> Result<Self, DecodeError> {
        check_length(&frame)?;
        let mut fields = Fields::of(frame)?;
        match fields.kind() {
            INPUT => Ok(Self::Input { offset: fields.u64()?, data: fields.bytes() }),
            RESIZE => {
                let size = fields.size()?;
                fields.end(Self::Resize(size))
            }
            ACK => {
                let offset = fields.u64()?;
                fields.end(Self::Ack(offset))
            }
            PING => {
                let number = fields.u64()?;
                fields.end(Self::Ping(number))
            }
            other => Err(DecodeError::UnknownType(other)),
        }
    }

    /// The frame's bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Input { offset, data } => with_offset(INPUT, *offset, data),
            Self::Resize(size) => {
                let mut out = frame(RESIZE, 4);
                put_size(&mut out, *size);
                out.into()
            }
            Self::Ack(offset) => with_offset(ACK, *offset, &[]),
            Self::Ping(number) => with_offset(PING, *number, &[]),
        }
    }
}

impl ServerFrame {
    /// Reads a frame as the server sent it.
    ///
    /// # Errors
    /// When the bytes are no such frame.
    pub fn decode(frame: Bytes) -> Result<Self, DecodeError> {
        check_length(&frame)?;
        let mut fields = Fields::of(frame)?;
        match fields.kind() {
            OUTPUT => Ok(Self::Output { offset: fields.u64()?, data: fields.bytes() }),
            SNAPSHOT => {
                let (offset, size) = (fields.u64()?, fields.size()?);
                Ok(Self::Snapshot { offset, size, data: fields.bytes() })
            }
            INPUT_ACK => {
                let offset = fields.u64()?;
                fields.end(Self::InputAck(offset))
            }
            PONG => {
                let number = fields.u64()?;
                fields.end(Self::Pong(number))
            }
            STATUS => Ok(Self::Status(fields.json()?)),
            EXIT => Ok(Self::Exit(fields.json()?)),
            HELLO => Ok(Self::Hello(fields.json()?)),
            other => Err(DecodeError::UnknownType(other)),
        }
    }

    /// The frame's bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Output { offset, data } => with_offset(OUTPUT, *offset, data),
            Self::Snapshot { offset, size, data } => {
                let mut out = frame(SNAPSHOT, 12 + data.len());
                out.extend_from_slice(&offset.to_be_bytes());
                put_size(&mut out, *size);
                out.extend_from_slice(data);
                out.into()
            }
            Self::InputAck(offset) => with_offset(INPUT_ACK, *offset, &[]),
            Self::Pong(number) => with_offset(PONG, *number, &[]),
            Self::Status(status) => json_frame(STATUS, status),
            Self::Exit(exit) => json_frame(EXIT, exit),
            Self::Hello(hello) => json_frame(HELLO, hello),
        }
    }
}

fn json_frame<T: Serialize>(kind: u8, value: &T) -> Bytes {
    let mut out = frame(kind, 256);
    put_json(&mut out, value);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The bytes on the wire, as `docs/protocol.md` has them.
    #[test]
    fn golden_frames() {
        let size = Size::new(80, 24).unwrap();
        let input = ClientFrame::Input { offset: 258, data: Bytes::from_static(b"ls") };
        assert_eq!(&input.encode()[..], b"\x01\0\0\0\0\0\0\x01\x02ls");
        assert_eq!(&ClientFrame::Resize(size).encode()[..], b"\x02\0\x50\0\x18");
        assert_eq!(&ClientFrame::Ack(1).encode()[..], b"\x03\0\0\0\0\0\0\0\x01");
        assert_eq!(&ClientFrame::Ping(2).encode()[..], b"\x04\0\0\0\0\0\0\0\x02");
        let snapshot = ServerFrame::Snapshot { offset: 3, size, data: Bytes::from_static(b"x") };
        assert_eq!(&snapshot.encode()[..], b"\x82\0\0\0\0\0\0\0\x03\0\x50\0\x18x");
        let exit = ServerFrame::Exit(Exit { reason: ExitReason::Exited, code: Some(0), signal: None });
        assert_eq!(
            &exit.encode()[..],
            br#"_{"reason":"exited","code":0,"signal":null}"#.map(|b| if b == b'_' { 0x86 } else { b })
        );
        let status = ServerFrame::Status(Status::of(SessionState::EnvironmentStarting));
        assert_eq!(&status.encode()[1..], br#"{"state":"environment_starting"}"#);
    }

    #[test]
    fn frames_of_the_wrong_length_are_refused() {
        for bad in [
            &b""[..],
            b"\x01\0",
            b"\x02\0\x50\0\x18\0",
            b"\x03\0",
            b"\x04",
            b"\x02\0\0\0\x18",
            b"\x02\x7f\xff\0\x18",
            b"\x09",
            b"\x81",
        ] {
            assert!(ClientFrame::decode(Bytes::copy_from_slice(bad)).is_err(), "{bad:x?}");
        }
        let large = Bytes::from(vec![INPUT; MAX_FRAME + 1]);
        assert!(matches!(ClientFrame::decode(large), Err(DecodeError::TooLarge { .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let bytes = Bytes::from(bytes);
            if let Ok(frame) = ClientFrame::decode(bytes.clone()) {
                prop_assert_eq!(frame.encode(), bytes.clone());
            }
            if let Ok(frame) = ServerFrame::decode(bytes) {
                let again = ServerFrame::decode(frame.encode()).unwrap();
                prop_assert_eq!(again, frame);
            }
        }
    }
}
