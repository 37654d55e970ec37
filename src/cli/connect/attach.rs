//! Joins the person's terminal and the session until one of them ends it.

use std::io::Read;
use std::time::Duration;

use anyhow::Context as _;
use devpocket_protocol::client::{Exit, ExitReason, SessionState, Status, close};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::escape::{Escapes, HELP, Typed};
use super::screen::Screen;
use crate::client::{Event, TerminalClient};

/// After how long away the person is told over the screen, and not in the title alone.
const LONG_AWAY: Duration = Duration::from_secs(3);

/// How long a session must be silent after the end of piped input.
const QUIET: Duration = Duration::from_secs(1);

/// What the end of piped input means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtEnd {
    /// The shell is to end: Ctrl-D, as at a keyboard.
    EndShell,
    /// The session goes on without us.
    Leave,
}

/// How it went on, or did not.
enum Outcome {
    Left,
    Ended(Exit),
    Closed(u16, String),
}

/// Shows the session until it ends or the person leaves; returns the exit code.
///
/// # Errors
/// When the session could not be reached, or the connection can't go on.
pub async fn attach(client: TerminalClient, at_end: AtEnd) -> anyhow::Result<u8> {
    let screen = Screen::open().context("this terminal can't be made raw")?;
    let input = read_input();
    let mut terminal = Terminal {
        piped: !screen.is_terminal(),
        screen,
        client,
        at_end,
        escapes: Escapes::Beginning,
        written: None,
        waiting: Vec::new(),
        input_ended: None,
        away_since: None,
        heard: false,
        told: false,
        exit: None,
    };
    let outcome = terminal.run(input).await;
    let Terminal { screen, client, piped, .. } = terminal;
    client.leave().await;
    drop(screen);
    match outcome? {
        Outcome::Left => {
            if !piped {
                eprintln!("\r\n[left; the session goes on]");
            }
            Ok(0)
        }
        Outcome::Ended(exit) => Ok(tell_end(&exit, piped)),
        Outcome::Closed(code, reason) => {
            anyhow::bail!("{}", closed_text(code, &reason))
        }
    }
}

fn tell_end(exit: &Exit, piped: bool) -> u8 {
    let (text, code) = match (exit.reason, exit.code, &exit.signal) {
        (ExitReason::Exited, code, _) => {
            let code = u8::try_from(code.unwrap_or(0)).unwrap_or(u8::MAX);
            (format!("the shell ended with {code}"), code)
        }
        (ExitReason::Signaled, _, signal) => {
            (format!("{} ended the shell", signal.as_deref().unwrap_or("a signal")), 1)
        }
        (ExitReason::Closed, ..) => ("the session was ended".to_owned(), 1),
        (ExitReason::FailedToStart, ..) => ("the shell could not be started".to_owned(), 1),
        (ExitReason::EnvironmentGone, ..) => {
            ("the environment stopped, and the session with it".to_owned(), 1)
        }
        (ExitReason::PodGone, ..) => {
            ("what the environment ran in went away; it starts again, connect anew".to_owned(), 1)
        }
    };
    if !piped || code != 0 {
        eprintln!("\r\n[{text}]");
    }
    code
}

fn closed_text(code: u16, reason: &str) -> String {
    let text = match code {
        close::GONE => "the environment was deleted",
        close::DETACHED => "detached by an operator or from another device",
        close::FORBIDDEN => "this is not allowed while only looking",
        _ => "the server closed the connection",
    };
    if reason.is_empty() { format!("{text} ({code})") } else { format!("{text}: {reason} ({code})") }
}

/// A thread of its own: reading standard input can't be cancelled, and nobody waits for a
/// thread at the end of the process.
fn read_input() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(4);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(n @ 1..) = std::io::stdin().read(&mut buffer) {
            if sender.blocking_send(buffer[..n].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}

struct Terminal {
    screen: Screen,
    client: TerminalClient,
    piped: bool,
    at_end: AtEnd,
    escapes: Escapes,
    /// The end of the output that was written.
    written: Option<u64>,
    /// Typed, but the client has no room for it yet.
    waiting: Vec<u8>,
    /// Since when nothing happened after the end of piped input.
    input_ended: Option<Instant>,
    away_since: Option<Instant>,
    /// Whether the session can be heard: only then its silence means something.
    heard: bool,
    /// Whether the person was told of it over the screen.
    told: bool,
    exit: Option<Exit>,
}

impl Terminal {
    async fn run(&mut self, mut input: mpsc::Receiver<Vec<u8>>) -> anyhow::Result<Outcome> {
        let watch = |kind| signal(kind).context("can't watch signals");
        let mut resized: Signal = watch(SignalKind::window_change())?;
        let mut foreground = watch(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?;
        let (mut hangup, mut terminate) = (watch(SignalKind::hangup())?, watch(SignalKind::terminate())?);
        let far = Instant::now() + Duration::from_secs(86_400 * 365);
        loop {
            let told = self.away_since.filter(|_| !self.told).map_or(far, |since| since + LONG_AWAY);
            let quiet = self.input_ended.map_or(far, |since| since + QUIET);
            tokio::select! {
                event = self.client.next_event() => {
                    if let Some(outcome) = self.event(event?)? {
                        return Ok(outcome);
                    }
                }
                data = input.recv(), if self.waiting.is_empty() && self.input_ended.is_none() => {
                    match data {
                        Some(data) => if self.typed(&data) {
                            return Ok(Outcome::Left);
                        },
                        None => self.end_of_input(),
                    }
                }
                () = sleep_until(quiet), if self.waiting.is_empty() && self.heard => {
                    if self.client.resume().unacked() == 0 && self.at_end == AtEnd::Leave {
                        return Ok(Outcome::Left);
                    }
                    self.end_of_input();
                }
                () = sleep_until(told) => self.long_away(),
                _ = resized.recv() => self.client.resize(Screen::size()),
                _ = foreground.recv() => self.client.hurry(),
                _ = hangup.recv() => return Ok(Outcome::Left),
                _ = terminate.recv() => return Ok(Outcome::Left),
            }
            self.push();
        }
    }

    /// What a person or a pipe typed; returns whether they leave.
    fn typed(&mut self, data: &[u8]) -> bool {
        if self.piped {
            self.waiting.extend_from_slice(data);
            return false;
        }
        for typed in self.escapes.read(data) {
            match typed {
                Typed::Bytes(bytes) => self.waiting.extend_from_slice(&bytes),
                Typed::Help => self.screen.say(HELP),
                Typed::Leave => return true,
            }
        }
        false
    }

    /// The pipe is at its end, or nothing happened for a while after it.
    fn end_of_input(&mut self) {
        // Again if need be: a program may have eaten the first one.
        let taken = self.client.resume().unacked() == 0 && self.waiting.is_empty();
        if self.at_end == AtEnd::EndShell && (taken || self.input_ended.is_none()) {
            self.waiting.push(0x04);
        }
        self.input_ended = Some(Instant::now());
    }

    /// Gives the client what it has room for.
    fn push(&mut self) {
        let n = self.client.type_bytes(&self.waiting);
        self.waiting.drain(..n);
    }

    fn event(&mut self, event: Event) -> anyhow::Result<Option<Outcome>> {
        match event {
            Event::Hello(_) => {
                self.told = false;
                self.heard_again();
                if self.away_since.take().is_some() {
                    self.screen.clear_status();
                }
            }
            Event::Output { offset, data } => {
                self.written = Some(offset + data.len() as u64);
                self.input_ended = self.input_ended.map(|_| Instant::now());
                self.screen.write(&data).context("can't write to the terminal")?;
            }
            Event::Snapshot { offset, data, .. } => {
                let missed = self.written.replace(offset).map_or(0, |end| offset.saturating_sub(end));
                if missed > 0 && !self.screen.is_shown() {
                    eprintln!("devpocket: {missed} bytes of output were missed");
                }
                self.screen.redraw(&data).context("can't write to the terminal")?;
            }
            Event::Away { reason, .. } => {
                self.heard = false;
                if self.away_since.is_none() {
                    self.away_since = Some(Instant::now());
                    self.screen.title("connection lost, retrying…");
                }
                tracing::debug!(reason, "away");
            }
            Event::Status(Status { state, message, .. }) => {
                let text = match state {
                    SessionState::Live => None,
                    SessionState::Reconnecting => Some("the environment can't be reached, retrying…"),
                    SessionState::EnvironmentStarting => Some("the environment is starting…"),
                    SessionState::Draining => Some(message.as_deref().unwrap_or("the server restarts…")),
                };
                if let Some(text) = text {
                    self.heard = false;
                    self.screen.title(text);
                } else {
                    self.heard_again();
                    self.screen.clear_status();
                }
            }
            Event::Exit(exit) => self.exit = Some(exit),
            Event::Closed { code, reason } => {
                return Ok(Some(match self.exit.take() {
                    Some(exit) => Outcome::Ended(exit),
                    None => Outcome::Closed(code, reason),
                }));
            }
            Event::InputAck(_) => {}
        }
        Ok(None)
    }

    /// What could not come meanwhile was no silence of the session's.
    fn heard_again(&mut self) {
        if !std::mem::replace(&mut self.heard, true) {
            self.input_ended = self.input_ended.map(|_| Instant::now());
        }
    }

    /// A title may not be visible: after a while the line goes over the screen, and the screen
    /// is asked for anew.
    fn long_away(&mut self) {
        self.told = true;
        if self.screen.draw_over("devpocket: connection lost, retrying… (Enter ~. leaves)") {
            self.client.forget_screen();
        }
    }
}
