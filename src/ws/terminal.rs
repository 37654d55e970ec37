//! Opens terminal sockets: who, which session, from where.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use devpocket_actors::Opened;
use devpocket_actors::environment::{EnvironmentError, Selector};
use devpocket_actors::terminal::{AttachError, Attachment, Client, Standing, Start};
use devpocket_actors::user::Admission;
use devpocket_protocol::Size;
use devpocket_protocol::client::{HEARTBEAT_S, Hello, MAX_FRAME, Mode, SUBPROTOCOL, ServerFrame, WINDOW};
use serde::Deserialize;
use uuid::Uuid;

use super::access::Facts;
use super::binary;
use super::dialect::{Ending, close};
use super::json::{self, Json};
use super::serve::{Session, serve};
use super::upgrade::Handshake;
use crate::app::App;
use crate::auth::Principal;
use crate::dialect::Dialect;
use crate::http::error::ApiError;

/// The session of clients that do not name one.
const DEFAULT_SESSION: &str = "main";

/// How often an attach is tried again when the session ended or its actor failed meanwhile.
const ATTEMPTS: usize = 4;

/// The query of a `devpocket.v2` connection.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Query {
    session: Option<String>,
    from: Option<String>,
    stream: Option<String>,
    cols: Option<String>,
    rows: Option<String>,
    mode: Option<String>,
}

/// What a client wants to attach to, and how.
struct Wish {
    selector: Selector,
    start: Start,
    stream: Uuid,
    size: Size,
    mode: Mode,
}

impl Query {
    fn read(self) -> Result<Wish, ApiError> {
        let bad = |what: &str, expected: &str| ApiError::bad_request(format!("{what} must be {expected}"));
        let session = self.session.filter(|session| !session.is_empty());
        let selector = Selector::parse(session.as_deref().unwrap_or(DEFAULT_SESSION))
            .map_err(|error| ApiError::bad_request(format!("session: {error}")))?;
        let start = match self.from.as_deref() {
            None | Some("" | "screen") => Start::Screen,
            Some(offset) => {
                Start::Offset(offset.parse().map_err(|_| bad("from", "'screen' or an output offset"))?)
            }
        };
        let selector = match (&start, selector) {
            (Start::Screen, selector) => selector,
            (Start::Offset(_), Selector::Id(id) | Selector::Resumed(id)) => Selector::Resumed(id),
            // A name may belong to another session by now, whose offsets mean something else.
            (Start::Offset(_), Selector::Name(_)) => {
                return Err(bad("session", "a session's id when 'from' is an offset"));
            }
        };
        let side = |what, side: Option<String>, default: u16| match side.as_deref() {
            None | Some("") => Ok(default),
            Some(text) => text.parse().map_err(|_| bad(what, "a number from 1 to 1000")),
        };
        let (cols, rows) =
            (side("cols", self.cols, Size::DEFAULT.cols())?, side("rows", self.rows, Size::DEFAULT.rows())?);
        Ok(Wish {
            selector,
            start,
            stream: match self.stream.as_deref() {
                None | Some("") => Uuid::new_v4(),
                Some(text) => text.parse().map_err(|_| bad("stream", "a UUID"))?,
            },
            size: Size::new(cols, rows).map_err(|error| ApiError::bad_request(error.to_string()))?,
            mode: match self.mode.as_deref() {
                None | Some("" | "control") => Mode::Control,
                Some("view") => Mode::View,
                Some(_) => return Err(bad("mode", "'control' or 'view'")),
            },
        })
    }
}

/// An attached client.
struct Attached {
    attachment: Attachment,
    standing: Standing,
    opened: Opened,
    admission: Admission,
}

/// Answers a request for a terminal socket in the dialect that the client offers.
pub(super) async fn open(app: App, environment: String, request: Request) -> Response {
    let handshake = match Handshake::of(&app, request) {
        Ok(handshake) => handshake,
        Err(error) => return error.into_response(),
    };
    if handshake.facts.protocols().any(|protocol| protocol == SUBPROTOCOL) {
        match open_binary(&app, &environment, &handshake.facts).await {
            Ok((principal, wish, attached)) => {
                accept_binary(app, environment, handshake, principal, &wish, attached)
            }
            Err(error) => error.into_response(),
        }
    } else {
        open_json(app, environment, handshake)
    }
}

async fn open_binary(
    app: &App,
    environment: &str,
    facts: &Facts,
) -> Result<(Principal, Wish, Attached), ApiError> {
    facts.check_origin(app)?;
    let principal = facts.identify(app).await?;
    let wish = facts.query::<Query>()?.read()?;
    let attached = attach(app, &principal, environment, &wish).await?;
    Ok((principal, wish, attached))
}

/// Opens the session and attaches to it.
async fn attach(
    app: &App,
    principal: &Principal,
    environment: &str,
    wish: &Wish,
) -> Result<Attached, ApiError> {
    let busy =
        || ApiError::new(StatusCode::TOO_MANY_REQUESTS, "Too many connections. Close another one first.");
    let admission = app.system().admit(&principal.user_id).ok_or_else(busy)?;
    for _ in 0..ATTEMPTS {
        let opened =
            app.system().open_terminal(&principal.user_id, environment, &wish.selector, wish.size).await?;
        let client = Client::new(&opened.hub, wish.stream, wish.mode, wish.size);
        match Attachment::attach(&opened.hub, &client, wish.start).await {
            Ok((attachment, standing)) => return Ok(Attached { attachment, standing, opened, admission }),
            // By name, the next session of that name is made; by id there is none any more.
            Err(AttachError::Ended) if matches!(wish.selector, Selector::Name(_)) => {}
            Err(AttachError::Ended) => return Err(EnvironmentError::NoSuchSession.into()),
            Err(AttachError::Orphaned) => {}
            Err(error @ AttachError::Ahead { .. }) => return Err(ApiError::conflict(error.to_string())),
            Err(AttachError::Unavailable) => break,
        }
    }
    Err(EnvironmentError::Unavailable(AttachError::Unavailable.to_string()).into())
}

fn accept_binary(
    app: App,
    environment: String,
    handshake: Handshake,
    principal: Principal,
    wish: &Wish,
    attached: Attached,
) -> Response {
    let Attached { attachment, standing, opened, admission } = attached;
    let hello = Hello {
        session_id: opened.session.session_id,
        session: opened.session.name,
        stream: attachment.client().stream_name(),
        output_offset: standing.output_offset,
        oldest_offset: standing.oldest_offset,
        input_offset: standing.input_offset,
        cols: standing.size.cols(),
        rows: standing.size.rows(),
        window: WINDOW,
        heartbeat_s: HEARTBEAT_S,
        mode: wish.mode,
        environment: opened.environment,
    };
    let greeting = binary::message(&ServerFrame::Hello(hello));
    let session = Session { app: app.clone(), principal, environment, attachment, news: None };
    handshake.accept(&app, Some(SUBPROTOCOL), MAX_FRAME, move |socket, counted| async move {
        serve(socket, counted, session, binary::Binary, binary::decode, greeting).await;
        drop(admission);
    })
}

/// Clients of the JSON dialect expect the upgrade to succeed and a refusal as a close.
fn open_json(app: App, environment: String, handshake: Handshake) -> Response {
    let served = app.clone();
    let facts = handshake.facts.clone();
    handshake.accept(&app, None, json::MAX_MESSAGE, move |mut socket, counted| async move {
        match attach_json(&served, &facts, &environment).await {
            Ok((principal, greeting, attached)) => {
                let Attached { attachment, admission, .. } = attached;
                let heartbeat = served.config().limits.socket_heartbeat;
                let dialect = Json::new(heartbeat, principal.dialect.unwrap_or_default());
                let news = Some(served.system().listen_along(&principal.user_id, &admission));
                let session = Session { app: served, principal, environment, attachment, news };
                serve(socket, counted, session, dialect, json::decode, greeting).await;
                drop(admission);
            }
            Err(reason) => {
                let ending = Ending::refused(reason);
                close(&mut socket, &ending).await;
            }
        }
    })
}

type Greeting = tokio_tungstenite::tungstenite::Message;

async fn attach_json(
    app: &App,
    facts: &Facts,
    environment: &str,
) -> Result<(Principal, Greeting, Attached), &'static str> {
    facts.check_origin(app).map_err(|_| "Origin not allowed")?;
    let principal = facts.identify(app).await.map_err(|_| "Authentication failed")?;
    let view =
        app.system().view(&principal.user_id, environment).await.map_err(|_| "Environment not found")?;
    let wish = Wish {
        selector: Selector::Name(DEFAULT_SESSION.to_owned()),
        start: Start::Screen,
        stream: Uuid::new_v4(),
        size: Size::DEFAULT,
        mode: Mode::Control,
    };
    let attached = attach(app, &principal, environment, &wish).await.map_err(|error| {
        match error.status(Dialect::default()) {
            StatusCode::NOT_FOUND => "Environment not found",
            StatusCode::TOO_MANY_REQUESTS => "Too many connections",
            StatusCode::CONFLICT => "Environment not running",
            _ => "Failed to create terminal session",
        }
    })?;
    let welcome = json::welcome(&view, true, &principal);
    Ok((principal, welcome, attached))
}
