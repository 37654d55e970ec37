//! Ending a sign-in reaches the sockets it opened, and only those.

use std::time::{Duration, Instant};

use devpocket::client::Rest;
use hyper::Method;
use serde_json::{Value, json};

use crate::common::raw::RawSocket;
use crate::common::server::{Person, TestServer};

/// What is promised.
const PROMISE: Duration = Duration::from_secs(5);

/// One socket of each kind, in the person's environment.
async fn sockets(server: &TestServer, person: &Person, environment: &str) -> Vec<RawSocket> {
    let url = server.url();
    let mut all = vec![
        RawSocket::terminal(&url, environment, "", &person.token).await.unwrap(),
        RawSocket::json(&url, environment, &person.token).await,
        RawSocket::json_at(&url, &format!("/api/v1/ws/logs/{environment}"), &person.token).await,
        RawSocket::json_at(&url, "/api/v1/ws/events", &person.token).await,
    ];
    for socket in &mut all {
        assert!(socket.next().await.is_some(), "it is open");
    }
    all
}

/// Reads each until the server closes it; the codes.
async fn closed(sockets: Vec<RawSocket>) -> Vec<u16> {
    let began = Instant::now();
    let mut codes = Vec::new();
    for mut socket in sockets {
        codes.push(socket.closed().await);
    }
    let took = began.elapsed();
    assert!(took < PROMISE, "{took:?}");
    codes
}

async fn sessions(rest: &Rest) -> Vec<Value> {
    let list: Value = rest.ask(Method::GET, "/api/v1/auth/sessions", None).await.unwrap();
    list["sessions"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_sign_in_closes_its_sockets_within_seconds() {
    let server = TestServer::start().await;
    let (here, there) = (server.demo().await, server.demo().await);
    let environment = here.environment("ends").await;
    let own = sockets(&server, &here, &environment.id).await;
    let theirs = sockets(&server, &there, &environment.id).await;
    let current = |sessions: Vec<Value>| sessions.into_iter().find(|one| one["current"] == true).unwrap();
    let id = current(sessions(&there.rest).await)["id"].as_str().unwrap().to_owned();
    here.rest.ask::<Value>(Method::DELETE, &format!("/api/v1/auth/sessions/{id}"), None).await.unwrap();
    assert_eq!(closed(theirs).await, [4401, 1008, 1008, 1008]);
    assert!(there.rest.me().await.is_err());
    // The others stay.
    for mut socket in own {
        socket.text(&json!({ "type": "ping" })).await;
        assert!(socket.next().await.is_some());
    }
    assert!(here.rest.me().await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_closes_the_sockets_of_the_other_sign_ins() {
    let server = TestServer::start().await;
    let (here, there) = (server.demo().await, server.demo().await);
    let environment = here.environment("password").await;
    let theirs = sockets(&server, &there, &environment.id).await;
    let account = std::fs::read(server.data().join("demo-account.json")).unwrap();
    let account: Value = serde_json::from_slice(&account).unwrap();
    let change = json!({ "currentPassword": account["password"], "newPassword": "An0ther!one" });
    here.rest.ask::<Value>(Method::POST, "/api/v1/users/change-password", Some(change)).await.unwrap();
    assert_eq!(closed(theirs).await, [4401, 1008, 1008, 1008]);
    assert!(here.rest.me().await.is_ok() && there.rest.me().await.is_err());
}
