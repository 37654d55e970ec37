//! Where somebody is signed in, and how it is ended.

use serde_json::{Value, json};

use crate::server::{Answer, PASSWORD, TestServer};

const PATH: &str = "/api/v1/auth/sessions";

async fn list(server: &TestServer, token: &str) -> Vec<Value> {
    let answer = server.get(PATH, token).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["sessions"].as_array().unwrap().clone()
}

async fn end(server: &TestServer, token: &str, id: &str) -> u16 {
    server.ask("DELETE", &format!("{PATH}/{id}"), Some(token), None).await.status
}

/// Signs in as a browser that says what it is.
async fn by_browser(server: &TestServer, body: Value) -> Answer {
    let head = "POST /api/v1/auth/login HTTP/1.1\r\nContent-Type: application/json\r\n\
                User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0";
    server.raw(head, body.to_string().as_bytes()).await
}

#[tokio::test]
async fn devices_are_listed_with_names_and_ended_one_by_one() {
    let server = TestServer::start(&[]).await;
    let here = server.verified("ann").await;
    let login = json!({ "usernameOrEmail": "ann", "password": PASSWORD });
    let browser = by_browser(&server, login.clone()).await;
    let mut named = login.clone();
    named["deviceName"] = json!(" Ann's tablet ");
    let tablet = by_browser(&server, named.clone()).await;
    assert_eq!((browser.status, tablet.status), (200, 200), "{} {}", browser.body, tablet.body);

    let all = list(&server, &here).await;
    let of = |name: &str| {
        let found: Vec<_> = all.iter().filter(|one| one["deviceName"] == name).collect();
        assert_eq!(found.len(), 1, "{name} in {all:?}");
        found[0].clone()
    };
    let (firefox, tablet_row, own) = (of("Firefox on Linux"), of("Ann's tablet"), of("Unknown device"));
    assert_eq!(all.len(), 3);
    assert_eq!(
        (&own["current"], &firefox["current"], &tablet_row["current"]),
        (&json!(true), &json!(false), &json!(false))
    );
    assert_eq!(firefox["address"], "127.0.0.1");
    assert!(firefox["userAgent"].as_str().unwrap().contains("Firefox/127.0"));
    assert!(firefox["createdAt"].is_string() && firefox["lastUsedAt"].is_string());

    // Somebody else's is not there.
    let bob = server.verified("bob").await;
    let theirs = firefox["id"].as_str().unwrap();
    assert_eq!((end(&server, &bob, theirs).await, end(&server, &bob, "nothing").await), (404, 404));
    let token = browser.text("accessToken");
    assert_eq!(server.get("/api/v1/auth/me", token).await.status, 200);

    assert_eq!(end(&server, &here, theirs).await, 200);
    assert_eq!(server.get("/api/v1/auth/me", token).await.status, 401);
    let spent = json!({ "refreshToken": browser.text("refreshToken") });
    assert_eq!(server.post("/api/v1/auth/refresh", spent).await.status, 401);
    assert_eq!(end(&server, &here, theirs).await, 404);

    // All others at once.
    let others = server.ask("DELETE", PATH, Some(&here), None).await;
    assert_eq!(others.status, 200, "{}", others.body);
    assert_eq!(server.get("/api/v1/auth/me", tablet.text("accessToken")).await.status, 401);
    let left = list(&server, &here).await;
    assert_eq!((left.len(), &left[0]["current"]), (1, &json!(true)));
    assert_eq!(list(&server, &bob).await.len(), 1);

    named["deviceName"] = json!("a\nb");
    assert_eq!(server.post("/api/v1/auth/login", named).await.status, 400);
    server.running.stop().await;
}

#[tokio::test]
async fn devices_are_shown_in_the_other_dialect_too() {
    let server = TestServer::start(&[]).await;
    server.verified("ann").await;
    let login = json!({ "username_or_email": "ann", "password": PASSWORD, "device_name": "Phone" });
    let token = server.post("/api/v1/auth/login", login).await.text("access_token").to_owned();
    let all = list(&server, &token).await;
    let current = all.iter().find(|one| one["current"] == true).unwrap();
    assert_eq!(current["device_name"], "Phone");
    assert!(current["last_used_at"].is_string() && current["deviceName"].is_null());
    server.running.stop().await;
}
