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
/// The directory of its socket.
pub(super) const RUN_DIR: &str = "/devpocket/run";
/// Where its socket is.
pub(super) const SOCKET: &str = "/devpocket/run/agent.sock";
/// Where the volume is mounted.
pub(super) const HOME: &str = "/home/dev";

/// What made an object.
pub(super) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
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
    let labels = [(MANAGED_BY, "devpocket"), (INSTALLATION, config.installation.as_str()), (USER, user_id)];
    labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// The labels of an environment's objects.
pub(super) fn labels(config: &KubernetesConfig, spec: &EnvironmentSpec) -> BTreeMap<String, String> {
    let mut labels = user_labels(config, &spec.key.user_id);
    labels.insert(ENVIRONMENT.to_owned(), spec.key.id.clone());
    labels.insert(TEMPLATE.to_owned(), label_value(&spec.template));
    labels
}

/// The labels that tell an environment's pod from all others; they never change.
pub(super) fn pod_selector(config: &KubernetesConfig, key: &EnvironmentKey) -> BTreeMap<String, String> {
    let labels = [(INSTALLATION, config.installation.as_str()), (ENVIRONMENT, key.id.as_str())];
    labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Whether an object's labels say that it is of this installation. No other is ever changed.
pub(super) fn is_ours(config: &KubernetesConfig, labels: Option<&BTreeMap<String, String>>) -> bool {
    labels.and_then(|labels| labels.get(INSTALLATION)) == Some(&config.installation)
}

/// The owner of one of our namespaces, by its name.
pub(super) fn user_of<'a>(installation: &str, namespace: &'a str) -> Option<&'a str> {
    let user = namespace.strip_prefix(installation)?.strip_prefix('-')?;
    // Ids hold no `-`: this is not a namespace of the installation `{installation}-x`.
    (!user.is_empty() && !user.contains('-')).then_some(user)
}

/// The environment that an object is of, by its name: `env-{id}`, or `env-{id}-0` for the pod.
pub(super) fn environment_of(object: &str) -> Option<&str> {
    let id = object.strip_prefix("env-")?;
    let id = id.strip_suffix("-0").unwrap_or(id);
    (!id.is_empty() && !id.contains(['-', '.'])).then_some(id)
}

/// What is left of a text when only what labels may hold is kept.
fn label_value(text: &str) -> String {
    let kept: String = text
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' })
        .take(63)
        .collect();
    kept.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_ids() {
        assert_eq!(user_of("dp", "dp-u1"), Some("u1"));
        assert_eq!(user_of("dp", "dp-x-u1"), None, "of the installation dp-x");
        assert_eq!(user_of("dp-x", "dp-x-u1"), Some("u1"));
        assert_eq!(user_of("dp", "dp-"), None);
        assert_eq!(user_of("dp", "dpx-u1"), None);
        assert_eq!(environment_of("env-c1"), Some("c1"));
        assert_eq!(environment_of("env-c1-0"), Some("c1"));
        for other in ["env-", "env-a-b", "web-0", "env-c1-0-x"] {
            assert_eq!(environment_of(other), None, "{other}");
        }
    }

    #[test]
    fn any_template_name_makes_a_label() {
        assert_eq!(label_value("Node.js 20 (LTS)"), "Node.js-20--LTS");
        assert_eq!(label_value("äöü"), "");
        assert_eq!(label_value(&"x".repeat(100)).len(), 63);
    }
}
