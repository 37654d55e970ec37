//! Who is refused, on HTTP and before a WebSocket alike.

use serde_json::{Value, json};

use crate::server::{Answer, JWT_SECRET, PASSWORD, TestServer};

const NOWHERE: &str = "c0000000000000000000000nothing";

/// Asks for a terminal socket; what is refused is answered like any other request.
async fn socket(server: &TestServer, environment: &str, query: &str, header: &str) -> Answer {
    let head = format!(
        "GET /api/v1/ws/terminal/{environment}{query} HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{header}"
    );
    server.raw(&head, b"").await
}

async fn by_ticket(server: &TestServer, environment: &str, ticket: &str) -> Answer {
    let protocols = format!("Sec-WebSocket-Protocol: devpocket.v2, ticket.{ticket}");
    socket(server, environment, "", &protocols).await
}

async fn by_bearer(server: &TestServer, environment: &str, token: &str) -> Answer {
    let headers = format!("Sec-WebSocket-Protocol: devpocket.v2\r\nAuthorization: Bearer {token}");
    socket(server, environment, "", &headers).await
}

async fn by_query(server: &TestServer, environment: &str, token: &str) -> Answer {
    let query = format!("?token={token}");
    socket(server, environment, &query, "Sec-WebSocket-Protocol: devpocket.v2").await
}

async fn ticket(server: &TestServer, token: &str) -> String {
    server.post_as("/api/v1/ws/ticket", token, json!({})).await.text("ticket").to_owned()
}

/// The status and the body, without what names the request.
fn said(answer: &Answer) -> (u16, Value) {
    for name in ["path", "requestId", "timestamp"] {
        assert!(answer.body.get(name).is_some(), "{name} in {} {}", answer.headers, answer.body);
    }
    answer.said()
}

/// A token of that kind which ended a second ago, else as the server makes them.
fn ended(user: &str, kind: &str) -> String {
    let now = chrono::Utc::now().timestamp();
    let claims = json!({ "userId": user, "type": kind, "jti": "once", "iat": now - 60, "exp": now - 1,
                         "stay": now + 600 });
    let key = jsonwebtoken::EncodingKey::from_secret(JWT_SECRET.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
}

#[tokio::test]
async fn what_has_expired_is_refused_everywhere_alike() {
    let server = TestServer::start(&[]).await;
    server.verified("ann").await;
    let ann = server.login("ann", PASSWORD).await.text("accessToken").to_owned();
    let id = server.get("/api/v1/auth/me", &ann).await.text("id").to_owned();
    assert!(!id.is_empty());
    let access = ended(&id, "access");
    let expected = said(&server.get("/api/v1/auth/me", &access).await);
    assert_eq!(expected.0, 401);
    assert!(expected.1["message"].as_str().unwrap().contains("expired"), "{expected:?}");
    assert_eq!(said(&by_bearer(&server, NOWHERE, &access).await), expected);
    assert_eq!(said(&by_query(&server, NOWHERE, &access).await), expected);
    assert_eq!(said(&by_ticket(&server, NOWHERE, &ended(&id, "ticket")).await), expected);
    // The same with time left gets as far as the environment.
    assert_eq!(by_bearer(&server, NOWHERE, &ann).await.status, 404);
    server.running.stop().await;
}

#[tokio::test]
async fn a_ticket_is_good_once_and_opens_no_more_than_its_owner_may() {
    let server = TestServer::start(&[]).await;
    let (ann, bob) = (server.verified("ann").await, server.verified("bob").await);
    crate::environments::add_cluster(&server).await;
    let new = json!({ "name": "box", "template": "ubuntu" });
    let environment = server.post_as("/api/v1/environments", &ann, new).await.text("id").to_owned();
    assert!(!environment.is_empty());

    // What it was used for does not matter.
    let once = ticket(&server, &ann).await;
    assert_eq!(by_ticket(&server, NOWHERE, &once).await.status, 404);
    let again = by_ticket(&server, &environment, &once).await;
    assert_eq!((again.status, again.text("message")), (401, "Authentication failed: the token is not valid"));
    assert_eq!(said(&again), said(&by_ticket(&server, NOWHERE, "nonsense").await));

    let foreign = said(&by_ticket(&server, &environment, &ticket(&server, &bob).await).await);
    let absent = said(&by_ticket(&server, NOWHERE, &ticket(&server, &bob).await).await);
    assert_eq!((foreign.0, &foreign), (404, &absent));
    assert_eq!(said(&by_bearer(&server, &environment, &bob).await), absent);
    assert_eq!(said(&by_query(&server, &environment, &bob).await), absent);
    // And as HTTP says it.
    assert_eq!(said(&server.get(&format!("/api/v1/environments/{environment}"), &bob).await), absent);
    server.running.stop().await;
}
