//! What the edge may ask of clusters.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use tokio::time::{sleep, timeout};

use super::System;
use crate::cluster::stored::{self, Examined};
use crate::cluster::{ClusterHealth, ClusterMessage, ClustersMessage};
use crate::persistence::clusters::{self, ChangeCluster, Cluster, ClusterEdit, DeleteCluster, UpsertCluster};
use crate::persistence::records::Audited;
use crate::persistence::{AuditEntry, ClusterStatus, Hidden, ReadError, RuntimeKind, WriteError};
use crate::runtime::RuntimeError;
use crate::supervision::{ActorPath, Kind, TaskGuard};

/// How often the clusters of the database are looked at: somebody may change them by the command
/// line, or by another server.
const LOOK: Duration = Duration::from_secs(30);

/// How often an actor that is being started is looked for.
const STARTING: Duration = Duration::from_millis(20);

/// Why something could not be done with a cluster. The texts are for administrators.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// The kubeconfig can't be used.
    #[error("{0}")]
    Kubeconfig(String),
    /// The cluster does not answer, or lacks what environments need.
    #[error("The cluster can't be used, so nothing was stored. {}", .0.join("; "))]
    Unusable(Vec<String>),
    /// The cluster is one of the configuration.
    #[error("This cluster is given by the server's configuration: change it there")]
    Given,
    /// Environments are on it.
    #[error("Environments use this cluster: delete them first, or set it INACTIVE")]
    InUse,
    /// The database.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl From<ReadError> for ClusterError {
    fn from(error: ReadError) -> Self {
        Self::Write(error.into())
    }
}

/// A cluster to add.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "fields are the columns")]
pub struct NewCluster {
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    pub provider: String,
    pub region: String,
    pub status: ClusterStatus,
    pub is_default: bool,
    pub max_environments: i32,
    pub kubeconfig: NewKubeconfig,
}

/// A kubeconfig that somebody brings.
#[derive(Debug, Clone)]
pub struct NewKubeconfig {
    /// Its text.
    pub text: SecretString,
    /// Which of its contexts; none: its current one.
    pub context: Option<String>,
}

impl NewKubeconfig {
    /// What somebody sent: a kubeconfig's text, or that in base64.
    #[must_use]
    pub fn of(sent: String, context: Option<String>) -> Self {
        // No kubeconfig is base64 as a whole: there is a colon in it.
        let packed: String = sent.split_whitespace().collect();
        let unpacked = STANDARD.decode(packed).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        Self { text: unpacked.unwrap_or(sent).into(), context: context.filter(|name| !name.is_empty()) }
    }
}

impl System {
    /// Tries a cluster out and adds it. Environments can be made there when this returns.
    ///
    /// # Errors
    /// `Kubeconfig`, `Unusable`, or as the write's: `Conflict` when the name is taken.
    pub async fn add_cluster(
        &self,
        new: NewCluster,
        entry: AuditEntry,
    ) -> Result<(Cluster, Examined), ClusterError> {
        let taken = clusters::by_id_or_name(self.inner.persistence.pool(), &new.name).await?;
        if taken.is_some_and(|taken| taken.cluster.name == new.name) {
            return Err(WriteError::Conflict { constraint: "clusters_name_key".to_owned() }.into());
        }
        let (sealed, examined) = self.examine(&new.id, new.kubeconfig).await?;
        let write = UpsertCluster {
            id: new.id,
            name: new.name,
            description: new.description,
            provider: new.provider,
            region: new.region,
            kubeconfig: sealed,
            runtime: RuntimeKind::Kubernetes,
            status: new.status,
            is_default: new.is_default,
            node_count: 1,
            max_environments: new.max_environments,
        };
        let row = self.inner.persistence.write(Audited { write, entry }).await?;
        self.take_up_clusters().await;
        Ok((row, examined))
    }

    /// Changes a cluster; a new kubeconfig is tried out first. What runs there goes on.
    ///
    /// # Errors
    /// As [`System::add_cluster`]; `Given` for a new kubeconfig or name of a cluster of the
    /// configuration.
    pub async fn change_cluster(
        &self,
        id: &str,
        mut edit: ClusterEdit,
        kubeconfig: Option<NewKubeconfig>,
        entry: AuditEntry,
    ) -> Result<Cluster, ClusterError> {
        if self.inner.runtimes.is_given(id) && (kubeconfig.is_some() || edit.name.is_some()) {
            return Err(ClusterError::Given);
        }
        if let Some(kubeconfig) = kubeconfig {
            edit.kubeconfig = Some(self.examine(id, kubeconfig).await?.0);
        }
        let write = ChangeCluster { id: id.to_owned(), edit };
        let row = self.inner.persistence.write(Audited { write, entry }).await?;
        self.take_up_clusters().await;
        Ok(row)
    }

    /// Removes a cluster.
    ///
    /// # Errors
    /// `InUse`, `Given`, or as the write's.
    pub async fn remove_cluster(&self, id: &str, entry: AuditEntry) -> Result<(), ClusterError> {
        if self.inner.runtimes.is_given(id) {
            return Err(ClusterError::Given);
        }
        let write = DeleteCluster { id: id.to_owned() };
        match self.inner.persistence.write(Audited { write, entry }).await {
            Err(WriteError::Refused { .. }) => return Err(ClusterError::InUse),
            other => other?,
        }
        self.take_up_clusters().await;
        Ok(())
    }

    /// How a cluster is, as its actor last saw it. One that was just started is waited for, as long
    /// as `patience`; none: it is not known yet.
    ///
    /// # Errors
    /// Why it can't be used at all.
    pub async fn cluster_health(
        &self,
        id: &str,
        patience: Duration,
    ) -> Result<Option<ClusterHealth>, String> {
        self.inner.runtimes.get(id)?;
        let path = ActorPath::of(Kind::Cluster, id);
        let asked = timeout(patience, async {
            loop {
                if let Some(actor) = self.inner.registry.find::<ClusterMessage>(&path)
                    && let Ok(health) = actor.call(ClusterMessage::Health).await
                {
                    return health;
                }
                // It is being started.
                sleep(STARTING).await;
            }
        });
        Ok(asked.await.ok())
    }

    /// Seals a kubeconfig for a row, if its cluster can be used.
    async fn examine(&self, id: &str, new: NewKubeconfig) -> Result<(Hidden, Examined), ClusterError> {
        let stored = &self.inner.stored;
        let examined = stored::examine(&new.text, new.context.as_deref(), &stored.kubernetes).await;
        let examined = examined.map_err(|error| match error {
            RuntimeError::Rejected(why) | RuntimeError::Unavailable(why) => ClusterError::Kubeconfig(why),
        })?;
        let missing = examined.missing();
        if !missing.is_empty() {
            return Err(ClusterError::Unusable(missing));
        }
        let sealed = stored::sealed(self.vault(), id, &examined.text);
        let sealed = sealed.map_err(|error| WriteError::Internal(error.to_string()))?;
        Ok((sealed, examined))
    }

    /// Uses at once what was just written; if the database goes away now, a little later.
    async fn take_up_clusters(&self) {
        if let Err(error) = self.sync_clusters().await {
            tracing::warn!(%error, "a change of clusters is taken up within half a minute");
        }
    }

    /// Brings this process to what the database says of clusters. One at a time.
    ///
    /// # Errors
    /// `Unavailable` while the database is away.
    pub(super) async fn sync_clusters(&self) -> Result<(), ReadError> {
        let usable = {
            let _one = self.inner.syncing.lock().await;
            let usable = self.inner.stored.sync(&self.inner.runtimes, &self.inner.persistence).await?;
            // While it is being restarted it needs not be told: it looks when it starts.
            let _ = self.inner.clusters.call(ClustersMessage::Changed).await;
            usable
        };
        if !usable.is_empty() {
            let system = self.clone();
            let resuming = TaskGuard::spawn(async move {
                system.resume(|environment| usable.contains(&environment.cluster_id)).await;
            });
            self.inner.resuming.lock().push(resuming);
        }
        Ok(())
    }

    /// Does that from time to time.
    pub(super) fn keep_clusters(&self) -> TaskGuard {
        let inner = Arc::downgrade(&self.inner);
        TaskGuard::spawn(async move {
            loop {
                sleep(LOOK).await;
                let Some(inner) = inner.upgrade() else { return };
                let system = Self { inner };
                if let Err(error) = system.sync_clusters().await {
                    tracing::debug!(%error, "the clusters are not looked at now");
                }
                system.inner.resuming.lock().retain(|task| !task.is_finished());
            }
        })
    }
}
