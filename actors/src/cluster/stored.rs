//! Clusters whose kubeconfigs are in the database.

use std::sync::Arc;

use super::Runtimes;
use crate::persistence::clusters::{self, Cluster, UpsertCluster};
use crate::persistence::vault::Vault;
use crate::persistence::{ClusterStatus, Persistence, ReadError, RuntimeKind};
use crate::runtime::kubernetes::connect::{self, Access};
use crate::runtime::kubernetes::{KubernetesConfig, KubernetesRuntime};

/// What is needed to use stored clusters.
#[derive(Debug, Clone, Default)]
pub struct StoredClusters {
    /// Opens their kubeconfigs; none: they can't be used.
    pub vault: Option<Vault>,
    /// How environments are made on them.
    pub kubernetes: KubernetesConfig,
}

/// A kubeconfig, sealed for its row.
///
/// # Errors
/// When it can't be sealed.
pub fn seal(
    vault: &Vault,
    row: UpsertCluster,
    kubeconfig: &str,
) -> Result<UpsertCluster, crate::persistence::vault::VaultError> {
    let sealed = vault.seal(&place(&row.id), kubeconfig.as_bytes())?;
    Ok(UpsertCluster { kubeconfig: sealed, ..row })
}

/// The kubeconfig of a row, as a way to its cluster.
///
/// # Errors
/// Why it can't be opened, and what to do.
pub fn access(vault: Option<&Vault>, row: &Cluster) -> Result<Access, String> {
    let Some(vault) = vault else {
        return Err("its kubeconfig is sealed and SECRET_KEY is not set on this server".to_owned());
    };
    let text = vault.open(&place(&row.id), &row.kubeconfig).map_err(|error| error.to_string())?;
    Ok(Access::Kubeconfig { text, context: None })
}

/// What a kubeconfig is sealed for: one row's secret can't be put into another row.
fn place(id: &str) -> String {
    format!("clusters/{id}/kubeconfig")
}

impl StoredClusters {
    /// Makes the runtimes of all stored clusters that are in use.
    ///
    /// # Errors
    /// When the database is away. A cluster that can't be used is noted as such.
    pub(crate) async fn add_to(
        &self,
        runtimes: &Runtimes,
        persistence: &Persistence,
    ) -> Result<(), ReadError> {
        for row in clusters::list(persistence.pool()).await? {
            let row = row.cluster;
            let stored = row.runtime == RuntimeKind::Kubernetes && !row.kubeconfig.expose().is_empty();
            if !stored || row.status == ClusterStatus::Inactive {
                continue;
            }
            match self.runtime(&row).await {
                Ok(runtime) => runtimes.add(&row.id, Arc::new(runtime)),
                Err(reason) => {
                    tracing::error!(cluster = row.name, reason, "a cluster can't be used");
                    runtimes.add_unusable(&row.id, format!("Its cluster can't be used: {reason}"));
                }
            }
        }
        Ok(())
    }

    async fn runtime(&self, row: &Cluster) -> Result<KubernetesRuntime, String> {
        let access = access(self.vault.as_ref(), row)?;
        let client = connect::client(&access).await.map_err(|error| error.to_string())?;
        Ok(KubernetesRuntime::new(client, self.kubernetes.clone()))
    }
}
