//! An account that is deleted takes its environments with it.

use std::path::PathBuf;
use std::time::Instant;

use hyper::Method;
use serde_json::{Value, json};

use crate::common::PATIENCE;
use crate::common::server::{LOOK, Person, TestServer};
use crate::common::shell::Shell;

/// Where an environment's files are.
fn files(server: &TestServer, environment: &str) -> PathBuf {
    server.data().join("environments").join(environment)
}

async fn gone(server: &TestServer, environments: &[&str]) {
    let deadline = Instant::now() + PATIENCE;
    while let Some(left) = environments.iter().find(|id| files(server, id).exists()) {
        assert!(Instant::now() < deadline, "{left} is left; the server's log:\n{}", server.log());
        tokio::time::sleep(LOOK).await;
    }
}

/// Somebody with an environment that runs, in which a shell is open, and one that is stopped.
async fn furnished(server: &TestServer) -> (Person, [String; 2], Shell) {
    let person = server.demo().await;
    let (runs, stopped) = (person.environment("runs").await, person.environment("stopped").await);
    let shell = Shell::quiet(person.options(&runs.id, "main")).await;
    person.rest.act(&stopped.id, "stop").await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while person.rest.environment(&stopped.id).await.unwrap().status != "STOPPED" {
        assert!(Instant::now() < deadline, "it does not stop");
        tokio::time::sleep(LOOK).await;
    }
    (person, [runs.id, stopped.id], shell)
}

async fn delete_account(server: &TestServer, person: &Person) {
    let file = std::fs::read(server.data().join("demo-account.json")).unwrap();
    let account: Value = serde_json::from_slice(&file).unwrap();
    let body = json!({ "password": account["password"] });
    person.rest.ask::<Value>(Method::DELETE, "/api/v1/users/me", Some(body)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_account_leaves_nothing_behind() {
    let server = TestServer::start().await;
    let (person, [runs, stopped], mut shell) = furnished(&server).await;
    let other = server.operator().await.environment("others").await;
    assert!(files(&server, &runs).exists() && files(&server, &stopped).exists());
    delete_account(&server, &person).await;
    gone(&server, &[&runs, &stopped]).await;
    while shell.closed.is_none() {
        if shell.step().await.is_err() {
            break;
        }
    }
    person.rest.me().await.unwrap_err();
    assert!(files(&server, &other.id).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_meanwhile_finishes_it_at_its_next_start() {
    let mut server = TestServer::start().await;
    let (person, [runs, stopped], shell) = furnished(&server).await;
    drop(shell);
    delete_account(&server, &person).await;
    server.kill();
    server.run().await;
    gone(&server, &[&runs, &stopped]).await;
}
