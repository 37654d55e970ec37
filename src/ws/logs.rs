//! The socket that follows an environment's install log.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use devpocket_actors::environment::{EnvironmentError, InstallLog};
use devpocket_actors::persistence::EnvironmentStatus;
use devpocket_actors::persistence::environments::EnvironmentView;
use devpocket_actors::user::Admission;
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
use crate::http::render::timestamp;

/// How long the socket may take to take a message.
const SEND_LIMIT: Duration = Duration::from_secs(30);

/// The longest line that is sent as one, in bytes.
const MAX_LINE: usize = 8 * 1024;

/// How often the environment's status is looked at.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// How many of those looks lie between two at the person's right to be there.
const LOOKS_PER_CHECK: u32 = 15;

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
    _admission: Admission,
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
    Ok(Follower { app, principal, view, log, follow, _admission: admission })
}

async fn send(socket: &mut WebSocket, value: &Value) -> Result<(), Ending> {
    send_message(socket, Message::text(value.to_string())).await
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
    let Follower { app, principal, view, log, follow, .. } = follower;
    let id = view.environment.id.clone();
    send_message(socket, json::welcome(&view, false)).await?;
    let mut lines = log.follow();
    let (mut partial, mut shown) = (Vec::new(), None);
    let dialect = Json::new(app.config().limits.socket_heartbeat);
    let (ping_every, dead_after) = dialect.heartbeat();
    let (mut pings, mut looks) = (interval(ping_every), interval(STATUS_EVERY));
    for timer in [&mut pings, &mut looks] {
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    let (mut heard, mut look) = (Instant::now(), 0u32);
    loop {
        while let Some(bytes) = lines.read() {
            for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
                partial.extend_from_slice(piece);
                // A progress bar may draw itself for ever without an end of line.
                if !piece.ends_with(b"\n") && partial.len() < MAX_LINE {
                    continue;
                }
                let line = std::mem::take(&mut partial);
                let line = String::from_utf8_lossy(&line);
                let data = line.trim_end_matches(['\r', '\n']);
                let now = timestamp(chrono::Utc::now());
                let log =
                    json!({"type": "installation_log", "environment_id": id, "data": data, "timestamp": now});
                send(socket, &log).await?;
            }
        }
        if !follow {
            let ending = close_frame((1000, "Log stream complete".into()));
            send_message(socket, ending).await?;
            return Ok(Ending::Left);
        }
        tokio::select! {
            () = lines.changed() => {}
            () = counted.closing() => return Ok(Ending::GoingAway),
            _ = looks.tick() => {
                look += 1;
                if look.is_multiple_of(LOOKS_PER_CHECK) && !is_still_valid(&app, &principal).await {
                    return Ok(Ending::refused("Authentication failed"));
                }
                let status = app.system().environment_status(&id);
                if status.is_some() && status != shown {
                    shown = status;
                    for message in news(&id, status) {
                        send(socket, &message).await?;
                    }
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

/// What is told of a status.
fn news(id: &str, status: Option<EnvironmentStatus>) -> Vec<Value> {
    let Some(status) = status else { return Vec::new() };
    let lower = status.as_str().to_ascii_lowercase();
    let mut messages = vec![json!({"type": "installation_status", "environment_id": id, "status": lower})];
    if status == EnvironmentStatus::Running {
        messages.push(json!({"type": "installation_complete", "environment_id": id, "status": lower}));
    }
    messages
}
