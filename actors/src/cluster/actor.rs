//! The actors of clusters.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::{Instant, sleep, timeout};

use super::{Runtimes, orphans};
use crate::persistence::{Persistence, clusters};
use crate::runtime::{CALL_LIMIT, Capacity, Runtime};
use crate::supervision::{
    ActorPath, Behavior, ChildExit, Context, Failure, Kind, Reply, RestartDue, RestartPolicy, Supervisor,
    TaskGuard,
};

/// How often a cluster's health is looked at.
const CHECK_PERIOD: Duration = Duration::from_secs(30);

/// How often a cluster is searched for what should not be there; the first time at the start.
const SURVEY_PERIOD: Duration = Duration::from_secs(10 * 60);
/// The pause before a survey that failed is tried again.
const SURVEY_PAUSE: Duration = Duration::from_secs(15);

/// A cluster may be away for hours: its actor is never given up, since the pauses fill the
/// window long before the restarts do.
const POLICY: RestartPolicy = RestartPolicy {
    first_pause: Duration::from_millis(200),
    longest_pause: Duration::from_secs(15),
    jitter: 0.2,
    max_restarts: 20,
    window: Duration::from_secs(60),
};

/// What the actor above all clusters starts from.
#[derive(Clone)]
pub(crate) struct ClustersArgs {
    pub(crate) runtimes: Runtimes,
    pub(crate) persistence: Persistence,
}

/// What the actor above all clusters can be told.
pub(crate) enum ClustersMessage {
    /// There are others now: see to it that each has its actor. Answered when they are started.
    Changed(Reply<()>),
}

/// The actor above all clusters.
pub(crate) struct Clusters {
    args: ClustersArgs,
    clusters: Supervisor<String, Cluster>,
}

impl Behavior for Clusters {
    type Message = ClustersMessage;
    type Args = ClustersArgs;

    fn start(context: &Context<Self>, args: ClustersArgs) -> Result<Self, Failure> {
        let mut clusters = Self { args, clusters: Supervisor::new(POLICY) };
        clusters.look(context);
        Ok(clusters)
    }

    fn handle(&mut self, context: &Context<Self>, message: ClustersMessage) -> Result<(), Failure> {
        let ClustersMessage::Changed(reply) = message;
        self.look(context);
        reply.send(());
        Ok(())
    }

    fn child_exited(&mut self, context: &Context<Self>, exit: &ChildExit) {
        // What became of it is logged and shown.
        let _ = self.clusters.exited(context, exit);
        // One that was told to end may be wanted again by now.
        self.look(context);
    }

    fn restart_due(&mut self, context: &Context<Self>, due: &RestartDue) {
        self.clusters.restart(context, due);
    }
}

impl Clusters {
    /// Starts the actors of clusters that have none, and ends those of clusters that are not used
    /// any more.
    fn look(&mut self, context: &Context<Self>) {
        let used = self.args.runtimes.all();
        for (id, cluster) in self.clusters.iter() {
            if !used.iter().any(|(used, _)| used == id) {
                // One that is being restarted is told again when it ends.
                let _ = cluster.cast(ClusterMessage::End);
            }
        }
        for (id, runtime) in used {
            let path = || ActorPath::of(Kind::Cluster, &id);
            let persistence = self.args.persistence.clone();
            let args = || ClusterArgs { id: id.clone(), runtime, persistence };
            if let Err(given_up) = self.clusters.ensure(context, id.clone(), path, args) {
                tracing::error!(%given_up, "a cluster is not looked after");
            }
        }
    }
}

/// How a cluster was when it was last looked at.
#[derive(Debug, Clone)]
pub struct ClusterHealth {
    /// When that was.
    pub checked_at: DateTime<Utc>,
    /// How long its answer took.
    pub took: Duration,
    /// What is wrong with it.
    pub result: Result<(), String>,
    /// What it has and uses, where that is known.
    pub capacity: Option<Capacity>,
    /// What an operator has to look at besides, in a word or two.
    pub found: Option<&'static str>,
}

/// What a cluster actor starts from.
#[derive(Clone)]
pub(super) struct ClusterArgs {
    id: String,
    runtime: Arc<dyn Runtime>,
    persistence: Persistence,
}

/// What a cluster actor can be told.
pub(crate) enum ClusterMessage {
    /// How is it? Answered when it was looked at once, and not at all where that can't be.
    Health(Reply<ClusterHealth>),
    /// It is not used any more.
    End,
    /// From its own task: it was looked at.
    Checked(Box<ClusterHealth>),
    /// Likewise: it was searched; what an operator has to look at, in a word or two.
    Surveyed(Option<&'static str>),
    /// Likewise: its watch can't go on.
    Lost(String),
}

/// The actor of one cluster: its watch, its health, its orphans.
///
/// The watch is the one task that environments depend on; when it ends, the actor fails, and
/// the restart policy says when it is tried again. What was seen is kept by the runtime.
pub(super) struct Cluster {
    health: Option<ClusterHealth>,
    /// Who asked before it was looked at; bounded by the requests that wait.
    waiting: Vec<Reply<ClusterHealth>>,
    /// What the last survey found that should not be so.
    found: Option<&'static str>,
    _tasks: [TaskGuard; 3],
}

impl Behavior for Cluster {
    type Message = ClusterMessage;
    type Args = ClusterArgs;

    fn start(context: &Context<Self>, args: ClusterArgs) -> Result<Self, Failure> {
        let (me, runtime) = (context.me.clone(), Arc::clone(&args.runtime));
        let follow = TaskGuard::spawn(async move {
            let lost = runtime.follow().await;
            let _ = me.cast(ClusterMessage::Lost(lost.to_string()));
        });
        let (me, runtime) = (context.me.clone(), Arc::clone(&args.runtime));
        let check = TaskGuard::spawn(async move {
            loop {
                let _ = me.cast(ClusterMessage::Checked(Box::new(look_at(runtime.as_ref()).await)));
                sleep(CHECK_PERIOD).await;
            }
        });
        let me = context.me.clone();
        let survey = TaskGuard::spawn(async move {
            // For operators alone: without it they see the id.
            if let Ok(Some(row)) = clusters::by_id_or_name(args.persistence.pool(), &args.id).await {
                me.describe(row.cluster.name);
            }
            loop {
                match orphans::survey(&args.id, args.runtime.as_ref(), &args.persistence).await {
                    Ok(survey) => {
                        survey.report(&args.id);
                        let _ = me.cast(ClusterMessage::Surveyed(survey.word()));
                        sleep(SURVEY_PERIOD).await;
                    }
                    Err(reason) => {
                        tracing::debug!(cluster = args.id, reason, "a cluster is not surveyed yet");
                        sleep(SURVEY_PAUSE).await;
                    }
                }
            }
        });
        Ok(Self { health: None, waiting: Vec::new(), found: None, _tasks: [follow, check, survey] })
    }

    fn handle(&mut self, context: &Context<Self>, message: ClusterMessage) -> Result<(), Failure> {
        let health = match message {
            ClusterMessage::Checked(health) => health,
            ClusterMessage::Surveyed(found) => {
                self.found = found;
                return Ok(());
            }
            ClusterMessage::Health(reply) => {
                match &self.health {
                    Some(health) => reply.send(ClusterHealth { found: self.found, ..health.clone() }),
                    None => {
                        self.waiting.retain(|waiting| !waiting.is_abandoned());
                        self.waiting.push(reply);
                    }
                }
                return Ok(());
            }
            ClusterMessage::End => {
                context.stop();
                return Ok(());
            }
            ClusterMessage::Lost(reason) => return Err(Failure::new(reason)),
        };
        if self.health.as_ref().map(|before| &before.result) != Some(&health.result) {
            match &health.result {
                Ok(()) => tracing::info!(cluster = %context.me.path(), "cluster is healthy"),
                Err(reason) => tracing::warn!(cluster = %context.me.path(), reason, "cluster is not healthy"),
            }
        }
        for reply in self.waiting.drain(..) {
            reply.send(ClusterHealth { found: self.found, ..*health.clone() });
        }
        self.health = Some(*health);
        Ok(())
    }

    fn state(&self) -> &'static str {
        match self.health.as_ref().map(|health| &health.result) {
            None => "checking",
            Some(Ok(())) => self.found.unwrap_or("healthy"),
            Some(Err(_)) => "unhealthy",
        }
    }
}

async fn look_at(runtime: &dyn Runtime) -> ClusterHealth {
    let began = Instant::now();
    let result = match timeout(CALL_LIMIT, runtime.check()).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("it does not answer".to_owned()),
    };
    let took = began.elapsed();
    // Who may not ask for nodes may still have environments there.
    let capacity = match &result {
        Ok(()) => timeout(CALL_LIMIT, runtime.capacity()).await.ok().and_then(Result::ok),
        Err(_) => None,
    };
    ClusterHealth { checked_at: Utc::now(), took, result, capacity, found: None }
}
