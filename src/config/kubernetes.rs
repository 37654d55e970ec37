//! The cluster that a server is given, and how environments are made on clusters.

use std::path::PathBuf;

use devpocket_actors::plans::Plans;
use devpocket_actors::runtime::kubernetes::KubernetesConfig;

use super::reader::Reader;

/// Environments on Kubernetes.
#[derive(Debug, Clone)]
pub struct Kubernetes {
    /// The cluster that the process is given, if it is given one.
    pub given: Option<Given>,
    /// `KUBERNETES_CLUSTER`: the name of its row.
    pub cluster: String,
    /// `DEVPOCKET_INSTALLATION`, `AGENT_IMAGE`, `KUBERNETES_STORAGE_CLASS`, and the plans.
    pub environments: KubernetesConfig,
}

/// How the given cluster is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// `KUBECONFIG`: a file.
    Kubeconfig(PathBuf),
    /// `KUBERNETES_IN_CLUSTER`: as this pod's service account.
    InCluster,
}

pub(super) fn read(read: &mut Reader<'_>, plans: Plans) -> Kubernetes {
    let in_cluster = read.boolean("KUBERNETES_IN_CLUSTER", false);
    let kubeconfig = read.optional_text("KUBECONFIG").map(PathBuf::from);
    if in_cluster && kubeconfig.is_some() {
        read.reject(
            "KUBERNETES_IN_CLUSTER",
            "false where KUBECONFIG names a file: one cluster is given at most",
        );
    }
    let defaults = KubernetesConfig::default();
    Kubernetes {
        given: kubeconfig.map(Given::Kubeconfig).or(in_cluster.then_some(Given::InCluster)),
        cluster: read.matching(
            "KUBERNETES_CLUSTER",
            "kubernetes",
            "a name of 1 to 50 letters, digits, `-` or `_`",
            devpocket_actors::templates::rules::is_name,
        ),
        environments: KubernetesConfig {
            installation: read.matching(
                "DEVPOCKET_INSTALLATION",
                &defaults.installation,
                "1 to 20 lower-case letters, digits and `-`, beginning and ending with a letter or digit",
                is_installation,
            ),
            agent_image: read.text("AGENT_IMAGE", &defaults.agent_image),
            storage_class: read.optional_text("KUBERNETES_STORAGE_CLASS"),
            plans,
            ..defaults
        },
    }
}

/// It begins the names of namespaces, so it has to be the beginning of one.
fn is_installation(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=20).contains(&text.len())
        && text.bytes().all(|byte| plain(byte) || byte == b'-')
        && text.bytes().next().is_some_and(plain)
        && text.bytes().next_back().is_some_and(plain)
}
