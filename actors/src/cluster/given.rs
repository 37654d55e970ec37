//! Clusters that a process was given by its configuration.

use std::sync::Arc;

use crate::persistence::clusters::{self, UpsertCluster};
use crate::persistence::{ClusterStatus, Hidden, Persistence, RuntimeKind, WriteError, new_id};
use crate::runtime::Runtime;

/// The name of the cluster that is this machine.
pub const LOCAL_CLUSTER: &str = "local";

/// A cluster that a process was given by its configuration. Its row is made at the first start
/// and holds nothing of how it is reached.
pub struct GivenCluster {
    /// The row's name.
    pub name: String,
    /// In words, for people.
    pub description: String,
    /// Which adapter it is.
    pub kind: RuntimeKind,
    /// Its runtime.
    pub runtime: Arc<dyn Runtime>,
}

impl GivenCluster {
    /// The cluster that is this machine.
    #[must_use]
    pub fn local(runtime: Arc<dyn Runtime>) -> Self {
        let description = "Sandboxes on the server's own machine".to_owned();
        Self { name: LOCAL_CLUSTER.to_owned(), description, kind: RuntimeKind::Local, runtime }
    }

    /// The id of its row, which is made if there is none.
    pub(crate) async fn id(&self, persistence: &Persistence) -> Result<String, WriteError> {
        if let Some(known) = clusters::by_id_or_name(persistence.pool(), &self.name).await? {
            return Ok(known.cluster.id);
        }
        let provider = self.kind.as_str().to_lowercase();
        let row = UpsertCluster {
            id: new_id(),
            name: self.name.clone(),
            description: Some(self.description.clone()),
            region: provider.clone(),
            provider,
            kubeconfig: Hidden::new(String::new()),
            runtime: self.kind,
            status: ClusterStatus::Active,
            is_default: true,
            node_count: 1,
            max_environments: 1000,
        };
        Ok(persistence.write(row).await?.id)
    }
}
