//! A cluster that is added, changed, switched off and removed over the API while the server runs.

use std::time::{Duration, Instant};

use devpocket::client::ClientError;
use hyper::Method;
use serde_json::{Value, json};

use crate::SITE;
use crate::common::server::{LOOK, Person, TestServer};
use crate::common::shell::Shell;
use crate::common::soon;

async fn ask(person: &Person, method: Method, path: &str, body: Value) -> Result<Value, ClientError> {
    person.rest.ask(method, &format!("/api/v1{path}"), Some(body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_comes_and_goes_while_the_server_runs() {
    let server = TestServer::start().await;
    let (root, person) = (server.operator().await, server.demo().await);
    let text = std::fs::read_to_string(server.data().with_file_name("server.kubeconfig")).unwrap();
    let began = Instant::now();
    let new = json!({ "name": "second", "region": "east", "kubeconfig": text });
    let added = ask(&root, Method::POST, "/clusters", new.clone()).await.unwrap();
    println!("added after {:?}: {added}", began.elapsed());
    assert_eq!((&added["context"], &added["contexts"]), (&json!("server"), &json!(["server"])));
    assert!(!added.to_string().contains("token"), "{added}");
    let again = ask(&root, Method::POST, "/clusters", new).await.unwrap_err().to_string();
    assert!(again.contains("already exists"), "{again}");

    let health = ask(&root, Method::GET, "/clusters/second/health", Value::Null).await.unwrap();
    println!("{health}");
    assert!(["healthy", "degraded"].contains(&health["status"].as_str().unwrap()), "{health}");
    assert!(health["nodes"].as_u64() >= Some(1) && health["readyNodes"].as_u64() >= Some(1), "{health}");
    assert!(health["lastCheck"].is_string() && health["responseTimeMs"].is_number(), "{health}");
    assert!(health["memoryUsage"].as_f64() > Some(0.0), "{health}");

    // It can be used at once.
    let wanted = json!({ "name": "there", "templateId": SITE.template(), "clusterId": "second" });
    let made = ask(&person, Method::POST, "/environments", wanted.clone()).await.unwrap();
    let id = made["id"].as_str().unwrap().to_owned();
    person.running(&id).await;
    let mut shell = Shell::quiet(person.options(&id, "main")).await;
    shell.run("here=before").await;

    // Another kubeconfig under a shell that runs, and one that is no good.
    let changed =
        ask(&root, Method::PUT, "/clusters/second", json!({ "kubeconfig": text, "region": "west" })).await;
    assert_eq!(changed.unwrap()["region"], "west");
    let bad = text.replace("https://", "http://");
    assert!(ask(&root, Method::PUT, "/clusters/second", json!({ "kubeconfig": bad })).await.is_err());
    assert_eq!(shell.run("echo $here").await, "before\r\n");
    let in_use = ask(&root, Method::DELETE, "/clusters/second", Value::Null).await.unwrap_err().to_string();
    assert!(in_use.contains("use this cluster"), "{in_use}");

    // Switched off and on again.
    ask(&root, Method::PUT, "/clusters/second", json!({ "status": "INACTIVE" })).await.unwrap();
    let off = ask(&root, Method::GET, "/clusters/second/health", Value::Null).await.unwrap();
    assert!(off["errorMessage"].as_str().unwrap().contains("switched off"), "{off}");
    let wanted = json!({ "name": "too-late", "templateId": SITE.template(), "clusterId": "second" });
    let refused = ask(&person, Method::POST, "/environments", wanted).await.unwrap_err().to_string();
    assert!(refused.contains("no new environments"), "{refused}");
    ask(&root, Method::PUT, "/clusters/second", json!({ "status": "ACTIVE" })).await.unwrap();
    let mut other = Shell::quiet(person.options(&id, "other")).await;
    assert_eq!(other.run("echo on again").await, "on again\r\n");
    drop((shell, other));

    person.rest.act(&id, "stop").await.unwrap();
    ask(&person, Method::DELETE, &format!("/environments/{id}"), Value::Null).await.unwrap();
    soon("the cluster to be unused", async {
        while ask(&root, Method::DELETE, "/clusters/second", Value::Null).await.is_err() {
            tokio::time::sleep(10 * LOOK).await;
        }
    })
    .await;
    let list = ask(&root, Method::GET, "/clusters", Value::Null).await.unwrap();
    assert_eq!(list["clusters"].as_array().unwrap().len(), 1, "{list}");
    assert!(began.elapsed() < Duration::from_secs(300));
}

/// A token that is good for nothing is found out before anything is stored.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_does_not_let_in_is_not_stored() {
    let server = TestServer::start().await;
    let root = server.operator().await;
    let text = std::fs::read(server.data().with_file_name("server.kubeconfig")).unwrap();
    let mut kubeconfig: Value = serde_json::from_slice(&text).unwrap();
    kubeconfig["users"][0]["user"]["token"] = json!("not-one-of-yours");
    let new = json!({ "name": "second", "region": "east", "kubeconfig": kubeconfig.to_string() });
    let refused = ask(&root, Method::POST, "/clusters", new).await.unwrap_err().to_string();
    println!("{refused}");
    assert!(refused.contains("can't be used") && !refused.contains("not-one-of-yours"), "{refused}");
    let list = ask(&root, Method::GET, "/clusters", Value::Null).await.unwrap();
    assert_eq!(list["clusters"].as_array().unwrap().len(), 1, "{list}");
}
