//! Kubernetes' channels over a WebSocket: what an exec and a port-forward have in common.
//!
//! Each binary message is a channel's number and bytes. [`ChannelStream`] is the one channel
//! that a byte stream needs, on the socket itself: no task, no pipe, and of each direction at
//! most one message held. (kube's own `exec` copies through two pipes and a task that stands
//! still in both directions when one is not read.)

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};

use bytes::{Buf, Bytes};
use futures_util::task::AtomicWaker;
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error as SocketError;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::Message;

use super::error::quote_end;

/// The most that is sent in one message.
const SEND: usize = 32 * 1024;
/// How much of what came on other channels is kept for the error's text.
const KEPT: usize = 4 * 1024;

/// In v5, a message on this channel closes the one that it names.
const CLOSE: u8 = 255;

/// Which of a socket's channels mean what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// What is written goes here.
    pub(super) input: u8,
    /// What is read comes from here.
    pub(super) output: u8,
    /// What comes here is told when the stream ends.
    pub(super) errors: Option<u8>,
    /// How it ended comes here.
    pub(super) status: u8,
    /// What a message on `status` means: the failure, or that all went well.
    pub(super) judge: fn(&[u8]) -> Result<(), String>,
    /// Whether the end of `input` can be told; otherwise it ends the whole stream.
    pub(super) half_close: bool,
    /// How many messages at the beginning of each channel carry no bytes of the stream.
    pub(super) preamble: u8,
}

/// The two channels of a socket that make a byte stream.
pub(super) struct ChannelStream<S> {
    socket: WebSocketStream<S>,
    layout: Layout,
    wakers: Arc<Wakers>,
    waker: Waker,
    /// What came and was not read yet.
    data: Bytes,
    errors: VecDeque<u8>,
    /// How it ended, once it has.
    end: Option<Result<(), String>>,
    /// How often the preamble has come: on `output`, on `status`.
    preamble: [u8; 2],
    /// Something that was written is not on its way yet.
    unflushed: bool,
    /// Nothing is written any more.
    shut: bool,
}

/// Reader and writer of one stream may be two tasks, and either moves the socket for both: the
/// reader flushes, and a writer waits for what the reader flushes. So both are woken.
#[derive(Default)]
struct Wakers {
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.reader.wake();
        self.writer.wake();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> ChannelStream<S> {
    pub(super) fn new(socket: WebSocketStream<S>, layout: Layout) -> Self {
        let wakers = Arc::new(Wakers::default());
        Self {
            socket,
            layout,
            waker: Arc::clone(&wakers).into(),
            wakers,
            data: Bytes::new(),
            errors: VecDeque::new(),
            end: None,
            preamble: [layout.preamble; 2],
            unflushed: false,
            shut: false,
        }
    }

    /// Waits until every channel has begun.
    pub(super) async fn begun(&mut self) -> Result<(), String> {
        std::future::poll_fn(|cx| {
            self.wakers.reader.register(cx.waker());
            while self.preamble != [0, 0] && self.data.is_empty() && self.end.is_none() {
                ready!(self.poll_message());
            }
            Poll::Ready(self.end.clone().unwrap_or(Ok(())))
        })
        .await
    }

    /// Waits until there is something to read, or it has ended; then how.
    pub(super) async fn readable(&mut self) -> Result<(), String> {
        std::future::poll_fn(|cx| {
            self.wakers.reader.register(cx.waker());
            while self.data.is_empty() && self.end.is_none() {
                ready!(self.poll_message());
            }
            Poll::Ready(if self.data.is_empty() { self.end.clone().unwrap_or(Ok(())) } else { Ok(()) })
        })
        .await
    }

    /// Takes the next message in.
    fn poll_message(&mut self) -> Poll<()> {
        let mut cx = Context::from_waker(&self.waker);
        match ready!(Pin::new(&mut self.socket).poll_next(&mut cx)) {
            Some(Ok(Message::Binary(message))) => self.take(message),
            // Pings are answered by the socket, at the latest when it is polled next.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Text(_) | Message::Frame(_))) => {}
            // A cut looks like this too. Who reads knows what was missing.
            Some(Ok(Message::Close(_))) | None => self.ended(Ok(())),
            Some(Err(SocketError::ConnectionClosed | SocketError::AlreadyClosed)) => self.ended(Ok(())),
            // Kubernetes closes without a closing handshake.
            Some(Err(SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake))) => {
                self.ended(Ok(()))
            }
            Some(Err(SocketError::Io(error))) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.ended(Ok(()))
            }
            Some(Err(error)) => self.ended(Err(format!("the connection was cut: {error}"))),
        }
        Poll::Ready(())
    }

    fn take(&mut self, mut message: Bytes) {
        if message.is_empty() {
            return;
        }
        let channel = message.get_u8();
        let slot = if channel == self.layout.output {
            Some(0)
        } else if channel == self.layout.status {
            Some(1)
        } else {
            None
        };
        if let Some(left) = slot.and_then(|slot| self.preamble.get_mut(slot))
            && *left > 0
        {
            *left -= 1;
        } else if channel == self.layout.output {
            self.data = message;
        } else if channel == self.layout.status {
            if !message.is_empty() {
                let judged = (self.layout.judge)(&message);
                self.ended(judged);
            }
        } else if Some(channel) == self.layout.errors {
            self.errors.extend(message);
            let more = self.errors.len().saturating_sub(KEPT);
            self.errors.drain(..more);
        } else if channel == CLOSE && self.layout.half_close && message.first() == Some(&self.layout.output) {
            // No more bytes; how it ended still comes on the channel for that.
        }
    }

    fn ended(&mut self, how: Result<(), String>) {
        if self.end.is_some() {
            return;
        }
        let errors: Vec<u8> = self.errors.drain(..).collect();
        let errors = quote_end(&String::from_utf8_lossy(&errors));
        self.end = Some(match how {
            how if errors.is_empty() => how,
            Ok(()) => Err(errors),
            Err(text) => Err(format!("{errors} ({text})")),
        });
    }

    /// Sends off what was written before. Both halves do: the one that wrote may be waiting
    /// for something else by now.
    fn poll_drain(&mut self) -> Poll<io::Result<()>> {
        if self.unflushed {
            let mut cx = Context::from_waker(&self.waker);
            let flushed = ready!(Pin::new(&mut self.socket).poll_flush(&mut cx));
            self.unflushed = false;
            flushed.map_err(broken)?;
        }
        Poll::Ready(Ok(()))
    }

    fn send(&mut self, message: Message) -> io::Result<()> {
        Pin::new(&mut self.socket).start_send(message).map_err(broken)?;
        self.unflushed = true;
        match self.poll_drain() {
            Poll::Ready(Err(error)) => Err(error),
            _ => Ok(()),
        }
    }

    fn failure(&self) -> Option<io::Error> {
        match &self.end {
            Some(Err(text)) => Some(io::Error::new(io::ErrorKind::ConnectionAborted, text.clone())),
            _ => None,
        }
    }
}

fn broken(error: SocketError) -> io::Error {
    match error {
        SocketError::Io(error) => error,
        other => io::Error::new(io::ErrorKind::BrokenPipe, other),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for ChannelStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.wakers.reader.register(cx.waker());
        // An error of the other direction is told there.
        if this.unflushed && this.poll_drain().is_ready() {
            this.wakers.writer.wake();
        }
        while this.data.is_empty() && this.end.is_none() {
            ready!(this.poll_message());
        }
        if this.data.is_empty() {
            return Poll::Ready(this.failure().map_or(Ok(()), Err));
        }
        let length = this.data.len().min(out.remaining());
        out.put_slice(&this.data.split_to(length));
        if this.data.is_empty() {
            // Gives the message's memory back.
            this.data = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ChannelStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.shut || this.end.is_some() {
            return Poll::Ready(Err(this.failure().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into())));
        }
        this.wakers.writer.register(cx.waker());
        ready!(this.poll_drain())?;
        let bytes = &bytes[..bytes.len().min(SEND)];
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let mut message = Vec::with_capacity(bytes.len() + 1);
        message.push(this.layout.input);
        message.extend_from_slice(bytes);
        this.send(Message::Binary(message.into()))?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.wakers.writer.register(cx.waker());
        this.poll_drain()
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.wakers.writer.register(cx.waker());
        ready!(this.poll_drain())?;
        if !this.shut && this.end.is_none() {
            this.shut = true;
            let message = if this.layout.half_close {
                Message::Binary(vec![CLOSE, this.layout.input].into())
            } else {
                Message::Close(None)
            };
            this.send(message)?;
        }
        this.poll_drain()
    }
}

#[cfg(test)]
#[path = "socket_tests.rs"]
mod tests;
