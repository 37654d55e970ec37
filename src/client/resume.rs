//! What a terminal client knows of its session, and what it has to send: no I/O, no clock.
//!
//! [`Resume`] outlives the connections. It checks that the output is one sequence of bytes,
//! keeps the input that the agent has not acknowledged, and after a reconnect says from where
//! both go on.

use devpocket_protocol::Size;
use devpocket_protocol::client::{Hello, Mode, ServerFrame};
use devpocket_protocol::ring::Ring;
use uuid::Uuid;

pub use devpocket_protocol::client::ClientFrame;

/// The most input that waits for INPUT_ACK, in bytes.
pub const UNACKED_LIMIT: usize = 64 * 1024;

/// Output that was shown is acknowledged at least this often, in bytes.
pub const ACK_EVERY: u64 = 32 * 1024;

/// The most input in one frame: a paste leaves room for what is typed on other connections.
const INPUT_FRAME: usize = 16 * 1024;

/// How the server broke the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A frame came before HELLO, or HELLO came twice.
    #[error("HELLO must be the first frame, once")]
    Hello,
    /// HELLO names another session or stream than was asked for.
    #[error("HELLO is about {got}, not {wanted}")]
    Other {
        /// What was asked for.
        wanted: String,
        /// What came.
        got: String,
    },
    /// Output was skipped or repeated.
    #[error("output goes on at {got}, but should at {expected}")]
    Output {
        /// The next byte of the sequence.
        expected: u64,
        /// Where the frame starts.
        got: u64,
    },
    /// A snapshot is older than what the client has.
    #[error("a snapshot stands at {got}, behind the output that ends at {have}")]
    OldSnapshot {
        /// Where the client is.
        have: u64,
        /// Where the snapshot stands.
        got: u64,
    },
    /// The server's place in the input is one that the client can't have led it to.
    #[error("the server takes input from {got}, but only {from} to {to} can be sent")]
    Input {
        /// The oldest byte kept.
        from: u64,
        /// The end of the input.
        to: u64,
        /// Where the server is.
        got: u64,
    },
}

/// Where a connection shall begin; the query of the upgrade request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The session's name, or its id once it is known.
    pub session: String,
    /// The output offset to go on from; none asks for the screen.
    pub from: Option<u64>,
    /// The input stream.
    pub stream: Uuid,
    /// The client's size.
    pub size: Size,
    /// What the client may do.
    pub mode: Mode,
}

/// A client's place in a session, over all its connections.
#[derive(Debug)]
pub struct Resume {
    opening: Opening,
    session_id: Option<String>,
    /// The next output byte; unknown before the first output or snapshot.
    output: Option<u64>,
    /// The place in the output that was given up for a picture of the screen.
    set_aside: Option<u64>,
    /// All output before this was parsed by the emulator.
    shown: u64,
    /// The input that was not acknowledged.
    input: Ring,
    connection: Option<Connection>,
    resized: bool,
}

/// What is true for one connection, after its HELLO.
#[derive(Debug, Clone, Copy)]
struct Connection {
    /// Where output begins when the client has none.
    begins: u64,
    /// The last ACK, or where this connection's output began.
    acked: u64,
    /// A snapshot that stands here is to be acknowledged as soon as it is shown.
    snapshot: Option<u64>,
    /// The next input byte to send.
    sent: u64,
}

impl Resume {
    /// A client that has not been connected yet.
    #[must_use]
    pub fn new(session: String, stream: Uuid, size: Size, mode: Mode) -> Self {
        Self {
            opening: Opening { session, from: None, stream, size, mode },
            session_id: None,
            output: None,
            set_aside: None,
            shown: 0,
            input: Ring::new(UNACKED_LIMIT),
            connection: None,
            resized: false,
        }
    }

    /// The session's id, once HELLO told it.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.session_id.as_deref()
    }

    /// The next output byte, once it is known.
    #[must_use]
    pub const fn output(&self) -> Option<u64> {
        self.output
    }

    /// Whether HELLO came on the present connection.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.connection.is_some()
    }

    /// Input that was not acknowledged, in bytes.
    #[must_use]
    pub fn unacked(&self) -> usize {
        self.input.len()
    }

    /// The offset of the next input byte that is typed.
    #[must_use]
    pub fn input_end(&self) -> u64 {
        self.input.end()
    }

    /// A new connection begins: what to ask for.
    pub fn open(&mut self) -> Opening {
        self.connection = None;
        let mut opening = self.opening.clone();
        if let Some(id) = &self.session_id {
            opening.session.clone_from(id);
            opening.from = self.output;
        }
        opening
    }

    /// The connection is gone.
    pub fn lost(&mut self) {
        self.connection = None;
    }

    /// Forgets the place in the output: the next connection begins with the screen.
    pub fn forget_output(&mut self) {
        self.output = None;
    }

    /// The same, but [`Resume::recall_output`] can take the place up again.
    pub fn set_output_aside(&mut self) {
        self.set_aside = self.output.take().or(self.set_aside);
    }

    /// There is no screen to begin with: takes up the place that was set aside, if one was.
    pub fn recall_output(&mut self) -> bool {
        self.output = self.output.or(self.set_aside);
        self.set_aside.take().is_some()
    }

    /// Takes as much input as there is room for; returns how much.
    pub fn type_bytes(&mut self, data: &[u8]) -> usize {
        if self.opening.mode == Mode::View {
            return 0;
        }
        let n = data.len().min(UNACKED_LIMIT - self.input.len());
        self.input.append(&data[..n]);
        n
    }

    /// The client's screen has this size now.
    pub fn resize(&mut self, size: Size) {
        self.resized = self.opening.mode == Mode::Control && (self.resized || size != self.opening.size);
        self.opening.size = size;
    }

    /// The emulator parsed all output before `offset`.
    pub fn show(&mut self, offset: u64) {
        self.shown = self.shown.max(offset);
    }

    /// Checks a frame against what the client knows, and notes what it tells.
    ///
    /// # Errors
    /// When it breaks the protocol's rules; nothing that comes after it can be trusted.
    pub fn receive(&mut self, frame: &ServerFrame) -> Result<(), Violation> {
        if let ServerFrame::Hello(hello) = frame {
            return self.hello(hello);
        }
        let connection = self.connection.as_mut().ok_or(Violation::Hello)?;
        match frame {
            ServerFrame::Output { offset, data } => {
                let expected = self.output.unwrap_or(connection.begins);
                if *offset != expected {
                    return Err(Violation::Output { expected, got: *offset });
                }
                self.output = Some(offset + data.len() as u64);
            }
            ServerFrame::Snapshot { offset, .. } => {
                if let Some(have) = self.output.filter(|have| offset < have) {
                    return Err(Violation::OldSnapshot { have, got: *offset });
                }
                self.output = Some(*offset);
                connection.snapshot = Some(*offset);
            }
            ServerFrame::InputAck(offset) => {
                let (from, to) = (self.input.start(), connection.sent);
                if *offset > to {
                    return Err(Violation::Input { from, to, got: *offset });
                }
                self.input.release_before(*offset);
            }
            ServerFrame::Pong(_) | ServerFrame::Status(_) | ServerFrame::Exit(_) | ServerFrame::Hello(_) => {}
        }
        Ok(())
    }

    fn hello(&mut self, hello: &Hello) -> Result<(), Violation> {
        if self.connection.is_some() {
            return Err(Violation::Hello);
        }
        let same = |wanted: &str, got: &str| {
            let other = || Violation::Other { wanted: wanted.to_owned(), got: got.to_owned() };
            if wanted == got { Ok(()) } else { Err(other()) }
        };
        same(&self.opening.stream.to_string(), &hello.stream)?;
        if let Some(id) = &self.session_id {
            same(id, &hello.session_id)?;
        }
        let (from, to, got) = (self.input.start(), self.input.end(), hello.input_offset);
        let mut sent = from;
        if self.opening.mode == Mode::Control {
            if got < from || got > to {
                return Err(Violation::Input { from, to, got });
            }
            self.input.release_before(got);
            sent = got;
        }
        self.session_id = Some(hello.session_id.clone());
        self.set_aside = None;
        let acked = self.output.unwrap_or(0);
        self.connection = Some(Connection { begins: hello.output_offset, acked, snapshot: None, sent });
        Ok(())
    }

    /// The next frame to send, if there is one now.
    pub fn next_frame(&mut self) -> Option<ClientFrame> {
        let connection = self.connection.as_mut()?;
        let snapshot_shown = connection.snapshot.is_some_and(|offset| self.shown >= offset);
        if snapshot_shown || self.shown >= connection.acked + ACK_EVERY {
            connection.snapshot = connection.snapshot.filter(|_| !snapshot_shown);
            connection.acked = self.shown;
            return Some(ClientFrame::Ack(self.shown));
        }
        if std::mem::take(&mut self.resized) {
            return Some(ClientFrame::Resize(self.opening.size));
        }
        let mut data = Vec::new();
        let offset = connection.sent;
        // What was acknowledged is never asked for again, so the bytes are held.
        let n = self.input.read(offset, INPUT_FRAME, &mut data).ok().filter(|n| *n > 0)?;
        connection.sent += n as u64;
        Some(ClientFrame::Input { offset, data: data.into() })
    }
}

#[cfg(test)]
#[path = "resume_tests.rs"]
mod tests;
