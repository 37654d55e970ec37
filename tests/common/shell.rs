//! A client at a shell: types, and keeps what comes.

use devpocket::client::{ClientError, Event, Options, TerminalClient};
use devpocket_protocol::Size;
use devpocket_protocol::client::{Exit, Hello, Status};
use uuid::Uuid;

use super::soon;

/// A terminal client that remembers everything.
pub struct Shell {
    /// The client.
    pub client: TerminalClient,
    /// All output and the bytes of snapshots, as they came.
    pub received: Vec<u8>,
    /// Output alone, since the last snapshot or the beginning.
    pub since_snapshot: Vec<u8>,
    /// Where `received` was replaced by a snapshot: its place there, its offset and size.
    pub snapshots: Vec<(usize, u64, Size)>,
    /// HELLOs so far.
    pub hellos: Vec<Hello>,
    /// How often the connection was lost.
    pub losses: usize,
    /// Why, each time.
    pub away: Vec<String>,
    /// The last close, once it came.
    pub closed: Option<(u16, String)>,
    /// How the session ended, once it did.
    pub exit: Option<Exit>,
    /// Statuses so far.
    pub statuses: Vec<Status>,
    typed: Vec<u8>,
}

impl Shell {
    /// A client that connects at its first event.
    pub fn new(options: Options) -> Self {
        Self {
            client: TerminalClient::new(options),
            received: Vec::new(),
            since_snapshot: Vec::new(),
            snapshots: Vec::new(),
            hellos: Vec::new(),
            losses: 0,
            away: Vec::new(),
            closed: None,
            exit: None,
            statuses: Vec::new(),
            typed: Vec::new(),
        }
    }

    /// A client that is connected.
    pub async fn open(options: Options) -> Self {
        let mut shell = Self::new(options);
        shell.until("HELLO", |shell| !shell.hellos.is_empty()).await;
        shell
    }

    /// A client at a shell that is ready and echoes nothing it is not told to: what programs
    /// write is all that comes.
    pub async fn quiet(options: Options) -> Self {
        let mut shell = Self::open(options).await;
        // The marks are cut in two, so that the echo does not hold them.
        shell.type_text("PS1= PS2=; unset PROMPT_COMMAND; stty -echo; bind 'set enable-bracketed-paste off' 2>/dev/null; printf 'REA%s\\n' DY\n");
        shell.until_text("READY\r\n").await;
        shell.forget();
        shell
    }

    /// Types, some time soon.
    pub fn type_text(&mut self, text: &str) {
        self.typed.extend_from_slice(text.as_bytes());
        self.push();
    }

    fn push(&mut self) {
        let n = self.client.type_bytes(&self.typed);
        self.typed.drain(..n);
    }

    /// Forgets what came so far.
    pub fn forget(&mut self) {
        self.received.clear();
        self.since_snapshot.clear();
        self.snapshots.clear();
    }

    /// Waits for one event and notes it.
    pub async fn step(&mut self) -> Result<(), ClientError> {
        self.push();
        match self.client.next_event().await? {
            Event::Hello(hello) => self.hellos.push(hello),
            Event::Output { data, .. } => {
                self.received.extend_from_slice(&data);
                self.since_snapshot.extend_from_slice(&data);
            }
            Event::Snapshot { offset, size, data } => {
                self.snapshots.push((self.received.len(), offset, size));
                self.received.extend_from_slice(&data);
                self.since_snapshot.clear();
            }
            Event::Status(status) => self.statuses.push(status),
            Event::Exit(exit) => self.exit = Some(exit),
            Event::Away { reason, .. } => {
                self.losses += 1;
                self.away.push(reason);
            }
            Event::Closed { code, reason } => self.closed = Some((code, reason)),
            Event::InputAck(_) => {}
        }
        Ok(())
    }

    /// Goes on until something is the case.
    pub async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !done(self) {
                assert!(self.closed.is_none(), "closed with {:?} while waiting for {what}", self.closed);
                self.step().await.unwrap();
            }
        };
        soon(what, waiting).await;
    }

    /// Goes on until the output ends with, or holds, this text.
    pub async fn until_text(&mut self, text: &str) {
        let mut from = 0;
        let what = format!("{text:?}");
        let waiting = async {
            loop {
                if let Some(at) = find(&self.received[from..], text.as_bytes()) {
                    return from + at;
                }
                from = self.received.len().saturating_sub(text.len());
                assert!(self.closed.is_none(), "closed with {:?} while waiting for {what}", self.closed);
                self.step().await.unwrap();
                from = from.min(self.received.len());
            }
        };
        soon(&what, waiting).await;
    }

    /// Goes on until everything typed has reached the agent.
    pub async fn until_taken(&mut self) {
        self.until("INPUT_ACK", |shell| shell.typed.is_empty() && shell.client.resume().unacked() == 0).await;
    }

    /// Runs a command in a quiet shell and returns what it wrote.
    pub async fn run(&mut self, command: &str) -> String {
        // Marks of its own: a snapshot may show those of an earlier command.
        let mark = &Uuid::new_v4().simple().to_string()[..8];
        let (begin, end) = (format!("<{mark}\r\n"), format!("{mark}>\r\n"));
        self.forget();
        self.type_text(&format!("printf '<%s\\n' {mark}; {command}; printf '%s>\\n' {mark}\n"));
        self.until_text(&end).await;
        let text = String::from_utf8_lossy(&self.received).into_owned();
        let text = text.split(&end).next().unwrap();
        text.split(&begin).last().unwrap().to_owned()
    }
}

/// Where `needle` begins in `hay`.
pub fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|window| window == needle)
}
