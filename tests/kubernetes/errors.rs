//! What people read when an environment can't run: its status, and what a terminal is told.

use std::time::{Duration, Instant};

use devpocket::client::{Environment, NewEnvironment};
use hyper::Method;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim};
use kube::api::{Api, ListParams, PostParams};
use serde_json::{Value, json};

use crate::common::cluster::admin;
use crate::common::server::{LOOK, Person, TestServer};
use crate::common::shell::Shell;
use crate::common::soon;

async fn shown(person: &Person, id: &str) -> (String, String) {
    let path = format!("/api/v1/environments/{id}");
    let body: Value = person.rest.ask(Method::GET, &path, None).await.unwrap();
    let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
    (text("status"), text("statusReason"))
}

async fn create(person: &Person, name: &str, template: &str) -> Environment {
    let new = NewEnvironment { name: name.to_owned(), template_id: template.to_owned() };
    person.rest.create(&new).await.unwrap()
}

/// Waits until it has failed; returns why.
async fn failure(person: &Person, id: &str) -> String {
    // A node with room is waited for.
    let deadline = Instant::now() + Duration::from_secs(180);
    loop {
        match shown(person, id).await {
            (status, reason) if status == "ERROR" => return reason,
            now => assert!(now.0 != "RUNNING" && Instant::now() < deadline, "{now:?}"),
        }
        tokio::time::sleep(10 * LOOK).await;
    }
}

/// What a terminal is told that can't be opened.
async fn told(person: &Person, id: &str) -> String {
    let mut shell = Shell::new(person.options(id, "main"));
    let waiting = async {
        loop {
            if let Err(error) = shell.step().await {
                return error.to_string();
            }
            if let Some((_, reason)) = &shell.closed {
                return reason.clone();
            }
        }
    };
    soon("a refusal", waiting).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_nowhere_is_named() {
    let server = TestServer::start().await;
    let person = server.demo().await;
    let made = create(&person, "imageless", "imageless").await;
    let reason = failure(&person, &made.id).await;
    let told = told(&person, &made.id).await;
    println!("{reason}\n{told}");
    assert!(reason.contains("no.such.registry/nothing:1") && reason.contains("can't be fetched"), "{reason}");
    assert!(told.contains("can't be fetched"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_not_there_is_told() {
    let server = TestServer::start().await;
    let person = server.demo().await;
    let made = create(&person, "nowhere", "nowhere").await;
    let reason = failure(&person, &made.id).await;
    let told = told(&person, &made.id).await;
    println!("{reason}\n{told}");
    assert!(reason.contains("of the kind"), "{reason}");
    assert!(told.contains("of the kind"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_the_plan_is_told() {
    let server = TestServer::start_with(&[("PRO_PLAN_MAX_ENVIRONMENTS", "2")]).await;
    let person = server.demo().await;
    person.environment("one").await;
    // Somebody else uses up what the cluster gives this person.
    let client = admin().await;
    let labels =
        ListParams::default().labels(&format!("devpocket.dev/installation={}", server.installation()));
    let namespaces = Api::<Namespace>::all(client.clone()).list_metadata(&labels).await.unwrap();
    let namespace = namespaces.items[0].metadata.name.clone().unwrap();
    let claim = json!({"metadata": {"name": "theirs"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}});
    let claims = Api::<PersistentVolumeClaim>::namespaced(client, &namespace);
    claims.create(&PostParams::default(), &serde_json::from_value(claim).unwrap()).await.unwrap();
    let two = create(&person, "two", "devbox").await;
    let reason = failure(&person, &two.id).await;
    let told = told(&person, &two.id).await;
    println!("{reason}\n{told}");
    assert!(reason.contains("number of environments"), "{reason}");
    assert!(told.contains("number of environments"), "{told}");
    // And what the server itself counts.
    let three = NewEnvironment { name: "three".to_owned(), template_id: "devbox".to_owned() };
    let refused = person.rest.create(&three).await.unwrap_err().to_string();
    println!("{refused}");
    assert!(refused.contains("2 environments") || refused.to_lowercase().contains("limit"), "{refused}");
}

/// What the server's kubeconfig becomes while the server is down, and what was in it.
async fn changed(server: &mut TestServer, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    server.stop().await;
    std::fs::remove_dir_all(server.data()).unwrap();
    let file = kubeconfig_of(server);
    let usable = std::fs::read(&file).unwrap();
    let mut kubeconfig: Value = serde_json::from_slice(&usable).unwrap();
    change(&mut kubeconfig);
    std::fs::write(&file, kubeconfig.to_string()).unwrap();
    println!("ready after {:?}", server.run().await);
    usable
}

fn kubeconfig_of(server: &TestServer) -> std::path::PathBuf {
    server.data().with_file_name("server.kubeconfig")
}

/// Waits until an environment says why it is not on its way.
async fn reason(person: &Person, id: &str) -> String {
    soon("a reason", async {
        loop {
            let (status, reason) = shown(person, id).await;
            assert!(status == "CREATING", "{status}");
            if !reason.is_empty() {
                return reason;
            }
            tokio::time::sleep(LOOK).await;
        }
    })
    .await
}

/// A cluster whose address refuses: the server starts all the same, and says what is wrong.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_refuses_is_told() {
    let mut server = TestServer::start().await;
    // Nothing listens there once it is dropped.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let usable = changed(&mut server, |kubeconfig| {
        kubeconfig["clusters"][0]["cluster"]["server"] = json!(format!("https://127.0.0.1:{port}"));
    })
    .await;
    let person = server.demo().await;
    let began = Instant::now();
    let made = create(&person, "far", "devbox").await;
    println!("answered after {:?}", began.elapsed());
    let reason = reason(&person, &made.id).await;
    println!("told after {:?}: {reason}", began.elapsed());
    assert!(reason.contains("nothing listens at the cluster's address"), "{reason}");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    // It can be reached at the next start, and the environment comes up.
    server.stop().await;
    std::fs::write(kubeconfig_of(&server), usable).unwrap();
    server.run().await;
    server.demo().await.running(&made.id).await;
}

/// Credentials that are wrong, or not good any more: the cluster says no, and what to do is said.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_refused_are_told() {
    let mut server = TestServer::start().await;
    let usable = changed(&mut server, |kubeconfig| {
        kubeconfig["users"][0]["user"]["token"] = json!("no-token-of-this-cluster");
    })
    .await;
    let person = server.demo().await;
    let made = create(&person, "locked-out", "devbox").await;
    let reason = reason(&person, &made.id).await;
    println!("{reason}");
    assert!(reason.contains("refuses the credentials") && reason.contains("new kubeconfig"), "{reason}");
    assert!(!reason.contains("no-token-of-this-cluster"), "{reason}");
    server.stop().await;
    std::fs::write(kubeconfig_of(&server), usable).unwrap();
    server.run().await;
    server.demo().await.running(&made.id).await;
}
