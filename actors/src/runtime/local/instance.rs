//! The running agent of an environment: finding it, reaching it, ending it.
//!
//! Nothing is remembered in memory. What runs is read from the environment's files and from
//! `/proc` each time, so a server that was killed and started again sees the same.

use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use rustix::fs::{FileType, Mode, OFlags, fstat, open, openat};
use rustix::process::Signal;
use serde::Deserialize;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

use super::control::Channel;
use super::layout::{Layout, read_small, unavailable, write_file};
use super::process::{Process, carrying};
use super::{Observed, RuntimeError};

/// The variable that all processes of an environment carry.
pub(super) const MARK: &str = "DEVPOCKET_ENVIRONMENT_ID";

/// How long processes may take to end by themselves, and how long ending them may take in all.
const GRACE: Duration = Duration::from_secs(5);
const KILLED: Duration = Duration::from_secs(10);

/// How long an agent may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(2);

/// What bwrap reports with `--json-status-fd`, in its first line.
#[derive(Deserialize)]
struct Status {
    #[serde(rename = "child-pid")]
    child: i32,
}

/// What is the case with an environment.
pub(super) async fn observe(layout: &Layout) -> Observed {
    let Some(agent) = agent(layout) else {
        if launcher(layout).is_some() {
            return Observed::Starting(None);
        }
        return match read_small(&layout.failure()) {
            Some(reason) => Observed::Failed(reason),
            None => Observed::Absent,
        };
    };
    match connect(layout, &agent).await {
        Ok(_) => Observed::Running { instance: agent.name(), after: None },
        Err(_) if !agent.is_alive() => Observed::Absent,
        Err(_) => Observed::Starting(Some("the agent does not answer yet".to_owned())),
    }
}

/// The child that the last start made, if it runs: bwrap, or the agent where there is no sandbox.
pub(super) fn launcher(layout: &Layout) -> Option<Process> {
    Process::from_stat(&read_small(&layout.launch())?).filter(Process::is_alive)
}

/// The agent of the last start, if it runs. Noted when it is first seen, because bwrap's own
/// process, which leads to it, may be ended by anyone without harm.
pub(super) fn agent(layout: &Layout) -> Option<Process> {
    if let Some(text) = read_small(&layout.instance())
        && let Ok(noted) = serde_json::from_str::<Process>(&text)
    {
        return noted.is_alive().then_some(noted);
    }
    let launcher = launcher(layout)?;
    let agent = match read_small(&layout.status()) {
        // The file is there before bwrap is: without it there is no sandbox.
        None => launcher,
        Some(text) => {
            let status: Status = serde_json::from_str(text.lines().next()?).ok()?;
            Process::now(status.child).filter(|child| child.is_child_of(&launcher))?
        }
    };
    if let Ok(text) = serde_json::to_vec(&agent) {
        // Whoever comes next finds the long way to it, should this fail.
        let _ = write_file(&layout.instance(), 0o600, &text);
    }
    Some(agent)
}

/// Connects to `agent`, and to nothing else.
///
/// Where the environment runs as the server's own user, a program inside can replace the socket:
/// a symbolic link is not followed, and who listens is compared with who was started. Going
/// through the handle also lifts the 108 bytes that a socket's path may have.
pub(super) async fn connect(layout: &Layout, agent: &Process) -> io::Result<UnixStream> {
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let run = open(layout.run(), folder, Mode::empty())?;
    let socket =
        openat(&run, "agent.sock", OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    if FileType::from_raw_mode(fstat(&socket)?.st_mode) != FileType::Socket {
        return Err(io::Error::other("agent.sock is no socket"));
    }
    let path = format!("/proc/self/fd/{}", socket.as_raw_fd());
    let stream = timeout(CONNECT, UnixStream::connect(path)).await??;
    if stream.peer_cred()?.pid() != Some(agent.pid) {
        return Err(io::Error::other("another process than the agent listens on agent.sock"));
    }
    Ok(stream)
}

/// Connects to the environment's agent.
pub(super) async fn reach(layout: &Layout) -> Result<UnixStream, RuntimeError> {
    let Some(agent) = agent(layout) else {
        return Err(RuntimeError::Unavailable(format!("environment {} does not run", layout.id)));
    };
    connect(layout, &agent).await.map_err(|error| {
        RuntimeError::Unavailable(format!("the agent of environment {} can't be reached: {error}", layout.id))
    })
}

/// Ends everything that runs in the environment. The caller holds its lock.
pub(super) async fn end(layout: &Layout) -> Result<(), RuntimeError> {
    if let Some(agent) = settled_agent(layout).await
        && !end_gently(layout, &agent).await
    {
        kill(layout, &agent).await?;
    }
    // bwrap ends by itself after the agent; one without an agent never got to start it.
    if let Some(launcher) = launcher(layout)
        && !matches!(launcher.ended(Duration::from_secs(1)).await, Ok(true))
    {
        kill(layout, &launcher).await?;
    }
    if read_small(&layout.status()).is_none() && layout.launch().exists() {
        end_strays(layout).await?;
    }
    layout.forget_start()
}

/// The agent; where one is just being started, after a moment that it may take to show.
async fn settled_agent(layout: &Layout) -> Option<Process> {
    let until = Instant::now() + Duration::from_secs(2);
    loop {
        let found = agent(layout);
        if found.is_some() || launcher(layout).is_none() || Instant::now() >= until {
            return found;
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// Asks the agent to end, or tells it by a signal when it can't be asked. True when it has ended.
async fn end_gently(layout: &Layout, agent: &Process) -> bool {
    let asked = async {
        let mut channel = Channel::open(connect(layout, agent).await?).await?;
        channel.shutdown(GRACE).await?;
        // Closing the channel early could overtake the request.
        while channel.next().await?.is_some() {}
        io::Result::Ok(())
    };
    let answered = timeout(GRACE + Duration::from_secs(1), asked).await;
    if !matches!(answered, Ok(Ok(()))) {
        let _ = agent.signal(Signal::TERM);
    }
    matches!(agent.ended(Duration::from_secs(2)).await, Ok(true))
}

async fn kill(layout: &Layout, process: &Process) -> Result<(), RuntimeError> {
    let failed = |reason: String| {
        RuntimeError::Unavailable(format!(
            "process {} of environment {} can't be ended: {reason}",
            process.pid, layout.id
        ))
    };
    process.signal(Signal::KILL).map_err(|error| failed(error.to_string()))?;
    match process.ended(KILLED).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(failed("it does not react; it may wait for a disk".to_owned())),
        Err(error) => Err(failed(error.to_string())),
    }
}

/// Without a sandbox, programs may have left the agent's care: they are known by their mark.
async fn end_strays(layout: &Layout) -> Result<(), RuntimeError> {
    let mark = format!("{MARK}={}", layout.id);
    // Several times, because one that starts others is not seen in all of them at once.
    for _ in 0..10 {
        let strays = carrying(&mark);
        if strays.is_empty() {
            return Ok(());
        }
        for stray in &strays {
            kill(layout, stray).await?;
        }
    }
    Err(unavailable(
        "end all processes of",
        &layout.dir,
        &io::Error::other("they start others faster than they can be ended; try again"),
    ))
}
