//! The protocol between the server and the agent inside an environment.
//!
//! A channel is a pair of byte streams: the stdin and stdout of `devpocket-agent attach` (what
//! a Kubernetes exec runs), or the agent's Unix socket itself (what the local runtime opens).
//! Each channel has one role, told by its first frame: a terminal session, or control.
//!
//! * [`frame`]: the frames and their codec.
//! * [`control`]: the JSON messages of a control channel.
//! * [`config`]: the file that an agent is started with.

pub mod config;
pub mod control;
pub mod frame;

pub use config::AgentConfig;
pub use control::{ControlEvent, ControlRequest, Phase, SessionInfo, Usage};
pub use frame::{
    AgentFrame, FrameReader, Open, OpenSession, Refusal, RefusalCode, Role, ServerFrame, StreamId, Welcome,
};

/// The version of this protocol. The agent refuses another one in its first answer, because an
/// agent outlives the server that started it.
pub const VERSION: u32 = 1;

/// How much output a session's ring in the agent holds, in bytes.
pub const AGENT_RING: usize = 1024 * 1024;
