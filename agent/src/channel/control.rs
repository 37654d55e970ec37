//! The control role: the environment as a whole.

use std::rc::Rc;
use std::time::Duration;

use devpocket_protocol::agent::frame::encode_output;
use devpocket_protocol::agent::{
    AgentFrame, ControlEvent, ControlRequest, Phase, ServerFrame, VERSION as PROTOCOL, Welcome,
};
use devpocket_protocol::client::ExitReason;
use devpocket_protocol::{Size, ring::OutOfRange};

use super::wire::Wire;
use super::{End, malformed};
use crate::VERSION;
use crate::agent::{Agent, Ending};
use crate::usage::usage;

/// How many bytes of the install log one OUTPUT carries at most.
const OUTPUT: usize = 32 * 1024;

/// How many bytes of answers may wait before the channel is not read any further.
const WAITING: usize = 64 * 1024;

/// The longest time that a shutdown may be asked to wait.
const LONGEST_GRACE: Duration = Duration::from_secs(300);

pub(super) async fn run(agent: &Rc<Agent>, wire: &mut Wire) -> Result<(), End> {
    wire.push(&AgentFrame::Welcome(Welcome {
        version: PROTOCOL,
        agent: VERSION.into(),
        output_offset: agent.log.ring.borrow().end(),
        oldest_offset: agent.log.ring.borrow().start(),
        end_offset: agent.log.ring.borrow().end(),
        size: Size::DEFAULT,
    }));
    let mut phase: Option<Phase> = None;
    let mut log: Option<u64> = None;
    loop {
        let (changed, logged) = (agent.changed.notified(), agent.log.changed.notified());
        let now = agent.phase();
        if phase.as_ref() != Some(&now) {
            phase = Some(now.clone());
            wire.push(&AgentFrame::Control(ControlEvent::Phase { phase: now }));
        }
        while wire.out().len() < WAITING {
            match wire.next_frame()?.map(ServerFrame::decode).transpose()? {
                Some(ServerFrame::Control(ControlRequest::FollowLog { from })) => log = Some(from),
                Some(ServerFrame::Control(request)) => answer(agent, wire, request),
                Some(ServerFrame::Ping(number)) => wire.push(&AgentFrame::Pong(number)),
                Some(_) => return Err(malformed("this frame has no place on a control channel")),
                None => break,
            }
        }
        if wire.is_idle()
            && let Some(cursor) = &mut log
        {
            write_log(agent, cursor, wire);
        }
        let reads = wire.out().len() < WAITING;
        tokio::select! {
            turn = wire.turn(reads) => turn?,
            () = changed => {}
            () = logged, if log.is_some() => {}
        }
    }
}

fn write_log(agent: &Agent, cursor: &mut u64, wire: &mut Wire) {
    let ring = agent.log.ring.borrow();
    match ring.check(*cursor) {
        Ok(()) => {}
        Err(OutOfRange::Evicted { oldest }) => *cursor = oldest,
        // A log of an earlier start was followed.
        Err(OutOfRange::Ahead { .. }) => *cursor = ring.start(),
    }
    let mut output = Vec::new();
    let _ = ring.read(*cursor, OUTPUT, &mut output);
    if !output.is_empty() {
        encode_output(*cursor, &output, wire.out());
        *cursor += output.len() as u64;
    }
}

fn answer(agent: &Agent, wire: &mut Wire, request: ControlRequest) {
    let done = match request {
        ControlRequest::Sessions => Ok(Some(ControlEvent::Sessions { sessions: agent.sessions.infos() })),
        ControlRequest::Usage => Ok(Some(ControlEvent::Usage { usage: usage(&agent.config.home) })),
        ControlRequest::CloseSession { id } => agent.sessions.close(&id).map(|()| None),
        ControlRequest::ForgetSession { id } => agent.sessions.forget(&id).map(|()| None),
        ControlRequest::Shutdown { grace_ms } => {
            let grace = Duration::from_millis(grace_ms).min(LONGEST_GRACE);
            agent.end(Ending { grace, reason: ExitReason::EnvironmentGone });
            Ok(None)
        }
        // The caller's.
        ControlRequest::FollowLog { .. } => Ok(None),
    };
    match done {
        Ok(None) => {}
        Ok(Some(event)) => wire.push(&AgentFrame::Control(event)),
        Err(message) => wire.push(&AgentFrame::Control(ControlEvent::Failed { message })),
    }
}
