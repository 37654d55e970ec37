//! The server process: started or adopted, and stopped whatever happens.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use sha2::{Digest as _, Sha256};

use super::launch::{Launcher, OnDeath};
use super::{EmbeddedError, Options, io};
use crate::persistence::secrets::hex;

/// The number in the socket's name. Nothing listens on a TCP port.
pub(super) const PORT: u16 = 5432;

/// Longest orderly shutdown before the server is told to end at once.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// A running server.
#[derive(Debug)]
pub(super) struct Postmaster {
    pid: Pid,
    socket: PathBuf,
    /// `None` for one that was adopted: it is no child of ours.
    keeper: Option<Keeper>,
}

/// The thread that started the server and stays until it has ended.
///
/// The kernel's "signal when the parent dies" means the parent *thread*. Threads of a runtime
/// come and go, so the server is started by one that does not.
#[derive(Debug)]
struct Keeper {
    /// Dropped when the server is to be waited for.
    thread: JoinHandle<()>,
    ended: mpsc::Receiver<()>,
}

impl Postmaster {
    /// Takes over the server that runs on the data directory, or starts one. Returns it with
    /// the directory of its socket.
    pub(super) fn adopt_or_start(
        launcher: &Launcher,
        options: &Options,
    ) -> Result<(Self, PathBuf), EmbeddedError> {
        let lock_file = launcher.data.join("postmaster.pid");
        if let Ok(text) = fs::read_to_string(&lock_file) {
            match running(&text, &launcher.data) {
                Some((pid, socket)) => {
                    tracing::info!("taking over the PostgreSQL left running by an earlier process");
                    return Ok((Self { pid, socket: socket.clone(), keeper: None }, socket));
                }
                // Left by a server that was killed. Postgres would refuse to start when its
                // number belongs to some other process by now.
                None => fs::remove_file(&lock_file).map_err(io("removing a stale postmaster.pid"))?,
            }
        }
        Self::start(launcher, options)
    }

    fn start(launcher: &Launcher, options: &Options) -> Result<(Self, PathBuf), EmbeddedError> {
        let socket = socket_directory(launcher)?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(&launcher.log)
            .map_err(io(format!("opening {}", launcher.log.display())))?;
        let on_death = if options.unsafe_but_fast { OnDeath::Immediate } else { OnDeath::Fast };
        let mut command = launcher.command("postgres", Some(on_death));
        command.arg("-D").arg(launcher.seen(&launcher.data));
        let mut set = |name: &str, value: &str| {
            command.arg("-c").arg(format!("{name}={value}"));
        };
        set("listen_addresses", "");
        set("unix_socket_directories", &socket.display().to_string());
        set("port", &PORT.to_string());
        set("max_connections", &options.max_connections.to_string());
        set("timezone", "UTC");
        set("log_timezone", "UTC");
        if options.unsafe_but_fast {
            for name in ["fsync", "synchronous_commit", "full_page_writes", "autovacuum"] {
                set(name, "off");
            }
            set("wal_level", "minimal");
            set("max_wal_senders", "0");
            set("shared_buffers", "32MB");
        }
        let again = log.try_clone().map_err(io("opening the log"))?;
        command.stdout(log).stderr(Stdio::from(again));

        let (started, was_started) = mpsc::channel();
        let (done, ended) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("postgres-keeper".to_owned())
            .spawn(move || match command.spawn() {
                Ok(mut child) => {
                    let _ = started.send(Ok(child.id()));
                    let _ = child.wait();
                    let _ = done.send(());
                }
                Err(error) => {
                    let _ = started.send(Err(error));
                }
            })
            .map_err(io("starting a thread"))?;
        let child = was_started
            .recv()
            .map_err(|_| EmbeddedError::Setup("the keeper thread ended".into()))?
            .map_err(io("starting postgres"))?;
        let keeper = Keeper { thread, ended };
        let pid = server_pid(launcher, child, &keeper)
            .ok_or_else(|| EmbeddedError::NotReady { log: launcher.log_tail() })?;
        Ok((Self { pid, socket: socket.clone(), keeper: Some(keeper) }, socket))
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Whether another process started it.
    pub(super) const fn is_adopted(&self) -> bool {
        self.keeper.is_none()
    }

    pub(super) fn is_running(&self) -> bool {
        match &self.keeper {
            Some(keeper) => !keeper.thread.is_finished(),
            None => test_kill_process(self.pid).is_ok(),
        }
    }

    /// An orderly shutdown; after [`STOP_LIMIT`] an immediate one.
    pub(super) fn stop_fast(mut self) -> Result<(), EmbeddedError> {
        let _ = kill_process(self.pid, Signal::INT);
        if !self.wait(STOP_LIMIT) {
            self.end_now();
        }
        Ok(())
    }

    /// True: it has ended.
    fn wait(&self, limit: Duration) -> bool {
        if let Some(keeper) = &self.keeper {
            // Both an answer and a closed channel mean that it has ended.
            return keeper.ended.recv_timeout(limit) != Err(mpsc::RecvTimeoutError::Timeout);
        }
        let deadline = Instant::now() + limit;
        while test_kill_process(self.pid).is_ok() {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }

    /// Immediate shutdown; a server that does not react within two seconds is killed, and its
    /// children end by themselves when they notice.
    fn end_now(&mut self) {
        let _ = kill_process(self.pid, Signal::QUIT);
        if !self.wait(Duration::from_secs(2)) {
            let _ = kill_process(self.pid, Signal::KILL);
            self.wait(Duration::from_secs(2));
        }
    }
}

impl Drop for Postmaster {
    fn drop(&mut self) {
        if self.is_running() {
            self.end_now();
        }
        // Its own socket is removed by a server that ends in order; the directory is ours.
        let _ = fs::remove_dir_all(&self.socket);
    }
}

/// The number of the server process itself, once it is the server: until then our child is a
/// shell or setpriv, and signals meant for the server would be lost. The lock file says so; it
/// is written early, before recovery.
fn server_pid(launcher: &Launcher, child: u32, keeper: &Keeper) -> Option<Pid> {
    let lock_file = launcher.data.join("postmaster.pid");
    let deadline = Instant::now() + Duration::from_secs(30);
    while Instant::now() < deadline && !keeper.thread.is_finished() {
        if let Some((pid, _)) =
            fs::read_to_string(&lock_file).ok().and_then(|text| running(&text, &launcher.data))
        {
            return Some(pid);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    if keeper.thread.is_finished() {
        return None;
    }
    // It never wrote one: end what we did start.
    let child = i32::try_from(child).ok().and_then(Pid::from_raw)?;
    let _ = kill_process(child, Signal::KILL);
    None
}

/// Reads a postmaster.pid: number, data directory, start time, port, socket directory, …
/// Some only when that process is alive *and* works in this data directory; its number alone
/// may have been given to another process since.
fn running(lock_file: &str, data: &Path) -> Option<(Pid, PathBuf)> {
    let mut lines = lock_file.lines();
    let pid = lines.next()?.trim().parse().ok().and_then(Pid::from_raw)?;
    let socket = PathBuf::from(lines.nth(3)?.trim());
    // Compared as files, not by name: in its own mount namespace the directory has another.
    let works_in = fs::metadata(format!("/proc/{}/cwd", pid.as_raw_nonzero())).ok()?;
    let ours = fs::metadata(data).ok()?;
    (works_in.dev() == ours.dev() && works_in.ino() == ours.ino() && socket.is_absolute())
        .then_some((pid, socket))
}

/// Longest path of a socket's directory: the kernel allows 107 bytes with the socket's name.
const SOCKET_PATH_LIMIT: usize = 80;

/// The directory of the socket: beside the data where that is short enough and in reach, else
/// under /tmp with a name made of the data's path. Always the same one, so that clients find
/// a server that was started again. For the server's user alone, as who reaches the socket
/// needs no password.
fn socket_directory(launcher: &Launcher) -> Result<PathBuf, EmbeddedError> {
    const FAILED: &str = "making the socket directory";
    let beside = launcher.data.with_file_name("socket");
    let directory = if launcher.is_in_reach() && beside.as_os_str().len() <= SOCKET_PATH_LIMIT {
        beside
    } else {
        let name = Sha256::digest(launcher.data.as_os_str().as_encoded_bytes());
        Path::new("/tmp").join(format!("devpocket-pg-{}", &hex(&name)[..16]))
    };
    match fs::create_dir(&directory) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            // Anybody may make a directory under /tmp, and a link to one.
            let meta = fs::symlink_metadata(&directory).map_err(io(FAILED))?;
            let ours = rustix::process::geteuid().as_raw();
            let owners = [ours, launcher.user.as_ref().map_or(ours, |user| user.uid)];
            if !meta.is_dir() || !owners.contains(&meta.uid()) {
                return Err(EmbeddedError::Setup(format!(
                    "{} belongs to somebody else",
                    directory.display()
                )));
            }
        }
        made => made.map_err(io(FAILED))?,
    }
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).map_err(io(FAILED))?;
    launcher.give_away(&directory)?;
    Ok(directory)
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn a_lock_file_of_another_process_is_stale() {
        let data = tempfile::tempdir().unwrap();
        let text = |pid: u32| format!("{pid}\n/x\n1\n5432\n/tmp/socket\n\n  ready\n");
        // We live, but do not work in that directory.
        assert!(running(&text(std::process::id()), data.path()).is_none());
        let here = std::env::current_dir().unwrap();
        let (pid, socket) = running(&text(std::process::id()), &here).unwrap();
        assert_eq!(pid.as_raw_nonzero().get().cast_unsigned(), std::process::id());
        assert_eq!(socket, Path::new("/tmp/socket"));
        for broken in ["", "abc", "1\n", "0\n/x\n1\n5432\n/s\n"] {
            assert!(running(broken, &here).is_none());
        }
    }
}
