//! Clusters.

use devpocket_actors::cluster::ClusterHealth;
use devpocket_actors::persistence::ClusterStatus;
use devpocket_actors::persistence::clusters::{self, ClusterWithLoad, RecentEnvironment};
use devpocket_actors::runtime::Resources;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::view::{bare, spelled, with};
use super::{ClusterRoleWord, ClusterStatusWord, StatusWord, Timestamp, View};

const GIB: f64 = (1_u64 << 30) as f64;

/// How a cluster is, as far as whoever asks may know; none: that was not found out yet.
pub type Known = Result<Option<ClusterHealth>, String>;

/// Amounts as numbers.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
pub struct Sums {
    /// Cores.
    #[schema(example = 12.0)]
    pub cpu: f64,
    /// GiB.
    #[schema(example = 48.0)]
    pub memory: f64,
    /// GiB.
    #[schema(example = 300.0)]
    pub storage: f64,
}

impl From<Resources> for Sums {
    fn from(amounts: Resources) -> Self {
        let gib = |bytes: u64| (bytes as f64 / GIB * 100.0).round() / 100.0;
        Self {
            cpu: f64::from(amounts.cpu_millis) / 1000.0,
            memory: gib(amounts.memory_bytes),
            storage: gib(amounts.storage_bytes),
        }
    }
}

/// In a word how a cluster is.
pub(super) fn word(known: &Known) -> &'static str {
    match known {
        Err(_) => "unhealthy",
        Ok(None) => "checking",
        Ok(Some(health)) => match (&health.result, health.found, &health.capacity) {
            (Err(_), ..) => "unhealthy",
            (Ok(()), Some(_), _) => "degraded",
            (Ok(()), None, Some(capacity)) if capacity.ready_nodes < capacity.nodes => "degraded",
            _ => "healthy",
        },
    }
}

/// A cluster. Never how it is reached.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// Its id.
    pub id: String,
    /// Its name; as good as the id.
    #[schema(example = "frankfurt-1")]
    pub name: String,
    /// What it is.
    pub description: Option<String>,
    /// Who runs it.
    pub provider: String,
    /// Where it stands.
    pub region: String,
    /// Whether it takes environments.
    pub status: ClusterStatusWord,
    /// `KUBERNETES`, or `LOCAL` for the server's own machine.
    #[schema(example = "KUBERNETES")]
    pub runtime: &'static str,
    /// Whether environments go there when nobody says where.
    pub is_default: bool,
    /// Whether only those may use it who were let.
    pub restricted: bool,
    /// Its machines.
    pub node_count: i64,
    /// The most environments that are put there.
    pub max_environments: i32,
    /// Those that are there.
    pub active_environments: i64,
    /// `healthy`, `degraded`, `unhealthy`, or `checking` while that is not known.
    pub health_status: &'static str,
    /// What all its machines have, where that is known.
    pub available_resources: Sums,
    /// How much of that is used, where that is known.
    pub used_resources: Sums,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Cluster {
    /// Of a row and how the cluster is.
    #[must_use]
    pub fn new(row: &ClusterWithLoad, known: &Known) -> Self {
        let cluster = &row.cluster;
        let capacity = known.as_ref().ok().and_then(|known| known.as_ref()?.capacity);
        Self {
            id: cluster.id.clone(),
            name: cluster.name.clone(),
            description: cluster.description.clone(),
            provider: cluster.provider.clone(),
            region: cluster.region.clone(),
            status: cluster.status.into(),
            runtime: cluster.runtime.as_str(),
            is_default: cluster.is_default,
            restricted: cluster.restricted,
            node_count: capacity.map_or(i64::from(cluster.node_count), |capacity| i64::from(capacity.nodes)),
            max_environments: cluster.max_environments,
            active_environments: row.active_environments,
            health_status: word(known),
            available_resources: capacity.map(|capacity| capacity.total.into()).unwrap_or_default(),
            used_resources: capacity.and_then(|capacity| capacity.used).map(Sums::from).unwrap_or_default(),
            created_at: cluster.created_at.into(),
            updated_at: cluster.updated_at.into(),
        }
    }

    fn more(&self) -> Value {
        json!({
            "active": self.status.0 == ClusterStatus::Active,
            "current_environments": self.active_environments,
        })
    }
}

impl View for Cluster {
    fn snake(&self) -> Value {
        with(spelled(self), self.more())
    }
}

/// The clusters that one may see.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ClusterList {
    /// By name.
    pub clusters: Vec<Cluster>,
}

impl View for ClusterList {
    fn snake(&self) -> Value {
        bare(&self.clusters)
    }
}

/// A cluster and the newest environments there.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterDetail {
    /// The cluster.
    #[serde(flatten)]
    pub cluster: Cluster,
    /// The newest ten: one's own, for administrators everybody's.
    pub recent_environments: Vec<EnvironmentThere>,
}

impl View for ClusterDetail {
    fn snake(&self) -> Value {
        with(spelled(self), self.cluster.more())
    }
}

/// An environment on a cluster.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentThere {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// How it is.
    pub status: StatusWord,
    /// Its owner's id.
    pub user_id: String,
    /// Its owner.
    pub user: OwnerThere,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The owner of an environment on a cluster.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct OwnerThere {
    /// The user name.
    pub username: String,
    /// The mail address.
    pub email: String,
}

impl From<RecentEnvironment> for EnvironmentThere {
    fn from(row: RecentEnvironment) -> Self {
        Self {
            id: row.id,
            name: row.name,
            status: row.status.into(),
            user_id: row.user_id,
            user: OwnerThere { username: row.username, email: row.email },
            created_at: row.created_at.into(),
        }
    }
}

/// A cluster that was just added or given another kubeconfig.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddedCluster {
    /// The cluster.
    #[serde(flatten)]
    pub cluster: Cluster,
    /// The context of the kubeconfig that was tried out and stored.
    pub context: String,
    /// All contexts that the kubeconfig had. The others were not stored.
    pub contexts: Vec<String>,
    /// What was found when it was tried out.
    pub findings: Vec<FindingThere>,
}

impl View for AddedCluster {
    fn snake(&self) -> Value {
        with(spelled(self), self.cluster.more())
    }
}

/// Something that was looked at in a cluster.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FindingThere {
    /// What was looked at.
    #[schema(example = "storage")]
    pub subject: String,
    /// Whether it is as it should be.
    pub good: bool,
    /// What was found.
    pub message: String,
}

/// Where environments can be made.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Regions {
    /// By name.
    pub regions: Vec<Region>,
}

/// A place where clusters stand.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Region {
    /// Its name, as clusters have it.
    #[schema(example = "southeast-asia")]
    pub name: String,
    /// The same.
    pub region: String,
    /// Its name for people.
    #[schema(example = "Southeast Asia")]
    pub display_name: String,
    /// Not known.
    pub country: Option<String>,
    /// Who runs its clusters.
    pub provider: String,
    /// How many clusters stand there that one may use.
    pub cluster_count: usize,
    /// Whether any has room.
    pub available: bool,
    /// Whether the default cluster is among them.
    pub has_default: bool,
}

impl Regions {
    /// Those of the clusters that take environments.
    #[must_use]
    pub fn of(rows: &[ClusterWithLoad]) -> Self {
        let mut regions: Vec<Region> = Vec::new();
        for row in rows.iter().filter(|row| row.cluster.status == ClusterStatus::Active) {
            let cluster = &row.cluster;
            let at = regions.iter().position(|region| region.name == cluster.region).unwrap_or_else(|| {
                regions.push(Region {
                    name: cluster.region.clone(),
                    region: cluster.region.clone(),
                    display_name: display_name(&cluster.region),
                    country: None,
                    provider: cluster.provider.clone(),
                    cluster_count: 0,
                    available: false,
                    has_default: false,
                });
                regions.len() - 1
            });
            let region = &mut regions[at];
            region.cluster_count += 1;
            region.available |= row.active_environments < i64::from(cluster.max_environments);
            region.has_default |= cluster.is_default;
        }
        regions.sort_by(|a, b| a.name.cmp(&b.name));
        Self { regions }
    }
}

/// `southeast-asia` for people.
fn display_name(region: &str) -> String {
    let words = region.split(['-', '_']).filter(|word| !word.is_empty()).map(|word| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    });
    words.collect::<Vec<_>>().join(" ")
}

impl View for Regions {}

/// Those who may use a cluster that is not for everybody.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ClusterUsers {
    /// By name.
    pub users: Vec<ClusterUser>,
}

/// Somebody who may use a cluster that is not for everybody.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterUser {
    /// Who.
    pub user_id: String,
    /// The user name.
    pub username: String,
    /// `ADMIN` may also see how the cluster is and what all have there.
    pub role: ClusterRoleWord,
    /// Since when.
    pub created_at: Timestamp,
}

impl From<clusters::Grant> for ClusterUser {
    fn from(grant: clusters::Grant) -> Self {
        Self {
            user_id: grant.user_id,
            username: grant.username,
            role: grant.role.into(),
            created_at: grant.created_at.into(),
        }
    }
}

impl View for ClusterUser {}

impl View for ClusterUsers {
    fn snake(&self) -> Value {
        bare(&self.users)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_have_names_for_people() {
        assert_eq!(display_name("southeast-asia"), "Southeast Asia");
        assert_eq!((display_name("GRA7"), display_name("")), ("GRA7".to_owned(), String::new()));
    }
}
