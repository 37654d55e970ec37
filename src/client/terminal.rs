//! One terminal session that survives its connections.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use devpocket_protocol::Size;
use devpocket_protocol::client::{ClientFrame, HEARTBEAT_S, ServerFrame, close};
use futures_util::future::BoxFuture;
use tokio::time::{Sleep, sleep};
use uuid::Uuid;

use super::resume::Resume;
use super::socket::{Incoming, Socket};
use super::{Beat, ClientError, Event, Heartbeat, Options};

/// What to do after a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Stop: another attempt would end the same way, or a person has to decide.
    Stop,
    /// Connect at once, with jitter.
    Soon,
    /// Connect after the back-off.
    Later,
    /// Connect with fresh authorisation.
    SignIn,
}

/// The protocol's table of close codes.
const fn after_close(code: u16) -> Next {
    match code {
        close::GOING_AWAY => Next::Soon,
        close::UNAUTHORIZED => Next::SignIn,
        close::ENDED
        | close::POLICY
        | close::TOO_LARGE
        | close::MALFORMED
        | close::FORBIDDEN
        | close::GONE
        | close::DETACHED => Next::Stop,
        _ => Next::Later,
    }
}

enum Link {
    Idle,
    Waiting,
    Connecting(BoxFuture<'static, Result<Socket, ClientError>>),
    Open(Box<Socket>),
    Closed { code: u16, reason: String },
}

/// A client of one session. It does something only while [`TerminalClient::next_event`] is
/// being awaited: a program that shows nothing acknowledges nothing either.
pub struct TerminalClient {
    options: Options,
    resume: Resume,
    link: Link,
    heartbeat: Heartbeat,
    /// A PING that could not be sent yet.
    ping: Option<u64>,
    /// The end of a wait, or the heartbeat's next instant.
    timer: Pin<Box<Sleep>>,
    events: VecDeque<Event>,
    /// The end of the output that the last event carried.
    unshown: Option<u64>,
    /// Whether a HELLO ever came.
    greeted: bool,
    /// Whether authorisation was refused and fetched anew since the last HELLO.
    refused: bool,
}

impl fmt::Debug for TerminalClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TerminalClient").field("resume", &self.resume).finish_non_exhaustive()
    }
}

impl TerminalClient {
    /// A client; it connects when the first event is asked for.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let resume = Resume::new(options.session.clone(), Uuid::new_v4(), options.size, options.mode);
        Self {
            resume,
            options,
            link: Link::Idle,
            heartbeat: Heartbeat::starting(Instant::now(), Duration::from_secs(HEARTBEAT_S)),
            ping: None,
            timer: Box::pin(sleep(Duration::ZERO)),
            events: VecDeque::new(),
            unshown: None,
            greeted: false,
            refused: false,
        }
    }

    /// What the client knows of its session.
    #[must_use]
    pub const fn resume(&self) -> &Resume {
        &self.resume
    }

    /// Types; returns how many bytes were taken. There is room again after an
    /// [`Event::InputAck`].
    pub fn type_bytes(&mut self, data: &[u8]) -> usize {
        self.resume.type_bytes(data)
    }

    /// The client's screen has this size now.
    pub fn resize(&mut self, size: Size) {
        self.resume.resize(size);
    }

    /// The emulator parsed all output before `offset`.
    pub fn shown(&mut self, offset: u64) {
        self.resume.show(offset);
    }

    /// The program came to the foreground: finds out at once whether the connection lives.
    pub fn hurry(&mut self) {
        self.heartbeat.hurry(Instant::now());
        self.timer.as_mut().reset(Instant::now().into());
    }

    /// What the screen showed was drawn over: the next connection begins with a snapshot.
    pub fn forget_screen(&mut self) {
        self.resume.set_output_aside();
    }

    /// Leaves the session, which goes on.
    pub async fn leave(mut self) {
        if let Link::Open(socket) = std::mem::replace(&mut self.link, Link::Idle) {
            socket.close().await;
        }
    }

    /// The next event. Cancel-safe: an event is only taken when it is returned.
    ///
    /// # Errors
    /// When going on makes no sense: the server refuses, broke the protocol, or could not be
    /// reached at all. Losing a connection is an [`Event::Away`] instead.
    pub async fn next_event(&mut self) -> Result<Event, ClientError> {
        if let (Some(end), true) = (self.unshown.take(), self.options.auto_ack) {
            self.resume.show(end);
        }
        let event = poll_fn(|cx| self.poll_event(cx)).await?;
        self.unshown = match &event {
            Event::Output { offset, data } => Some(offset + data.len() as u64),
            Event::Snapshot { offset, .. } => Some(*offset),
            _ => None,
        };
        Ok(event)
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, ClientError>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(Ok(event));
            }
            match &mut self.link {
                Link::Idle => self.link = Link::Connecting(self.connect()),
                Link::Waiting => match self.timer.as_mut().poll(cx) {
                    Poll::Ready(()) => self.link = Link::Idle,
                    Poll::Pending => return Poll::Pending,
                },
                Link::Connecting(connecting) => match connecting.as_mut().poll(cx) {
                    Poll::Ready(Ok(socket)) => {
                        self.link = Link::Open(Box::new(socket));
                        self.beat_every(HEARTBEAT_S);
                    }
                    Poll::Ready(Err(error)) => self.not_connected(error)?,
                    Poll::Pending => return Poll::Pending,
                },
                Link::Open(_) => match self.poll_open(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error @ ClientError::Broken(_))) => {
                        self.lost(Next::Later, error.to_string());
                    }
                    Poll::Ready(Err(error)) => {
                        self.link = Link::Closed { code: 0, reason: error.to_string() };
                        return Poll::Ready(Err(error));
                    }
                    Poll::Pending => return Poll::Pending,
                },
                Link::Closed { code, reason } => {
                    return Poll::Ready(Ok(Event::Closed { code: *code, reason: reason.clone() }));
                }
            }
        }
    }

    fn connect(&mut self) -> BoxFuture<'static, Result<Socket, ClientError>> {
        let opening = self.resume.open();
        let options = self.options.clone();
        let refused = self.refused;
        Box::pin(async move {
            let auth = (options.auth)(refused).await?;
            Socket::open(&options.server, &options.environment, &opening, &auth, options.wrap).await
        })
    }

    fn not_connected(&mut self, error: ClientError) -> Result<(), ClientError> {
        let next = match error.status() {
            Some(401) if !self.refused => Next::SignIn,
            // The session does not go on from this client's byte: begin with its screen.
            Some(409) if self.resume.output().is_some() => {
                self.resume.forget_output();
                Next::Soon
            }
            // The session has ended and has no screen any more, but perhaps the rest of its output.
            Some(404) if self.resume.recall_output() => Next::Soon,
            _ if error.passes() && (self.greeted || self.options.patient) => Next::Later,
            _ => Next::Stop,
        };
        if next == Next::Stop {
            self.link = Link::Closed { code: 0, reason: error.to_string() };
            return Err(error);
        }
        let wait = match &error {
            ClientError::Refused(refusal) => refusal.retry_after,
            _ => None,
        };
        self.lost(next, error.to_string());
        if let Some(wait) = wait.filter(|_| next == Next::Later) {
            self.wait(wait);
        }
        Ok(())
    }

    /// The connection is gone; sets the time of the next attempt.
    fn lost(&mut self, next: Next, reason: String) {
        self.resume.lost();
        let random = rand::random::<f64>();
        let retry_in = match next {
            Next::Soon => self.options.backoff.soon(random),
            Next::SignIn if !self.refused => self.options.backoff.soon(random),
            _ => self.options.backoff.wait(random),
        };
        self.refused = self.refused || next == Next::SignIn;
        self.wait(retry_in);
        self.events.push_back(Event::Away { reason, retry_in });
    }

    fn wait(&mut self, wait: Duration) {
        self.link = Link::Waiting;
        self.timer.as_mut().reset(tokio::time::Instant::now() + wait);
    }

    fn beat_every(&mut self, seconds: u64) {
        let now = Instant::now();
        self.ping = None;
        self.heartbeat = Heartbeat::starting(now, Duration::from_secs(seconds.max(1)));
        self.timer.as_mut().reset(now.into());
    }

    /// Sends what is to be sent, and takes one thing that came.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ClientError>> {
        self.poll_sending(cx)?;
        let Link::Open(socket) = &mut self.link else { return Poll::Ready(Ok(())) };
        match socket.poll_next(cx)? {
            Poll::Ready(Incoming::Frame(frame)) => Poll::Ready(self.take(frame)),
            Poll::Ready(Incoming::Closed(code, reason)) => {
                match after_close(code) {
                    Next::Stop => self.link = Link::Closed { code, reason },
                    next => self.lost(next, format!("the server closed with {code} {reason}")),
                }
                Poll::Ready(Ok(()))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_sending(&mut self, cx: &mut Context<'_>) -> Result<(), ClientError> {
        loop {
            // Also when nothing can be sent: that may be how a dead connection shows.
            match self.heartbeat.poll(Instant::now()) {
                Beat::Ping(number) => self.ping = Some(number),
                Beat::Dead => return Err(ClientError::Broken("the server does not answer".to_owned())),
                Beat::Wait(until) => {
                    if self.timer.deadline() != until.into() {
                        self.timer.as_mut().reset(until.into());
                    }
                    if self.timer.as_mut().poll(cx).is_ready() {
                        continue;
                    }
                }
            }
            let Link::Open(socket) = &mut self.link else { return Ok(()) };
            if socket.poll_ready(cx)?.is_pending() {
                return Ok(());
            }
            let ping = self.ping.take().map(ClientFrame::Ping);
            let Some(frame) = ping.or_else(|| self.resume.next_frame()) else {
                // What can't be flushed now is when the socket wakes this task.
                let _ = socket.poll_flush(cx)?;
                return Ok(());
            };
            socket.send(&frame)?;
        }
    }

    fn take(&mut self, frame: ServerFrame) -> Result<(), ClientError> {
        self.resume.receive(&frame)?;
        let event = match frame {
            ServerFrame::Hello(hello) => {
                self.greeted = true;
                self.refused = false;
                self.options.backoff.reset();
                self.beat_every(hello.heartbeat_s);
                Event::Hello(hello)
            }
            ServerFrame::Output { offset, data } => Event::Output { offset, data },
            ServerFrame::Snapshot { offset, size, data } => Event::Snapshot { offset, size, data },
            ServerFrame::InputAck(offset) => Event::InputAck(offset),
            ServerFrame::Status(status) => Event::Status(status),
            ServerFrame::Exit(exit) => Event::Exit(exit),
            ServerFrame::Pong(number) => {
                self.heartbeat.pong(number);
                return Ok(());
            }
        };
        self.events.push_back(event);
        Ok(())
    }
}

#[cfg(test)]
#[path = "terminal_tests.rs"]
mod tests;
