//! What is observed while things happen to pods and to the watch.

use std::time::{Duration, Instant};

use devpocket_actors::runtime::{Observed, Runtime};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::DeleteParams;

use crate::place::{Place, spec};
use crate::runtime_suite::{PATIENCE, start, wait_for};

fn another(observed: &Observed, before: &str) -> bool {
    matches!(observed, Observed::Running { instance, .. } if instance != before)
}

#[tokio::test]
async fn a_deleted_pod_comes_back_and_says_why() {
    let place = Place::new("a_deleted_pod_comes_back_and_says_why").await;
    let spec = spec("evicted");
    let instance = start(&place.runtime, &spec).await;
    let mut seen = place.runtime.watch(&spec.key).await.unwrap();
    let pods = place.api::<Pod>(&spec.key);
    let began = Instant::now();
    pods.delete(&format!("env-{}-0", spec.key.id), &DeleteParams::default()).await.unwrap();
    let starting = wait_for(&mut seen, |seen| matches!(seen, Observed::Starting(_))).await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(matches!(&starting, Observed::Starting(Some(why)) if why.contains("restarted")), "{starting:?}");
    // Kubelets before 1.22 leave its object for 10 s.
    let again = tokio::time::timeout(PATIENCE * 3, seen.wait_for(|seen| another(seen, &instance)));
    let again = again.await.expect("it comes back").unwrap().clone();
    println!("running again after {:?}", began.elapsed());
    assert!(
        matches!(&again, Observed::Running { after: Some(why), .. } if why.contains("restarted")),
        "{again:?}"
    );
}

/// The number of the agent's process on this machine, if the cluster runs here.
fn agent_process(pod: &Pod) -> Option<i32> {
    let uid = pod.uid()?;
    let spelled = [uid.clone(), uid.replace('-', "_")];
    std::fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let groups = std::fs::read_to_string(entry.path().join("cgroup")).ok()?;
        let command = std::fs::read(entry.path().join("cmdline")).ok()?;
        let ours = spelled.iter().any(|uid| groups.contains(uid)) && command.starts_with(b"/devpocket/bin/");
        ours.then_some(pid)
    })
}

#[tokio::test]
async fn a_killed_agent_is_another_instance_with_a_reason() {
    let place = Place::new("a_killed_agent_is_another_instance_with_a_reason").await;
    let spec = spec("killed");
    let instance = start(&place.runtime, &spec).await;
    let mut seen = place.runtime.watch(&spec.key).await.unwrap();
    let Some(pid) = agent_process(&place.pod(&spec.key).await.unwrap()) else {
        return println!("not tested: the cluster's processes are not on this machine");
    };
    let began = Instant::now();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    let first =
        wait_for(&mut seen, |seen| *seen != Observed::Running { instance: instance.clone(), after: None })
            .await;
    println!("first told after {:?}: {first:?}", began.elapsed());
    let again = wait_for(&mut seen, |seen| another(seen, &instance)).await;
    println!("running again after {:?}", began.elapsed());
    assert!(
        matches!(&again, Observed::Running { after: Some(why), .. } if why.contains("killed")),
        "{again:?}"
    );
}

#[tokio::test]
async fn a_watch_that_is_begun_anew_leaves_no_gap() {
    let mut place = Place::new("a_watch_that_is_begun_anew_leaves_no_gap").await;
    let (kept, replaced) = (spec("kept"), spec("replaced"));
    let instance = start(&place.runtime, &kept).await;
    let before = start(&place.runtime, &replaced).await;
    let mut kept_seen = place.runtime.watch(&kept.key).await.unwrap();
    let mut seen = place.runtime.watch(&replaced.key).await.unwrap();
    kept_seen.borrow_and_update();
    let pods = place.api::<Pod>(&replaced.key);
    let other = place.another_server().await;
    let meanwhile = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let name = format!("env-{}-0", replaced.key.id);
        pods.delete(&name, &DeleteParams::default().grace_period(0)).await.unwrap();
        // Without a watch of its own.
        other.stop(&replaced.key).await.unwrap();
        other.ensure(&replaced).await.unwrap();
    };
    tokio::join!(place.interrupt(Duration::from_secs(5)), meanwhile);
    let now = wait_for(&mut seen, |seen| another(seen, &before)).await;
    assert!(matches!(&now, Observed::Running { after: Some(_), .. }), "{now:?}");
    assert_eq!(*kept_seen.borrow(), Observed::Running { instance, after: None });
    assert!(!kept_seen.has_changed().unwrap(), "nothing happened to it");
}

#[tokio::test]
async fn a_server_that_starts_finds_what_runs() {
    let place = Place::new("a_server_that_starts_finds_what_runs").await;
    let spec = spec("found");
    let instance = start(&place.runtime, &spec).await;
    let later = place.another_server().await;
    let follows = tokio::spawn({
        let later = later.clone();
        async move { later.follow().await }
    });
    let seen = later.watch(&spec.key).await.unwrap();
    assert_eq!(*seen.borrow(), Observed::Running { instance: instance.clone(), after: None });
    assert_eq!(start(&later, &spec).await, instance);
    follows.abort();
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_nothing_half_done() {
    let place = Place::new("a_caller_that_goes_away_leaves_nothing_half_done").await;
    let spec = spec("dropped");
    for pause in [0, 5, 20, 60, 150] {
        let _ = tokio::time::timeout(Duration::from_millis(pause), place.runtime.ensure(&spec)).await;
    }
    start(&place.runtime, &spec).await;
    for pause in [0, 5, 20, 60, 500] {
        let _ = tokio::time::timeout(Duration::from_millis(pause), place.runtime.delete(&spec.key)).await;
    }
    place.runtime.delete(&spec.key).await.unwrap();
    assert!(place.runtime.inventory().await.unwrap().is_empty());
}
