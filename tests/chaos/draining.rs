//! A server that is asked to end.

use devpocket::client::ClientError;
use devpocket_actors::persistence::engine::FLUSH_ITEMS;
use devpocket_protocol::client::{ServerFrame, SessionState, close};
use hyper::Method;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

use crate::common::raw::RawSocket;
use crate::common::soon;
use crate::inside::Inside;
use crate::late;

/// How many writes of each kind are still queued when the last client has gone: too few to be
/// written before they have waited for others.
const QUEUED: u32 = 80;

/// Reads until the state is told; a close before it fails the test.
async fn draining(socket: &mut RawSocket) {
    loop {
        match socket.next().await {
            Some(Message::Binary(frame)) => match ServerFrame::decode(frame).unwrap() {
                ServerFrame::Status(status) if status.state == SessionState::Draining => return,
                _ => {}
            },
            Some(Message::Close(frame)) => panic!("closed with {frame:?} before it was told"),
            Some(_) => {}
            None => panic!("gone before it was told"),
        }
    }
}

/// Clients of both dialects are told and closed with 1001; requests are answered meanwhile, and
/// what is queued is written.
#[tokio::test(flavor = "multi_thread")]
async fn goodbye_answers_and_writes() {
    let mut server = Inside::start().await;
    let person = server.demo().await;
    let environment = person.environment("drained").await;
    let (url, path) = (server.url(), format!("/api/v1/environments/{}", environment.id));
    let opened = RawSocket::terminal(&url, &environment.id, "session=main", &person.token).await;
    let mut laptop = opened.unwrap_or_else(|status| panic!("{status}"));
    let mut app = RawSocket::json(&url, &environment.id, &person.token).await;
    app.json_of("welcome").await;

    let stopping = server.stop();
    while app.json_of("status_update").await["state"] != "draining" {}
    assert_eq!(app.closed().await, close::GOING_AWAY);
    drop(app);
    draining(&mut laptop).await;

    // The laptop has not answered the close yet, so the server waits for it.
    let shown: Value = soon("an answer", person.rest.ask(Method::GET, &path, None)).await.unwrap();
    assert_eq!(shown["id"], environment.id);
    assert!(person.rest.ask::<Value>(Method::GET, "/health/live", None).await.is_ok());
    match person.rest.ask::<Value>(Method::GET, "/health/ready", None).await {
        Err(ClientError::Refused(refusal)) => assert_eq!(refusal.status, 503, "{refusal:?}"),
        other => panic!("new clients are sent here: {other:?}"),
    }
    let again = RawSocket::terminal(&url, &environment.id, "session=main", &person.token).await;
    assert_eq!(again.err(), Some(503), "a new socket would be closed at once");

    assert_eq!(laptop.closed().await, close::GOING_AWAY);
    assert!(3 * (QUEUED as usize) < FLUSH_ITEMS);
    (0..QUEUED).for_each(|number| late::queue(server.system.persistence(), &environment.id, number));
    drop(laptop);
    soon("the end", stopping).await.unwrap();
    late::assert_each_once(&server.pool, QUEUED).await;
}
