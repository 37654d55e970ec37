//! Clusters: who sees and changes them, and where environments are put.

use std::time::{Duration, Instant};

use devpocket_actors::persistence::clusters::UpsertCluster;
use devpocket_actors::persistence::{ClusterStatus, Hidden, RuntimeKind, new_id};
use serde_json::{Value, json};

use crate::server::{Answer, TestServer};
use crate::templates::admin;

const KEY: (&str, &str) = ("SECRET_KEY", "0123456789abcdef0123456789abcdef");

/// A place for environments to be written down; none of them ever runs.
async fn place(server: &TestServer, name: &str, region: &str, is_default: bool, places: i32) -> String {
    let cluster = UpsertCluster {
        id: new_id(),
        name: name.into(),
        description: None,
        provider: "none".into(),
        region: region.into(),
        kubeconfig: Hidden::new(String::new()),
        runtime: RuntimeKind::Local,
        status: ClusterStatus::Active,
        is_default,
        node_count: 1,
        max_environments: places,
    };
    server.running.system().persistence().write(cluster).await.unwrap().id
}

async fn snake(server: &TestServer, method: &str, path: &str, token: &str, body: Value) -> Answer {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nX-DevPocket-Dialect: snake\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json"
    );
    server.raw(&head, body.to_string().as_bytes()).await
}

#[tokio::test]
async fn administrators_see_all_and_the_app_sees_what_it_may_use() {
    let server = TestServer::start(&[]).await;
    let (root, ann) = (admin(&server).await, server.verified("ann").await);
    let id = place(&server, "nowhere", "southeast-asia", true, 5).await;
    let sql = "UPDATE clusters SET kubeconfig = 'v1.secret'";
    let pool = server.running.system().persistence().pool();
    sqlx::query(sql).execute(pool).await.unwrap();
    let made =
        server.post_as("/api/v1/environments", &ann, json!({ "name": "box", "templateId": "ubuntu" })).await;
    assert_eq!(made.status, 201, "{}", made.body);

    for path in ["", "/nowhere", "/nowhere/health"] {
        let path = format!("/api/v1/clusters{path}");
        assert_eq!(server.ask("GET", &path, None, None).await.status, 401, "{path}");
        assert_eq!(server.get(&path, &ann).await.status, 403, "{path}");
    }
    assert_eq!(
        server.get("/api/v1/clusters/nothing", &ann).await.status,
        403,
        "it does not tell which there are"
    );
    let list = server.get("/api/v1/clusters", &root).await;
    let shown = &list.body["clusters"][0];
    for (key, value) in [
        ("name", json!("nowhere")),
        ("status", json!("ACTIVE")),
        ("nodeCount", json!(1)),
        ("activeEnvironments", json!(1)),
        ("maxEnvironments", json!(5)),
        ("isDefault", json!(true)),
        ("restricted", json!(false)),
    ] {
        assert_eq!(shown[key], value, "{key} in {shown}");
    }
    assert!(!list.body.to_string().contains("secret"), "{}", list.body);
    let detail = server.get(&format!("/api/v1/clusters/{id}"), &root).await;
    let recent = &detail.body["recentEnvironments"][0];
    assert_eq!((&recent["name"], &recent["user"]["email"]), (&json!("box"), &json!("ann@example.org")));
    assert_eq!(server.get("/api/v1/clusters/nothing", &root).await.status, 404);

    // The app's: a bare list, with what it decodes, and nothing of other people.
    let bob = server.verified("bob").await;
    let list = snake(&server, "GET", "/api/v1/clusters/", &bob, Value::Null).await;
    let shown = &list.body.as_array().unwrap()[0];
    for key in ["id", "name", "region", "health_status", "created_at", "updated_at"] {
        assert!(shown[key].is_string(), "{key} in {shown}");
    }
    assert_eq!((&shown["active"], &shown["status"]), (&json!(true), &json!("active")));
    assert_eq!((&shown["max_environments"], &shown["current_environments"]), (&json!(5), &json!(1)));
    for key in ["available_resources", "used_resources"] {
        assert!(["cpu", "memory", "storage"].iter().all(|part| shown[key][part].is_number()), "{shown}");
    }
    let theirs = snake(&server, "GET", "/api/v1/clusters/nowhere", &bob, Value::Null).await;
    assert_eq!((theirs.status, &theirs.body["recent_environments"]), (200, &json!([])));
    let own = snake(&server, "GET", "/api/v1/clusters/nowhere", &ann, Value::Null).await;
    assert_eq!(own.body["recent_environments"][0]["name"], "box");

    // A cluster that this server has no way to is not well, and says why to whom it concerns.
    let health = server.get("/api/v1/clusters/nowhere/health", &root).await;
    assert_eq!((health.text("status"), health.text("clusterName")), ("unhealthy", "nowhere"));
    assert!(health.text("errorMessage").contains("not configured"), "{}", health.body);
    assert!(health.body["components"][0]["status"] == "unhealthy" && health.body["nodes"].is_null());
    let health = snake(&server, "GET", "/api/v1/clusters/nowhere/health", &bob, Value::Null).await;
    assert!(!health.text("error_message").contains("configured"), "{}", health.body);
    assert_eq!(
        (health.text("status"), &health.body["details"]["sandbox"]["status"]),
        ("unhealthy", &json!("unhealthy"))
    );

    let regions = server.get("/api/v1/clusters/regions", &ann).await;
    let region = &regions.body["regions"][0];
    assert_eq!(
        (&region["name"], &region["displayName"]),
        (&json!("southeast-asia"), &json!("Southeast Asia"))
    );
    assert_eq!((&region["clusterCount"], &region["available"]), (&json!(1), &json!(true)), "{region}");
    let regions = snake(&server, "GET", "/api/v1/clusters/regions", &bob, Value::Null).await;
    assert_eq!(
        (&regions.body["regions"][0]["display_name"], &regions.body["regions"][0]["has_default"]),
        (&json!("Southeast Asia"), &json!(true))
    );
    assert_eq!(server.ask("GET", "/api/v1/clusters/regions", None, None).await.status, 401);
    server.running.stop().await;
}

#[tokio::test]
async fn a_cluster_can_be_for_some_people_only() {
    let server = TestServer::start(&[("FREE_PLAN_MAX_ENVIRONMENTS", "9")]).await;
    let (root, ann, bob) = (admin(&server).await, server.verified("ann").await, server.verified("bob").await);
    place(&server, "open", "west", false, 9).await;
    let id = place(&server, "closed", "east", true, 9).await;
    let id_of = |token: String| {
        let server = &server;
        async move { server.get("/api/v1/auth/me", &token).await.text("id").to_owned() }
    };
    let (ann_id, bob_id) = (id_of(ann.clone()).await, id_of(bob.clone()).await);
    let path = |user: &str| format!("/api/v1/clusters/closed/users/{user}");
    for (method, path) in [
        ("GET", path(&ann_id)),
        ("PUT", path(&ann_id)),
        ("DELETE", path(&ann_id)),
        ("GET", "/api/v1/clusters/closed/users".into()),
    ] {
        assert_eq!(
            server.ask(method, &path, Some(&ann), Some(json!({}))).await.status,
            403,
            "{method} {path}"
        );
        assert_eq!(server.ask(method, &path, None, Some(json!({}))).await.status, 401, "{method} {path}");
    }
    assert_eq!(server.get(&path(&ann_id), &root).await.status, 404);
    assert_eq!(server.ask("PUT", &path("nobody"), Some(&root), Some(json!({}))).await.status, 404);
    assert_eq!(
        server.ask("PUT", &path(&ann_id), Some(&root), Some(json!({ "role": "OWNER" }))).await.status,
        400
    );
    let allowed = server.ask("PUT", &path(&ann_id), Some(&root), Some(json!({}))).await;
    assert_eq!(
        (allowed.status, allowed.text("role"), allowed.text("username")),
        (200, "USER", "ann"),
        "{}",
        allowed.body
    );

    let names = |token: String| {
        let server = &server;
        async move {
            let list = snake(server, "GET", "/api/v1/clusters/", &token, Value::Null).await;
            list.body
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["name"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        }
    };
    assert_eq!(names(ann.clone()).await, ["closed", "open"]);
    assert_eq!(names(bob.clone()).await, ["open"]);
    assert_eq!(names(root.clone()).await, ["closed", "open"]);
    assert_eq!(snake(&server, "GET", "/api/v1/clusters/closed", &bob, Value::Null).await.status, 404);
    let create = |token: String, name: &'static str, cluster: Value| {
        let server = &server;
        async move {
            let body = json!({ "name": name, "templateId": "ubuntu", "clusterId": cluster });
            server.post_as("/api/v1/environments", &token, body).await
        }
    };
    // It is the default, but not for Bob.
    assert_eq!(create(ann.clone(), "a", Value::Null).await.text("clusterName"), "closed");
    assert_eq!(create(bob.clone(), "a", Value::Null).await.text("clusterName"), "open");
    let (foreign, absent) =
        (create(bob.clone(), "b", json!(id)).await, create(bob.clone(), "b", json!("nothing")).await);
    assert_eq!((foreign.status, absent.status), (400, 400));
    assert_eq!(foreign.text("message"), absent.text("message"), "it does not tell which there are");
    assert_eq!(create(ann.clone(), "b", json!(id)).await.status, 201);
    assert_eq!(create(root.clone(), "b", json!(id)).await.status, 201);

    // Its own administrator sees what all have there.
    assert_eq!(server.get("/api/v1/clusters/closed", &bob).await.status, 403);
    let allowed = snake(&server, "PUT", &path(&bob_id), &root, json!({ "role": "admin" })).await;
    assert_eq!(allowed.text("role"), "admin");
    let seen = server.get("/api/v1/clusters/closed", &bob).await;
    assert_eq!(
        (seen.status, seen.body["recentEnvironments"].as_array().unwrap().len()),
        (200, 3),
        "{}",
        seen.body
    );
    assert_eq!(server.get("/api/v1/clusters/open", &bob).await.status, 403);
    let users = server.get("/api/v1/clusters/closed/users", &root).await;
    assert_eq!(users.body["users"].as_array().unwrap().len(), 2, "{}", users.body);

    // Without anybody left it stays closed, until it is opened.
    for user in [&ann_id, &bob_id] {
        assert_eq!(server.ask("DELETE", &path(user), Some(&root), None).await.status, 200);
    }
    assert_eq!(server.ask("DELETE", &path(&bob_id), Some(&root), None).await.status, 404);
    assert_eq!(names(ann.clone()).await, ["open"]);
    let opened =
        server.ask("PUT", "/api/v1/clusters/closed", Some(&root), Some(json!({ "restricted": false }))).await;
    assert_eq!((opened.status, &opened.body["restricted"]), (200, &json!(false)), "{}", opened.body);
    assert_eq!(names(bob.clone()).await, ["closed", "open"]);
    let pool = server.running.system().persistence().pool();
    let actions: Vec<String> = sqlx::query_scalar(
        "SELECT action FROM audit_log WHERE action LIKE 'cluster.%' AND target_id = $1 ORDER BY ordinal",
    )
    .bind(&id)
    .fetch_all(pool)
    .await
    .unwrap();
    assert_eq!(
        actions,
        ["grant", "grant", "revoke", "revoke", "update"].map(|done| format!("cluster.{done}"))
    );
    server.running.stop().await;
}

#[tokio::test]
async fn environments_go_where_there_is_room() {
    let server = TestServer::start(&[("FREE_PLAN_MAX_ENVIRONMENTS", "20"), ("CLUSTER_NAME", "liked")]).await;
    let (root, ann) = (admin(&server).await, server.verified("ann").await);
    let mut number = 0;
    let mut create = |body: Value| {
        number += 1;
        let mut whole = json!({ "name": format!("e{number}"), "templateId": "ubuntu" });
        whole.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        let (server, ann) = (&server, &ann);
        async move { server.post_as("/api/v1/environments", ann, whole).await }
    };
    let nowhere = create(json!({})).await;
    assert!(nowhere.status == 409 && nowhere.text("message").contains("No cluster"), "{}", nowhere.body);
    place(&server, "standard", "west", true, 3).await;
    place(&server, "eastern", "east", false, 1).await;
    place(&server, "large", "north", false, 100).await;
    let went = |answer: &Answer| answer.text("clusterName").to_owned();
    assert_eq!(went(&create(json!({})).await), "standard", "the default");
    assert_eq!(went(&create(json!({ "region": "EAST" })).await), "eastern", "the region");
    assert_eq!(went(&create(json!({ "region": "east" })).await), "standard", "the region is full");
    assert_eq!(went(&create(json!({ "region": "moon" })).await), "standard", "there is no such region");
    assert_eq!(went(&create(json!({})).await), "large", "the default is full");
    place(&server, "liked", "south", false, 1).await;
    assert_eq!(went(&create(json!({})).await), "liked", "the configuration's");
    let full = create(json!({ "clusterId": "eastern" })).await;
    assert!(full.status == 409 && full.text("message").contains("full"), "{}", full.body);
    assert_eq!(went(&create(json!({ "clusterId": "large" })).await), "large");
    assert_eq!(create(json!({ "clusterId": "nothing" })).await.status, 400);
    let closing = server
        .ask("PUT", "/api/v1/clusters/large", Some(&root), Some(json!({ "status": "maintenance" })))
        .await;
    assert_eq!(closing.text("status"), "MAINTENANCE", "{}", closing.body);
    let closed = create(json!({ "clusterId": "large" })).await;
    assert!(
        closed.status == 409 && closed.text("message").contains("no new environments"),
        "{}",
        closed.body
    );
    let full = create(json!({})).await;
    assert!(full.status == 409 && full.text("message").contains("full"), "{}", full.body);
    server.running.stop().await;
}

#[tokio::test]
async fn environments_go_where_their_owner_prefers() {
    let server = TestServer::start(&[("FREE_PLAN_MAX_ENVIRONMENTS", "20"), ("CLUSTER_NAME", "liked")]).await;
    let ann = server.verified("ann").await;
    place(&server, "standard", "west", true, 9).await;
    place(&server, "liked", "south", false, 9).await;
    place(&server, "eastern", "East", false, 1).await;
    place(&server, "northern", "north", false, 9).await;
    let prefer = async |region: Value| {
        let body = json!({ "preferredRegion": region });
        let changed = server.ask("PUT", "/api/v1/users/me", Some(&ann), Some(body)).await;
        assert_eq!(changed.status, 200, "{}", changed.body);
        changed.body["preferredRegion"].clone()
    };
    let mut number = 0;
    let mut went = async |more: Value| {
        number += 1;
        let mut body = json!({ "name": format!("e{number}"), "templateId": "ubuntu" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server.post_as("/api/v1/environments", &ann, body).await.text("clusterName").to_owned()
    };
    assert_eq!(went(json!({})).await, "liked", "nothing is preferred yet");
    assert_eq!(prefer(json!(" east ")).await, "east");
    assert_eq!(went(json!({})).await, "eastern", "before what the operator prefers");
    assert_eq!(went(json!({})).await, "liked", "there is no room");
    prefer(json!("north")).await;
    assert_eq!(went(json!({ "region": "west" })).await, "standard", "what is asked for goes first");
    assert_eq!(went(json!({ "clusterId": "standard" })).await, "standard");
    assert_eq!(went(json!({ "region": "moon" })).await, "northern", "there is no such region");
    assert_eq!(prefer(Value::Null).await, Value::Null);
    assert_eq!(went(json!({})).await, "liked");
    prefer(json!("moon")).await;
    assert_eq!(went(json!({})).await, "liked", "there is no such region");
    // It goes with the account.
    let gone = json!({ "password": crate::server::PASSWORD });
    assert_eq!(server.ask("DELETE", "/api/v1/users/me", Some(&ann), Some(gone)).await.status, 200);
    let pool = server.running.system().persistence().pool();
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM users WHERE preferred_region IS NOT NULL")
        .fetch_one(pool)
        .await
        .unwrap();
    assert_eq!(left, 0);
    server.running.stop().await;
}

#[tokio::test]
async fn clusters_are_changed_and_removed() {
    let server = TestServer::start(&[]).await;
    let (root, ann) = (admin(&server).await, server.verified("ann").await);
    let id = place(&server, "one", "west", true, 9).await;
    place(&server, "two", "east", false, 9).await;
    for method in ["PUT", "DELETE"] {
        assert_eq!(server.ask(method, "/api/v1/clusters/one", Some(&ann), Some(json!({}))).await.status, 403);
        assert_eq!(
            server.ask(method, "/api/v1/clusters/nothing", Some(&root), Some(json!({}))).await.status,
            404
        );
    }
    let put = |name: &'static str, body: Value| {
        let (server, root) = (&server, &root);
        async move { server.ask("PUT", &format!("/api/v1/clusters/{name}"), Some(root), Some(body)).await }
    };
    let changed =
        put("two", json!({ "name": "zwei", "isDefault": true, "maxEnvironments": 3, "description": "d" }))
            .await;
    assert_eq!(
        (changed.status, changed.text("name"), changed.text("region")),
        (200, "zwei", "east"),
        "{}",
        changed.body
    );
    assert_eq!((&changed.body["isDefault"], &changed.body["maxEnvironments"]), (&json!(true), &json!(3)));
    assert_eq!(server.get("/api/v1/clusters/one", &root).await.body["isDefault"], false);
    assert_eq!(put("zwei", json!({ "name": "one" })).await.status, 409);
    let wrong = put(
        "zwei",
        json!({ "name": "a b", "region": "", "status": "GONE", "maxEnvironments": 0, "isDefault": "x" }),
    )
    .await;
    assert_eq!((wrong.status, wrong.body["errors"].as_array().unwrap().len()), (400, 5), "{}", wrong.body);

    // In use.
    let body = json!({ "name": "box", "templateId": "ubuntu", "clusterId": id });
    let made = server.post_as("/api/v1/environments", &ann, body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let refused = server.ask("DELETE", "/api/v1/clusters/one", Some(&root), None).await;
    assert!(
        refused.status == 409 && refused.text("message").contains("use this cluster"),
        "{}",
        refused.body
    );
    assert_eq!(snake(&server, "DELETE", "/api/v1/clusters/one", &root, Value::Null).await.status, 400);
    // What was there stays on record; the name is free.
    let end = devpocket_actors::persistence::environments::MarkTerminated { id: made.text("id").to_owned() };
    server.running.system().persistence().write(end).await.unwrap();
    let gone = server.ask("DELETE", "/api/v1/clusters/one", Some(&root), None).await;
    assert_eq!(gone.status, 200, "{}", gone.body);
    assert_eq!(server.get("/api/v1/clusters/one", &root).await.status, 404);
    let old = server.get(&format!("/api/v1/environments/{}", made.text("id")), &ann).await;
    assert_eq!((old.status, &old.body["cluster"]["name"]), (200, &json!("one")), "{}", old.body);
    place(&server, "one", "west", false, 9).await;
    assert_eq!(server.ask("DELETE", "/api/v1/clusters/one", Some(&root), None).await.status, 200);
    assert_eq!(server.get("/api/v1/clusters", &root).await.body["clusters"].as_array().unwrap().len(), 1);
    server.running.stop().await;
}

fn kubeconfig(server: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Config",
        "clusters": [{ "name": "c", "cluster": { "server": server, "insecure-skip-tls-verify": true } }],
        "contexts": [{ "name": "first", "context": { "cluster": "c", "user": "u" } },
                     { "name": "second", "context": { "cluster": "c", "user": "u" } }],
        "users": [{ "name": "u", "user": { "token": "hunter2hunter2" } }],
    })
}

#[tokio::test]
async fn a_kubeconfig_that_cannot_be_used_is_told_and_not_stored() {
    use base64::Engine as _;
    let server = TestServer::start(&[KEY]).await;
    let (root, ann) = (admin(&server).await, server.verified("ann").await);
    let new = |more: Value| {
        let mut body = json!({ "name": "far", "region": "east" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    assert_eq!(server.post_as("/api/v1/clusters", &ann, new(json!({}))).await.status, 403);
    let create = |more: Value| {
        let (server, root, body) = (&server, &root, new(more));
        async move { server.post_as("/api/v1/clusters", root, body).await }
    };
    let nothing = create(json!({ "kubeconfig": "  " })).await;
    assert_eq!(
        (nothing.status, &nothing.body["errors"][0]["field"]),
        (400, &json!("kubeconfig")),
        "{}",
        nothing.body
    );
    let all = server.post_as("/api/v1/clusters", &root, json!({ "name": "a b", "maxEnvironments": 0 })).await;
    assert_eq!(all.body["errors"].as_array().unwrap().len(), 4, "{}", all.body);

    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let refusing = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let with_current = |address: String| {
        let mut file = kubeconfig(&address);
        file["current-context"] = json!("first");
        file.to_string()
    };
    let packed =
        base64::engine::general_purpose::STANDARD.encode(kubeconfig("https://127.0.0.1:1").to_string());
    let plugin = {
        let mut file = kubeconfig("https://127.0.0.1:1");
        file["current-context"] = json!("first");
        file["users"][0]["user"] =
            json!({ "exec": { "command": "sh", "apiVersion": "client.authentication.k8s.io/v1" } });
        file.to_string()
    };
    for (sent, part) in [
        (json!({ "kubeconfig": "{ not yaml: [" }), "can't be read"),
        (json!({ "kubeconfig": "just: text" }), "context"),
        // Contexts are listed where one has to be chosen, or there is no such one.
        (json!({ "kube_config": packed }), "first, second"),
        (json!({ "kube_config": packed, "context": "third" }), "first, second"),
        (json!({ "kubeconfig": plugin }), "plugin"),
        (json!({ "kubeconfig": with_current(format!("https://{refusing}")) }), "nothing listens"),
        (
            json!({ "kubeconfig": with_current(format!("https://{}", silent.local_addr().unwrap())) }),
            "answer",
        ),
    ] {
        let began = Instant::now();
        let refused = create(sent.clone()).await;
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        assert!(refused.status == 400 && refused.body.to_string().contains(part), "{part}: {}", refused.body);
        assert!(!refused.body.to_string().contains("hunter2"), "{}", refused.body);
        let refused = snake(&server, "POST", "/api/v1/clusters/", &root, new(sent)).await;
        assert!([400, 422].contains(&refused.status), "{}", refused.body);
    }
    assert_eq!(server.get("/api/v1/clusters", &root).await.body["clusters"], json!([]));

    // A name that is taken is told before anything is tried out.
    place(&server, "far", "east", false, 1).await;
    assert_eq!(create(json!({ "kubeconfig": packed })).await.status, 409);
    server.running.stop().await;
}
