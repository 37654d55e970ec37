//! What a plan allows: how many environments, and how much each.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::environments::add_cluster;
use crate::server::{Answer, TestServer};

/// Puts somebody on another plan.
async fn on_plan(server: &TestServer, name: &str, plan: &str) {
    let sql = "UPDATE users SET subscription_plan = $2 WHERE username = $1";
    let pool = server.running.system().persistence().pool();
    sqlx::query(sql).bind(name).bind(plan).execute(pool).await.unwrap();
}

fn count(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

#[tokio::test]
async fn twenty_at_once_never_pass_the_plan() {
    let server = TestServer::start(&[]).await;
    add_cluster(&server).await;
    for (plan, allowed) in [("FREE", 1), ("STARTER", 3)] {
        let name = plan.to_lowercase();
        let person = server.verified(&name).await;
        on_plan(&server, &name, plan).await;
        let create = |name: String| {
            server.post_as("/api/v1/environments", &person, json!({ "name": name, "templateId": "ubuntu" }))
        };
        let answers = join_all((0..20).map(|n| create(format!("box{n}")))).await;
        assert_eq!((count(&answers, 201), count(&answers, 403)), (allowed, 20 - allowed), "{plan}");
        let refused = answers.iter().find(|answer| answer.status == 403).unwrap();
        assert!(refused.text("message").contains("limit"), "{}", refused.body);
        let list = server.get("/api/v1/environments", &person).await;
        assert_eq!(list.body["pagination"]["total"], allowed);

        // The same name twenty times.
        let name = format!("{name}-same");
        let person = server.verified(&name).await;
        on_plan(&server, &name, plan).await;
        let create = || {
            let body = json!({ "name": "same", "templateId": "ubuntu" });
            server.post_as("/api/v1/environments", &person, body)
        };
        let answers = join_all((0..20).map(|_| create())).await;
        let (made, refused) = (count(&answers, 201), count(&answers, 403) + count(&answers, 409));
        assert_eq!((made, refused), (1, 19), "{plan}");
    }
    server.running.stop().await;
}

#[tokio::test]
async fn more_than_the_plan_allows_is_refused_and_templates_are_cut_to_it() {
    let server =
        TestServer::start(&[("FREE_PLAN_MAX_MEMORY", "1536Mi"), ("FREE_PLAN_MAX_ENVIRONMENTS", "3")]).await;
    add_cluster(&server).await;
    let ann = server.verified("ann").await;
    let create = |name: &str, template: &str, resources: Value| {
        let body = json!({ "name": name, "templateId": template, "resources": resources });
        server.post_as("/api/v1/environments", &ann, body)
    };
    let refused = create("big", "ubuntu", json!({ "cpu": "2", "memory": "2Gi", "storage": "1Gi" })).await;
    assert_eq!(refused.status, 403, "{}", refused.body);
    let why = refused.text("message");
    for part in ["FREE", "cpu 1", "memory 1536Mi", "storage 10Gi", "cpu 2, memory 2Gi"] {
        assert!(why.contains(part), "{part} in {why}");
    }
    assert_eq!(refused.text("detail"), why);
    for (resources, status) in [
        (json!({ "memory": "999999999Gi" }), 403),
        (json!({ "cpu": "999999999" }), 403),
        (json!({ "memory": "1K" }), 400),
        (json!({ "memory": "-1Gi" }), 400),
    ] {
        assert_eq!(create("big", "ubuntu", resources.clone()).await.status, status, "{resources}");
    }
    // A template that suggests more than the plan allows can be used all the same.
    let heavy = create("heavy", "coding-agent", Value::Null).await;
    assert_eq!(heavy.status, 201, "{}", heavy.body);
    assert_eq!(heavy.body["resources"], json!({ "cpu": "1000m", "memory": "1536Mi", "storage": "10Gi" }));
    let light = create("light", "ubuntu", json!({ "cpu": "1000m", "storage": "5Gi" })).await;
    assert_eq!(light.body["resources"], json!({ "cpu": "1000m", "memory": "1Gi", "storage": "5Gi" }));

    // The same in changes, in both dialects.
    let path = format!("/api/v1/environments/{}", light.text("id"));
    let put = |dialect: &'static str, body: Value| {
        let head = format!(
            "PUT {path} HTTP/1.1\r\nX-DevPocket-Dialect: {dialect}\r\nAuthorization: Bearer {ann}\r\n\
             Content-Type: application/json"
        );
        let server = &server;
        async move { server.raw(&head, body.to_string().as_bytes()).await }
    };
    for (dialect, key) in [("camel", "resources"), ("snake", "resource_limits")] {
        let beyond = put(dialect, json!({ key: { "memory": "2Gi" } })).await;
        assert!(beyond.status == 403 && beyond.text("detail").contains("1536Mi"), "{}", beyond.body);
        let smaller = put(dialect, json!({ key: { "storage": "4Gi" } })).await;
        assert!(smaller.status == 409 && smaller.text("detail").contains("smaller"), "{}", smaller.body);
        let good = put(dialect, json!({ key: { "memory": "512Mi", "storage": "5Gi" } })).await;
        assert_eq!((good.status, &good.body[key]["memory"]), (200, &json!("512Mi")), "{}", good.body);
        assert_eq!(put(dialect, json!({ key: { "memory": "1Gi" } })).await.status, 200);
    }
    // Whether a volume can grow is asked of its cluster, which is not there.
    let larger = put("camel", json!({ "resources": { "storage": "6Gi" } })).await;
    assert!(larger.status == 409 && larger.text("message").contains("not configured"), "{}", larger.body);
    // On a smaller plan what is there already may be said again.
    let starter = server.verified("bob").await;
    on_plan(&server, "bob", "STARTER").await;
    let body = json!({ "name": "box", "templateId": "ubuntu", "resources": { "cpu": "2" } });
    let made = server.post_as("/api/v1/environments", &starter, body.clone()).await;
    assert_eq!(made.status, 201, "{}", made.body);
    on_plan(&server, "bob", "FREE").await;
    let path = format!("/api/v1/environments/{}", made.text("id"));
    let same = server
        .ask("PUT", &path, Some(&starter), Some(json!({ "description": "x", "resources": { "cpu": "2" } })))
        .await;
    assert_eq!(same.status, 200, "{}", same.body);
    let more = server.ask("PUT", &path, Some(&starter), Some(json!({ "resources": { "cpu": "3" } }))).await;
    assert_eq!(more.status, 403);
    server.running.stop().await;
}
