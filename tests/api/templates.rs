//! Templates: finding them, and what administrators do with them.

use serde_json::{Value, json};

use crate::environments::add_cluster;
use crate::server::{Answer, TestServer};

/// Somebody who administers.
pub async fn admin(server: &TestServer) -> String {
    let token = server.verified("root").await;
    let pool = server.running.system().persistence().pool();
    sqlx::query("UPDATE users SET role = 'ADMIN' WHERE username = 'root'").execute(pool).await.unwrap();
    // Who somebody is, is looked up again after a few seconds at most; a new sign-in is at once.
    let again = server.login("root", crate::server::PASSWORD).await;
    assert!(!token.is_empty() && again.status == 200, "{}", again.body);
    again.text("accessToken").to_owned()
}

fn names(answer: &Answer) -> Vec<&str> {
    let list = answer.body["templates"].as_array().or(answer.body.as_array()).unwrap();
    list.iter().map(|one| one["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn search_finds_parts_of_words_and_typing_errors() {
    let server = TestServer::start(&[]).await;
    let search = |query: &'static str| {
        let (server, path) = (&server, format!("/api/v1/templates/search?{query}"));
        async move { server.ask("GET", &path, None, None).await }
    };
    for (query, first) in [
        ("q=pyth", "python"),
        ("q=PYTHON", "python"),
        ("q=node", "nodejs"),
        ("q=rust", "rust"),
        // A word and a part of another, in any order.
        ("q=deb+linu", "debian"),
        // Another form of a word that a description has.
        ("q=databases", "postgres"),
        ("q=pyhton&fuzzy=true", "python"),
        ("q=postgers&fuzzy=true", "postgres"),
        ("q=ubunut&fuzzy=true", "ubuntu"),
    ] {
        let found = search(query).await;
        assert_eq!(found.status, 200, "{}", found.body);
        assert_eq!(names(&found).first(), Some(&first), "{query}: {:?}", names(&found));
        assert!(found.body["pagination"]["total"].as_u64() >= Some(1));
    }
    for query in ["q=pyhton", "q=xyzzyplugh&fuzzy=true", "q=python+xyzzyplugh", "q=%25"] {
        assert!(names(&search(query).await).is_empty(), "{query}");
    }
    assert_eq!(search("fuzzy=perhaps").await.status, 200);
    let snake =
        server.raw("GET /api/v1/templates/search?q=pyth HTTP/1.1\r\nX-DevPocket-Dialect: snake", b"").await;
    assert_eq!(snake.body[0]["name"], "python");
    assert!(snake.body[0]["display_name"].is_string());
    server.running.stop().await;
}

#[tokio::test]
async fn use_is_counted_and_told() {
    let server = TestServer::start(&[]).await;
    add_cluster(&server).await;
    let ann = server.verified("ann").await;
    assert_eq!(server.ask("GET", "/api/v1/templates/rust/stats", None, None).await.status, 401);
    let body = json!({ "name": "box", "templateId": "rust" });
    assert_eq!(server.post_as("/api/v1/environments", &ann, body.clone()).await.status, 201);
    // One that was refused does not count.
    assert_eq!(server.post_as("/api/v1/environments", &ann, body).await.status, 403);
    let popular = server.ask("GET", "/api/v1/templates/popular?limit=1", None, None).await;
    assert_eq!((names(&popular), &popular.body["templates"][0]["usageCount"]), (vec!["rust"], &json!(1)));
    let stats = server.get("/api/v1/templates/rust/stats", &ann).await;
    for (key, value) in [
        ("name", json!("rust")),
        ("totalUsage", json!(1)),
        ("activeEnvironments", json!(1)),
        ("recentUsage", json!({ "last30Days": 1 })),
    ] {
        assert_eq!(stats.body[key], value, "{}", stats.body);
    }

    let fits = server.get("/api/v1/templates/ubuntu/compatibility", &ann).await;
    assert_eq!((&fits.body["compatible"], fits.text("userPlan")), (&json!(true), "FREE"), "{}", fits.body);
    let heavy = server.get("/api/v1/templates/coding-agent/compatibility", &ann).await;
    assert_eq!((&heavy.body["compatible"], &heavy.body["usable"]), (&json!(false), &json!(true)));
    assert_eq!(heavy.body["granted"]["storage"], "10Gi");
    assert_eq!(heavy.body["limitations"].as_array().unwrap().len(), 1, "{}", heavy.body);
    server.verified("rich").await;
    let pool = server.running.system().persistence().pool();
    sqlx::query("UPDATE users SET subscription_plan = 'ENTERPRISE' WHERE username = 'rich'")
        .execute(pool)
        .await
        .unwrap();
    let rich = server.login("rich", crate::server::PASSWORD).await;
    let head = format!(
        "GET /api/v1/templates/coding-agent/compatibility HTTP/1.1\r\nX-DevPocket-Dialect: snake\r\nAuthorization: Bearer {}",
        rich.text("accessToken")
    );
    let rich = server.raw(&head, b"").await;
    assert_eq!(
        (&rich.body["compatible"], rich.text("user_plan")),
        (&json!(true), "enterprise"),
        "{}",
        rich.body
    );
    assert_eq!(rich.body["limitations"], json!([]));
    assert_eq!(server.get("/api/v1/templates/nothing/compatibility", &ann).await.status, 404);
    server.running.stop().await;
}

fn new_template() -> Value {
    json!({ "name": "zig", "displayName": "Zig", "description": "Zig with its tools", "category": "programming_language",
            "tags": ["Zig"], "dockerImage": "debian:12", "environmentVariables": { "ZIG_MODE": "1" },
            "startupCommands": ["zig version"] })
}

#[tokio::test]
async fn administrators_make_change_and_retire_templates() {
    let server = TestServer::start(&[]).await;
    let (root, ann) = (admin(&server).await, server.verified("ann").await);
    for (method, path) in [("POST", ""), ("PUT", "/rust"), ("DELETE", "/rust"), ("POST", "/initialize")] {
        let path = format!("/api/v1/templates{path}");
        assert_eq!(
            server.ask(method, &path, None, Some(new_template())).await.status,
            401,
            "{method} {path}"
        );
        assert_eq!(
            server.ask(method, &path, Some(&ann), Some(new_template())).await.status,
            403,
            "{method} {path}"
        );
    }
    let made = server.post_as("/api/v1/templates", &root, new_template()).await;
    assert_eq!(made.status, 201, "{}", made.body);
    for (key, value) in [
        ("category", json!("PROGRAMMING_LANGUAGE")),
        ("defaultPort", json!(8080)),
        ("defaultResourcesCpu", json!("500m")),
        ("defaultResourcesStorage", json!("10Gi")),
        ("status", json!("ACTIVE")),
        ("version", json!("1.0.0")),
        ("tags", json!(["zig"])),
        ("usageCount", json!(0)),
    ] {
        assert_eq!(made.body[key], value, "{key}");
    }
    let again = server.post_as("/api/v1/templates/", &root, new_template()).await;
    assert!(again.status == 409 && again.text("message").contains("already exists"), "{}", again.body);

    let wrong = json!({ "name": "a b", "displayName": "", "category": "NONSENSE", "dockerImage": "$(id)",
                        "defaultPort": 70000, "defaultResourcesCpu": "lots", "iconUrl": "javascript:x",
                        "tags": "zig", "environmentVariables": { "A-B": "1" } });
    for (dialect, status, port) in [("camel", 400, "defaultPort"), ("snake", 422, "default_port")] {
        let head = format!(
            "POST /api/v1/templates HTTP/1.1\r\nX-DevPocket-Dialect: {dialect}\r\nAuthorization: Bearer {root}\r\n\
             Content-Type: application/json"
        );
        let refused = server.raw(&head, wrong.to_string().as_bytes()).await;
        assert_eq!(refused.status, status, "{}", refused.body);
        let fields: Vec<_> = refused.body["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["field"].as_str().unwrap())
            .collect();
        assert_eq!(fields.len(), 10, "{fields:?}");
        assert!(
            fields.contains(&port) && fields.contains(&"name") && fields.contains(&"description"),
            "{fields:?}"
        );
    }

    // A change in the other dialect: what it does not name stays.
    let head = format!(
        "PUT /api/v1/templates/zig HTTP/1.1\r\nX-DevPocket-Dialect: snake\r\nAuthorization: Bearer {root}\r\n\
         Content-Type: application/json"
    );
    let change = json!({ "display_name": "Zig 1", "default_resources": { "memory": "2Gi" }, "status": "beta", "icon_url": null });
    let changed = server.raw(&head, change.to_string().as_bytes()).await;
    assert_eq!(
        (changed.status, changed.text("display_name"), changed.text("status")),
        (200, "Zig 1", "beta"),
        "{}",
        changed.body
    );
    assert_eq!(
        changed.body["default_resources"],
        json!({ "cpu": "500m", "memory": "2Gi", "storage": "10Gi" })
    );
    assert_eq!(changed.body["environment_variables"], json!({ "ZIG_MODE": "1" }));
    let renamed =
        server.ask("PUT", "/api/v1/templates/zig", Some(&root), Some(json!({ "name": "zag" }))).await;
    assert_eq!((renamed.status, &renamed.body["errors"][0]["field"]), (400, &json!("name")));
    assert_eq!(
        server.ask("PUT", "/api/v1/templates/nothing", Some(&root), Some(json!({}))).await.status,
        404
    );

    // Retired: gone for everybody but administrators and who asks for it.
    let gone = server.ask("DELETE", "/api/v1/templates/rust", Some(&root), None).await;
    assert!(gone.status == 200 && gone.text("message").contains("deprecated"), "{}", gone.body);
    assert_eq!(server.get("/api/v1/templates/rust", &ann).await.status, 404);
    assert_eq!(server.get("/api/v1/templates/rust?includeDeprecated=true", &ann).await.status, 200);
    assert_eq!(server.get("/api/v1/templates/rust", &root).await.text("status"), "DEPRECATED");
    let leak = server.get("/api/v1/templates?status=DEPRECATED", &ann).await;
    assert!(!names(&leak).contains(&"rust"));
    assert_eq!(names(&server.get("/api/v1/templates?status=DEPRECATED", &root).await), ["rust"]);
    add_cluster(&server).await;
    let body = json!({ "name": "box", "templateId": "rust" });
    assert_eq!(server.post_as("/api/v1/environments", &ann, body).await.status, 404);

    // What an administrator did outlives the next load, by hand as well as at a start.
    let loaded = server.post_as("/api/v1/templates/initialize", &root, json!({})).await;
    assert_eq!((loaded.status, &loaded.body["created"]), (200, &json!(0)), "{}", loaded.body);
    assert!(loaded.body["skipped"].as_u64() > Some(5) && loaded.body["templatesCreated"] == 0);
    assert_eq!(server.get("/api/v1/templates/rust", &ann).await.status, 404);
    let pool = server.running.system().persistence().pool();
    sqlx::query("DELETE FROM templates WHERE name = 'golang'").execute(pool).await.unwrap();
    let head = format!(
        "POST /api/v1/templates/initialize HTTP/1.1\r\nX-DevPocket-Dialect: snake\r\nAuthorization: Bearer {root}"
    );
    let loaded = server.raw(&head, b"").await;
    assert_eq!(loaded.body["templates_created"], 1, "{}", loaded.body);

    let audited: Vec<(String, String)> = sqlx::query_as(
        "SELECT action, actor_name FROM audit_log WHERE action LIKE 'template.%' ORDER BY ordinal",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let actions: Vec<_> = audited.iter().map(|(action, _)| action.as_str()).collect();
    let expected =
        ["create", "update", "deprecate", "initialize", "initialize"].map(|done| format!("template.{done}"));
    assert_eq!(actions, expected);
    assert!(audited.iter().all(|(_, actor)| actor == "root"));
    server.running.stop().await;
}
