//! Clusters: where environments run, and whether they can be reached.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use tokio::time::{sleep, timeout};

use crate::runtime::{CALL_LIMIT, Runtime};
use crate::supervision::{
    ActorPath, Behavior, ChildExit, Context, Failure, Kind, RestartPolicy, Supervisor, TaskGuard,
};

/// How often a cluster's health is looked at.
const CHECK_PERIOD: Duration = Duration::from_secs(30);

/// The runtime of each cluster, by the cluster's id. Environments take theirs from here, so
/// that a cluster's actor can be restarted under them.
#[derive(Clone, Default)]
pub struct Runtimes(Arc<DashMap<String, Arc<dyn Runtime>>>);

impl Runtimes {
    /// Adds a cluster's runtime.
    pub fn add(&self, cluster: &str, runtime: Arc<dyn Runtime>) {
        self.0.insert(cluster.to_owned(), runtime);
    }

    /// The runtime of a cluster.
    #[must_use]
    pub fn get(&self, cluster: &str) -> Option<Arc<dyn Runtime>> {
        self.0.get(cluster).map(|runtime| Arc::clone(&runtime))
    }

    fn all(&self) -> Vec<(String, Arc<dyn Runtime>)> {
        self.0.iter().map(|entry| (entry.key().clone(), Arc::clone(entry.value()))).collect()
    }
}

/// The actor above all clusters.
pub struct Clusters {
    clusters: Supervisor<String, Cluster>,
}

impl Behavior for Clusters {
    /// It has nothing to be told yet.
    type Message = std::convert::Infallible;
    type Args = Runtimes;

    fn start(context: &Context<Self>, runtimes: Runtimes) -> Result<Self, Failure> {
        let mut clusters = Supervisor::new(RestartPolicy::DEFAULT);
        for (id, runtime) in runtimes.all() {
            let path = || ActorPath::of(Kind::Cluster, &id);
            clusters
                .ensure(context, id.clone(), path, || runtime)
                .map_err(|given_up| Failure::new(given_up.to_string()))?;
        }
        Ok(Self { clusters })
    }

    fn handle(&mut self, _context: &Context<Self>, message: std::convert::Infallible) -> Result<(), Failure> {
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

/// What a cluster actor hears from its own task.
pub enum ClusterMessage {
    /// It was looked at; the text says what is wrong.
    Checked(Result<(), String>),
}

/// The actor of one cluster: its health.
pub struct Cluster {
    health: Option<Result<(), String>>,
    _checks: TaskGuard,
}

impl Behavior for Cluster {
    type Message = ClusterMessage;
    type Args = Arc<dyn Runtime>;

    fn start(context: &Context<Self>, runtime: Arc<dyn Runtime>) -> Result<Self, Failure> {
        let me = context.me.clone();
        let checks = TaskGuard::spawn(async move {
            loop {
                let health = match timeout(CALL_LIMIT, runtime.check()).await {
                    Ok(result) => result.map_err(|error| error.to_string()),
                    Err(_) => Err("it does not answer".into()),
                };
                let _ = me.cast(ClusterMessage::Checked(health));
                sleep(CHECK_PERIOD).await;
            }
        });
        Ok(Self { health: None, _checks: checks })
    }

    fn handle(&mut self, context: &Context<Self>, message: ClusterMessage) -> Result<(), Failure> {
        let ClusterMessage::Checked(health) = message;
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
            Some(Ok(())) => "healthy",
            Some(Err(_)) => "unhealthy",
        }
    }
}
