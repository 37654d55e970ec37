//! An environment's pod: an init container that brings the agent, and the container that it
//! runs in.

use k8s_openapi::api::core::v1::{
    Capabilities, Container, EmptyDirVolumeSource, PersistentVolumeClaimVolumeSource, PodSecurityContext,
    PodSpec, PodTemplateSpec, ResourceRequirements, SeccompProfile, SecretVolumeSource, SecurityContext,
    Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::environment::AGENT_JSON;
use super::{
    AGENT_CPU_MILLIS, AGENT_MEMORY, LEAST_CPU_MILLIS, LEAST_MEMORY, MIB, SCRATCH_LIMIT, SCRATCH_REQUEST,
    bytes, millis, promised, quantities,
};
use crate::runtime::EnvironmentSpec;
use crate::runtime::kubernetes::{KubernetesConfig, names};

/// The user and group of environments that do not run as root.
pub(super) const USER: u32 = 1000;

/// The agent's program in its own image, and its name in [`names::AGENT_DIR`].
const AGENT: &str = "devpocket-agent";

/// How long programs may take to end: the agent gives them 5 s.
const GRACE_SECONDS: i64 = 10;

/// What root may do in its container, after everything was taken from it. All of these are
/// within the `baseline` level of Pod Security.
///
/// A package manager needs to own, change and switch to the users of files and daemons (the
/// first six; `SETFCAP` too where packages carry file capabilities, as Fedora's do). `KILL`
/// ends daemons of other users; `NET_BIND_SERVICE` opens ports below 1024; `SYS_CHROOT` is what
/// an SSH server locks its own children up with. Left out: raw sockets (`NET_RAW` can forge
/// packets on the pod network), device files, the audit log, and handing capabilities on.
const ROOT_CAPABILITIES: [&str; 10] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "KILL",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
];

/// The pod template. Its labels are those that the cluster's one watch selects by.
pub(super) fn template(config: &KubernetesConfig, spec: &EnvironmentSpec) -> PodTemplateSpec {
    let selector = &spec.placement.node_selector;
    PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(names::labels(config, spec)), ..ObjectMeta::default() }),
        spec: Some(PodSpec {
            init_containers: Some(vec![agent_container(config, spec)]),
            containers: vec![container(spec)],
            volumes: Some(volumes(spec)),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            security_context: Some(pod_security(spec)),
            runtime_class_name: spec.placement.runtime_class.clone(),
            node_selector: (!selector.is_empty()).then(|| selector.clone()),
            termination_grace_period_seconds: Some(GRACE_SECONDS),
            ..PodSpec::default()
        }),
    }
}

fn agent_container(config: &KubernetesConfig, spec: &EnvironmentSpec) -> Container {
    // Never more than the plan allows a container.
    let cpu = AGENT_CPU_MILLIS.min(spec.resources.cpu_millis);
    let memory = AGENT_MEMORY.min(spec.resources.memory_bytes);
    Container {
        name: names::AGENT_CONTAINER.to_owned(),
        image: Some(config.agent_image.clone()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        command: Some(vec![format!("/{AGENT}"), "install-to".to_owned(), names::AGENT_DIR.to_owned()]),
        volume_mounts: Some(vec![mount("agent", names::AGENT_DIR, false)]),
        resources: Some(ResourceRequirements {
            requests: Some(quantities([
                ("cpu", millis(u64::from(LEAST_CPU_MILLIS.min(cpu)))),
                ("memory", bytes(LEAST_MEMORY.min(memory))),
                ("ephemeral-storage", bytes(SCRATCH_REQUEST)),
            ])),
            limits: Some(quantities([
                ("cpu", millis(u64::from(cpu))),
                ("memory", bytes(memory)),
                ("ephemeral-storage", bytes(SCRATCH_LIMIT)),
            ])),
            ..ResourceRequirements::default()
        }),
        // It writes to its own volume only, so it needs no capability even as root.
        security_context: Some(container_security(&[])),
        ..Container::default()
    }
}

fn container(spec: &EnvironmentSpec) -> Container {
    let (cpu, memory) = promised(&spec.resources);
    let capabilities: &[&str] = if spec.placement.run_as_root { &ROOT_CAPABILITIES } else { &[] };
    Container {
        name: names::CONTAINER.to_owned(),
        image: Some(spec.image.clone()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        command: Some(vec![
            format!("{}/{AGENT}", names::AGENT_DIR),
            "run".to_owned(),
            "--config".to_owned(),
            format!("{}/{AGENT_JSON}", names::CONFIG_DIR),
        ]),
        // An image's entry point may have had arguments.
        args: Some(Vec::new()),
        // The image's own may not exist for this user.
        working_dir: Some("/".to_owned()),
        volume_mounts: Some(vec![
            mount("agent", names::AGENT_DIR, true),
            mount("config", names::CONFIG_DIR, true),
            mount("run", names::RUN_DIR, false),
            mount("home", names::HOME, false),
        ]),
        resources: Some(ResourceRequirements {
            requests: Some(quantities([
                ("cpu", millis(u64::from(cpu))),
                ("memory", bytes(memory)),
                ("ephemeral-storage", bytes(SCRATCH_REQUEST)),
            ])),
            limits: Some(quantities([
                ("cpu", millis(u64::from(spec.resources.cpu_millis))),
                ("memory", bytes(spec.resources.memory_bytes)),
                ("ephemeral-storage", bytes(SCRATCH_LIMIT)),
            ])),
            ..ResourceRequirements::default()
        }),
        security_context: Some(container_security(capabilities)),
        // No probe: the agent listens within milliseconds of its start, and a probe would cost
        // the API server writes for every environment there is.
        ..Container::default()
    }
}

fn volumes(spec: &EnvironmentSpec) -> Vec<Volume> {
    let name = names::object(&spec.key);
    let empty = |name: &str, limit: u64| Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource { size_limit: Some(bytes(limit)), medium: None }),
        ..Volume::default()
    };
    // The owner, and for the sake of those that don't run as root the pod's group.
    let mode = if spec.placement.run_as_root { 0o400 } else { 0o440 };
    vec![
        empty("agent", 64 * MIB),
        empty("run", MIB),
        Volume {
            name: "config".to_owned(),
            secret: Some(SecretVolumeSource {
                secret_name: Some(name.clone()),
                default_mode: Some(mode),
                ..SecretVolumeSource::default()
            }),
            ..Volume::default()
        },
        Volume {
            name: "home".to_owned(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: name,
                read_only: None,
            }),
            ..Volume::default()
        },
    ]
}

fn mount(volume: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}

fn pod_security(spec: &EnvironmentSpec) -> PodSecurityContext {
    let root = spec.placement.run_as_root;
    let user = if root { 0 } else { i64::from(USER) };
    PodSecurityContext {
        run_as_user: Some(user),
        run_as_group: Some(user),
        run_as_non_root: (!root).then_some(true),
        fs_group: (!root).then_some(user),
        // A large home is not walked at each start once its top has the right group.
        fs_group_change_policy: (!root).then(|| "OnRootMismatch".to_owned()),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        ..PodSecurityContext::default()
    }
}

fn container_security(capabilities: &[&str]) -> SecurityContext {
    let added: Vec<String> = capabilities.iter().map(|name| (*name).to_owned()).collect();
    SecurityContext {
        allow_privilege_escalation: Some(false),
        privileged: Some(false),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            add: (!added.is_empty()).then_some(added),
        }),
        ..SecurityContext::default()
    }
}
