//! What administrators look for and do, as far as it needs no environment that runs: who may, what
//! is found, and what is refused. What happens to real shells is in `tests/websocket/admin_acts.rs`.

use devpocket_actors::persistence::{EnvironmentStatus, Role};
use serde_json::{Value, json};

use crate::admin::somebody;
use crate::environments::add_cluster;
use crate::server::{Answer, PASSWORD, TestServer};

/// Every route of them, with a body where one is needed.
fn routes() -> Vec<(&'static str, &'static str, Option<Value>)> {
    vec![
        ("GET", "/audit", None),
        ("GET", "/audit/export", None),
        ("GET", "/environments", None),
        ("POST", "/environments/nothing/start", None),
        ("POST", "/environments/nothing/stop", None),
        ("POST", "/environments/nothing/restart", None),
        ("GET", "/sessions", None),
        ("DELETE", "/sessions/nothing", None),
        ("GET", "/sessions/nothing/clients", None),
        ("DELETE", "/sessions/nothing/clients/1", None),
        ("GET", "/log-level", None),
        ("PUT", "/log-level", Some(json!({ "filter": "info" }))),
        ("POST", "/drain", None),
    ]
}

#[tokio::test]
async fn administrators_alone_may() {
    let server = TestServer::start(&[]).await;
    let (user, _) = somebody(&server, "ann", Role::User).await;
    let (support, _) = somebody(&server, "sue", Role::Support).await;
    let (root, _) = somebody(&server, "root", Role::Admin).await;
    for (method, path, body) in routes() {
        let path = format!("/api/v1/admin{path}");
        for (who, token, status) in [
            ("nobody", None, 401),
            ("a stranger", Some("x.y.z"), 401),
            ("a user", Some(user.as_str()), 403),
            ("support", Some(support.as_str()), 403),
        ] {
            let answer = server.ask(method, &path, token, body.clone()).await;
            assert_eq!(answer.status, status, "{method} {path} as {who}: {}", answer.text);
        }
    }
    // None of it was noted, and nothing was done: the server is there, for an administrator.
    let acts = server.get("/api/v1/admin/audit?action=admin.", &root).await;
    assert_eq!((acts.status, acts.body["pagination"]["total"].as_u64()), (200, Some(0)), "{}", acts.body);
    server.running.stop().await;
}

async fn ids(server: &TestServer, token: &str, query: &str) -> Vec<String> {
    let list = server.get(&format!("/api/v1/admin/environments?{query}"), token).await;
    assert_eq!(list.status, 200, "{query}: {}", list.body);
    let list = list.body["environments"].as_array().unwrap().clone();
    list.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn environments_of_everybody_are_found_in_both_dialects() {
    let server = TestServer::start(&[]).await;
    add_cluster(&server).await;
    let (root, _) = somebody(&server, "root", Role::Admin).await;
    let (ann, ann_id) = somebody(&server, "ann", Role::User).await;
    let (bob, _) = somebody(&server, "bob", Role::User).await;
    let mut made = Vec::new();
    for (owner, name) in [(&ann, "first"), (&bob, "second_one")] {
        let body = json!({ "name": name, "templateId": "ubuntu" });
        let answer = server.post_as("/api/v1/environments", owner, body).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        made.push(answer);
    }
    let first = made[0].text("id");
    let cluster = made[0].text("clusterId");
    for (query, expected) in [
        (String::new(), vec!["second_one", "first"]),
        ("search=FIRST".into(), vec!["first"]),
        ("search=_".into(), vec!["second_one"]),
        ("search=bob".into(), vec!["second_one"]),
        (format!("search={}", &first[3..]), vec!["first"]),
        ("user=Ann".into(), vec!["first"]),
        (format!("user={ann_id}"), vec!["first"]),
        ("cluster=nowhere".into(), vec!["second_one", "first"]),
        (format!("cluster={cluster}&user=bob"), vec!["second_one"]),
        ("cluster=elsewhere".into(), vec![]),
        ("status=terminated".into(), vec![]),
        ("status=RUNNING".into(), vec![]),
        ("limit=1&offset=1".into(), vec!["first"]),
    ] {
        assert_eq!(ids(&server, &root, &query).await, expected, "{query}");
    }
    for bad in ["status=fine", "awake=maybe", "limit=x"] {
        let path = format!("/api/v1/admin/environments?{bad}");
        assert_eq!(server.get(&path, &root).await.status, 400, "{bad}");
    }
    // Whatever became of them: each is awake, or is not.
    let (awake, asleep) = (ids(&server, &root, "awake=true").await, ids(&server, &root, "awake=false").await);
    assert_eq!(awake.len() + asleep.len(), 2);

    let list = server.get("/api/v1/admin/environments?user=ann", &root).await;
    let one = &list.body["environments"][0];
    assert_eq!((&one["user"]["id"], &one["user"]["username"]), (&json!(ann_id), &json!("ann")));
    assert_eq!((&one["cluster"]["name"], &one["template"]), (&json!("nowhere"), &json!("ubuntu")));
    assert_eq!((&one["sessions"], list.body["pagination"]["total"].as_u64()), (&json!(0), Some(1)));
    assert!(!list.text.contains("environmentVariables"), "{}", list.text);

    let login = json!({ "username_or_email": "root", "password": PASSWORD });
    let snake = server.post("/api/v1/auth/login", login).await.text("access_token").to_owned();
    let list = server.get("/api/v1/admin/environments/?user=ann", &snake).await;
    let one = &list.body["environments"][0];
    assert!(one["created_at"].is_string() && one["awake"].is_boolean(), "{one}");
    let phase = one["phase"].as_str().unwrap();
    assert!(EnvironmentStatus::ALL.iter().any(|status| status.as_str().to_lowercase() == phase), "{one}");
    assert_eq!(list.body["pagination"]["total_pages"], 1);
    server.running.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_not_found_and_nothing_is_noted() {
    let server = TestServer::start(&[]).await;
    let (root, _) = somebody(&server, "root", Role::Admin).await;
    for (method, path) in [
        ("POST", "/environments/nothing/start"),
        ("POST", "/environments/nothing/stop"),
        ("POST", "/environments/nothing/restart"),
        ("DELETE", "/sessions/nothing"),
        ("GET", "/sessions/nothing/clients"),
        ("DELETE", "/sessions/nothing/clients/1"),
        ("DELETE", "/sessions/nothing/clients/first"),
        ("DELETE", "/sessions/nothing/clients/-1"),
    ] {
        let answer = server.ask(method, &format!("/api/v1/admin{path}"), Some(&root), None).await;
        assert_eq!(answer.status, 404, "{method} {path}: {}", answer.text);
    }
    let sessions = server.get("/api/v1/admin/sessions?slow=true", &root).await;
    assert_eq!((sessions.status, &sessions.body["sessions"]), (200, &json!([])), "{}", sessions.body);
    assert_eq!(server.get("/api/v1/admin/sessions?slow=often", &root).await.status, 400);
    let put = |body: Value| server.ask("PUT", "/api/v1/admin/log-level", Some(&root), Some(body));
    let is_about_filter = |answer: &Answer| answer.body["errors"][0]["field"] == "filter";
    let long = "x".repeat(1001);
    for bad in [
        json!({}),
        json!({ "filter": "" }),
        json!({ "filter": " " }),
        json!({ "filter": 1 }),
        json!({ "filter": "info,devpocket=loud" }),
        json!({ "filter": long }),
    ] {
        let answer = put(bad.clone()).await;
        assert!(answer.status == 400 && is_about_filter(&answer), "{bad}: {}", answer.text);
    }
    // This test's process keeps no log: there is nothing to change.
    assert_eq!(put(json!({ "filter": "debug" })).await.status, 409);
    let shown = server.get("/api/v1/admin/log-level", &root).await;
    assert_eq!((shown.status, shown.text("filter")), (200, shown.text("started")), "{}", shown.body);
    let acts = server.get("/api/v1/admin/audit?action=admin.", &root).await;
    assert_eq!(acts.body["pagination"]["total"], 0, "{}", acts.body);
    server.running.stop().await;
}
