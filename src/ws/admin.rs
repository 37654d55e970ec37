//! The socket of the admin dashboard: what its client looks at, as differences (docs/admin.md).

use std::time::Duration;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use devpocket_actors::persistence::Role;
use devpocket_actors::supervision::Journal;
use devpocket_actors::user::Admission;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::dialect::{Ending, close};
use super::sockets::Socket;
use super::upgrade::{Handshake, WebSocket};
use crate::admin::{Screen, Wish};
use crate::app::App;
use crate::auth::{Principal, standing_role};
use crate::dialect::views::Point;
use crate::events::CHECK_EVERY;
use crate::http::error::ApiError;

/// The subprotocol of this socket.
const SUBPROTOCOL: &str = "devpocket.admin";

/// The longest message of a client in bytes: a thousand names of actors and some.
const MAX_MESSAGE: usize = 64 * 1024;

/// The pause between two differences.
const PAUSE: Duration = Duration::from_millis(250);

/// The pause after a difference that could not wait: of many failures at once the first is told at
/// once, the others together.
const LEAST_PAUSE: Duration = Duration::from_millis(50);

/// After how much silence a client has gone; clients ping each 20 s.
const SILENCE: Duration = Duration::from_secs(45);

/// How long a client may take to take a message.
const SEND_LIMIT: Duration = Duration::from_secs(20);

/// Answers a request for a dashboard's socket. Who is no administrator hears so instead of a
/// handshake.
pub(super) async fn open(app: App, request: Request) -> Response {
    match admitted(&app, request).await {
        Ok((handshake, principal, admission)) => {
            let serving = app.clone();
            let protocol = handshake.facts.protocols().any(|offered| offered == SUBPROTOCOL);
            let protocol = protocol.then_some(SUBPROTOCOL);
            handshake.accept(&app, protocol, MAX_MESSAGE, move |mut socket, counted| async move {
                let ending = Dashboard::new(&serving, principal, counted).serve(&mut socket).await;
                drop(admission);
                if ending != Ending::Left {
                    close(&mut socket, &ending).await;
                }
            })
        }
        Err(error) => error.into_response(),
    }
}

async fn admitted(app: &App, request: Request) -> Result<(Handshake, Principal, Admission), ApiError> {
    let handshake = Handshake::of(app, request)?;
    handshake.facts.check_origin(app)?;
    let principal = handshake.facts.identify(app).await?;
    if principal.role != Role::Admin {
        return Err(ApiError::forbidden("Administrator access required"));
    }
    let admission = app.system().admit_stream(&principal.user_id).ok_or_else(|| ApiError::too_many(1))?;
    Ok((handshake, principal, admission))
}

struct Dashboard<'a> {
    app: &'a App,
    principal: Principal,
    counted: Socket,
    screen: Screen,
    journal: &'a Journal,
    failures: watch::Receiver<u64>,
    points: watch::Receiver<Option<Point>>,
    heard: Instant,
    /// When the next difference is due.
    due: Instant,
}

impl<'a> Dashboard<'a> {
    fn new(app: &'a App, principal: Principal, counted: Socket) -> Self {
        let journal = app.system().registry().journal();
        let mut points = app.observer().newest();
        // What there is already comes with the charts.
        points.mark_unchanged();
        let mut failures = journal.last();
        failures.mark_changed();
        let (heard, due) = (Instant::now(), Instant::now());
        Self { app, principal, counted, screen: Screen::default(), journal, failures, points, heard, due }
    }

    async fn serve(mut self, socket: &mut WebSocket) -> Ending {
        let mut checks = interval(CHECK_EVERY);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let message = tokio::select! {
                () = self.counted.closing() => return Ending::GoingAway,
                _ = checks.tick() => {
                    if self.heard.elapsed() > SILENCE {
                        return Ending::Silent;
                    }
                    if !self.may_stay().await {
                        return Ending::Unauthorized;
                    }
                    None
                }
                message = socket.next() => {
                    let Some(Ok(message)) = message else { return Ending::Left };
                    self.heard = Instant::now();
                    match self.take(message) {
                        Ok(answer) => answer,
                        Err(ending) => return ending,
                    }
                }
                // Neither sender goes before the server does.
                _ = self.failures.changed() => {
                    self.due = self.due.min(Instant::now() + LEAST_PAUSE);
                    self.screen.news(self.journal)
                }
                _ = self.points.changed() => {
                    let point = *self.points.borrow_and_update();
                    point.map(|point| json!({ "type": "point", "point": point }))
                }
                () = sleep_until(self.due) => {
                    let look = self.app.observer().look(LEAST_PAUSE).await;
                    self.due = Instant::now() + PAUSE;
                    self.screen.difference(&look)
                }
            };
            if let Some(message) = message
                && !matches!(timeout(SEND_LIMIT, socket.send(text(&message))).await, Ok(Ok(())))
            {
                return Ending::Left;
            }
        }
    }

    fn take(&mut self, message: Message) -> Result<Option<Value>, Ending> {
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => return Err(Ending::Malformed("messages are JSON texts".to_owned())),
            _ => return Ok(None),
        };
        let message: Value =
            serde_json::from_str(&text).map_err(|error| Ending::Malformed(error.to_string()))?;
        match message["type"].as_str() {
            Some("ping") => Ok(Some(json!({ "type": "pong" }))),
            Some("view") => {
                self.screen.look_at(Wish::read(message).map_err(Ending::Malformed)?);
                self.due = Instant::now();
                Ok(None)
            }
            _ => Err(Ending::Malformed("type must be view or ping".to_owned())),
        }
    }

    /// Whether whoever looks is still an administrator. While nobody can say they stay: an outage of
    /// the database is when a dashboard is needed.
    async fn may_stay(&self) -> bool {
        standing_role(self.app, &self.principal).await.is_none_or(|role| role == Some(Role::Admin))
    }
}

fn text(message: &Value) -> Message {
    Message::text(message.to_string())
}
