//! Starting an environment: its files, its sandbox, its agent.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use devpocket_protocol::agent::config::{AgentConfig, AgentUser, Limits};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::identity::{Identity, USER};
use super::instance::{self, MARK};
use super::layout::{Layout, unavailable, write_file};
use super::sandbox;
use super::{EnvironmentSpec, LocalConfig, Observed, RuntimeError, Sandbox};

/// How long an agent may take until it accepts connections.
const ACCEPT: Duration = Duration::from_secs(10);

/// How many processes and threads an environment may have.
const PROCESSES: u64 = 512;

/// Notes which process this is, then becomes the program. The note is there before the program
/// is, so a server that is killed at any point leaves nothing running that the next can't find.
const LAUNCH: &str = r#"IFS= read -r stat <"/proc/$$/stat" && printf '%s\n' "$stat" >"$0" && exec "$@""#;

/// The same for bwrap, which reports the number of the agent's process on descriptor 3.
const LAUNCH_SANDBOX: &str = r#"exec 3>"$1" && shift && IFS= read -r stat <"/proc/$$/stat" && printf '%s\n' "$stat" >"$0" && exec "$@""#;

/// Makes the environment run, if it does not. The caller holds its lock.
pub(super) async fn ensure(
    config: &LocalConfig,
    layout: &Layout,
    spec: &EnvironmentSpec,
) -> Result<(), RuntimeError> {
    // A start that a killed server began may be about to succeed.
    let until = Instant::now() + ACCEPT;
    loop {
        match instance::observe(layout).await {
            Observed::Running { .. } => return Ok(()),
            Observed::Starting(_) if Instant::now() < until => sleep(Duration::from_millis(20)).await,
            Observed::Starting(_) => {
                instance::end(layout).await?;
                break;
            }
            Observed::Absent | Observed::Failed(_) => break,
        }
    }
    layout.make()?;
    layout.forget_start()?;
    layout.trim_log().map_err(|error| unavailable("trim", &layout.log(), &error))?;
    let mut child = launch(config, layout, spec)?;
    let accepted = accepted(layout, &mut child).await;
    // Waits for the child, so that it does not stay as a zombie.
    tokio::spawn(async move { child.wait().await });
    // The agent has read it; it holds the variables, which may be secrets.
    let _ = std::fs::remove_file(layout.config());
    match accepted {
        Ok(()) => Ok(()),
        Err(error) => {
            instance::end(layout).await?;
            if let RuntimeError::Rejected(reason) = &error {
                write_file(&layout.failure(), 0o600, reason.as_bytes())?;
            }
            Err(error)
        }
    }
}

/// Starts the agent in its sandbox, detached from this process.
fn launch(config: &LocalConfig, layout: &Layout, spec: &EnvironmentSpec) -> Result<Child, RuntimeError> {
    let agent = std::fs::canonicalize(&config.agent).map_err(|error| {
        RuntimeError::Unavailable(format!(
            "the agent's program {}: {error}; it belongs beside the server's program (scripts/build-agent)",
            config.agent.display()
        ))
    })?;
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(layout.log())
        .map_err(|error| unavailable("open", &layout.log(), &error))?;
    let log_too = log.try_clone().map_err(|error| unavailable("open", &layout.log(), &error))?;

    let mut command = Command::new("/bin/sh");
    command.env_clear().env(MARK, &layout.id).env("LANG", "C.UTF-8");
    match &config.sandbox {
        Sandbox::Bubblewrap(bubblewrap) => {
            let identity = Identity::of(&layout.id)?;
            let host_name = sandbox::host_name(spec);
            sandbox::write_etc(layout, &host_name, identity)?;
            write_config(layout, &sandboxed_config(layout, spec, identity))?;
            let tmp = spec.resources.memory_bytes;
            command
                .env("PATH", sandbox::SEARCH_PATH)
                .args(["-c", LAUNCH_SANDBOX])
                .args([layout.launch(), layout.status()])
                .arg(bubblewrap.program())
                .args(["--json-status-fd", "3"])
                .args(bubblewrap.arguments(layout, &agent, &host_name, tmp, identity))
                .args(["--", sandbox::AGENT, "run", "--config"])
                .arg(Path::new(sandbox::RUN).join("agent.json"));
        }
        Sandbox::None => {
            write_config(layout, &plain_config(layout, spec))?;
            command
                .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| sandbox::SEARCH_PATH.into()))
                .args(["-c", LAUNCH])
                .arg(layout.launch())
                .arg(&agent)
                .args(["run", "--config"])
                .arg(layout.config());
        }
    }
    command
        // Not in the server's process group: a Ctrl-C there is not meant for it.
        .process_group(0)
        .current_dir(layout.run())
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(log_too)
        .spawn()
        .map_err(|error| RuntimeError::Unavailable(format!("can't start a process: {error}")))
}

/// Waits until the agent accepts connections.
async fn accepted(layout: &Layout, child: &mut Child) -> Result<(), RuntimeError> {
    let (until, mut pause) = (Instant::now() + ACCEPT, Duration::from_millis(2));
    loop {
        if let Observed::Running { .. } = instance::observe(layout).await {
            return Ok(());
        }
        let ended = child.try_wait().ok().flatten();
        if let Some(status) = ended {
            return Err(RuntimeError::Rejected(format!(
                "the agent could not start ({status}){}",
                said(layout)
            )));
        }
        if Instant::now() >= until {
            return Err(RuntimeError::Unavailable(format!(
                "the agent did not listen within {} s{}",
                ACCEPT.as_secs(),
                said(layout)
            )));
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// The last words in the log, to be put after a reason.
fn said(layout: &Layout) -> String {
    let tail = layout.log_tail(2000).unwrap_or_default();
    let lines: Vec<&str> = tail.lines().rev().take(5).collect();
    match lines.is_empty() {
        true => String::new(),
        false => format!(": {}", lines.into_iter().rev().collect::<Vec<_>>().join(" / ")),
    }
}

fn write_config(layout: &Layout, config: &AgentConfig) -> Result<(), RuntimeError> {
    let text = serde_json::to_vec(config)
        .map_err(|error| unavailable("write", &layout.config(), &io::Error::other(error)))?;
    write_file(&layout.config(), 0o600, &text)
}

fn sandboxed_config(layout: &Layout, spec: &EnvironmentSpec, identity: Identity) -> AgentConfig {
    let user = match identity {
        Identity::Own => None,
        Identity::Separate(uid) => Some(AgentUser { uid, gid: uid, name: USER.to_owned() }),
    };
    let mut config = plain_config(layout, spec);
    config.socket = Path::new(sandbox::RUN).join("agent.sock");
    config.home = PathBuf::from(sandbox::HOME);
    config.user = user;
    config.limits.processes = Some(PROCESSES);
    config
}

fn plain_config(layout: &Layout, spec: &EnvironmentSpec) -> AgentConfig {
    let mut variables: BTreeMap<String, String> = spec.variables.clone();
    variables.insert(MARK.to_owned(), layout.id.clone());
    AgentConfig {
        environment_id: spec.key.id.clone(),
        environment_name: spec.name.clone(),
        socket: layout.run().join("agent.sock"),
        home: layout.home(),
        user: None,
        shell: None,
        variables,
        notes: notes(spec),
        // They are written for the image, as root, with its package manager.
        install: Vec::new(),
        startup: spec.startup.clone(),
        limits: Limits {
            memory_bytes: Some(spec.resources.memory_bytes),
            // Counts all processes of the user: without a sandbox, the person's own too.
            processes: None,
            cores: Some(spec.resources.cpu_millis.div_ceil(1000).max(1)),
        },
    }
}

/// What the install log says of this runtime.
fn notes(spec: &EnvironmentSpec) -> Vec<String> {
    let commands = match spec.install.len() {
        0 => String::new(),
        1 => " and its install command is skipped".to_owned(),
        count => format!(" and its {count} install commands are skipped"),
    };
    vec![
        "This environment runs on the local runtime: it has no image.".to_owned(),
        format!(
            "The template's image {} is not used{commands}: the machine's own shell and tools are here.",
            spec.image
        ),
    ]
}
