//! Tokens that are not what they seem.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Utc;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::server::{JWT_SECRET, PASSWORD, TestServer};

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn signed(header: &Header, claims: &Value, secret: &str) -> String {
    jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

#[tokio::test]
async fn what_is_not_an_access_token_of_ours_is_none() {
    let server = TestServer::start(&[]).await;
    server.verified("ann").await;
    let tokens = server.login("ann", PASSWORD).await;
    let (access, refresh) = (tokens.text("accessToken"), tokens.text("refreshToken"));
    let id = tokens.body["user"]["id"].as_str().unwrap();
    let ticket = server.post_as("/api/v1/ws/ticket", access, json!({})).await.text("ticket").to_owned();
    let now = Utc::now().timestamp();
    let claims = json!({ "userId": id, "type": "access", "iat": now, "exp": now + 600 });
    let of = |kind: &str, exp: i64| json!({ "userId": id, "type": kind, "iat": now, "exp": exp });
    assert_eq!(
        server.get("/api/v1/auth/me", &signed(&Header::default(), &claims, JWT_SECRET)).await.status,
        200
    );

    let unsigned = |alg: &str| format!("{}.{}.", part(&json!({ "alg": alg, "typ": "JWT" })), part(&claims));
    let [head, body, signature] = access.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let with_header = |change: fn(&mut Header)| {
        let mut header = Header::default();
        change(&mut header);
        signed(&header, &claims, "")
    };
    let cases = [
        ("nothing signed", unsigned("none")),
        ("nothing signed, otherwise spelled", unsigned("NoNe")),
        ("a signature of nothing", format!("{head}.{body}.")),
        ("no signature at all", format!("{head}.{body}")),
        ("four parts", format!("{head}.{body}.{signature}.{signature}")),
        (
            "other claims under a good signature",
            format!("{head}.{}.{signature}", part(&of("access", now + 9_999))),
        ),
        ("none, with a good signature", format!("{}.{body}.{signature}", part(&json!({ "alg": "none" })))),
        ("a refresh token", refresh.to_owned()),
        ("a ticket", ticket),
        ("another key", signed(&Header::default(), &claims, "another-secret-of-more-than-32-chars")),
        ("an empty key", signed(&Header::default(), &claims, "")),
        ("another hash", signed(&Header::new(Algorithm::HS512), &claims, JWT_SECRET)),
        ("expired", signed(&Header::default(), &of("access", now - 1), JWT_SECRET)),
        (
            "without an end",
            signed(&Header::default(), &json!({ "userId": id, "type": "access" }), JWT_SECRET),
        ),
        ("an end beyond the calendar", signed(&Header::default(), &of("access", i64::MAX), JWT_SECRET)),
        ("an unknown kind", signed(&Header::default(), &of("admin", now + 600), JWT_SECRET)),
        ("no kind", signed(&Header::default(), &json!({ "userId": id, "exp": now + 600 }), JWT_SECRET)),
        (
            "a kind that is no text",
            signed(
                &Header::default(),
                &json!({ "userId": id, "type": ["access"], "exp": now + 600 }),
                JWT_SECRET,
            ),
        ),
        (
            "nobody",
            signed(
                &Header::default(),
                &json!({ "userId": "", "type": "access", "exp": now + 600 }),
                JWT_SECRET,
            ),
        ),
        (
            "somebody by a pattern",
            signed(
                &Header::default(),
                &json!({ "userId": "%", "type": "access", "exp": now + 600 }),
                JWT_SECRET,
            ),
        ),
        (
            "a sign-in that never was",
            signed(
                &Header::default(),
                &json!({ "userId": id, "sid": "nothing", "type": "access", "exp": now + 600 }),
                JWT_SECRET,
            ),
        ),
        ("a key of a file", with_header(|header| header.kid = Some("../../../../dev/null".into()))),
        ("a key of a statement", with_header(|header| header.kid = Some("' UNION SELECT ''--".into()))),
        ("a key by its address", with_header(|header| header.jku = Some("http://127.0.0.1:1/keys".into()))),
        ("a very long one", "a".repeat(20_000)),
        ("no text", "\u{e9}\u{e9}".to_owned()),
    ];
    let mut wrong = Vec::new();
    for (what, token) in &cases {
        let answer = server.get("/api/v1/auth/me", token).await;
        if answer.status != 401 || !answer.text("error").contains("authentication") {
            wrong.push(format!("{what}: {} {}", answer.status, answer.text));
        }
        let refreshed = server.post("/api/v1/auth/refresh", json!({ "refreshToken": token })).await;
        if refreshed.status != 401 && *what != "a refresh token" {
            wrong.push(format!("{what}, to refresh: {} {}", refreshed.status, refreshed.text));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // An access token spends nothing, and neither does one that was ended.
    assert_eq!(server.post("/api/v1/auth/refresh", json!({ "refreshToken": access })).await.status, 401);
    server.running.stop().await;
}

#[tokio::test]
async fn one_refresh_token_shown_many_times_at_once_yields_one_family() {
    let server = TestServer::start(&[]).await;
    server.verified("ann").await;
    let first = server.login("ann", PASSWORD).await.text("refreshToken").to_owned();
    let many = (0..12).map(|_| server.post("/api/v1/auth/refresh", json!({ "refreshToken": first })));
    let answers = futures_util::future::join_all(many).await;
    let won: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(won.len(), 1);
    assert!(answers.iter().all(|answer| [200, 401].contains(&answer.status)));
    // It was shown again: nobody can say by whom, so the whole sign-in has ended.
    assert_eq!(server.get("/api/v1/auth/me", won[0].text("accessToken")).await.status, 401);
    server.running.stop().await;
}
