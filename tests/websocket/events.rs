//! The stream of everything that happens to one's environments.

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;

use crate::common::raw::RawSocket;
use crate::common::server::TestServer;
use crate::common::soon;

/// Reads messages until one satisfies `wanted`; returns all.
async fn until(socket: &mut RawSocket, what: &str, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
    soon(what, async {
        let mut all = Vec::new();
        loop {
            all.push(socket.json_message().await);
            if wanted(&all[all.len() - 1]) {
                return all;
            }
        }
    })
    .await
}

/// An answer that goes on, read by the line.
struct Stream(Lines<BufReader<TcpStream>>);

impl Stream {
    async fn open(server: &TestServer, path: &str, token: Option<&str>) -> Self {
        let address = server.url().authority();
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let bearer = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{bearer}Accept: text/event-stream\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        Self(BufReader::new(stream).lines())
    }

    /// Reads until a line that holds `wanted`.
    async fn until(&mut self, wanted: &str) -> String {
        soon(wanted, async {
            loop {
                let line = self.0.next_line().await.unwrap().expect("the stream goes on");
                if line.contains(wanted) {
                    return line;
                }
            }
        })
        .await
    }
}

fn is(message: &Value, kind: &str, key: &str, value: &str) -> bool {
    message["type"] == kind && message[key] == value
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_happens_is_told_and_nobody_elses() {
    let server = TestServer::start().await;
    let (person, other) = (server.demo().await, server.operator().await);
    let mut events = RawSocket::json_at(&server.url(), "/api/v1/ws/events", &person.token).await;
    let mut others = RawSocket::json_at(&server.url(), "/api/v1/ws/events", &other.token).await;
    let welcome = until(&mut events, "the state", |message| message["type"] == "welcome").await.remove(0);
    assert_eq!((&welcome["environments"], &welcome["quota"]["environments"]), (&json!([]), &json!(0)));
    let each = json!({ "cpu": "4", "memory": "8Gi", "storage": "100Gi" });
    assert_eq!(welcome["quota"]["each"], each, "{welcome}");
    until(&mut others, "the other's state", |message| message["type"] == "welcome").await;

    let environment = person.environment("told").await;
    let running = |message: &Value| is(message, "environment_status", "phase", "RUNNING");
    let news = until(&mut events, "RUNNING", running).await;
    assert!(news.iter().all(|one| one["type"] == "quota" || one["environment_id"] == environment.id));
    assert!(news.iter().any(|one| is(one, "environment_status", "status", "CREATING")), "{news:?}");
    assert!(news.iter().any(|one| one["type"] == "quota" && one["quota"]["environments"] == 1), "{news:?}");
    assert!(news.iter().any(|one| one["type"] == "installation_complete"), "{news:?}");

    let mut shell = RawSocket::json(&server.url(), &environment.id, &person.token).await;
    shell.json_of("welcome").await;
    until(&mut events, "a session", |message| is(message, "session", "state", "began")).await;
    shell.text(&json!({"type": "input", "data": "exit\r"})).await;
    let ended = until(&mut events, "its end", |message| is(message, "session", "state", "ended")).await;
    assert_eq!(ended[ended.len() - 1]["name"], "main");

    // A terminal socket is told how all of them are, too.
    let mut shell = RawSocket::json(&server.url(), &environment.id, &person.token).await;
    shell.json_of("welcome").await;
    let second = person.environment("second").await;
    let told = soon("the second", shell.json_of("environment_status")).await;
    assert_eq!((&told["environment_id"], &told["phase"]), (&json!(second.id), &json!("CREATING")));
    person.rest.act(&environment.id, "stop").await.unwrap();
    for phase in ["STOPPING", "STOPPED"] {
        until(&mut events, phase, |message| is(message, "environment_status", "phase", phase)).await;
    }

    // The other one heard nothing of it.
    others.text(&json!({"type": "ping"})).await;
    let heard = until(&mut others, "a pong", |message| message["type"] == "pong").await;
    assert!(heard.iter().all(|one| matches!(one["type"].as_str(), Some("pong" | "ping"))), "{heard:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_comes_as_server_sent_events() {
    let server = TestServer::start().await;
    let person = server.demo().await;
    let ticket = person.rest.ticket().await.unwrap();
    let mut stream = Stream::open(&server, &format!("/api/v1/events?ticket={ticket}"), None).await;
    stream.until("200 OK").await;
    stream.until("text/event-stream").await;
    stream.until("event: welcome").await;
    let environment = person.environment("told").await;
    stream.until("event: environment_status").await;
    let running = stream.until("\"phase\":\"RUNNING\"").await;
    let running: Value = serde_json::from_str(running.trim_start_matches("data: ")).unwrap();
    assert_eq!(running["environmentId"], environment.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_bounded_and_need_a_sign_in() {
    let server = TestServer::start().await;
    let person = server.demo().await;
    let url = server.url();
    let mut refused = RawSocket::json_at(&url, "/api/v1/ws/events", "nonsense").await;
    assert_eq!(refused.closed().await, 1008);
    let mut open = Vec::new();
    for _ in 0..10 {
        let mut socket = RawSocket::json_at(&url, "/api/v1/ws/events", &person.token).await;
        socket.json_of("welcome").await;
        open.push(socket);
    }
    let mut one_more = RawSocket::json_at(&url, "/api/v1/ws/events", &person.token).await;
    assert_eq!(one_more.closed().await, 1008);
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_followed_as_server_sent_events() {
    let server = TestServer::start().await;
    let person = server.demo().await;
    let environment = person.environment("followed").await;
    let path = format!("/api/v1/environments/{}/logs?follow=true&source=install", environment.id);
    let mut lines = Stream::open(&server, &path, Some(&person.token)).await;
    lines.until("200 OK").await;
    lines.until("event: log").await;
    let line = lines.until("data: ").await;
    let line: Value = serde_json::from_str(line.trim_start_matches("data: ")).unwrap();
    assert_eq!((&line["source"], &line["level"]), (&json!("install"), &json!("INFO")));
    // Its commands run again, and are heard.
    person.rest.act(&environment.id, "restart").await.unwrap();
    lines.until("event: log").await;
}
