//! WebSockets to the API server.

use std::time::Duration;

use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::error::{explain, of_status, quote};
use crate::runtime::RuntimeError;

/// How long opening may take, until the server switches protocols.
const OPEN: Duration = Duration::from_secs(10);
/// The most of an error's body that is read.
const ERROR_BODY: usize = 64 * 1024;
/// The largest message taken; servers send up to 32 KiB.
pub(super) const RECEIVE: usize = 1024 * 1024;
/// What the socket holds of bytes that are no whole message yet; more for larger messages.
const READ_BUFFER: usize = 8 * 1024;
/// With this one, the end of a channel can be told.
pub(super) const V5: &str = "v5.channel.k8s.io";
pub(super) const V4: &str = "v4.channel.k8s.io";
/// A WebSocket to the API server.
pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Opens a WebSocket at `path`. Returns with it which of `protocols` was chosen.
pub(super) async fn connect(
    client: &Client,
    doing: &str,
    path: &str,
    protocols: &[&'static str],
) -> Result<(Socket, &'static str), RuntimeError> {
    timeout(OPEN, upgrade(client, doing, path, protocols))
        .await
        .unwrap_or_else(|_| Err(unavailable(doing, "the cluster does not answer")))
}

async fn upgrade(
    client: &Client,
    doing: &str,
    path: &str,
    protocols: &[&'static str],
) -> Result<(Socket, &'static str), RuntimeError> {
    let key = generate_key();
    let request = Request::get(path)
        .header(CONNECTION, HeaderValue::from_static("Upgrade"))
        .header(UPGRADE, HeaderValue::from_static("websocket"))
        .header(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
        .header(SEC_WEBSOCKET_KEY, &key)
        .header(SEC_WEBSOCKET_PROTOCOL, protocols.join(", "))
        .body(Body::empty())
        .map_err(|error| RuntimeError::Rejected(format!("{doing}: {error}")))?;
    let response = client.send(request).await.map_err(|error| explain(doing, &error))?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(refusal(doing, response).await);
    }
    let protocol = chosen(&response, &key, protocols).map_err(|what| unavailable(doing, what))?;
    let upgraded = hyper::upgrade::on(response)
        .await
        .map_err(|error| unavailable(doing, &format!("the connection was cut: {error}")))?;
    Ok((
        WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, Some(config())).await,
        protocol,
    ))
}

/// Which protocol an upgrade's answer chose.
fn chosen(
    response: &http::Response<Body>,
    key: &str,
    protocols: &[&'static str],
) -> Result<&'static str, &'static str> {
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    if header(SEC_WEBSOCKET_ACCEPT) != Some(derive_accept_key(key.as_bytes()).as_str()) {
        return Err("what answers does not speak WebSocket");
    }
    let chosen = header(SEC_WEBSOCKET_PROTOCOL);
    let known = protocols.iter().copied().find(|&known| chosen == Some(known));
    known.ok_or("the cluster speaks none of the protocols known here")
}

/// The answer that is no upgrade, in words.
async fn refusal(doing: &str, response: http::Response<Body>) -> RuntimeError {
    let code = response.status().as_u16();
    let body = Limited::new(response.into_body(), ERROR_BODY).collect().await;
    let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let mut status: Status = serde_json::from_slice(&body)
        .unwrap_or_else(|_| Status { message: quote(&String::from_utf8_lossy(&body)), ..Status::default() });
    status.code = code;
    // Containers come and go: what is invalid now is not at the next try.
    match of_status(doing, &status) {
        RuntimeError::Rejected(text) if code == 400 => RuntimeError::Unavailable(text),
        other => other,
    }
}

pub(super) fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        // Each message is on its way at once.
        .write_buffer_size(0)
        .max_message_size(Some(RECEIVE))
        .max_frame_size(Some(RECEIVE))
}

fn unavailable(doing: &str, what: &str) -> RuntimeError {
    RuntimeError::Unavailable(format!("{doing}: {what}"))
}
