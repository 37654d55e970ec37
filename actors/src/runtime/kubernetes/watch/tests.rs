//! What is told of environments as pods come and go, without a cluster.

use serde_json::{Value, json};
use tokio::sync::watch::Receiver;
use tokio::time::advance;

use super::*;
use crate::plans::Plans;
use crate::runtime::{EnvironmentKey, Observed};

fn seen() -> Seen {
    Seen::new(&KubernetesConfig {
        installation: "dp".to_owned(),
        agent_image: String::new(),
        storage_class: None,
        plans: Plans::default(),
        scheduling_patience: Duration::from_secs(120),
    })
}

fn key() -> EnvironmentKey {
    EnvironmentKey { id: "c1".to_owned(), user_id: "u1".to_owned() }
}

fn pod(uid: &str, status: Value) -> Pod {
    let metadata = json!({
        "name": "env-c1-0", "namespace": "dp-u1", "uid": uid, "labels": {"devpocket.dev/environment": "c1"},
    });
    serde_json::from_value(json!({"metadata": metadata, "status": status})).unwrap()
}

fn running(uid: &str) -> Pod {
    let container = json!({
        "name": "environment", "image": "", "imageID": "", "ready": true, "restartCount": 0,
        "containerID": "containerd://1", "state": {"running": {}},
    });
    pod(uid, json!({"phase": "Running", "containerStatuses": [container]}))
}

fn quota_warning() -> Incident {
    let message = "exceeded quota: devpocket, requested: pods=1, used: pods=2, limited: pods=2";
    let object = json!({"kind": "StatefulSet", "namespace": "dp-u1", "name": "env-c1"});
    serde_json::from_value(json!({
        "metadata": {}, "involvedObject": object, "reason": "FailedCreate", "message": message,
    }))
    .unwrap()
}

async fn watched(seen: &Seen) -> Receiver<Observed> {
    seen.listed(&HashSet::new());
    seen.subscribe(&key()).await.unwrap()
}

fn now(observed: &mut Receiver<Observed>) -> Observed {
    observed.borrow_and_update().clone()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_told_before_the_first_listing() {
    let seen = seen();
    seen.failed(RuntimeError::Unavailable("no way there".to_owned()));
    let error = seen.subscribe(&key()).await.unwrap_err();
    assert_eq!(error.to_string(), "no way there");
    assert_eq!(now(&mut watched(&seen).await), Observed::Absent);
}

#[tokio::test(start_paused = true)]
async fn what_is_expected_is_starting_for_a_while() {
    let seen = seen();
    let mut observed = watched(&seen).await;
    seen.expect(&key());
    assert_eq!(now(&mut observed), Observed::Starting(None));
    seen.expect(&key());
    assert!(observed.has_changed().unwrap(), "who asked again is told again");
    advance(Duration::from_secs(31)).await;
    seen.tick();
    assert_eq!(now(&mut observed), Observed::Absent, "so that somebody asks again");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_was_replaced_unseen_is_told_with_a_reason() {
    let seen = seen();
    let mut observed = watched(&seen).await;
    seen.applied(running("a"));
    assert!(matches!(now(&mut observed), Observed::Running { after: None, .. }));
    seen.applied(running("b"));
    assert!(matches!(now(&mut observed), Observed::Running { after: Some(_), .. }));
    seen.deleted(&running("a"));
    assert!(!observed.has_changed().unwrap(), "that is the one before");
    seen.listed(&HashSet::from(["c1".to_owned()]));
    assert!(!observed.has_changed().unwrap(), "it was listed");
    seen.listed(&HashSet::new());
    assert_eq!(now(&mut observed), Observed::Absent, "it was not");
}

#[tokio::test(start_paused = true)]
async fn an_end_that_was_asked_for_is_no_news() {
    let seen = seen();
    let mut observed = watched(&seen).await;
    seen.expect(&key());
    seen.applied(running("a"));
    seen.stop(&key());
    let mut ending = running("a");
    ending.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    seen.applied(ending.clone());
    assert!(matches!(now(&mut observed), Observed::Starting(Some(why)) if why.contains("being stopped")));
    seen.expect(&key());
    seen.applied(ending.clone());
    seen.deleted(&ending);
    assert_eq!(now(&mut observed), Observed::Starting(None));
    seen.applied(running("b"));
    assert!(matches!(now(&mut observed), Observed::Running { after: None, .. }));
}

/// As when a restart is asked for right after the cluster was switched off and on.
#[tokio::test(start_paused = true)]
async fn an_end_that_was_asked_for_before_the_first_listing_is_no_news() {
    let seen = seen();
    seen.stop(&key());
    seen.tick();
    let mut ending = running("a");
    ending.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    seen.applied(ending.clone());
    seen.listed(&HashSet::from(["c1".to_owned()]));
    let mut observed = seen.subscribe(&key()).await.unwrap();
    assert!(matches!(now(&mut observed), Observed::Starting(Some(why)) if why.contains("being stopped")));
    seen.expect(&key());
    seen.applied(ending.clone());
    seen.deleted(&ending);
    assert_eq!(now(&mut observed), Observed::Starting(None));
    seen.applied(running("b"));
    assert!(matches!(now(&mut observed), Observed::Running { after: None, .. }));
    // The one after it was not told to.
    seen.deleted(&running("b"));
    seen.applied(running("c"));
    assert!(matches!(now(&mut observed), Observed::Running { after: Some(_), .. }));
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_was_discarded_is_out_of_sight() {
    let seen = seen();
    let mut observed = watched(&seen).await;
    let waiting = json!({"name": "environment", "image": "x", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"waiting": {"reason": "ErrImagePull"}}});
    seen.applied(pod("a", json!({"phase": "Pending", "containerStatuses": [waiting]})));
    assert!(matches!(now(&mut observed), Observed::Failed(_)));
    assert_eq!(seen.failed_pod(&key()).as_deref(), Some("a"));
    seen.discarded(&key(), "a".to_owned());
    seen.expect(&key());
    assert_eq!(now(&mut observed), Observed::Starting(None));
    seen.applied(running("b"));
    assert!(matches!(now(&mut observed), Observed::Running { after: None, .. }));
    assert_eq!(seen.failed_pod(&key()), None);
}

#[tokio::test(start_paused = true)]
async fn a_warning_from_before_counts_when_no_pod_comes() {
    let seen = seen();
    seen.warned(&quota_warning());
    seen.tick();
    let mut observed = watched(&seen).await;
    assert_eq!(now(&mut observed), Observed::Absent);
    advance(Duration::from_secs(60)).await;
    seen.expect(&key());
    assert_eq!(now(&mut observed), Observed::Starting(None));
    advance(Duration::from_secs(6)).await;
    seen.tick();
    assert!(matches!(now(&mut observed), Observed::Failed(why) if why.contains("number of environments")));
    seen.applied(running("a"));
    assert!(matches!(now(&mut observed), Observed::Running { .. }));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_room_fails_after_a_while() {
    let seen = seen();
    let mut observed = watched(&seen).await;
    let waits = json!({"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient cpu"}]});
    seen.applied(pod("a", waits.clone()));
    assert!(matches!(now(&mut observed), Observed::Starting(Some(_))));
    advance(Duration::from_secs(100)).await;
    seen.applied(pod("a", waits));
    assert!(matches!(now(&mut observed), Observed::Starting(Some(_))));
    advance(Duration::from_secs(21)).await;
    seen.tick();
    assert!(matches!(now(&mut observed), Observed::Failed(_)));
    seen.applied(running("a"));
    assert!(matches!(now(&mut observed), Observed::Running { .. }), "there was room after all");
}

#[tokio::test(start_paused = true)]
async fn pods_of_others_are_not_looked_at() {
    let seen = seen();
    let observed = watched(&seen).await;
    for (name, namespace) in
        [("web-0", "dp-u1"), ("env-c1-0", "other"), ("env-c2-0", "dp-u1"), ("env-c1-0", "dp-x-u1")]
    {
        let mut other = running("x");
        (other.metadata.name, other.metadata.namespace) = (Some(name.to_owned()), Some(namespace.to_owned()));
        assert_eq!(seen.applied(other), None, "{namespace}/{name}");
    }
    assert_eq!(*observed.borrow(), Observed::Absent);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_asks_about_is_forgotten() {
    let seen = seen();
    for number in 0..100 {
        seen.expect(&EnvironmentKey { id: number.to_string(), ..key() });
    }
    let observed = watched(&seen).await;
    assert_eq!(seen.entries(), 101);
    advance(Duration::from_secs(31)).await;
    seen.tick();
    assert_eq!(seen.entries(), 1);
    drop(observed);
    seen.tick();
    assert_eq!(seen.entries(), 0);
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_and_begin_anew() {
    let mut pauses = Pauses::new(LONGEST_PAUSE);
    assert!(pauses.next().unwrap() < FIRST_PAUSE * 2);
    for _ in 0..10 {
        pauses.next();
    }
    pauses.reset();
    assert!(pauses.next().unwrap() >= LONGEST_PAUSE.mul_f64(0.8), "a listing that begins proves nothing");
    tokio::time::advance(LONGEST_PAUSE + CALM * 2).await;
    assert!(pauses.next().unwrap() < FIRST_PAUSE * 2);
}

#[tokio::test(start_paused = true)]
async fn failing_is_timed_from_its_beginning() {
    let (mut health, error) = (Health::new(LONGEST_PAUSE), RuntimeError::Unavailable(String::new()));
    assert_eq!(health.fails("pods", &error), Duration::ZERO);
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(health.fails("pods", &error), Duration::from_secs(10));
    tokio::time::advance(CALM * 2).await;
    assert_eq!(health.fails("pods", &error), Duration::ZERO, "it worked in between, quietly");
    health.works("pods");
    assert_eq!(health.fails("pods", &error), Duration::ZERO);
}
