//! One connection: frames in, frames out, in one task.
//!
//! A channel pulls: it looks at its session when it has room to write, and holds at most a few
//! frames. So a reader that is slow, or gone without saying so, costs a bounded amount of
//! memory and nobody else's time.
//!
//! * [`wire`]: reading and writing frames.
//! * [`session`]: the session role.
//! * [`control`]: the control role.

mod control;
mod session;
mod wire;

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use devpocket_protocol::agent::{
    AgentFrame, Open, Refusal, RefusalCode, Role, ServerFrame, VERSION as PROTOCOL,
};
use tokio::net::UnixStream;
use tokio::time::timeout;

use self::wire::Wire;
use crate::agent::Agent;

/// How long a channel may take for its first frame.
const OPENING: Duration = Duration::from_secs(10);

/// Why a channel ends.
enum End {
    /// Everything was said, or the other side is gone.
    Done,
    /// The other side is told why.
    Refused(Refusal),
}

/// A connection that failed can only be given up.
impl From<std::io::Error> for End {
    fn from(_: std::io::Error) -> Self {
        Self::Done
    }
}

impl From<devpocket_protocol::DecodeError> for End {
    fn from(e: devpocket_protocol::DecodeError) -> Self {
        malformed(e.to_string())
    }
}

fn malformed(message: impl Into<String>) -> End {
    End::Refused(Refusal { code: RefusalCode::Malformed, message: message.into() })
}

/// Serves one connection until it ends.
pub(crate) async fn serve(agent: &Rc<Agent>, stream: UnixStream) {
    let mut wire = Wire::new(stream);
    if let Err(End::Refused(refusal)) = run(agent, &mut wire).await {
        wire.push(&AgentFrame::Refused(refusal));
    }
    wire.finish().await;
}

async fn run(agent: &Rc<Agent>, wire: &mut Wire) -> Result<(), End> {
    let first = match timeout(OPENING, wire.first_frame()).await {
        Ok(frame) => frame?,
        Err(_) => return Err(malformed("no OPEN arrived")),
    };
    match opened(first)?.role {
        Role::Session(open) => session::run(agent, wire, &open).await,
        Role::Control => control::run(agent, wire).await,
    }
}

/// Reads OPEN. The version is looked at before the rest, which another version may have made
/// something else of.
fn opened(frame: Bytes) -> Result<Open, End> {
    #[derive(serde::Deserialize)]
    struct Version {
        version: u32,
    }
    let version = frame.get(1..).and_then(|json| serde_json::from_slice::<Version>(json).ok());
    if let Some(Version { version }) = version
        && version != PROTOCOL
    {
        let message = format!("This agent speaks version {PROTOCOL} of the protocol, not {version}.");
        return Err(End::Refused(Refusal { code: RefusalCode::Version, message }));
    }
    match ServerFrame::decode(frame)? {
        ServerFrame::Open(open) => Ok(open),
        _ => Err(malformed("the first frame must be OPEN")),
    }
}
