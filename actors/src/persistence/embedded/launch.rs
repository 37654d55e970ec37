//! As whom, and through what, the programs run.
//!
//! Postgres refuses to run as root, so root runs it as `postgres` or `nobody`. That user may
//! not be able to enter the data directory's parents (a clone under /root): then the server
//! gets a mount namespace of its own, in which the directory is bound to a place that everybody
//! can reach. No permission is changed. `unshare` and not bubblewrap: bubblewrap leaves a
//! process without privileges between us and the server, whose death the kernel then cannot
//! signal to the server, which belongs to another user.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{EmbeddedError, Options, SUPERUSER, binaries, io};

/// Where a server in a mount namespace sees its data directory.
const MOUNT_POINT: &str = "/mnt";

/// Run by a shell in the new namespace: `$1` the data directory, `$2` where it is bound, the
/// rest what then takes the shell's place.
const BIND_AND_RUN: &str = r#"mount --bind "$1" "$2" && cd / && shift 2 && exec "$@""#;

/// Bytes of the log shown in an error.
const LOG_TAIL: usize = 2_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServiceUser {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// Everything needed to run a program on the data directory.
#[derive(Debug, Clone)]
pub(super) struct Launcher {
    binaries: PathBuf,
    pub(super) data: PathBuf,
    pub(super) log: PathBuf,
    /// `None`: as ourselves.
    pub(super) user: Option<ServiceUser>,
    /// Set when the data directory must be bound elsewhere to be reached.
    unshare: Option<PathBuf>,
    setpriv: Option<PathBuf>,
}

/// What happens to the server when its owner is killed.
#[derive(Debug, Clone, Copy)]
pub(super) enum OnDeath {
    /// An orderly but quick shutdown.
    Fast,
    /// At once.
    Immediate,
}

impl Launcher {
    /// Makes the directories, finds the programs and the way to run them, and runs initdb when
    /// there is no data yet.
    pub(super) fn prepare(options: &Options) -> Result<Self, EmbeddedError> {
        let directory = &options.directory;
        fs::create_dir_all(directory).map_err(io(format!("making {}", directory.display())))?;
        let directory = directory.canonicalize().map_err(io("resolving the data directory"))?;
        let data = directory.join("data");
        let binaries = binaries::find_for(&data)?;
        let user = service_user()?;
        let setpriv = binaries::on_path("setpriv");
        let mut unshare = None;
        if let Some(user) = &user
            && !can_enter(&directory, user)
        {
            unshare = binaries::on_path("unshare").filter(|_| setpriv.is_some());
            if unshare.is_none() {
                return Err(EmbeddedError::OutOfReach { directory, user: user.name.clone() });
            }
        }
        let launcher = Self { binaries, log: directory.join("postgres.log"), data, user, unshare, setpriv };
        launcher.make_data_directory()?;
        if !launcher.data.join("PG_VERSION").exists() {
            launcher.initdb()?;
        }
        Ok(launcher)
    }

    fn make_data_directory(&self) -> Result<(), EmbeddedError> {
        let failed = || io(format!("preparing {}", self.data.display()));
        fs::create_dir_all(&self.data).map_err(failed())?;
        // initdb cut short leaves a directory that is neither empty nor usable.
        if !self.data.join("PG_VERSION").exists() {
            for entry in fs::read_dir(&self.data).map_err(failed())?.flatten() {
                let path = entry.path();
                let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
                removed.map_err(failed())?;
            }
        }
        fs::set_permissions(&self.data, fs::Permissions::from_mode(0o700)).map_err(failed())?;
        self.give_away(&self.data)
    }

    /// Makes the service user the owner.
    pub(super) fn give_away(&self, path: &Path) -> Result<(), EmbeddedError> {
        match &self.user {
            Some(user) => chown(path, Some(user.uid), Some(user.gid)).map_err(io(format!(
                "giving {} to {}",
                path.display(),
                user.name
            ))),
            None => Ok(()),
        }
    }

    fn initdb(&self) -> Result<(), EmbeddedError> {
        // PG_VERSION is written early: an initdb that is killed must not look finished. So it
        // works beside the final place; the directory is moved when it is complete.
        let unfinished = self.data.with_extension("new");
        let _ = fs::remove_dir_all(&unfinished);
        fs::create_dir(&unfinished).map_err(io("making the data directory"))?;
        fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o700))
            .map_err(io("making the data directory"))?;
        self.give_away(&unfinished)?;
        let output = self
            .command_on("initdb", &unfinished, None)
            .arg("-D")
            .arg(self.seen(&unfinished))
            .args(["-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"])
            .output()
            .map_err(io("running initdb"))?;
        if !output.status.success() {
            let _ = fs::remove_dir_all(&unfinished);
            let text = String::from_utf8_lossy(&output.stderr);
            return Err(EmbeddedError::Program { program: "initdb", output: tail(text.trim()) });
        }
        fs::remove_dir(&self.data).map_err(io("replacing the empty data directory"))?;
        fs::rename(&unfinished, &self.data).map_err(io("putting the data directory in place"))
    }

    /// A server program that will work on the data directory.
    pub(super) fn command(&self, program: &str, on_death: Option<OnDeath>) -> Command {
        self.command_on(program, &self.data, on_death)
    }

    fn command_on(&self, program: &str, data: &Path, on_death: Option<OnDeath>) -> Command {
        let mut words: Vec<std::ffi::OsString> = Vec::new();
        if let Some(unshare) = &self.unshare {
            words.push(unshare.into());
            words.extend(["--mount", "--", "/bin/sh", "-c", BIND_AND_RUN, "sh"].map(Into::into));
            words.push(data.into());
            words.push(MOUNT_POINT.into());
        }
        // The mount needs root: with it the user is changed afterwards, by setpriv.
        let change_inside = self.user.as_ref().filter(|_| self.unshare.is_some());
        if let Some(setpriv) = &self.setpriv {
            let mut options: Vec<String> = Vec::new();
            if let Some(user) = change_inside {
                options.extend([
                    format!("--reuid={}", user.uid),
                    format!("--regid={}", user.gid),
                    "--clear-groups".to_owned(),
                ]);
            }
            match on_death {
                // What `pg_ctl stop -m fast` and `-m immediate` send.
                Some(OnDeath::Fast) => options.push("--pdeathsig=INT".to_owned()),
                Some(OnDeath::Immediate) => options.push("--pdeathsig=QUIT".to_owned()),
                None => {}
            }
            if !options.is_empty() {
                words.push(setpriv.into());
                words.extend(options.into_iter().map(Into::into));
                words.push("--".into());
            }
        }
        words.push(self.binaries.join(program).into());
        let mut words = words.into_iter();
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).current_dir("/").stdin(std::process::Stdio::null());
        // A clean environment: PGPORT, PGDATA or LC_ALL of the person must not leak in.
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").env("TZ", "UTC");
        // Its own group: Ctrl-C at the terminal is for us; we then stop it in good order.
        command.process_group(0);
        if let Some(user) = self.user.as_ref().filter(|_| self.unshare.is_none()) {
            command.uid(user.uid).gid(user.gid);
        }
        command
    }

    /// Whether the server's user can use files beside the data.
    pub(super) const fn is_in_reach(&self) -> bool {
        self.unshare.is_none()
    }

    /// The path under which the server sees a directory of its data.
    pub(super) fn seen(&self, path: &Path) -> PathBuf {
        if self.unshare.is_some() { MOUNT_POINT.into() } else { path.to_owned() }
    }

    pub(super) fn log_tail(&self) -> String {
        tail(fs::read_to_string(&self.log).unwrap_or_default().trim())
    }
}

fn tail(text: &str) -> String {
    let mut start = text.len().saturating_sub(LOG_TAIL);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text[start..].to_owned()
}

/// Whom to run as: ourselves, unless we are root.
fn service_user() -> Result<Option<ServiceUser>, EmbeddedError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let accounts = fs::read_to_string("/etc/passwd").map_err(io("reading /etc/passwd"))?;
    ["postgres", "nobody"]
        .into_iter()
        .find_map(|name| account(&accounts, name))
        .map(Some)
        .ok_or(EmbeddedError::NoUser)
}

fn account(accounts: &str, wanted: &str) -> Option<ServiceUser> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| *name == wanted)?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(ServiceUser { name: name.to_owned(), uid, gid })
    })
}

/// Whether the user may pass through every directory down to this one.
fn can_enter(directory: &Path, user: &ServiceUser) -> bool {
    directory.ancestors().all(|ancestor| {
        fs::metadata(ancestor).is_ok_and(|meta| {
            let bit = if meta.uid() == user.uid {
                0o100
            } else if meta.gid() == user.gid {
                0o010
            } else {
                0o001
            };
            meta.mode() & bit != 0
        })
    })
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn accounts_are_read() {
        let text = "root:x:0:0:root:/root:/bin/bash\npostgres:x:101:104:,,,:/var:/bin/bash\n";
        let user = account(text, "postgres").unwrap();
        assert_eq!((user.uid, user.gid), (101, 104));
        assert!(account(text, "nobody").is_none());
    }

    #[test]
    fn tails_are_cut_at_a_character() {
        assert!(tail(&"ä".repeat(LOG_TAIL)).len() <= LOG_TAIL);
        assert_eq!(tail("short"), "short");
    }
}
