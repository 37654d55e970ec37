//! Tokens: refreshed, ended, spent, made elsewhere.

use serde_json::{Value, json};

use crate::server::{JWT_SECRET, PASSWORD, TestServer};

async fn refresh(server: &TestServer, token: &str) -> crate::server::Answer {
    server.post("/api/v1/auth/refresh", json!({ "refreshToken": token })).await
}

#[tokio::test]
async fn a_spent_refresh_token_that_comes_back_ends_the_sign_in() {
    let server = TestServer::start(&[]).await;
    server.verified("ann").await;
    let first = server.login("ann", PASSWORD).await;
    let second = refresh(&server, first.text("refreshToken")).await;
    assert_eq!(second.status, 200, "{}", second.body);
    assert_eq!(server.get("/api/v1/auth/me", second.text("accessToken")).await.status, 200);
    assert_eq!(refresh(&server, first.text("refreshToken")).await.status, 401);
    assert_eq!(refresh(&server, second.text("refreshToken")).await.status, 401);
    assert_eq!(server.get("/api/v1/auth/me", second.text("accessToken")).await.status, 401);
    server.running.stop().await;
}

#[tokio::test]
async fn within_the_grace_a_lost_answer_signs_nobody_out() {
    let server = TestServer::start(&[("JWT_REFRESH_GRACE", "60s")]).await;
    server.verified("ann").await;
    let first = server.login("ann", PASSWORD).await;
    refresh(&server, first.text("refreshToken")).await;
    let again = refresh(&server, first.text("refreshToken")).await;
    assert_eq!(again.status, 200);
    assert_eq!(refresh(&server, again.text("refreshToken")).await.status, 200);
    server.running.stop().await;
}

#[tokio::test]
async fn signing_out_ends_this_sign_in_only() {
    let server = TestServer::start(&[]).await;
    server.verified("ann").await;
    let (one, other) = (server.login("ann", PASSWORD).await, server.login("ann", PASSWORD).await);
    let out = server.post_as("/api/v1/auth/logout", one.text("accessToken"), json!({})).await;
    assert_eq!((out.status, out.text("message")), (200, "Successfully logged out"));
    assert_eq!(server.get("/api/v1/auth/me", one.text("accessToken")).await.status, 401);
    assert_eq!(refresh(&server, one.text("refreshToken")).await.status, 401);
    assert_eq!(server.get("/api/v1/auth/me", other.text("accessToken")).await.status, 200);
    server.running.stop().await;
}

#[tokio::test]
async fn other_kinds_of_token_and_odd_headers_are_refused() {
    let server = TestServer::start(&[]).await;
    server.verified("ann").await;
    let tokens = server.login("ann", PASSWORD).await;
    assert_eq!(server.get("/api/v1/auth/me", tokens.text("refreshToken")).await.status, 401);
    assert_eq!(refresh(&server, tokens.text("accessToken")).await.status, 401);
    let ticket = server.post_as("/api/v1/ws/ticket", tokens.text("accessToken"), json!({})).await;
    assert_eq!(ticket.body["expiresIn"], 30);
    assert_eq!(server.get("/api/v1/auth/me", ticket.text("ticket")).await.status, 401);
    let none = server.ask("GET", "/api/v1/auth/me", None, None).await;
    assert!(none.status == 401 && none.text("error").contains("authentication"));
    for header in ["Basic x", "bearer x", "Bearer", "Bearer a b"] {
        let head = format!("GET /api/v1/auth/me HTTP/1.1\r\nAuthorization: {header}");
        assert_eq!(server.raw(&head, b"").await.status, 401, "{header}");
    }
    server.running.stop().await;
}

/// Others mint tokens with our key that hold next to nothing.
#[tokio::test]
async fn a_token_with_only_the_needed_claims_is_good() {
    let server = TestServer::start(&[]).await;
    let registered = server.register("ann").await;
    let claims = json!({ "userId": registered.text("id"), "type": "access",
                         "exp": chrono::Utc::now().timestamp() + 60 });
    let key = jsonwebtoken::EncodingKey::from_secret(JWT_SECRET.as_bytes());
    let sign = |claims: &Value| jsonwebtoken::encode(&jsonwebtoken::Header::default(), claims, &key).unwrap();
    assert_eq!(server.get("/api/v1/auth/me", &sign(&claims)).await.status, 200);
    let nobody = json!({ "userId": "nobody", "type": "access", "exp": chrono::Utc::now().timestamp() + 60 });
    assert_eq!(server.get("/api/v1/auth/me", &sign(&nobody)).await.status, 401);
    server.running.stop().await;
}
