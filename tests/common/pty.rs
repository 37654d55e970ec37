//! Programs in a terminal of their own.

use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tokio::io::unix::AsyncFd;

use super::soon;

/// A program in a PTY; it ends when this is dropped.
pub struct Pty {
    fd: AsyncFd<OwnedFd>,
    child: Child,
}

impl Pty {
    /// Runs a shell's command line.
    pub fn spawn(program: &str) -> Self {
        let pty = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&pty).unwrap();
        unlockpt(&pty).unwrap();
        let name = ptsname(&pty, Vec::new()).unwrap().into_string().unwrap();
        let open = || std::fs::File::options().read(true).write(true).open(&name).unwrap();
        let child = Command::new("/bin/sh")
            .args(["-c", program])
            .stdin(Stdio::from(open()))
            .stdout(Stdio::from(open()))
            .stderr(Stdio::from(open()))
            .spawn()
            .unwrap();
        rustix::io::ioctl_fionbio(&pty, true).unwrap();
        #[expect(deprecated, reason = "its successor is unsafe; this descriptor stays with its owner")]
        let fd = AsyncFd::new(pty).unwrap();
        Self { fd, child }
    }

    /// Waits until the program has written this.
    pub async fn until(&self, text: &[u8]) {
        let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
        while !all.windows(text.len()).any(|window| window == text) {
            let n = soon("a program's output", self.read(&mut buffer)).await;
            assert!(n > 0, "the program ended: {}", String::from_utf8_lossy(&all));
            all.extend_from_slice(&buffer[..n]);
        }
    }

    /// Types.
    pub async fn write(&self, data: &[u8]) {
        let mut done = 0;
        while done < data.len() {
            let mut ready = self.fd.writable().await.unwrap();
            if let Ok(Ok(n)) = ready.try_io(|fd| rustix::io::write(fd, &data[done..]).map_err(Into::into)) {
                done += n;
            }
        }
    }

    /// As much as there is: a PTY gives at most a page at a time. 0 at the end.
    pub async fn read(&self, buffer: &mut [u8]) -> usize {
        let mut n = 0;
        while n == 0 {
            let Ok(mut ready) = self.fd.readable().await else { return 0 };
            while n < buffer.len() {
                match ready.try_io(|fd| rustix::io::read(fd, &mut buffer[n..]).map_err(Into::into)) {
                    Ok(Ok(0) | Err(_)) => return n,
                    Ok(Ok(more)) => n += more,
                    Err(_) => break,
                }
            }
        }
        n
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
