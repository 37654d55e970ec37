//! What an actor of ours is, and how it runs on ractor.

use std::marker::PhantomData;
use std::sync::Arc;

use ractor::concurrency::JoinHandle;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, ActorRuntime, SupervisionEvent};

use tokio::time::Instant;

use super::addr::Addr;
use super::fault::Fault;
use super::probe::Probe;
use super::registry::{ActorPath, Registry};

/// Why an actor gives up: its supervisor decides what becomes of it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failure(String);

impl Failure {
    /// A failure with a reason for the log.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// An actor's state and how it answers messages.
///
/// Handlers are plain functions and must not block: what waits goes into a
/// [`TaskGuard`](super::TaskGuard) held in the state, and sends a message when it is done.
pub trait Behavior: Send + Sized + 'static {
    /// What it can be told.
    type Message: Send + 'static;
    /// What it starts from, each time. Whatever else it needs is asked of Postgres, the
    /// runtime or the agent, never of its dead predecessor.
    type Args: Clone + Send + Sync + 'static;

    /// Begins.
    ///
    /// # Errors
    /// When it can't; counts as a failure under the supervisor's policy.
    fn start(context: &Context<Self>, args: Self::Args) -> Result<Self, Failure>;

    /// Handles one message.
    ///
    /// # Errors
    /// When the actor can't go on.
    fn handle(&mut self, context: &Context<Self>, message: Self::Message) -> Result<(), Failure>;

    /// Hears that a child ended. An actor without children has nothing to do.
    fn child_exited(&mut self, _context: &Context<Self>, _exit: &ChildExit) {}

    /// A child is to be started again.
    fn restart_due(&mut self, _context: &Context<Self>, _due: &RestartDue) {}

    /// The actor's state in a word, for introspection.
    fn state(&self) -> &'static str {
        "running"
    }
}

/// What an actor may use of the world around it.
pub struct Context<B: Behavior> {
    /// The actor's own address.
    pub me: Addr<B::Message>,
    /// All actors.
    pub registry: Arc<Registry>,
    cell: ActorCell,
}

/// A child that ended.
#[derive(Debug)]
pub struct ChildExit {
    pub(super) id: ractor::ActorId,
    pub(super) why: Why,
}

/// Why a child ended.
#[derive(Debug)]
pub(super) enum Why {
    /// It was done, or told to stop.
    Stopped,
    /// It failed.
    Failed(String),
    /// Somebody asked for it to be started again.
    Asked(Arc<str>),
}

/// A child that is to be started again: the pause after its failure is over, or it was asked for.
#[derive(Debug)]
pub struct RestartDue {
    pub(super) child: ActorPath,
    /// Who asked. Only then it is also started if it was given up.
    pub(super) asked_by: Option<Arc<str>>,
}

pub(super) enum Envelope<M> {
    Message(M),
    RestartDue(RestartDue),
    /// Somebody asked for the actor to be started again: it takes no more messages.
    Restart(Arc<str>),
    /// The same, after all that was sent before.
    RestartNow(Arc<str>),
    #[cfg_attr(not(feature = "chaos"), expect(dead_code, reason = "made by tests alone"))]
    Fault(Fault),
}

/// An envelope, and when it was sent.
pub(super) struct Letter<M> {
    sent: Instant,
    envelope: Envelope<M>,
}

impl<M> Letter<M> {
    pub(super) fn new(envelope: Envelope<M>) -> Self {
        Self { sent: Instant::now(), envelope }
    }
}

/// With what an actor ends that was asked to start again.
#[derive(Debug, thiserror::Error)]
#[error("asked to start again by {0}")]
struct AskedToRestart(Arc<str>);

/// The ractor actor that runs a [`Behavior`].
struct Runner<B>(PhantomData<fn() -> B>);

struct Running<B: Behavior> {
    context: Context<B>,
    args: Option<B::Args>,
    behavior: Option<B>,
}

impl<B: Behavior> Running<B> {
    fn probe(&self) -> &Probe {
        self.context.me.probe()
    }

    /// Runs one step of the behavior and keeps the books.
    fn step(&mut self, step: impl FnOnce(&mut B, &Context<B>) -> Result<(), Failure>) -> Result<(), Failure> {
        let Some(behavior) = self.behavior.as_mut() else { return Ok(()) };
        step(behavior, &self.context)?;
        let state = behavior.state();
        self.probe().set_state(state);
        Ok(())
    }
}

impl<B: Behavior> Actor for Runner<B> {
    type Msg = Letter<B::Message>;
    type State = Running<B>;
    type Arguments = (Addr<B::Message>, Arc<Registry>, B::Args);

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        (me, registry, args): Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        // The parent does it as well, but perhaps only after this actor runs: what a task of its
        // own tells it first would be lost.
        me.set(Some(myself.clone()));
        let context = Context { me, registry, cell: myself.get_cell() };
        Ok(Running { context, args: Some(args), behavior: None })
    }

    /// The behavior starts here and not in `pre_start`, because only from here on does the
    /// supervisor hear of a failure.
    async fn post_start(
        &self,
        _myself: ActorRef<Self::Msg>,
        running: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        running.probe().started();
        running.context.registry.fault_at_start(running.context.me.path())?;
        if let Some(args) = running.args.take() {
            let behavior = B::start(&running.context, args)?;
            running.probe().set_state(behavior.state());
            running.behavior = Some(behavior);
        }
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        letter: Self::Msg,
        running: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let _handling = Arc::clone(running.context.me.probe()).handling(letter.sent);
        match letter.envelope {
            Envelope::Message(message) => {
                running.step(|behavior, context| behavior.handle(context, message))?
            }
            Envelope::RestartDue(due) => running.step(|behavior, context| {
                behavior.restart_due(context, &due);
                Ok(())
            })?,
            Envelope::Restart(by) => {
                // What is sent from now on is refused, so its sender knows; what was sent before is
                // handled: a restart that was asked for loses nothing.
                running.context.me.set(None);
                myself.cast(Letter::new(Envelope::RestartNow(by)))?;
            }
            Envelope::RestartNow(by) => return Err(AskedToRestart(by).into()),
            Envelope::Fault(fault) => fault.strike()?,
        }
        Ok(())
    }

    /// ractor's default stops the parent when any child ends; ours asks the behavior.
    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        running: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let exit = match event {
            SupervisionEvent::ActorFailed(cell, error) => {
                let why = match error.downcast::<AskedToRestart>() {
                    Ok(asked) => Why::Asked(asked.0),
                    Err(error) => Why::Failed(error.to_string()),
                };
                ChildExit { id: cell.get_id(), why }
            }
            // Only a child that was killed (by the watchdog or an operator) leaves no state.
            SupervisionEvent::ActorTerminated(cell, None, reason) => {
                let why = Why::Failed(reason.unwrap_or_else(|| "killed".into()));
                ChildExit { id: cell.get_id(), why }
            }
            SupervisionEvent::ActorTerminated(cell, Some(_), _) => {
                ChildExit { id: cell.get_id(), why: Why::Stopped }
            }
            _ => return Ok(()),
        };
        running.step(|behavior, context| {
            behavior.child_exited(context, &exit);
            Ok(())
        })?;
        Ok(())
    }
}

impl<B: Behavior> Context<B> {
    /// Stops this actor after the message at hand; what is queued behind it is dropped, and
    /// its callers hear so.
    pub fn stop(&self) {
        self.cell.stop(None);
    }

    /// Starts a child of this actor at `addr`. Its `start` runs in the child, so a failure in
    /// it arrives as a [`ChildExit`] like any other.
    pub(super) fn spawn_child<C: Behavior>(
        &self,
        addr: &Addr<C::Message>,
        args: C::Args,
    ) -> Option<ractor::ActorId> {
        let start = (addr.clone(), Arc::clone(&self.registry), args);
        // Spawning without a name can't fail in ractor; were it to, the child counts as down.
        let (actor, _) =
            ActorRuntime::spawn_linked_instant(None, Runner::<C>(PhantomData), start, self.cell.clone())
                .ok()?;
        let id = actor.get_id();
        addr.set(Some(actor));
        Some(id)
    }
}

/// Starts the one actor that has no parent. The handle ends when the actor has.
///
/// # Errors
/// When ractor can't start it.
pub async fn spawn_root<B: Behavior>(
    registry: &Arc<Registry>,
    path: ActorPath,
    args: B::Args,
) -> Result<(Addr<B::Message>, JoinHandle<()>), Failure> {
    let addr = registry.register::<B::Message>(path, None);
    let start = (addr.clone(), Arc::clone(registry), args);
    let (actor, ended) = Actor::spawn(None, Runner::<B>(PhantomData), start)
        .await
        .map_err(|error| Failure::new(error.to_string()))?;
    addr.set(Some(actor));
    Ok((addr, ended))
}
