//! The same in both dialects; and where they differ.

use serde_json::{Value, json};

use crate::environments::add_cluster;
use crate::server::{PASSWORD, TestServer};

/// Every key of a value, at any depth, but those of maps that are somebody's own.
fn keys(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                into.push(key.clone());
                if !matches!(key.as_str(), "environment_variables" | "environmentVariables") {
                    keys(value, into);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, into)),
        _ => {}
    }
}

fn all_keys(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    keys(value, &mut found);
    found
}

/// What the app decodes, without which it can't show a thing.
fn has(value: &Value, kinds: &[(&str, Kind)]) {
    for (key, is) in kinds {
        assert!(is(&value[*key]), "{key} in {value}");
    }
}

/// Whether a value is of some kind.
type Kind = fn(&Value) -> bool;

const TEXT: Kind = Value::is_string;
const NUMBER: Kind = Value::is_number;
const SWITCH: Kind = Value::is_boolean;
const LIST: Kind = Value::is_array;
const TEXTS: Kind = |value| value.as_object().is_some_and(|members| members.values().all(Value::is_string));

#[tokio::test]
async fn the_mobile_app_signs_up_and_works_with_its_own_spelling_only() {
    let server = TestServer::start(&[]).await;
    add_cluster(&server).await;
    // No full name, no special character: the app asks for neither.
    let body = json!({ "username": "ann", "email": "ann@example.org", "password": "Str0ngenough" });
    let head = "POST /api/v1/auth/register HTTP/1.1\r\nUser-Agent: Dart/3.5 (dart:io)\r\n\
                Content-Type: application/json";
    let registered = server.raw(head, body.to_string().as_bytes()).await;
    assert_eq!(registered.status, 201, "{}", registered.body);
    has(
        &registered.body,
        &[("access_token", TEXT), ("refresh_token", TEXT), ("token_type", TEXT), ("expires_in", NUMBER)],
    );
    let token = registered.text("access_token").to_owned();
    let me = server.get("/api/v1/auth/me", &token).await;
    has(
        &me.body,
        &[
            ("id", TEXT),
            ("username", TEXT),
            ("email", TEXT),
            ("is_active", SWITCH),
            ("is_verified", SWITCH),
            ("subscription_plan", TEXT),
            ("created_at", TEXT),
        ],
    );
    assert_eq!((me.text("subscription_plan"), me.text("full_name")), ("free", "ann"));

    // Signing in comes before the proof, environments after it.
    let login = json!({ "username_or_email": "ann", "password": "Str0ngenough" });
    let signed_in = server.post("/api/v1/auth/login", login).await;
    assert_eq!(signed_in.status, 200, "{}", signed_in.body);
    let token = signed_in.text("access_token").to_owned();
    let wanted = json!({
        "name": "box", "template_id": "nodejs", "resource_limits": null, "environment_variables": {"fooBar": "x"},
    });
    let refused = server.post_as("/api/v1/environments/", &token, wanted.clone()).await;
    assert_eq!(refused.status, 403);
    let code = server.code().await;
    let verified = server.post_as("/api/v1/auth/verify-email", &token, json!({ "token": code })).await;
    assert_eq!(verified.status, 200, "{}", verified.body);

    let templates = server.get("/api/v1/templates/", &token).await;
    for template in templates.body.as_array().unwrap() {
        has(
            template,
            &[
                ("id", TEXT),
                ("name", TEXT),
                ("display_name", TEXT),
                ("description", TEXT),
                ("tags", LIST),
                ("docker_image", TEXT),
                ("default_resources", TEXTS),
                ("environment_variables", TEXTS),
                ("startup_commands", LIST),
                ("version", TEXT),
                ("created_at", TEXT),
                ("updated_at", TEXT),
                ("usage_count", NUMBER),
            ],
        );
        let shelves = ["programming_language", "framework", "database", "devops", "operating_system"];
        assert!(shelves.contains(&template["category"].as_str().unwrap()), "{template}");
        assert!(["active", "beta", "deprecated"].contains(&template["status"].as_str().unwrap()));
    }
    let detail = server.get("/api/v1/templates/nodejs", &token).await;
    assert!(!detail.text("image").is_empty());

    let made = server.post_as("/api/v1/environments/", &token, wanted).await;
    assert_eq!((made.status, made.text("status")), (201, "creating"), "{}", made.body);
    let list = server.get("/api/v1/environments/", &token).await;
    let environment = &list.body.as_array().unwrap()[0];
    has(
        environment,
        &[
            ("id", TEXT),
            ("name", TEXT),
            ("template_id", TEXT),
            ("resource_limits", TEXTS),
            ("environment_variables", TEXTS),
            ("created_at", TEXT),
            ("updated_at", TEXT),
        ],
    );
    assert_eq!(environment["environment_variables"]["fooBar"], "x");
    let id = made.text("id");
    let logs = server.get(&format!("/api/v1/environments/{id}/logs"), &token).await;
    has(&logs.body, &[("logs", LIST), ("total", NUMBER), ("has_more", SWITCH)]);
    let metrics = server.get(&format!("/api/v1/environments/{id}/metrics"), &token).await;
    has(&metrics.body, &[("cpu_usage", NUMBER), ("memory_usage", NUMBER), ("disk_usage", NUMBER)]);
    for answer in [&me, &signed_in, &made, &list, &logs, &metrics, &detail] {
        let camel: Vec<_> = all_keys(&answer.body)
            .into_iter()
            .filter(|key| key.bytes().any(|byte| byte.is_ascii_uppercase()))
            .collect();
        assert_eq!(camel, Vec::<String>::new());
    }

    // A wrong field is a 422, spelled as the app spells it.
    let wrong = server.post_as("/api/v1/environments/", &token, json!({ "name": "a b" })).await;
    assert_eq!(wrong.status, 422);
    let fields: Vec<_> =
        wrong.body["errors"].as_array().unwrap().iter().map(|one| one["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["name", "template_id"]);
    // The app deletes without a body.
    let gone = server.ask("DELETE", "/api/v1/users/me", Some(&token), None).await;
    assert_eq!(gone.status, 200, "{}", gone.body);
    server.running.stop().await;
}

#[tokio::test]
async fn the_dialect_of_a_sign_in_stays_with_its_tokens() {
    let server = TestServer::start(&[]).await;
    let camel = server.verified("ann").await;
    // A trailing slash is a hint for who has not said anything; this one has.
    let list = server.get("/api/v1/environments/", &camel).await;
    assert!(list.body["environments"].is_array(), "{}", list.body);
    let login = json!({ "username_or_email": "ann", "password": PASSWORD });
    let signed_in = server.post("/api/v1/auth/login", login).await;
    assert!(signed_in.body["accessToken"].is_null());
    assert_eq!(signed_in.body["user"]["is_verified"], true);
    let snake = signed_in.text("access_token").to_owned();
    assert!(server.get("/api/v1/environments", &snake).await.body.is_array());
    let me = server.get("/api/v1/auth/me", &camel).await;
    assert_eq!((me.text("subscriptionPlan"), me.text("role")), ("FREE", "USER"));
    assert!(!all_keys(&me.body).iter().any(|key| key.contains('_')), "{}", me.body);

    // A refresh may change it, and says it by its spelling.
    let refresh = signed_in.text("refresh_token");
    let refreshed = server.post("/api/v1/auth/refresh", json!({ "refreshToken": refresh })).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.body);
    let now_camel = refreshed.text("accessToken");
    assert!(server.get("/api/v1/environments", now_camel).await.body.is_object());

    // A header says it for one request, also to who is not signed in.
    let said = server.raw("GET /api/v1/templates HTTP/1.1\r\nX-DevPocket-Dialect: snake", b"").await;
    assert!(said.body.is_array());
    assert!(server.ask("GET", "/api/v1/templates/", None, None).await.body.is_array());
    assert!(server.ask("GET", "/api/v1/templates", None, None).await.body["templates"].is_array());
    server.running.stop().await;
}

#[tokio::test]
async fn behaviour_differs_where_the_table_says_so() {
    let server = TestServer::start(&[]).await;
    add_cluster(&server).await;
    let register = |name: &str, password: &str, full_name: Value, dialect: &'static str| {
        let body = json!({ "email": format!("{name}@example.org"), "username": name,
                           "password": password, "fullName": full_name });
        let head = format!(
            "POST /api/v1/auth/register HTTP/1.1\r\nX-DevPocket-Dialect: {dialect}\r\n\
             Content-Type: application/json"
        );
        let server = &server;
        async move { server.raw(&head, body.to_string().as_bytes()).await }
    };
    // Name and password.
    let plain = "Str0ngenough";
    assert_eq!(register("a-camel", PASSWORD, Value::Null, "camel").await.status, 400);
    assert_eq!(register("b-camel", plain, json!("B"), "camel").await.status, 400);
    let camel = register("c-camel", PASSWORD, json!("C"), "camel").await;
    assert_eq!(camel.status, 201, "{}", camel.body);
    let snake = register("d-snake", plain, Value::Null, "snake").await;
    assert_eq!(snake.status, 201, "{}", snake.body);
    assert_eq!(register("e-snake", "weak", Value::Null, "snake").await.status, 422);
    // Signing in unverified.
    let camel = server.login("c-camel", PASSWORD).await;
    assert!(camel.status == 403 && camel.text("message").contains("not verified"));
    let login = json!({ "username_or_email": "d-snake", "password": plain });
    let snake = server.post("/api/v1/auth/login", login).await;
    assert_eq!(snake.status, 200);
    for _ in 0..2 {
        server.mail().await;
    }
    // A proof that is none.
    let bad = json!({ "token": "nothing" });
    assert_eq!(server.post("/api/v1/auth/verify-email", bad.clone()).await.status, 404);
    let token = snake.text("access_token");
    assert_eq!(server.post_as("/api/v1/auth/verify-email", token, bad).await.status, 400);
    // Deleting an account.
    let ann = server.verified("ann").await;
    assert_eq!(server.ask("DELETE", "/api/v1/users/me", Some(&ann), None).await.status, 400);
    // Variables.
    for (dialect, kept) in [("camel", json!("1")), ("snake", Value::Null)] {
        let made = json!({ "name": dialect, "templateId": "ubuntu", "environmentVariables": {"A": "1"} });
        let person = server.verified(&format!("{dialect}-person")).await;
        let made = server.post_as("/api/v1/environments", &person, made).await;
        let head = format!(
            "PUT /api/v1/environments/{} HTTP/1.1\r\nX-DevPocket-Dialect: {dialect}\r\n\
             Authorization: Bearer {person}\r\nContent-Type: application/json",
            made.text("id"),
        );
        let changed = server.raw(&head, br#"{"environmentVariables": {"B": "2"}}"#).await;
        assert_eq!(changed.status, 200, "{}", changed.body);
        let key = if dialect == "camel" { "environmentVariables" } else { "environment_variables" };
        assert_eq!((&changed.body[key]["A"], &changed.body[key]["B"]), (&kept, &json!("2")), "{dialect}");
        let replaced =
            server.raw(&head, br#"{"environmentVariables": {"C": "3"}, "replaceVariables": true}"#).await;
        assert_eq!(replaced.body[key], json!({"C": "3"}));
    }
    server.running.stop().await;
}

#[tokio::test]
async fn a_verification_mail_is_sent_again_without_a_sign_in() {
    let server = TestServer::start(&[]).await;
    server.register("ann").await;
    let first = server.code().await;
    let resend = |email: &str| server.post("/api/v1/auth/resend-verification", json!({ "email": email }));
    let (known, unknown) = (resend("ann@example.org").await, resend("bob@example.org").await);
    assert_eq!((known.status, known.body), (unknown.status, unknown.body));
    let second = server.code().await;
    let verify = |code: &str| {
        server.post("/api/v1/auth/verify-email", json!({ "token": code, "email": "ann@example.org" }))
    };
    if first != second {
        assert_eq!(verify(&first).await.status, 404);
    }
    assert_eq!(verify(&second).await.status, 200);
    assert_eq!(server.post("/api/v1/auth/resend-verification", json!({})).await.status, 401);
    server.running.stop().await;
}
