//! The database goes away and comes back.

use std::time::Duration;

use devpocket::client::ClientError;
use hyper::Method;
use serde_json::{Value, json};

use crate::common::shell::Shell;
use crate::common::soon;
use crate::inside::Inside;

/// How long it is away; not a wait for anything.
const AWAY: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn terminals_do_not_notice_that_the_database_is_away() {
    let server = Inside::start().await;
    let person = server.demo().await;
    let environment = person.environment("outage").await;
    let mut shell = Shell::quiet(person.options(&environment.id, "main")).await;
    let path = format!("/api/v1/environments/{}", environment.id);

    server.postgres.halt().await.unwrap();
    let stopped = tokio::time::Instant::now();
    assert_eq!(shell.run("echo typed").await, "typed\r\n");
    // A write is refused, with the time to come back.
    let change = person.rest.ask::<Value>(Method::PUT, &path, Some(json!({"description": "lost"})));
    match soon("the refusal", change).await {
        Err(ClientError::Refused(refusal)) => {
            assert_eq!(refusal.status, 503, "{refusal:?}");
            assert!(refusal.retry_after.is_some(), "{refusal:?}");
        }
        other => panic!("{other:?}"),
    }
    while stopped.elapsed() < AWAY {
        assert_eq!(shell.run("echo typed").await, "typed\r\n");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    server.postgres.resume().await.unwrap();

    // Writes work again, and what was refused was not done.
    let write = async {
        loop {
            let change = json!({"description": "kept"});
            match person.rest.ask::<Value>(Method::PUT, &path, Some(change)).await {
                Ok(_) => return,
                Err(ClientError::Refused(refusal)) if refusal.status == 503 => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    };
    soon("writes to work again", write).await;
    let now: Value = person.rest.ask(Method::GET, &path, None).await.unwrap();
    assert_eq!(now["description"], "kept");
    assert_eq!(shell.losses, 0);
    // What may be late was kept meanwhile and lands: activity of the session that was typed in.
    let landed = async {
        loop {
            let now: Value = person.rest.ask(Method::GET, &path, None).await.unwrap();
            if now["lastActivityAt"].is_string() {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    soon("late writes to land", landed).await;
    let sessions: Value = person.rest.ask(Method::GET, &format!("{path}/sessions"), None).await.unwrap();
    assert_eq!(sessions["sessions"].as_array().unwrap().len(), 1, "{sessions}");
}
