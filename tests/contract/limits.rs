//! §3: how often anything may be asked, with the defaults that clients know, and how they are
//! told that it was too often.

use serde_json::{Value, json};

use crate::Dialect;
use crate::common::http::{Answer, raw};
use crate::common::server::TestServer;
use crate::shape::Shapes;
use crate::story::{Cast, PASSWORD, server};

/// A server that counts, as one does by default behind one proxy.
async fn counting() -> TestServer {
    server(&[
        ("RATE_LIMIT_ENABLED", "true"),
        ("RATE_LIMIT_MAX_REQUESTS", "100"),
        ("AUTH_RATE_LIMIT_MAX_REQUESTS", "5"),
        ("TRUST_PROXY_HOPS", "1"),
    ])
    .await
}

/// Asks from an address, as the proxy tells it.
async fn from(server: &TestServer, forwarded: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
    let head = format!(
        "{method} /api/v1{path} HTTP/1.1\r\nX-Forwarded-For: {forwarded}\r\nContent-Type: application/json"
    );
    let body = body.as_ref().map(Value::to_string).unwrap_or_default();
    raw(server.addr(), &head, body.as_bytes()).await
}

/// What is told of a limit that is used up.
fn is_told(answer: &Answer, most: &str) {
    assert_eq!(answer.status, 429, "{}", answer.text);
    assert!(Shapes::read().check(Dialect::Camel, "Busy", &answer.body).is_empty(), "{}", answer.text);
    let wait = answer.header("retry-after").unwrap().to_owned();
    assert_eq!(
        (answer.body["retryAfter"].to_string(), answer.body["retry_after"].to_string()),
        (wait.clone(), wait)
    );
    for name in ["ratelimit", "x-ratelimit"] {
        let header = |part: &str| answer.header(&format!("{name}-{part}")).unwrap_or_default().to_owned();
        assert_eq!(
            (header("limit").as_str(), header("remaining").as_str()),
            (most, "0"),
            "{}",
            answer.headers
        );
        assert!(!header("reset").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_requests_of_an_address_and_health_is_not_counted() {
    let server = counting().await;
    for left in (0..100).rev() {
        // What a client makes up lies to the left of what the proxy has seen.
        let made_up = format!("198.51.100.{left}, 203.0.113.7");
        let answer = from(&server, &made_up, "GET", "/info", None).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("ratelimit-limit"), Some("100"));
        let counted: u32 = answer.header("ratelimit-remaining").unwrap().parse().unwrap();
        // It is refilled steadily, one every nine seconds.
        assert!((left..left + 8).contains(&counted), "{counted} left instead of {left}");
    }
    let mut refused = from(&server, "203.0.113.7", "GET", "/info", None).await;
    for _ in 0..8 {
        if refused.status == 429 {
            break;
        }
        refused = from(&server, "203.0.113.7", "GET", "/info", None).await;
    }
    is_told(&refused, "100");
    assert_eq!(from(&server, "203.0.113.7", "GET", "/health", None).await.status, 200);
    let health = raw(server.addr(), "GET /health HTTP/1.1\r\nX-Forwarded-For: 203.0.113.7", b"").await;
    assert!(health.status == 200 && health.header("ratelimit-limit").is_none());
    assert_eq!(from(&server, "203.0.113.8", "GET", "/info", None).await.status, 200);
    // An entry that is no address is nobody's: it must not let the made-up one count.
    let odd = from(&server, "198.51.100.1, 203.0.113.7:4711", "GET", "/info", None).await;
    assert_eq!(odd.status, 429, "{}", odd.headers);
}

#[tokio::test(flavor = "multi_thread")]
async fn five_sign_ins_and_registrations_of_an_account_from_an_address() {
    let server = counting().await;
    let login = |name: &'static str, address: &'static str| {
        from(
            &server,
            address,
            "POST",
            "/auth/login",
            Some(json!({ "usernameOrEmail": name, "password": "wrong-one" })),
        )
    };
    for _ in 0..5 {
        let answer = login("demo-not", "203.0.113.1").await;
        assert_eq!((answer.status, answer.header("ratelimit-limit")), (401, Some("5")), "{}", answer.headers);
    }
    is_told(&login("demo-not", "203.0.113.1").await, "5");
    assert_eq!(login("somebody", "203.0.113.1").await.status, 401);
    assert_eq!(login("demo-not", "203.0.113.2").await.status, 401);
    let register = || {
        let body =
            json!({ "email": "r@example.org", "username": "r-user", "password": PASSWORD, "fullName": "R" });
        from(&server, "203.0.113.3", "POST", "/auth/register", Some(body))
    };
    assert_eq!(register().await.status, 201);
    for _ in 0..4 {
        assert_eq!(register().await.status, 409);
    }
    is_told(&register().await, "5");
    let forgot = || {
        from(
            &server,
            "203.0.113.4",
            "POST",
            "/auth/forgot-password",
            Some(json!({ "email": "f@example.org" })),
        )
    };
    for _ in 0..3 {
        assert_eq!(forgot().await.status, 200);
    }
    is_told(&forgot().await, "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_environments_an_hour_three_mails_a_quarter_and_who_pays_is_not_counted() {
    let server = counting().await;
    let cast = Cast::gather(&server, Dialect::Camel).await;
    let none = json!({ "name": "box", "templateId": "no-such-template" });
    for _ in 0..10 {
        let answer = cast.ask(&server, "ann", "POST", "/environments", Some(none.clone())).await;
        assert_eq!((answer.status, answer.header("ratelimit-limit")), (404, Some("10")), "{}", answer.text);
    }
    is_told(&cast.ask(&server, "ann", "POST", "/environments", Some(none.clone())).await, "10");
    for _ in 0..11 {
        let answer = cast.ask(&server, "demo", "POST", "/environments", Some(none.clone())).await;
        assert_eq!((answer.status, answer.header("ratelimit-limit")), (404, Some("100")));
    }
    for _ in 0..3 {
        assert_eq!(cast.ask(&server, "eve", "POST", "/auth/resend-verification", None).await.status, 200);
    }
    is_told(&cast.ask(&server, "eve", "POST", "/auth/resend-verification", None).await, "3");
}
