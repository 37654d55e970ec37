//! The web pages, beside the API at the same addresses.

use crate::server::TestServer;

const BROWSER: &str = "Accept: text/html,application/xhtml+xml,*/*;q=0.8";

#[tokio::test]
async fn browsers_get_pages_and_programs_what_they_always_got() {
    let server = TestServer::start(&[]).await;
    let kind = |answer: &crate::server::Answer| answer.header("content-type").unwrap_or_default().to_owned();

    for path in ["/", "/sign-in", "/e/some-environment?session=main"] {
        let page = server.raw(&format!("GET {path} HTTP/1.1\r\n{BROWSER}"), b"").await;
        assert_eq!(page.status, 200, "{path}");
        assert!(kind(&page).starts_with("text/html"), "{path}: {}", kind(&page));
        assert!(page.header("content-security-policy").is_some(), "{path}");
        assert_eq!(page.header("cache-control"), Some("no-cache"), "{path}");
    }

    let root = server.raw("GET / HTTP/1.1\r\nAccept: application/json", b"").await;
    assert_eq!((root.status, root.text("version")), (200, "1.0.0"));
    assert_eq!(root.header("vary"), Some("Accept"));
    assert_eq!(server.raw("GET / HTTP/1.1", b"").await.text("version"), "1.0.0");

    // What is no screen is not there, whoever asks.
    for head in [
        "GET /sign-in HTTP/1.1\r\nAccept: */*".to_owned(),
        format!("GET /api/v1/nothing HTTP/1.1\r\n{BROWSER}"),
        format!("GET /assets/gone-12345678.js HTTP/1.1\r\n{BROWSER}"),
        format!("POST /sign-in HTTP/1.1\r\n{BROWSER}"),
    ] {
        let answer = server.raw(&head, b"").await;
        assert_eq!((answer.status, kind(&answer).as_str()), (404, "application/json"), "{head}");
    }
}
