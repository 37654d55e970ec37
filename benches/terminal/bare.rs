//! The peer: a WebSocket task in front of a PTY and nothing else, in a process of its own.

use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, accept_async_with_config, client_async_with_config};

use crate::common::pty::Pty;
use crate::figures::percentile;
use crate::keys::ECHO;
use crate::product::BULK;
use crate::relay::{self, Relay};

type Ws = WebSocketStream<TcpStream>;

fn config() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(0)
}

/// The peer's server: a program in a PTY for each connection, its own or a relay's.
pub async fn serve(port: u16, relay: Option<PathBuf>) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let relay = relay.clone();
        tokio::spawn(async move { connection(tcp, relay).await });
    }
}

async fn connection(tcp: TcpStream, relay: Option<PathBuf>) {
    // Whoever only looks whether somebody listens makes no handshake.
    let Ok(mut ws) = accept_async_with_config(tcp, Some(config())).await else { return };
    let Some(Ok(Message::Text(program))) = ws.next().await else { return };
    let (mut sink, mut stream) = ws.split();
    let mut buffer = vec![0; 64 * 1024];
    if let Some(relay) = relay {
        let (mut reader, mut writer) = relay::open(&relay, program.as_str()).await.into_split();
        let writing = async {
            while let Some(Ok(Message::Binary(data))) = stream.next().await {
                writer.write_all(&data).await.unwrap();
            }
        };
        let reading = async {
            while let Ok(n @ 1..) = reader.read(&mut buffer).await {
                if sink.send(Message::Binary(Bytes::copy_from_slice(&buffer[..n]))).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! { () = writing => {}, () = reading => {} }
        return;
    }
    let pty = Pty::spawn(program.as_str());
    let writing = async {
        while let Some(Ok(Message::Binary(data))) = stream.next().await {
            pty.write(&data).await;
        }
    };
    let reading = async {
        while let n @ 1.. = pty.read(&mut buffer).await {
            if sink.send(Message::Binary(Bytes::copy_from_slice(&buffer[..n]))).await.is_err() {
                return;
            }
        }
    };
    tokio::select! { () = writing => {}, () = reading => {} }
}

/// The peer's process.
pub struct Bare {
    child: Child,
    port: u16,
    _relay: Option<Relay>,
}

impl Bare {
    /// The server alone.
    pub async fn start() -> Self {
        Self::with(None).await
    }

    /// The server with its PTYs in another process.
    pub async fn relayed() -> Self {
        Self::with(Some(Relay::start().await)).await
    }

    async fn with(relay: Option<Relay>) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["bare-server", &port.to_string()])
            .args(relay.iter().map(|relay| &relay.socket))
            .spawn()
            .unwrap();
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Self { child, port, _relay: relay }
    }

    async fn open(&self, program: &str) -> Ws {
        let tcp = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let url = format!("ws://127.0.0.1:{}/", self.port);
        let (mut ws, _) = client_async_with_config(url, tcp, Some(config())).await.unwrap();
        ws.send(Message::text(program)).await.unwrap();
        until(&mut ws, b"READY").await;
        ws
    }

    /// p50 and p99 of echoed keys, in microseconds.
    pub async fn echo(&self, sessions: usize, keys: usize) -> (f64, f64) {
        let mut all = Vec::new();
        let mut sockets = Vec::new();
        for _ in 0..sessions {
            sockets.push(self.open(ECHO).await);
        }
        let (each, pause) = crate::product::schedule(sessions, keys);
        let tasks = sockets.into_iter().map(|mut ws| {
            tokio::spawn(async move {
                let mut took = Vec::new();
                for _ in 0..each {
                    tokio::time::sleep(pause).await;
                    let pressed = Instant::now();
                    ws.send(Message::Binary(Bytes::from_static(b"k"))).await.unwrap();
                    let _ = ws.next().await.unwrap().unwrap();
                    took.push(pressed.elapsed().as_secs_f64() * 1e6);
                }
                took
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            all.extend(task.await.unwrap());
        }
        (percentile(&all, 0.5), percentile(&all, 0.99))
    }

    /// MB/s of output.
    pub async fn bulk(&self, bytes: usize) -> f64 {
        let mut ws = self.open(&BULK.replace("BYTES", &bytes.to_string())).await;
        let started = Instant::now();
        ws.send(Message::Binary(Bytes::from_static(b"\n"))).await.unwrap();
        let mut got = 0;
        while got < bytes {
            got += ws.next().await.unwrap().unwrap().len();
        }
        bytes as f64 / 1e6 / started.elapsed().as_secs_f64()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn until(ws: &mut Ws, text: &[u8]) {
    let mut all = Vec::new();
    while !all.windows(text.len()).any(|window| window == text) {
        all.extend_from_slice(&ws.next().await.unwrap().unwrap().into_data());
    }
}
