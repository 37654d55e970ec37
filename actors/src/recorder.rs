//! The persistence actor: the one writer to Postgres.
//!
//! What it is told it puts into the engine's queues, which do not belong to it: when it is
//! restarted, they are still there, and so are the writes that wait in them.

use crate::persistence::{Command, EngineHandle};
use crate::supervision::{Behavior, Context, Failure, Reply, TaskGuard};

/// What the persistence actor can be told.
pub enum RecorderMessage {
    /// Write this.
    Write(Box<Command>),
    /// Answer when all that was told before is in the queues.
    Queued(Reply<()>),
    /// From its own task: a worker broke.
    Broken,
}

/// The persistence actor.
pub struct Recorder {
    engine: EngineHandle,
    _workers: TaskGuard,
}

impl Behavior for Recorder {
    type Message = RecorderMessage;
    type Args = EngineHandle;

    fn start(context: &Context<Self>, engine: EngineHandle) -> Result<Self, Failure> {
        let mut workers = engine.start_workers();
        let me = context.me.clone();
        let task = TaskGuard::spawn(async move {
            workers.broken().await;
            let _ = me.cast(RecorderMessage::Broken);
            // The workers that are left go on until the actor is restarted.
            std::future::pending::<()>().await;
        });
        Ok(Self { engine, _workers: task })
    }

    fn handle(&mut self, _context: &Context<Self>, message: RecorderMessage) -> Result<(), Failure> {
        match message {
            RecorderMessage::Write(command) => self.engine.accept(*command),
            RecorderMessage::Queued(reply) => reply.send(()),
            RecorderMessage::Broken => return Err(Failure::new("a worker of the persistence engine failed")),
        }
        Ok(())
    }

    fn state(&self) -> &'static str {
        if self.engine.stats().available { "available" } else { "database away" }
    }
}
