//! What holds for every request.

use serde_json::json;

use crate::server::TestServer;

#[tokio::test]
async fn errors_have_one_shape() {
    let server = TestServer::start(&[]).await;
    let unknown = server.ask("GET", "/api/v1/nothing/", None, None).await;
    assert_eq!((unknown.status, unknown.text("error")), (404, "Not found"));
    assert_eq!(unknown.text("path"), "/api/v1/nothing/");
    assert_eq!(unknown.text("message"), unknown.text("detail"));
    assert_eq!(Some(unknown.text("requestId")), unknown.header("x-request-id"));
    // An unsupported method is not there either.
    assert_eq!(server.ask("PATCH", "/api/v1/auth/login", None, None).await.status, 404);
    assert_eq!(server.ask("GET", "/api/v2/templates", None, None).await.status, 404);

    let head = "POST /api/v1/auth/login HTTP/1.1\r\nContent-Type: application/json";
    assert_eq!(server.raw(head, b"{\"usernameOrEmail\":").await.status, 400);
    let form = "POST /api/v1/auth/login HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded";
    assert_eq!(server.raw(form, b"usernameOrEmail=a&password=b").await.status, 401);
    let big = server.raw(head, &vec![b' '; 11 * 1024 * 1024]).await;
    assert!(big.status == 413 && !big.text("error").is_empty());
    server.running.stop().await;
}

#[tokio::test]
async fn headers_are_careful() {
    let server = TestServer::start(&[]).await;
    let health = server.raw("GET /health HTTP/1.1\r\nX-Request-ID: abc123", b"").await;
    assert_eq!(health.header("x-request-id"), Some("abc123"));
    assert_eq!(health.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(health.header("x-frame-options"), Some("DENY"));
    assert!(health.header("server").is_none() && health.header("ratelimit-limit").is_none());
    assert!(health.body["timestamp"].is_number());
    let id = server.ask("GET", "/health", None, None).await.header("x-request-id").unwrap().to_owned();
    assert!(id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()), "{id}");

    let preflight = "OPTIONS /api/v1/auth/login HTTP/1.1\r\nOrigin: http://localhost:3000\r\n\
                     Access-Control-Request-Method: POST";
    let preflight = server.raw(preflight, b"").await;
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-origin"), Some("http://localhost:3000"));
    let foreign = server.raw("GET /api/v1/info HTTP/1.1\r\nOrigin: http://evil.example", b"").await;
    assert!(foreign.status == 403 && foreign.header("access-control-allow-origin").is_none());
    let own = server.raw("GET /api/v1/info HTTP/1.1\r\nOrigin: http://test", b"").await;
    assert_eq!(own.status, 200);
    server.running.stop().await;
}

#[tokio::test]
async fn many_calls_at_once_pass_and_too_many_do_not_where_limited() {
    let server = TestServer::start(&[]).await;
    let calls = (0..15).map(|_| server.ask("GET", "/api/v1/info", None, None));
    assert!(futures_util::future::join_all(calls).await.iter().all(|answer| answer.status == 200));
    server.running.stop().await;

    let limited = TestServer::start(&[("RATE_LIMIT_ENABLED", "true"), ("TRUST_PROXY_HOPS", "0")]).await;
    for _ in 0..5 {
        assert_eq!(limited.login("ann", "x").await.status, 401);
    }
    let refused = limited.login("ann", "x").await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("retry-after"), Some(refused.body["retryAfter"].to_string().as_str()));
    assert!(refused.header("ratelimit-remaining").is_some());
    // Another account is not touched by it.
    assert_eq!(limited.login("bob", "x").await.status, 401);
    limited.running.stop().await;
}

#[tokio::test]
async fn a_database_that_is_away_is_a_503_that_says_when_to_come_again() {
    let server = TestServer::start(&[]).await;
    let token = server.verified("ann").await;
    server.running.system().persistence().pool().close().await;
    let answer = server.login("ann", "x").await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.header("retry-after").is_some());
    assert_eq!(server.ask("GET", "/health/ready", None, None).await.status, 503);
    assert_eq!(server.ask("GET", "/health/live", None, None).await.status, 200);
    let change = server.post_as("/api/v1/auth/logout", &token, json!({})).await;
    assert_eq!(change.status, 503);
}
