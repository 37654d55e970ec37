//! What is missing in a cluster, for `devpocket doctor`.

use kube::Client;

use super::KubernetesConfig;
use crate::runtime::RuntimeError;

/// One thing that was looked at.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What was looked at, in a word or two.
    pub subject: String,
    /// What was found; or what is wrong, and what to do.
    pub result: Result<String, String>,
    /// Whether environments can't run without it.
    pub needed: bool,
}

/// Whether the cluster answers, and is one we can work with.
pub(super) async fn check(_client: &Client) -> Result<(), RuntimeError> {
    Ok(())
}

/// Looks at everything that environments need: version, permissions, storage, features.
pub async fn report(_client: &Client, _config: &KubernetesConfig) -> Vec<Finding> {
    Vec::new()
}
