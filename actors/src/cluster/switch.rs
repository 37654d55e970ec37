//! A cluster's runtime that can be exchanged while environments use it.

use async_trait::async_trait;
use parking_lot::RwLock;
use tokio::sync::{Notify, watch};

use super::Usable;
use crate::runtime::{
    BoxStream, Capacity, EnvironmentKey, EnvironmentSpec, LinkFigures, LogLine, LogQuery, LogStream,
    Observed, Runtime, RuntimeError, Stats,
};

/// Stands for a cluster's runtime, whichever that is: environments hold it for as long as they
/// live, while an administrator gives the cluster another kubeconfig, or switches it off.
///
/// What was begun on the old runtime goes on there. Those who watch are cut off when it goes, and
/// watch anew.
pub(super) struct Switch {
    usable: RwLock<Usable>,
    changed: Notify,
}

impl Switch {
    pub(super) fn new(usable: Usable) -> Self {
        Self { usable: RwLock::new(usable), changed: Notify::new() }
    }

    /// The runtime, or why there is none.
    pub(super) fn usable(&self) -> Usable {
        self.usable.read().clone()
    }

    /// Exchanges it.
    pub(super) fn set(&self, usable: Usable) {
        *self.usable.write() = usable;
        self.changed.notify_waiters();
    }

    fn current(&self) -> Result<std::sync::Arc<dyn Runtime>, RuntimeError> {
        self.usable().map_err(RuntimeError::Unavailable)
    }
}

#[async_trait]
impl Runtime for Switch {
    async fn check(&self) -> Result<(), RuntimeError> {
        self.current()?.check().await
    }

    async fn follow(&self) -> RuntimeError {
        let changed = self.changed.notified();
        let runtime = match self.current() {
            Ok(runtime) => runtime,
            Err(error) => return error,
        };
        tokio::select! {
            lost = runtime.follow() => lost,
            () = changed => RuntimeError::Unavailable("it is reached in another way now".to_owned()),
        }
    }

    async fn inventory(&self) -> Result<Vec<String>, RuntimeError> {
        self.current()?.inventory().await
    }

    async fn capacity(&self) -> Result<Capacity, RuntimeError> {
        self.current()?.capacity().await
    }

    async fn ensure(&self, spec: &EnvironmentSpec) -> Result<(), RuntimeError> {
        self.current()?.ensure(spec).await
    }

    async fn may_grow(&self, spec: &EnvironmentSpec) -> Result<(), RuntimeError> {
        self.current()?.may_grow(spec).await
    }

    async fn stop(&self, environment: &EnvironmentKey) -> Result<(), RuntimeError> {
        self.current()?.stop(environment).await
    }

    async fn delete(&self, environment: &EnvironmentKey) -> Result<(), RuntimeError> {
        self.current()?.delete(environment).await
    }

    async fn watch(&self, environment: &EnvironmentKey) -> Result<watch::Receiver<Observed>, RuntimeError> {
        self.current()?.watch(environment).await
    }

    async fn open(&self, environment: &EnvironmentKey) -> Result<BoxStream, RuntimeError> {
        self.current()?.open(environment).await
    }

    async fn logs(
        &self,
        environment: &EnvironmentKey,
        query: LogQuery,
    ) -> Result<Vec<LogLine>, RuntimeError> {
        self.current()?.logs(environment, query).await
    }

    async fn follow_logs(
        &self,
        environment: &EnvironmentKey,
        query: LogQuery,
    ) -> Result<LogStream, RuntimeError> {
        self.current()?.follow_logs(environment, query).await
    }

    async fn stats(&self, spec: &EnvironmentSpec) -> Result<Stats, RuntimeError> {
        self.current()?.stats(spec).await
    }

    fn figures(&self) -> LinkFigures {
        self.usable().map(|runtime| runtime.figures()).unwrap_or_default()
    }

    async fn forward(&self, environment: &EnvironmentKey, port: u16) -> Result<BoxStream, RuntimeError> {
        self.current()?.forward(environment, port).await
    }
}
