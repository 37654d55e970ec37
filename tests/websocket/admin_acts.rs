//! What administrators do to environments, sessions, clients and the server, with real shells.

use std::time::Instant;

use devpocket::client::{ClientError, Rest};
use devpocket_protocol::client::{ServerFrame, SessionState, close};
use hyper::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::common::PATIENCE;
use crate::common::raw::RawSocket;
use crate::common::server::{LOOK, Person, TestServer};
use crate::common::shell::Shell;

/// Asks below `/admin`.
async fn ask(rest: &Rest, method: Method, path: &str, body: Option<Value>) -> Value {
    let asked = rest.ask(method.clone(), &format!("/api/v1/admin{path}"), body).await;
    asked.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
}

async fn get(rest: &Rest, path: &str) -> Value {
    ask(rest, Method::GET, path, None).await
}

/// The status with which it is refused.
async fn refused(rest: &Rest, method: Method, path: &str) -> u16 {
    match rest.ask::<Value>(method, &format!("/api/v1/admin{path}"), None).await {
        Err(ClientError::Refused(refusal)) => refusal.status,
        other => panic!("{path}: {other:?}"),
    }
}

/// Asks until the answer is as it must become.
async fn until(rest: &Rest, path: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = get(rest, path).await;
        if is(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "{path} never shows {what}: {answer}");
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits until as many acts of that name are in the audit record, each of the administrator; gives
/// them, the oldest first.
async fn noted(operator: &Person, act: &str, count: usize) -> Vec<Value> {
    let me = operator.rest.me().await.unwrap();
    let lines = |answer: &Value| answer["entries"].as_array().unwrap().clone();
    let path = format!("/audit?action=admin.{act}");
    let answer = until(&operator.rest, &path, &format!("{count} lines"), |it| lines(it).len() >= count).await;
    let mut found = lines(&answer);
    found.reverse();
    assert_eq!(found.len(), count, "{answer}");
    for line in &found {
        assert_eq!((&line["actorId"], &line["actorName"]), (&json!(me.id), &json!("operator")), "{line}");
        assert_eq!(line["ip"], "127.0.0.1", "{line}");
    }
    found
}

/// Waits until an environment is so.
async fn becomes(operator: &Person, id: &str, status: &str) {
    let path = format!("/environments?search={id}");
    until(&operator.rest, &path, status, |answer| answer["environments"][0]["status"] == status).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn environments_are_stopped_started_and_restarted_for_their_owner() {
    let server = TestServer::start().await;
    let (owner, operator) = (server.demo().await, server.operator().await);
    let environment = owner.environment("steered").await;
    let act = async |verb: &str| {
        let path = format!("/environments/{}/{verb}", environment.id);
        ask(&operator.rest, Method::POST, &path, None).await
    };
    let shown = get(&operator.rest, "/environments?awake=true&user=demo&status=RUNNING").await;
    assert_eq!(
        (&shown["environments"][0]["name"], &shown["environments"][0]["awake"]),
        (&json!("steered"), &json!(true))
    );
    assert_eq!(get(&operator.rest, "/environments?awake=false").await["environments"], json!([]));
    let mut shell = Shell::quiet(owner.options(&environment.id, "main")).await;
    shell.run("echo kept > kept").await;

    // It runs already: noted all the same.
    assert_eq!(act("start").await["status"], "RUNNING");
    let noop = noted(&operator, "environment.start", 1).await;
    assert_eq!(
        (&noop[0]["targetType"], &noop[0]["targetId"]),
        (&json!("environment"), &json!(environment.id))
    );
    assert_eq!(act("stop").await["status"], "STOPPING");
    becomes(&operator, &environment.id, "STOPPED").await;
    assert!(noted(&operator, "environment.stop", 1).await[0]["targetId"] == environment.id.as_str());
    assert_eq!(owner.rest.environment(&environment.id).await.unwrap().status, "STOPPED");
    shell.until("the end of the session", |shell| shell.exit.is_some()).await;

    assert_eq!(act("start").await["status"], "STARTING");
    becomes(&operator, &environment.id, "RUNNING").await;
    noted(&operator, "environment.start", 2).await;
    let mut shell = Shell::quiet(owner.options(&environment.id, "main")).await;
    assert_eq!(shell.run("cat kept").await, "kept\r\n");
    assert_eq!(act("restart").await["status"], "RESTARTING");
    shell.until("the end of the session", |shell| shell.exit.is_some()).await;
    becomes(&operator, &environment.id, "RUNNING").await;
    noted(&operator, "environment.restart", 1).await;

    // What is gone can't be steered, and nothing is noted of it.
    owner.rest.act(&environment.id, "stop").await.unwrap();
    becomes(&operator, &environment.id, "STOPPED").await;
    let path = format!("/api/v1/environments/{}", environment.id);
    owner.rest.ask::<Value>(Method::DELETE, &path, None).await.unwrap();
    let start = format!("/environments/{}/start", environment.id);
    assert_eq!(refused(&operator.rest, Method::POST, &start).await, 404);
    noted(&operator, "environment.start", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_is_detached_and_the_others_and_the_session_go_on() {
    let server = TestServer::start().await;
    let (owner, operator) = (server.demo().await, server.operator().await);
    let environment = owner.environment("shared").await;
    let mut stays = Shell::quiet(owner.options(&environment.id, "main")).await;
    let mut goes = Shell::open(owner.options(&environment.id, "main")).await;
    stays.run("echo typed").await;

    let list = get(&operator.rest, "/sessions?user=demo&environment=shared&search=mai").await;
    let session = &list["sessions"][0];
    let id = session["id"].as_str().unwrap().to_owned();
    assert_eq!(id, stays.hellos[0].session_id, "{list}");
    assert_eq!((&session["state"], &session["attachments"]), (&json!("live"), &json!(2)), "{list}");
    assert_eq!(
        (&session["user"]["username"], &session["environment"]["id"]),
        (&json!("demo"), &json!(environment.id))
    );
    for figure in ["keys", "bytesIn", "bytesOut", "ringUsed", "ringLimit", "snapshots"] {
        assert!(session[figure].as_u64() > Some(0), "{figure}: {session}");
    }
    assert_eq!((&session["isSlow"], list["pagination"]["total"].as_u64()), (&json!(false), Some(1)));

    let path = format!("/sessions/{id}/clients");
    let clients = get(&operator.rest, &path).await["clients"].as_array().unwrap().clone();
    let of = |shell: &Shell| {
        let stream = &shell.hellos[0].stream;
        clients.iter().find(|client| client["stream"] == stream.as_str()).unwrap()
    };
    assert_eq!(clients.len(), 2);
    assert_ne!(of(&stays)["number"], of(&goes)["number"]);
    assert!(of(&stays)["lastActiveAt"].is_string() && of(&goes).get("lastActiveAt").is_none(), "{clients:?}");
    let first = of(&stays);
    assert_eq!((&first["mode"], &first["cols"], &first["rows"]), (&json!("control"), &json!(80), &json!(24)));

    let client = format!("{path}/{}", of(&goes)["number"]);
    ask(&operator.rest, Method::DELETE, &client, None).await;
    while goes.closed.is_none() {
        goes.step().await.unwrap();
    }
    assert_eq!(goes.closed.as_ref().map(|closed| closed.0), Some(close::DETACHED));
    assert_eq!(stays.run("echo still here").await, "still here\r\n");
    assert_eq!(stays.losses, 0);
    let left =
        until(&operator.rest, &path, "one client", |it| it["clients"].as_array().unwrap().len() == 1).await;
    assert_eq!(left["clients"][0]["number"], first["number"]);
    let line = &noted(&operator, "client.detach", 1).await[0];
    assert_eq!((&line["targetId"], &line["details"]["client"]), (&json!(id), &of(&goes)["number"]), "{line}");
    // Once more, and another session's number: nobody is hit, and nothing is noted.
    assert_eq!(refused(&operator.rest, Method::DELETE, &client).await, 404);
    let mut other = Shell::open(owner.options(&environment.id, "other")).await;
    let crossed = format!("/sessions/{}/clients/{}", other.hellos[0].session_id, first["number"]);
    assert_eq!(refused(&operator.rest, Method::DELETE, &crossed).await, 404);
    noted(&operator, "client.detach", 1).await;

    // Whoever was detached may come again.
    let again = Shell::open(owner.options(&environment.id, "main")).await;
    assert_eq!(again.hellos[0].session_id, id);

    // A session is ended; its neighbour is not.
    ask(&operator.rest, Method::DELETE, &format!("/sessions/{id}"), None).await;
    stays.until("the end of the session", |shell| shell.exit.is_some()).await;
    assert_eq!(noted(&operator, "session.end", 1).await[0]["targetId"], id);
    other.type_text("\n");
    other.until_taken().await;
    let live = until(&operator.rest, "/sessions", "the other one", |it| it["pagination"]["total"] == 1).await;
    assert_eq!(live["sessions"][0]["name"], "other");
    assert_eq!(refused(&operator.rest, Method::DELETE, &format!("/sessions/{id}")).await, 404);
    assert_eq!(refused(&operator.rest, Method::GET, &path).await, 404);
    noted(&operator, "session.end", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_are_seen() {
    let server = TestServer::start().await;
    let (owner, operator) = (server.demo().await, server.operator().await);
    let environment = owner.environment("slow").await;
    let mut typist = Shell::quiet(owner.options(&environment.id, "main")).await;
    let quick = Shell::open(owner.options(&environment.id, "quick")).await;
    let deaf = RawSocket::terminal(&server.url(), &environment.id, "session=main", &owner.token).await;
    let deaf = deaf.unwrap_or_else(|status| panic!("{status}"));
    typist.type_text("seq 1 200000\n");
    typist.until_text("\r\n200000\r\n").await;
    let slow = until(&operator.rest, "/sessions?slow=true", "it", |it| it["pagination"]["total"] == 1).await;
    let session = &slow["sessions"][0];
    assert_eq!((&session["name"], &session["isSlow"]), (&json!("main"), &json!(true)));
    // All that it was not sent, with all that it was sent and has not acknowledged.
    assert!(session["behind"].as_u64() > Some(1_000_000), "{session}");
    let others = get(&operator.rest, "/sessions?slow=false").await;
    assert_eq!(others["sessions"][0]["id"], quick.hellos[0].session_id.as_str(), "{others}");
    let path = format!("/sessions/{}/clients", session["id"].as_str().unwrap());
    let clients = get(&operator.rest, &path).await;
    let is_slow: Vec<_> = clients["clients"].as_array().unwrap().iter().map(|one| &one["isSlow"]).collect();
    assert_eq!(is_slow, [&json!(false), &json!(true)], "{clients}");
    assert!(clients["clients"][1]["window"].as_u64() > Some(200_000), "{clients}");
    drop(deaf);
    until(&operator.rest, "/sessions?slow=true", "none", |it| it["pagination"]["total"] == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_server_tells_its_clients_and_ends() {
    let mut server = TestServer::start().await;
    let (owner, operator) = (server.demo().await, server.operator().await);
    let environment = owner.environment("drained").await;
    let mut shell = Shell::quiet(owner.options(&environment.id, "main")).await;
    shell.run("export KEPT=kept").await;
    let socket = RawSocket::terminal(&server.url(), &environment.id, "session=main", &owner.token).await;
    let mut socket = socket.unwrap_or_else(|status| panic!("{status}"));
    let mut app = RawSocket::json(&server.url(), &environment.id, &owner.token).await;
    app.json_of("welcome").await;

    let answer = ask(&operator.rest, Method::POST, "/drain", None).await;
    assert!(answer["message"].is_string(), "{answer}");
    loop {
        match socket.next().await {
            Some(Message::Binary(frame)) => match ServerFrame::decode(frame).unwrap() {
                ServerFrame::Status(status) if status.state == SessionState::Draining => break,
                _ => {}
            },
            Some(Message::Close(frame)) => panic!("closed with {frame:?} before it was told"),
            Some(_) => {}
            None => panic!("gone before it was told"),
        }
    }
    assert_eq!(socket.closed().await, close::GOING_AWAY);
    while app.json_of("status_update").await["state"] != "draining" {}
    assert_eq!(app.closed().await, close::GOING_AWAY);
    drop((socket, app));
    assert!(server.ended().await.success(), "as after a signal");

    // Whoever runs it starts it again: the session is there, and so is the line.
    server.run().await;
    assert_eq!(shell.run("echo $KEPT").await, "kept\r\n");
    let line = &noted(&operator, "server.drain", 1).await[0];
    assert_eq!((&line["targetType"], line.get("targetId")), (&json!("server"), None), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_logged_changes_while_the_server_runs() {
    let mut server = TestServer::start_with(&[("LOG_LEVEL", "warn")]).await;
    let operator = server.operator().await;
    // One request of each path, so that it is told apart in the log.
    let logged = async |path: &str| {
        operator.rest.ask::<Value>(Method::GET, path, None).await.unwrap_err();
        server.log().contains(path)
    };
    let set = async |filter: &str| {
        let body = json!({ "filter": filter });
        let now = ask(&operator.rest, Method::PUT, "/log-level", Some(body)).await;
        assert_eq!(now, json!({ "filter": filter, "started": "warn" }));
    };
    assert_eq!(get(&operator.rest, "/log-level").await, json!({ "filter": "warn", "started": "warn" }));
    assert!(!logged("/api/v1/before").await);
    set("warn,devpocket::http=debug").await;
    assert!(logged("/api/v1/meanwhile").await);
    // What must not be logged is not, whatever is asked for: by the same rules as at the start.
    set("trace").await;
    assert!(logged("/api/v1/all").await);
    set("error").await;
    assert!(!logged("/api/v1/after").await);
    let wrong = json!({ "filter": "devpocket=loud" });
    let wrong = operator.rest.ask::<Value>(Method::PUT, "/api/v1/admin/log-level", Some(wrong)).await;
    assert!(matches!(wrong, Err(ClientError::Refused(refusal)) if refusal.status == 400));
    assert_eq!(get(&operator.rest, "/log-level").await["filter"], "error");
    let lines = noted(&operator, "server.log_level", 3).await;
    let change = json!({ "from": "warn,devpocket::http=debug", "to": "trace" });
    assert_eq!((&lines[1]["details"], &lines[1]["targetType"]), (&change, &json!("server")));

    // Until the next start.
    server.stop().await;
    server.run().await;
    let operator = server.operator().await;
    assert_eq!(get(&operator.rest, "/log-level").await["filter"], "warn");
}
