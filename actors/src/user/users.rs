//! The actor above all users.

use super::actor::{User, UserArgs, UserMessage};
use crate::environment::EnvironmentError;
use crate::supervision::{
    ActorPath, Addr, Behavior, ChildExit, Context, Failure, Kind, Reply, RestartDue, RestartPolicy,
    Supervisor,
};

/// What the actor above all users can be told.
pub enum UsersMessage {
    /// Find a user's actor, or make it.
    User(String, Reply<Result<Addr<UserMessage>, EnvironmentError>>),
}

/// The actor above all users.
pub struct Users {
    args: UserArgs,
    users: Supervisor<String, User>,
}

impl Behavior for Users {
    type Message = UsersMessage;
    type Args = UserArgs;

    fn start(_context: &Context<Self>, args: UserArgs) -> Result<Self, Failure> {
        Ok(Self { args, users: Supervisor::new(RestartPolicy::DEFAULT) })
    }

    fn handle(&mut self, context: &Context<Self>, message: UsersMessage) -> Result<(), Failure> {
        match message {
            UsersMessage::User(id, reply) => {
                let args = || UserArgs { user: id.clone(), ..self.args.clone() };
                let path = || ActorPath::of(Kind::User, &id);
                let user = self.users.ensure(context, id.clone(), path, args);
                reply.send(user.map_err(|given_up| EnvironmentError::Unavailable(given_up.to_string())));
            }
        }
        Ok(())
    }

    fn child_exited(&mut self, context: &Context<Self>, exit: &ChildExit) {
        // What became of it is logged and shown; whoever needs the user asks again.
        let _ = self.users.exited(context, exit);
    }

    fn restart_due(&mut self, context: &Context<Self>, due: &RestartDue) {
        self.users.restart(context, due);
    }
}
