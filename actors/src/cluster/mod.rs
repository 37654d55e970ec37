//! Clusters: where environments run, whether they can be reached, and what is left on them.
//!
//! * `actor`: one actor per cluster. It keeps the cluster's watch going, looks at its health,
//!   and finds what should not be there.
//! * [`orphans`]: the rules for the latter.
//! * `given`: clusters of the process; [`stored`]: clusters whose kubeconfigs are in the database.
//! * `runtimes`: the runtime of each; `switch`: how it is exchanged under those who use it.

mod actor;
mod given;
pub mod orphans;
mod runtimes;
pub mod stored;
mod switch;

pub use actor::ClusterHealth;
pub(crate) use actor::{ClusterMessage, Clusters, ClustersArgs, ClustersMessage};
pub use given::{GivenCluster, LOCAL_CLUSTER};
pub use runtimes::Runtimes;
use runtimes::Usable;
