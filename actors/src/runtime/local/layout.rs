//! Where an environment's files are, and what may name one.
//!
//! ```text
//! <root>/<id>/            0700, never visible inside
//!   home/                 the volume; bound at /home/dev
//!   run/                  bound at /run/devpocket
//!     agent.sock          where the agent listens
//!     agent.json          its config; holds secrets, gone once the agent has read it
//!   etc/                  passwd, group, hosts, hostname as seen inside
//!   agent.log             what the agent wrote to stderr, bounded
//!   launch, status.json   what was started last: our child, and the agent under it
//!   instance.json         the agent that runs
//!   failure               why the last start failed
//! <root>/.locks/<id>      held while an environment is started, stopped or deleted
//! <root>/.trash/          deleted environments that are being removed
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::RuntimeError;

/// How long a call waits for another one on the same environment.
const LOCK_WAIT: Duration = Duration::from_secs(20);

/// How much of `agent.log` is kept when it is cut, and how large it may grow before.
const LOG_KEPT: u64 = 64 * 1024;
const LOG_LIMIT: u64 = 1024 * 1024;

/// The paths of one environment. Holding one means that the id was found to be harmless.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub root: PathBuf,
    pub id: String,
    pub dir: PathBuf,
}

/// Held while an environment is changed; other calls, of other processes too, wait.
pub(super) struct Lock {
    _file: File,
}

impl Layout {
    /// The paths of environment `id` under `root`.
    ///
    /// Ids become paths, so only lower-case letters, digits and inner dashes are let through.
    pub fn new(root: &Path, id: &str) -> Result<Self, RuntimeError> {
        let harmless = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if id.is_empty() || id.len() > 64 || id.starts_with('-') || !id.bytes().all(harmless) {
            let shown: String = id.chars().take(80).collect();
            return Err(RuntimeError::Rejected(format!(
                "{shown:?} is no environment id: 1 to 64 lower-case letters, digits and dashes are"
            )));
        }
        Ok(Self { root: root.to_owned(), id: id.to_owned(), dir: root.join(id) })
    }

    pub fn home(&self) -> PathBuf {
        self.dir.join("home")
    }

    pub fn run(&self) -> PathBuf {
        self.dir.join("run")
    }

    pub fn etc(&self) -> PathBuf {
        self.dir.join("etc")
    }

    pub fn config(&self) -> PathBuf {
        self.dir.join("run/agent.json")
    }

    pub fn log(&self) -> PathBuf {
        self.dir.join("agent.log")
    }

    pub fn launch(&self) -> PathBuf {
        self.dir.join("launch")
    }

    pub fn status(&self) -> PathBuf {
        self.dir.join("status.json")
    }

    pub fn instance(&self) -> PathBuf {
        self.dir.join("instance.json")
    }

    pub fn failure(&self) -> PathBuf {
        self.dir.join("failure")
    }

    /// Makes the directories that are missing. The outer ones are for the server alone.
    pub fn make(&self) -> Result<(), RuntimeError> {
        make_dir(&self.root, 0o700)?;
        make_dir(&self.dir, 0o700)?;
        make_dir(&self.home(), 0o700)?;
        make_dir(&self.run(), 0o755)?;
        make_dir(&self.etc(), 0o755)
    }

    /// Forgets the last start.
    pub fn forget_start(&self) -> Result<(), RuntimeError> {
        let socket = self.run().join("agent.sock");
        for path in [socket, self.config(), self.launch(), self.status(), self.instance(), self.failure()] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(unavailable("remove", &path, &error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes the environment's lock, waiting a while for whoever holds it.
    pub async fn lock(&self) -> Result<Lock, RuntimeError> {
        let locks = self.root.join(".locks");
        make_dir(&self.root, 0o700)?;
        make_dir(&locks, 0o700)?;
        let path = locks.join(&self.id);
        let until = Instant::now() + LOCK_WAIT;
        loop {
            let file = OpenOptions::new()
                .create(true)
                .append(true)
                .mode(0o600)
                .open(&path)
                .map_err(|error| unavailable("open", &path, &error))?;
            match file.try_lock() {
                // The holder before may have deleted the environment, and the file with it.
                Ok(()) if same_file(&file, &path) => return Ok(Lock { _file: file }),
                Ok(()) => continue,
                Err(TryLockError::WouldBlock) if Instant::now() < until => {
                    sleep(Duration::from_millis(20)).await;
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(RuntimeError::Unavailable(format!(
                        "environment {} is being started or stopped by another server; try again",
                        self.id
                    )));
                }
                Err(TryLockError::Error(error)) => return Err(unavailable("lock", &path, &error)),
            }
        }
    }

    /// Takes the environment out of everyone's sight and removes its lock. What it left is
    /// removed by [`empty_trash`].
    pub fn to_trash(&self, lock: Lock) -> Result<(), RuntimeError> {
        let trash = self.root.join(".trash");
        make_dir(&trash, 0o700)?;
        let to = trash.join(format!("{}-{}", self.id, uuid::Uuid::new_v4()));
        match fs::rename(&self.dir, &to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(unavailable("remove", &self.dir, &error));
            }
            _ => {}
        }
        // While the lock is held: who waits for it looks again, and finds the file gone.
        let _ = fs::remove_file(self.root.join(".locks").join(&self.id));
        drop(lock);
        Ok(())
    }

    /// The end of `agent.log`, at most `limit` bytes, from the start of a line.
    pub fn log_tail(&self, limit: u64) -> io::Result<String> {
        let mut file = match File::open(self.log()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
            Err(error) => return Err(error),
        };
        let from = file.metadata()?.len().saturating_sub(limit);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        match text.split_once('\n') {
            Some((_, whole)) if from > 0 => Ok(whole.to_owned()),
            _ => Ok(text.into_owned()),
        }
    }

    /// Keeps `agent.log` small. The agent appends to it, so cutting it below is safe.
    pub fn trim_log(&self) -> io::Result<()> {
        if fs::metadata(self.log()).map_or(0, |found| found.len()) <= LOG_LIMIT {
            return Ok(());
        }
        let tail = self.log_tail(LOG_KEPT)?;
        let mut file = OpenOptions::new().append(true).open(self.log())?;
        file.set_len(0)?;
        file.write_all(tail.as_bytes())
    }
}

/// Removes what [`Layout::to_trash`] left, in a process of its own: people can nest directories
/// deeper than a recursion here could follow. Neither tool follows symbolic links.
pub(super) async fn empty_trash(root: &Path) -> Result<(), RuntimeError> {
    let trash = root.join(".trash");
    let run = async |program: &str, args: &[&str]| {
        let mut command = tokio::process::Command::new(program);
        command.args(args).arg("--").arg(&trash).stdin(std::process::Stdio::null());
        command.output().await
    };
    if !trash.exists() {
        return Ok(());
    }
    match run("rm", &["-rf"]).await {
        Ok(output) if output.status.success() => return Ok(()),
        _ => {}
    }
    // Directories that their owner made read-only.
    let _ = run("chmod", &["-R", "u+rwX"]).await;
    match run("rm", &["-rf"]).await {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let first = said.lines().next().unwrap_or("no reason given").to_owned();
            Err(RuntimeError::Unavailable(format!(
                "the files of a deleted environment can't be removed from {}: {first}",
                trash.display()
            )))
        }
        Err(error) => Err(unavailable("run rm for", &trash, &error)),
    }
}

/// Makes one directory (and, for the root, its parents) if it is missing.
fn make_dir(path: &Path, mode: u32) -> Result<(), RuntimeError> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => {
            return Err(RuntimeError::Rejected(format!("{} is in the way: move it", path.display())));
        }
        Err(_) => {}
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
        .map_err(|error| unavailable("make", path, &error))
}

/// Writes a file whole, readable by its owner alone unless `mode` says otherwise.
pub(super) fn write_file(path: &Path, mode: u32, text: &[u8]) -> Result<(), RuntimeError> {
    let new = path.with_extension("new");
    let written = fs::remove_file(&new).or(Ok(())).and_then(|()| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
        // The process's umask has no say in what the sandbox must be able to read.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(text)?;
        fs::rename(&new, path)
    });
    written.map_err(|error: io::Error| unavailable("write", path, &error))
}

/// Gives a home to a user. Only root can, and links in it are changed, not followed.
pub(super) fn make_owned(home: &Path, uid: u32) -> Result<(), RuntimeError> {
    if fs::symlink_metadata(home).is_ok_and(|found| found.uid() == uid) {
        return Ok(());
    }
    let owner = format!("{uid}:{uid}");
    let done = std::process::Command::new("chown").args(["-R", "-h", "-P", &owner, "--"]).arg(home).output();
    match done {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(unavailable("chown", home, &io::Error::other(said.trim())))
        }
        Err(error) => Err(unavailable("run chown for", home, &error)),
    }
}

/// A small file's text, or nothing.
pub(super) fn read_small(path: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(64 * 1024).read_to_string(&mut text).ok()?;
    Some(text)
}

fn same_file(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(held), Ok(named)) => (held.dev(), held.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// The ids of all environments under `root`.
pub(super) fn environments(root: &Path) -> Result<Vec<String>, RuntimeError> {
    let failed = |error: &io::Error| unavailable("list", root, error);
    let entries = match std::fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(&error)),
    };
    let mut ids = Vec::new();
    for entry in entries {
        let name = entry.map_err(|error| failed(&error))?.file_name();
        // Ours are hidden: locks, trash.
        ids.extend(name.into_string().ok().filter(|name| Layout::new(root, name).is_ok()));
    }
    Ok(ids)
}

/// "can't `what` `path`", with what to look at.
pub(super) fn unavailable(what: &str, path: &Path, error: &io::Error) -> RuntimeError {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "; the server must own its data directory: run it as the same user as before"
        }
        io::ErrorKind::StorageFull => "; free some space on that disk",
        _ => "",
    };
    RuntimeError::Unavailable(format!("can't {what} {}: {error}{hint}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_ids_name_no_path() {
        let root = Path::new("/data");
        for id in ["", ".", "..", "../x", "a/b", "/etc", "a\0", "A", ".trash", "-rf", "é", &"a".repeat(65)] {
            assert!(Layout::new(root, id).is_err(), "{id:?}");
        }
        assert_eq!(Layout::new(root, "c1-x").unwrap().dir, Path::new("/data/c1-x"));
    }

    #[test]
    fn the_log_is_cut_at_a_line() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path(), "x").unwrap();
        layout.make().unwrap();
        fs::write(layout.log(), "0123456789\n".repeat(200_000)).unwrap();
        layout.trim_log().unwrap();
        let kept = fs::read_to_string(layout.log()).unwrap();
        assert!(kept.len() as u64 <= LOG_KEPT && kept.len() > 60_000, "{}", kept.len());
        assert!(kept.lines().all(|line| line == "0123456789"));
    }

    #[tokio::test]
    async fn a_lock_is_held_once_and_survives_deletion() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path(), "x").unwrap();
        let first = layout.lock().await.unwrap();
        let second = tokio::spawn({
            let layout = layout.clone();
            async move { layout.lock().await.map(|_| ()) }
        });
        sleep(Duration::from_millis(80)).await;
        assert!(!second.is_finished());
        layout.to_trash(first).unwrap();
        second.await.unwrap().unwrap();
    }
}
