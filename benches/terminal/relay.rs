//! The least that holding PTYs in a process of their own can cost: the bare server, and behind
//! it a process that does nothing but pass bytes between a Unix socket and a PTY. A server that
//! sessions outlive can't do without that process, so this is the floor for ours.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::LocalSet;

use crate::common::pty::Pty;

/// The process behind the server: one thread, as the agent has.
pub fn serve(socket: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let listener = UnixListener::bind(socket).unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::task::spawn_local(connection(stream));
        }
    });
}

/// Passes bytes on: first the program's length and text, then keys.
async fn connection(mut stream: UnixStream) {
    let Ok(length) = stream.read_u16().await else { return };
    let mut program = vec![0; length.into()];
    stream.read_exact(&mut program).await.unwrap();
    let pty = Pty::spawn(std::str::from_utf8(&program).unwrap());
    let (mut reader, mut writer) = stream.split();
    let writing = async {
        let mut buffer = [0; 1024];
        while let Ok(n @ 1..) = reader.read(&mut buffer).await {
            pty.write(&buffer[..n]).await;
        }
    };
    let reading = async {
        let mut buffer = vec![0; 64 * 1024];
        while let n @ 1.. = pty.read(&mut buffer).await {
            if writer.write_all(&buffer[..n]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! { () = writing => {}, () = reading => {} }
}

/// The server's side of one session.
pub async fn open(socket: &Path, program: &str) -> UnixStream {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    stream.write_u16(u16::try_from(program.len()).unwrap()).await.unwrap();
    stream.write_all(program.as_bytes()).await.unwrap();
    stream
}

/// The process; it ends when this is dropped.
pub struct Relay {
    child: Child,
    pub socket: PathBuf,
}

impl Relay {
    pub async fn start() -> Self {
        let socket = std::env::temp_dir().join(format!("devpocket-bench-{}.sock", std::process::id()));
        let _ = std::fs::remove_file(&socket);
        let child = Command::new(std::env::current_exe().unwrap()).arg("relay").arg(&socket).spawn().unwrap();
        while UnixStream::connect(&socket).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        Self { child, socket }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.socket);
    }
}
