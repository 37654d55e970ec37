//! Clusters whose kubeconfigs are in the database.

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::timeout;

use super::Runtimes;
use crate::persistence::clusters::{self, Cluster, UpsertCluster};
use crate::persistence::vault::{Vault, VaultError};
use crate::persistence::{ClusterStatus, Hidden, Persistence, ReadError, RuntimeKind};
use crate::runtime::RuntimeError;
use crate::runtime::kubernetes::access::{self, Finding};
use crate::runtime::kubernetes::connect::{self, Access};
use crate::runtime::kubernetes::{KubernetesConfig, KubernetesRuntime};

/// How long a cluster that somebody wants to add may take to show what it has.
const EXAMINATION: Duration = Duration::from_secs(15);

/// What is needed to use stored clusters.
#[derive(Debug, Clone, Default)]
pub struct StoredClusters {
    /// Opens their kubeconfigs; none: they can't be used.
    pub vault: Option<Vault>,
    /// How environments are made on them.
    pub kubernetes: KubernetesConfig,
}

/// A kubeconfig that was tried out on its cluster.
#[derive(Debug, Clone)]
pub struct Examined {
    /// The one context of it that was tried, alone: so a cluster never changes with the file's
    /// current one.
    pub text: SecretString,
    /// That context's name.
    pub context: String,
    /// All contexts that the kubeconfig had.
    pub contexts: Vec<String>,
    /// What was found.
    pub findings: Vec<Finding>,
}

impl Examined {
    /// What environments need and is not there, a line each.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let missing = self.findings.iter().filter(|finding| finding.needed);
        missing
            .filter_map(|finding| Some(format!("{}: {}", finding.subject, finding.result.as_ref().err()?)))
            .collect()
    }
}

/// Asks the cluster of a kubeconfig's context (none: its current one) whether all is there that
/// environments need. Changes nothing there, and ends within [`EXAMINATION`].
///
/// # Errors
/// `Rejected` when the kubeconfig can't be used; the text says why, and names its contexts if that
/// is of use. A cluster that does not answer or lacks something is told by the findings.
pub async fn examine(
    text: &SecretString,
    context: Option<&str>,
    config: &KubernetesConfig,
) -> Result<Examined, RuntimeError> {
    let (contexts, single) = (connect::contexts(text)?, connect::single_context(text, context)?);
    let context = connect::contexts(&single)?.into_iter().next().unwrap_or_default();
    let client = connect::client(&Access::Kubeconfig { text: single.clone(), context: None }).await?;
    let findings = timeout(EXAMINATION, access::report(&client, config)).await.unwrap_or_else(|_| {
        let result = Err(format!("it did not answer all questions within {} s", EXAMINATION.as_secs()));
        vec![Finding { subject: "cluster".to_owned(), result, needed: true }]
    });
    Ok(Examined { text: single, context, contexts, findings })
}

/// A kubeconfig, sealed for the row of a cluster.
///
/// # Errors
/// When it can't be sealed.
pub fn sealed(vault: &Vault, id: &str, kubeconfig: &SecretString) -> Result<Hidden, VaultError> {
    vault.seal(&place(id), kubeconfig.expose_secret().as_bytes())
}

/// The row with a kubeconfig that was sealed for it.
///
/// # Errors
/// When it can't be sealed.
pub fn seal(
    vault: &Vault,
    row: UpsertCluster,
    kubeconfig: &SecretString,
) -> Result<UpsertCluster, VaultError> {
    let kubeconfig = sealed(vault, &row.id, kubeconfig)?;
    Ok(UpsertCluster { kubeconfig, ..row })
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
pub(crate) fn place(id: &str) -> String {
    format!("clusters/{id}/kubeconfig")
}

impl StoredClusters {
    /// Brings the runtimes to what the rows say: makes those of new clusters and of new
    /// kubeconfigs, switches off what is `INACTIVE`, forgets what is gone. Tells which clusters can
    /// be used now and could not before.
    ///
    /// # Errors
    /// When the database is away. A cluster that can't be used is noted as such.
    pub(crate) async fn sync(
        &self,
        runtimes: &Runtimes,
        persistence: &Persistence,
    ) -> Result<Vec<String>, ReadError> {
        let rows = clusters::list(persistence.pool(), None).await?;
        for id in runtimes.ids() {
            if !runtimes.is_given(&id) && !rows.iter().any(|row| row.cluster.id == id) {
                runtimes.remove(&id);
            }
        }
        let mut usable = Vec::new();
        for row in rows {
            let row = row.cluster;
            let could = runtimes.get(&row.id).is_ok();
            self.bring(runtimes, &row).await;
            if !could && runtimes.get(&row.id).is_ok() {
                usable.push(row.id);
            }
        }
        Ok(usable)
    }

    async fn bring(&self, runtimes: &Runtimes, row: &Cluster) {
        if row.status == ClusterStatus::Inactive {
            let off = "Its cluster is switched off at the moment. Its files are kept.";
            if runtimes.switch(&row.id, Err(off.to_owned())) {
                tracing::info!(cluster = row.name, "a cluster is switched off");
            }
            return;
        }
        if runtimes.is_given(&row.id) {
            runtimes.switch(&row.id, Ok(()));
            return;
        }
        let kubeconfig = row.kubeconfig.expose();
        let stored = row.runtime == RuntimeKind::Kubernetes && !kubeconfig.is_empty();
        if !stored || runtimes.is_made_of(&row.id, kubeconfig) {
            return;
        }
        match self.runtime(row).await {
            Ok(runtime) => runtimes.set(&row.id, Ok(Arc::new(runtime)), kubeconfig.to_owned()),
            Err(reason) => {
                tracing::error!(cluster = row.name, reason, "a cluster can't be used");
                let reason = format!("Its cluster can't be used: {reason}");
                runtimes.set(&row.id, Err(reason), kubeconfig.to_owned());
            }
        }
    }

    async fn runtime(&self, row: &Cluster) -> Result<KubernetesRuntime, String> {
        let access = access(self.vault.as_ref(), row)?;
        let client = connect::client(&access).await.map_err(|error| error.to_string())?;
        Ok(KubernetesRuntime::new(client, self.kubernetes.clone()))
    }
}
