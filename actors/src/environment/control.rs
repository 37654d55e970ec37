//! The control channel to an environment's agent: phases, install log, sessions.

use std::sync::Arc;
use std::time::Duration;

use devpocket_protocol::agent::{
    AgentFrame, ControlEvent, ControlRequest, FrameReader, Open, Phase, Role, ServerFrame, SessionInfo,
    VERSION,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::log::LogWriter;
use crate::runtime::{EnvironmentKey, Runtime};

/// Requests that may wait for the channel; more are refused (they are repeated when the
/// channel is opened anew).
const REQUESTS: usize = 64;

const OPEN_LIMIT: Duration = Duration::from_secs(30);
const HEARTBEAT: Duration = Duration::from_secs(15);
const SILENCE: Duration = Duration::from_secs(35);
const PAUSE: Duration = Duration::from_millis(500);
const READ: usize = 4 * 1024;

/// What came over the control channel.
#[derive(Debug)]
pub(super) enum News {
    Phase(Phase),
    Sessions(Vec<SessionInfo>),
    /// The agent does not let this server in.
    Refused(String),
}

/// Sends requests over the control channel.
#[derive(Debug, Clone)]
pub(super) struct ControlSender(mpsc::Sender<ControlRequest>);

impl ControlSender {
    /// Queues a request; one too many is dropped, as the agent's state is asked anew anyway.
    pub(super) fn send(&self, request: ControlRequest) {
        if self.0.try_send(request).is_err() {
            tracing::debug!("a request to an agent was dropped: its control channel is not keeping up");
        }
    }
}

/// The control channel, kept open until it is dropped. The install log goes to `log`, the rest
/// to `tell`.
pub(super) fn channel(
    runtime: Arc<dyn Runtime>,
    environment: EnvironmentKey,
    mut log: LogWriter,
    tell: impl Fn(News) + Send + Sync + 'static,
) -> (ControlSender, impl Future<Output = ()> + Send + 'static) {
    let (sender, mut requests) = mpsc::channel(REQUESTS);
    let task = async move {
        loop {
            let broken = serve(runtime.as_ref(), &environment, &mut log, &mut requests, &tell).await;
            tracing::debug!(%environment, reason = broken, "no control channel to the agent");
            sleep(PAUSE).await;
        }
    };
    (ControlSender(sender), task)
}

/// Serves one channel; returns why it broke.
async fn serve(
    runtime: &dyn Runtime,
    environment: &EnvironmentKey,
    log: &mut LogWriter,
    requests: &mut mpsc::Receiver<ControlRequest>,
    tell: &(impl Fn(News) + Send + Sync),
) -> String {
    let stream = match timeout(OPEN_LIMIT, runtime.open(environment)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return error.to_string(),
        Err(_) => return "opening took too long".into(),
    };
    let (mut reader, mut writer) = split(stream);
    let mut out = Vec::new();
    ServerFrame::Open(Open { version: VERSION, role: Role::Control }).encode(&mut out);
    ServerFrame::Control(ControlRequest::FollowLog { from: log.next_offset() }).encode(&mut out);
    ServerFrame::Control(ControlRequest::Sessions).encode(&mut out);

    let write = async {
        let mut beats = interval(HEARTBEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beats.reset();
        loop {
            match timeout(SILENCE, writer.write_all(&out)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return error.to_string(),
                Err(_) => return "the agent does not read".into(),
            }
            out.clear();
            let request = tokio::select! {
                // The sender lives as long as the actor that owns this task.
                Some(request) = requests.recv() => ServerFrame::Control(request),
                _ = beats.tick() => ServerFrame::Ping(0),
            };
            request.encode(&mut out);
        }
    };
    let read = async {
        let mut frames = FrameReader::default();
        loop {
            loop {
                match frames.next_frame().and_then(|frame| frame.map(AgentFrame::decode).transpose()) {
                    Ok(None) => break,
                    Ok(Some(AgentFrame::Refused(refusal))) => {
                        tell(News::Refused(refusal.message.clone()));
                        return refusal.message;
                    }
                    Ok(Some(frame)) => take(frame, log, tell),
                    Err(error) => return error.to_string(),
                }
            }
            frames.buffer().reserve(READ);
            match timeout(SILENCE, reader.read_buf(frames.buffer())).await {
                Ok(Ok(0)) => return "the agent closed the channel".into(),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return error.to_string(),
                Err(_) => return "the agent is silent".into(),
            }
        }
    };
    tokio::select! {
        reason = write => reason,
        reason = read => reason,
    }
}

fn take(frame: AgentFrame, log: &mut LogWriter, tell: &impl Fn(News)) {
    match frame {
        AgentFrame::Output { offset, data } => log.write(offset, &data),
        AgentFrame::Control(ControlEvent::Phase { phase }) => tell(News::Phase(phase)),
        AgentFrame::Control(ControlEvent::Sessions { sessions }) => tell(News::Sessions(sessions)),
        AgentFrame::Control(ControlEvent::Failed { message }) => {
            tracing::debug!(message, "the agent could not do as asked");
        }
        _ => {}
    }
}
