//! The messages of the existing mobile app.

use devpocket_protocol::Size;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::common::raw::RawSocket;
use crate::common::server::TestServer;

/// Reads output until it holds `text`.
async fn until(socket: &mut RawSocket, text: &str) -> String {
    let mut all = String::new();
    while !all.contains(text) {
        all.push_str(socket.json_of("output").await["data"].as_str().unwrap());
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn the_app_gets_what_it_knows() {
    let server = TestServer::start().await;
    let person = server.demo().await;
    let environment = person.environment("app").await;
    let mut app = RawSocket::json(&server.url(), &environment.id, &person.token).await;
    let Some(Message::Text(first)) = app.next().await else { panic!("no welcome") };
    let welcome: serde_json::Value = serde_json::from_str(first.as_str()).unwrap();
    assert_eq!(welcome["type"], "welcome");
    assert_eq!(welcome["environment"]["id"], environment.id);
    assert_eq!(welcome["environment"]["name"], "app");
    for flag in ["ptyEnabled", "pty_enabled", "installationCompleted", "installation_completed"] {
        assert_eq!(welcome["environment"][flag], true, "{flag} in {welcome}");
    }
    assert!(welcome["message"].is_string());

    app.text(&json!({"type": "input", "data": "printf 'wör%s\\n' ks\r"})).await;
    until(&mut app, "wörks").await;
    app.text(&json!({"type": "resize", "cols": 90, "rows": 33})).await;
    app.text(&json!({"type": "input", "data": "stty size\r"})).await;
    until(&mut app, "33 90").await;
    app.text(&json!({"type": "resize", "data": {"cols": 91, "rows": 34}})).await;
    app.text(&json!({"type": "input", "data": "stty size\r"})).await;
    until(&mut app, "34 91").await;
    app.text(&json!({"type": "ping"})).await;
    app.json_of("pong").await;

    // Mistakes are told, and end nothing.
    app.send(Message::text("{not json")).await;
    let error = app.json_of("error").await;
    assert!(error["message"].as_str().unwrap().contains("Failed to process message"), "{error}");
    app.text(&json!({"type": "dance"})).await;
    app.send(Message::Binary(json!({"type": "ping"}).to_string().into_bytes().into())).await;
    app.json_of("pong").await;

    // It is the same session as the others'.
    let mut other = crate::common::shell::Shell::open(person.options(&environment.id, "main")).await;
    other.type_text("printf 'sha%s\\n' red\n");
    until(&mut app, "shared").await;
    other.until_text("shared").await;
    let _ = Size::DEFAULT;
}

/// Characters of several bytes are never cut, wherever output is cut.
#[tokio::test(flavor = "multi_thread")]
async fn characters_stay_whole() {
    let server = TestServer::start().await;
    let person = server.demo().await;
    let environment = person.environment("whole").await;
    let mut app = RawSocket::json(&server.url(), &environment.id, &person.token).await;
    app.json_of("welcome").await;
    app.text(&json!({"type": "input", "data": "i=0; while [ $i -lt 3000 ]; do printf 'aé€😀'; i=$((i+1)); done; printf 'E%s\\n' ND\r"})).await;
    let all = until(&mut app, "END").await;
    assert!(!all.contains('\u{fffd}'), "a character was cut");
    // And what was typed comes back once or twice, by the terminal and by the shell.
    assert!(all.matches("aé€😀").count() >= 3001, "{} times", all.matches("aé€😀").count());
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_connections_of_a_person_and_no_more() {
    let server = TestServer::start().await;
    let person = server.demo().await;
    let environment = person.environment("many").await;
    let url = server.url();
    let opening = (0..15).map(|_| RawSocket::json(&url, &environment.id, &person.token));
    let sockets = futures_util::future::join_all(opening).await;
    let settled = futures_util::future::join_all(sockets.into_iter().map(|mut socket| async move {
        match socket.next().await {
            Some(Message::Text(_)) => Ok(socket),
            Some(Message::Close(frame)) => Err(frame.map(|frame| u16::from(frame.code))),
            other => panic!("{other:?}"),
        }
    }))
    .await;
    let (open, closed): (Vec<_>, Vec<_>) = settled.into_iter().partition(Result::is_ok);
    assert_eq!((open.len(), closed.len()), (10, 5));
    assert!(closed.into_iter().all(|end| end.err() == Some(Some(1008))));
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_open_and_close() {
    let server = TestServer::start().await;
    let person = server.demo().await;
    for (token, environment) in [
        ("nonsense", "c0000000000000000000000nothing"),
        (person.token.as_str(), "c0000000000000000000000nothing"),
        ("", ""),
    ] {
        let mut socket = RawSocket::json(&server.url(), environment, token).await;
        assert_eq!(socket.closed().await, 1008, "{environment} with {token}");
    }
}
