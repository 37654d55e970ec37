//! HTTP without a client's good manners: exactly these lines, one request a connection.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What came back.
pub struct Answer {
    pub status: u16,
    pub headers: String,
    pub text: String,
    pub body: Value,
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// A text in the body; empty when it is not there.
    pub fn text(&self, key: &str) -> &str {
        self.body[key].as_str().unwrap_or_default()
    }

    /// Status and body, without what names the request and the moment.
    pub fn said(&self) -> (u16, Value) {
        let mut body = self.body.clone();
        if let Some(fields) = body.as_object_mut() {
            fields.retain(|name, _| !["path", "requestId", "timestamp"].contains(&name.as_str()));
        }
        (self.status, body)
    }
}

/// Sends exactly these lines and this body.
pub async fn raw(addr: SocketAddr, head: &str, body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let host = if head.contains("\r\nHost: ") { "" } else { "Host: test\r\n" };
    let head = format!("{head}\r\n{host}Connection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (headers, body) =
        answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer to {head}: {answer}"));
    Answer {
        status: headers[9..12].parse().unwrap(),
        headers: headers.to_owned(),
        text: body.to_owned(),
        body: serde_json::from_str(body).unwrap_or(Value::Null),
    }
}

/// Asks as somebody, or as nobody, with a JSON body or none.
pub async fn ask(
    addr: SocketAddr,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> Answer {
    let mut head = format!("{method} {path} HTTP/1.1");
    if let Some(token) = token {
        head += &format!("\r\nAuthorization: Bearer {token}");
    }
    let body = body.map(Value::to_string).unwrap_or_default();
    if !body.is_empty() {
        head += "\r\nContent-Type: application/json";
    }
    raw(addr, &head, body.as_bytes()).await
}
