//! The messages of a control channel: how an environment is doing.

use serde::{Deserialize, Serialize};

use crate::client::Exit;

/// What the server asks on a control channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ControlRequest {
    /// Send the install log from this offset on, and go on sending it as OUTPUT frames.
    FollowLog {
        /// The first byte wanted; the oldest one held is sent when it is gone.
        from: u64,
    },
    /// Send [`ControlEvent::Sessions`].
    Sessions,
    /// Send [`ControlEvent::Usage`].
    Usage,
    /// End a session: hang-up, then kill.
    CloseSession {
        /// The session's id.
        id: String,
    },
    /// Forget a session that has ended.
    ForgetSession {
        /// The session's id.
        id: String,
    },
    /// End all sessions, then the agent.
    Shutdown {
        /// How long processes may take to end by themselves, in milliseconds.
        grace_ms: u64,
    },
}

/// What the agent tells on a control channel. The phase is told first and at each change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ControlEvent {
    /// Where the start of the environment stands.
    Phase {
        /// The phase.
        phase: Phase,
    },
    /// All sessions, ended ones that were not forgotten included.
    Sessions {
        /// The sessions.
        sessions: Vec<SessionInfo>,
    },
    /// What the environment uses.
    Usage {
        /// The figures.
        usage: Usage,
    },
    /// A request that could not be carried out.
    Failed {
        /// What went wrong, for a person.
        message: String,
    },
}

/// Where the start of an environment stands. A command that fails is written to the install
/// log and counted; the start goes on, because a shell to repair things from is worth more
/// than none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Phase {
    /// The install commands run.
    Installing,
    /// The startup commands run.
    Configuring,
    /// All commands have run.
    Ready {
        /// How many of them failed.
        failed_commands: u32,
    },
}

/// One session, as the agent knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionInfo {
    /// The session's id.
    pub id: String,
    /// The session's name.
    pub name: String,
    /// The offset of the next output byte.
    pub output_offset: u64,
    /// The oldest output byte held.
    pub oldest_offset: u64,
    /// How it ended, if it did.
    pub exit: Option<Exit>,
}

/// What an environment uses. On Kubernetes the cluster's own metrics are better; on the local
/// runtime these are all there is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// CPU time used by all processes of the environment since it started, in milliseconds.
    pub cpu_ms: u64,
    /// Resident memory of all processes, in bytes.
    pub memory_bytes: u64,
    /// Number of processes.
    pub processes: u32,
    /// Bytes used on the volume that holds the home, or 0 when unknown.
    pub storage_bytes: u64,
}
