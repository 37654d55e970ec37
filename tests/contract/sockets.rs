//! §5: how sockets are opened, refused and greeted, in both dialects.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::Dialect;
use crate::common::raw::RawSocket;
use crate::common::server::TestServer;
use crate::story::{Cast, NOTHING, server};

/// Who, where, and how it is refused. Everything is after the upgrade, by 1008.
const REFUSALS: &[(&str, &str, &str)] = &[
    ("nobody", "terminal/$box", "Authentication failed"),
    ("nonsense", "terminal/$box", "Authentication failed"),
    ("ann-refresh", "terminal/$box", "Authentication failed"),
    ("demo", "terminal/$nothing", "Environment not found"),
    ("bob", "terminal/$box", "Environment not found"),
    ("demo", "terminal/", "Environment not found"),
    ("demo", "terminal", "Environment not found"),
    ("demo", "dance/$box", "Environment not found"),
    ("demo", "", "Environment not found"),
    ("demo", "terminal/$nothing/and/more", "Environment not found"),
    ("nobody", "logs/$box", "Authentication failed"),
    ("ann-refresh", "logs/$box", "Authentication failed"),
    ("demo", "logs/$nothing", "Environment not found"),
    ("bob", "logs/$box", "Environment not found"),
    ("nobody", "events", "Authentication failed"),
];

#[tokio::test(flavor = "multi_thread")]
async fn sockets_hold_in_camel() {
    hold(Dialect::Camel).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_hold_in_snake() {
    hold(Dialect::Snake).await;
}

async fn hold(dialect: Dialect) {
    let server = server(&[]).await;
    let cast = Cast::gather(&server, dialect).await;
    let made = cast
        .ask(&server, "demo", "POST", "/environments", Some(json!({ "name": "box", "templateId": "ubuntu" })))
        .await;
    let id = made.text("id").to_owned();
    cast.wait(&server, "demo", &id, "RUNNING").await;
    let mut wrong = Vec::new();
    for (who, path, reason) in REFUSALS {
        let path = path.replace("$box", &id).replace("$nothing", NOTHING);
        let mut socket = open(&server, &cast, who, &path).await;
        let found = socket.closed_with().await;
        if found != (1008, (*reason).to_owned()) {
            wrong.push(format!("{who} at {path}: {found:?} instead of {reason}"));
        }
    }
    for (who, path, pty) in [
        ("demo", format!("terminal/{id}"), true),
        ("demo", format!("terminal/{id}/"), true),
        ("demo", format!("terminal/{id}/extra/segments"), true),
        ("demo", format!("logs/{id}"), false),
        ("demo", format!("logs/{id}/extra"), false),
    ] {
        let mut socket = open(&server, &cast, who, &path).await;
        let welcome = match socket.next().await {
            Some(Message::Text(text)) => serde_json::from_str(&text).unwrap(),
            other => json!({ "instead": format!("{other:?}") }),
        };
        wrong.extend(welcomed(dialect, &path, &welcome, &id, pty));
    }
    assert!(wrong.is_empty(), "{dialect:?}:\n{}", wrong.join("\n"));
}

async fn open(server: &TestServer, cast: &Cast, who: &str, path: &str) -> RawSocket {
    let token = match who {
        "nobody" => String::new(),
        "nonsense" => "a.b.c".to_owned(),
        who => cast.shown_by(who),
    };
    RawSocket::json_at(&server.url(), &format!("/api/v1/ws/{path}"), &token).await
}

/// The first message is a union of what all clients look for.
fn welcomed(dialect: Dialect, path: &str, welcome: &Value, id: &str, pty: bool) -> Option<String> {
    let running = if dialect == Dialect::Camel { "RUNNING" } else { "running" };
    let expected = json!({
        "id": id, "name": "box", "template": "ubuntu", "status": running,
        "installationCompleted": true, "installation_completed": true,
        "ptyEnabled": pty, "pty_enabled": pty,
    });
    let good =
        welcome["type"] == "welcome" && welcome["message"].is_string() && welcome["environment"] == expected;
    (!good).then(|| format!("{path}: {welcome}"))
}

async fn running(server: &TestServer, cast: &Cast) -> String {
    let new = json!({ "name": "box", "templateId": "ubuntu" });
    let made = cast.ask(server, "demo", "POST", "/environments", Some(new)).await;
    let id = made.text("id").to_owned();
    cast.wait(server, "demo", &id, "RUNNING").await;
    id
}

/// The limit is one for both kinds, and holds when all come at once.
#[tokio::test(flavor = "multi_thread")]
async fn of_fifteen_opened_at_once_ten_stay() {
    let server = server(&[]).await;
    let cast = Cast::gather(&server, Dialect::Camel).await;
    let id = running(&server, &cast).await;
    let opening = (0..15).map(|number| {
        let kind = if number % 2 == 0 { "terminal" } else { "logs" };
        let (server, cast, path) = (&server, &cast, format!("{kind}/{id}"));
        async move {
            let mut socket = open(server, cast, "demo", &path).await;
            match socket.next().await {
                Some(Message::Text(_)) => Ok(socket),
                Some(Message::Close(Some(frame))) => Err((u16::from(frame.code), frame.reason.to_string())),
                other => panic!("{other:?}"),
            }
        }
    });
    let (open, closed): (Vec<_>, Vec<_>) =
        futures_util::future::join_all(opening).await.into_iter().partition(Result::is_ok);
    assert_eq!((open.len(), closed.len()), (10, 5));
    for end in closed {
        assert_eq!(end.err(), Some((1008, "Too many connections".to_owned())));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_answered_and_forgiven_and_what_is_unknown_is_ignored() {
    let server = server(&[]).await;
    let cast = Cast::gather(&server, Dialect::Camel).await;
    let id = running(&server, &cast).await;
    for path in [format!("terminal/{id}"), format!("logs/{id}"), "events".to_owned()] {
        let mut socket = open(&server, &cast, "demo", &path).await;
        socket.json_of("welcome").await;
        for bad in [
            Message::text("{not json"),
            Message::text("ls\r"),
            Message::Binary(b"\xff\x00".as_slice().into()),
        ] {
            socket.send(bad.clone()).await;
            let error = socket.json_of("error").await;
            let text = error["message"].as_str().unwrap();
            assert!(text.contains("Failed to process message"), "{path} {bad}: {error}");
            assert_eq!(error["message"], error["data"]);
        }
        for ignored in
            [json!({ "type": "dance" }), json!({ "type": "resize", "cols": 80, "rows": 24, "more": {} })]
        {
            socket.text(&ignored).await;
        }
        // JSON in a binary frame is as good.
        socket.send(Message::Binary(json!({ "type": "ping" }).to_string().into_bytes().into())).await;
        socket.json_of("pong").await;
        // Who closes without a code is closed without one.
        socket.send(Message::Close(None)).await;
        assert_eq!(socket.closed().await, 1005, "{path}");
    }
    // A log that is not followed ends when it is told.
    let path = format!("/api/v1/ws/logs/{id}?follow=false&token={}", cast.shown_by("demo"));
    let mut told =
        RawSocket::open(&server.url(), &path, &[]).await.unwrap_or_else(|status| panic!("{status}"));
    assert_eq!(told.closed_with().await, (1000, "Log stream complete".to_owned()));
}

/// A page of somebody else's can't use a signed-in browser, not even with a token it has found.
#[tokio::test(flavor = "multi_thread")]
async fn other_pages_open_no_sockets() {
    let server = server(&[]).await;
    let cast = Cast::gather(&server, Dialect::Camel).await;
    let id = running(&server, &cast).await;
    let token = cast.shown_by("demo");
    let own = format!("http://127.0.0.1:{}", server.addr().port());
    for (origin, allowed) in
        [("https://evil.example", false), ("null", false), ("http://127.0.0.1", false), (own.as_str(), true)]
    {
        for kind in [format!("terminal/{id}"), format!("logs/{id}"), "events".to_owned()] {
            let path = format!("/api/v1/ws/{kind}?token={token}");
            let opened = RawSocket::open(&server.url(), &path, &[("origin", origin)]).await;
            let mut socket = opened.unwrap_or_else(|status| panic!("{status}"));
            if allowed {
                socket.json_of("welcome").await;
            } else {
                assert_eq!(
                    socket.closed_with().await,
                    (1008, "Origin not allowed".to_owned()),
                    "{origin} at {kind}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_silent_is_detached_and_any_frame_is_life() {
    let server = server(&[("WS_HEARTBEAT_INTERVAL", "400")]).await;
    let cast = Cast::gather(&server, Dialect::Camel).await;
    let id = running(&server, &cast).await;
    for path in [format!("terminal/{id}"), format!("logs/{id}"), "events".to_owned()] {
        let (mut silent, mut alive) =
            (open(&server, &cast, "demo", &path).await, open(&server, &cast, "demo", &path).await);
        alive.json_of("welcome").await;
        // Both kinds of ping come.
        let mut kinds = (false, false);
        while kinds != (true, true) {
            match alive.next().await {
                Some(Message::Ping(_)) => kinds.0 = true,
                Some(Message::Text(text)) => kinds.1 |= text.contains("\"ping\""),
                other => panic!("{path}: {other:?}"),
            }
        }
        // Nobody reads, so nobody answers pings; one of them says something now and then.
        for _ in 0..12 {
            tokio::time::sleep(std::time::Duration::from_millis(250)).await;
            alive.text(&json!({ "type": "dance" })).await;
        }
        alive.text(&json!({ "type": "ping" })).await;
        alive.json_of("pong").await;
        let code = silent.closed().await;
        assert!([1006, 1008].contains(&code), "{path}: {code}");
    }
}
