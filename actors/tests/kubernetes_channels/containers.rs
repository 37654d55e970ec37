//! What is told of containers: their logs and figures, and that they do not run.

use std::time::Duration;

use devpocket_actors::runtime::{LogQuery, Runtime, RuntimeError};
use futures_util::StreamExt as _;
use kube::api::DeleteParams;
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::place::{Agent, PATIENCE, Place};
use crate::{runtime_suite, words};

/// The newest lines.
const fn newest(lines: usize) -> LogQuery {
    LogQuery { lines, since: None, previous: false }
}

#[tokio::test]
async fn a_container_that_does_not_run_is_said() {
    let place = Place::new().await;
    place.pod(&Agent::Missing, json!(["bash", "-c", "echo the last words; exit 3"]), json!({})).await;
    place
        .wait_for(|pod| {
            let all = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
            all.is_some_and(|all| {
                all.iter().any(|one| {
                    one.state.as_ref().is_some_and(|state| state.waiting.is_some()) && one.restart_count > 0
                })
            })
        })
        .await;
    let error = place.runtime.open(&place.key()).await.map(drop);
    assert!(matches!(error, Err(RuntimeError::Unavailable(_))), "{error:?}");
    println!("no container: {}", words(error));
    let lines = place.runtime.logs(&place.key(), newest(10)).await.unwrap();
    assert_eq!(lines.last().unwrap().text, "the last words", "{lines:?}");
    let previous = LogQuery { previous: true, ..newest(10) };
    let lines = place.runtime.logs(&place.key(), previous).await.unwrap();
    assert_eq!(lines.last().unwrap().text, "the last words", "{lines:?}");
}

#[tokio::test]
async fn logs_are_the_newest_lines_with_their_times() {
    let place = Place::new().await;
    place.running(&Agent::Missing, json!(["bash", "-c", "seq 1 3000; exec sleep 3600"])).await;
    let lines = place.runtime.logs(&place.key(), newest(5000)).await.unwrap();
    assert_eq!((lines.len(), lines[999].text.as_str()), (1000, "3000"));
    let previous = LogQuery { previous: true, ..newest(10) };
    assert_eq!(place.runtime.logs(&place.key(), previous).await.unwrap(), [], "there was none before it");
    let at = lines[0].at.expect("lines have times");
    assert!((chrono::Utc::now() - at).num_seconds().abs() < 60, "{at}");
    let since = Some(chrono::Utc::now() + chrono::Duration::seconds(5));
    assert!(
        place
            .runtime
            .logs(&place.key(), LogQuery { lines: 10, since, previous: false })
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_log_is_followed_until_its_container_ends() {
    let place = Place::new().await;
    let not_yet = place.runtime.follow_logs(&place.key(), newest(10)).await.map(drop);
    assert!(matches!(not_yet, Err(RuntimeError::Rejected(_))), "{not_yet:?}");
    let script = "n=0; while true; do n=$((n+1)); echo $n; sleep 0.05; done";
    place.running(&Agent::Missing, json!(["bash", "-c", script])).await;
    let mut lines = place.runtime.follow_logs(&place.key(), newest(2)).await.unwrap();
    let mut next = async || timeout(PATIENCE, lines.next()).await.unwrap().map(|line| line.text);
    let first: u32 = next().await.unwrap().parse().unwrap();
    for expected in first + 1..first + 40 {
        assert_eq!(next().await.unwrap(), expected.to_string());
    }
    let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    place.pods().delete("env-e1-0", &now).await.unwrap();
    while next().await.is_some() {}
}

#[tokio::test]
async fn an_init_container_that_fails_is_read() {
    let place = Place::new().await;
    let init = json!({"initContainers": [{"name": "agent", "image": "devbox:1", "command": ["bash", "-c", "echo no room; exit 1"]}]});
    place.pod(&Agent::Missing, json!(["sleep", "3600"]), init).await;
    let read = timeout(PATIENCE, async {
        loop {
            match place.runtime.logs(&place.key(), newest(10)).await {
                Ok(lines) if !lines.is_empty() => return lines,
                _ => sleep(Duration::from_millis(200)).await,
            }
        }
    });
    assert_eq!(read.await.unwrap()[0].text, "no room");
}

#[tokio::test]
async fn figures_come_of_the_node() {
    let place = Place::new().await;
    place.running(&Agent::Missing, json!(["bash", "-c", "while :; do :; done"])).await;
    let mut spec = runtime_suite::spec("test");
    spec.key = place.key();
    let (first, second) = tokio::join!(place.runtime.stats(&spec), place.runtime.stats(&spec));
    println!("{first:?} {second:?}");
    let stats = first.unwrap();
    assert!(stats.memory_percent > 0.0);
    let busy = timeout(PATIENCE, async {
        while place.runtime.stats(&spec).await.unwrap().cpu_percent < 5.0 {
            sleep(Duration::from_secs(1)).await;
        }
    });
    busy.await.expect("work shows");
}
