//! `attach --socket PATH`: joins stdin and stdout to the agent's socket.
//!
//! Two threads with one buffer each and no runtime: the command is run anew for each channel,
//! so it must start at once. The end of stdin is passed on as a half-close, and what the agent
//! still has to say is still written.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, poll};

/// What one direction holds at most, in bytes.
const BUFFER: usize = 32 * 1024;

/// Runs until either side has ended.
///
/// # Errors
/// When the socket can't be reached, or stdout is gone.
pub fn attach(path: &Path) -> io::Result<()> {
    let socket = crate::socket::connect(path).map_err(|e| {
        io::Error::new(e.kind(), format!("no agent can be reached at {}: {e}", path.display()))
    })?;
    let mut to_agent = socket.try_clone()?;
    std::thread::spawn(move || {
        // An error on either side ends this direction; the other one finds out by itself.
        let _ = copy(&mut io::stdin().lock(), &mut to_agent);
        let _ = to_agent.shutdown(Shutdown::Write);
    });
    let (mut from_agent, mut stdout) = (&socket, io::stdout().lock());
    let mut buffer = vec![0; BUFFER];
    loop {
        wait(&socket, &stdout)?;
        match from_agent.read(&mut buffer) {
            Ok(0) => return stdout.flush(),
            Ok(n) => {
                stdout.write_all(&buffer[..n])?;
                stdout.flush()?;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            // The agent closed while bytes of ours were still unread: its end, not a failure.
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return stdout.flush(),
            Err(e) => return Err(e),
        }
    }
}

/// Waits until the agent says something. Fails when nobody reads stdout any more: an idle
/// channel whose reader died would stay for ever otherwise.
fn wait(socket: impl AsFd, stdout: impl AsFd) -> io::Result<()> {
    let mut fds = [PollFd::new(&socket, PollFlags::IN), PollFd::new(&stdout, PollFlags::empty())];
    loop {
        match poll(&mut fds, None) {
            Ok(_) if !fds[0].revents().is_empty() => return Ok(()),
            Ok(_) if !fds[1].revents().is_empty() => {
                return Err(io::Error::new(io::ErrorKind::BrokenPipe, "nobody reads the output"));
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => to.write_all(&buffer[..n])?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}
