use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::*;

const UID: &str = "0a1b";

/// A pod with this status, of an environment with 1 GiB.
fn pod(status: Value) -> Pod {
    let pod = json!({
        "metadata": {"name": "env-c1-0", "uid": UID},
        "spec": {"containers": [
            {"name": "environment", "image": "devbox:9", "resources": {"limits": {"memory": "1Gi"}}}
        ]},
        "status": status,
    });
    serde_json::from_value(pod).unwrap()
}

fn deleted(status: Value) -> Pod {
    let mut pod = pod(status);
    pod.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    pod
}

/// The status of a pod whose container is in this state.
fn with(state: Value) -> Value {
    with_last(state, json!({}), 0)
}

fn with_last(state: Value, last: Value, restarts: u32) -> Value {
    let ready = state.get("running").is_some();
    json!({"phase": "Running", "containerStatuses": [{
        "name": "environment", "image": "devbox:9", "imageID": "", "ready": ready,
        "restartCount": restarts, "containerID": "containerd://0123456789abcdef0123",
        "state": state, "lastState": last,
    }]})
}

fn waiting(reason: &str, message: &str) -> Value {
    json!({"waiting": {"reason": reason, "message": message}})
}

fn terminated(reason: &str, code: i32) -> Value {
    json!({"terminated": {"reason": reason, "exitCode": code}})
}

fn running() -> Value {
    json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}})
}

fn unscheduled(message: &str) -> Value {
    json!({"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    ]})
}

fn seen(status: Value) -> Observed {
    judge(&Situation { pod: Some(&pod(status)), expected: true, ..Situation::default() })
}

fn starting(observed: &Observed) -> &str {
    match observed {
        Observed::Starting(Some(why)) => why,
        other => panic!("{other:?}"),
    }
}

fn failed(observed: &Observed) -> &str {
    match observed {
        Observed::Failed(why) => why,
        other => panic!("{other:?}"),
    }
}

fn warning(reason: &str, message: &str) -> Warning {
    Warning { reason: reason.to_owned(), message: message.to_owned() }
}

#[test]
fn no_pod_is_absent_unless_one_is_to_come() {
    assert_eq!(judge(&Situation::default()), Observed::Absent);
    let expected = Situation { expected: true, ..Situation::default() };
    assert_eq!(judge(&expected), Observed::Starting(None));
    let ended = Situation { ended: Some("It was moved."), ..expected };
    assert_eq!(judge(&ended), Observed::Starting(Some("It was moved.".into())));
}

#[test]
fn on_its_way() {
    assert_eq!(seen(json!({"phase": "Pending"})), Observed::Starting(None));
    assert_eq!(seen(with(waiting("ContainerCreating", ""))), Observed::Starting(None));
    assert_eq!(seen(with(waiting("PodInitializing", ""))), Observed::Starting(None));
}

#[test]
fn an_instance_is_the_pod_and_the_container() {
    let first = seen(with(running()));
    assert_eq!(first, Observed::Running { instance: "0a1b-0123456789abcdef".into(), after: None });
    let mut other = with(running());
    other["containerStatuses"][0]["containerID"] = json!("containerd://ffff");
    assert_ne!(seen(other), first);
}

#[test]
fn too_little_room_waits_and_then_fails() {
    let pod = pod(unscheduled("0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory."));
    assert!(waits_for_room(&pod));
    let now = Situation { pod: Some(&pod), expected: true, ..Situation::default() };
    let why = "No machine has enough free CPU and memory for it.";
    assert!(starting(&judge(&now)).starts_with(why));
    let observed = judge(&Situation { waited: true, ..now });
    assert!(failed(&observed).starts_with(why) && failed(&observed).contains("Stop or delete"));
}

#[test]
fn other_reasons_for_having_no_machine() {
    let why = |message: &str| starting(&seen(unscheduled(message))).to_owned();
    assert!(
        why("0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.").contains("kind")
    );
    assert!(why("0/1 nodes are available: 1 node(s) were unschedulable.").contains("takes new environments"));
    assert!(why("pod has unbound immediate PersistentVolumeClaims").contains("volume is not there yet"));
    assert!(why("persistentvolumeclaim \"env-c1\" not found").contains("volume is not there yet"));
    assert!(why("0/1 nodes are available: 1 Too many pods.").contains("free places"));
}

#[test]
fn a_volume_that_cannot_be_attached() {
    let pod = pod(with(waiting("ContainerCreating", "")));
    let warning = warning("FailedMount", "MountVolume.SetUp failed for volume \"pvc-1\"");
    let now = Situation { pod: Some(&pod), warning: Some(&warning), ..Situation::default() };
    let observed = judge(&now);
    assert!(starting(&observed).contains("can't be attached yet") && !starting(&observed).contains("pvc"));
}

#[test]
fn images() {
    for (reason, message, word) in [
        ("ErrImagePull", "rpc error: code = NotFound desc = failed to pull: not found", "no such image"),
        ("ImagePullBackOff", "Back-off pulling image \"devbox:9\"", "Check its name"),
        ("ErrImagePull", "401 Unauthorized", "login"),
        ("ErrImagePull", "dial tcp: lookup x: no such host", "can't be reached"),
        ("ErrImagePull", "429 Too Many Requests", "too many requests"),
        ("InvalidImageName", "couldn't parse image reference", "not an image's name"),
    ] {
        let observed = seen(with(waiting(reason, message)));
        let why = failed(&observed);
        assert!(why.contains("devbox:9") && why.contains(word) && why.contains("start"), "{why}");
    }
}

#[test]
fn what_cannot_be_set_up_or_run() {
    let why = |reason, message| failed(&seen(with(waiting(reason, message)))).to_owned();
    assert!(
        why("CreateContainerConfigError", "secret \"env-c1\" not found").contains("settings are missing")
    );
    assert!(why("CreateContainerError", "context deadline exceeded").contains("set up"));
    assert!(why("RunContainerError", "exec /devpocket/bin: exec format error").contains("processor"));
    assert!(why("RunContainerError", "no such file\nor directory").contains("no such file or directory"));
}

#[test]
fn an_agent_that_is_not_brought() {
    let init = |state: Value| {
        json!({"phase": "Pending", "initContainerStatuses": [{
            "name": "agent", "image": "agent:1", "imageID": "", "ready": false, "restartCount": 0, "state": state,
        }]})
    };
    assert!(failed(&seen(init(waiting("ImagePullBackOff", "")))).contains("agent:1"));
    assert!(failed(&seen(init(waiting("CrashLoopBackOff", "")))).contains("operator"));
    assert!(starting(&seen(init(terminated("Error", 1)))).contains("exit status 1"));
    assert_eq!(seen(init(running())), Observed::Starting(None));
}

#[test]
fn out_of_memory_is_told_while_it_restarts_and_after() {
    let observed = seen(with(terminated("OOMKilled", 137)));
    let why = starting(&observed);
    assert!(why.starts_with("It used more than its 1 GiB of memory"), "{why}");
    match seen(with_last(running(), terminated("OOMKilled", 137), 1)) {
        Observed::Running { after: Some(after), .. } => assert_eq!(after, why),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_agent_that_ends() {
    assert!(starting(&seen(with(terminated("Error", 137)))).starts_with("It was killed"));
    assert!(starting(&seen(with(terminated("Error", 2)))).contains("exit status 2"));
    assert!(starting(&seen(with(terminated("Completed", 0)))).starts_with("It ended"));
    let back_off =
        |restarts| seen(with_last(waiting("CrashLoopBackOff", ""), terminated("Error", 2), restarts));
    assert!(starting(&back_off(1)).contains("pause"));
    assert!(
        failed(&back_off(5)).contains("again and again") && failed(&back_off(5)).contains("exit status 2")
    );
}

#[test]
fn eviction_and_other_ends_of_a_pod() {
    let ending = |status: Value| ending(&pod(status)).unwrap_or_default();
    let evicted = |message: &str| json!({"phase": "Failed", "reason": "Evicted", "message": message});
    assert!(
        ending(evicted("The node was low on resource: memory.")).starts_with("Its machine ran out of memory")
    );
    assert!(ending(evicted("Pod ephemeral local storage usage exceeds")).contains("outside its home"));
    assert!(ending(json!({"phase": "Failed", "reason": "Shutdown"})).contains("shut down"));
    let mut oom = with(terminated("OOMKilled", 137));
    oom["phase"] = json!("Failed");
    assert!(ending(oom).contains("1 GiB"));
    assert_eq!(ending(with(running())), "", "it does not end");
    let moved = json!({"phase": "Running", "conditions": [
        {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
    ]});
    assert!(super::ending(&deleted(moved)).unwrap().contains("being emptied"));
    assert_eq!(super::ending(&deleted(with(running()))).unwrap(), text::REMOVED);
    let failed = json!({"phase": "Failed", "reason": "Evicted", "message": ""});
    let now =
        Situation { pod: Some(&pod(failed)), ended: Some("gone"), expected: true, ..Situation::default() };
    assert_eq!(starting(&judge(&now)), "gone");
}

#[test]
fn a_pod_that_is_deleted_is_there_until_nothing_of_it_runs() {
    let (runs, over) = (deleted(with(running())), deleted(with(terminated("Completed", 0))));
    assert!(!is_over(&runs) && is_over(&over) && !is_over(&pod(with(terminated("Completed", 0)))));
    let stopping = |pod| Situation { pod: Some(pod), stopping: true, ..Situation::default() };
    assert!(starting(&judge(&stopping(&runs))).contains("being stopped"));
    assert_eq!(judge(&stopping(&over)), Observed::Absent);
    // It was asked to run again in the meantime.
    let again = Situation { pod: Some(&over), expected: true, ..Situation::default() };
    assert_eq!(judge(&again), Observed::Starting(None));
}

#[test]
fn a_node_that_is_silent() {
    let mut status = with(running());
    status["conditions"] = json!([{"type": "Ready", "status": "False"}]);
    assert!(starting(&seen(status)).contains("does not answer"));
}

#[test]
fn what_keeps_a_pod_from_being_made() {
    let why = |message: &str| {
        let warning = warning("FailedCreate", message);
        judge(&Situation { warning: Some(&warning), expected: true, ..Situation::default() })
    };
    let quota = "pods \"env-c1-0\" is forbidden: exceeded quota: devpocket, requested: \
        limits.cpu=2,limits.memory=1Gi,requests.cpu=1, used: limits.cpu=1, limited: limits.cpu=2";
    assert!(failed(&why(quota)).starts_with("The plan's CPU and memory is used up"));
    assert!(
        failed(&why("maximum memory usage per Container is 1Gi, but limit is 2Gi")).contains("plan allows")
    );
    assert!(failed(&why("violates PodSecurity \"baseline:latest\"")).contains("does not allow"));
    assert!(starting(&why("Internal error occurred: failed calling webhook")).contains("tried again"));
    assert_eq!(
        why("status unknown for quota: devpocket"),
        Observed::Starting(None),
        "it is known in a moment"
    );
}
