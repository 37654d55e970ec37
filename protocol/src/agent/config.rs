//! The file that an agent is started with (`devpocket-agent run --config FILE`).

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Everything an agent needs to know of its environment.
///
/// Holds the environment's variables, which may be secrets: the file must be readable by the
/// agent alone, and `Debug` names the variables without their values.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentConfig {
    /// The environment's id.
    pub environment_id: String,
    /// The environment's name; the prompt's host name where the runtime can set it.
    pub environment_name: String,
    /// Where the agent listens.
    pub socket: PathBuf,
    /// The home directory, on the environment's volume.
    pub home: PathBuf,
    /// The user that everything but the agent's start runs as; the agent's own when absent.
    #[serde(default)]
    pub user: Option<AgentUser>,
    /// The shell of new sessions; the first of bash, zsh, sh that exists when absent.
    #[serde(default)]
    pub shell: Option<PathBuf>,
    /// The environment's variables.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// Lines for the top of the install log.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Commands run once in the life of the volume (a marker in the home says that they were).
    #[serde(default)]
    pub install: Vec<String>,
    /// Commands run at each start, after `install`.
    #[serde(default)]
    pub startup: Vec<String>,
    /// Limits on what runs in the environment.
    #[serde(default)]
    pub limits: Limits,
}

/// A user by number: a static binary can't ask the system for names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentUser {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// The name for `USER` and `LOGNAME`.
    pub name: String,
}

/// Limits that the agent sets by `setrlimit(2)` for all that it starts. On Kubernetes the
/// container has them already and they stay empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// `RLIMIT_DATA` of each process, in bytes.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// `RLIMIT_NPROC` of the user.
    #[serde(default)]
    pub processes: Option<u64>,
    /// How many cores may be used (`sched_setaffinity(2)`).
    #[serde(default)]
    pub cores: Option<u32>,
}

impl std::fmt::Debug for AgentConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AgentConfig")
            .field("environment_id", &self.environment_id)
            .field("environment_name", &self.environment_name)
            .field("socket", &self.socket)
            .field("home", &self.home)
            .field("user", &self.user)
            .field("variables", &self.variables.keys())
            .field("install", &self.install.len())
            .field("startup", &self.startup.len())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
