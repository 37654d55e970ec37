//! The sandbox around an environment: what `bwrap` is told.
//!
//! Inside there is a read-only system (`/usr`, `/etc` and what belongs to them), an empty
//! `/tmp`, a small `/dev`, the environment's home and nothing else of the machine: no `/root`,
//! `/home`, `/var`, `/sys`, and no other environment. Processes, IPC and the host name are its
//! own.
//!
//! Two ways, by who runs the server:
//!
//! * As **root** there is no user namespace. The agent starts as root with the capabilities to
//!   change users and to give its socket away, and none else; it then becomes a user that is
//!   this environment's alone, so root-only files of `/etc` stay unreadable.
//! * As an **ordinary user** a user namespace shows that user as `dev` with the number 1000.
//!
//! What it does not do: the network is the machine's own. A program inside can reach services
//! on this machine's loopback address, so what listens there must ask who is there. Memory is
//! limited for each process, not for the environment as a whole.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::geteuid;
use tokio::process::Command;
use tokio::time::timeout;

use super::identity::{Identity, USER, USER_ID};
use super::layout::{Layout, make_owned, write_file};
use super::{EnvironmentSpec, RuntimeError};

/// Where things are inside.
pub(super) const HOME: &str = "/home/dev";
pub(super) const RUN: &str = "/run/devpocket";
pub(super) const AGENT: &str = "/run/devpocket-agent";
pub(super) const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a probe may take.
const PROBE: Duration = Duration::from_secs(10);

/// A bubblewrap that was seen to work on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bubblewrap {
    program: PathBuf,
    /// Whether it can bound the size of `/tmp` (since 0.7).
    sized: bool,
}

/// Finds bubblewrap and starts a trivial program in the very sandbox that environments get.
///
/// Takes at most ten seconds.
///
/// # Errors
/// What is missing or in the way, and what to do about it, for a person.
pub async fn probe() -> Result<Bubblewrap, String> {
    let Some(program) = find_program("bwrap") else {
        return Err(explain("bubblewrap is not installed", "install it (apt install bubblewrap)"));
    };
    let version = Command::new(&program).arg("--version").stdin(Stdio::null()).output();
    let version = match timeout(PROBE, version).await {
        Ok(Ok(output)) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Ok(Err(error)) => return Err(explain(&format!("{}: {error}", program.display()), "reinstall it")),
        Err(_) => return Err(explain("bwrap --version hangs", "reinstall bubblewrap")),
    };
    let Some((major, minor)) = parse_version(&version) else {
        return Err(explain(&format!("bwrap says {version:?} is its version"), "reinstall bubblewrap"));
    };
    if (major, minor) < (0, 5) {
        return Err(explain(&format!("bubblewrap {major}.{minor} is too old"), "install 0.5 or newer"));
    }
    let found = Bubblewrap { program, sized: (major, minor) >= (0, 7) };
    found
        .try_out()
        .await
        .map_err(|said| explain(&format!("bubblewrap can't make a sandbox ({said})"), hint()))?;
    Ok(found)
}

impl Bubblewrap {
    /// Runs a shell in a throw-away sandbox.
    async fn try_out(&self) -> Result<(), String> {
        let root = std::env::temp_dir().join(format!("devpocket-probe-{}", uuid::Uuid::new_v4()));
        let result = async {
            let identity = Identity::of("probe").map_err(|error| error.to_string())?;
            let layout = Layout::new(&root, "probe").map_err(|error| error.to_string())?;
            layout.make().map_err(|error| error.to_string())?;
            write_etc(&layout, "probe", identity).map_err(|error| error.to_string())?;
            let mut command = Command::new(&self.program);
            command
                .args(self.arguments(&layout, Path::new("/bin/sh"), "probe", 1 << 20, identity))
                .args(["--", AGENT, "-c", "test -c /dev/null && test -d /proc/1"])
                .env_clear()
                .env("PATH", SEARCH_PATH)
                .stdin(Stdio::null())
                .kill_on_drop(true);
            match timeout(PROBE, command.output()).await {
                Ok(Ok(output)) if output.status.success() => Ok(()),
                Ok(Ok(output)) => {
                    let said = String::from_utf8_lossy(&output.stderr);
                    Err(said.lines().last().unwrap_or("it ended without a word").to_owned())
                }
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("it did not end in time".to_owned()),
            }
        }
        .await;
        let _ = fs::remove_dir_all(&root);
        result
    }

    /// The program to start.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// All of bwrap's arguments up to the command.
    pub(super) fn arguments(
        &self,
        layout: &Layout,
        agent: &Path,
        host_name: &str,
        tmp_bytes: u64,
        identity: Identity,
    ) -> Vec<OsString> {
        let mut all = Arguments::default();
        // Not --die-with-parent: the agent outlives the server.
        all.add(&["--as-pid-1", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]);
        all.add(&["--new-session", "--hostname", host_name]);
        match identity {
            Identity::Own => {
                let number = USER_ID.to_string();
                all.add(&["--unshare-user", "--uid", &number, "--gid", &number]);
            }
            Identity::Separate(_) => {
                all.add(&["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]);
                all.add(&["--cap-add", "CAP_CHOWN"]);
            }
        }
        for folder in ["/usr", "/etc"] {
            all.add(&["--ro-bind", folder, folder]);
        }
        for folder in
            ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store", "/gnu/store"]
        {
            all.system(Path::new(folder));
        }
        all.add(&["--proc", "/proc", "--dev", "/dev"]);
        // Directories on the way to mounts would else be root's alone.
        for folder in ["/home", "/run", "/var"] {
            all.add(&["--perms", "0755", "--dir", folder]);
        }
        for folder in ["/tmp", "/var/tmp", "/dev/shm"] {
            all.add(&["--perms", "1777"]);
            if self.sized {
                all.add(&["--size", &tmp_bytes.max(1 << 20).to_string()]);
            }
            all.add(&["--tmpfs", folder]);
        }
        all.add(&["--symlink", "../run", "/var/run"]);
        for name in ["passwd", "group", "hosts", "hostname"] {
            let inside = Path::new("/etc").join(name);
            if inside.is_file() {
                all.mount("--ro-bind", &layout.etc().join(name), &inside);
            }
        }
        // Often a link into /run, which is not there inside.
        if let Ok(resolver) = fs::canonicalize("/etc/resolv.conf")
            && !resolver.starts_with("/etc")
            && !resolver.starts_with("/usr")
        {
            all.mount("--ro-bind", &resolver, &resolver);
        }
        all.hide_data(&layout.root);
        all.mount("--bind", &layout.home(), Path::new(HOME));
        all.mount("--bind", &layout.run(), Path::new(RUN));
        all.mount("--ro-bind", agent, Path::new(AGENT));
        // What joins the mounts is in memory, without a bound: nothing may be put there.
        all.add(&["--remount-ro", "/dev", "--remount-ro", "/"]);
        // Not the home: before it becomes the home's owner, the agent may not enter it.
        all.add(&["--chdir", "/"]);
        all.0
    }
}

#[derive(Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn add(&mut self, arguments: &[&str]) {
        self.0.extend(arguments.iter().map(OsString::from));
    }

    fn mount(&mut self, option: &str, from: &Path, to: &Path) {
        self.0.extend([option.into(), from.into(), to.into()]);
    }

    /// A folder of the system as it is on this machine: a folder, a link, or not there.
    fn system(&mut self, path: &Path) {
        match fs::symlink_metadata(path) {
            Ok(found) if found.is_symlink() => {
                if let Ok(target) = fs::read_link(path) {
                    self.mount("--symlink", &target, path);
                }
            }
            Ok(found) if found.is_dir() => self.mount("--ro-bind", path, path),
            _ => {}
        }
    }

    /// Covers the data directory, should it lie in a folder of the system.
    fn hide_data(&mut self, root: &Path) {
        let Ok(root) = fs::canonicalize(root) else { return };
        let system = [Path::new("/usr"), Path::new("/etc"), Path::new("/opt")];
        if !system.iter().any(|folder| root.starts_with(folder)) {
            return;
        }
        // The folder above holds the server's other data, but may be the system's (/usr/share).
        let own = |parent: &&Path| parent.components().count() > if root.starts_with("/opt") { 2 } else { 3 };
        let data = root.parent().filter(own).unwrap_or(&root);
        self.0.extend(["--tmpfs".into(), data.into(), "--remount-ro".into(), data.into()]);
    }
}

/// Writes the files of `/etc` that differ from the machine's.
pub(super) fn write_etc(layout: &Layout, host_name: &str, identity: Identity) -> Result<(), RuntimeError> {
    let number = identity.inside();
    let files = [
        (
            "passwd",
            format!(
                "root:x:0:0:root:/root:/usr/sbin/nologin\n\
                 {USER}:x:{number}:{number}::{HOME}:/bin/bash\n\
                 nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
            ),
        ),
        ("group", format!("root:x:0:\ntty:x:5:\n{USER}:x:{number}:\nnogroup:x:65534:\n")),
        ("hosts", format!("127.0.0.1 localhost {host_name}\n::1 localhost ip6-localhost ip6-loopback\n")),
        ("hostname", format!("{host_name}\n")),
    ];
    for (name, text) in files {
        write_file(&layout.etc().join(name), 0o644, text.as_bytes())?;
    }
    if let Identity::Separate(uid) = identity {
        make_owned(&layout.home(), uid)?;
    }
    Ok(())
}

/// The host name for an environment: what its name leaves of letters, digits and dashes.
pub(super) fn host_name(spec: &EnvironmentSpec) -> String {
    let mut name: String = spec
        .name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .take(63)
        .collect();
    while name.contains("--") {
        name = name.replace("--", "-");
    }
    match name.trim_matches('-') {
        "" => "devpocket".to_owned(),
        name => name.to_owned(),
    }
}

/// The first program of this name in `PATH` or the usual places.
pub(super) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = SEARCH_PATH.split(':').map(PathBuf::from);
    std::env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .chain(usual)
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

fn parse_version(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.trim().strip_prefix("bubblewrap ")?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn explain(what: &str, todo: &str) -> String {
    format!(
        "{what}: {todo}, or run environments without a sandbox with --unsandboxed (only on a machine where \
         everybody who signs in may do all that you may do)"
    )
}

/// The setting that most likely keeps an ordinary user from making namespaces.
fn hint() -> &'static str {
    let setting = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned());
    let is = |found: io::Result<String>, value: &str| found.is_ok_and(|found| found == value);
    if geteuid().is_root() {
        return "root lacks rights here, as in most containers; start the container with --privileged or \
                run the server on the machine itself";
    }
    if is(setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"), "1") {
        return "AppArmor forbids user namespaces; give bwrap a profile that allows them (package \
                apparmor-profiles, bwrap-userns-restrict) or run sysctl \
                kernel.apparmor_restrict_unprivileged_userns=0";
    }
    if is(setting("/proc/sys/kernel/unprivileged_userns_clone"), "0") {
        return "run sysctl kernel.unprivileged_userns_clone=1";
    }
    if is(setting("/proc/sys/user/max_user_namespaces"), "0") {
        return "run sysctl user.max_user_namespaces=10000";
    }
    "a container or a security module forbids namespaces; run the server on the machine itself, or the container \
     with --privileged"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(parse_version("bubblewrap 0.8.0\n"), Some((0, 8)));
        assert_eq!(parse_version("bubblewrap 1.2"), Some((1, 2)));
        assert_eq!(parse_version("command not found"), None);
    }

    #[test]
    fn data_in_a_system_folder_is_covered() {
        let hidden = |root: &str| {
            let mut all = Arguments::default();
            all.hide_data(Path::new(root));
            all.0
        };
        assert!(hidden("/tmp").is_empty());
        assert_eq!(hidden("/usr/share/doc")[1], "/usr/share/doc");
    }
}
