//! What can go wrong between a client and a server.

use std::fmt;
use std::io;
use std::time::Duration;

use devpocket_protocol::DecodeError;

use super::resume::Violation;

/// What can go wrong between a client and a server.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No URL of a server.
    #[error("{0:?} is no server address (http://host:port or https://host)")]
    Url(String),
    /// The server could not be reached.
    #[error("can't reach {server}: {source}")]
    Unreachable {
        /// Its address.
        server: String,
        /// Why.
        source: io::Error,
    },
    /// The exchange broke in the middle.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The server answered with an error.
    #[error("{0}")]
    Refused(Refusal),
    /// The server's answer is not what the interface promises.
    #[error("the server answered {path} with something unexpected: {reason}")]
    Unexpected {
        /// What was asked.
        path: String,
        /// What was wrong with the answer.
        reason: String,
    },
    /// The server sent a frame that can't be read.
    #[error("the server sent a frame that can't be read: {0}")]
    Frame(#[from] DecodeError),
    /// The server broke the protocol's rules.
    #[error("the server broke the terminal protocol: {0}")]
    Protocol(#[from] Violation),
    /// There is no way to sign in (again).
    #[error("{0}")]
    SignIn(String),
}

/// A server's refusal, in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// What the server says about it.
    pub message: String,
    /// When to try again, if the server says.
    pub retry_after: Option<Duration>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.status)
    }
}

impl Refusal {
    /// Reads a refusal from an answer's parts: the usual JSON error body, or none.
    #[must_use]
    pub fn read(status: u16, retry_after: Option<&str>, body: &[u8]) -> Self {
        let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
        let text = |key: &str| json.as_ref()?.get(key)?.as_str().map(str::to_owned);
        let message = text("message")
            .or_else(|| text("detail"))
            .or_else(|| text("error"))
            .unwrap_or_else(|| format!("the server answered with status {status}"));
        let retry_after = retry_after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        Self { status, message, retry_after }
    }
}

impl ClientError {
    /// The server's status, when it answered with one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(refusal) => Some(refusal.status),
            _ => None,
        }
    }

    /// Whether trying again later can help.
    #[must_use]
    pub fn passes(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Broken(_) => true,
            Self::Refused(refusal) => refusal.status == 429 || refusal.status >= 500,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_shows_the_servers_own_message() {
        let body = br#"{"error":"Not Found","message":"Environment not found"}"#;
        assert_eq!(Refusal::read(404, None, body).to_string(), "Environment not found (404)");
        let refusal = Refusal::read(503, Some("7"), b"<html>");
        assert_eq!(refusal.to_string(), "the server answered with status 503 (503)");
        assert_eq!(refusal.retry_after, Some(Duration::from_secs(7)));
    }
}
