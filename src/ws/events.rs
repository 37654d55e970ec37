//! The socket of everything that happens to somebody's environments.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::dialect::{Dialect, Ending, Request as Received, close};
use super::json::{self, Json};
use super::logs::SEND_LIMIT;
use super::sockets::Socket;
use super::upgrade::{Handshake, WebSocket};
use crate::app::App;
use crate::events::{CHECK_EVERY, Feed};

/// The subprotocol of this socket. Naming it is needed by browsers only: they show their ticket as a
/// subprotocol, and take no answer that chooses none.
const SUBPROTOCOL: &str = "devpocket.events";

/// Answers a request for an events socket: accepts, and refuses by closing.
pub(super) fn open(app: App, request: Request) -> Response {
    let handshake = match Handshake::of(&app, request) {
        Ok(handshake) => handshake,
        Err(error) => return error.into_response(),
    };
    let (served, facts) = (app.clone(), handshake.facts.clone());
    let protocol = facts.protocols().any(|offered| offered == SUBPROTOCOL).then_some(SUBPROTOCOL);
    handshake.accept(&app, protocol, json::MAX_MESSAGE, move |mut socket, mut counted| async move {
        let ending = match facts.check_origin(&served) {
            Err(_) => Ending::refused("Origin not allowed"),
            Ok(()) => match facts.identify(&served).await {
                Err(_) => Ending::refused("Authentication failed"),
                Ok(principal) => {
                    let spelling = principal.dialect.unwrap_or_default();
                    let dialect = Json::new(served.config().limits.socket_heartbeat, spelling);
                    match Feed::open(&served, &principal, spelling) {
                        Some(feed) => follow(&mut socket, &mut counted, feed, &dialect).await,
                        None => Ending::refused("Too many connections"),
                    }
                }
            },
        };
        if ending != Ending::Left {
            close(&mut socket, &ending).await;
        }
    })
}

async fn follow(socket: &mut WebSocket, counted: &mut Socket, mut feed: Feed, dialect: &Json) -> Ending {
    let (ping_every, dead_after) = dialect.heartbeat();
    let (mut pings, mut checks) = (interval(ping_every), interval(CHECK_EVERY));
    for timer in [&mut pings, &mut checks] {
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        timer.reset();
    }
    let mut heard = Instant::now();
    loop {
        let message = tokio::select! {
            () = counted.closing() => return Ending::GoingAway,
            _ = checks.tick() => {
                if !feed.may_stay().await {
                    return Ending::refused("Authentication failed");
                }
                continue;
            }
            _ = pings.tick() => {
                if heard.elapsed() > dead_after {
                    return Ending::Left;
                }
                if timeout(SEND_LIMIT, socket.send(Message::Ping(bytes::Bytes::new()))).await.is_err() {
                    return Ending::Left;
                }
                Message::text(json!({"type": "ping"}).to_string())
            }
            message = socket.next() => {
                let Some(Ok(message)) = message else { return Ending::Left };
                heard = Instant::now();
                match json::decode(message) {
                    Ok(Received::Ping(number)) => dialect.pong(number),
                    Ok(Received::Mistake(answer)) => answer,
                    // Typing and resizing have no meaning here.
                    Ok(_) => continue,
                    Err(ending) => return ending,
                }
            }
            event = feed.next() => Message::text(event.to_string()),
        };
        if !matches!(timeout(SEND_LIMIT, socket.send(message)).await, Ok(Ok(()))) {
            return Ending::Left;
        }
    }
}
