//! The actors of clusters.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::{Runtimes, orphans};
use crate::persistence::Persistence;
use crate::runtime::{CALL_LIMIT, Runtime};
use crate::supervision::{
    ActorPath, Behavior, ChildExit, Context, Failure, Kind, RestartPolicy, Supervisor, TaskGuard,
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

/// The actor above all clusters.
pub(crate) struct Clusters {
    clusters: Supervisor<String, Cluster>,
}

impl Behavior for Clusters {
    /// It has nothing to be told yet.
    type Message = Infallible;
    type Args = ClustersArgs;

    fn start(context: &Context<Self>, args: ClustersArgs) -> Result<Self, Failure> {
        let mut clusters = Supervisor::new(POLICY);
        for (id, runtime) in args.runtimes.all() {
            let path = || ActorPath::of(Kind::Cluster, &id);
            let persistence = args.persistence.clone();
            clusters
                .ensure(context, id.clone(), path, || ClusterArgs { id: id.clone(), runtime, persistence })
                .map_err(|given_up| Failure::new(given_up.to_string()))?;
        }
        Ok(Self { clusters })
    }

    fn handle(&mut self, _context: &Context<Self>, message: Infallible) -> Result<(), Failure> {
        match message {}
    }

    fn child_exited(&mut self, context: &Context<Self>, exit: &ChildExit) {
        // What became of it is logged and shown.
        let _ = self.clusters.exited(context, exit);
    }

    fn restart_due(&mut self, context: &Context<Self>, child: &ActorPath) {
        self.clusters.restart(context, child);
    }
}

/// What a cluster actor starts from.
#[derive(Clone)]
pub(super) struct ClusterArgs {
    id: String,
    runtime: Arc<dyn Runtime>,
    persistence: Persistence,
}

/// What a cluster actor hears from its own tasks.
pub(super) enum ClusterMessage {
    /// It was looked at; the text says what is wrong.
    Checked(Result<(), String>),
    /// It was searched; what an operator has to look at, in a word or two.
    Surveyed(Option<&'static str>),
    /// Its watch can't go on.
    Lost(String),
}

/// The actor of one cluster: its watch, its health, its orphans.
///
/// The watch is the one task that environments depend on; when it ends, the actor fails, and
/// the restart policy says when it is tried again. What was seen is kept by the runtime.
pub(super) struct Cluster {
    health: Option<Result<(), String>>,
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
                let health = match timeout(CALL_LIMIT, runtime.check()).await {
                    Ok(result) => result.map_err(|error| error.to_string()),
                    Err(_) => Err("it does not answer".into()),
                };
                let _ = me.cast(ClusterMessage::Checked(health));
                sleep(CHECK_PERIOD).await;
            }
        });
        let me = context.me.clone();
        let survey = TaskGuard::spawn(async move {
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
        Ok(Self { health: None, found: None, _tasks: [follow, check, survey] })
    }

    fn handle(&mut self, context: &Context<Self>, message: ClusterMessage) -> Result<(), Failure> {
        let health = match message {
            ClusterMessage::Checked(health) => health,
            ClusterMessage::Surveyed(found) => {
                self.found = found;
                return Ok(());
            }
            ClusterMessage::Lost(reason) => return Err(Failure::new(reason)),
        };
        if self.health.as_ref() != Some(&health) {
            match &health {
                Ok(()) => tracing::info!(cluster = %context.me.path(), "cluster is healthy"),
                Err(reason) => tracing::warn!(cluster = %context.me.path(), reason, "cluster is not healthy"),
            }
        }
        self.health = Some(health);
        Ok(())
    }

    fn state(&self) -> &'static str {
        match &self.health {
            None => "checking",
            Some(Ok(())) => self.found.unwrap_or("healthy"),
            Some(Err(_)) => "unhealthy",
        }
    }
}
