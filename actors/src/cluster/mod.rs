//! Clusters: where environments run, whether they can be reached, and what is left on them.
//!
//! * `actor`: one actor per cluster. It keeps the cluster's watch going, looks at its health,
//!   and finds what should not be there.
//! * [`orphans`]: the rules for the latter.
//! * `given`: clusters of the process; [`stored`]: clusters whose kubeconfigs are in the database.

mod actor;
mod given;
pub mod orphans;
pub mod stored;

use std::sync::Arc;

use dashmap::DashMap;

use crate::runtime::Runtime;

pub(crate) use actor::{Clusters, ClustersArgs};
pub use given::{GivenCluster, LOCAL_CLUSTER};

/// The runtime of each cluster, by the cluster's id. Environments take theirs from here, so
/// that a cluster's actor can be restarted under them.
#[derive(Clone, Default)]
pub struct Runtimes(Arc<DashMap<String, Usable>>);

/// A cluster's runtime, or why there is none.
type Usable = Result<Arc<dyn Runtime>, String>;

impl Runtimes {
    /// Adds a cluster's runtime.
    pub fn add(&self, cluster: &str, runtime: Arc<dyn Runtime>) {
        self.0.insert(cluster.to_owned(), Ok(runtime));
    }

    /// Notes that a cluster can't be used, and why.
    pub fn add_unusable(&self, cluster: &str, reason: String) {
        self.0.insert(cluster.to_owned(), Err(reason));
    }

    /// The runtime of a cluster.
    ///
    /// # Errors
    /// Why there is none.
    pub fn get(&self, cluster: &str) -> Result<Arc<dyn Runtime>, String> {
        self.0.get(cluster).map_or_else(
            || Err("The cluster of this environment is not configured on this server.".to_owned()),
            |usable| usable.clone(),
        )
    }

    fn all(&self) -> Vec<(String, Arc<dyn Runtime>)> {
        let usable = |cluster: &str, usable: &Usable| Some((cluster.to_owned(), usable.clone().ok()?));
        self.0.iter().filter_map(|entry| usable(entry.key(), entry.value())).collect()
    }
}
