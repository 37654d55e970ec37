//! Reading and writing frames on a connection.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use devpocket_protocol::agent::{AgentFrame, FrameReader};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep_until, timeout};

use super::End;

/// How much is read at once, in bytes.
const READ: usize = 16 * 1024;

/// How much the kernel may hold of what was written: what comes after it, an echo for one,
/// waits behind it when the reader is slow.
const SEND_BUFFER: usize = 64 * 1024;

/// How often a half-closed connection is looked at.
const LOOK: Duration = Duration::from_secs(2);

/// How long a half-closed connection may stay. On Kubernetes it is how a channel looks whose
/// server has gone: nobody reads what is written to it.
const HALF_CLOSED: Duration = Duration::from_secs(10);

/// After how much silence a connection is given up. Servers send a PING every 5 to 15 s.
const SILENCE: Duration = Duration::from_secs(60);

/// How long a channel that ends may take to say its last words.
const FAREWELL: Duration = Duration::from_secs(5);

/// A connection that speaks frames.
pub(super) struct Wire {
    stream: UnixStream,
    frames: FrameReader,
    /// What is to be written, and how much of it was.
    out: Vec<u8>,
    written: usize,
    /// The other side says nothing any more; it may still listen.
    half_closed: bool,
    /// When the other side was last heard, or last kept from speaking.
    heard: Instant,
}

impl Wire {
    pub(super) fn new(stream: UnixStream) -> Self {
        // Only a matter of latency.
        let _ = rustix::net::sockopt::set_socket_send_buffer_size(&stream, SEND_BUFFER);
        Self {
            stream,
            frames: FrameReader::default(),
            out: Vec::new(),
            written: 0,
            half_closed: false,
            heard: Instant::now(),
        }
    }

    /// Waits for the first frame.
    pub(super) async fn first_frame(&mut self) -> Result<Bytes, End> {
        loop {
            if let Some(frame) = self.next_frame()? {
                return Ok(frame);
            }
            self.turn(true).await?;
            if self.half_closed {
                return Err(End::Done);
            }
        }
    }

    /// The next frame that has arrived.
    pub(super) fn next_frame(&mut self) -> Result<Option<Bytes>, End> {
        Ok(self.frames.next_frame()?)
    }

    /// Adds a frame to what is to be written.
    pub(super) fn push(&mut self, frame: &AgentFrame) {
        frame.encode(&mut self.out);
    }

    /// What is to be written, to add frames to.
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Whether everything was written.
    pub(super) fn is_idle(&self) -> bool {
        self.written == self.out.len()
    }

    /// Whether the other side says nothing any more.
    pub(super) fn is_half_closed(&self) -> bool {
        self.half_closed
    }

    /// Reads or writes once, whichever can be done first. Safe to drop at any time.
    pub(super) async fn turn(&mut self, may_read: bool) -> Result<(), End> {
        let (mut reader, mut writer) = self.stream.split();
        let buffer = self.frames.buffer();
        buffer.reserve(READ);
        let half_closed = self.half_closed;
        if !may_read && !half_closed {
            self.heard = Instant::now();
        }
        let look = if half_closed { Instant::now() + LOOK } else { self.heard + SILENCE };
        tokio::select! {
            n = reader.read_buf(buffer), if may_read && !half_closed => {
                self.half_closed = n? == 0;
                self.heard = Instant::now();
            }
            n = writer.write(&self.out[self.written..]), if self.written < self.out.len() => {
                self.written += n?;
                if self.written == self.out.len() {
                    self.written = 0;
                    self.out.clear();
                    // A snapshot may have made it large.
                    self.out.shrink_to(SEND_BUFFER);
                }
            }
            () = sleep_until(look) => {}
        }
        let limit = if half_closed { HALF_CLOSED } else { SILENCE };
        if self.heard.elapsed() >= limit || (half_closed && self.is_abandoned()) {
            return Err(End::Done);
        }
        Ok(())
    }

    /// Whether the other side has closed both directions: a half-closed connection gives no
    /// other sign of it before something is written.
    fn is_abandoned(&self) -> bool {
        let mut fds = [PollFd::new(&self.stream, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
    }

    /// Writes what is left and closes.
    pub(super) async fn finish(mut self) {
        let farewell = async {
            self.stream.write_all(&self.out[self.written..]).await?;
            self.stream.shutdown().await?;
            // Closing over unread bytes would take the last words from the reader.
            let mut rest = [0; 1024];
            while !self.half_closed && self.stream.read(&mut rest).await? > 0 {}
            io::Result::Ok(())
        };
        // Whoever does not listen has nothing to complain of.
        let _ = timeout(FAREWELL, farewell).await;
    }
}
