//! A user's namespace and what bounds everything in it.

use k8s_openapi::api::core::v1::{
    LimitRange, LimitRangeItem, LimitRangeSpec, Namespace, ResourceQuota, ResourceQuotaSpec,
};
use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{MIB, bytes, count, millis, promised, quantities};
use crate::plans::Allowance;
use crate::runtime::kubernetes::{KubernetesConfig, names};

/// The name of the one quota, limit range and network policy of a namespace.
const NAME: &str = "devpocket";

/// Pods beyond the number of environments: one that is being replaced still counts.
const SPARE_PODS: u64 = 2;

/// What a container gets that says nothing of itself, such as a debugging one of an operator.
const DEFAULT_CPU_MILLIS: u32 = 250;
const DEFAULT_MEMORY: u64 = 256 * MIB;

/// Addresses that are no part of the public internet. Pods of other users, services (the API
/// server's among them), nodes and whatever else the operator runs live in the private ranges
/// and in the shared one (100.64/10, which some clouds give to pods); clouds answer for a
/// node's identity at link-local addresses. None of it is an environment's business, and which
/// parts of these ranges a cluster uses can't be asked of it, so all of them are closed.
const CLOSED_V4: [&str; 5] =
    ["10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"];
const CLOSED_V6: [&str; 2] = ["fc00::/7", "fe80::/10"];

/// Where a node-local cache of names listens by convention: link-local, and open for that alone.
const NODE_LOCAL_DNS: &str = "169.254.20.10/32";

fn meta(config: &KubernetesConfig, user_id: &str, namespace: Option<&str>, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: namespace.map(str::to_owned),
        labels: Some(names::user_labels(config, user_id)),
        ..ObjectMeta::default()
    }
}

/// The namespace. `baseline` is enforced rather than `restricted`, since a template may run
/// its shells as root of the container; what falls short of `restricted` is in the audit log.
pub(in super::super) fn namespace(config: &KubernetesConfig, user_id: &str, name: &str) -> Namespace {
    let mut metadata = meta(config, user_id, None, name);
    let labels = metadata.labels.get_or_insert_default();
    for (mode, level) in [("enforce", "baseline"), ("warn", "restricted"), ("audit", "restricted")] {
        labels.insert(format!("pod-security.kubernetes.io/{mode}"), level.to_owned());
    }
    Namespace { metadata, ..Namespace::default() }
}

/// What all environments of a user together may use.
pub(in super::super) fn resource_quota(
    config: &KubernetesConfig,
    user_id: &str,
    namespace: &str,
    allowance: &Allowance,
) -> ResourceQuota {
    let environments = u64::from(allowance.environments);
    let each = &allowance.each;
    let (cpu, memory) = promised(each);
    let hard = quantities([
        ("pods", count(environments + SPARE_PODS)),
        ("persistentvolumeclaims", count(environments)),
        ("requests.storage", bytes(environments * each.storage_bytes)),
        ("limits.cpu", millis(environments * u64::from(each.cpu_millis))),
        ("limits.memory", bytes(environments * each.memory_bytes)),
        ("requests.cpu", millis(environments * u64::from(cpu))),
        ("requests.memory", bytes(environments * memory)),
    ]);
    ResourceQuota {
        metadata: meta(config, user_id, Some(namespace), NAME),
        spec: Some(ResourceQuotaSpec { hard: Some(hard), ..ResourceQuotaSpec::default() }),
        ..ResourceQuota::default()
    }
}

/// What each environment of a user may use.
pub(in super::super) fn limit_range(
    config: &KubernetesConfig,
    user_id: &str,
    namespace: &str,
    allowance: &Allowance,
) -> LimitRange {
    let each = &allowance.each;
    let (cpu, memory) = promised(each);
    let default_cpu = DEFAULT_CPU_MILLIS.min(each.cpu_millis);
    let default_memory = DEFAULT_MEMORY.min(each.memory_bytes);
    let pair = |cpu: u32, memory: u64| {
        Some(quantities([("cpu", millis(u64::from(cpu))), ("memory", bytes(memory))]))
    };
    let container = LimitRangeItem {
        type_: "Container".to_owned(),
        max: pair(each.cpu_millis, each.memory_bytes),
        default: pair(default_cpu, default_memory),
        default_request: pair(cpu.min(default_cpu), memory.min(default_memory)),
        ..LimitRangeItem::default()
    };
    let volume = LimitRangeItem {
        type_: "PersistentVolumeClaim".to_owned(),
        max: Some(quantities([("storage", bytes(each.storage_bytes))])),
        ..LimitRangeItem::default()
    };
    LimitRange {
        metadata: meta(config, user_id, Some(namespace), NAME),
        spec: Some(LimitRangeSpec { limits: vec![container, volume] }),
    }
}

/// Nobody comes in, and out go connections to the internet and questions for names.
///
/// The server needs no way in: it reaches agents and forwarded ports through the API server.
pub(in super::super) fn network_policy(
    config: &KubernetesConfig,
    user_id: &str,
    namespace: &str,
) -> NetworkPolicy {
    let block = |cidr: &str, except: &[&str]| NetworkPolicyPeer {
        ip_block: Some(IPBlock {
            cidr: cidr.to_owned(),
            except: (!except.is_empty()).then(|| except.iter().map(|part| (*part).to_owned()).collect()),
        }),
        ..NetworkPolicyPeer::default()
    };
    let system = NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector {
            match_labels: Some([("kubernetes.io/metadata.name".to_owned(), "kube-system".to_owned())].into()),
            ..LabelSelector::default()
        }),
        ..NetworkPolicyPeer::default()
    };
    let port = |protocol: &str| NetworkPolicyPort {
        port: Some(IntOrString::Int(53)),
        protocol: Some(protocol.to_owned()),
        ..NetworkPolicyPort::default()
    };
    let world = NetworkPolicyEgressRule {
        to: Some(vec![block("0.0.0.0/0", &CLOSED_V4), block("::/0", &CLOSED_V6)]),
        ports: None,
    };
    let dns = NetworkPolicyEgressRule {
        to: Some(vec![system, block(NODE_LOCAL_DNS, &[])]),
        ports: Some(vec![port("UDP"), port("TCP")]),
    };
    NetworkPolicy {
        metadata: meta(config, user_id, Some(namespace), NAME),
        spec: Some(NetworkPolicySpec {
            // An empty selector: every pod of the namespace.
            pod_selector: Some(LabelSelector::default()),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            egress: Some(vec![world, dns]),
            ingress: None,
        }),
    }
}
