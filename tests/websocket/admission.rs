//! Who may open a socket, and what whoever may not is told.

use devpocket::client::{Auth, ClientError, Rest};
use hyper::Method;
use serde_json::{Value, json};

use crate::common::raw::RawSocket;
use crate::common::server::{Person, TestServer};
use crate::common::shell::Shell;

async fn stranger(server: &TestServer) -> Person {
    let rest = Rest::new(server.url());
    let account = json!({
        "email": "stranger@example.com", "username": "stranger",
        "password": "Str4nger!pass", "fullName": "A Stranger",
    });
    let made: Value = rest.ask(Method::POST, "/api/v1/auth/register", Some(account)).await.unwrap();
    let token = made["accessToken"].as_str().expect("registering signs in").to_owned();
    Person { rest: rest.with_token(&token), token }
}

#[tokio::test(flavor = "multi_thread")]
async fn not_yours_and_not_existing_are_the_same_answer() {
    let server = TestServer::start().await;
    let person = server.demo().await;
    let environment = person.environment("mine").await;
    let stranger = stranger(&server).await;
    let refused = |person: &Person, environment: &str| {
        let mut shell = Shell::new(person.options(environment, "main"));
        async move {
            match shell.step().await {
                Err(ClientError::Refused(refusal)) => (refusal.status, refusal.message),
                other => panic!("{other:?}"),
            }
        }
    };
    let theirs = refused(&stranger, &environment.id).await;
    let nobodys = refused(&stranger, "c0000000000000000000000nothing").await;
    assert_eq!(theirs.0, 404);
    assert_eq!(theirs.1, nobodys.1);
    // Over HTTP as well.
    let ask = |id: String| {
        let rest = stranger.rest.clone();
        async move { rest.environment(&id).await.unwrap_err().to_string() }
    };
    assert_eq!(ask(environment.id.clone()).await, ask("c0000000000000000000000nothing".into()).await);
    // A session's id is no way around.
    let mine = Shell::quiet(person.options(&environment.id, "main")).await;
    let own = stranger.rest.environments().await.unwrap();
    assert!(own.is_empty(), "{own:?}");
    let query = format!("session={}", mine.hellos[0].session_id);
    let other = RawSocket::terminal(&server.url(), &environment.id, &query, &stranger.token).await;
    assert_eq!(other.err(), Some(404));
    // Nor from an environment of one's own.
    let operator = server.operator().await;
    let own = operator.environment("own").await;
    let (theirs, nobodys) = (mine.hellos[0].session_id.as_str(), "c00000000000000000nothing");
    let attach = |session: &str| {
        let mut shell = Shell::new(operator.options(&own.id, session));
        async move { shell.step().await.unwrap_err() }
    };
    let (foreign, absent) = (attach(theirs).await, attach(nobodys).await);
    assert_eq!((foreign.status(), foreign.to_string()), (Some(404), absent.to_string()));
    let end = |environment: &str, session: &str| {
        let path = format!("/api/v1/environments/{environment}/sessions/{session}");
        let rest = operator.rest.clone();
        async move { rest.ask::<Value>(Method::DELETE, &path, None).await.unwrap_err() }
    };
    for environment in [&own.id, &environment.id] {
        let (foreign, absent) = (end(environment, theirs).await, end(environment, nobodys).await);
        assert_eq!((foreign.status(), foreign.to_string()), (Some(404), absent.to_string()));
    }
    // The app is told the same of both.
    let nowhere = "c0000000000000000000000nothing";
    for environment in [environment.id.as_str(), nowhere] {
        let mut app = RawSocket::json(&server.url(), environment, &operator.token).await;
        assert_eq!(app.closed_with().await, (1008, "Environment not found".to_owned()));
    }
    let mut mine = mine;
    assert_eq!(mine.run("echo here").await, "here\r\n");
    assert_eq!(mine.losses, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_tokens_are_refused() {
    let server = TestServer::start_with(&[("JWT_ACCESS_TOKEN_EXPIRES_IN", "2s")]).await;
    let person = server.demo().await;
    let environments = person.rest.environments().await.unwrap();
    let id = environments.first().map_or("c0000000000000000000000nothing".to_owned(), |e| e.id.clone());
    let status = |auth: Auth| {
        let mut options = person.options(&id, "main");
        options.auth = std::sync::Arc::new(move |_| {
            let auth = auth.clone();
            Box::pin(async move { Ok(auth) })
        });
        let mut shell = Shell::new(options);
        async move {
            loop {
                if let Err(error) = shell.step().await {
                    return error.status();
                }
            }
        }
    };
    assert_eq!(status(Auth::None).await, Some(401));
    assert_eq!(status(Auth::Bearer("nonsense".into())).await, Some(401));
    assert_eq!(status(Auth::Ticket("nonsense".into())).await, Some(401));
    let mut forged = person.token.clone();
    let last = if forged.pop() == Some('A') { 'B' } else { 'A' };
    forged.push(last);
    // The last character of a signature may hold unused bits: change one in the middle too.
    let middle = forged.len() - 10;
    let other = if &forged[middle..=middle] == "x" { "y" } else { "x" };
    forged.replace_range(middle..=middle, other);
    assert_eq!(status(Auth::Bearer(forged.clone())).await, Some(401));
    assert_eq!(status(Auth::Query(forged)).await, Some(401));
}

/// A token that expires while a socket is open closes it with 4401, and the client signs in
/// again without the session noticing.
#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_ends_the_connection_and_not_the_session() {
    let server = TestServer::start_with(&[("JWT_ACCESS_TOKEN_EXPIRES_IN", "8s")]).await;
    let person = server.demo().await;
    let environment = person.environment("expires").await;
    let fresh = server.demo().await;
    let mut options = fresh.options(&environment.id, "main");
    let (url, account) = (server.url(), std::fs::read(server.data().join("demo-account.json")).unwrap());
    let first = std::sync::Mutex::new(Some(fresh.token.clone()));
    options.auth = std::sync::Arc::new(move |_| {
        let kept = first.lock().unwrap().take();
        let (rest, account) = (Rest::new(url.clone()), account.clone());
        Box::pin(async move {
            if let Some(token) = kept {
                return Ok(Auth::Bearer(token));
            }
            let account: Value = serde_json::from_slice(&account).unwrap();
            let name = account["username"].as_str().or(account["email"].as_str()).unwrap();
            let tokens = rest.login(name, account["password"].as_str().unwrap()).await?;
            Ok(Auth::Bearer(tokens.access_token))
        })
    });
    let mut shell = Shell::quiet(options).await;
    shell.until("the loss", |shell| shell.losses > 0).await;
    assert_eq!(shell.run("echo again").await, "again\r\n");
    assert_eq!(shell.hellos[0].session_id, shell.hellos.last().unwrap().session_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_opens_one_socket() {
    let server = TestServer::start().await;
    let person = server.demo().await;
    let environment = person.environment("ticket").await;
    let ticket = person.rest.ticket().await.unwrap();
    let path = format!("/api/v1/ws/terminal/{}", environment.id);
    let protocols = format!("devpocket.v2, ticket.{ticket}");
    let headers = [("sec-websocket-protocol", protocols.as_str())];
    let opened = RawSocket::open(&server.url(), &path, &headers).await;
    assert!(opened.is_ok(), "{:?}", opened.err());
    assert_eq!(RawSocket::open(&server.url(), &path, &headers).await.err(), Some(401));
}

/// A web page that is not ours can't use a signed-in browser.
#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_origin_is_refused() {
    let server = TestServer::start().await;
    let person = server.demo().await;
    let environment = person.environment("origin").await;
    let path = format!("/api/v1/ws/terminal/{}", environment.id);
    let bearer = format!("Bearer {}", person.token);
    let headers = [
        ("sec-websocket-protocol", "devpocket.v2"),
        ("authorization", bearer.as_str()),
        ("origin", "https://evil.example"),
    ];
    assert_eq!(RawSocket::open(&server.url(), &path, &headers).await.err(), Some(403));
    let own = format!("http://127.0.0.1:{}", server.url().authority().rsplit(':').next().unwrap());
    let headers = [headers[0], headers[1], ("origin", own.as_str())];
    assert!(RawSocket::open(&server.url(), &path, &headers).await.is_ok());
}
