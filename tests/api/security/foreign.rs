//! Every route of the document that has an id, with somebody else's: nobody learns that it is
//! there. A route that is new is asked too, and makes this fail until it says what its ids are.

use std::collections::BTreeSet;

use devpocket::http::routes::docs::document;
use serde_json::{Value, json};

use crate::environments::add_cluster;
use crate::server::{Answer, TestServer};

/// Nothing that anybody made has it.
const NOTHING: &str = "c0000000000000000000000nothing";

/// Paths whose ids are nobody's: everybody may see, and only administrators change.
const SHARED: &[&str] = &["/api/v1/templates/", "/api/v1/clusters/"];

/// Paths that are for administrators alone, whatever the id.
const ADMINISTERED: &[&str] = &["/api/v1/admin/"];

/// What needs no sign-in. All the rest is refused without one.
const OPEN: &[&str] = &[
    "GET /",
    "GET /health",
    "GET /health/live",
    "GET /health/ready",
    "GET /api/v1/info",
    "POST /api/v1/auth/register",
    "POST /api/v1/auth/login",
    "POST /api/v1/auth/refresh",
    "POST /api/v1/auth/google",
    "POST /api/v1/auth/verify-email",
    "POST /api/v1/auth/forgot-password",
    "POST /api/v1/auth/reset-password",
    "GET /api/v1/templates",
    "GET /api/v1/templates/categories",
    "GET /api/v1/templates/popular",
    "GET /api/v1/templates/search",
    "GET /api/v1/templates/{id}",
];

/// Every operation of the document: method and path.
fn operations() -> Vec<(String, String, Value)> {
    let document = serde_json::to_value(document()).unwrap();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if ["get", "put", "post", "delete", "patch"].contains(&method.as_str()) {
                all.push((method.to_uppercase(), path.clone(), operation.clone()));
            }
        }
    }
    all
}

/// A path with its parameters filled in, by their names.
fn filled(path: &str, fill: impl Fn(&str) -> String) -> String {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        let name = segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}'));
        segments.push(name.map_or_else(|| segment.to_owned(), &fill));
    }
    segments.join("/")
}

/// Status and body without the moment, and without the id, wherever it is repeated.
fn said(answer: &Answer, ids: &[&str]) -> (u16, String) {
    let (status, body) = answer.said();
    (status, ids.iter().fold(body.to_string(), |text, id| text.replace(id, "…")))
}

#[tokio::test]
async fn ids_of_others_are_answered_like_those_that_are_not_there() {
    let server = TestServer::start(&[]).await;
    add_cluster(&server).await;
    let (ann, bob) = (server.verified("ann").await, server.verified("bob").await);
    let new = json!({ "name": "box", "template": "ubuntu" });
    let environment = server.post_as("/api/v1/environments", &ann, new).await.text("id").to_owned();
    let me = server.get("/api/v1/auth/me", &ann).await.text("id").to_owned();
    let sign_ins = server.get("/api/v1/auth/sessions", &ann).await;
    let sign_in = sign_ins.body["sessions"][0]["id"].as_str().unwrap_or(&me).to_owned();
    assert!(!environment.is_empty() && !me.is_empty());
    // Somebody else's, by the path that it is in.
    let theirs = |path: &str, name: &str| match (path, name) {
        (path, "id" | "session") if path.starts_with("/api/v1/environments/") => environment.clone(),
        (path, _) if path.starts_with("/api/v1/auth/sessions/") => sign_in.clone(),
        (path, _) if path.starts_with("/api/v1/admin/") => me.clone(),
        (path, _) if SHARED.iter().any(|shared| path.starts_with(shared)) => "ubuntu".to_owned(),
        _ => panic!("what is {name} in {path}? Say so here"),
    };
    let mut asked = BTreeSet::new();
    let mut wrong = Vec::new();
    for (method, path, operation) in operations() {
        if !path.contains('{') || OPEN.contains(&format!("{method} {path}").as_str()) {
            continue;
        }
        let ask = |path: String| {
            let body = operation["requestBody"].is_object().then(|| json!({}));
            server.ask_boxed(method.clone(), path, bob.clone(), body)
        };
        let foreign = ask(filled(&path, |name| theirs(&path, name))).await;
        let absent = ask(filled(&path, |_| NOTHING.to_owned())).await;
        let ids = [environment.as_str(), &me, &sign_in, NOTHING, "ubuntu"];
        let (foreign, absent) = (said(&foreign, &ids), said(&absent, &ids));
        let administered = ADMINISTERED.iter().chain(SHARED).any(|prefix| path.starts_with(prefix));
        let right = match foreign.0 {
            403 => administered && foreign == absent,
            404 => foreign == absent,
            // Everybody may see what is shared.
            200 => method == "GET" && SHARED.iter().any(|shared| path.starts_with(shared)),
            _ => false,
        };
        if !right {
            wrong.push(format!("{method} {path}: {foreign:?}, and {absent:?} for what is not there"));
        }
        asked.insert(format!("{method} {path}"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(asked.len() >= 10, "{asked:?}");
    // Nothing of it did anything.
    let kept = server.get(&format!("/api/v1/environments/{environment}"), &ann).await;
    assert!(kept.status == 200 && kept.text("name") == "box", "{}", kept.body);
    server.running.stop().await;
}

#[tokio::test]
async fn all_but_the_open_routes_need_a_sign_in_and_say_so() {
    let server = TestServer::start(&[]).await;
    let mut wrong = Vec::new();
    for (method, path, operation) in operations() {
        let name = format!("{method} {path}");
        let needs = operation["security"].as_array().is_some_and(|all| !all.is_empty());
        if OPEN.contains(&name.as_str()) {
            continue;
        }
        let body = operation["requestBody"].is_object().then(|| json!({}));
        let answer = server.ask(&method, &filled(&path, |_| NOTHING.to_owned()), None, body).await;
        // Another mail is sent without a sign-in, to who names the address.
        if !needs || answer.status != 401 || !answer.text("error").contains("authentication") {
            wrong.push(format!("{name}: {} {}", answer.status, answer.text));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    server.running.stop().await;
}

#[test]
fn the_document_is_complete() {
    let mut names = BTreeSet::new();
    for (method, path, operation) in operations() {
        let place = format!("{method} {path}");
        let text = |key: &str| operation[key].as_str().unwrap_or_default().to_owned();
        assert!(
            names.insert(text("operationId")),
            "{place}: operationId {} is there twice",
            text("operationId")
        );
        assert!(!text("operationId").is_empty() && !text("summary").is_empty(), "{place}");
        let responses = operation["responses"].as_object().unwrap();
        for status in ["429", "500", "503"] {
            assert!(responses.contains_key(status), "{place} {status}");
        }
        let bearer = operation["security"].as_array().is_some_and(|all| !all.is_empty());
        let both = path.ends_with("/verify-email");
        assert!(!bearer || both || responses.contains_key("401"), "{place} 401");
        assert!(!operation["requestBody"].is_object() || responses.contains_key("422"), "{place} 422");
        for (status, response) in responses {
            assert!(!response["description"].as_str().unwrap_or_default().is_empty(), "{place} {status}");
            let of_error = &response["content"]["application/json"]["schema"]["$ref"];
            // Health says in its own words that it is not well.
            let is_error = of_error == "#/components/schemas/ErrorBody" || path.starts_with("/health");
            assert!(status.starts_with('2') || is_error, "{place} {status}: {response}");
        }
    }
}
