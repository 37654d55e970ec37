//! What moves a session's bytes: one task reads the terminal, one writes it.

use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;

use devpocket_protocol::agent::OpenSession;
use devpocket_protocol::client::{Exit, ExitReason};
use rustix::process::{Pid, WaitStatus};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Session;
use crate::agent::Agent;
use crate::pty::{Pty, Read};

/// How long the output of processes that the shell left behind may hold its end back.
const DRAIN: Duration = Duration::from_millis(250);

/// How many reads follow that: more than the kernel holds for a terminal.
const LAST_READS: usize = 4;

/// How often a terminal that nobody holds open is looked at while its shell lives.
const REOPENED: Duration = Duration::from_millis(100);

/// How long the terminal may stay silent about room for input before it is simply tried.
const RETRY: Duration = Duration::from_millis(200);

/// Starts the login shell of a session on the program's end of its terminal.
pub(super) fn spawn(
    agent: &Agent,
    shell: &Path,
    open: &OpenSession,
    terminal: OwnedFd,
) -> std::io::Result<Pid> {
    let mut command = crate::shell::command(&agent.config, shell, true);
    let name = shell.file_name().unwrap_or(shell.as_os_str()).to_string_lossy();
    command
        .arg0(format!("-{name}"))
        .env("TERM", "xterm-256color")
        .env("COLORTERM", "truecolor")
        .env("DEVPOCKET_SESSION", &open.name)
        .stdin(Stdio::from(terminal.try_clone()?))
        .stdout(Stdio::from(terminal.try_clone()?))
        .stderr(Stdio::from(terminal));
    let child = command.spawn()?;
    // The reaper waits for it, not the handle.
    Ok(Pid::from_child(&child))
}

/// Reads the terminal until the session ends. It is read whenever there is something, however
/// slow the channels are: a phone in a pocket must not hold a build back.
pub(super) async fn read(
    session: Rc<Session>,
    pty: Rc<Pty>,
    mut status: oneshot::Receiver<WaitStatus>,
    agent: Rc<Agent>,
) {
    let mut ended: Option<(Option<WaitStatus>, Instant)> = None;
    loop {
        let deadline = ended.as_ref().map_or_else(Instant::now, |(_, deadline)| *deadline);
        tokio::select! {
            biased;
            result = &mut status, if ended.is_none() => ended = Some((result.ok(), Instant::now() + DRAIN)),
            () = sleep_until(deadline), if ended.is_some() => break,
            read = pty.read(&agent.scratch) => match read {
                Ok(Read::Bytes(n)) => took(&session, &agent, n),
                Ok(Read::Nothing) => {}
                Ok(Read::HungUp) | Err(_) if ended.is_some() => break,
                Ok(Read::HungUp) | Err(_) => {
                    tokio::select! {
                        result = &mut status => ended = Some((result.ok(), Instant::now() + DRAIN)),
                        () = sleep(REOPENED) => {}
                    }
                }
            },
        }
        // Between two turns all others have theirs: a flood starves nobody.
        tokio::task::yield_now().await;
        while slice(&session) {
            tokio::task::yield_now().await;
        }
    }
    // On a busy machine the time may pass before the last words were read.
    for _ in 0..LAST_READS {
        let read = pty.read_now(&mut agent.scratch.borrow_mut());
        let Ok(Read::Bytes(n)) = read else { break };
        took(&session, &agent, n);
        while slice(&session) {}
    }
    let status = ended.and_then(|(status, _)| status);
    finish(&session, status);
    agent.sessions.ended(&session);
}

/// Appends what a read has put into the scratch buffer.
fn took(session: &Session, agent: &Agent, n: usize) {
    session.state.borrow_mut().ring.append(&agent.scratch.borrow()[..n]);
    session.changed.notify_waiters();
}

fn slice(session: &Session) -> bool {
    let state = &mut *session.state.borrow_mut();
    state.display.keep_up(&state.ring)
}

fn finish(session: &Session, status: Option<WaitStatus>) {
    {
        let mut state = session.state.borrow_mut();
        state.exit = Some(exit_of(status, session.closing.get()));
        state.inputs.clear();
        state.pty = None;
    }
    session.changed.notify_waiters();
    session.typed.notify_one();
}

fn exit_of(status: Option<WaitStatus>, closing: Option<ExitReason>) -> Exit {
    let code = status.and_then(WaitStatus::exit_status);
    let signal = status.and_then(WaitStatus::terminating_signal).map(crate::reaper::signal_name);
    let natural = if signal.is_some() { ExitReason::Signaled } else { ExitReason::Exited };
    Exit { reason: closing.unwrap_or(natural), code, signal }
}

/// Writes what waits for the program, as it makes room.
pub(super) async fn write(session: Rc<Session>, pty: Rc<Pty>) {
    loop {
        // It is a permit: a key that comes before this is not missed.
        session.typed.notified().await;
        loop {
            let written = {
                let mut state = session.state.borrow_mut();
                if state.exit.is_some() {
                    return;
                }
                if state.inputs.front().is_empty() {
                    break;
                }
                let written = pty.write(state.inputs.front());
                match written {
                    Ok(n) => state.inputs.written(n),
                    // Hung up. What was typed is for nobody.
                    Err(_) => state.inputs.clear(),
                }
                written.unwrap_or(0)
            };
            // Channels hold input back until there is room.
            session.changed.notify_waiters();
            if written == 0 {
                let _ = timeout(RETRY, pty.writable()).await;
            } else {
                tokio::task::yield_now().await;
            }
        }
    }
}
