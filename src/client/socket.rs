//! One WebSocket connection to a terminal: its opening, and frames in and out.

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use devpocket_protocol::client::{ClientFrame, MAX_FRAME, Mode, SUBPROTOCOL, ServerFrame, TICKET_PREFIX};
use futures_util::{Sink, Stream};
use hyper::header::{AUTHORIZATION, HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error};
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::resume::Opening;
use super::url::escape;
use super::{BoxedIo, ClientError, Refusal, ServerUrl, net};

/// How long the upgrade may take; an attach may wait for the environment.
const OPEN_LIMIT: Duration = Duration::from_secs(20);

/// How a terminal connection is authorised.
#[derive(Clone)]
pub enum Auth {
    /// By an access token in a header.
    Bearer(String),
    /// By a ticket in a second subprotocol.
    Ticket(String),
    /// By an access token in the query, as the existing app does.
    Query(String),
    /// Not at all.
    None,
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Tokens do not belong into logs.
        f.write_str(match self {
            Self::Bearer(_) => "Bearer",
            Self::Ticket(_) => "Ticket",
            Self::Query(_) => "Query",
            Self::None => "None",
        })
    }
}

/// Puts something between the connection and the network; tests cut it there.
pub type Wrap = Arc<dyn Fn(BoxedIo) -> BoxedIo + Send + Sync>;

/// What a connection brought.
#[derive(Debug)]
pub(super) enum Incoming {
    /// A frame.
    Frame(ServerFrame),
    /// The server closed.
    Closed(u16, String),
}

/// An open connection.
pub(super) struct Socket(WebSocketStream<BoxedIo>);

impl Socket {
    /// Connects and upgrades.
    pub(super) async fn open(
        server: &ServerUrl,
        environment: &str,
        opening: &Opening,
        auth: &Auth,
        wrap: Option<Wrap>,
    ) -> Result<Self, ClientError> {
        let request = request(server, environment, opening, auth)?;
        let mut io = net::dial(server).await?;
        if let Some(wrap) = wrap {
            io = wrap(io);
        }
        let config = WebSocketConfig::default()
            .read_buffer_size(4096)
            .write_buffer_size(4096)
            .max_message_size(Some(MAX_FRAME))
            .max_frame_size(Some(MAX_FRAME));
        let opened = timeout(OPEN_LIMIT, client_async_with_config(request, io, Some(config))).await;
        let (socket, _) =
            opened.map_err(|_| ClientError::Broken("no answer in 20 s".to_owned()))?.map_err(refused)?;
        Ok(Self(socket))
    }

    /// Whether a frame can be sent now.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ClientError>> {
        Pin::new(&mut self.0).poll_ready(cx).map_err(broken)
    }

    /// Sends a frame; [`Socket::poll_ready`] must have said that it can be.
    pub(super) fn send(&mut self, frame: &ClientFrame) -> Result<(), ClientError> {
        Pin::new(&mut self.0).start_send(Message::Binary(frame.encode())).map_err(broken)
    }

    /// Brings what was sent on its way.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ClientError>> {
        Pin::new(&mut self.0).poll_flush(cx).map_err(broken)
    }

    /// What comes next.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, ClientError>> {
        loop {
            let message = match ready!(Pin::new(&mut self.0).poll_next(cx)) {
                Some(message) => message.map_err(broken)?,
                None => return Poll::Ready(Err(ClientError::Broken("it was closed".to_owned()))),
            };
            match message {
                Message::Binary(data) => {
                    return Poll::Ready(Ok(Incoming::Frame(ServerFrame::decode(data)?)));
                }
                Message::Close(Some(frame)) => {
                    let (code, reason) = (u16::from(frame.code), frame.reason.to_string());
                    return Poll::Ready(Ok(Incoming::Closed(code, reason)));
                }
                Message::Close(None) => return Poll::Ready(Ok(Incoming::Closed(1005, String::new()))),
                Message::Text(text) => {
                    let reason = format!("a text message: {}", text.as_str());
                    let path = "the terminal socket".to_owned();
                    return Poll::Ready(Err(ClientError::Unexpected { path, reason }));
                }
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }

    /// Says goodbye; the connection is of no use after it.
    pub(super) async fn close(mut self) {
        // Who is gone already need not hear it.
        let _ = timeout(Duration::from_secs(1), self.0.close(None)).await;
    }
}

fn request(
    server: &ServerUrl,
    environment: &str,
    opening: &Opening,
    auth: &Auth,
) -> Result<Request, ClientError> {
    let from = opening.from.map_or(Cow::Borrowed("screen"), |offset| Cow::Owned(offset.to_string()));
    let mode = match opening.mode {
        Mode::Control => "control",
        Mode::View => "view",
    };
    let mut path = format!(
        "/api/v1/ws/terminal/{}?session={}&from={from}&stream={}&cols={}&rows={}&mode={mode}",
        escape(environment),
        escape(&opening.session),
        opening.stream,
        opening.size.cols(),
        opening.size.rows(),
    );
    if let Auth::Query(token) = auth {
        path.push_str("&token=");
        path.push_str(&escape(token));
    }
    let url = server.websocket(&path);
    let bad = |_| ClientError::Url(server.to_string());
    let mut request = url.as_str().into_client_request().map_err(bad)?;
    let protocols = match auth {
        Auth::Ticket(ticket) => format!("{SUBPROTOCOL}, {TICKET_PREFIX}{ticket}"),
        _ => SUBPROTOCOL.to_owned(),
    };
    let header = |text: String| {
        HeaderValue::from_str(&text).map_err(|_| ClientError::SignIn("this is no token".to_owned()))
    };
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, header(protocols)?);
    if let Auth::Bearer(token) = auth {
        request.headers_mut().insert(AUTHORIZATION, header(format!("Bearer {token}"))?);
    }
    Ok(request)
}

fn refused(error: Error) -> ClientError {
    let Error::Http(answer) = error else { return broken(error) };
    let retry_after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let body = answer.body().as_deref().unwrap_or_default();
    ClientError::Refused(Refusal::read(answer.status().as_u16(), retry_after, body))
}

fn broken(error: Error) -> ClientError {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
            ClientError::Frame(devpocket_protocol::DecodeError::TooLarge { len: size, max: max_size })
        }
        other => ClientError::Broken(other.to_string()),
    }
}
