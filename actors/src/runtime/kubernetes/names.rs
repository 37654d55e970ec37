//! Namespaces, names and labels.

use std::collections::BTreeMap;

use super::KubernetesConfig;
use crate::runtime::{EnvironmentKey, EnvironmentSpec, RuntimeError};

/// Who applies our objects: one manager, so that what we no longer say goes away.
pub(super) const FIELD_MANAGER: &str = "devpocket";

/// The container that the agent and the person's programs run in.
pub(super) const CONTAINER: &str = "environment";

/// The init container that brings the agent.
pub(super) const AGENT_CONTAINER: &str = "agent";

/// Where the agent's program is in the pod, read-only for the environment.
pub(super) const AGENT_DIR: &str = "/devpocket/bin";
/// Where its configuration is mounted.
pub(super) const CONFIG_DIR: &str = "/devpocket/config";
/// Where its socket is.
pub(super) const SOCKET: &str = "/devpocket/run/agent.sock";
/// Where the volume is mounted.
pub(super) const HOME: &str = "/home/dev";

/// Whose installation an object is of.
pub(super) const INSTALLATION: &str = "devpocket.dev/installation";
/// The owner's id.
pub(super) const USER: &str = "devpocket.dev/user";
/// The environment's id.
pub(super) const ENVIRONMENT: &str = "devpocket.dev/environment";
/// The template's name.
pub(super) const TEMPLATE: &str = "devpocket.dev/template";

/// Refuses what is no id, before it gets into a name or a path.
pub(super) fn check(key: &EnvironmentKey) -> Result<(), RuntimeError> {
    for id in [&key.id, &key.user_id] {
        let plain = id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if id.is_empty() || id.len() > 36 || !plain {
            return Err(RuntimeError::Rejected(format!("{id:?} is not an id")));
        }
    }
    Ok(())
}

/// The owner's namespace.
pub(super) fn namespace(config: &KubernetesConfig, key: &EnvironmentKey) -> String {
    format!("{}-{}", config.installation, key.user_id)
}

/// The name of all of an environment's objects.
pub(super) fn object(key: &EnvironmentKey) -> String {
    format!("env-{}", key.id)
}

/// The one pod of the environment's StatefulSet.
pub(super) fn pod(key: &EnvironmentKey) -> String {
    format!("{}-0", object(key))
}

/// The labels of everything of an installation.
pub(super) fn selector(config: &KubernetesConfig) -> String {
    format!("{INSTALLATION}={}", config.installation)
}

/// The labels of a user's namespace.
pub(super) fn user_labels(config: &KubernetesConfig, user_id: &str) -> BTreeMap<String, String> {
    let labels = [
        ("app.kubernetes.io/managed-by", "devpocket"),
        (INSTALLATION, config.installation.as_str()),
        (USER, user_id),
    ];
    labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// The labels of an environment's objects.
pub(super) fn labels(config: &KubernetesConfig, spec: &EnvironmentSpec) -> BTreeMap<String, String> {
    let mut labels = user_labels(config, &spec.key.user_id);
    labels.insert(ENVIRONMENT.to_owned(), spec.key.id.clone());
    labels.insert(TEMPLATE.to_owned(), spec.template.clone());
    labels
}
