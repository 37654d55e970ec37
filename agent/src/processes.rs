//! The processes of the environment, read from `/proc`.
//!
//! Everything here answers "none" when there is no `/proc`: the agent also runs in an empty
//! chroot.

use std::collections::HashSet;

use rustix::process::{Pid, Signal};

/// What the agent wants to know of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    parent: i32,
    session: i32,
    pub(crate) zombie: bool,
    /// Its own time and that of the children it has waited for, in clock ticks.
    pub(crate) cpu_ticks: u64,
    pub(crate) resident_pages: u64,
}

/// This process and all of its descendants: with the agent as PID 1 or as a subreaper, that is
/// all of the environment.
pub(crate) fn environment() -> Vec<Process> {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let mut rest = all();
    let mut known = HashSet::from([own]);
    let mut found: Vec<Process> = Vec::new();
    loop {
        let (new, others): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|p| p.pid == own || known.contains(&p.parent));
        if new.is_empty() {
            return found;
        }
        known.extend(new.iter().map(|p| p.pid));
        found.extend(new);
        rest = others;
    }
}

/// Signals all descendants of the agent; returns how many live.
pub(crate) fn signal_all(signal: Option<Signal>) -> usize {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let mut living = 0;
    for process in environment().into_iter().filter(|p| p.pid != own && !p.zombie) {
        living += 1;
        if let (Some(pid), Some(signal)) = (Pid::from_raw(process.pid), signal) {
            // It may have ended in between.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
    living
}

/// Kills all processes of a session that its leader left behind.
pub(crate) fn kill_session(leader: Pid) {
    for process in all().into_iter().filter(|p| p.session == leader.as_raw_nonzero().get()) {
        if let Some(pid) = Pid::from_raw(process.pid) {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
}

fn all() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| parse(pid, &std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)).collect()
}

/// Reads the fields of `/proc/PID/stat`; the command's name may hold anything, so they are
/// counted from the last parenthesis.
fn parse(pid: i32, stat: &str) -> Option<Process> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let number = |n: usize| fields.get(n)?.parse::<u64>().ok();
    Some(Process {
        pid,
        zombie: *fields.first()? == "Z",
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        cpu_ticks: number(11)? + number(12)? + number(13)? + number(14)?,
        resident_pages: number(21)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_is_no_field() {
        let stat = "7 (a) b (c) S 3 7 5 0 -1 4194304 1 2 3 4 10 20 30 40 20 0 1 0 99 1000 55 18446";
        let expected =
            Process { pid: 7, parent: 3, session: 5, zombie: false, cpu_ticks: 100, resident_pages: 55 };
        assert_eq!(parse(7, stat), Some(expected));
        assert_eq!(parse(7, "7 (a"), None);
    }

    #[test]
    fn this_process_is_part_of_its_environment() {
        let own = std::process::id().cast_signed();
        assert!(environment().iter().any(|p| p.pid == own && p.resident_pages > 0));
    }
}
