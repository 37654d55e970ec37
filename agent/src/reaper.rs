//! The only place that waits for processes.
//!
//! As PID 1, or as a subreaper, the agent inherits every orphan of the environment and must
//! wait for it. Whoever waits for "any child" also gets the statuses of its own children, so
//! all of them come through here and are handed on by process id. Nothing else in the agent
//! may call a wait function.

use std::cell::RefCell;
use std::collections::HashMap;

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use tokio::sync::oneshot;

/// Hands the statuses of processes to those who started them.
#[derive(Debug, Default)]
pub struct Reaper {
    /// Children not yet waited for. Their ids can't be given to another process.
    children: RefCell<HashMap<Pid, oneshot::Sender<WaitStatus>>>,
}

impl Reaper {
    /// Registers a child that was started just now: there must be no `await` between its start
    /// and this call, or its status is lost.
    pub fn watch(&self, child: Pid) -> oneshot::Receiver<WaitStatus> {
        let (sender, receiver) = oneshot::channel();
        self.children.borrow_mut().insert(child, sender);
        receiver
    }

    /// Waits for everything that has ended; called at each SIGCHLD, which may stand for many.
    pub fn reap(&self) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if let Some(sender) = self.children.borrow_mut().remove(&pid) {
                // Nobody may care any more.
                let _ = sender.send(status);
            }
        }
    }

    /// Signals the process group of a child, unless the child was waited for: its number may
    /// belong to somebody else by then.
    pub fn signal_group(&self, child: Pid, signal: Signal) {
        if self.children.borrow().contains_key(&child) {
            let _ = rustix::process::kill_process_group(child, signal);
        }
    }
}

/// The name of a signal, for EXIT and the install log.
#[must_use]
pub fn signal_name(number: i32) -> String {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
        "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
        "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    let name = usize::try_from(number).ok().and_then(|n| NAMES.get(n.checked_sub(1)?));
    name.map_or_else(|| format!("SIG{number}"), |name| format!("SIG{name}"))
}
