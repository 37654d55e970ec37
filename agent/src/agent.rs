//! What all parts of a running agent share.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use devpocket_protocol::agent::{AgentConfig, Phase};
use devpocket_protocol::client::ExitReason;
use devpocket_protocol::ring::Ring;
use tokio::sync::Notify;

use crate::reaper::Reaper;
use crate::session::Sessions;

/// How much of the install log is held, in bytes.
const LOG: usize = 256 * 1024;

/// How much is read from a terminal or a command in one turn, in bytes.
pub(crate) const READ: usize = 64 * 1024;

/// The agent.
pub(crate) struct Agent {
    pub(crate) config: AgentConfig,
    pub(crate) reaper: Rc<Reaper>,
    pub(crate) sessions: Sessions,
    pub(crate) log: Log,
    phase: RefCell<Phase>,
    /// How the end is to be, once it is asked for.
    ending: Cell<Option<Ending>>,
    /// The phase changed, or the end was asked for.
    pub(crate) changed: Notify,
    /// Where all reads go: they are never interrupted between the read and the copy to a ring,
    /// so one buffer serves all.
    pub(crate) scratch: RefCell<Vec<u8>>,
}

/// How everything ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending {
    /// How long what runs may take.
    pub(crate) grace: Duration,
    /// What sessions say of it.
    pub(crate) reason: ExitReason,
}

impl Agent {
    pub(crate) fn new(config: AgentConfig) -> Rc<Self> {
        Rc::new(Self {
            config,
            reaper: Rc::default(),
            sessions: Sessions::default(),
            log: Log { ring: RefCell::new(Ring::new(LOG)), changed: Notify::new() },
            phase: RefCell::new(Phase::Installing),
            ending: Cell::new(None),
            changed: Notify::new(),
            scratch: RefCell::new(vec![0; READ]),
        })
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase.borrow().clone()
    }

    pub(crate) fn enter(&self, phase: Phase) {
        *self.phase.borrow_mut() = phase;
        self.changed.notify_waiters();
    }

    /// Asks for the end of everything.
    pub(crate) fn end(&self, ending: Ending) {
        if self.ending.get().is_none() {
            self.ending.set(Some(ending));
            self.changed.notify_waiters();
        }
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.ending.get().is_some()
    }

    /// Returns when the end was asked for.
    pub(crate) async fn ending(&self) -> Ending {
        loop {
            let changed = self.changed.notified();
            if let Some(ending) = self.ending.get() {
                return ending;
            }
            changed.await;
        }
    }
}

/// The install log: a ring of its own.
pub(crate) struct Log {
    pub(crate) ring: RefCell<Ring>,
    pub(crate) changed: Notify,
}

impl Log {
    /// Adds bytes as a command wrote them.
    pub(crate) fn append(&self, data: &[u8]) {
        self.ring.borrow_mut().append(data);
        self.changed.notify_waiters();
    }

    /// Adds a line.
    pub(crate) fn line(&self, text: &str) {
        self.append(format!("{text}\n").as_bytes());
    }
}
