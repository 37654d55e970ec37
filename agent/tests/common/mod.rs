//! A running agent and the channels to it.
#![allow(dead_code, missing_docs)]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use devpocket_protocol::Size;
use devpocket_protocol::agent::{
    AgentConfig, AgentFrame, ControlEvent, ControlRequest, FrameReader, Open, OpenSession, Role, ServerFrame,
    StreamId, VERSION, Welcome, config::Limits,
};
use devpocket_protocol::client::Exit;
use tempfile::TempDir;

/// Nothing that a test waits for takes longer, however busy the machine is.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub const STREAM: StreamId = StreamId([1; 16]);

pub fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_devpocket-agent")
}

pub struct Agent {
    pub dir: TempDir,
    pub socket: PathBuf,
    pub process: Child,
    /// What ends the process.
    pub ended_by: rustix::process::Signal,
}

pub fn config(dir: &Path) -> AgentConfig {
    AgentConfig {
        environment_id: "e1".into(),
        environment_name: "box".into(),
        socket: dir.join("agent.sock"),
        home: dir.to_owned(),
        user: None,
        shell: Some("/bin/bash".into()),
        variables: Default::default(),
        notes: vec![],
        install: vec![],
        startup: vec![],
        limits: Limits::default(),
    }
}

impl Agent {
    pub fn start() -> Self {
        Self::start_with(|_| {})
    }

    pub fn start_with(change: impl FnOnce(&mut AgentConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path());
        change(&mut config);
        // A prompt that is the same everywhere.
        for name in [".bash_profile", ".bashrc"] {
            std::fs::write(config.home.join(name), "PS1='$ '\n").unwrap();
        }
        std::fs::write(config.home.join(".inputrc"), "set enable-bracketed-paste off\n").unwrap();
        let file = dir.path().join("config.json");
        std::fs::write(&file, serde_json::to_string(&config).unwrap()).unwrap();
        let process =
            Command::new(binary()).args(["run", "--config"]).arg(&file).stdin(Stdio::null()).spawn().unwrap();
        let ended_by = rustix::process::Signal::TERM;
        let agent = Self { socket: config.socket, dir, process, ended_by };
        let deadline = Instant::now() + PATIENCE;
        // A path too long for a socket's address is tried by those who can.
        while agent.socket.as_os_str().len() < 108 && UnixStream::connect(&agent.socket).is_err() {
            assert!(Instant::now() < deadline, "the agent does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        agent
    }

    pub fn home(&self) -> &Path {
        self.dir.path()
    }

    pub fn raw(&self) -> Channel {
        Channel::new(UnixStream::connect(&self.socket).unwrap())
    }

    pub fn control(&self) -> Channel {
        let mut channel = self.raw();
        channel.send(&ServerFrame::Open(Open { version: VERSION, role: Role::Control }));
        channel.welcome();
        channel
    }

    pub fn open(&self, open: OpenSession) -> Channel {
        let mut channel = self.raw();
        channel.send(&ServerFrame::Open(Open { version: VERSION, role: Role::Session(open) }));
        channel
    }

    /// A session from its beginning.
    pub fn session(&self, id: &str) -> Channel {
        let mut channel = self.open(open(id));
        channel.welcome();
        channel
    }

    pub fn session_from(&self, id: &str, from: u64) -> Channel {
        let mut channel = self.open(OpenSession { from: Some(from), create: false, ..open(id) });
        channel.welcome();
        channel
    }

    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// CPU time used by the agent alone, in milliseconds.
    pub fn cpu_ms(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.process);
        let _ = rustix::process::kill_process(pid, self.ended_by);
        let _ = self.process.wait();
    }
}

pub fn open(id: &str) -> OpenSession {
    OpenSession {
        id: id.into(),
        name: "main".into(),
        size: Size::DEFAULT,
        create: true,
        from: Some(0),
        backfill: u64::MAX,
    }
}

pub struct Channel {
    pub stream: UnixStream,
    frames: FrameReader,
    /// What came of the session's output.
    pub output: Vec<u8>,
    /// The offset behind it.
    pub offset: u64,
    /// What of it [`Channel::wait_for`] has passed.
    seen: usize,
    /// How often the output went on at a later offset.
    pub gaps: u32,
    typed: u64,
}

impl Channel {
    pub fn new(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, frames: FrameReader::default(), output: vec![], offset: 0, seen: 0, gaps: 0, typed: 0 }
    }

    pub fn send(&mut self, frame: &ServerFrame) {
        let mut out = Vec::new();
        frame.encode(&mut out);
        self.stream.write_all(&out).unwrap();
    }

    /// The next frame; `None` at the end.
    pub fn next(&mut self) -> Option<AgentFrame> {
        loop {
            if let Some(frame) = self.frames.next_frame().unwrap() {
                let frame = AgentFrame::decode(frame).unwrap();
                if let AgentFrame::Output { offset, data } = &frame {
                    if self.output.is_empty() {
                        self.offset = *offset;
                    }
                    if *offset != self.offset {
                        self.gaps += 1;
                        self.output.clear();
                        self.seen = 0;
                        self.offset = *offset;
                    }
                    self.output.extend_from_slice(data);
                    self.offset += data.len() as u64;
                }
                return Some(frame);
            }
            let mut buffer = [0; 65536];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(n) => self.frames.buffer().extend_from_slice(&buffer[..n]),
                Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(e) => panic!("{e}; output so far: {}", self.text()),
            }
        }
    }

    pub fn find<T>(&mut self, mut wanted: impl FnMut(&AgentFrame) -> Option<T>) -> T {
        loop {
            let Some(frame) = self.next() else { panic!("the channel ended; output: {}", self.text()) };
            if let Some(found) = wanted(&frame) {
                return found;
            }
        }
    }

    pub fn welcome(&mut self) -> Welcome {
        match self.next() {
            Some(AgentFrame::Welcome(welcome)) => {
                self.offset = welcome.output_offset;
                welcome
            }
            other => panic!("{other:?}"),
        }
    }

    pub fn refusal(&mut self) -> devpocket_protocol::agent::Refusal {
        self.find(|frame| match frame {
            AgentFrame::Refused(refusal) => Some(refusal.clone()),
            _ => None,
        })
    }

    /// Types on the channel's own stream.
    pub fn type_in(&mut self, text: &str) {
        self.input(STREAM, self.typed, text.as_bytes());
        self.typed += text.len() as u64;
    }

    pub fn input(&mut self, stream: StreamId, offset: u64, data: &[u8]) {
        self.send(&ServerFrame::Input { stream, offset, data: Bytes::copy_from_slice(data) });
    }

    pub fn resume_typing_at(&mut self, offset: u64) {
        self.typed = offset;
    }

    pub fn expected(&mut self, stream: StreamId) -> u64 {
        self.send(&ServerFrame::StreamRequest(stream));
        self.acknowledged(stream)
    }

    pub fn acknowledged(&mut self, stream: StreamId) -> u64 {
        self.find(|frame| match frame {
            AgentFrame::Stream { stream: s, offset } if *s == stream => Some(*offset),
            _ => None,
        })
    }

    /// Waits until the output behind the last such place contains `text`.
    pub fn wait_for(&mut self, text: &str) {
        loop {
            let rest = &self.output[self.seen..];
            if let Some(at) = rest.windows(text.len()).position(|w| w == text.as_bytes()) {
                self.seen += at + text.len();
                return;
            }
            if self.next().is_none() {
                panic!("no {text:?} in {}", self.text());
            }
        }
    }

    pub fn snapshot(&mut self) -> (u64, Size, Vec<u8>) {
        self.send(&ServerFrame::SnapshotRequest);
        self.find(|frame| match frame {
            AgentFrame::Snapshot { offset, size, data } => Some((*offset, *size, data.to_vec())),
            _ => None,
        })
    }

    pub fn ping(&mut self, number: u64) {
        self.send(&ServerFrame::Ping(number));
        self.find(|frame| matches!(frame, AgentFrame::Pong(n) if *n == number).then_some(()));
    }

    pub fn exit(&mut self) -> Exit {
        self.find(|frame| match frame {
            AgentFrame::Exit(exit) => Some(exit.clone()),
            _ => None,
        })
    }

    pub fn request(&mut self, request: ControlRequest) {
        self.send(&ServerFrame::Control(request));
    }

    pub fn event<T>(&mut self, mut wanted: impl FnMut(&ControlEvent) -> Option<T>) -> T {
        self.find(|frame| match frame {
            AgentFrame::Control(event) => wanted(event),
            _ => None,
        })
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }
}
