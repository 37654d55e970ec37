//! The runtime's own use of an agent's control channel.

use std::io;
use std::time::Duration;

use devpocket_protocol::agent::{
    self, AgentFrame, ControlEvent, ControlRequest, FrameReader, Open, Role, ServerFrame, Usage,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout_at};

/// How long an agent may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// A control channel that was opened.
pub(super) struct Channel {
    stream: UnixStream,
    reader: FrameReader,
}

impl Channel {
    /// Opens a control channel on a connection.
    pub async fn open(stream: UnixStream) -> io::Result<Self> {
        let mut channel = Self { stream, reader: FrameReader::default() };
        channel.send(&ServerFrame::Open(Open { version: agent::VERSION, role: Role::Control })).await?;
        Ok(channel)
    }

    /// Sends one frame.
    pub async fn send(&mut self, frame: &ServerFrame) -> io::Result<()> {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        self.stream.write_all(&bytes).await
    }

    /// The next frame, or nothing once the agent has closed the channel. Safe to drop.
    pub async fn next(&mut self) -> io::Result<Option<AgentFrame>> {
        loop {
            match self.reader.next_frame().map_err(io::Error::other)? {
                Some(frame) => return AgentFrame::decode(frame).map(Some).map_err(io::Error::other),
                None if self.stream.read_buf(self.reader.buffer()).await? == 0 => return Ok(None),
                None => {}
            }
        }
    }

    /// Asks for what the environment uses.
    pub async fn usage(&mut self) -> io::Result<Usage> {
        let until = Instant::now() + ANSWER;
        self.send(&ServerFrame::Control(ControlRequest::Usage)).await?;
        loop {
            match timeout_at(until, self.next()).await?? {
                Some(AgentFrame::Control(ControlEvent::Usage { usage })) => return Ok(usage),
                Some(AgentFrame::Refused(refusal)) => return Err(io::Error::other(refusal.message)),
                Some(_) => {}
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    /// Asks the agent to end everything, itself last.
    pub async fn shutdown(&mut self, grace: Duration) -> io::Result<()> {
        let grace_ms = grace.as_millis() as u64;
        self.send(&ServerFrame::Control(ControlRequest::Shutdown { grace_ms })).await
    }
}
