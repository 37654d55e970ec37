//! One terminal session: a PTY, its ring, its screen, its input, its end.
//!
//! * [`input`]: input streams and the bytes that wait for the program.
//! * [`display`]: the screen, parsed lazily from the ring.
//! * [`tasks`]: what moves the bytes.
//! * [`table`]: all sessions of the agent.

mod display;
mod input;
mod table;
mod tasks;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use devpocket_protocol::Size;
use devpocket_protocol::agent::{AGENT_RING, OpenSession, SessionInfo, StreamId};
use devpocket_protocol::client::{Exit, ExitReason};
use devpocket_protocol::input::InputGap;
use devpocket_protocol::ring::{OutOfRange, Ring};
use rustix::process::{Pid, Signal};
use tokio::sync::Notify;

use self::display::Display;
pub(crate) use self::display::Picture;
use self::input::Inputs;
pub use self::input::PENDING;
pub use self::table::{LIVE, Sessions};
use crate::agent::Agent;
use crate::pty::Pty;
use crate::reaper::Reaper;

/// How long a session that is being closed may take to end by itself.
pub(crate) const GRACE: Duration = Duration::from_secs(2);

/// How many channels one session serves. An exec channel may hang half dead for long while
/// its successors come; the oldest goes first.
pub const CHANNELS: usize = 8;

/// The shortest time between two redraws asked of a full-screen program.
const NUDGE: Duration = Duration::from_secs(1);

/// A terminal session. It outlives its program until it is forgotten.
pub struct Session {
    id: String,
    name: String,
    leader: Pid,
    reaper: Rc<Reaper>,
    state: RefCell<State>,
    /// There is output, room for input, or an end.
    changed: Notify,
    /// There is input for the program.
    typed: Notify,
    /// Whether somebody asked for the end, and how it is to be called then.
    closing: Cell<Option<ExitReason>>,
    nudged: Cell<Option<Instant>>,
    channels: RefCell<Vec<Rc<Notify>>>,
}

struct State {
    ring: Ring,
    display: Display,
    size: Size,
    inputs: Inputs,
    /// Until the end.
    pty: Option<Rc<Pty>>,
    exit: Option<Exit>,
}

impl Session {
    /// Starts a shell.
    pub(crate) fn start(agent: &Rc<Agent>, open: &OpenSession) -> Result<Rc<Self>, String> {
        let shell = crate::shell::find(&agent.config)
            .ok_or("This environment has no shell: none of bash, zsh and sh can be run in it.")?;
        let failed = |what: &str| {
            let what = what.to_owned();
            move |e: std::io::Error| format!("{what}: {e}")
        };
        let (pty, terminal) = Pty::open(open.size).map_err(failed("No terminal could be opened"))?;
        let child = tasks::spawn(agent, &shell, open, terminal)
            .map_err(failed(&format!("{} could not be started", shell.display())))?;
        let pty = Rc::new(pty);
        let session = Rc::new(Self {
            id: open.id.clone(),
            name: open.name.clone(),
            leader: child,
            reaper: agent.reaper.clone(),
            state: RefCell::new(State {
                ring: Ring::new(AGENT_RING),
                display: Display::new(open.size),
                size: open.size,
                inputs: Inputs::default(),
                pty: Some(pty.clone()),
                exit: None,
            }),
            changed: Notify::new(),
            typed: Notify::new(),
            closing: Cell::new(None),
            nudged: Cell::new(None),
            channels: RefCell::default(),
        });
        let status = agent.reaper.watch(child);
        tokio::task::spawn_local(tasks::write(session.clone(), pty.clone()));
        tokio::task::spawn_local(tasks::read(session.clone(), pty, status, agent.clone()));
        Ok(session)
    }

    /// Woken at each change; register before looking.
    pub(crate) fn changed(&self) -> &Notify {
        &self.changed
    }

    pub(crate) fn info(&self) -> SessionInfo {
        let state = self.state.borrow();
        SessionInfo {
            id: self.id.clone(),
            name: self.name.clone(),
            output_offset: state.ring.end(),
            oldest_offset: state.ring.start(),
            exit: state.exit.clone(),
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn size(&self) -> Size {
        self.state.borrow().size
    }

    /// How the session ended, if it did.
    pub(crate) fn exit(&self) -> Option<Exit> {
        self.state.borrow().exit.clone()
    }

    /// Where a channel begins that has everything before `from` and wants at most `backfill`
    /// bytes of what is held.
    pub(crate) fn start_for(&self, from: Option<u64>, backfill: u64) -> u64 {
        let ring = &self.state.borrow().ring;
        let earliest = ring.start().max(ring.end().saturating_sub(backfill));
        from.filter(|from| (earliest..=ring.end()).contains(from)).unwrap_or(earliest)
    }

    /// Copies output from `cursor` on. A cursor that fell off the ring is moved to the oldest
    /// byte held: the receiver sees the gap by the offset.
    pub(crate) fn output(&self, cursor: &mut u64, max: usize, out: &mut Vec<u8>) {
        let ring = &self.state.borrow().ring;
        if let Err(OutOfRange::Evicted { oldest }) = ring.check(*cursor) {
            *cursor = oldest;
        }
        // Ahead of the end can't be: cursors come from this ring.
        let _ = ring.read(*cursor, max, out);
    }

    /// Takes input; returns how many bytes of `data` are done with.
    pub(crate) fn input(&self, stream: StreamId, offset: u64, data: &[u8]) -> Result<usize, InputGap> {
        let mut state = self.state.borrow_mut();
        let idle = state.inputs.front().is_empty();
        let taken = state.inputs.take(stream, offset, data)?;
        let Some(pty) = state.pty.clone() else {
            // Nobody will ever read it: it counts as taken, so that nobody sends it again.
            state.inputs.clear();
            return Ok(taken);
        };
        if idle && let Ok(n) = pty.write(state.inputs.front()) {
            // The way of almost every key: straight into the terminal.
            state.inputs.written(n);
        }
        if !state.inputs.front().is_empty() {
            self.typed.notify_one();
        }
        Ok(taken)
    }

    /// How far a stream was taken.
    pub(crate) fn expected(&self, stream: StreamId) -> u64 {
        self.state.borrow().inputs.expected(stream)
    }

    /// Gives the terminal another size; the program is told by SIGWINCH.
    pub(crate) fn resize(&self, size: Size) {
        let state = &mut *self.state.borrow_mut();
        if size != state.size && state.exit.is_none() {
            state.display.resize(size, &state.ring);
            state.size = size;
            if let Some(pty) = &state.pty {
                // Fails only on a terminal that is gone, which the reader finds out.
                let _ = pty.resize(size);
            }
        }
    }

    /// A picture of the screen. A full-screen program is asked to draw it again as well: its
    /// own idea of the screen is better than any emulator's.
    pub(crate) fn picture(&self) -> Picture {
        let state = &mut *self.state.borrow_mut();
        let picture = state.display.picture(&state.ring);
        let due = self.nudged.get().is_none_or(|last| last.elapsed() >= NUDGE);
        if picture.alternate && due {
            self.nudged.set(Some(Instant::now()));
            state.pty.as_ref().map(|pty| pty.signal_foreground(Signal::WINCH));
        }
        picture
    }

    /// Registers a channel; the value tells it to close when too many have come after it.
    pub(crate) fn join(&self) -> Rc<Notify> {
        let mut channels = self.channels.borrow_mut();
        if channels.len() >= CHANNELS {
            channels.remove(0).notify_one();
        }
        let closed = Rc::new(Notify::new());
        channels.push(closed.clone());
        closed
    }

    /// Takes a channel off the list.
    pub(crate) fn leave(&self, channel: &Rc<Notify>) {
        self.channels.borrow_mut().retain(|other| !Rc::ptr_eq(other, channel));
    }

    /// Asks the session to end: hang-up now, and after [`GRACE`] no more asking.
    pub(crate) fn close(self: &Rc<Self>, reason: ExitReason) {
        if self.closing.replace(Some(reason)).is_some() {
            return;
        }
        self.hang_up();
        let session = self.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(GRACE).await;
            if session.exit().is_none() {
                session.kill();
            }
        });
    }

    fn hang_up(&self) {
        for signal in [Signal::HUP, Signal::CONT] {
            self.signal(signal);
        }
    }

    /// Ends the session without asking.
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
        crate::processes::kill_session(self.leader);
    }

    fn signal(&self, signal: Signal) {
        if let Some(pty) = &self.state.borrow().pty {
            pty.signal_foreground(signal);
        }
        self.reaper.signal_group(self.leader, signal);
    }
}
