//! The socket that follows an environment's install log.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use devpocket_actors::environment::{EnvironmentError, InstallLog};
use devpocket_actors::persistence::EnvironmentStatus;
use devpocket_actors::persistence::environments::EnvironmentView;
use devpocket_actors::user::{Admission, Happening, Missed, UserEvent};
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::access::Facts;
use super::dialect::{Dialect, Ending, Request as Received, close, close_frame};
use super::json::{self, Json};
use super::sockets::Socket;
use super::upgrade::{Handshake, WebSocket};
use crate::app::App;
use crate::auth::{Principal, is_still_valid};
use crate::dialect::Dialect as Spelling;
use crate::dialect::views::Timestamp;
use crate::events::{CHECK_EVERY, messages};

/// How long the socket may take to take a message.
pub(super) const SEND_LIMIT: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
struct Query {
    follow: Option<bool>,
}

/// Someone who may follow.
struct Follower {
    app: App,
    principal: Principal,
    view: EnvironmentView,
    log: Arc<InstallLog>,
    follow: bool,
    admission: Admission,
}

/// Answers a request for a logs socket: accepts, and refuses by closing.
pub(super) fn open(app: App, environment: String, request: Request) -> Response {
    let handshake = match Handshake::of(&app, request) {
        Ok(handshake) => handshake,
        Err(error) => return error.into_response(),
    };
    let (served, facts) = (app.clone(), handshake.facts.clone());
    handshake.accept(&app, None, json::MAX_MESSAGE, move |mut socket, mut counted| async move {
        let ending = match admit(served, &facts, &environment).await {
            Ok(follower) => follow(&mut socket, &mut counted, follower).await,
            Err(reason) => Ending::refused(reason),
        };
        if ending != Ending::Left {
            close(&mut socket, &ending).await;
        }
    })
}

async fn admit(app: App, facts: &Facts, environment: &str) -> Result<Follower, &'static str> {
    facts.check_origin(&app).map_err(|_| "Origin not allowed")?;
    let principal = facts.identify(&app).await.map_err(|_| "Authentication failed")?;
    let user = &principal.user_id;
    let admission = app.system().admit(user).ok_or("Too many connections")?;
    let view = app.system().view(user, environment).await.map_err(|_| "Environment not found")?;
    let log = match app.system().install_log(user, environment).await {
        Ok(log) => log,
        Err(EnvironmentError::NotFound) => return Err("Environment not found"),
        Err(_) => return Err("Logs are not available"),
    };
    let follow = facts.query::<Query>().ok().and_then(|query| query.follow).unwrap_or(true);
    Ok(Follower { app, principal, view, log, follow, admission })
}

async fn send(socket: &mut WebSocket, value: &Value) -> Result<(), Ending> {
    send_message(socket, Message::text(value.to_string())).await
}

fn log_line(environment: &str, line: &str) -> Value {
    json!({
        "type": "installation_log",
        "environment_id": environment,
        "data": line,
        "timestamp": Timestamp::now(),
    })
}

async fn send_message(socket: &mut WebSocket, message: Message) -> Result<(), Ending> {
    match timeout(SEND_LIMIT, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(Ending::Left),
    }
}

async fn follow(socket: &mut WebSocket, counted: &mut Socket, follower: Follower) -> Ending {
    match try_follow(socket, counted, follower).await {
        Ok(ending) | Err(ending) => ending,
    }
}

async fn try_follow(
    socket: &mut WebSocket,
    counted: &mut Socket,
    follower: Follower,
) -> Result<Ending, Ending> {
    let Follower { app, principal, view, log, follow, admission } = follower;
    let id = view.environment.id.clone();
    send_message(socket, json::welcome(&view, false, &principal)).await?;
    // Before the status is looked at: what changes meanwhile is told after it.
    let mut events = app.system().listen_along(&principal.user_id, &admission);
    let mut lines = log.follow();
    let mut told = Told { dialect: principal.dialect.unwrap_or_default(), complete: false };
    for message in told.state(&app, &view) {
        send(socket, &message).await?;
    }
    let dialect = Json::new(app.config().limits.socket_heartbeat, told.dialect);
    let (ping_every, dead_after) = dialect.heartbeat();
    let (mut pings, mut checks) = (interval(ping_every), interval(CHECK_EVERY));
    for timer in [&mut pings, &mut checks] {
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    let mut heard = Instant::now();
    loop {
        while let Some(line) = lines.ready() {
            send(socket, &log_line(&id, &line)).await?;
        }
        if !follow {
            let ending = close_frame((1000, "Log stream complete".into()));
            send_message(socket, ending).await?;
            return Ok(Ending::Left);
        }
        tokio::select! {
            line = lines.next() => send(socket, &log_line(&id, &line)).await?,
            () = counted.closing() => return Ok(Ending::GoingAway),
            _ = checks.tick() => {
                if !is_still_valid(&app, &principal).await {
                    return Ok(Ending::refused("Authentication failed"));
                }
            }
            event = events.next() => {
                let news = match event {
                    Ok(event) if event.environment == id => told.news(&event),
                    Ok(_) => Vec::new(),
                    Err(Missed(_)) => told.state(&app, &view),
                };
                for message in news {
                    send(socket, &message).await?;
                }
            }
            _ = pings.tick() => {
                if heard.elapsed() > dead_after {
                    return Ok(Ending::Left);
                }
                send_message(socket, Message::Ping(bytes::Bytes::new())).await?;
                send(socket, &json!({"type": "ping"})).await?;
            }
            message = socket.next() => {
                let Some(Ok(message)) = message else { return Ok(Ending::Left) };
                heard = Instant::now();
                match json::decode(message)? {
                    Received::Ping(number) => send_message(socket, dialect.pong(number)).await?,
                    Received::Mistake(answer) => send_message(socket, answer).await?,
                    // Typing and resizing have no meaning here.
                    _ => {}
                }
            }
        }
    }
}

/// What a socket was told of an environment besides its log.
struct Told {
    dialect: Spelling,
    /// Whether it was told that all commands have run.
    complete: bool,
}

impl Told {
    /// How the environment is now.
    fn state(&mut self, app: &App, view: &EnvironmentView) -> Vec<Value> {
        let row = &view.environment;
        let status = app.system().environment_status(&row.id).unwrap_or(row.status);
        let what = Happening::Status { status, reason: row.status_reason.clone() };
        self.news(&UserEvent { environment: row.id.clone(), at: chrono::Utc::now(), what })
    }

    /// What follows from an event.
    fn news(&mut self, event: &UserEvent) -> Vec<Value> {
        let mut news = match event.what {
            // All lines come from the log itself.
            Happening::Progress { .. } => return Vec::new(),
            _ => messages(event, self.dialect),
        };
        let runs = matches!(event.what, Happening::Status { status: EnvironmentStatus::Running, .. });
        if runs && !self.complete {
            // They had run before anybody listened here.
            let what = Happening::Installed { failed_commands: 0 };
            news.extend(messages(&UserEvent { what, ..event.clone() }, self.dialect));
        }
        self.complete |= runs || matches!(event.what, Happening::Installed { .. });
        news
    }
}
