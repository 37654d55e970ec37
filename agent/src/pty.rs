//! Pseudo-terminals.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use devpocket_protocol::Size;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};
use rustix::pty::OpenptFlags;
use rustix::termios::{InputModes, OptionalActions, Winsize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::sleep;

/// How often a terminal is tried whose readiness can't be known.
const BLIND: Duration = Duration::from_millis(20);

/// The agent's end of a pseudo-terminal.
#[derive(Debug)]
pub(crate) struct Pty {
    master: AsyncFd<OwnedFd>,
}

/// What a read found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    /// So many bytes, at least one.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// No process holds the other end. A process may open it again as `/dev/tty`.
    HungUp,
}

impl Pty {
    /// Opens one; the second value is the program's end.
    ///
    /// The other end is asked of the kernel, not opened by name, so it does not matter where
    /// (or whether) its file system is mounted in this mount namespace.
    pub(crate) fn open(size: Size) -> io::Result<(Self, OwnedFd)> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = rustix::pty::openpt(flags).or_else(|_| {
            // A devpts without the /dev/ptmx that usually goes with it.
            let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
            rustix::fs::open("/dev/pts/ptmx", flags, Mode::empty())
        })?;
        rustix::pty::unlockpt(&master)?;
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
        rustix::termios::tcsetwinsize(&master, winsize(size))?;
        // So that erasing a character in the line discipline erases all of its bytes.
        let mut attributes = rustix::termios::tcgetattr(&slave)?;
        attributes.input_modes |= InputModes::IUTF8;
        rustix::termios::tcsetattr(&slave, OptionalActions::Now, &attributes)?;
        let master = crate::io::register(master, Interest::READABLE | Interest::WRITABLE)?;
        Ok((Self { master }, slave))
    }

    /// Waits until there may be something to read, then reads as [`Pty::read_now`].
    pub(crate) async fn read(&self, buffer: &RefCell<Vec<u8>>) -> io::Result<Read> {
        let mut ready = self.master.readable().await?;
        let read = self.read_now(&mut buffer.borrow_mut())?;
        // A full buffer or a hang-up says nothing of what is still to come.
        if read == Read::Nothing {
            ready.clear_ready();
            if ready.ready().is_read_closed() {
                // Hung up once and opened again: the reactor says "ready" for ever from then on.
                drop(ready);
                sleep(BLIND).await;
            }
        }
        Ok(read)
    }

    /// Fills `buffer` as far as it goes without waiting: the terminal gives 4 KiB at a time,
    /// and one pass through the agent for each of them would cost more than the copying.
    pub(crate) fn read_now(&self, buffer: &mut [u8]) -> io::Result<Read> {
        let mut filled = 0;
        while filled < buffer.len() {
            match rustix::io::read(&self.master, &mut buffer[filled..]) {
                Ok(0) | Err(Errno::IO) if filled == 0 => return Ok(Read::HungUp),
                Ok(0) | Err(Errno::IO | Errno::AGAIN) => break,
                Ok(n) => filled += n,
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(if filled > 0 { Read::Bytes(filled) } else { Read::Nothing })
    }

    /// Writes what the terminal takes now; 0 when it is full.
    pub(crate) fn write(&self, data: &[u8]) -> io::Result<usize> {
        loop {
            match rustix::io::write(&self.master, data) {
                Ok(n) => return Ok(n),
                Err(Errno::AGAIN) => return Ok(0),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Waits until the terminal may take input again after [`Pty::write`] took none.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        // The readiness noted is from before that write.
        self.master.writable().await?.clear_ready();
        if self.master.writable().await?.ready().is_write_closed() {
            sleep(BLIND).await;
        }
        Ok(())
    }

    pub(crate) fn resize(&self, size: Size) -> io::Result<()> {
        Ok(rustix::termios::tcsetwinsize(&self.master, winsize(size))?)
    }

    /// Signals the foreground process group.
    pub(crate) fn signal_foreground(&self, signal: Signal) -> Option<Pid> {
        let group = rustix::termios::tcgetpgrp(&self.master).ok()?;
        rustix::process::kill_process_group(group, signal).ok()?;
        Some(group)
    }
}

fn winsize(size: Size) -> Winsize {
    Winsize { ws_row: size.rows(), ws_col: size.cols(), ws_xpixel: 0, ws_ypixel: 0 }
}
