//! Which shell there is, and the environment that it begins with.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use devpocket_protocol::agent::AgentConfig;
use rustix::fs::Access;

/// Where programs are looked for, after the home's own `.local/bin`.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The shell of the environment: the configured one, else the first of bash, zsh and sh.
pub(crate) fn find(config: &AgentConfig) -> Option<PathBuf> {
    let usable = |path: &PathBuf| path.is_file() && rustix::fs::access(path, Access::EXEC_OK).is_ok();
    let known = ["bash", "zsh", "sh"].into_iter().flat_map(|name| {
        ["/bin", "/usr/bin", "/usr/local/bin"].into_iter().map(move |dir| Path::new(dir).join(name))
    });
    config.shell.clone().into_iter().chain(known).find(usable)
}

/// A command with a clean environment, in the home, with the limits set and in a session of
/// its own. `terminal` says whether its stdin shall be its controlling terminal.
pub(crate) fn command(config: &AgentConfig, shell: &Path, terminal: bool) -> Command {
    let mut command = Command::new(shell);
    let home = if config.home.is_dir() { config.home.as_path() } else { Path::new("/") };
    let user = config.user.as_ref().map_or("user", |user| user.name.as_str());
    let mut path = OsString::from(config.home.join(".local/bin"));
    path.push(":");
    path.push(PATH);
    command
        .env_clear()
        .env("HOME", &config.home)
        .env("USER", user)
        .env("LOGNAME", user)
        .env("SHELL", shell)
        .env("PATH", path)
        .env("LANG", "C.UTF-8")
        .envs(&config.variables)
        .env("DEVPOCKET_ENVIRONMENT", &config.environment_name)
        .current_dir(home);
    let limits = config.limits.clone();
    before_exec(&mut command, move || {
        rustix::process::setsid()?;
        if terminal {
            rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
        }
        crate::limits::limit_self(&limits)
    });
    command
}

#[allow(unsafe_code)]
fn before_exec(command: &mut Command, action: impl FnMut() -> std::io::Result<()> + Send + Sync + 'static) {
    // SAFETY: what `command` passes makes system calls only: no allocation, no lock, no thread.
    unsafe { command.pre_exec(action) };
}
