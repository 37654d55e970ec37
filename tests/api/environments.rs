//! What of environments needs no runtime: templates, rules, and who may see what.

use serde_json::json;

use crate::server::{Answer, TestServer};

#[tokio::test]
async fn what_is_not_yours_looks_like_what_is_not_there() {
    let server = TestServer::start(&[]).await;
    let (ann, bob) = (server.verified("ann").await, server.verified("bob").await);
    add_cluster(&server).await;
    let made =
        server.post_as("/api/v1/environments/", &ann, json!({ "name": "box", "template": "ubuntu" })).await;
    assert_eq!((made.status, made.text("status")), (201, "CREATING"), "{}", made.body);
    let id = made.text("id");
    assert_eq!(server.get(&format!("/api/v1/environments/{id}"), &ann).await.status, 200);
    for (method, rest) in [
        ("GET", ""),
        ("PUT", ""),
        ("DELETE", ""),
        ("POST", "/start"),
        ("POST", "/stop"),
        ("POST", "/restart"),
        ("GET", "/logs"),
        ("GET", "/metrics"),
        ("GET", "/sessions"),
        ("POST", "/sessions"),
        ("DELETE", "/sessions/main"),
    ] {
        let ask = |id: &str| {
            let path = format!("/api/v1/environments/{id}{rest}");
            let (server, bob) = (&server, &bob);
            async move { server.ask(method, &path, Some(bob), Some(json!({}))).await }
        };
        let (foreign, absent) = (ask(id).await, ask("nothing").await);
        assert_eq!((foreign.status, absent.status), (404, 404), "{method} {rest}");
        let said = |answer: &Answer| {
            let mut body = answer.body.clone();
            for name in ["path", "requestId", "timestamp"] {
                body[name].take();
            }
            body
        };
        assert_eq!(said(&foreign), said(&absent), "{method} {rest}");
    }
    server.running.stop().await;
}

#[tokio::test]
async fn plan_and_name_are_checked_also_in_parallel() {
    let server = TestServer::start(&[("FREE_PLAN_MAX_ENVIRONMENTS", "2")]).await;
    let ann = server.verified("ann").await;
    add_cluster(&server).await;
    let create = |name: String| {
        server.post_as("/api/v1/environments", &ann, json!({ "name": name, "templateId": "ubuntu" }))
    };
    let answers = futures_util::future::join_all((0..6).map(|n| create(format!("box{n}")))).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(made, 2);
    let refused = answers.iter().find(|answer| answer.status != 201).unwrap();
    assert!(refused.status == 403 && refused.text("message").contains("limit"));

    let bob = server.verified("bob").await;
    let body = json!({ "name": "same", "templateId": "ubuntu" });
    assert_eq!(server.post_as("/api/v1/environments", &bob, body.clone()).await.status, 201);
    let taken = server.post_as("/api/v1/environments", &bob, body).await;
    assert!(taken.status == 409 && taken.text("message").contains("already exists"));
    let list = server.get("/api/v1/environments?limit=-5&offset=-1", &bob).await;
    assert_eq!(list.body["pagination"]["total"], 1);
    let nothing = json!({ "name": "other", "templateId": "nothing" });
    assert_eq!(server.post_as("/api/v1/environments", &bob, nothing).await.status, 404);
    let odd = json!({ "name": "a b", "templateId": "ubuntu", "resources": { "cpu": "lots" } });
    let odd = server.post_as("/api/v1/environments", &bob, odd).await;
    assert_eq!((odd.status, odd.body["errors"].as_array().unwrap().len()), (400, 2));
    server.running.stop().await;
}

#[tokio::test]
async fn templates_are_open_to_everybody() {
    let server = TestServer::start(&[]).await;
    let list = server.ask("GET", "/api/v1/templates?search=node", None, None).await;
    assert_eq!(list.status, 200);
    let names: Vec<_> = list.body["templates"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert!(names.contains(&&json!("nodejs")), "{names:?}");
    let python = server.ask("GET", "/api/v1/templates/python", None, None).await;
    assert!(python.text("displayName").starts_with("Python"), "{}", python.body);
    assert_eq!(server.ask("GET", "/api/v1/templates/nothing", None, None).await.status, 404);
    assert_eq!(server.ask("GET", "/api/v1/templates?category=nonsense", None, None).await.status, 400);
    server.running.stop().await;
}

/// A place for environments to be written down; none of them ever runs.
pub async fn add_cluster(server: &TestServer) {
    use devpocket_actors::persistence::clusters::UpsertCluster;
    use devpocket_actors::persistence::{ClusterStatus, Hidden, RuntimeKind, new_id};
    let cluster = UpsertCluster {
        id: new_id(),
        name: "nowhere".into(),
        description: None,
        provider: "none".into(),
        region: "none".into(),
        kubeconfig: Hidden::new(String::new()),
        runtime: RuntimeKind::Local,
        status: ClusterStatus::Active,
        is_default: true,
        node_count: 1,
        max_environments: 100,
    };
    server.running.system().persistence().write(cluster).await.unwrap();
}
