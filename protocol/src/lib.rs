//! What the server, the agent, the command line and the tests agree on.
//!
//! * [`ring`]: the bounded ring with absolute offsets that every hop uses.
//! * [`input`]: the rule by which a stream of input bytes is taken exactly once.
//! * [`client`]: the `devpocket.v2` frames between a terminal client and the server
//!   (`docs/protocol.md`).
//! * [`agent`]: the frames between the server and the agent inside an environment
//!   (`docs/agent-protocol.md`).
//!
//! Nothing here does I/O: every codec works on byte slices, so it is tested by value.

#![forbid(unsafe_code)]

pub mod agent;
pub mod client;
pub mod input;
pub mod ring;
mod size;
mod wire;

pub use size::{InvalidSize, Size};
pub use wire::DecodeError;
