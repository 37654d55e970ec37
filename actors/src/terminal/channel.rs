//! The channel from a terminal to its session in the agent.
//!
//! One task per terminal. It opens the channel, reads it into the hub and writes what the hub
//! has to say; when the channel breaks it opens another one from the exact offset. The reading
//! half does nothing but append: in a Kubernetes exec, a reader that stalls also stalls input,
//! resizes and heartbeats.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use devpocket_protocol::agent::{
    AgentFrame, FrameReader, Open, OpenSession, Refusal, RefusalCode, Role, ServerFrame, VERSION, Welcome,
};
use devpocket_protocol::client::{Exit, ExitReason};
use rand::RngExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use super::hub::{Hub, RING_LIMIT};
use super::snapshot::Snapshot;
use crate::runtime::{BoxStream, EnvironmentKey, Runtime};

/// How long opening a channel may take; where many come back at once, they wait for each other.
const OPEN_LIMIT: Duration = Duration::from_secs(30);

/// How often the channel is kept alive; far below the idle time-outs of what may lie between
/// (a load balancer's 60 s).
const HEARTBEAT: Duration = Duration::from_secs(5);

/// After how much silence a channel counts as broken: two heartbeats unanswered. A person who
/// types into a node that hangs is told before they wonder.
const SILENCE: Duration = Duration::from_secs(12);

/// The pauses between attempts to open a channel.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What is read at once from a channel that is idle, and from one that is busy.
const IDLE_READ: usize = 2 * 1024;
const BUSY_READ: usize = 64 * 1024;

/// After how long without a client the terminal actor stops: the agent holds the session, and
/// the actor is made again when somebody comes.
const IDLE: Duration = Duration::from_secs(10 * 60);

/// How long a session that ended waits for its clients to read to the end.
const LINGER: Duration = Duration::from_secs(60);

/// What a terminal's channel needs to know.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) environment: EnvironmentKey,
    /// Whether the agent has made the session.
    pub(super) made: Arc<AtomicBool>,
}

enum Broken {
    /// Another channel may do.
    Retry(String),
    /// The agent said no.
    Refused(Refusal),
}

impl<E: std::error::Error> From<E> for Broken {
    fn from(error: E) -> Self {
        Self::Retry(error.to_string())
    }
}

/// Keeps a channel open until the session has ended and its clients have read to the end, or
/// nobody has looked at it for a while.
/// `on_end` is told at once how the session ended, if the channel tells so.
pub(super) async fn run(hub: Arc<Hub>, connector: Connector, on_end: impl Fn(&Exit)) {
    let mut attempt = 0;
    loop {
        let broken = match open(&hub, &connector).await {
            Ok((stream, frames, welcome)) => {
                if attempt > 0 {
                    tracing::info!(session = hub.session().id, attempt, "channel to the agent is open again");
                }
                attempt = 0;
                connector.made.store(true, Ordering::Relaxed);
                hub.connected(&welcome);
                let broken = serve(&hub, stream, frames, &on_end).await;
                hub.disconnected();
                broken
            }
            Err(broken) => Some(broken),
        };
        match broken {
            None => return,
            Some(Broken::Refused(refusal)) if refusal.code == RefusalCode::Version => {
                // The session lives; a server that speaks its agent's version can have it.
                tracing::warn!(
                    session = hub.session().id,
                    reason = refusal.message,
                    "the agent speaks another version"
                );
            }
            Some(Broken::Refused(refusal)) => {
                let exit = Exit::because(match refusal.code {
                    RefusalCode::NoSuchSession => ExitReason::PodGone,
                    _ => ExitReason::FailedToStart,
                });
                tracing::info!(
                    session = hub.session().id,
                    reason = refusal.message,
                    "the agent refused the session"
                );
                on_end(&exit);
                hub.ended(exit);
                return linger(&hub).await;
            }
            Some(Broken::Retry(reason)) => {
                if hub.has_ended() {
                    return linger(&hub).await;
                }
                tracing::debug!(session = hub.session().id, attempt, reason, "no channel to the agent");
            }
        }
        let pause = (FIRST_PAUSE * 2u32.pow(attempt.min(8))).min(LONGEST_PAUSE);
        let jitter = rand::rng().random_range(0.8..1.2);
        tokio::select! {
            () = sleep(pause.mul_f64(jitter)) => attempt += 1,
            // The environment runs again, or somebody came: try at once, but not in a circle.
            () = hub.work(), if attempt > 2 => attempt = 1,
        }
    }
}

async fn open(hub: &Hub, connector: &Connector) -> Result<(BoxStream, FrameReader, Welcome), Broken> {
    let opening = async {
        let mut stream = connector.runtime.open(&connector.environment).await?;
        let role = Role::Session(OpenSession {
            id: hub.session().id.clone(),
            name: hub.session().name.clone(),
            size: hub.size(),
            create: !connector.made.load(Ordering::Relaxed),
            from: hub.resume_from(),
            backfill: RING_LIMIT as u64,
        });
        let mut out = Vec::new();
        ServerFrame::Open(Open { version: VERSION, role }).encode(&mut out);
        stream.write_all(&out).await?;
        let mut frames = FrameReader::default();
        loop {
            if let Some(frame) = frames.next_frame()? {
                return match AgentFrame::decode(frame)? {
                    AgentFrame::Welcome(welcome) => Ok((stream, frames, welcome)),
                    AgentFrame::Refused(refusal) => Err(Broken::Refused(refusal)),
                    _ => Err(Broken::Retry("the agent did not greet".into())),
                };
            }
            frames.buffer().reserve(IDLE_READ);
            if stream.read_buf(frames.buffer()).await? == 0 {
                return Err(Broken::Retry("the agent closed the channel".into()));
            }
        }
    };
    timeout(OPEN_LIMIT, opening)
        .await
        .unwrap_or_else(|_| Err(Broken::Retry("the agent did not answer".into())))
}

/// Serves an open channel; returns why it broke, or `None` when all is done.
async fn serve(hub: &Hub, stream: BoxStream, frames: FrameReader, on_end: &impl Fn(&Exit)) -> Option<Broken> {
    let (reader, writer) = split(stream);
    let heard = Heard::now();
    tokio::select! {
        broken = read(hub, reader, frames, &heard, on_end) => broken.err(),
        broken = write(hub, writer, &heard) => broken.err(),
        () = linger_after_end(hub) => None,
        () = idle(hub) => None,
    }
}

/// When the agent was last heard, in milliseconds since a start.
struct Heard {
    start: Instant,
    last_ms: AtomicU64,
}

impl Heard {
    fn now() -> Self {
        Self { start: Instant::now(), last_ms: AtomicU64::new(0) }
    }

    fn note(&self) {
        let ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(ms, Ordering::Relaxed);
    }

    fn silence(&self) -> Duration {
        self.start.elapsed().saturating_sub(Duration::from_millis(self.last_ms.load(Ordering::Relaxed)))
    }
}

async fn read(
    hub: &Hub,
    mut reader: impl AsyncRead + Unpin,
    mut frames: FrameReader,
    heard: &Heard,
    on_end: &impl Fn(&Exit),
) -> Result<(), Broken> {
    let mut room = IDLE_READ;
    loop {
        while let Some(frame) = frames.next_frame()? {
            take(hub, AgentFrame::decode(frame)?, on_end);
        }
        let buffer = frames.buffer();
        if buffer.is_empty() && room == IDLE_READ && buffer.capacity() > IDLE_READ {
            // What a burst needed is given back.
            *buffer = bytes::BytesMut::new();
        }
        buffer.reserve(room);
        let n = reader.read_buf(buffer).await?;
        if n == 0 {
            return Err(Broken::Retry("the agent closed the channel".into()));
        }
        heard.note();
        room = if n >= IDLE_READ { BUSY_READ } else { IDLE_READ };
    }
}

fn take(hub: &Hub, frame: AgentFrame, on_end: &impl Fn(&Exit)) {
    match frame {
        AgentFrame::Output { offset, data } => hub.output(offset, &data),
        AgentFrame::Snapshot { offset, size, data } => hub.snapshot(Snapshot { offset, size, data }),
        AgentFrame::Stream { stream, offset } => hub.input_taken(stream, offset),
        AgentFrame::Exit(exit) => {
            // Its environment first: a client that was told asks it next.
            on_end(&exit);
            hub.ended(exit);
        }
        AgentFrame::Pong(_) | AgentFrame::Welcome(_) | AgentFrame::Refused(_) | AgentFrame::Control(_) => {}
    }
}

async fn write(hub: &Hub, mut writer: impl AsyncWrite + Unpin, heard: &Heard) -> Result<(), Broken> {
    let mut beats = interval(HEARTBEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beats.reset();
    let mut out = Vec::new();
    loop {
        let again = hub.collect_work(&mut out);
        if !out.is_empty() {
            timeout(SILENCE, writer.write_all(&out)).await.map_err(|_| silent())??;
            timeout(SILENCE, writer.flush()).await.map_err(|_| silent())??;
            // Input comes in bursts of a few bytes; what a paste needed is given back.
            out = Vec::new();
            continue;
        }
        tokio::select! {
            () = hub.work() => {}
            () = sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => {}
            _ = beats.tick() => {
                if heard.silence() > SILENCE {
                    return Err(silent());
                }
                ServerFrame::Ping(0).encode(&mut out);
            }
        }
    }
}

fn silent() -> Broken {
    Broken::Retry(format!("the agent was silent for {SILENCE:?}"))
}

/// Waits until nobody has been attached for a while.
async fn idle(hub: &Hub) {
    let mut changes = hub.changes();
    loop {
        if hub.is_vacant() {
            tokio::select! {
                () = sleep(IDLE) => return,
                _ = changes.wait_for(|()| !hub.is_vacant()) => {}
            }
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Once the session has ended, waits until its clients have read to the end: one that fell
/// behind may still need a snapshot through the channel.
async fn linger_after_end(hub: &Hub) {
    let mut changes = hub.changes();
    while !hub.has_ended() {
        if changes.changed().await.is_err() {
            return;
        }
    }
    linger(hub).await;
}

async fn linger(hub: &Hub) {
    let vacant = async {
        let mut changes = hub.changes();
        // Who asked for a session that had ended already may not have attached yet.
        while !(hub.had_clients() && hub.is_vacant()) && changes.changed().await.is_ok() {}
    };
    // A client that takes longer is told the end without what it has not read.
    let _ = timeout(LINGER, vacant).await;
}
