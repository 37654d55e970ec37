//! What a pod's state means: pure functions.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition, PodStatus};

use super::names;
use crate::runtime::Observed;

mod text;

pub(super) use text::{REMOVED, quota_used_up};

/// After so many restarts of its container, an environment that does not stay up is left for a
/// person to look at. The cluster goes on trying, so it may still come back.
const RESTARTS: i32 = 5;

/// The newest warning about an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Warning {
    /// In one word, such as `FailedMount`.
    pub reason: String,
    /// In the cluster's words.
    pub message: String,
}

/// What is known of an environment.
#[derive(Debug, Clone, Default)]
pub(super) struct Situation<'a> {
    /// Its pod.
    pub pod: Option<&'a Pod>,
    /// What is wrong with its pod, or with the StatefulSet while there is no pod.
    pub warning: Option<&'a Warning>,
    /// Whether it was asked to run, so that a pod is sure to come.
    pub expected: bool,
    /// Whether it was asked to stop.
    pub stopping: bool,
    /// Why the instance before ended.
    pub ended: Option<&'a str>,
    /// Whether it has waited long for a machine.
    pub waited: bool,
}

/// What is the case.
pub(super) fn judge(now: &Situation<'_>) -> Observed {
    let Some(pod) = now.pod else { return without_pod(now) };
    let ended = || now.ended.map(str::to_owned);
    if pod.metadata.deletion_timestamp.is_some() {
        return match (now.expected, is_over(pod)) {
            (false, true) => Observed::Absent,
            _ if now.stopping => Observed::Starting(Some("It is being stopped.".to_owned())),
            _ => Observed::Starting(ended()),
        };
    }
    let Some(status) = &pod.status else { return Observed::Starting(ended()) };
    if matches!(status.phase.as_deref(), Some("Failed" | "Succeeded")) {
        // Its StatefulSet replaces it.
        return Observed::Starting(ended());
    }
    if let Some(trouble) = init_trouble(status) {
        return trouble;
    }
    if let Some(container) = container(status) {
        if let Some(instance) = instance(pod, container) {
            if is_out_of_reach(status, container) {
                return Observed::Starting(Some(text::NODE_SILENT.to_owned()));
            }
            return Observed::Running { instance, after: last_end(pod, container).or_else(ended) };
        }
        if let Some(trouble) = container_trouble(pod, container) {
            return trouble;
        }
    }
    if let Some(message) = unschedulable(status) {
        return match now.waited {
            true => Observed::Failed(text::no_room(message, now.warning)),
            false => Observed::Starting(Some(text::waits_for_room(message, now.warning))),
        };
    }
    let warning = now.warning.and_then(text::slow_start);
    Observed::Starting(warning.or_else(ended))
}

fn without_pod(now: &Situation<'_>) -> Observed {
    match now.warning {
        _ if !now.expected => Observed::Absent,
        Some(warning) => {
            text::not_created(warning).unwrap_or_else(|| Observed::Starting(now.ended.map(str::to_owned)))
        }
        None => Observed::Starting(now.ended.map(str::to_owned)),
    }
}

/// Whether nothing of a deleted pod runs any more. Its object may stay for some seconds
/// (kubelets before 1.22) after its containers have ended.
pub(super) fn is_over(pod: &Pod) -> bool {
    let Some(status) = &pod.status else { return pod.metadata.deletion_timestamp.is_some() };
    let ended = |container: &ContainerStatus| {
        let state = container.state.as_ref();
        // A container that waits has never run, or waits to be restarted: it won't be.
        state.is_none_or(|state| state.running.is_none())
    };
    let containers = status.container_statuses.iter().chain(&status.init_container_statuses).flatten();
    pod.metadata.deletion_timestamp.is_some() && containers.into_iter().all(ended)
}

/// Whether a pod waits for a machine that has room for it.
pub(super) fn waits_for_room(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none() && pod.status.as_ref().and_then(unschedulable).is_some()
}

/// Why a pod as a whole ends or has ended, if it does.
pub(super) fn ending(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let failed = status.phase.as_deref() == Some("Failed");
    if !failed && pod.metadata.deletion_timestamp.is_none() {
        return None;
    }
    let disruption = condition(status, "DisruptionTarget").and_then(|found| found.reason.as_deref());
    let message = status.message.as_deref().unwrap_or_default();
    Some(text::pod_ended(status.reason.as_deref().or(disruption), message).unwrap_or_else(|| {
        let last = container(status).and_then(|container| container.state.as_ref()?.terminated.as_ref());
        match last {
            Some(terminated) if failed => text::container_ended(terminated, memory_limit(pod)),
            _ => text::REMOVED.to_owned(),
        }
    }))
}

/// What tells one start from another: the pod, and the container in it.
fn instance(pod: &Pod, container: &ContainerStatus) -> Option<String> {
    container.state.as_ref()?.running.as_ref()?;
    let id = container.container_id.as_deref()?;
    let id = id.rsplit('/').next().unwrap_or(id);
    let short: String = id.chars().take(16).collect();
    Some(format!("{}-{short}", pod.metadata.uid.as_deref().unwrap_or_default()))
}

/// Whether the node does not tell of the pod any more: then the cluster takes back that the pod
/// is ready, though its container still counts as ready.
fn is_out_of_reach(status: &PodStatus, container: &ContainerStatus) -> bool {
    let not_ready = condition(status, "Ready").is_some_and(|ready| ready.status != "True");
    status.reason.as_deref() == Some("NodeLost") || (container.ready && not_ready)
}

/// Why the container's last run ended, if this is not its first.
fn last_end(pod: &Pod, container: &ContainerStatus) -> Option<String> {
    let terminated = container.last_state.as_ref()?.terminated.as_ref()?;
    Some(text::container_ended(terminated, memory_limit(pod)))
}

fn init_trouble(status: &PodStatus) -> Option<Observed> {
    let init = status.init_container_statuses.as_ref()?.first()?;
    let state = init.state.as_ref()?;
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.as_deref().unwrap_or_default();
        let message = waiting.message.as_deref().unwrap_or_default();
        if text::is_image_trouble(reason) {
            return Some(Observed::Failed(text::agent_image(&init.image)));
        }
        return match reason {
            "CreateContainerConfigError" | "CreateContainerError" => {
                Some(Observed::Failed(text::not_made(message)))
            }
            "CrashLoopBackOff" => {
                let last = init.last_state.as_ref().and_then(|last| last.terminated.as_ref());
                Some(Observed::Failed(text::agent_not_brought(last.map(|last| last.exit_code))))
            }
            _ => None,
        };
    }
    let terminated = state.terminated.as_ref().filter(|terminated| terminated.exit_code != 0)?;
    Some(Observed::Starting(Some(text::agent_not_brought(Some(terminated.exit_code)))))
}

fn container_trouble(pod: &Pod, container: &ContainerStatus) -> Option<Observed> {
    let state = container.state.as_ref()?;
    if let Some(terminated) = &state.terminated {
        // It is about to be restarted.
        return Some(Observed::Starting(Some(text::container_ended(terminated, memory_limit(pod)))));
    }
    let waiting = state.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    let message = waiting.message.as_deref().unwrap_or_default();
    if text::is_image_trouble(reason) {
        let image = match container.image.as_str() {
            "" => spec_image(pod),
            image => image,
        };
        return Some(Observed::Failed(text::image(image, reason, message)));
    }
    match reason {
        "CreateContainerConfigError" | "CreateContainerError" => {
            Some(Observed::Failed(text::not_made(message)))
        }
        "RunContainerError" => Some(Observed::Failed(text::not_run(message))),
        "CrashLoopBackOff" => {
            let why = last_end(pod, container);
            Some(match container.restart_count >= RESTARTS {
                true => Observed::Failed(text::again_and_again(why.as_deref())),
                false => Observed::Starting(Some(text::after_a_pause(why.as_deref()))),
            })
        }
        _ => None,
    }
}

fn unschedulable(status: &PodStatus) -> Option<&str> {
    let scheduled = condition(status, "PodScheduled")?;
    let waits = scheduled.status == "False" && scheduled.reason.as_deref() == Some("Unschedulable");
    waits.then(|| scheduled.message.as_deref().unwrap_or_default())
}

fn container(status: &PodStatus) -> Option<&ContainerStatus> {
    let all = status.container_statuses.as_ref()?;
    all.iter().find(|container| container.name == names::CONTAINER)
}

fn condition<'a>(status: &'a PodStatus, kind: &str) -> Option<&'a PodCondition> {
    status.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind)
}

fn spec_image(pod: &Pod) -> &str {
    let containers = pod.spec.as_ref().map_or(&[][..], |spec| &spec.containers);
    let ours = containers.iter().find(|container| container.name == names::CONTAINER);
    ours.and_then(|container| container.image.as_deref()).unwrap_or("?")
}

fn memory_limit(pod: &Pod) -> Option<&str> {
    let containers = &pod.spec.as_ref()?.containers;
    let ours = containers.iter().find(|container| container.name == names::CONTAINER)?;
    Some(ours.resources.as_ref()?.limits.as_ref()?.get("memory")?.0.as_str())
}

#[cfg(test)]
mod tests;
