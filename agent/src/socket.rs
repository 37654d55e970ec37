//! Unix sockets at paths of any length.
//!
//! `sockaddr_un` holds 107 bytes and volumes have long paths. A longer path is reached by its
//! name alone from inside its directory. Changing the directory is a matter of the whole
//! process, which is fine here: both callers run before there is a second thread.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};

/// The longest path that fits `sockaddr_un` with its NUL.
const LONGEST: usize = 107;

/// Connects to the socket at `path`.
pub(crate) fn connect(path: &Path) -> io::Result<UnixStream> {
    at(path, |path| UnixStream::connect(path))
}

/// Listens at `path`, for this user only. A socket that nobody listens on any more is replaced.
pub(crate) fn listen(path: &Path) -> io::Result<UnixListener> {
    at(path, |path| {
        if UnixStream::connect(path).is_ok() {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another agent listens there"));
        }
        match std::fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        // The socket must never be there with wider rights, not even for a moment.
        let before = rustix::process::umask(Mode::from_raw_mode(0o177));
        let listener = UnixListener::bind(path);
        rustix::process::umask(before);
        listener
    })
}

fn at<T>(path: &Path, action: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    if path.as_os_str().len() <= LONGEST {
        return action(path);
    }
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"));
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let here = rustix::fs::openat(CWD, ".", flags, Mode::empty())?;
    rustix::process::chdir(dir)?;
    let result = action(Path::new(name));
    rustix::process::fchdir(here)?;
    result
}
