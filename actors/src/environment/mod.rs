//! Environments: one actor each, a small reconciler.
//!
//! What is wanted is written to Postgres before anything is done about it; what is the case is
//! only ever read from the runtime (its watch) and the agent (`control`, the control channel).
//! After each piece of news the actor ([`actor`]) compares the two and takes one step (`reconcile`), so it
//! can be killed at any point and its successor goes on. It also owns the environment's
//! terminals ([`sessions`]) and its install log (`log`).

mod actor;
mod control;
mod known;
mod lifecycle;
mod log;
mod messages;
mod reconcile;
mod sessions;
mod spec;

pub use actor::Environment;
pub use known::{EnvironmentArgs, Known};
pub use lifecycle::Change;
pub use log::{InstallLog, LogFollower};
pub use messages::{EnvironmentMessage, OpenTerminal};
pub use sessions::{InvalidName, MAX_NAME, MAX_SESSIONS, Selector};
pub(crate) use spec::spec_of;
pub use spec::{InvalidQuantity, bytes_text, cpu_text, parse_bytes, parse_cpu};

use crate::persistence::{ReadError, WriteError, environments::NAME_TAKEN};
use crate::runtime::RuntimeError;
use crate::supervision::CallError;

/// Why something could not be done with an environment. The texts are for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentError {
    /// There is none, or it is somebody else's: the same answer for both.
    #[error("Environment not found")]
    NotFound,
    /// The environment has no such session.
    #[error("Terminal session not found")]
    NoSuchSession,
    /// The owner has another environment of that name.
    #[error("Environment with this name already exists")]
    NameTaken,
    /// The plan does not allow one more.
    #[error("Your plan's limit of {limit} environments is reached")]
    LimitReached {
        /// How many it allows.
        limit: u32,
    },
    /// The plan does not allow that much; the text says how much it does.
    #[error("{0}")]
    BeyondPlan(String),
    /// There is no such template, or it may not be used any more.
    #[error("Template not found")]
    NoSuchTemplate,
    /// There is no such cluster, or none that takes environments.
    #[error("Cluster not found")]
    NoSuchCluster,
    /// It was done a moment ago.
    #[error("It was recovered a moment ago. Try again in {} s.", wait.as_secs())]
    TooSoon {
        /// How long to wait.
        wait: std::time::Duration,
    },
    /// It runs, and what was asked needs it stopped.
    #[error("Cannot delete a running environment. Stop it first.")]
    StillRunning,
    /// Not in the state it is in; the text says what to do.
    #[error("{0}")]
    Refused(String),
    /// The session's actor failed again and again and was given up for a while.
    #[error("This terminal session keeps failing. Try again in a minute, or open another one.")]
    KeepsFailing,
    /// Not now: the database or the environment can't be reached. Trying again helps.
    #[error("{0}")]
    Unavailable(String),
    /// A fault of ours.
    #[error("An internal error occurred")]
    Internal,
}

impl From<WriteError> for EnvironmentError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Unavailable => {
                Self::Unavailable("The database is not available. Try again shortly.".into())
            }
            WriteError::Overloaded => Self::Unavailable("The server is busy. Try again shortly.".into()),
            WriteError::Conflict { constraint } if constraint == NAME_TAKEN => Self::NameTaken,
            WriteError::Conflict { .. } => {
                Self::Unavailable("It is being changed. Try again shortly.".into())
            }
            WriteError::NotFound { what: "template" } => Self::NoSuchTemplate,
            WriteError::NotFound { what: "cluster" } => Self::NoSuchCluster,
            WriteError::NotFound { .. } => Self::NotFound,
            WriteError::LimitReached { limit } => Self::LimitReached { limit },
            WriteError::BeyondPlan(why) => Self::BeyondPlan(why),
            WriteError::Refused { why } => Self::Refused(why.to_owned()),
            WriteError::Internal(reason) => {
                tracing::error!(reason, "a write failed");
                Self::Internal
            }
        }
    }
}

impl From<ReadError> for EnvironmentError {
    fn from(error: ReadError) -> Self {
        WriteError::from(error).into()
    }
}

impl From<RuntimeError> for EnvironmentError {
    fn from(error: RuntimeError) -> Self {
        match error {
            RuntimeError::Unavailable(text) => Self::Unavailable(text),
            RuntimeError::Rejected(text) => Self::Refused(text),
        }
    }
}

impl From<CallError> for EnvironmentError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Down(_) => Self::Unavailable("The server is recovering. Try again shortly.".into()),
            CallError::TimedOut(_) => {
                Self::Unavailable("It takes longer than expected. Try again shortly.".into())
            }
        }
    }
}
