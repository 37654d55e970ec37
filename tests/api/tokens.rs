//! Tokens: refreshed, ended, spent, made elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
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

/// Of many refreshes of one token at once the first wins, and the next ends the sign-in: nobody
/// can tell the owner from a thief. There is one family, and all of it has ended.
#[tokio::test]
async fn of_many_refreshes_at_once_one_wins_and_the_family_ends() {
    let server = TestServer::start(&[]).await;
    server.verified("ann").await;
    let first = server.login("ann", PASSWORD).await;
    let other = server.login("ann", PASSWORD).await;
    let all = (0..20).map(|_| refresh(&server, first.text("refreshToken")));
    let answers = futures_util::future::join_all(all).await;
    let winners: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(winners.len(), 1);
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 401)));
    assert_eq!(refresh(&server, winners[0].text("refreshToken")).await.status, 401);
    for ended in [first.text("accessToken"), winners[0].text("accessToken")] {
        assert_eq!(server.get("/api/v1/auth/me", ended).await.status, 401);
    }
    let (families, live): (i64, i64) = sqlx::query_as(
        "SELECT count(DISTINCT family_id), count(*) FILTER (WHERE revoked_at IS NULL)
         FROM refresh_tokens WHERE session_id = (SELECT session_id FROM refresh_tokens WHERE token = $1)",
    )
    .bind(devpocket_actors::persistence::TokenHash::of(first.text("refreshToken")))
    .fetch_one(server.running.system().persistence().pool())
    .await
    .unwrap();
    assert_eq!((families, live), (1, 0));
    // Another sign-in of theirs goes on.
    assert_eq!(refresh(&server, other.text("refreshToken")).await.status, 200);
    server.running.stop().await;
}

/// With a grace they are taken for answers that were lost: all get a pair, of which the last one
/// given is good.
#[tokio::test]
async fn within_the_grace_many_refreshes_at_once_leave_one_good_token() {
    let server = TestServer::start(&[("JWT_REFRESH_GRACE", "60s")]).await;
    server.verified("ann").await;
    let first = server.login("ann", PASSWORD).await;
    let all = (0..20).map(|_| refresh(&server, first.text("refreshToken")));
    let answers = futures_util::future::join_all(all).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    let (families, live): (i64, i64) = sqlx::query_as(
        "SELECT count(DISTINCT family_id),
                count(*) FILTER (WHERE revoked_at IS NULL AND rotated_at IS NULL)
         FROM refresh_tokens WHERE session_id = (SELECT session_id FROM refresh_tokens WHERE token = $1)",
    )
    .bind(devpocket_actors::persistence::TokenHash::of(first.text("refreshToken")))
    .fetch_one(server.running.system().persistence().pool())
    .await
    .unwrap();
    assert_eq!((families, live), (1, 1));
    assert_eq!(server.get("/api/v1/auth/me", answers[0].text("accessToken")).await.status, 200);
    server.running.stop().await;
}

/// Signs with any header and key.
fn forge(header: &Value, claims: &Value, sign: impl Fn(&str) -> String) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = sign(&message);
    format!("{message}.{signature}")
}

#[tokio::test]
async fn the_key_is_replaced_without_signing_anybody_out() {
    let old = TestServer::start(&[]).await;
    let key = |secret: &str| jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    let token = old.verified("ann").await;
    let old_name = jsonwebtoken::decode_header(&token).unwrap().kid.unwrap();
    old.running.stop().await;

    let new_secret = "another-secret-of-more-than-32-characters";
    let server = TestServer::start(&[("JWT_SECRET", new_secret), ("JWT_PREVIOUS_SECRETS", JWT_SECRET)]).await;
    let registered = server.register("ann").await;
    let new_name = jsonwebtoken::decode_header(registered.text("accessToken")).unwrap().kid.unwrap();
    assert_ne!(new_name, old_name);
    let claims = json!({ "userId": registered.text("id"), "type": "access",
                         "exp": chrono::Utc::now().timestamp() + 60 });
    let sign = |name: Option<&str>, secret: &str| {
        let header = jsonwebtoken::Header { kid: name.map(str::to_owned), ..jsonwebtoken::Header::default() };
        jsonwebtoken::encode(&header, &claims, &key(secret)).unwrap()
    };
    for (name, secret, status) in [
        (Some(old_name.as_str()), JWT_SECRET, 200),
        (Some(new_name.as_str()), new_secret, 200),
        (None, new_secret, 200),
        // Without a name it is tried with the present key; with one, with that key alone.
        (None, JWT_SECRET, 401),
        (Some(new_name.as_str()), JWT_SECRET, 401),
        (Some(old_name.as_str()), new_secret, 401),
        (Some("unknown"), new_secret, 401),
        (Some(""), new_secret, 401),
    ] {
        let answer = server.get("/api/v1/auth/me", &sign(name, secret)).await;
        assert_eq!(answer.status, status, "{name:?} {secret}");
    }

    // No signature, or by an algorithm that is not ours.
    let good = json!({ "alg": "HS256", "typ": "JWT" });
    let hs256 = |message: &str| {
        let key = key(new_secret);
        jsonwebtoken::crypto::sign(message.as_bytes(), &key, jsonwebtoken::Algorithm::HS256).unwrap()
    };
    assert_eq!(server.get("/api/v1/auth/me", &forge(&good, &claims, hs256)).await.status, 200);
    for algorithm in ["none", "None", "HS384", "HS512", "RS256", "ES256", ""] {
        let header = json!({ "alg": algorithm, "typ": "JWT" });
        for token in [forge(&header, &claims, hs256), forge(&header, &claims, |_| String::new())] {
            assert_eq!(server.get("/api/v1/auth/me", &token).await.status, 401, "{algorithm}");
        }
    }
    server.running.stop().await;
}
