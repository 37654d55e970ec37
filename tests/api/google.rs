//! Sign-in with Google, against a server with keys on this machine.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::server::{Answer, PASSWORD, TestServer};

const CLIENT: &str = "app.apps.googleusercontent.com";

/// The keys of `tests/fixtures/google`, made for these tests.
fn key(name: &str) -> Value {
    let keys: Value = serde_json::from_str(include_str!("../fixtures/google/keys.json")).unwrap();
    keys[name].clone()
}

/// A key as it is published.
fn published(name: &str) -> Value {
    let key = key(name);
    json!({ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": name, "n": key["n"], "e": key["e"] })
}

/// What Google says of somebody.
fn claims(sub: &str, email: &str) -> Value {
    let now = chrono::Utc::now().timestamp();
    json!({ "iss": "https://accounts.google.com", "aud": CLIENT, "sub": sub, "email": email,
            "email_verified": true, "name": "Ann Example", "picture": "https://example.org/ann.png",
            "iat": now, "exp": now + 3600 })
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

fn sign(name: &str, claims: &Value) -> String {
    let der = STANDARD.decode(key(name)["private"].as_str().unwrap()).unwrap();
    let header = Header { kid: Some(name.to_owned()), ..Header::new(Algorithm::RS256) };
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_rsa_der(&der)).unwrap()
}

/// A server that publishes keys, as it is told; none while it is told nothing.
#[derive(Clone, Default)]
struct Publisher {
    keys: Arc<Mutex<Vec<Value>>>,
    asked: Arc<AtomicUsize>,
}

impl Publisher {
    /// The variables of a server that takes its keys.
    async fn start(&self) -> [(&'static str, String); 2] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/certs", listener.local_addr().unwrap());
        let publisher = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let publisher = publisher.clone();
                let service = service_fn(move |_| {
                    let answer = publisher.answer();
                    async move { Ok::<_, Infallible>(answer) }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
        [("GOOGLE_CLIENT_ID", format!("web, {CLIENT}")), ("GOOGLE_JWKS_URL", url)]
    }

    fn answer(&self) -> Response<Full<Bytes>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let keys = self.keys.lock().clone();
        let status = if keys.is_empty() { StatusCode::BAD_GATEWAY } else { StatusCode::OK };
        Response::builder()
            .status(status)
            .header("cache-control", "public, max-age=3600")
            .body(Full::new(Bytes::from(json!({ "keys": keys }).to_string())))
            .unwrap()
    }

    fn publish(&self, names: &[&str]) {
        *self.keys.lock() = names.iter().map(|name| published(name)).collect();
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// A server that takes the keys of this publisher, which publishes the first one.
async fn start() -> (TestServer, Publisher) {
    let publisher = Publisher::default();
    publisher.publish(&["first"]);
    let variables = publisher.start().await;
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    (TestServer::start(&variables).await, publisher)
}

async fn enter(server: &TestServer, token: &str) -> Answer {
    server.post("/api/v1/auth/google", json!({ "idToken": token })).await
}

#[tokio::test]
async fn who_comes_for_the_first_time_gets_an_account_and_later_the_same() {
    let (server, publisher) = start().await;
    let info = server.ask("GET", "/api/v1/info", None, None).await;
    assert_eq!(info.body["features"]["google_oauth"], true);
    let first = enter(&server, &sign("first", &claims("1", "Ann.B@example.org"))).await;
    assert_eq!(first.status, 200, "{}", first.body);
    let user = &first.body["user"];
    assert_eq!((&user["username"], &user["email"]), (&json!("ann_b"), &json!("ann.b@example.org")));
    assert_eq!((&user["isVerified"], &user["subscriptionPlan"]), (&json!(true), &json!("FREE")));
    assert_eq!((&user["fullName"], &user["role"]), (&json!("Ann Example"), &json!("USER")));
    assert_eq!(user["avatarUrl"], "https://example.org/ann.png");
    assert_eq!(server.get("/api/v1/auth/me", first.text("accessToken")).await.status, 200);
    // The address may change; who it is does not.
    let again = enter(&server, &sign("first", &claims("1", "ann@elsewhere.org"))).await;
    assert_eq!(again.body["user"]["id"], user["id"]);
    // The name is taken, so another one is found.
    let other = enter(&server, &sign("first", &claims("2", "ann.b@elsewhere.org"))).await;
    assert_eq!(other.body["user"]["username"], "ann_b1");
    // It has no password to sign in with, and needs none to be deleted.
    assert_eq!(server.login("ann_b", PASSWORD).await.status, 401);
    let any = Some(json!({ "password": "any" }));
    let gone = server.ask("DELETE", "/api/v1/users/me", Some(other.text("accessToken")), any).await;
    assert_eq!(gone.status, 200, "{}", gone.body);
    assert_eq!(publisher.asked(), 1, "the keys are kept");

    // As the mobile app says it, and in the words of older ones.
    let token = sign("first", &claims("1", "ann.b@example.org"));
    let body = json!({ "id_token": token, "access_token": "ya29.x", "device_name": "Phone" });
    let app = server.post("/api/v1/auth/google", body).await;
    assert!(app.status == 200 && app.body["refresh_token"].is_string(), "{}", app.body);
    assert_eq!(app.body["user"]["subscription_plan"], "free");
    assert_eq!(server.post("/api/v1/auth/google", json!({ "token": token })).await.status, 200);
    assert_eq!(server.post("/api/v1/auth/google", json!({})).await.status, 400);
    server.running.stop().await;
}

#[tokio::test]
async fn many_first_sign_ins_at_once_make_one_account() {
    let (server, _) = start().await;
    let token = sign("first", &claims("1", "ann@example.org"));
    let all = futures_util::future::join_all((0..10).map(|_| enter(&server, &token))).await;
    let ids: std::collections::HashSet<_> =
        all.iter().map(|answer| answer.body["user"]["id"].as_str().unwrap_or_default().to_owned()).collect();
    assert!(all.iter().all(|answer| answer.status == 200));
    assert_eq!(ids.len(), 1);
    server.running.stop().await;
}

#[tokio::test]
async fn a_verified_account_of_the_address_is_linked_and_keeps_its_password() {
    let (server, _) = start().await;
    let token = server.verified("ann").await;
    let linked = enter(&server, &sign("first", &claims("1", "ANN@example.org"))).await;
    assert_eq!((linked.status, &linked.body["user"]["username"]), (200, &json!("ann")), "{}", linked.body);
    assert_eq!(server.get("/api/v1/auth/me", &token).await.status, 200);
    assert_eq!(server.login("ann", PASSWORD).await.status, 200);
    // It is nobody else's now.
    let other = enter(&server, &sign("first", &claims("2", "ann@example.org"))).await;
    assert_eq!(other.status, 409, "{}", other.body);
    server.running.stop().await;
}

/// Somebody makes an account with another's address and waits for its owner to come by Google.
#[tokio::test]
async fn who_made_an_account_with_anothers_address_is_out_when_its_owner_comes() {
    let (server, _) = start().await;
    let thief = server.register("ann").await;
    let code = server.code().await;
    let owner = enter(&server, &sign("first", &claims("1", "ann@example.org"))).await;
    assert_eq!((owner.status, &owner.body["user"]["id"]), (200, &thief.body["id"]), "{}", owner.body);
    assert_eq!(owner.body["user"]["isVerified"], true);
    assert_eq!(server.get("/api/v1/auth/me", thief.text("accessToken")).await.status, 401);
    let refresh = json!({ "refreshToken": thief.text("refreshToken") });
    assert_eq!(server.post("/api/v1/auth/refresh", refresh).await.status, 401);
    assert_eq!(server.login("ann", PASSWORD).await.status, 401);
    let proof = json!({ "token": code, "email": "ann@example.org" });
    assert_eq!(server.post("/api/v1/auth/verify-email", proof).await.status, 404);
    assert_eq!(server.get("/api/v1/auth/me", owner.text("accessToken")).await.status, 200);
    server.running.stop().await;
}

#[tokio::test]
async fn addresses_that_google_has_not_verified_open_nothing() {
    let (server, _) = start().await;
    server.verified("ann").await;
    for email in ["ann@example.org", "new@example.org"] {
        let unverified = with(claims("1", email), "email_verified", json!(false));
        let refused = enter(&server, &sign("first", &unverified)).await;
        assert_eq!(refused.status, 403, "{}", refused.body);
    }
    server.running.stop().await;
}

#[tokio::test]
async fn tokens_that_are_not_googles_or_not_for_us_are_refused() {
    let (server, publisher) = start().await;
    let good = || claims("1", "ann@example.org");
    let now = chrono::Utc::now().timestamp();
    let without = |name: &str| {
        let mut claims = good();
        claims.as_object_mut().unwrap().remove(name);
        claims
    };
    let issuer = with(good(), "iss", json!("accounts.google.com"));
    assert_eq!(enter(&server, &sign("first", &issuer)).await.status, 200);
    let audiences = with(good(), "aud", json!(["other", "web"]));
    assert_eq!(enter(&server, &sign("first", &audiences)).await.status, 200);
    for (what, claims) in [
        ("another's", with(good(), "aud", json!("other.apps.googleusercontent.com"))),
        ("for nobody", without("aud")),
        ("of another issuer", with(good(), "iss", json!("https://accounts.google.com.evil.example"))),
        ("of nobody", without("iss")),
        ("expired", with(good(), "exp", json!(now - 120))),
        ("endless", without("exp")),
        ("not yet good", with(good(), "nbf", json!(now + 600))),
        ("about nobody", without("sub")),
    ] {
        let refused = enter(&server, &sign("first", &claims)).await;
        assert_eq!(refused.status, 401, "{what}: {}", refused.body);
    }

    // Signed with another key under the name of Google's.
    let signed = sign("second", &good());
    let (_, rest) = signed.split_once('.').unwrap();
    let named = sign("first", &good());
    let (head, _) = named.split_once('.').unwrap();
    assert_eq!(enter(&server, &format!("{head}.{rest}")).await.status, 401);
    // Signed with the public key as if it were a shared secret, in each form that has.
    let n = key("first")["n"].as_str().unwrap().to_owned();
    for secret in [published("first").to_string(), n] {
        let header = Header { kid: Some("first".into()), ..Header::new(Algorithm::HS256) };
        let forged =
            jsonwebtoken::encode(&header, &good(), &EncodingKey::from_secret(secret.as_bytes())).unwrap();
        assert_eq!(enter(&server, &forged).await.status, 401);
    }
    // Not signed, without the name of a key, nonsense, too long; and our own.
    let part = |value: Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string());
    let unsigned = format!("{}.{}.", part(json!({ "alg": "none", "kid": "first" })), part(good()));
    let nameless = format!("{}.{rest}", part(json!({ "alg": "RS256" })));
    let own = server.verified("bob").await;
    for token in [unsigned.as_str(), &nameless, "nonsense", "a.b.c", &"x".repeat(20_000), &own] {
        assert_eq!(enter(&server, token).await.status, 401);
    }
    assert_eq!(publisher.asked(), 1, "none of these is a reason to ask for keys");
    server.running.stop().await;
}

#[tokio::test]
async fn keys_rotate_and_made_up_names_of_keys_do_not_flood_google() {
    let (server, publisher) = start().await;
    let (old, new) =
        (sign("first", &claims("1", "a@example.org")), sign("second", &claims("2", "b@example.org")));
    assert_eq!(enter(&server, &old).await.status, 200);
    // Not published yet.
    assert_eq!(enter(&server, &new).await.status, 401);
    publisher.publish(&["second"]);
    assert_eq!(enter(&server, &new).await.status, 200);
    // One that is not published any more is not good any more.
    assert_eq!(enter(&server, &old).await.status, 401);
    let before = publisher.asked();
    let header = Header { kid: Some("made-up".into()), ..Header::new(Algorithm::RS256) };
    let der = STANDARD.decode(key("first")["private"].as_str().unwrap()).unwrap();
    let made_up =
        jsonwebtoken::encode(&header, &claims("1", "a@example.org"), &EncodingKey::from_rsa_der(&der))
            .unwrap();
    let all = futures_util::future::join_all((0..50).map(|_| enter(&server, &made_up))).await;
    assert!(all.iter().all(|answer| answer.status == 401));
    assert!(publisher.asked() - before <= 4, "asked {} times", publisher.asked() - before);
    // Who has a good one is not held up by that.
    assert_eq!(enter(&server, &new).await.status, 200);
    server.running.stop().await;
}

#[tokio::test]
async fn without_keys_or_without_a_client_id_nobody_comes_in_and_is_told_why() {
    let publisher = Publisher::default();
    let variables = publisher.start().await;
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let server = TestServer::start(&variables).await;
    let token = sign("first", &claims("1", "ann@example.org"));
    let away = enter(&server, &token).await;
    assert_eq!((away.status, away.header("retry-after")), (503, Some("30")), "{}", away.body);
    assert!(away.text("message").contains("Google"), "{}", away.body);
    publisher.publish(&["first"]);
    assert_eq!(enter(&server, &token).await.status, 200);
    server.running.stop().await;

    let without = TestServer::start(&[]).await;
    let refused = enter(&without, &token).await;
    assert!(refused.status == 404 && refused.text("message").contains("not set up"), "{}", refused.body);
    let info = without.ask("GET", "/api/v1/info", None, None).await;
    assert_eq!(info.body["features"]["google_oauth"], false);
    without.running.stop().await;
}
