//! Environments on Kubernetes.
//!
//! Each user has a namespace, each environment a volume claim, a secret, a service and a
//! StatefulSet of 0 or 1 replicas in it. The agent comes into the pod by an init container and
//! is the container's first process. Everything is made by server-side apply, so every step can
//! be repeated; what is observed comes from one watch per cluster.
//!
//! * [`connect`]: from a kubeconfig to a client; `kubeconfig`, `certificate`: what is wrong with
//!   it; `error`: what a person reads when a cluster says no.
//! * `names`: namespaces, names and labels; `objects`: what is applied; `lifecycle`: ensure,
//!   stop, delete, inventory; `namespaces`: which ones are known to be in order.
//! * `watch`: the cluster's one watch; `judge`: what a pod's state means.
//! * `exec`: channels to agents; `forward`: ports; `upgrade`, `socket`: the WebSocket of both; `logs`;
//!   `stats`: figures by node, `summary`: how they are read; `capacity`: of the whole cluster.
//! * [`access`]: what is missing in a cluster, for `devpocket doctor`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use kube::Client;
use tokio::sync::{Semaphore, watch as channel};

use super::{
    BoxStream, Capacity, EnvironmentKey, EnvironmentSpec, LinkFigures, LogLine, LogQuery, LogStream,
    Observed, Runtime, RuntimeError, Stats,
};
use crate::plans::Plans;

pub mod access;
mod capacity;
mod certificate;
pub mod connect;
mod error;
mod exec;
mod forward;
mod judge;
mod kubeconfig;
mod lifecycle;
mod logs;
mod names;
mod namespaces;
mod objects;
mod socket;
mod stats;
mod summary;
mod upgrade;
mod watch;

/// How environments are made on a cluster.
#[derive(Debug, Clone)]
pub struct KubernetesConfig {
    /// Tells this installation's objects from those of others on the same cluster; begins the
    /// names of its namespaces. 1 to 20 lower-case letters, digits and `-`.
    pub installation: String,
    /// The image that holds the agent; its init container runs `devpocket-agent install-to`.
    pub agent_image: String,
    /// The StorageClass of volumes; none: the cluster's default.
    pub storage_class: Option<String>,
    /// What users may use, by plan.
    pub plans: Plans,
    /// How long an environment may wait for a machine with room before that counts as failed;
    /// [`SCHEDULING_PATIENCE`] suits people.
    pub scheduling_patience: Duration,
}

impl Default for KubernetesConfig {
    fn default() -> Self {
        Self {
            installation: "devpocket".to_owned(),
            // As `make agent-image` names it.
            agent_image: "devpocket-agent:dev".to_owned(),
            storage_class: None,
            plans: Plans::default(),
            scheduling_patience: SCHEDULING_PATIENCE,
        }
    }
}

/// How long a person is told to wait for room before they are told that there is none.
pub const SCHEDULING_PATIENCE: Duration = Duration::from_secs(120);

/// Runs environments on one cluster. Cheap to clone.
#[derive(Clone)]
pub struct KubernetesRuntime {
    inner: Arc<Inner>,
}

/// How many channels to agents are opened at once on a cluster. After an outage all sessions come
/// back together; nodes start few commands at a time, and what waits too long there is work
/// for nothing.
const OPENING: usize = 4;

struct Inner {
    /// Places of channels that are being opened.
    opening: Arc<Semaphore>,
    /// Counts the channels that are open: each holds it once more.
    open: Arc<()>,
    /// Calls that failed.
    errors: AtomicU64,
    client: Client,
    config: KubernetesConfig,
    seen: watch::Seen,
    namespaces: namespaces::Namespaces,
    samples: stats::Samples,
}

impl KubernetesRuntime {
    /// A runtime over a cluster. Nothing is asked of the cluster until it is used.
    #[must_use]
    pub fn new(client: Client, config: KubernetesConfig) -> Self {
        let inner = Inner {
            opening: Arc::new(Semaphore::new(OPENING)),
            open: Arc::default(),
            errors: AtomicU64::new(0),
            client,
            seen: watch::Seen::new(&config),
            config,
            namespaces: namespaces::Namespaces::default(),
            samples: stats::Samples::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Counts a call that failed.
    fn count<T>(&self, result: Result<T, RuntimeError>) -> Result<T, RuntimeError> {
        if result.is_err() {
            self.inner.errors.fetch_add(1, Ordering::Relaxed);
        }
        result
    }
}

#[async_trait]
impl Runtime for KubernetesRuntime {
    async fn check(&self) -> Result<(), RuntimeError> {
        self.count(access::check(&self.inner.client).await)
    }

    async fn follow(&self) -> RuntimeError {
        let lost = watch::follow(&self.inner.client, &self.inner.config, &self.inner.seen).await;
        self.inner.errors.fetch_add(1, Ordering::Relaxed);
        lost
    }

    async fn inventory(&self) -> Result<Vec<String>, RuntimeError> {
        self.count(lifecycle::inventory(&self.inner).await)
    }

    async fn ensure(&self, spec: &EnvironmentSpec) -> Result<(), RuntimeError> {
        names::check(&spec.key)?;
        self.count(lifecycle::ensure(&self.inner, spec).await)
    }

    async fn capacity(&self) -> Result<Capacity, RuntimeError> {
        self.count(capacity::of_cluster(&self.inner.client).await)
    }

    async fn may_grow(&self, spec: &EnvironmentSpec) -> Result<(), RuntimeError> {
        names::check(&spec.key)?;
        self.count(lifecycle::may_grow(&self.inner, spec).await)
    }

    async fn stop(&self, environment: &EnvironmentKey) -> Result<(), RuntimeError> {
        names::check(environment)?;
        self.count(lifecycle::stop(&self.inner, environment).await)
    }

    async fn delete(&self, environment: &EnvironmentKey) -> Result<(), RuntimeError> {
        names::check(environment)?;
        self.count(lifecycle::delete(&self.inner, environment).await)
    }

    async fn watch(&self, environment: &EnvironmentKey) -> Result<channel::Receiver<Observed>, RuntimeError> {
        names::check(environment)?;
        self.count(self.inner.seen.subscribe(environment).await)
    }

    async fn open(&self, environment: &EnvironmentKey) -> Result<BoxStream, RuntimeError> {
        names::check(environment)?;
        self.count(exec::open(&self.inner, environment).await)
    }

    async fn logs(
        &self,
        environment: &EnvironmentKey,
        query: LogQuery,
    ) -> Result<Vec<LogLine>, RuntimeError> {
        names::check(environment)?;
        self.count(logs::read(&self.inner, environment, query).await)
    }

    async fn follow_logs(
        &self,
        environment: &EnvironmentKey,
        query: LogQuery,
    ) -> Result<LogStream, RuntimeError> {
        names::check(environment)?;
        self.count(logs::follow(&self.inner, environment, query).await)
    }

    async fn stats(&self, spec: &EnvironmentSpec) -> Result<Stats, RuntimeError> {
        names::check(&spec.key)?;
        self.count(stats::of(&self.inner, spec).await)
    }

    fn figures(&self) -> LinkFigures {
        let Inner { seen, open, errors, .. } = &*self.inner;
        LinkFigures {
            heard: seen.heard().map(|heard| heard.elapsed()),
            listings: seen.listings(),
            // One is its own.
            channels: Arc::strong_count(open) - 1,
            errors: errors.load(Ordering::Relaxed),
        }
    }

    async fn forward(&self, environment: &EnvironmentKey, port: u16) -> Result<BoxStream, RuntimeError> {
        names::check(environment)?;
        self.count(forward::open(&self.inner, environment, port).await)
    }
}
