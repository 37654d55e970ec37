//! Install and startup commands, and the log of their output.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;

use devpocket_protocol::agent::Phase;
use rustix::process::{Pid, Signal, WaitStatus};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::agent::Agent;

/// How long one command may run.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// How long a command that was told to end may take.
const GRACE: Duration = Duration::from_secs(5);

/// How long the output of what a command left running in the background is waited for. It is
/// read for as long as it lives all the same, only the next command does not wait.
const DRAIN: Duration = Duration::from_millis(250);

/// Says that the install commands have run, in the home.
const MARKER: &str = ".devpocket/installed";

/// Runs the commands of this start. A command that fails is counted, not fatal: a shell to
/// repair things from is worth more than none.
pub(crate) async fn run(agent: Rc<Agent>) {
    for note in &agent.config.notes {
        agent.log.line(note);
    }
    let marker = agent.config.home.join(MARKER);
    let mut failed = 0;
    if !agent.config.install.is_empty() && !marker.exists() {
        agent.enter(Phase::Installing);
        failed += run_all(&agent, &agent.config.install).await;
        if agent.is_ending() {
            // Cut short: they shall run again.
            return;
        }
        if let Err(e) = write_marker(&marker) {
            agent.log.line(&format!("{} could not be written: {e}", marker.display()));
        }
    }
    if !agent.config.startup.is_empty() {
        agent.enter(Phase::Configuring);
        failed += run_all(&agent, &agent.config.startup).await;
    }
    agent.enter(Phase::Ready { failed_commands: failed });
}

fn write_marker(marker: &Path) -> io::Result<()> {
    marker.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    std::fs::write(marker, "")
}

async fn run_all(agent: &Rc<Agent>, commands: &[String]) -> u32 {
    let mut failed = 0;
    let Some(shell) = crate::shell::find(&agent.config) else {
        agent.log.line("There is no shell to run the commands with.");
        return u32::try_from(commands.len()).unwrap_or(u32::MAX);
    };
    for command in commands {
        agent.log.line(&format!("$ {command}"));
        let problem = match run_one(agent, &shell, command).await {
            Ok(status) if status.exit_status() == Some(0) => continue,
            Ok(status) => describe(status),
            Err(e) => e.to_string(),
        };
        failed += 1;
        agent.log.line(&format!("[{problem}]"));
        if agent.is_ending() {
            break;
        }
    }
    failed
}

fn describe(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("ended by {}", crate::reaper::signal_name(signal)),
        (None, None) => "ended".into(),
    }
}

async fn run_one(agent: &Rc<Agent>, shell: &Path, text: &str) -> io::Result<WaitStatus> {
    let (output, input) = io::pipe()?;
    let (nothing, _) = io::pipe()?;
    let child = crate::shell::command(&agent.config, shell, false)
        .env("TERM", "dumb")
        .args(["-lc", text])
        // Nothing to read. There may be no /dev/null.
        .stdin(Stdio::from(nothing))
        .stdout(input.try_clone()?)
        .stderr(input)
        .spawn()?;
    let child = Pid::from_child(&child);
    let mut status = agent.reaper.watch(child);
    let mut reader = read(agent, output.into())?;
    let ended = tokio::select! {
        ended = timeout(LIMIT, &mut status) => ended,
        _ = agent.ending() => timeout(Duration::ZERO, &mut status).await,
    };
    let status = if let Ok(status) = ended {
        status
    } else {
        let why = if agent.is_ending() { "the environment ends" } else { "it ran for 15 minutes" };
        agent.log.line(&format!("[stopped: {why}]"));
        agent.reaper.signal_group(child, Signal::TERM);
        if let Ok(status) = timeout(GRACE, &mut status).await {
            status
        } else {
            agent.reaper.signal_group(child, Signal::KILL);
            status.await
        }
    };
    let _ = timeout(DRAIN, &mut reader).await;
    status.map_err(|_| io::Error::other("its end was missed"))
}

/// Reads a command's output into the log until nobody can write any more: a program that the
/// command left in the background must not die of a closed pipe.
fn read(agent: &Rc<Agent>, output: OwnedFd) -> io::Result<JoinHandle<()>> {
    let output = crate::io::register(output, Interest::READABLE)?;
    let agent = agent.clone();
    Ok(tokio::task::spawn_local(async move {
        while let Ok(true) = read_some(&agent, &output).await {
            tokio::task::yield_now().await;
        }
    }))
}

/// Reads once; false at the end.
async fn read_some(agent: &Agent, output: &AsyncFd<OwnedFd>) -> io::Result<bool> {
    let mut ready = output.readable().await?;
    let mut scratch = agent.scratch.borrow_mut();
    match rustix::io::read(output, scratch.as_mut_slice()) {
        Ok(0) => return Ok(false),
        Ok(n) => agent.log.append(&scratch[..n]),
        Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
        Err(rustix::io::Errno::INTR) => {}
        Err(e) => return Err(e.into()),
    }
    Ok(true)
}
