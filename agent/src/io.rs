//! Non-blocking file descriptors under tokio: the one unsafe call of the crate.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Makes `fd` non-blocking and registers it with the reactor.
#[allow(unsafe_code)]
pub(crate) fn register(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    rustix::io::ioctl_fionbio(&fd, true)?;
    // SAFETY: an `OwnedFd` is open and names the same file description for as long as it lives;
    // it lives inside the `AsyncFd`, which hands out shared references only.
    unsafe { AsyncFd::register_with_interest(fd, interest) }.map_err(io::Error::from)
}
