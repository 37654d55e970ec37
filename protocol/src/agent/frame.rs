//! Frames on a channel: a `u32` length, a type byte, fields; integers big-endian.
//!
//! | dir | type | name | fields |
//! | --- | --- | --- | --- |
//! | → | 0x01 | OPEN | JSON [`Open`]; the first frame, once |
//! | → | 0x02 | INPUT | 16-byte stream id, `u64` offset, bytes |
//! | → | 0x03 | RESIZE | `u16` cols, `u16` rows |
//! | → | 0x04 | SNAPSHOT_REQUEST | - |
//! | → | 0x05 | STREAM_REQUEST | 16-byte stream id |
//! | → | 0x06 | PING | `u64` |
//! | → | 0x07 | CONTROL | JSON [`ControlRequest`] |
//! | ← | 0x81 | OUTPUT | `u64` offset, bytes |
//! | ← | 0x82 | SNAPSHOT | `u64` offset, `u16` cols, `u16` rows, bytes |
//! | ← | 0x83 | STREAM | 16-byte stream id, `u64` offset: all before it was taken |
//! | ← | 0x84 | PONG | `u64` |
//! | ← | 0x85 | EXIT | JSON [`Exit`]; after the last OUTPUT |
//! | ← | 0x86 | WELCOME | JSON [`Welcome`]; the first frame, once |
//! | ← | 0x87 | REFUSED | JSON [`Refusal`]; instead of WELCOME, then the channel ends |
//! | ← | 0x88 | CONTROL | JSON [`ControlEvent`] |
//!
//! OUTPUT is contiguous, except that it may start anew at a later offset when the reader was
//! so slow that the agent's ring turned over: the receiver sees that by the offset, and asks
//! for a snapshot. STREAM answers a STREAM_REQUEST and acknowledges INPUT.

use bytes::{Buf, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::control::{ControlEvent, ControlRequest};
use crate::client::{Exit, MAX_SNAPSHOT};
use crate::wire::{Fields, put_json};
use crate::{DecodeError, Size};

/// The largest frame in bytes, without its length field.
pub const MAX_FRAME: usize = 128 * 1024;

/// The most bytes in one OUTPUT or INPUT frame.
pub const MAX_DATA: usize = 64 * 1024;

const LENGTH: usize = 4;

const OPEN: u8 = 0x01;
const INPUT: u8 = 0x02;
const RESIZE: u8 = 0x03;
const SNAPSHOT_REQUEST: u8 = 0x04;
const STREAM_REQUEST: u8 = 0x05;
const PING: u8 = 0x06;
const CONTROL_REQUEST: u8 = 0x07;
const OUTPUT: u8 = 0x81;
const SNAPSHOT: u8 = 0x82;
const STREAM: u8 = 0x83;
const PONG: u8 = 0x84;
const EXIT: u8 = 0x85;
const WELCOME: u8 = 0x86;
const REFUSED: u8 = 0x87;
const CONTROL_EVENT: u8 = 0x88;

/// The id of a client's input stream: a UUID's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub [u8; 16]);

/// The first frame on a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// The protocol version the server speaks.
    pub version: u32,
    /// What the channel is for.
    pub role: Role,
}

/// What a channel is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// One terminal session.
    Session(OpenSession),
    /// The environment as a whole.
    Control,
}

/// Which session, and from where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSession {
    /// The session's id.
    pub id: String,
    /// The session's name.
    pub name: String,
    /// The size, if the session is made by this.
    pub size: Size,
    /// Whether to make the session when there is none with this id.
    pub create: bool,
    /// Send output from this offset on, if it is held and not further back than `backfill`.
    pub from: Option<u64>,
    /// How many bytes of held output to send at most before what is new.
    pub backfill: u64,
}

/// The answer to an OPEN that was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The protocol version the agent speaks.
    pub version: u32,
    /// The agent's own version, for logs.
    pub agent: String,
    /// Where the first OUTPUT starts. Equal to `from` of OPEN when that could be met.
    pub output_offset: u64,
    /// The oldest output held.
    pub oldest_offset: u64,
    /// The offset of the next output byte to come.
    pub end_offset: u64,
    /// The session's size.
    pub size: Size,
}

/// The answer to an OPEN that was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// For the program.
    pub code: RefusalCode,
    /// For a person.
    pub message: String,
}

/// Why an OPEN was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// The agent speaks another version.
    Version,
    /// There is no such session, and it was not to be made.
    NoSuchSession,
    /// The environment has as many sessions as the agent will hold.
    TooManySessions,
    /// The shell could not be started.
    FailedToStart,
    /// The frames before it made no sense.
    Malformed,
}

/// What the server sends to the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerFrame {
    /// The first frame.
    Open(Open),
    /// Bytes for the program; each is taken once.
    Input {
        /// The client's stream.
        stream: StreamId,
        /// The stream's offset of the first byte.
        offset: u64,
        /// The bytes, at most [`MAX_DATA`].
        data: Bytes,
    },
    /// The session shall have this size.
    Resize(Size),
    /// Send a SNAPSHOT.
    SnapshotRequest,
    /// Send a STREAM for this stream.
    StreamRequest(StreamId),
    /// A heartbeat.
    Ping(u64),
    /// A request on a control channel.
    Control(ControlRequest),
}

/// What the agent sends to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentFrame {
    /// Output of the session, or on a control channel the install log.
    Output {
        /// The offset of the first byte.
        offset: u64,
        /// The bytes, at most [`MAX_DATA`].
        data: Bytes,
    },
    /// The state of the terminal.
    Snapshot {
        /// The offset at which it is true; the bytes from there on follow as OUTPUT, or went before.
        offset: u64,
        /// The size at which it is true.
        size: Size,
        /// What to write to a reset terminal, at most [`MAX_SNAPSHOT`].
        data: Bytes,
    },
    /// How far an input stream was taken.
    Stream {
        /// The client's stream.
        stream: StreamId,
        /// The next byte that it expects.
        offset: u64,
    },
    /// The answer to a PING.
    Pong(u64),
    /// The session ended; all of its output was sent.
    Exit(Exit),
    /// The OPEN was accepted.
    Welcome(Welcome),
    /// The OPEN was not accepted.
    Refused(Refusal),
    /// News on a control channel.
    Control(ControlEvent),
}

const _: () = assert!(MAX_SNAPSHOT + 13 <= MAX_FRAME, "a snapshot must fit a frame");

/// Cuts a byte stream into frames.
///
/// Holds at most one frame and one read beyond it.
#[derive(Debug, Default)]
pub struct FrameReader {
    buffer: BytesMut,
}

impl FrameReader {
    /// The buffer to read the stream into; append to it only.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next whole frame without its length field, if it has arrived.
    ///
    /// # Errors
    /// When a frame of length 0 or above [`MAX_FRAME`] is announced: the stream can't be
    /// followed any further.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, DecodeError> {
        let Some(length) = self.buffer.first_chunk::<LENGTH>() else { return Ok(None) };
        let len = u32::from_be_bytes(*length) as usize;
        if len == 0 {
            return Err(DecodeError::Empty);
        }
        if len > MAX_FRAME {
            return Err(DecodeError::TooLarge { len, max: MAX_FRAME });
        }
        if self.buffer.len() < LENGTH + len {
            self.buffer.reserve(LENGTH + len - self.buffer.len());
            return Ok(None);
        }
        self.buffer.advance(LENGTH);
        Ok(Some(self.buffer.split_to(len).freeze()))
    }
}

/// Begins a frame in `out`; returns where, for [`finish`].
fn begin(out: &mut Vec<u8>, kind: u8) -> usize {
    let at = out.len();
    out.extend_from_slice(&[0; LENGTH]);
    out.push(kind);
    at
}

/// Writes the length of the frame that began at `at`.
fn finish(out: &mut [u8], at: usize) {
    // A frame is bounded far below 4 GiB by its makers.
    let len = (out.len() - at - LENGTH) as u32;
    out[at..at + LENGTH].copy_from_slice(&len.to_be_bytes());
}

fn put_size(out: &mut Vec<u8>, size: Size) {
    out.extend_from_slice(&size.cols().to_be_bytes());
    out.extend_from_slice(&size.rows().to_be_bytes());
}

impl ServerFrame {
    /// Reads a frame that [`FrameReader`] cut out.
    ///
    /// # Errors
    /// When the bytes are no such frame.
    pub fn decode(frame: Bytes) -> Result<Self, DecodeError> {
        let mut fields = Fields::of(frame)?;
        match fields.kind() {
            OPEN => Ok(Self::Open(fields.json()?)),
            INPUT => {
                let (stream, offset) = (StreamId(fields.array()?), fields.u64()?);
                Ok(Self::Input { stream, offset, data: fields.bytes() })
            }
            RESIZE => {
                let size = fields.size()?;
                fields.end(Self::Resize(size))
            }
            SNAPSHOT_REQUEST => fields.end(Self::SnapshotRequest),
            STREAM_REQUEST => {
                let stream = StreamId(fields.array()?);
                fields.end(Self::StreamRequest(stream))
            }
            PING => {
                let number = fields.u64()?;
                fields.end(Self::Ping(number))
            }
            CONTROL_REQUEST => Ok(Self::Control(fields.json()?)),
            other => Err(DecodeError::UnknownType(other)),
        }
    }

    /// Appends the frame, its length field first, to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let at = match self {
            Self::Open(open) => {
                let at = begin(out, OPEN);
                put_json(out, open);
                at
            }
            Self::Input { stream, offset, data } => {
                let at = begin(out, INPUT);
                out.extend_from_slice(&stream.0);
                out.extend_from_slice(&offset.to_be_bytes());
                out.extend_from_slice(data);
                at
            }
            Self::Resize(size) => {
                let at = begin(out, RESIZE);
                put_size(out, *size);
                at
            }
            Self::SnapshotRequest => begin(out, SNAPSHOT_REQUEST),
            Self::StreamRequest(stream) => {
                let at = begin(out, STREAM_REQUEST);
                out.extend_from_slice(&stream.0);
                at
            }
            Self::Ping(number) => {
                let at = begin(out, PING);
                out.extend_from_slice(&number.to_be_bytes());
                at
            }
            Self::Control(request) => {
                let at = begin(out, CONTROL_REQUEST);
                put_json(out, request);
                at
            }
        };
        finish(out, at);
    }
}

impl AgentFrame {
    /// Reads a frame that [`FrameReader`] cut out.
    ///
    /// # Errors
    /// When the bytes are no such frame.
    pub fn decode(frame: Bytes) -> Result<Self, DecodeError> {
        let mut fields = Fields::of(frame)?;
        match fields.kind() {
            OUTPUT => Ok(Self::Output { offset: fields.u64()?, data: fields.bytes() }),
            SNAPSHOT => {
                let (offset, size) = (fields.u64()?, fields.size()?);
                Ok(Self::Snapshot { offset, size, data: fields.bytes() })
            }
            STREAM => {
                let (stream, offset) = (StreamId(fields.array()?), fields.u64()?);
                fields.end(Self::Stream { stream, offset })
            }
            PONG => {
                let number = fields.u64()?;
                fields.end(Self::Pong(number))
            }
            EXIT => Ok(Self::Exit(fields.json()?)),
            WELCOME => Ok(Self::Welcome(fields.json()?)),
            REFUSED => Ok(Self::Refused(fields.json()?)),
            CONTROL_EVENT => Ok(Self::Control(fields.json()?)),
            other => Err(DecodeError::UnknownType(other)),
        }
    }

    /// Appends the frame, its length field first, to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let at = match self {
            Self::Output { offset, data } => return encode_output(*offset, data, out),
            Self::Snapshot { offset, size, data } => {
                let at = begin(out, SNAPSHOT);
                out.extend_from_slice(&offset.to_be_bytes());
                put_size(out, *size);
                out.extend_from_slice(data);
                at
            }
            Self::Stream { stream, offset } => {
                let at = begin(out, STREAM);
                out.extend_from_slice(&stream.0);
                out.extend_from_slice(&offset.to_be_bytes());
                at
            }
            Self::Pong(number) => {
                let at = begin(out, PONG);
                out.extend_from_slice(&number.to_be_bytes());
                at
            }
            Self::Exit(exit) => json(out, EXIT, exit),
            Self::Welcome(welcome) => json(out, WELCOME, welcome),
            Self::Refused(refusal) => json(out, REFUSED, refusal),
            Self::Control(event) => json(out, CONTROL_EVENT, event),
        };
        finish(out, at);
    }
}

/// Appends an OUTPUT frame to `out` without owning its bytes: the agent's hot path.
pub fn encode_output(offset: u64, data: &[u8], out: &mut Vec<u8>) {
    let at = begin(out, OUTPUT);
    out.extend_from_slice(&offset.to_be_bytes());
    out.extend_from_slice(data);
    finish(out, at);
}

fn json<T: Serialize>(out: &mut Vec<u8>, kind: u8, value: &T) -> usize {
    let at = begin(out, kind);
    put_json(out, value);
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn some_frames() -> Vec<AgentFrame> {
        let size = Size::DEFAULT;
        vec![
            AgentFrame::Welcome(Welcome {
                version: 1,
                agent: "0.1.0".into(),
                output_offset: 7,
                oldest_offset: 3,
                end_offset: 9,
                size,
            }),
            AgentFrame::Output { offset: 7, data: Bytes::from_static(b"$ ") },
            AgentFrame::Stream { stream: StreamId([9; 16]), offset: 4 },
            AgentFrame::Snapshot { offset: 9, size, data: Bytes::from_static(b"\x1bc") },
            AgentFrame::Pong(1),
            AgentFrame::Exit(Exit {
                reason: crate::client::ExitReason::Signaled,
                code: None,
                signal: Some("SIGKILL".into()),
            }),
        ]
    }

    proptest! {
        /// A stream cut into any pieces gives the same frames.
        #[test]
        fn frames_survive_any_cut(cuts in prop::collection::vec(1usize..40, 1..60)) {
            let mut stream = Vec::new();
            for frame in some_frames() {
                frame.encode(&mut stream);
            }
            let (mut reader, mut got, mut rest) = (FrameReader::default(), Vec::new(), &stream[..]);
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (piece, later) = rest.split_at((*cut).min(rest.len()));
                reader.buffer().extend_from_slice(piece);
                while let Some(frame) = reader.next_frame().unwrap() {
                    got.push(AgentFrame::decode(frame).unwrap());
                }
                rest = later;
            }
            prop_assert_eq!(got, some_frames());
        }

        #[test]
        fn any_bytes_decode_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut reader = FrameReader::default();
            reader.buffer().extend_from_slice(&bytes);
            while let Ok(Some(_)) = reader.next_frame() {}
            let bytes = Bytes::from(bytes);
            if let Ok(frame) = ServerFrame::decode(bytes.clone()) {
                let mut out = Vec::new();
                frame.encode(&mut out);
                let again = ServerFrame::decode(Bytes::from(out).slice(LENGTH..)).unwrap();
                prop_assert_eq!(again, frame);
            }
            if let Ok(frame) = AgentFrame::decode(bytes) {
                let mut out = Vec::new();
                frame.encode(&mut out);
                let again = AgentFrame::decode(Bytes::from(out).slice(LENGTH..)).unwrap();
                prop_assert_eq!(again, frame);
            }
        }
    }

    #[test]
    fn an_impossible_length_ends_the_stream() {
        let mut reader = FrameReader::default();
        reader.buffer().extend_from_slice(&u32::MAX.to_be_bytes());
        assert!(matches!(reader.next_frame(), Err(DecodeError::TooLarge { .. })));
    }
}
