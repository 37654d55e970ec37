//! Serves an attached client until its connection ends.
//!
//! Two loops in one task: one reads what the client sends, the other writes what it is to be
//! told. They share little, so that a key is taken while output waits for a slow client, and
//! output flows while a program does not read its input.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use devpocket_actors::environment::EnvironmentError;
use devpocket_actors::terminal::{Attachment, Client, Event, Hub, Kick, STALL_LIMIT};
use devpocket_actors::user::{Happening, Listener, UserEvent};
use devpocket_protocol::client::{Exit, ExitReason, Mode, SessionState, Status};
use futures_util::future::BoxFuture;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::dialect::{Decode, Dialect, Ending, Request, close_frame};
use super::sockets::Socket;
use super::upgrade::WebSocket;
use crate::app::App;
use crate::auth::{Principal, is_still_valid};
use crate::events::CHECK_EVERY;

/// How long a client may take to answer a close.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Answers to mistakes that wait to be written; more are dropped.
const MAX_ANSWERS: usize = 16;

/// What a connection is about.
pub(super) struct Session {
    pub(super) app: App,
    pub(super) principal: Principal,
    pub(super) environment: String,
    pub(super) attachment: Attachment,
    /// What happens to the person's environments, where the dialect tells that.
    pub(super) news: Option<Listener>,
}

/// What the two loops share.
struct Shared {
    client: Arc<Client>,
    start: Instant,
    /// When the client was last heard, in milliseconds since the start.
    heard: AtomicU64,
    /// Whether reading waits for the program to take input: then silence says nothing.
    waiting: AtomicBool,
    pong: Mutex<Option<u64>>,
    answers: Mutex<Vec<Message>>,
    wake: Notify,
}

impl Shared {
    fn hear(&self) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.heard.store(now, Ordering::Relaxed);
    }

    /// When the client was last heard; now, while it is not read.
    fn last_heard(&self) -> Instant {
        if self.waiting.load(Ordering::Relaxed) {
            return Instant::now();
        }
        self.start + Duration::from_millis(self.heard.load(Ordering::Relaxed))
    }

    fn silence(&self) -> Duration {
        self.last_heard().elapsed()
    }
}

/// Serves until the end. `greeting` is written first.
pub(super) async fn serve(
    socket: WebSocket,
    mut counted: Socket,
    session: Session,
    mut dialect: impl Dialect,
    decode: Decode,
    greeting: Message,
) {
    let shared = Shared {
        client: Arc::clone(session.attachment.client()),
        start: Instant::now(),
        heard: AtomicU64::new(0),
        waiting: AtomicBool::new(false),
        pong: Mutex::new(None),
        answers: Mutex::new(Vec::new()),
        wake: Notify::new(),
    };
    let (mut sink, mut stream) = socket.split();
    let ending = tokio::select! {
        ending = read(&mut stream, &shared, decode) => ending,
        ending = write(&mut sink, &shared, session, &mut dialect, greeting) => ending,
        () = counted.closing() => Ending::GoingAway,
    };
    tracing::debug!(?ending, "terminal connection ended");
    if ending == Ending::Left {
        return;
    }
    let closing = async {
        if ending == Ending::GoingAway
            && let Some(message) = dialect.event(&Event::Status(Status::of(SessionState::Draining)))
        {
            let _ = sink.send(message).await;
        }
        if sink.send(close_frame(dialect.close(&ending))).await.is_ok() {
            while let Some(Ok(_)) = stream.next().await {}
        }
    };
    // A client that does not answer is left.
    let _ = timeout(CLOSE_LIMIT, closing).await;
}

/// Reads until the client leaves or does something it must not.
async fn read(stream: &mut SplitStream<WebSocket>, shared: &Shared, decode: Decode) -> Ending {
    while let Some(message) = stream.next().await {
        let request = match message {
            Ok(message) => {
                shared.hear();
                match decode(message) {
                    Ok(request) => request,
                    Err(ending) => return ending,
                }
            }
            Err(Error::Capacity(_)) => return Ending::TooLarge,
            Err(Error::Utf8(_)) => return Ending::Malformed("text must be UTF-8".into()),
            Err(Error::Protocol(error)) if error != ProtocolError::ResetWithoutClosingHandshake => {
                return Ending::Malformed(error.to_string());
            }
            Err(_) => return Ending::Left,
        };
        if let Err(ending) = obey(shared, request).await {
            return ending;
        }
    }
    Ending::Left
}

async fn obey(shared: &Shared, request: Request) -> Result<(), Ending> {
    let client = &shared.client;
    if client.mode() == Mode::View && matches!(request, Request::Input(..) | Request::Resize(_)) {
        return Err(Ending::Forbidden("a viewer can't type or resize"));
    }
    match request {
        Request::Input(offset, data) => {
            let offset = offset.unwrap_or_else(|| client.next_input());
            shared.waiting.store(true, Ordering::Relaxed);
            let taken = client.input(offset, &data).await;
            shared.waiting.store(false, Ordering::Relaxed);
            shared.hear();
            taken.map_err(|gap| Ending::Malformed(gap.to_string()))?;
        }
        Request::Resize(size) => client.resize(size),
        Request::Ack(offset) => client.ack(offset).map_err(|error| Ending::Malformed(error.to_string()))?,
        Request::Ping(number) => {
            *shared.pong.lock() = Some(number);
            shared.wake.notify_one();
        }
        Request::Mistake(answer) => {
            let mut answers = shared.answers.lock();
            if answers.len() < MAX_ANSWERS {
                answers.push(answer);
            }
            drop(answers);
            shared.wake.notify_one();
        }
        Request::Nothing => {}
    }
    Ok(())
}

/// Where events come from.
enum Source {
    Attached(Attachment),
    /// The session's actor failed; its successor is being looked for.
    Rejoining(BoxFuture<'static, Result<Arc<Hub>, EnvironmentError>>),
}

enum Next {
    Event(Event),
    Rejoined(Result<Arc<Hub>, EnvironmentError>),
}

impl Source {
    /// Cancel-safe.
    async fn next(&mut self) -> Next {
        match self {
            Self::Attached(attachment) => Next::Event(attachment.next().await),
            Self::Rejoining(hub) => Next::Rejoined(hub.await),
        }
    }
}

/// Writes until the session ends or the client may not or can't be written to any more.
async fn write(
    sink: &mut SplitSink<WebSocket, Message>,
    shared: &Shared,
    session: Session,
    dialect: &mut impl Dialect,
    greeting: Message,
) -> Ending {
    let Session { app, principal, environment, attachment, mut news } = session;
    let name = attachment.hub().session().clone();
    let mut source = Source::Attached(attachment);
    let (ping_every, dead_after) = dialect.heartbeat();
    let (mut pings, mut checks) = (interval(ping_every), interval(CHECK_EVERY));
    for timer in [&mut pings, &mut checks] {
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        timer.reset();
    }
    let token_life = (principal.expires_at - chrono::Utc::now()).to_std().unwrap_or_default();
    let token_end = Instant::now() + token_life;
    let mut right: Option<BoxFuture<'static, bool>> = None;
    let mut next = Some(greeting);
    loop {
        if let Some(message) = next.take() {
            match timeout(STALL_LIMIT, sink.send(message)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Ending::Left,
                Err(_) => return Ending::Kicked(Kick::TooSlow),
            }
        }
        tokio::select! {
            biased;
            () = shared.wake.notified() => {
                let pong = shared.pong.lock().take().map(|number| dialect.pong(number));
                let answers = std::mem::take(&mut *shared.answers.lock());
                for message in pong.into_iter().chain(answers) {
                    match timeout(STALL_LIMIT, sink.send(message)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(_)) => return Ending::Left,
                        Err(_) => return Ending::Kicked(Kick::TooSlow),
                    }
                }
            }
            _ = checks.tick() => {
                if right.is_none() {
                    right = Some(Box::pin(may_stay(app.clone(), principal.clone())));
                }
            }
            // Heard of since it was set: then it is set anew in the next turn.
            () = sleep_until(shared.last_heard() + dead_after) => {
                if shared.silence() >= dead_after {
                    return Ending::Silent;
                }
            }
            // Asked beside the output: a slow database stops no terminal.
            stays = answer(&mut right) => {
                right = None;
                if !stays {
                    return Ending::Unauthorized;
                }
            }
            () = sleep_until(token_end), if dialect.ends_with_token() => return Ending::Unauthorized,
            _ = pings.tick() => {
                if sink.feed(Message::Ping(bytes::Bytes::new())).await.is_err() {
                    return Ending::Left;
                }
                next = dialect.ping();
                if next.is_none() && timeout(STALL_LIMIT, sink.flush()).await.is_err() {
                    return Ending::Kicked(Kick::TooSlow);
                }
            }
            event = hear(&mut news) => {
                // Of other environments only how they are.
                if event.environment == environment || matches!(event.what, Happening::Status { .. }) {
                    for message in dialect.news(&event) {
                        match timeout(STALL_LIMIT, sink.send(message)).await {
                            Ok(Ok(())) => {}
                            Ok(Err(_)) => return Ending::Left,
                            Err(_) => return Ending::Kicked(Kick::TooSlow),
                        }
                    }
                }
            }
            news = source.next() => match news {
                Next::Event(Event::Kicked(kick)) => return Ending::Kicked(kick),
                Next::Event(Event::Orphaned) => {
                    next = dialect.event(&Event::Status(Status::of(SessionState::Reconnecting)));
                    let (app, user) = (app.clone(), principal.user_id.clone());
                    let (environment, id) = (environment.clone(), name.id.clone());
                    source = Source::Rejoining(Box::pin(async move {
                        app.system().rejoin(&user, &environment, &id).await
                    }));
                }
                Next::Event(event) => {
                    next = dialect.event(&event);
                    if let Event::Exit(_) = event {
                        return finish(sink, next).await;
                    }
                    if let (true, Some(shown)) = (dialect.acknowledges_for_client(), shown_by(&event)) {
                        // Before the write: the window bounds what waits for the socket, and a
                        // write that does not end ends the connection.
                        let _ = shared.client.ack(shown);
                    }
                }
                Next::Rejoined(Ok(hub)) => source = Source::Attached(Attachment::rejoin(&hub, &shared.client)),
                Next::Rejoined(Err(EnvironmentError::NotFound)) => return Ending::Kicked(Kick::EnvironmentDeleted),
                Next::Rejoined(Err(EnvironmentError::NoSuchSession | EnvironmentError::Refused(_))) => {
                    let exit = dialect.event(&Event::Exit(Exit::because(ExitReason::EnvironmentGone)));
                    return finish(sink, exit).await;
                }
                Next::Rejoined(Err(error)) => {
                    tracing::warn!(session = name.id, %error, "a session did not come back");
                    return Ending::Failed;
                }
            }
        }
    }
}

/// Whether somebody may stay; the answer is yes when nobody can say in time.
async fn may_stay(app: App, principal: Principal) -> bool {
    timeout(CHECK_EVERY, is_still_valid(&app, &principal)).await.unwrap_or(true)
}

/// Waits for the answer to a question, for ever if none was asked. Cancel-safe.
async fn answer(question: &mut Option<BoxFuture<'static, bool>>) -> bool {
    match question {
        Some(question) => question.await,
        None => std::future::pending().await,
    }
}

/// The next event, if anybody listens. Missed ones are not told: they were news, and there is
/// newer. Cancel-safe.
async fn hear(listener: &mut Option<Listener>) -> UserEvent {
    match listener {
        Some(listener) => loop {
            if let Ok(event) = listener.next().await {
                return event;
            }
        },
        None => std::future::pending().await,
    }
}

async fn finish(sink: &mut SplitSink<WebSocket, Message>, last: Option<Message>) -> Ending {
    if let Some(message) = last
        && !matches!(timeout(STALL_LIMIT, sink.send(message)).await, Ok(Ok(())))
    {
        return Ending::Left;
    }
    Ending::SessionEnded
}

/// The offset that output was shown up to once this event was written.
fn shown_by(event: &Event) -> Option<u64> {
    match event {
        Event::Output { offset, data } => Some(offset + data.len() as u64),
        Event::Snapshot(snapshot) => Some(snapshot.offset),
        _ => None,
    }
}
