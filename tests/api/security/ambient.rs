//! What browsers and proxies send along by themselves gives nobody any right.

use serde_json::json;

use crate::server::TestServer;

#[tokio::test]
async fn only_the_bearer_header_signs_in() {
    let server = TestServer::start(&[]).await;
    let ann = server.verified("ann").await;
    for line in [
        format!("GET /api/v1/auth/me HTTP/1.1\r\nCookie: token={ann}; accessToken={ann}; access_token={ann}"),
        format!("GET /api/v1/auth/me?token={ann} HTTP/1.1"),
        format!("GET /api/v1/auth/me?access_token={ann} HTTP/1.1"),
        format!("GET /api/v1/auth/me HTTP/1.1\r\nX-Access-Token: {ann}\r\nX-Auth-Token: {ann}"),
        format!("GET /api/v1/auth/me HTTP/1.1\r\nProxy-Authorization: Bearer {ann}"),
        format!("GET /api/v1/auth/me HTTP/1.1\r\nAuthorization: Basic {ann}"),
        format!("GET /api/v1/auth/me HTTP/1.1\r\nAuthorization:  {ann}"),
        "GET /api/v1/auth/me HTTP/1.1\r\nX-Forwarded-User: ann\r\nX-Remote-User: ann".to_owned(),
    ] {
        let answer = server.raw(&line, b"").await;
        assert_eq!(answer.status, 401, "{line}");
        assert!(answer.header("set-cookie").is_none());
    }
    let me = server.get("/api/v1/auth/me", &ann).await;
    assert!(me.status == 200 && me.header("set-cookie").is_none());
    server.running.stop().await;
}

#[tokio::test]
async fn a_method_is_what_the_request_line_says() {
    let server = TestServer::start(&[]).await;
    let ann = server.verified("ann").await;
    for header in ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"] {
        let head = format!(
            "POST /api/v1/users/me?_method=DELETE HTTP/1.1\r\nAuthorization: Bearer {ann}\r\n{header}: DELETE\r\nX-DevPocket-Dialect: snake"
        );
        assert_eq!(server.raw(&head, b"").await.status, 404, "{header}");
        let head = head.replacen("POST", "GET", 1);
        assert_eq!(server.raw(&head, b"").await.status, 200, "{header}");
    }
    for path in ["X-Original-URL", "X-Rewrite-URL"] {
        let head = format!("GET /health HTTP/1.1\r\n{path}: /api/v1/users/me\r\nAuthorization: Bearer {ann}");
        assert_eq!(server.raw(&head, b"").await.text("status"), "healthy");
    }
    assert_eq!(server.get("/api/v1/auth/me", &ann).await.status, 200);
    server.running.stop().await;
}

#[tokio::test]
async fn links_in_mails_lead_where_the_configuration_says() {
    let server = TestServer::start(&[("FRONTEND_URL", "https://app.example.org")]).await;
    server.register("ann").await;
    server.mail().await;
    let body = json!({ "email": "ann@example.org" }).to_string();
    for lines in [
        "Host: evil.example",
        "Host: test\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: http\r\nForwarded: host=evil.example",
        "Host: test\r\nOrigin: http://test\r\nReferer: https://evil.example/",
    ] {
        for path in ["forgot-password", "resend-verification"] {
            let head =
                format!("POST /api/v1/auth/{path} HTTP/1.1\r\n{lines}\r\nContent-Type: application/json");
            let answer = server.raw(&head, body.as_bytes()).await;
            assert_eq!(answer.status, 200, "{lines}: {}", answer.text);
            let mail = server.mail().await;
            assert!(mail.contains("https://app.example.org/") && !mail.contains("evil"), "{lines}: {mail}");
        }
    }
    server.running.stop().await;
}
