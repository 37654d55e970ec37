//! Registering, verifying, signing in, passwords.

use serde_json::json;

use crate::server::{PASSWORD, TestServer};

#[tokio::test]
async fn registering_gives_fields_and_tokens_and_no_secret() {
    let server = TestServer::start(&[]).await;
    let answer = server.register("ann").await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert!(answer.text("message").starts_with("Registration successful"));
    assert_eq!(answer.body["isVerified"], false);
    assert_eq!(answer.body["subscriptionPlan"], "FREE");
    assert!(!answer.body.to_string().contains("assword"));
    let me = server.get("/api/v1/auth/me/", answer.text("accessToken")).await;
    assert_eq!((me.status, me.text("username")), (200, "ann"));

    let taken = server.register("ANN").await;
    assert_eq!((taken.status, taken.text("error")), (409, "Conflict"));
    assert!(taken.text("message").contains("email"));
    server.running.stop().await;
}

#[tokio::test]
async fn an_address_is_verified_before_the_first_sign_in() {
    let server = TestServer::start(&[]).await;
    let token = server.register("ann").await.text("accessToken").to_owned();
    let refused = server.login("ann", PASSWORD).await;
    assert_eq!(refused.status, 403);
    assert!(refused.text("message").contains("not verified"));
    let create = json!({ "name": "box", "templateId": "ubuntu" });
    assert_eq!(server.post_as("/api/v1/environments", &token, create).await.status, 403);

    let wrong = server.post_as("/api/v1/auth/verify-email", &token, json!({ "token": "x" })).await;
    assert_eq!(wrong.status, 404);
    let code = server.code().await;
    // The digits alone are worth nothing: whose they are must be known.
    assert_eq!(server.post("/api/v1/auth/verify-email", json!({ "token": code })).await.status, 404);
    let verified = server.post_as("/api/v1/auth/verify-email", &token, json!({ "token": code })).await;
    assert_eq!(verified.status, 200);
    assert_eq!(server.login("ANN@example.org", PASSWORD).await.status, 200);
    let again = server.post_as("/api/v1/auth/resend-verification", &token, json!({})).await;
    assert_eq!(again.status, 400);
    server.running.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_fields_is_told_at_once() {
    let server = TestServer::start(&[]).await;
    let register = |body| server.post("/api/v1/auth/register", body);
    let missing = register(json!({})).await;
    assert_eq!(missing.status, 400);
    assert!(missing.text("error").contains("required"));
    assert_eq!(missing.body["errors"].as_array().unwrap().len(), 4);
    let email =
        register(json!({ "email": "x", "username": "ann", "password": PASSWORD, "fullName": "A" })).await;
    assert!(email.text("error").contains("email") && email.text("detail").contains("email"));
    let weak =
        register(json!({ "email": "a@b.cd", "username": "ann", "password": "weak", "fullName": "A" })).await;
    assert!(weak.text("error").contains("password"));
    server.running.stop().await;
}

#[tokio::test]
async fn unknown_and_wrong_are_answered_alike_and_guessing_locks() {
    let server = TestServer::start(&[("ACCOUNT_LOCKOUT_ATTEMPTS", "3")]).await;
    server.verified("ann").await;
    let unknown = server.login("bob", "wrong").await;
    let wrong = server.login("ann", "wrong").await;
    assert_eq!((unknown.status, wrong.status), (401, 401));
    assert_eq!(unknown.text("message"), wrong.text("message"));
    assert!(wrong.text("detail").to_lowercase().contains("incorrect"));
    server.login("bob", "wrong").await;
    server.login("ann", "wrong").await;
    let stranger = server.login("bob", "wrong").await;
    let locked = server.login("ann", "wrong").await;
    assert!(locked.status == 401 && locked.text("message").contains("locked"), "{}", locked.body);
    assert_eq!((stranger.status, stranger.text("message")), (401, locked.text("message")));
    let right = server.login("ann", PASSWORD).await;
    assert!(right.status == 401 && right.text("message").contains("locked"));
    server.running.stop().await;
}

#[tokio::test]
async fn a_new_password_ends_the_other_sign_ins() {
    let server = TestServer::start(&[]).await;
    let here = server.verified("ann").await;
    let there = server.login("ann", PASSWORD).await.text("accessToken").to_owned();
    let new = "An0ther!one";
    let change = |current, new| {
        let body = json!({ "currentPassword": current, "newPassword": new });
        server.post_as("/api/v1/users/me/change-password", &here, body)
    };
    let wrong = change("no", new).await;
    assert_eq!(wrong.status, 400);
    assert!(wrong.text("error").contains("Current password is incorrect"));
    let short = change(PASSWORD, "x").await;
    assert!(short.text("error").to_lowercase().contains("validation failed"));
    let changed = change(PASSWORD, new).await;
    assert!(changed.text("message").contains("Password changed"));
    assert_eq!(server.get("/api/v1/auth/me", &there).await.status, 401);
    assert_eq!(server.get("/api/v1/auth/me", &here).await.status, 200);
    assert_eq!(server.login("ann", PASSWORD).await.status, 401);
    assert_eq!(server.login("ann", new).await.status, 200);
    server.running.stop().await;
}

#[tokio::test]
async fn a_forgotten_password_is_replaced_by_mail_and_nobody_learns_who_is_here() {
    let server = TestServer::start(&[]).await;
    server.verified("ann").await;
    let forgot = |email: &'static str| server.post("/api/v1/auth/forgot-password", json!({ "email": email }));
    let (unknown, known) = (forgot("bob@example.org").await, forgot("ann@example.org").await);
    assert_eq!((unknown.status, unknown.body), (known.status, known.body));
    let code = server.code().await;
    let body = json!({ "token": code, "email": "ann@example.org", "newPassword": "An0ther!one" });
    assert_eq!(server.post("/api/v1/auth/reset-password", body.clone()).await.status, 200);
    assert_eq!(server.post("/api/v1/auth/reset-password", body).await.status, 404);
    assert_eq!(server.login("ann", "An0ther!one").await.status, 200);
    server.running.stop().await;
}

#[tokio::test]
async fn a_deleted_account_is_gone() {
    let server = TestServer::start(&[]).await;
    let token = server.verified("ann").await;
    let wrong =
        server.ask("DELETE", "/api/v1/users/me", Some(&token), Some(json!({ "password": "x" }))).await;
    assert!(wrong.status == 400 && wrong.text("error").to_lowercase().contains("invalid password"));
    let right = json!({ "password": PASSWORD });
    let gone = server.ask("DELETE", "/api/v1/users/me", Some(&token), Some(right)).await;
    assert_eq!(gone.status, 200);
    assert_eq!(server.get("/api/v1/auth/me", &token).await.status, 401);
    assert_eq!(server.register("ann").await.status, 201);
    server.running.stop().await;
}
