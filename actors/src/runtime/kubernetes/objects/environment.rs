//! An environment's volume claim, secret, service and StatefulSet.

use std::collections::BTreeMap;

use devpocket_protocol::agent::config::{AgentConfig, AgentUser, Limits};
use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, Secret, Service, ServicePort, ServiceSpec,
    VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{pod, quantities};
use crate::runtime::kubernetes::{KubernetesConfig, names};
use crate::runtime::{EnvironmentSpec, RuntimeError};

/// The key of the agent's configuration in the secret, and its file's name.
pub(super) const AGENT_JSON: &str = "agent.json";

/// When an environment was last asked to run. Its change makes the StatefulSet's controller
/// look at once, where it would wait for up to a quarter of an hour after failing for a while.
const ENSURED: &str = "devpocket.dev/ensured-at";

fn meta(config: &KubernetesConfig, spec: &EnvironmentSpec) -> ObjectMeta {
    ObjectMeta {
        name: Some(names::object(&spec.key)),
        namespace: Some(names::namespace(config, &spec.key)),
        labels: Some(names::labels(config, spec)),
        ..ObjectMeta::default()
    }
}

/// The agent's configuration. It holds the person's variables, so it is a secret: whoever may
/// list pods or StatefulSets in the cluster doesn't see it. The person's own programs may.
pub(in super::super) fn config_secret(
    config: &KubernetesConfig,
    spec: &EnvironmentSpec,
) -> Result<Secret, RuntimeError> {
    let (uid, name) = if spec.placement.run_as_root { (0, "root") } else { (pod::USER, "dev") };
    let agent = AgentConfig {
        environment_id: spec.key.id.clone(),
        environment_name: spec.name.clone(),
        socket: names::SOCKET.into(),
        home: names::HOME.into(),
        user: Some(AgentUser { uid, gid: uid, name: name.to_owned() }),
        shell: None,
        variables: spec.variables.clone(),
        notes: Vec::new(),
        install: spec.install.clone(),
        startup: spec.startup.clone(),
        // The container has them.
        limits: Limits::default(),
    };
    let json = serde_json::to_vec(&agent)
        .map_err(|error| RuntimeError::Rejected(format!("its configuration can't be written: {error}")))?;
    Ok(Secret {
        metadata: meta(config, spec),
        data: Some(BTreeMap::from([(AGENT_JSON.to_owned(), ByteString(json))])),
        ..Secret::default()
    })
}

/// The volume claim, of `size` and `class`: those of `spec` and `config`, or those that the
/// claim was made with.
pub(in super::super) fn claim(
    config: &KubernetesConfig,
    spec: &EnvironmentSpec,
    size: Quantity,
    class: Option<String>,
) -> PersistentVolumeClaim {
    PersistentVolumeClaim {
        metadata: meta(config, spec),
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            resources: Some(VolumeResourceRequirements {
                requests: Some(quantities([("storage", size)])),
                ..VolumeResourceRequirements::default()
            }),
            storage_class_name: class,
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    }
}

/// The service that the StatefulSet is of; without an address of its own.
pub(in super::super) fn service(config: &KubernetesConfig, spec: &EnvironmentSpec) -> Service {
    let port = ServicePort {
        name: Some("server".to_owned()),
        port: i32::from(spec.port),
        target_port: Some(IntOrString::Int(i32::from(spec.port))),
        protocol: Some("TCP".to_owned()),
        ..ServicePort::default()
    };
    Service {
        metadata: meta(config, spec),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            selector: Some(names::pod_selector(config, &spec.key)),
            ports: Some(vec![port]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// The StatefulSet, asked to run its pod as of `now` (milliseconds, any clock).
///
/// A changed pod template counts from the next start on (`OnDelete`): people decide when their
/// programs end.
pub(in super::super) fn stateful_set(
    config: &KubernetesConfig,
    spec: &EnvironmentSpec,
    now: i64,
) -> StatefulSet {
    let mut metadata = meta(config, spec);
    metadata.annotations = Some(BTreeMap::from([(ENSURED.to_owned(), now.to_string())]));
    StatefulSet {
        metadata,
        spec: Some(StatefulSetSpec {
            replicas: Some(1),
            service_name: Some(names::object(&spec.key)),
            selector: LabelSelector {
                match_labels: Some(names::pod_selector(config, &spec.key)),
                ..LabelSelector::default()
            },
            pod_management_policy: Some("Parallel".to_owned()),
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some("OnDelete".to_owned()),
                rolling_update: None,
            }),
            revision_history_limit: Some(1),
            template: pod::template(config, spec),
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    }
}
