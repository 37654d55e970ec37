//! The terminal actor: owns a session's hub and its channel.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use devpocket_protocol::Size;
use devpocket_protocol::client::Exit;

use super::channel::{self, Connector};
use super::client::Kick;
use super::hub::{Hub, SessionName};
use super::size::SizePolicy;
use crate::runtime::{EnvironmentKey, Runtime};
use crate::supervision::{Behavior, Context, Failure, Reply, TaskGuard};

/// What a terminal actor can be told.
pub enum TerminalMessage {
    /// Give out the hub, for a client to attach to.
    Hub(Reply<Arc<Hub>>),
    /// The environment is on its way to running, or it runs.
    EnvironmentStarting(bool),
    /// The session ended with its environment.
    End(Exit),
    /// End the connection of every client.
    Kick(Kick),
    /// Change whose size the session has.
    SetSizePolicy(SizePolicy),
    /// From its own channel: the session has ended and nobody looks at it any more.
    Finished,
}

/// What a terminal actor starts from.
#[derive(Clone)]
pub struct TerminalArgs {
    /// The session.
    pub session: SessionName,
    /// Its size, if it is made by this.
    pub size: Size,
    /// Whether the agent has made it: only then is it not made again, so that a session that
    /// ended with its environment is not silently replaced by an empty one.
    pub made: Arc<AtomicBool>,
    /// Its environment.
    pub environment: EnvironmentKey,
    /// Where that runs.
    pub runtime: Arc<dyn Runtime>,
    /// Whom to tell how the session ended.
    pub on_end: Arc<dyn Fn(&Exit) + Send + Sync>,
}

/// The state of a terminal actor.
pub struct Terminal {
    hub: Arc<Hub>,
    _channel: TaskGuard,
}

impl Behavior for Terminal {
    type Message = TerminalMessage;
    type Args = TerminalArgs;

    fn start(context: &Context<Self>, args: TerminalArgs) -> Result<Self, Failure> {
        context.me.describe(args.session.name.as_str());
        let hub = Hub::new(args.session, args.size);
        let gauges = Arc::clone(&hub);
        context.me.show(move || (gauges.state_word(), gauges.gauges()));
        let connector = Connector { runtime: args.runtime, environment: args.environment, made: args.made };
        let (shared, me) = (Arc::clone(&hub), context.me.clone());
        let channel = TaskGuard::spawn(async move {
            channel::run(shared, connector, |exit| (args.on_end)(exit)).await;
            let _ = me.cast(TerminalMessage::Finished);
        });
        Ok(Self { hub, _channel: channel })
    }

    fn handle(&mut self, context: &Context<Self>, message: TerminalMessage) -> Result<(), Failure> {
        match message {
            TerminalMessage::Hub(reply) => reply.send(Arc::clone(&self.hub)),
            TerminalMessage::EnvironmentStarting(starting) => self.hub.set_environment_starting(starting),
            TerminalMessage::End(exit) => self.hub.ended(exit),
            TerminalMessage::Kick(kick) => self.hub.kick_all(kick),
            TerminalMessage::SetSizePolicy(policy) => self.hub.set_size_policy(policy),
            TerminalMessage::Finished => context.stop(),
        }
        Ok(())
    }
}

/// However the actor goes (a panic runs no hook), its clients learn of it and find its successor.
impl Drop for Terminal {
    fn drop(&mut self) {
        self.hub.orphan();
    }
}
