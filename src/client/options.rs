//! How a terminal client connects, and what it tells.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use devpocket_protocol::Size;
use devpocket_protocol::client::{Exit, Hello, Mode, Status};
use futures_util::future::BoxFuture;

use super::{Auth, Backoff, ClientError, ServerUrl, Wrap};

/// Where authorisation comes from, before each attempt to connect. The argument says whether
/// the one before was refused.
pub type AuthSource = Arc<dyn Fn(bool) -> BoxFuture<'static, Result<Auth, ClientError>> + Send + Sync>;

/// How a client connects.
#[derive(Clone)]
pub struct Options {
    /// The server.
    pub server: ServerUrl,
    /// The environment's id.
    pub environment: String,
    /// The session's name or id.
    pub session: String,
    /// What the client may do.
    pub mode: Mode,
    /// The client's size.
    pub size: Size,
    /// Authorisation.
    pub auth: AuthSource,
    /// How long to wait between attempts.
    pub backoff: Backoff,
    /// Whether to keep trying when the very first attempt fails.
    pub patient: bool,
    /// Whether output counts as shown when the next event is asked for. Otherwise
    /// [`TerminalClient::shown`] says it.
    pub auto_ack: bool,
    /// What stands between the connection and the network.
    pub wrap: Option<Wrap>,
}

impl Options {
    /// A controlling client of the session `main`, authorised by an access token that never
    /// changes.
    #[must_use]
    pub fn new(server: ServerUrl, environment: &str, token: &str) -> Self {
        let auth = Auth::Bearer(token.to_owned());
        Self {
            server,
            environment: environment.to_owned(),
            session: "main".to_owned(),
            mode: Mode::Control,
            size: Size::DEFAULT,
            auth: Arc::new(move |_| {
                let auth = auth.clone();
                Box::pin(async move { Ok(auth) })
            }),
            backoff: Backoff::default(),
            patient: false,
            auto_ack: true,
            wrap: None,
        }
    }
}

/// What happens to a session.
#[derive(Debug, Clone)]
pub enum Event {
    /// A connection stands; comes anew after each reconnect.
    Hello(Hello),
    /// Output, contiguous with what came before.
    Output {
        /// The offset of the first byte.
        offset: u64,
        /// The bytes.
        data: Bytes,
    },
    /// The whole state of the terminal: reset it to this size and write the bytes.
    Snapshot {
        /// The offset at which it is true.
        offset: u64,
        /// The size at which it is true.
        size: Size,
        /// The bytes.
        data: Bytes,
    },
    /// All input before this offset reached the agent.
    InputAck(u64),
    /// Something changed.
    Status(Status),
    /// The session ended.
    Exit(Exit),
    /// The connection is gone; another attempt follows by itself.
    Away {
        /// Why.
        reason: String,
        /// When.
        retry_in: Duration,
    },
    /// The server closed for good; nothing comes after it.
    Closed {
        /// The close code.
        code: u16,
        /// What the server says about it.
        reason: String,
    },
}
