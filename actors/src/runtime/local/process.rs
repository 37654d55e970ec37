//! A process by number and start time, so that a reused number is never mistaken for it.

use std::path::PathBuf;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::layout::read_small;

/// One process on this machine since it was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Process {
    pub pid: i32,
    /// In clock ticks since the machine was started.
    pub started: u64,
    /// The machine's start.
    pub boot: String,
}

/// What `/proc/<pid>/stat` tells.
struct Stat {
    state: u8,
    parent: i32,
    started: u64,
}

impl Stat {
    fn of(pid: i32) -> Option<Self> {
        Self::parse(&read_small(&PathBuf::from(format!("/proc/{pid}/stat")))?)
    }

    /// The second field is the program's name in parentheses and may hold anything.
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.rsplit_once(')')?.1.split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?;
        let parent = fields.next()?.parse().ok()?;
        let started = fields.nth(17)?.parse().ok()?;
        Some(Self { state, parent, started })
    }
}

impl Process {
    /// The process that has this number now.
    pub fn now(pid: i32) -> Option<Self> {
        let stat = Stat::of(pid)?;
        Some(Self { pid, started: stat.started, boot: boot()? })
    }

    /// The process whose `/proc/<pid>/stat` read like this.
    pub fn from_stat(line: &str) -> Option<Self> {
        let pid = line.split_ascii_whitespace().next()?.parse().ok()?;
        Some(Self { pid, started: Stat::parse(line)?.started, boot: boot()? })
    }

    /// Whether it runs; one that ended and was not yet waited for does not.
    pub fn is_alive(&self) -> bool {
        Stat::of(self.pid).is_some_and(|stat| stat.started == self.started && !b"ZX".contains(&stat.state))
            && boot().is_some_and(|boot| boot == self.boot)
    }

    /// Whether `other` started this one.
    pub fn is_child_of(&self, other: &Self) -> bool {
        Stat::of(self.pid).is_some_and(|stat| stat.started == self.started && stat.parent == other.pid)
    }

    /// A name that no other process of this machine has or will have.
    pub fn name(&self) -> String {
        let boot: String = self.boot.chars().filter(char::is_ascii_hexdigit).take(8).collect();
        format!("{boot}-{}-{}", self.started, self.pid)
    }

    /// A handle that stays on this process, or nothing when it has ended.
    fn handle(&self) -> Result<Option<OwnedFd>, Errno> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(None) };
        let handle = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(Errno::SRCH | Errno::INVAL) => return Ok(None),
            Err(error) => return Err(error),
        };
        // Asked after the handle was taken, so the answer is about what it holds.
        Ok(self.is_alive().then_some(handle))
    }

    /// Sends a signal, if it runs.
    pub fn signal(&self, signal: Signal) -> Result<(), Errno> {
        match self.handle()? {
            Some(handle) => match pidfd_send_signal(handle, signal) {
                Err(Errno::SRCH) => Ok(()),
                other => other,
            },
            None => Ok(()),
        }
    }

    /// Waits until it has ended, for an agent that is process 1 of a sandbox: and all in it.
    /// False when it still runs after `within`.
    pub async fn ended(&self, within: Duration) -> Result<bool, Errno> {
        let Some(handle) = self.handle()? else { return Ok(true) };
        let (until, mut pause) = (Instant::now() + within, Duration::from_millis(2));
        loop {
            let mut watched = [PollFd::new(&handle, PollFlags::IN)];
            if poll(&mut watched, Some(&Timespec::default()))? > 0 {
                return Ok(true);
            }
            if Instant::now() >= until {
                return Ok(false);
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }
}

/// The id of the machine's present run.
fn boot() -> Option<String> {
    let id = read_small(&PathBuf::from("/proc/sys/kernel/random/boot_id"))?;
    Some(id.trim().to_owned())
}

/// All processes of this user that carry `variable` (as `NAME=value`) in their environment.
/// For environments without a sandbox, where nothing else ties an environment's processes.
pub(super) fn carrying(variable: &str) -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        // Unreadable ones are other users'.
        std::fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|all| all.split(|byte| *byte == 0).any(|one| one == variable.as_bytes()))
    })
    .filter_map(Process::now)
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_full_of_parentheses_is_read_right() {
        let line = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1 1";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.state, stat.parent, stat.started), (b'S', 7, 98765));
    }

    #[tokio::test]
    async fn a_process_is_told_from_another_with_its_number() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process::now(child.id() as i32).unwrap();
        assert!(process.is_alive());
        let earlier = Process { started: process.started - 1, ..process.clone() };
        assert!(!earlier.is_alive());
        earlier.signal(Signal::KILL).unwrap();
        assert!(!process.ended(Duration::from_millis(50)).await.unwrap());
        process.signal(Signal::KILL).unwrap();
        assert!(process.ended(Duration::from_secs(5)).await.unwrap());
        // Ended, though nobody has waited for it.
        assert!(!process.is_alive());
        child.wait().unwrap();
    }
}
