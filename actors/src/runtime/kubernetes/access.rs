//! What is missing in a cluster, for `devpocket doctor`.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::version::Info;
use kube::Client;
use kube::api::{Api, ListParams, PostParams};
use tokio::time::timeout;

use super::KubernetesConfig;
use super::error::explain;
use crate::runtime::RuntimeError;

/// The oldest version with everything that is used (server-side apply, EndpointSlices, …).
const OLDEST: Version = Version(1, 20);
/// The first one that tells the end of stdin over a WebSocket.
const HALF_CLOSE: Version = Version(1, 30);
/// The first one that enforces the Pod Security labels of namespaces.
const POD_SECURITY: Version = Version(1, 23);

/// How long one question may take.
const ANSWER: Duration = Duration::from_secs(8);
/// Questions at a time: each has a connection of its own.
const AT_ONCE: usize = 4;

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

/// A cluster's version: 1.20 is (1, 20).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32);

impl Version {
    /// Some clouds add a `+` or more.
    fn of(info: &Info) -> Option<Self> {
        let number = |text: &str| {
            let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            text[..end].parse().ok()
        };
        Some(Self(number(&info.major)?, number(&info.minor)?))
    }
}

/// What is done with a resource, and so must be allowed. As in deploy/kubernetes/rbac.yaml.
struct Permission {
    group: &'static str,
    /// With its subresource, after a slash.
    resource: &'static str,
    verbs: &'static [&'static str],
    needed: bool,
}

const fn needed(group: &'static str, resource: &'static str, verbs: &'static [&'static str]) -> Permission {
    Permission { group, resource, verbs, needed: true }
}

const fn useful(group: &'static str, resource: &'static str, verbs: &'static [&'static str]) -> Permission {
    Permission { group, resource, verbs, needed: false }
}

const NODE_FIGURES: &str = "nodes/proxy";
const METRICS_GROUP: &str = "metrics.k8s.io";

static PERMISSIONS: [Permission; 16] = [
    needed("", "namespaces", &["get", "create", "patch", "delete"]),
    needed("", "resourcequotas", &["create", "patch"]),
    needed("", "limitranges", &["create", "patch"]),
    needed("networking.k8s.io", "networkpolicies", &["create", "patch"]),
    needed("", "secrets", &["get", "create", "patch", "delete"]),
    needed("", "services", &["get", "create", "patch", "delete"]),
    needed("", "persistentvolumeclaims", &["get", "list", "create", "patch", "delete"]),
    needed("apps", "statefulsets", &["get", "list", "create", "patch", "delete"]),
    needed("", "pods", &["get", "list", "watch", "delete"]),
    needed("", "pods/exec", &["get", "create"]),
    needed("", "pods/portforward", &["get", "create"]),
    needed("", "pods/log", &["get"]),
    // They only explain why a pod does not start.
    useful("", "events", &["list", "watch"]),
    // They tell administrators what the cluster has.
    useful("", "nodes", &["list"]),
    useful("", NODE_FIGURES, &["get"]),
    useful(METRICS_GROUP, "pods", &["list"]),
];

/// Whether the cluster answers, and is one we can work with. One small request.
pub(super) async fn check(client: &Client) -> Result<(), RuntimeError> {
    version(client).await.map(drop)
}

async fn version(client: &Client) -> Result<(Version, String), RuntimeError> {
    let doing = "Asking the cluster for its version";
    let info = answer(client.apiserver_version()).await.map_err(|why| match why {
        Some(error) => explain(doing, &error),
        None => RuntimeError::Unavailable(format!("{doing}: it does not answer")),
    })?;
    match Version::of(&info) {
        Some(version) if version >= OLDEST => Ok((version, info.git_version)),
        _ => Err(RuntimeError::Rejected(format!(
            "the cluster is too old: it has version {}, and {}.{} or newer is needed",
            info.git_version, OLDEST.0, OLDEST.1
        ))),
    }
}

/// Looks at everything that environments need: version, permissions, storage, features. Only
/// asks; changes nothing.
pub async fn report(client: &Client, config: &KubernetesConfig) -> Vec<Finding> {
    let finding = |subject: &str, needed, result| Finding { subject: subject.to_owned(), result, needed };
    let (version, name) = match version(client).await {
        Ok(version) => version,
        // All else would fail for the same reason.
        Err(error) => return vec![finding("cluster", true, Err(error.to_string()))],
    };
    let mut findings = vec![finding("cluster", true, Ok(format!("Kubernetes {name}")))];
    // All are made before any is waited for: a closure that lives on meanwhile would tie the whole
    // to this task's borrows.
    let asked: Vec<_> = PERMISSIONS.iter().map(|permission| permitted(client.clone(), permission)).collect();
    let permissions: Vec<Finding> = stream::iter(asked).buffered(AT_ONCE).collect().await;
    let allowed = |resource: &str| {
        let found =
            PERMISSIONS.iter().zip(&permissions).find(|(permission, _)| permission.resource == resource);
        found.is_some_and(|(_, finding)| finding.result.is_ok())
    };
    let node_figures = allowed(NODE_FIGURES);
    let metrics_allowed = permissions.last().is_some_and(|finding| finding.result.is_ok());
    findings.extend(permissions);
    findings.push(storage(client, config).await);
    findings.push(finding("figures", false, figures(client, node_figures, metrics_allowed).await));
    let protocol = if version >= HALF_CLOSE { "v5" } else { "v4, which is as good for terminals" };
    findings.push(finding("channels", false, Ok(format!("exec over WebSocket, protocol {protocol}"))));
    findings.push(finding("pod security", false, pod_security(version)));
    let policies = "network policies are made for each user. Whether the cluster's network enforces them can't be \
                    told from here: Calico, Cilium and the like do, flannel alone does not";
    findings.push(finding("network policies", false, Ok(policies.to_owned())));
    findings
}

async fn permitted(client: Client, permission: &'static Permission) -> Finding {
    let (resource, subresource) = match permission.resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource)),
        None => (permission.resource, None),
    };
    let mut missing = Vec::new();
    let mut failure = None;
    for &verb in permission.verbs {
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    group: Some(permission.group.to_owned()),
                    resource: Some(resource.to_owned()),
                    subresource: subresource.map(str::to_owned),
                    verb: Some(verb.to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
        match answer(reviews.create(&PostParams::default(), &review)).await {
            Ok(review) if review.status.as_ref().is_some_and(|status| status.allowed) => {}
            Ok(_) => missing.push(verb),
            Err(error) => {
                failure = Some(text("Asking for permissions", error));
                break;
            }
        }
    }
    let group = if permission.group.is_empty() { String::new() } else { format!(".{}", permission.group) };
    let result = match failure {
        Some(failure) => Err(failure),
        None if missing.is_empty() => Ok(permission.verbs.join(", ")),
        None => {
            Err(format!("not allowed: {}. The role in deploy/kubernetes/rbac.yaml does", missing.join(", ")))
        }
    };
    Finding {
        subject: format!("permission: {}{group}", permission.resource),
        result,
        needed: permission.needed,
    }
}

async fn storage(client: &Client, config: &KubernetesConfig) -> Finding {
    let classes: Api<StorageClass> = Api::all(client.clone());
    let subject = "storage".to_owned();
    let found = match answer(classes.list(&ListParams::default())).await {
        Ok(found) => found.items,
        // Reading them is a help for this report alone.
        Err(error) => {
            return Finding {
                subject,
                result: Err(text("Looking for storage classes", error)),
                needed: false,
            };
        }
    };
    let named = |wanted: &str| found.iter().any(|class| class.metadata.name.as_deref() == Some(wanted));
    let default = found.iter().find(|class| {
        let annotations = class.metadata.annotations.iter().flatten();
        annotations.into_iter().any(|(key, value)| {
            key.ends_with("storageclass.kubernetes.io/is-default-class") && value == "true"
        })
    });
    let result = match (&config.storage_class, default.and_then(|class| class.metadata.name.as_deref())) {
        (Some(wanted), _) if named(wanted) => Ok(format!("volumes of class {wanted}")),
        (Some(wanted), _) => {
            Err(format!("there is no storage class {wanted:?}: make it, or configure another one"))
        }
        (None, Some(default)) => Ok(format!("volumes of class {default}, the cluster's default")),
        (None, None) => {
            Err("no storage class is the default: mark one, or configure which to use".to_owned())
        }
    };
    Finding { subject, result, needed: true }
}

async fn figures(client: &Client, node_figures: bool, metrics_allowed: bool) -> Result<String, String> {
    if node_figures {
        return Ok("CPU, memory, volume and network, from the nodes".to_owned());
    }
    let groups = answer(client.list_api_groups())
        .await
        .map_err(|error| text("Looking for a metrics server", error))?;
    let there = groups.groups.iter().any(|group| group.name == METRICS_GROUP);
    match (there, metrics_allowed) {
        (true, true) => {
            Ok("CPU and memory, from the metrics server; nodes/proxy would give the rest".to_owned())
        }
        (true, false) => {
            Err("none: allow nodes/proxy or pods.metrics.k8s.io (deploy/kubernetes/rbac.yaml)".to_owned())
        }
        (false, _) => {
            Err("none: allow nodes/proxy (deploy/kubernetes/rbac.yaml), or install a metrics server"
                .to_owned())
        }
    }
}

fn pod_security(version: Version) -> Result<String, String> {
    if version >= POD_SECURITY {
        Ok("the Pod Security labels of namespaces are enforced, unless the cluster has it turned off"
            .to_owned())
    } else {
        Ok("this version does not enforce the Pod Security labels of namespaces; pods are made to comply all the same".to_owned())
    }
}

/// Waits for an answer in bounded time; nothing: there was none.
async fn answer<T>(asking: impl Future<Output = kube::Result<T>>) -> Result<T, Option<kube::Error>> {
    timeout(ANSWER, asking).await.map_err(|_| None)?.map_err(Some)
}

fn text(doing: &str, error: Option<kube::Error>) -> String {
    match error {
        Some(error) => explain(doing, &error).to_string(),
        None => format!("{doing}: the cluster does not answer"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn version_of(major: &str, minor: &str) -> Option<Version> {
        Version::of(&Info { major: major.into(), minor: minor.into(), ..Info::default() })
    }

    #[test]
    fn versions_are_compared_by_number() {
        assert_eq!(version_of("1", "20+"), Some(Version(1, 20)));
        assert!(version_of("1", "9") < version_of("1", "20"));
        assert!(version_of("2", "0") > version_of("1", "20"));
        assert_eq!(version_of("", ""), None);
    }

    #[test]
    fn the_role_that_is_shipped_grants_what_is_asked_for_and_no_more() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/kubernetes/rbac.yaml");
        let text = std::fs::read_to_string(file).unwrap();
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        let role = documents.iter().find(|document| document["kind"] == "ClusterRole").unwrap();
        let words = |value: &Value| -> Vec<String> {
            value.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
        };
        let mut granted = BTreeSet::new();
        for rule in role["rules"].as_array().unwrap() {
            for group in words(&rule["apiGroups"]) {
                for resource in words(&rule["resources"]) {
                    for verb in words(&rule["verbs"]) {
                        granted.insert((group.clone(), resource.clone(), verb));
                    }
                }
            }
        }
        let mut asked: BTreeSet<_> = PERMISSIONS
            .iter()
            .flat_map(|permission| {
                let of = |verb: &&str| {
                    (permission.group.to_owned(), permission.resource.to_owned(), (*verb).to_owned())
                };
                permission.verbs.iter().map(of)
            })
            .collect();
        asked.insert(("storage.k8s.io".to_owned(), "storageclasses".to_owned(), "list".to_owned()));
        assert_eq!(granted, asked);
    }
}
