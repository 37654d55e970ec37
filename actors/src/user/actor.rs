//! The user actor: finds or makes the actors of the user's environments.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::time::{Instant, sleep};

use super::events::Events;
use crate::cluster::Runtimes;
use crate::environment::{Environment, EnvironmentArgs, EnvironmentError, EnvironmentMessage, Known};
use crate::mailer::Notices;
use crate::persistence::vault::Vault;
use crate::persistence::{EnvironmentStatus, Persistence, environments, terminals, users};
use crate::supervision::{
    ActorPath, Addr, Behavior, ChildExit, Context, Failure, Kind, Reply, RestartDue, RestartPolicy,
    Supervisor, TaskGuard,
};

/// How often the actor looks whether it is still needed.
const TICK: Duration = Duration::from_secs(60);

/// After how long without an environment the actor stops.
const IDLE: Duration = Duration::from_secs(5 * 60);

/// Where an environment's address goes.
type EnvironmentReply = Reply<Result<Addr<EnvironmentMessage>, EnvironmentError>>;

/// What a user actor can be told.
pub enum UserMessage {
    /// Find the actor of one of the user's environments, or make it from Postgres.
    Environment(String, EnvironmentReply),
    /// From the actor's own tasks; nobody else can make one.
    Own(OwnNews),
}

/// What the actor's own tasks tell it.
pub struct OwnNews(News);

enum News {
    Loaded(String, Result<Box<Known>, EnvironmentError>),
    Tick,
}

/// What a user actor starts from.
#[derive(Clone)]
pub struct UserArgs {
    /// The user's id.
    pub user: String,
    /// Where environments run.
    pub runtimes: Runtimes,
    /// Where everything is kept.
    pub persistence: Persistence,
    /// Opens what is kept sealed.
    pub vault: Vault,
    /// Those who listen to what happens.
    pub events: Events,
    /// Tells owners by mail.
    pub notices: Notices,
}

/// The state of a user actor.
pub struct User {
    args: UserArgs,
    environments: Supervisor<String, Environment>,
    /// Environments that are being read, and those who wait for them.
    loading: HashMap<String, (TaskGuard, Vec<EnvironmentReply>)>,
    last_use: Instant,
    _tasks: [TaskGuard; 2],
}

impl Behavior for User {
    type Message = UserMessage;
    type Args = UserArgs;

    fn start(context: &Context<Self>, args: UserArgs) -> Result<Self, Failure> {
        let me = context.me.clone();
        let ticks = TaskGuard::spawn(async move {
            loop {
                sleep(TICK).await;
                let _ = me.cast(UserMessage::Own(OwnNews(News::Tick)));
            }
        });
        let (me, pool, id) = (context.me.clone(), args.persistence.pool().clone(), args.user.clone());
        let naming = TaskGuard::spawn(async move {
            // For operators alone: without it they see the id.
            if let Ok(Some(name)) = users::username(&pool, &id).await {
                me.describe(name);
            }
        });
        Ok(Self {
            args,
            environments: Supervisor::new(RestartPolicy::DEFAULT),
            loading: HashMap::new(),
            last_use: Instant::now(),
            _tasks: [ticks, naming],
        })
    }

    fn handle(&mut self, context: &Context<Self>, message: UserMessage) -> Result<(), Failure> {
        match message {
            UserMessage::Environment(id, reply) => self.find(context, id, reply),
            UserMessage::Own(OwnNews(News::Loaded(id, known))) => self.loaded(context, &id, known),
            UserMessage::Own(OwnNews(News::Tick)) => {
                if !self.environments.is_empty() || !self.loading.is_empty() {
                    self.last_use = Instant::now();
                } else if self.last_use.elapsed() > IDLE {
                    context.stop();
                }
            }
        }
        Ok(())
    }

    fn child_exited(&mut self, context: &Context<Self>, exit: &ChildExit) {
        // What became of it is logged and shown; whoever needs the environment asks again.
        let _ = self.environments.exited(context, exit);
    }

    fn restart_due(&mut self, context: &Context<Self>, due: &RestartDue) {
        self.environments.restart(context, due);
    }
}

impl User {
    fn find(&mut self, context: &Context<Self>, id: String, reply: EnvironmentReply) {
        self.last_use = Instant::now();
        // One that was given up is read anew: what is known of it may be why it failed.
        if let Some(environment) = self.environments.running(&id) {
            return reply.send(Ok(environment.clone()));
        }
        if let Some((_, waiting)) = self.loading.get_mut(&id) {
            return waiting.push(reply);
        }
        let (user, persistence, me) =
            (self.args.user.clone(), self.args.persistence.clone(), context.me.clone());
        let wanted = id.clone();
        let task = TaskGuard::spawn(async move {
            let known = load(&persistence, &user, &wanted).await;
            let _ = me.cast(UserMessage::Own(OwnNews(News::Loaded(wanted, known))));
        });
        self.loading.insert(id, (task, vec![reply]));
    }

    fn loaded(&mut self, context: &Context<Self>, id: &str, known: Result<Box<Known>, EnvironmentError>) {
        let Some((_, waiting)) = self.loading.remove(id) else { return };
        let environment = known.and_then(|known| self.start_environment(context, id, *known));
        for reply in waiting {
            reply.send(environment.clone());
        }
    }

    fn start_environment(
        &mut self,
        context: &Context<Self>,
        id: &str,
        known: Known,
    ) -> Result<Addr<EnvironmentMessage>, EnvironmentError> {
        let cluster = &known.view.environment.cluster_id;
        let runtime = self.args.runtimes.get(cluster).map_err(EnvironmentError::Refused)?;
        let UserArgs { persistence, vault, events, notices, .. } = self.args.clone();
        let args = || EnvironmentArgs {
            known: Arc::new(RwLock::new(known)),
            runtime,
            persistence,
            vault,
            log: Arc::default(),
            events,
            notices,
        };
        let path = || ActorPath::of(Kind::Environment, id);
        self.environments
            .ensure(context, id.to_owned(), path, args)
            .map_err(|given_up| EnvironmentError::Unavailable(given_up.to_string()))
    }
}

/// Reads an environment of `user` that is not terminated.
async fn load(persistence: &Persistence, user: &str, id: &str) -> Result<Box<Known>, EnvironmentError> {
    let view = environments::by_id(persistence.pool(), id).await?.ok_or(EnvironmentError::NotFound)?;
    if view.environment.user_id != user || view.environment.status == EnvironmentStatus::Terminated {
        return Err(EnvironmentError::NotFound);
    }
    let sessions = terminals::live(persistence.pool(), id).await?;
    Ok(Box::new(Known { view, sessions }))
}
