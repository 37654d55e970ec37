//! The root of the tree: persistence, mailer, clusters, users.

use crate::cluster::{Clusters, ClustersArgs};
use crate::mailer::{Mailer, MailerArgs};
use crate::persistence::EngineHandle;
use crate::recorder::Recorder;
use crate::supervision::{
    ActorPath, Behavior, ChildExit, Context, Failure, Kind, Outcome, Reply, RestartDue, RestartPolicy,
    Supervisor,
};
use crate::user::{UserArgs, Users};

/// What the root can be told.
pub(crate) enum RootMessage {
    /// Answer when all children are registered.
    Ready(Reply<()>),
    /// End the tree.
    Stop,
}

/// What the root starts from.
#[derive(Clone)]
pub(crate) struct RootArgs {
    pub(crate) engine: EngineHandle,
    pub(crate) mailer: MailerArgs,
    pub(crate) clusters: ClustersArgs,
    pub(crate) users: UserArgs,
}

/// The root. When one of its children can't be kept up, it gives up as well, and the process
/// ends: whoever runs it starts it again, and no session is lost by that.
pub(crate) struct Root {
    persistence: Supervisor<(), Recorder>,
    mailer: Supervisor<(), Mailer>,
    clusters: Supervisor<(), Clusters>,
    users: Supervisor<(), Users>,
}

fn only<C: Behavior>(
    context: &Context<Root>,
    kind: Kind,
    args: C::Args,
) -> Result<Supervisor<(), C>, Failure> {
    let mut supervisor = Supervisor::new(RestartPolicy::DEFAULT);
    supervisor
        .ensure(context, (), || ActorPath::single(kind), || args)
        .map_err(|given_up| Failure::new(given_up.to_string()))?;
    Ok(supervisor)
}

impl Behavior for Root {
    type Message = RootMessage;
    type Args = RootArgs;

    fn start(context: &Context<Self>, args: RootArgs) -> Result<Self, Failure> {
        Ok(Self {
            persistence: only(context, Kind::Persistence, args.engine)?,
            mailer: only(context, Kind::Mailer, args.mailer)?,
            clusters: only(context, Kind::Clusters, args.clusters)?,
            users: only(context, Kind::Users, args.users)?,
        })
    }

    fn handle(&mut self, context: &Context<Self>, message: RootMessage) -> Result<(), Failure> {
        match message {
            RootMessage::Ready(reply) => reply.send(()),
            RootMessage::Stop => context.stop(),
        }
        Ok(())
    }

    fn child_exited(&mut self, context: &Context<Self>, exit: &ChildExit) {
        let outcome = self
            .persistence
            .exited(context, exit)
            .or_else(|| self.mailer.exited(context, exit))
            .or_else(|| self.clusters.exited(context, exit))
            .or_else(|| self.users.exited(context, exit));
        if let Some(Outcome::Escalated((), reason)) = outcome {
            tracing::error!(reason, "the supervision tree can't be kept up");
            context.stop();
        }
    }

    fn restart_due(&mut self, context: &Context<Self>, due: &RestartDue) {
        self.persistence.restart(context, due);
        self.mailer.restart(context, due);
        self.clusters.restart(context, due);
        self.users.restart(context, due);
    }
}
