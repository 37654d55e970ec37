//! Mail through a real mail server: every way of connecting, and everything that can go wrong.

use std::time::Duration;

use devpocket_actors::persistence::embedded::PrivatePostgres;
use serde_json::json;
use sqlx::PgPool;

use crate::server::TestServer;
use crate::serving::Serving;
use crate::smtp::{Authority, PASSWORD, Smtp, USER};

/// The six digits in a mail's text.
fn code(mail: &serde_json::Value) -> String {
    let data = mail["data"].as_str().unwrap();
    let mut words = data.split(|c: char| !c.is_ascii_alphanumeric());
    words.find(|word| word.len() == 6 && word.bytes().all(|b| b.is_ascii_digit())).unwrap().to_owned()
}

/// Waits until the table of mails is as it should be. The deadline only ends a test that would fail.
async fn until(server: &TestServer, condition: &'static str) {
    until_in(server.running.system().persistence().pool(), condition).await;
}

async fn until_in(pool: &PgPool, condition: &'static str) {
    for _ in 0..1_000 {
        let query = sqlx::AssertSqlSafe(format!("SELECT COALESCE({condition}, false) FROM outgoing_mails"));
        if sqlx::query_scalar(query).fetch_one(pool).await.unwrap() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let what: Vec<(String, i32, Option<String>)> =
        sqlx::query_as("SELECT state, attempts, last_error FROM outgoing_mails")
            .fetch_all(pool)
            .await
            .unwrap();
    panic!("never happened: {condition}; there are {what:?}");
}

#[tokio::test]
async fn somebody_registers_verifies_and_is_welcome() {
    let mut smtp = Smtp::plain(0).await;
    let url = format!("smtp://127.0.0.1:{}", smtp.port);
    let server = TestServer::start(&[("SMTP_URL", &url)]).await;
    let body = json!({ "email": "ann@example.org", "username": "ann", "password": crate::server::PASSWORD,
                       "fullName": "Ann <b> & 'Co'" });
    let registered = server.post("/api/v1/auth/register", body).await;
    let mail = smtp.next().await;
    assert_eq!(mail["to"], json!(["ann@example.org"]));
    let data = mail["data"].as_str().unwrap();
    assert!(data.contains("multipart/alternative"), "{data}");
    assert!(data.contains("Hello Ann <b> & 'Co',"), "the text is not HTML: {data}");
    assert!(data.contains("Hello Ann &lt;b&gt; &amp; &#39;Co&#39;,"), "the HTML is: {data}");
    let token = registered.text("accessToken");
    let verified = server.post_as("/api/v1/auth/verify-email", token, json!({ "token": code(&mail) })).await;
    assert_eq!(verified.status, 200, "{}", verified.body);
    let welcome = smtp.next().await;
    assert!(welcome["data"].as_str().unwrap().contains("Subject: Welcome to DevPocket"), "{welcome}");
    until(&server, "count(*) = 0").await;
    server.running.stop().await;
}

#[tokio::test]
async fn mail_goes_over_tls_to_a_trusted_server_alone() {
    let authority = Authority::new();
    let ca = authority.path("ca.pem").display().to_string();
    let account = format!("{USER}:pa%3Ass%40word");
    for (tls, scheme, query) in [("starttls", "smtp", "?tls=required"), ("implicit", "smtps", "")] {
        let mut smtp = Smtp::secure(tls, &authority).await;
        let url = format!("{scheme}://{account}@localhost:{}{query}", smtp.port);
        let server = TestServer::start(&[("SMTP_URL", &url), ("SMTP_CA_FILE", &ca)]).await;
        server.register("ann").await;
        let mail = smtp.next().await;
        assert_eq!((&mail["secure"], &mail["user"]), (&json!(true), &json!(USER)), "{tls}");
        server.running.stop().await;
        // One that is not trusted is told nothing, and the mail waits.
        let server = TestServer::start(&[("SMTP_URL", &url)]).await;
        server.register("bob").await;
        until(&server, "count(*) = 1 AND bool_and(last_error LIKE '%SMTP_CA_FILE%')").await;
        server.running.stop().await;
        // Neither is a wrong password the mail's fault.
        let wrong = format!("{scheme}://{USER}:wrong@localhost:{}{query}", smtp.port);
        let server = TestServer::start(&[("SMTP_URL", &wrong), ("SMTP_CA_FILE", &ca)]).await;
        server.register("cleo").await;
        until(&server, "count(*) = 1 AND bool_and(state = 'WAITING' AND last_error LIKE '%535%')").await;
        server.running.stop().await;
        assert_eq!(smtp.stop().await, [""; 0], "{tls}");
    }
    assert!(!account.contains(PASSWORD));
}

#[tokio::test]
async fn what_is_refused_is_kept_and_can_be_sent_later() {
    let mut smtp = Smtp::plain(0).await;
    let url = format!("smtp://127.0.0.1:{}", smtp.port);
    let server = TestServer::start(&[("SMTP_URL", &url)]).await;
    server.register("refused").await;
    until(&server, "count(*) = 1 AND bool_and(state = 'DEAD' AND attempts = 1 AND last_error LIKE '%550%')")
        .await;
    let (_, listed) = server.command(&["mail", "dead"]);
    assert!(listed.contains("verify-email") && listed.contains("refused@example.org"), "{listed}");
    let pool = server.running.system().persistence().pool();
    let (id, content): (String, String) =
        sqlx::query_as("SELECT id, content FROM outgoing_mails").fetch_one(pool).await.unwrap();
    assert!(content.starts_with("v1.") && !content.contains("example"), "{content}");
    let (ok, said) = server.command(&["mail", "retry", "nothing"]);
    assert!(!ok && said.contains("no dead mail"), "{said}");
    let (ok, said) = server.command(&["mail", "retry", &id]);
    assert!(ok && said.starts_with("1 mails"), "{said}");
    // Refused again, and counted from the beginning.
    until(&server, "count(*) = 1 AND bool_and(state = 'WAITING' OR attempts = 1)").await;
    server.running.stop().await;
    let server = TestServer::start(&[("SMTP_URL", &url)]).await;
    server.register("later").await;
    assert_eq!(smtp.next().await["delayed"], "later@example.org");
    assert_eq!(smtp.next().await["to"], json!(["later@example.org"]));
    until(&server, "count(*) = 0").await;
    server.running.stop().await;
    assert_eq!(smtp.stop().await, [""; 0]);
}

#[tokio::test]
async fn mails_wait_for_a_server_that_is_down_and_outlive_the_process() {
    let smtp = Smtp::plain(0).await;
    let port = smtp.port;
    smtp.stop().await;
    let url = format!("smtp://127.0.0.1:{port}");
    let server = TestServer::start(&[("SMTP_URL", &url)]).await;
    server.register("ann").await;
    until(&server, "count(*) = 1 AND bool_and(attempts = 1 AND last_error IS NOT NULL)").await;
    let server = server.restarted(&[("SMTP_URL", &url)]).await;
    let mut smtp = Smtp::plain(port).await;
    assert_eq!(smtp.next().await["to"], json!(["ann@example.org"]));
    until(&server, "count(*) = 0").await;
    server.running.stop().await;
    assert_eq!(smtp.stop().await, [""; 0], "it came once");
}

/// Whoever runs the server is told of a password that goes over the network in the clear.
#[tokio::test]
async fn a_password_without_tls_is_told_of() {
    let server = TestServer::start(&[]).await;
    let doctor = |url: &str| {
        let all = [("SECRET_KEY", crate::server::SECRET_KEY), ("SMTP_URL", url)];
        server.command_with(&["doctor"], &all).1
    };
    let said = doctor("smtp://mailer:hunter2@mail.example.org");
    let line = said.lines().find(|line| line.contains("TLS")).unwrap_or_else(|| panic!("{said}"));
    assert!(line.starts_with("note ") && line.contains("SMTP_URL"), "{line}");
    assert!(!said.contains("hunter2"), "{said}");
    assert!(!doctor("smtps://mailer:hunter2@mail.example.org").contains("TLS"));
    assert!(!doctor("smtp://mail.example.org").contains("TLS"));

    server.running.stop().await;

    // And at the start; nothing is sent.
    let database = PrivatePostgres::for_tests().await.unwrap();
    let log = Serving::start(&database.url, "smtp://mailer:hunter2@127.0.0.1:9").await.kill().await;
    assert_eq!(log.matches("does not insist on TLS").count(), 1, "{log}");
    assert!(log.contains("WARN") && !log.contains("hunter2"), "{log}");
}

/// Mails that were stored and not sent when the server was killed are sent by the next one, once.
#[tokio::test]
async fn mails_outlive_a_kill_between_storing_and_sending() {
    let database = PrivatePostgres::for_tests().await.unwrap();
    // It takes connections and says nothing: four mails are on their way to it, the fifth waits.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", silent.local_addr().unwrap());
    let serving = Serving::start(&database.url, &url).await;
    for name in ["one", "two", "three", "four"] {
        serving.register(name).await;
        until_in(&database.pool, "bool_and(attempts = 1)").await;
    }
    serving.register("five").await;
    until_in(&database.pool, "count(*) = 5 AND count(*) FILTER (WHERE attempts = 0) = 1").await;
    serving.kill().await;

    let mut smtp = Smtp::plain(0).await;
    let serving = Serving::start(&database.url, &format!("smtp://127.0.0.1:{}", smtp.port)).await;
    assert_eq!(smtp.next().await["to"], json!(["five@example.org"]));
    until_in(&database.pool, "count(*) = 4").await;
    // The others may have been sent for all that is known; it is two minutes until they are tried again.
    let over = "UPDATE outgoing_mails SET due_at = now() WHERE due_at > now()";
    assert_eq!(sqlx::query(over).execute(&database.pool).await.unwrap().rows_affected(), 4);
    let mut got = Vec::new();
    for _ in 0..4 {
        got.push(smtp.next().await["to"][0].as_str().unwrap().to_owned());
    }
    got.sort();
    assert_eq!(got, ["four", "one", "three", "two"].map(|name| format!("{name}@example.org")));
    until_in(&database.pool, "count(*) = 0").await;
    serving.kill().await;
    assert_eq!(smtp.stop().await, [""; 0], "each came once");
}

/// A mail whose attempts all end with the process is not tried for ever.
#[tokio::test]
async fn what_was_tried_too_often_is_kept_as_dead() {
    let smtp = Smtp::plain(0).await;
    let port = smtp.port;
    smtp.stop().await;
    let server = TestServer::start(&[("SMTP_URL", &format!("smtp://127.0.0.1:{port}"))]).await;
    server.register("ann").await;
    until(&server, "count(*) = 1 AND bool_and(attempts = 1 AND last_error IS NOT NULL)").await;
    let smtp = Smtp::plain(port).await;
    let pool = server.running.system().persistence().pool();
    let often = "UPDATE outgoing_mails SET attempts = 9, due_at = now()";
    sqlx::query(often).execute(pool).await.unwrap();
    // Somebody else's mail wakes the mailer.
    server.register("bob").await;
    until(&server, "count(*) = 1 AND bool_and(state = 'DEAD' AND last_error LIKE '%too often%')").await;
    server.running.stop().await;
    let said = smtp.stop().await;
    assert!(said.len() == 1 && said[0].contains("bob@example.org"), "{said:?}");
}
