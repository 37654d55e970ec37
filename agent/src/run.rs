//! `run --config FILE`: the life of an agent.

use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use devpocket_protocol::agent::AgentConfig;
use devpocket_protocol::agent::config::AgentUser;
use devpocket_protocol::client::ExitReason;
use rustix::process::{DumpableBehavior, Gid, Signal, Uid};
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;
use tokio::time::{sleep, timeout};

use crate::agent::{Agent, Ending};
use crate::{commands, limits, processes, server, socket};

/// How long everything may take to end after SIGTERM. Kubernetes gives 30 s in all.
const GRACE: Duration = Duration::from_secs(5);

/// How long channels may take to tell the ends of their sessions.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Why an agent could not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration can't be read.
    #[error("{}: {source}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A step of the start failed.
    #[error("{step}: {source}")]
    Step {
        /// Which one.
        step: &'static str,
        /// Why.
        source: io::Error,
    },
}

fn step(step: &'static str) -> impl Fn(io::Error) -> RunError {
    move |source| RunError::Step { step, source }
}

/// Runs an agent until it is told to end.
///
/// # Errors
/// When it can't start.
pub fn run(config: &Path) -> Result<(), RunError> {
    let config: AgentConfig = std::fs::read(config)
        .and_then(|text| serde_json::from_slice(&text).map_err(io::Error::from))
        .map_err(|source| RunError::Config { path: config.to_owned(), source })?;
    // All of this is before the first thread: the calls change the calling thread only.
    if std::process::id() != 1 {
        let this = rustix::process::getpid();
        rustix::process::set_child_subreaper(Some(this))
            .map_err(|e| step("becoming a subreaper")(e.into()))?;
    }
    let listener = socket::listen(&config.socket).map_err(step("opening the socket"))?;
    listener.set_nonblocking(true).map_err(step("opening the socket"))?;
    if let Some(user) = &config.user {
        // root may connect in any case, and then the environment's user must be able to.
        let owner = std::os::unix::fs::chown(&config.socket, Some(user.uid), Some(user.gid));
        owner.map_err(step("giving the socket to the user"))?;
        become_user(user).map_err(step("becoming the user"))?;
        rustix::thread::set_no_new_privs(true).map_err(|e| step("giving up privileges")(e.into()))?;
    }
    // The environment's processes run as the same user. They shall not read this one's memory.
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    limits::bind_to_cores(&config.limits).map_err(step("choosing cores"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(step("starting the runtime"))?;
    let socket = config.socket.clone();
    let result = LocalSet::new().block_on(&runtime, live(config, listener));
    // Only for tidiness: the user that the agent has become may not be allowed to.
    let _ = std::fs::remove_file(socket);
    result
}

fn become_user(user: &AgentUser) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    if rustix::process::getuid() == uid && rustix::process::getgid() == gid {
        return Ok(());
    }
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}

async fn live(config: AgentConfig, listener: std::os::unix::net::UnixListener) -> Result<(), RunError> {
    let failed = step("starting the runtime");
    let listener = UnixListener::from_std(listener).map_err(&failed)?;
    let agent = Agent::new(config);
    watch_signals(&agent).map_err(&failed)?;
    tokio::task::spawn_local(server::serve(agent.clone(), listener));
    tokio::task::spawn_local(commands::run(agent.clone()));
    let ending = agent.ending().await;
    end(&agent, ending).await;
    Ok(())
}

/// Registers handlers. A signal that was ignored when the agent was started is not ignored by
/// what it starts, because a handler is reset to the default there.
fn watch_signals(agent: &Rc<Agent>) -> io::Result<()> {
    let mut child = signal(SignalKind::child())?;
    let reaper = agent.reaper.clone();
    tokio::task::spawn_local(async move {
        while child.recv().await.is_some() {
            reaper.reap();
        }
    });
    let mut terminate = signal(SignalKind::terminate())?;
    let ended = agent.clone();
    tokio::task::spawn_local(async move {
        if terminate.recv().await.is_some() {
            // Nobody asked for this over the socket, so the environment is to come back.
            ended.end(Ending { grace: GRACE, reason: ExitReason::PodGone });
        }
    });
    // The agent outlives the terminal or the server that it was started from.
    for other in
        [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TSTP, Signal::TTIN, Signal::TTOU, Signal::ALARM]
    {
        drop(signal(SignalKind::from_raw(other.as_raw()))?);
    }
    Ok(())
}

/// Ends everything: asks, waits, insists.
async fn end(agent: &Agent, ending: Ending) {
    agent.sessions.close_all(ending.reason);
    // Sessions have been asked in their own way; TERM is for services in the background.
    // Interactive shells ignore it.
    processes::signal_all(Some(Signal::TERM));
    let all_ended = async {
        agent.sessions.all_ended().await;
        while processes::signal_all(None) > 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    if timeout(ending.grace, all_ended).await.is_err() {
        agent.sessions.kill_all();
        processes::signal_all(Some(Signal::KILL));
        let _ = timeout(LAST_WORDS, agent.sessions.all_ended()).await;
    }
    sleep(LAST_WORDS).await;
}
