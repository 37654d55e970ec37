//! A server that is killed while environments are made, stopped, started, restarted and deleted.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use devpocket::client::{ClientError, NewEnvironment};
use hyper::Method;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret, Service};
use kube::api::{Api, ListParams};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::SITE;
use crate::common::PATIENCE;
use crate::common::cluster::admin;
use crate::common::random::Random;
use crate::common::server::{LOOK, Person, TestServer};
use crate::common::shell::Shell;

/// How often each of them is cut short.
const ROUNDS: usize = 3;
/// The latest moment of a kill, in milliseconds: later than any of them takes.
const LATEST: u64 = 3500;
/// The time in which the server tells the cluster what to do.
const BUSY: u64 = 250;

async fn names<K>(labels: &str, left: &mut Vec<String>)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let found =
        Api::<K>::all(admin().await).list_metadata(&ListParams::default().labels(labels)).await.unwrap();
    left.extend(found.items.iter().map(|object| format!("{} {}", K::kind(&()), object.name_any())));
}

/// Everything with these labels, as an operator finds it.
async fn objects(labels: &str) -> Vec<String> {
    let mut found = Vec::new();
    names::<StatefulSet>(labels, &mut found).await;
    names::<PersistentVolumeClaim>(labels, &mut found).await;
    names::<Secret>(labels, &mut found).await;
    names::<Service>(labels, &mut found).await;
    names::<Pod>(labels, &mut found).await;
    found
}

/// Waits until what an operator finds is as it should be.
async fn settled(labels: &str, what: impl Fn(&[String]) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = objects(labels).await;
        if what(&found) {
            return;
        }
        assert!(Instant::now() < deadline, "{found:?}");
        tokio::time::sleep(10 * LOOK).await;
    }
}

/// Asks, kills the server at some moment, and starts it again; asks again if there was no answer.
async fn cut(
    server: &mut TestServer,
    person: &Person,
    random: &mut Random,
    method: Method,
    path: &str,
    body: Option<Value>,
) {
    let asking = tokio::spawn({
        let (rest, method, path, body) = (person.rest.clone(), method.clone(), path.to_owned(), body.clone());
        async move { rest.ask::<Value>(method, &path, body).await }
    });
    // Most of it is waiting for the cluster: every second time, the kill comes while there is much to do.
    let latest = if random.below(2) == 0 { BUSY } else { LATEST };
    let moment = Duration::from_millis(random.below(latest));
    tokio::time::sleep(moment).await;
    server.kill();
    let answer = asking.await.unwrap();
    let took = server.run().await;
    println!(
        "{method} {path} killed after {moment:?}, answered: {}, ready again after {took:?}",
        answer.is_ok()
    );
    if matches!(answer, Err(ClientError::Refused(_))) {
        panic!("{answer:?}");
    }
    if answer.is_err() {
        // It may have been done, which is as good.
        let _ = person.rest.ask::<Value>(method, path, body).await;
    }
}

async fn until_status(person: &Person, id: &str, wanted: &[&str]) {
    let deadline = Instant::now() + 2 * PATIENCE;
    loop {
        let status = match person.rest.environment(id).await {
            Ok(environment) => environment.status,
            Err(ClientError::Refused(_)) => "TERMINATED".to_owned(),
            Err(error) => panic!("{error}"),
        };
        if wanted.contains(&status.as_str()) {
            return;
        }
        assert!(Instant::now() < deadline, "{status} instead of {wanted:?}");
        tokio::time::sleep(LOOK).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_at_any_moment_reaches_what_was_wanted() {
    let mut random = Random::printed("a_server_killed_at_any_moment_reaches_what_was_wanted");
    let mut server = TestServer::start().await;
    let person = server.demo().await;
    let other = person.environment("other").await;
    for round in 0..ROUNDS {
        let name = format!("round{round}");
        let new = NewEnvironment { name: name.clone(), template_id: SITE.template().to_owned() };
        let body = serde_json::to_value(&new).unwrap();
        cut(&mut server, &person, &mut random, Method::POST, "/api/v1/environments", Some(body)).await;
        let mut all = person.rest.environments().await.unwrap();
        all.retain(|environment| environment.name == name);
        assert_eq!(all.len(), 1, "{all:?}");
        let id = all.remove(0).id;
        let path = |action: &str| format!("/api/v1/environments/{id}{action}");
        let labels = format!("devpocket.dev/environment={id}");
        person.running(&id).await;
        let mut shell = Shell::quiet(person.options(&id, "main")).await;
        shell.run("echo kept > ~/file; echo lost > /tmp/file; sync").await;
        drop(shell);

        cut(&mut server, &person, &mut random, Method::POST, &path("/restart"), Some(Value::Null)).await;
        person.running(&id).await;
        let deadline = Instant::now() + PATIENCE;
        loop {
            // Until the instance that was to go has gone.
            let mut shell = Shell::quiet(person.options(&id, "main")).await;
            let seen = shell.run("cat ~/file; ls /tmp/file 2>/dev/null").await;
            if seen == "kept\r\n" {
                break;
            }
            assert!(Instant::now() < deadline, "{seen}");
            tokio::time::sleep(10 * LOOK).await;
        }

        cut(&mut server, &person, &mut random, Method::POST, &path("/stop"), Some(Value::Null)).await;
        until_status(&person, &id, &["STOPPED"]).await;
        settled(&labels, |found| found.len() == 4 && !found.iter().any(|found| found.starts_with("Pod")))
            .await;

        cut(&mut server, &person, &mut random, Method::POST, &path("/start"), Some(Value::Null)).await;
        person.running(&id).await;
        let mut shell = Shell::quiet(person.options(&id, "main")).await;
        assert_eq!(shell.run("cat ~/file").await, "kept\r\n");
        drop(shell);

        person.rest.act(&id, "stop").await.unwrap();
        cut(&mut server, &person, &mut random, Method::DELETE, &path(""), None).await;
        until_status(&person, &id, &["TERMINATED"]).await;
        settled(&labels, <[String]>::is_empty).await;
    }
    person.running(&other.id).await;
    let mut shell = Shell::quiet(person.options(&other.id, "main")).await;
    assert_eq!(shell.run("echo still here").await, "still here\r\n");
    let ours = format!("devpocket.dev/installation={}", server.installation());
    settled(&ours, |found| found.len() == 5).await;
}
