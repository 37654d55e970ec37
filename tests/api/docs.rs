//! The documentation: the document, that it is true, and the page.

use devpocket::http::routes::docs::document;

use crate::server::TestServer;

/// `make openapi` writes it.
const COMMITTED: &str = include_str!("../../docs/openapi.json");

#[test]
fn the_committed_document_is_the_present_one() {
    let present = document().to_pretty_json().unwrap();
    assert!(COMMITTED.trim_end() == present, "docs/openapi.json is old: run `make openapi`");
}

#[tokio::test]
async fn the_document_and_its_page_are_served() {
    let server = TestServer::start(&[("ENABLE_API_DOCS", "true")]).await;
    let document = server.ask("GET", "/api/v1/openapi.json", None, None).await;
    assert_eq!(document.body["openapi"], "3.1.0");
    assert!(document.body["paths"]["/api/v1/environments/{id}"]["get"].is_object());
    let page = server.ask("GET", "/api/v1/docs/", None, None).await;
    assert!(page.status == 200 && page.header("content-type").unwrap().starts_with("text/html"));
    // Its policy lets no script run that stands in the page itself.
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'self'"));
    let scripts: Vec<_> = page.text.split("<script").skip(1).collect();
    assert!(
        !scripts.is_empty() && scripts.iter().all(|script| script.trim_start().starts_with("src=")),
        "{}",
        page.text
    );
    let script = server.ask("GET", "/api/v1/docs/swagger-initializer.js", None, None).await;
    assert_eq!(script.status, 200);
    assert_eq!(server.ask("GET", "/api/v1/docs/nothing.js", None, None).await.status, 404);
    server.running.stop().await;

    let without = TestServer::start(&[("ENABLE_API_DOCS", "false")]).await;
    assert_eq!(without.ask("GET", "/api/v1/docs", None, None).await.status, 404);
    without.running.stop().await;
}
