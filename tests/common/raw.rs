//! A WebSocket without a client's good manners.

use std::time::Duration;

use bytes::Bytes;
use devpocket::client::ServerUrl;
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::soon;

/// An open WebSocket.
pub struct RawSocket(WebSocketStream<TcpStream>);

impl RawSocket {
    /// Upgrades `path`; the status when the server refuses.
    pub async fn open(server: &ServerUrl, path: &str, headers: &[(&str, &str)]) -> Result<Self, u16> {
        let tcp = TcpStream::connect(server.authority()).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let mut request = server.websocket(path).into_client_request().unwrap();
        for (name, value) in headers {
            let name: hyper::header::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let config =
            WebSocketConfig::default().read_buffer_size(4096).max_message_size(None).max_frame_size(None);
        match soon("the upgrade", client_async_with_config(request, tcp, Some(config))).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// A `devpocket.v2` socket on a session.
    pub async fn terminal(
        server: &ServerUrl,
        environment: &str,
        query: &str,
        token: &str,
    ) -> Result<Self, u16> {
        let path = format!("/api/v1/ws/terminal/{environment}?{query}");
        let bearer = format!("Bearer {token}");
        let headers = [("sec-websocket-protocol", "devpocket.v2"), ("authorization", bearer.as_str())];
        Self::open(server, &path, &headers).await
    }

    /// A JSON socket, as the mobile app opens it.
    pub async fn json(server: &ServerUrl, environment: &str, token: &str) -> Self {
        Self::json_at(server, &format!("/api/v1/ws/terminal/{environment}"), token).await
    }

    /// A JSON socket at any path.
    pub async fn json_at(server: &ServerUrl, path: &str, token: &str) -> Self {
        Self::open(server, &format!("{path}?token={token}"), &[])
            .await
            .expect("the JSON dialect refuses by closing")
    }

    /// Sends a message.
    pub async fn send(&mut self, message: Message) {
        // A server that has closed meanwhile is found out by reading.
        let _ = self.0.send(message).await;
    }

    /// Sends bytes.
    pub async fn bytes(&mut self, bytes: &[u8]) {
        self.send(Message::Binary(Bytes::copy_from_slice(bytes))).await;
    }

    /// Sends JSON text.
    pub async fn text(&mut self, json: &serde_json::Value) {
        self.send(Message::text(json.to_string())).await;
    }

    /// The next message; none when the connection is gone.
    pub async fn next(&mut self) -> Option<Message> {
        soon("a message", self.0.next()).await?.ok()
    }

    /// Whether anything comes within `wait`.
    pub async fn silent(&mut self, wait: Duration) -> bool {
        tokio::time::timeout(wait, self.0.next()).await.is_err()
    }

    /// The next JSON message.
    pub async fn json_message(&mut self) -> serde_json::Value {
        loop {
            match self.next().await {
                Some(Message::Text(text)) => return serde_json::from_str(text.as_str()).unwrap(),
                Some(Message::Ping(_) | Message::Pong(_)) => {}
                other => panic!("closed while waiting for a message: {other:?}"),
            }
        }
    }

    /// The next JSON message of this type.
    pub async fn json_of(&mut self, kind: &str) -> serde_json::Value {
        loop {
            let json = self.json_message().await;
            if json["type"] == kind {
                return json;
            }
        }
    }

    /// Reads until the server closes; the code, or 1006 when it just went.
    pub async fn closed(&mut self) -> u16 {
        self.closed_with().await.0
    }

    /// The same with the reason.
    pub async fn closed_with(&mut self) -> (u16, String) {
        loop {
            match self.next().await {
                Some(Message::Close(Some(frame))) => {
                    return (u16::from(frame.code), frame.reason.to_string());
                }
                Some(Message::Close(None)) => return (1005, String::new()),
                Some(_) => {}
                None => return (1006, String::new()),
            }
        }
    }
}
