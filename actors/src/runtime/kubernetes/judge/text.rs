//! What a person reads of a pod's state: what happened, and what to do. No cluster's words.

use k8s_openapi::api::core::v1::ContainerStateTerminated;

use super::Warning;
use crate::runtime::Observed;

pub(super) const NODE_SILENT: &str = "The machine it runs on does not answer. It goes on when the machine \
    is back, or starts again on another one.";

pub(in super::super) const REMOVED: &str =
    "It was ended from outside, for example to empty the machine it ran on, and had to be restarted.";

/// The most of a foreign message that is passed on.
const LONGEST: usize = 200;

/// What to do about too little room.
const MAKE_ROOM: &str =
    "Stop or delete another environment, or choose less CPU and memory, then start it again.";

/// Why a container's run ended; reads well while it is restarted, and after.
pub(super) fn container_ended(ended: &ContainerStateTerminated, memory: Option<&str>) -> String {
    let why = match (ended.reason.as_deref(), ended.exit_code, ended.signal) {
        (Some("OOMKilled"), ..) => {
            let limit = memory
                .map_or_else(|| "allowed memory".to_owned(), |limit| format!("{} of memory", size(limit)));
            format!("It used more than its {limit}")
        }
        (Some("StartError" | "ContainerCannotRun"), ..) => {
            return not_run(ended.message.as_deref().unwrap_or_default());
        }
        (_, 0, _) => "It ended".to_owned(),
        (_, 137, _) | (_, _, Some(9)) => "It was killed".to_owned(),
        (_, code, _) => format!("Its first program failed (exit status {code})"),
    };
    format!("{why} and had to be restarted. Its files are kept; programs and sessions are not.")
}

/// Why a pod as a whole ended, when the cluster gives a reason that we know.
pub(super) fn pod_ended(reason: Option<&str>, message: &str) -> Option<String> {
    let why = match reason? {
        "Evicted" | "TerminationByKubelet" if message.contains("ephemeral") => {
            "It wrote more outside its home directory than its machine can hold"
        }
        "Evicted" | "TerminationByKubelet" if message.contains("memory") => "Its machine ran out of memory",
        "Evicted" | "TerminationByKubelet" => "Its machine ran out of room",
        "NodeLost" | "DeletionByTaintManager" | "NodeAffinity" => "The machine it ran on was lost",
        "Shutdown" | "NodeShutdown" | "Terminated" => "The machine it ran on was shut down",
        "Preempting" | "PreemptionByScheduler" => "It had to make room for something more urgent",
        "EvictionByEvictionAPI" => "The machine it ran on is being emptied",
        _ => return None,
    };
    Some(format!("{why}, so it had to be restarted. Its files are kept; programs and sessions are not."))
}

/// Whether a container waits because of its image.
pub(super) fn is_image_trouble(reason: &str) -> bool {
    matches!(
        reason,
        "ErrImagePull"
            | "ImagePullBackOff"
            | "InvalidImageName"
            | "ErrImageNeverPull"
            | "ImageInspectError"
            | "RegistryUnavailable"
            | "SignatureValidationFailed"
    )
}

/// What is wrong with an environment's image.
pub(super) fn image(image: &str, reason: &str, message: &str) -> String {
    let message = message.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let (why, advice) = match reason {
        "InvalidImageName" => ("that is not an image's name", "Correct it in the template"),
        _ if has(&["unauthorized", "denied", "authentication", "forbidden"]) => (
            "its registry wants a login, or there is no such image",
            "Check the name in the template, or use a public image",
        ),
        _ if has(&["toomanyrequests", "too many requests", "429"]) => {
            ("its registry has had too many requests", "Try again later")
        }
        _ if has(&["not found", "notfound", "manifest unknown", "does not exist"]) => {
            ("there is no such image", "Check its name and tag in the template")
        }
        _ if has(&["no such host", "timeout", "refused", "unreachable", "deadline", "reset by peer"]) => {
            ("its registry can't be reached", "Check its name in the template, or try again later")
        }
        _ if has(&["no space left"]) => ("there is no room for it", "Tell the operator, or try again later"),
        _ => ("it is missing, or its registry can't be reached", "Check its name in the template"),
    };
    format!("The image {image} can't be fetched: {why}. {advice}, then start the environment again.")
}

pub(super) fn agent_image(image: &str) -> String {
    format!(
        "The agent's image {image} can't be fetched. This is for the operator to put right: it must be \
         where the cluster can fetch it."
    )
}

pub(super) fn agent_not_brought(code: Option<i32>) -> String {
    let code = code.map_or_else(String::new, |code| format!(" (exit status {code})"));
    format!("The agent could not be put into it{code}. This is for the operator to put right.")
}

/// A container that can't be made.
pub(super) fn not_made(message: &str) -> String {
    if message.contains("secret") {
        return "Its settings are missing on the cluster. Stop it and start it again.".to_owned();
    }
    format!("It can't be set up on its machine: {}. Tell the operator.", cut(message))
}

/// A container whose first program can't be run.
pub(super) fn not_run(message: &str) -> String {
    match message.contains("exec format error") {
        true => "Its image is made for another kind of processor. Choose another image in the template."
            .to_owned(),
        false => {
            format!("Its image can't be started: {}. Choose another image in the template.", cut(message))
        }
    }
}

pub(super) fn after_a_pause(why: Option<&str>) -> String {
    let why = why.unwrap_or("It stopped shortly after it started.");
    format!("{why} That was not the first time: the next start follows after a pause of up to 5 minutes.")
}

pub(super) fn again_and_again(why: Option<&str>) -> String {
    let why = why.unwrap_or("It stopped shortly after it started.");
    format!("It stops again and again. The last time: {why} Its logs may say more; then start it again.")
}

/// What a pod waits for that no machine takes.
pub(super) fn waits_for_room(message: &str, warning: Option<&Warning>) -> String {
    format!("{}. It starts as soon as that changes.", lacking(message, warning))
}

/// The same when it has waited for long.
pub(super) fn no_room(message: &str, warning: Option<&Warning>) -> String {
    let advice = match message.contains("olume") {
        true => "Tell the operator, or try again later.",
        false => MAKE_ROOM,
    };
    format!("{}. {advice}", lacking(message, warning))
}

fn lacking(message: &str, warning: Option<&Warning>) -> String {
    let has = |word: &str| message.contains(word);
    if has("olumeClaim") || has("olumeclaim") {
        return match warning.filter(|warning| warning.reason == "ProvisioningFailed") {
            Some(_) => "Its volume can't be made".to_owned(),
            None => "Its volume is not there yet".to_owned(),
        };
    }
    let short: Vec<&str> = [
        ("Insufficient cpu", "CPU"),
        ("Insufficient memory", "memory"),
        ("Insufficient ephemeral-storage", "disk space"),
        ("Too many pods", "places"),
    ]
    .into_iter()
    .filter_map(|(word, name)| has(word).then_some(name))
    .collect();
    match short.as_slice() {
        [] if has("volume") => "No machine can reach its volume".to_owned(),
        [] if has("selector") || has("affinity") => {
            "No machine is of the kind that its template asks for".to_owned()
        }
        [] => "No machine takes new environments at the moment".to_owned(),
        short => format!("No machine has enough free {} for it", list(short)),
    }
}

/// What a start waits for that usually passes by itself.
pub(super) fn slow_start(warning: &Warning) -> Option<String> {
    match warning.reason.as_str() {
        "FailedMount" | "FailedAttachVolume" | "FailedMapVolume" => Some(
            "Its volume can't be attached yet. That usually passes by itself; if it lasts for minutes, tell the operator."
                .to_owned(),
        ),
        "FailedCreatePodSandBox" => Some(
            "Its network can't be set up yet. That usually passes by itself; if it lasts for minutes, tell the operator."
                .to_owned(),
        ),
        _ => None,
    }
}

/// Why no pod is made; nothing when that passes by itself.
pub(super) fn not_created(warning: &Warning) -> Option<Observed> {
    let message = &warning.message;
    if warning.reason != "FailedCreate" || message.contains("status unknown for quota") {
        return None;
    }
    if let Some(text) = quota_used_up(message) {
        return Some(Observed::Failed(text));
    }
    if message.contains("usage per") || message.contains("must be less than or equal") {
        return Some(Observed::Failed(
            "It asks for more than the plan allows one environment. Choose less CPU, memory or storage, then start it again."
                .to_owned(),
        ));
    }
    if message.contains("RuntimeClass") {
        return Some(Observed::Failed(
            "The cluster lacks the container runtime that its template asks for. Choose another template, or tell the operator."
                .to_owned(),
        ));
    }
    if message.contains("PodSecurity") || message.contains("Invalid value") {
        return Some(Observed::Failed(
            "The cluster does not allow what its template asks for. Choose another template, or tell the operator.".to_owned(),
        ));
    }
    Some(Observed::Starting(Some(
        "The cluster does not take it yet; that is tried again. If it lasts for minutes, tell the operator."
            .to_owned(),
    )))
}

/// What to do when the cluster says that a quota is exceeded, if it does.
pub(in super::super) fn quota_used_up(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("exceeded quota")?;
    let (_, requested) = rest.split_once("requested: ")?;
    let (requested, _) = requested.split_once(", used:").unwrap_or((requested, ""));
    let mut names: Vec<&str> = Vec::new();
    for part in requested.split(',') {
        let name = match part.split_once('=').map(|(name, _)| name) {
            Some("limits.cpu" | "requests.cpu") => "CPU",
            Some("limits.memory" | "requests.memory") => "memory",
            Some("requests.storage") => "storage",
            Some("persistentvolumeclaims" | "pods") => "number of environments",
            _ => continue,
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let what = if names.is_empty() { "allowance".to_owned() } else { list(&names) };
    Some(format!("The plan's {what} is used up by your other environments. {MAKE_ROOM}"))
}

/// "a", "a and b", "a, b and c".
fn list(parts: &[&str]) -> String {
    match parts {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        parts => parts.concat(),
    }
}

/// `1Gi` as people write it.
fn size(quantity: &str) -> String {
    match quantity.strip_suffix('i').and_then(|rest| rest.split_at_checked(rest.len().saturating_sub(1))) {
        Some((number, unit)) => format!("{number} {unit}iB"),
        None => match quantity.parse::<u64>() {
            Ok(bytes) => format!("{} MiB", bytes >> 20),
            Err(_) => quantity.to_owned(),
        },
    }
}

/// The beginning of a foreign message, on one line.
fn cut(message: &str) -> String {
    let line: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    line.trim().trim_end_matches('.').to_owned()
}
