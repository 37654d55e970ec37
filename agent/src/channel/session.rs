//! The session role: one terminal.

use std::collections::VecDeque;
use std::rc::Rc;

use bytes::{Buf, Bytes};
use devpocket_protocol::agent::frame::encode_output;
use devpocket_protocol::agent::{
    AgentFrame, OpenSession, ServerFrame, StreamId, VERSION as PROTOCOL, Welcome,
};
use tokio::sync::Notify;
use tokio::time::{Duration, Instant, sleep_until};

use super::wire::Wire;
use super::{End, malformed};
use crate::VERSION;
use crate::agent::Agent;
use crate::session::Session;

/// How long a channel stays after EXIT: the server closes it when its last client has read to
/// the end, and one that fell behind needs a snapshot for that.
const LINGER: Duration = Duration::from_secs(60);

/// How long the acknowledgement of input waits for output to travel with. An echo is what is
/// waited for at the other end; the acknowledgement would only get in its way.
const ACK_DELAY: Duration = Duration::from_millis(3);

/// How many bytes one OUTPUT carries at most: an echo must not wait behind more.
const OUTPUT: usize = 32 * 1024;

/// How many bytes of input one channel holds that the session has no room for. Beyond it the
/// channel is not read, so not even a PING is answered; a server that keeps less than this
/// unacknowledged never gets there.
const HELD: usize = 256 * 1024;

/// How many frames of input at most: small ones cost more than their bytes.
const HELD_FRAMES: usize = 4096;

/// How many answers may wait to be written before the channel is not read any further.
const ANSWERS: usize = 64;

/// A channel of one session.
struct Channel {
    session: Rc<Session>,
    /// The next output byte to send.
    cursor: u64,
    /// Frames that go before output. Streams appear once each.
    answers: VecDeque<AgentFrame>,
    /// A SNAPSHOT is wanted; it is made when it can be written, so requests that wait together
    /// get one.
    snapshot: bool,
    /// Input that the session has no room for yet, in order of arrival.
    held: VecDeque<(StreamId, u64, Bytes)>,
    held_bytes: usize,
    /// Streams whose progress is to be told with the next output, and when at the latest.
    acks: Vec<StreamId>,
    acks_due: Option<Instant>,
    /// EXIT was sent.
    done: bool,
}

/// Takes the channel off its session's list, however it ends.
struct Place<'a> {
    session: &'a Session,
    closed: Rc<Notify>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.session.leave(&self.closed);
    }
}

pub(super) async fn run(agent: &Rc<Agent>, wire: &mut Wire, open: &OpenSession) -> Result<(), End> {
    let session = agent.sessions.open(agent, open).map_err(End::Refused)?;
    let start = session.start_for(open.from, open.backfill);
    wire.push(&AgentFrame::Welcome(Welcome {
        version: PROTOCOL,
        agent: VERSION.into(),
        output_offset: start,
        oldest_offset: session.info().oldest_offset,
        end_offset: session.info().output_offset,
        size: session.size(),
    }));
    let place = Place { session: &session, closed: session.join() };
    let mut channel = Channel {
        session: session.clone(),
        cursor: start,
        answers: VecDeque::new(),
        snapshot: false,
        held: VecDeque::new(),
        held_bytes: 0,
        acks: Vec::new(),
        acks_due: None,
        done: false,
    };
    let mut ended = None;
    loop {
        let changed = session.changed().notified();
        let reads = channel.take_frames(wire)?;
        if wire.is_idle() {
            channel.write_next(wire);
            if wire.is_idle() && channel.done {
                if wire.is_half_closed() {
                    // Nobody can ask for anything any more.
                    return Ok(());
                }
                ended.get_or_insert_with(|| Instant::now() + LINGER);
            }
        }
        tokio::select! {
            turn = wire.turn(reads) => turn?,
            () = changed => {}
            () = sleep_until(channel.acks_due.unwrap_or_else(Instant::now)), if channel.acks_due.is_some() => {}
            () = sleep_until(ended.unwrap_or_else(Instant::now)), if ended.is_some() => return Ok(()),
            () = place.closed.notified() => return Ok(()),
        }
    }
}

impl Channel {
    /// Handles the frames that have arrived, as far as there is room for what they ask.
    /// Says whether to read on.
    fn take_frames(&mut self, wire: &mut Wire) -> Result<bool, End> {
        self.retry_held();
        while self.held_bytes < HELD && self.held.len() < HELD_FRAMES && self.answers.len() < ANSWERS {
            let Some(frame) = wire.next_frame()? else { return Ok(true) };
            self.handle(ServerFrame::decode(frame)?)?;
        }
        Ok(false)
    }

    fn handle(&mut self, frame: ServerFrame) -> Result<(), End> {
        match frame {
            ServerFrame::Input { stream, offset, data } => {
                // What came before goes first, whichever stream it is of.
                let taken = if self.held.is_empty() { self.input(stream, offset, &data) } else { 0 };
                if taken < data.len() {
                    // A copy: a slice would keep the whole read buffer.
                    let rest = Bytes::copy_from_slice(&data[taken..]);
                    self.held_bytes += rest.len();
                    self.held.push_back((stream, offset + taken as u64, rest));
                }
            }
            ServerFrame::Resize(size) => self.session.resize(size),
            ServerFrame::SnapshotRequest => self.snapshot = true,
            ServerFrame::StreamRequest(stream) => self.acknowledge(stream),
            ServerFrame::Ping(number) => self.answers.push_back(AgentFrame::Pong(number)),
            ServerFrame::Open(_) | ServerFrame::Control(_) => {
                return Err(malformed("this frame has no place on a session channel"));
            }
        }
        Ok(())
    }

    /// Gives input to the session; returns how many bytes are done with.
    fn input(&mut self, stream: StreamId, offset: u64, data: &[u8]) -> usize {
        let taken = match self.session.input(stream, offset, data) {
            Ok(0) if !data.is_empty() => return 0,
            Ok(taken) => taken,
            // Bytes are missing before it, so it can't be taken. The acknowledgement says which,
            // and the other streams of this channel have done nothing wrong.
            Err(_) => data.len(),
        };
        if !self.acks.contains(&stream) {
            self.acks.push(stream);
            self.acks_due.get_or_insert_with(|| Instant::now() + ACK_DELAY);
        }
        taken
    }

    fn retry_held(&mut self) {
        while let Some((stream, offset, mut data)) = self.held.pop_front() {
            let taken = self.input(stream, offset, &data);
            self.held_bytes -= taken;
            if taken < data.len() {
                data.advance(taken);
                self.held.push_front((stream, offset + taken as u64, data));
                return;
            }
        }
    }

    /// Answers how far a stream was taken, once however often it is asked until then.
    fn acknowledge(&mut self, stream: StreamId) {
        let told = AgentFrame::Stream { stream, offset: self.session.expected(stream) };
        let same =
            |answer: &&mut AgentFrame| matches!(answer, AgentFrame::Stream { stream: s, .. } if *s == stream);
        match self.answers.iter_mut().find(same) {
            Some(answer) => *answer = told,
            None => self.answers.push_back(told),
        }
    }

    /// Puts what is to be written next into the wire: answers, then a snapshot, then output and
    /// the acknowledgements that waited for it, then the end.
    fn write_next(&mut self, wire: &mut Wire) {
        for answer in self.answers.drain(..) {
            wire.push(&answer);
        }
        if std::mem::take(&mut self.snapshot) {
            let picture = self.session.picture();
            wire.push(&AgentFrame::Snapshot {
                offset: picture.offset,
                size: picture.size,
                data: picture.data.into(),
            });
        }
        let mut output = Vec::new();
        self.session.output(&mut self.cursor, OUTPUT, &mut output);
        if !output.is_empty() {
            encode_output(self.cursor, &output, wire.out());
            self.cursor += output.len() as u64;
            self.acks_due = self.acks_due.map(|_| Instant::now());
        } else if !self.done
            && let Some(exit) = self.session.exit()
        {
            wire.push(&AgentFrame::Exit(exit));
            self.done = true;
        }
        if self.acks_due.is_some_and(|due| due <= Instant::now()) {
            self.acks_due = None;
            for stream in std::mem::take(&mut self.acks) {
                let offset = self.session.expected(stream);
                wire.push(&AgentFrame::Stream { stream, offset });
            }
        }
    }
}
