//! The WebSocket handshake (RFC 6455 §4.2) on hyper's upgrade.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::{Response as HttpResponse, StatusCode};
use axum::response::Response;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::access::Facts;
use super::dialect::{Ending, close};
use super::sockets::Socket;
use crate::app::App;
use crate::http::error::ApiError;

/// A socket after its handshake.
pub(super) type WebSocket = WebSocketStream<TokioIo<Upgraded>>;

/// The read buffer of each socket in bytes. tungstenite's default of 128 KiB, taken at the
/// start, would be the largest cost of an idle session.
const READ_BUFFER: usize = 4 * 1024;

/// The most that may wait in a socket's write buffer, in bytes: one frame and some control
/// frames. Each message is written to the connection at once.
const MAX_WRITE_BUFFER: usize = 256 * 1024;

/// A client's request to upgrade.
pub(super) struct Handshake {
    pub(super) facts: Facts,
    accept: String,
    on_upgrade: OnUpgrade,
}

impl Handshake {
    /// Checks that a request asks for a WebSocket, and that this process still takes any.
    pub(super) fn of(app: &App, mut request: Request) -> Result<Self, ApiError> {
        let headers = request.headers();
        let has = |name: HeaderName, word: &str| {
            let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
            values.flat_map(|value| value.split(',')).any(|token| token.trim().eq_ignore_ascii_case(word))
        };
        if !has(CONNECTION, "upgrade") || !has(UPGRADE, "websocket") {
            return Err(ApiError::new(
                StatusCode::UPGRADE_REQUIRED,
                "This address takes WebSocket connections only",
            ));
        }
        if !has(SEC_WEBSOCKET_VERSION, "13") {
            return Err(ApiError::bad_request("WebSocket version 13 is required"));
        }
        let key = headers.get(SEC_WEBSOCKET_KEY).filter(|key| key.len() == 24);
        let accept = key.map(|key| derive_accept_key(key.as_bytes()));
        let accept =
            accept.ok_or_else(|| ApiError::bad_request("The WebSocket key is missing or malformed"))?;
        if app.sockets().are_closing() {
            return Err(ApiError::going_away());
        }
        let on_upgrade = hyper::upgrade::on(&mut request);
        let (parts, _) = request.into_parts();
        let facts = Facts { uri: parts.uri, headers: parts.headers };
        Ok(Self { facts, accept, on_upgrade })
    }

    /// Accepts; `serve` gets the socket once the answer is out. Messages above `max_message`
    /// bytes end it.
    pub(super) fn accept<F>(
        self,
        app: &App,
        protocol: Option<&'static str>,
        max_message: usize,
        serve: impl FnOnce(WebSocket, Socket) -> F + Send + 'static,
    ) -> Response
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let counted = app.sockets().enter();
        let on_upgrade = self.on_upgrade;
        tokio::spawn(async move {
            match on_upgrade.await {
                Ok(upgraded) => {
                    let config = WebSocketConfig::default()
                        .read_buffer_size(READ_BUFFER)
                        .write_buffer_size(0)
                        .max_write_buffer_size(MAX_WRITE_BUFFER + max_message)
                        .max_message_size(Some(max_message))
                        .max_frame_size(Some(max_message));
                    let io = TokioIo::new(upgraded);
                    let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
                    serve(socket, counted).await;
                }
                Err(error) => tracing::debug!(%error, "a client left during the WebSocket handshake"),
            }
        });
        let mut response = HttpResponse::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        if let Ok(accept) = HeaderValue::from_str(&self.accept) {
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        if let Some(protocol) = protocol {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
        }
        response
    }

    /// Accepts and closes with 1008: what clients of the JSON dialect expect of a refusal.
    pub(super) fn refuse_by_closing(self, app: &App, reason: &'static str) -> Response {
        self.accept(app, None, 1024, move |mut socket, _counted| async move {
            close(&mut socket, &Ending::refused(reason)).await;
        })
    }
}
