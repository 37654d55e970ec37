//! Guessing at passwords locks out who guesses, and nobody else.

use devpocket_actors::persistence::Role;
use serde_json::{Value, json};

use crate::server::{Answer, PASSWORD, TestServer};

/// Signs in through a proxy, from that address.
async fn from(server: &TestServer, address: &str, name: &str, password: &str) -> Answer {
    let head = format!(
        "POST /api/v1/auth/login HTTP/1.1\r\nContent-Type: application/json\r\nX-Forwarded-For: {address}"
    );
    let body = json!({ "usernameOrEmail": name, "password": password });
    server.raw(&head, body.to_string().as_bytes()).await
}

fn is_locked(answer: &Answer) -> bool {
    answer.status == 401 && answer.text("message").contains("locked")
}

const STRANGER: &str = "198.51.100.7";
const OWNER: &str = "203.0.113.9";

#[tokio::test]
async fn a_stranger_locks_out_himself_and_not_the_owner() {
    let server = TestServer::start(&[]).await;
    let token = server.verified("ann").await;
    let before = from(&server, OWNER, "ann", PASSWORD).await;
    for n in 1..=5 {
        let answer = from(&server, STRANGER, "ann", "wrong").await;
        assert_eq!((answer.status, is_locked(&answer)), (401, n == 5), "{n}: {}", answer.body);
    }
    // The right password is of no use there any more.
    assert!(is_locked(&from(&server, STRANGER, "ann", PASSWORD).await));
    // The owner notices nothing: by what is signed in, by a refresh, by a new sign-in, also from
    // somewhere new.
    server.running.app().auth().forget(before.body["user"]["id"].as_str().unwrap());
    assert_eq!(server.get("/api/v1/auth/me", &token).await.status, 200);
    let refresh = json!({ "refreshToken": before.text("refreshToken") });
    assert_eq!(server.post("/api/v1/auth/refresh", refresh).await.status, 200);
    assert_eq!(from(&server, OWNER, "ann", PASSWORD).await.status, 200);
    assert_eq!(from(&server, "192.0.2.44", "ann", PASSWORD).await.status, 200);
    assert!(is_locked(&from(&server, STRANGER, "ann", PASSWORD).await));
    // Nor does anybody else at the stranger's address.
    server.verified("bob").await;
    assert_eq!(from(&server, STRANGER, "bob", PASSWORD).await.status, 200);
    server.running.stop().await;
}

#[tokio::test]
async fn a_right_password_forgets_the_wrong_ones() {
    let server = TestServer::start(&[("ACCOUNT_LOCKOUT_ATTEMPTS", "3")]).await;
    server.verified("ann").await;
    for _ in 0..3 {
        for _ in 0..2 {
            assert!(!is_locked(&from(&server, OWNER, "ann", "wrong").await));
        }
        assert_eq!(from(&server, OWNER, "ann", PASSWORD).await.status, 200);
    }
    // Also when it lets nobody in, as the address is not verified.
    server.register("bob").await;
    for _ in 0..3 {
        for _ in 0..2 {
            assert!(!is_locked(&from(&server, OWNER, "bob", "wrong").await));
        }
        assert_eq!(from(&server, OWNER, "bob", PASSWORD).await.status, 403);
    }
    server.running.stop().await;
}

#[tokio::test]
async fn guesses_at_once_are_all_counted() {
    let server = TestServer::start(&[]).await;
    server.verified("ann").await;
    let guesses = (0..20).map(|_| from(&server, STRANGER, "ann", "wrong"));
    let answers = futures_util::future::join_all(guesses).await;
    let incorrect = answers.iter().filter(|answer| answer.status == 401 && !is_locked(answer)).count();
    let locked = answers.iter().filter(|answer| is_locked(answer)).count();
    assert_eq!((incorrect, locked), (4, 16));
    // And right ones are not held against anybody.
    let right = (0..12).map(|_| from(&server, OWNER, "ann", PASSWORD));
    assert!(futures_util::future::join_all(right).await.iter().all(|answer| answer.status == 200));
    server.running.stop().await;
}

#[tokio::test]
async fn many_addresses_lock_all_but_those_of_the_owner() {
    let server = TestServer::start(&[("ACCOUNT_LOCKOUT_ATTEMPTS", "2")]).await;
    server.verified("ann").await;
    assert_eq!(from(&server, OWNER, "ann", PASSWORD).await.status, 200);
    // 20 times as many, each from somewhere else.
    for n in 0..40 {
        let answer = from(&server, &format!("198.51.100.{n}"), "ann", "wrong").await;
        assert_eq!((answer.status, is_locked(&answer)), (401, false), "{n}");
        // A name that nobody has is answered alike.
        let answer = from(&server, &format!("198.51.100.{n}"), "nobody", "wrong").await;
        assert_eq!((answer.status, is_locked(&answer)), (401, false), "{n}");
    }
    assert!(is_locked(&from(&server, "192.0.2.1", "ann", PASSWORD).await));
    assert!(is_locked(&from(&server, "192.0.2.1", "nobody", PASSWORD).await));
    assert_eq!(from(&server, OWNER, "ann", PASSWORD).await.status, 200);
    // An administrator opens it.
    let (root, _) = crate::admin::somebody(&server, "root", Role::Admin).await;
    let found = server.get("/api/v1/admin/users?search=ann@", &root).await;
    let ann = found.body["users"][0].clone();
    assert_eq!(ann["lockedAddresses"], 1, "{ann}");
    let path = format!("/api/v1/admin/users/{}/unlock", ann["id"].as_str().unwrap());
    let opened = server.post_as(&path, &root, Value::Null).await;
    assert_eq!((opened.status, &opened.body["lockedAddresses"]), (200, &json!(0)), "{}", opened.body);
    assert_eq!(from(&server, "192.0.2.1", "ann", PASSWORD).await.status, 200);
    server.running.stop().await;
}

#[tokio::test]
async fn a_lock_ends_and_gives_all_attempts_back() {
    let server =
        TestServer::start(&[("ACCOUNT_LOCKOUT_ATTEMPTS", "2"), ("ACCOUNT_LOCKOUT_DURATION", "1500")]).await;
    server.verified("ann").await;
    from(&server, OWNER, "ann", "wrong").await;
    assert!(is_locked(&from(&server, OWNER, "ann", "wrong").await));
    let began = std::time::Instant::now();
    // There is no event when it ends: it is tried.
    while is_locked(&from(&server, OWNER, "ann", "wrong").await) {
        assert!(began.elapsed() < std::time::Duration::from_secs(20), "it does not end");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(began.elapsed() > std::time::Duration::from_secs(1));
    // That was one miss, and there is another attempt.
    assert_eq!(from(&server, OWNER, "ann", PASSWORD).await.status, 200);
    server.running.stop().await;
}

/// A lock that somebody set by hand is another thing: it shuts out who is in as well.
#[tokio::test]
async fn a_lock_by_hand_shuts_out_everybody() {
    let server = TestServer::start(&[]).await;
    let token = server.verified("ann").await;
    let id = server.get("/api/v1/auth/me", &token).await.text("id").to_owned();
    let pool = server.running.system().persistence().pool();
    sqlx::query("UPDATE users SET account_locked_until = now() + interval '1 hour' WHERE id = $1")
        .bind(&id)
        .execute(pool)
        .await
        .unwrap();
    server.running.app().auth().forget(&id);
    let refused = server.get("/api/v1/auth/me", &token).await;
    assert!(is_locked(&refused), "{}", refused.body);
    assert!(is_locked(&from(&server, OWNER, "ann", PASSWORD).await));
    server.running.stop().await;
}

/// Nobody learns from the time of an answer which names there are: it is the same work for all.
#[tokio::test]
async fn a_name_that_nobody_has_costs_the_work_of_a_wrong_password() {
    let server = TestServer::start(&[]).await;
    server.verified("ann").await;
    server.verified("gone").await;
    server.verified("google").await;
    let pool = server.running.system().persistence().pool();
    for change in ["is_active = false WHERE username = 'gone'", "password = NULL WHERE username = 'google'"] {
        let query = sqlx::AssertSqlSafe(format!("UPDATE users SET {change}"));
        assert_eq!(sqlx::query(query).execute(pool).await.unwrap().rows_affected(), 1);
    }
    let work = async |name: &str| {
        let passwords = server.running.app().auth().passwords();
        let before = passwords.rounds();
        let answer = from(&server, STRANGER, name, "Wr0ng!enough").await;
        assert_eq!((answer.status, is_locked(&answer)), (401, false), "{name}");
        passwords.rounds() - before
    };
    let known = work("ann").await;
    assert_eq!(known, 1 << 4, "the cost of these servers is 4");
    for name in ["nobody", "nobody@example.org", "gone", "google"] {
        assert_eq!(work(name).await, known, "{name}");
    }
    server.running.stop().await;
}
