//! The database goes away and comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use devpocket::client::ClientError;
use devpocket_actors::persistence::Persistence;
use hyper::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::time::Instant;

use crate::common::raw::RawSocket;
use crate::common::server::{LOOK, Person};
use crate::common::shell::Shell;
use crate::common::soon;
use crate::inside::Inside;
use crate::late;

/// How long it is away; not a wait for anything. Longer than the server remembers who somebody is.
const AWAY: Duration = Duration::from_secs(8);

/// The longest that a person waits to be told.
const TOLD: Duration = Duration::from_secs(10);

/// Fails unless the answer is 503, with a reason and the time to come back.
async fn refused(person: &Person, method: Method, path: &str, body: Option<Value>) {
    let what = format!("{method} {path}");
    let asked = Instant::now();
    match soon(&what, person.rest.ask::<Value>(method, path, body)).await {
        Err(ClientError::Refused(refusal)) => {
            assert_eq!(refusal.status, 503, "{what}: {refusal:?}");
            assert!(refusal.retry_after.is_some(), "{what}: {refusal:?}");
            let says = |text| refusal.message.contains(text);
            assert!(says("temporarily unavailable") || says("not available"), "{what}: {refusal:?}");
        }
        other => panic!("{what}: {other:?}"),
    }
    assert!(asked.elapsed() < TOLD, "{what} was answered after {:?}", asked.elapsed());
}

/// Queues late writes until it is told to stop; returns how many of each kind.
async fn write_late(persistence: Persistence, environment: String, stop: Arc<AtomicBool>) -> u32 {
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        late::queue(&persistence, &environment, count);
        count += 1;
        // A pace, so that the backlog is never full.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    count
}

/// How a session's row says that it ended.
async fn end_of(pool: &PgPool, session: &str) -> Option<Value> {
    let query = "SELECT exit FROM terminal_sessions WHERE session_id = $1 AND status = 'TERMINATED'";
    let rows: Vec<Value> = sqlx::query_scalar(query).bind(session).fetch_all(pool).await.unwrap();
    assert!(rows.len() < 2, "{rows:?}");
    rows.into_iter().next()
}

#[tokio::test(flavor = "multi_thread")]
async fn terminals_do_not_notice_that_the_database_is_away() {
    let server = Inside::start().await;
    let person = server.demo().await;
    let environment = person.environment("outage").await;
    let mut shell = Shell::quiet(person.options(&environment.id, "main")).await;
    let mut brief = Shell::quiet(person.options(&environment.id, "brief")).await;
    let ended = brief.hellos[0].session_id.clone();
    let path = format!("/api/v1/environments/{}", environment.id);
    let stop = Arc::new(AtomicBool::new(false));
    let persistence = server.system.persistence().clone();
    let writing = tokio::spawn(write_late(persistence, environment.id.clone(), Arc::clone(&stop)));
    let before: Value = person.rest.ask(Method::GET, &path, None).await.unwrap();

    // In the middle of writes.
    server.postgres.halt().await.unwrap();
    let stopped = Instant::now();
    assert_eq!(shell.run("echo typed").await, "typed\r\n");
    brief.type_text("exit 5\n");
    let told = async {
        while brief.closed.is_none() {
            brief.step().await.unwrap();
        }
    };
    soon("the end of the session", told).await;
    assert_eq!(brief.exit.as_ref().unwrap().code, Some(5));

    // By a person who is remembered at first, and is not in the end.
    let mut rounds = 0;
    while stopped.elapsed() < AWAY {
        refused(&person, Method::PUT, &path, Some(json!({"description": "lost"}))).await;
        for read in [path.as_str(), "/api/v1/environments", "/api/v1/auth/me", "/api/v1/templates"] {
            refused(&person, Method::GET, read, None).await;
        }
        let typed = Instant::now();
        assert_eq!(shell.run("echo typed").await, "typed\r\n");
        assert!(typed.elapsed() < Duration::from_secs(2), "a key took {:?}", typed.elapsed());
        rounds += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("{rounds} rounds in {:?}", stopped.elapsed());
    let socket = RawSocket::terminal(&server.url(), &environment.id, "session=main", &person.token).await;
    assert_eq!(socket.err(), Some(503));
    server.postgres.resume().await.unwrap();

    // Writes work again, and what was refused was not done.
    let write = async {
        loop {
            let now: Value = match person.rest.ask(Method::GET, &path, None).await {
                Ok(now) => now,
                Err(ClientError::Refused(refusal)) if refusal.status == 503 => {
                    tokio::time::sleep(LOOK).await;
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
            assert_eq!(now["description"], before["description"], "a refused write was done");
            let change = json!({"description": "kept"});
            match person.rest.ask::<Value>(Method::PUT, &path, Some(change)).await {
                Ok(_) => return,
                Err(ClientError::Refused(refusal)) if refusal.status == 503 => tokio::time::sleep(LOOK).await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    soon("writes to work again", write).await;
    let now: Value = person.rest.ask(Method::GET, &path, None).await.unwrap();
    assert_eq!(now["description"], "kept");
    assert_eq!(shell.losses, 0);

    // What may be late was kept meanwhile and lands, once.
    stop.store(true, Ordering::Relaxed);
    let count = writing.await.unwrap();
    let landed = async {
        while late::last_landed(&server.pool).await != Some(count - 1) {
            tokio::time::sleep(LOOK).await;
        }
    };
    soon("late writes to land", landed).await;
    late::assert_each_once(&server.pool, count).await;
    let end = async {
        loop {
            if let Some(end) = end_of(&server.pool, &ended).await {
                return end;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    assert_eq!(soon("the end to be written", end).await["code"], 5);
    let sessions: Value = person.rest.ask(Method::GET, &format!("{path}/sessions"), None).await.unwrap();
    assert_eq!(sessions["sessions"].as_array().unwrap().len(), 1, "{sessions}");
    // The name is free again.
    let again = Shell::open(person.options(&environment.id, "brief")).await;
    assert_ne!(again.hellos[0].session_id, ended);
    let used: Value = person.rest.ask(Method::GET, &path, None).await.unwrap();
    assert!(used["lastActivityAt"].is_string(), "{used}");
}
