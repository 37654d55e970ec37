//! The database of the server before this one, taken over by the command line.

use devpocket_actors::cluster::stored;
use devpocket_actors::persistence::clusters;
use devpocket_actors::persistence::embedded::{PrivatePostgres, TestDatabase};
use serde_json::json;

use crate::server::{SECRET_KEY, TestServer};

const OLD_KEY: &str = "the-reference-secret-key-of-40-characters";

/// A database of that server.
async fn reference() -> TestDatabase {
    let database = PrivatePostgres::for_tests().await.unwrap();
    let password = bcrypt::hash("Old-passw0rd!", 4).unwrap();
    let sql = include_str!("../fixtures/reference/schema.sql")
        .replace("{password}", &password)
        .replace("{kubeconfig}", include_str!("../fixtures/reference/kubeconfig.sealed").trim());
    let sql = format!("DROP SCHEMA public CASCADE; CREATE SCHEMA public; {sql}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&database.pool).await.unwrap();
    database
}

fn import(server: &TestServer, old: &TestDatabase, more: &[&str]) -> (bool, String) {
    let args = [&["import", "--from", &old.url], more].concat();
    let (ok, said) = server.command_with(&args, &[("SECRET_KEY", SECRET_KEY), ("OLD_KEY", OLD_KEY)]);
    assert!(!said.contains("hunter2") && !said.contains(OLD_KEY), "{said}");
    (ok, said)
}

/// Everything that an import may touch.
async fn everything(server: &TestServer) -> Vec<String> {
    let pool = server.running.system().persistence().pool();
    let mut all = Vec::new();
    for table in [
        "users",
        "templates",
        "clusters",
        "user_clusters",
        "environments",
        "environment_logs",
        "environment_metrics",
    ] {
        let query = format!("SELECT to_jsonb(t)::text FROM {table} t ORDER BY id");
        all.extend(
            sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(query)).fetch_all(pool).await.unwrap(),
        );
    }
    all
}

fn line<'a>(said: &'a str, table: &str) -> Vec<&'a str> {
    let line = said.lines().find(|line| line.split_whitespace().next() == Some(table));
    line.unwrap_or_else(|| panic!("no {table} in {said}")).split_whitespace().skip(1).collect()
}

#[tokio::test]
async fn an_old_installation_is_taken_over() {
    let server = TestServer::start(&[]).await;
    let old = reference().await;
    let before = everything(&server).await;

    let (_, said) = import(&server, &old, &["--old-secret-env", "OLD_KEY", "--dry-run"]);
    assert!(said.contains("nothing was changed"), "{said}");
    assert_eq!(everything(&server).await, before);

    // One account is a double and one kubeconfig is lost: the exit code says so.
    let (ok, said) = import(&server, &old, &["--old-secret-env", "OLD_KEY"]);
    assert!(!ok, "{said}");
    for (table, counts) in [
        ("users", ["4", "3", "0", "1"]),
        ("templates", ["2", "1", "1", "0"]),
        ("clusters", ["3", "3", "0", "0"]),
        ("user_clusters", ["2", "1", "0", "1"]),
        ("environments", ["7", "6", "0", "1"]),
        ("environment_logs", ["1204", "1203", "0", "1"]),
        ("environment_metrics", ["1", "1", "0", "0"]),
    ] {
        assert_eq!(line(&said, table), counts, "{said}");
    }
    for words in [
        "LEFT OUT: user cuserann000000000000000002: another account has the address ann@example.org",
        "LEFT OUT: cluster lost: its kubeconfig cannot be opened, so it is INACTIVE",
        "ANN is taken, so it is ann-2 here",
        "the template nodejs is here already",
        "1 rows of refresh_tokens are not taken",
        "1 rows of terminal_sessions are not taken",
    ] {
        assert!(said.contains(words), "{words} in {said}");
    }

    // Again: nothing more, and nothing else.
    let after = everything(&server).await;
    let (ok, said) = import(&server, &old, &["--old-secret-env", "OLD_KEY"]);
    assert!(!ok, "{said}");
    assert_eq!(line(&said, "environments"), ["7", "0", "6", "1"]);
    assert_eq!(everything(&server).await, after);

    // People come in with their old passwords, and what they pay makes nobody an administrator.
    let ann = server.login("ann", "Old-passw0rd!").await;
    assert_eq!(ann.status, 200, "{}", ann.body);
    let token = ann.text("accessToken");
    let me = server.get("/api/v1/auth/me", token).await;
    assert_eq!((me.text("email"), me.text("subscriptionPlan")), ("ann@example.org", "ENTERPRISE"));
    assert!(me.text("createdAt").starts_with("2024-02-03T04:05:06.789"), "{}", me.body);
    let pool = server.running.system().persistence().pool();
    let roles: Vec<String> =
        sqlx::query_scalar("SELECT DISTINCT role FROM users").fetch_all(pool).await.unwrap();
    assert_eq!(roles, ["USER"]);

    let list = server.get("/api/v1/environments?limit=100", token).await;
    let shown = list.body["environments"].as_array().unwrap();
    let mut names: Vec<&str> = shown.iter().map(|one| one["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["box", "broken", "coming", "halting", "running"]);
    let boxed = shown.iter().find(|one| one["name"] == "box").unwrap();
    assert_eq!(boxed["environmentVariables"], json!({ "TOKEN": "hunter2", "PORT": "3000" }));
    assert_eq!(boxed["template"], "nodejs");
    let wanted: Vec<(String, String)> =
        sqlx::query_as("SELECT status, desired_state FROM environments ORDER BY id")
            .fetch_all(pool)
            .await
            .unwrap();
    let wanted: Vec<(&str, &str)> = wanted.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(
        wanted,
        [
            ("TERMINATED", "TERMINATED"),
            ("STOPPED", "STOPPED"),
            ("ERROR", "STOPPED"),
            ("STOPPING", "STOPPED"),
            ("PROVISIONING", "RUNNING"),
            ("RUNNING", "RUNNING"),
        ]
    );
    let plain: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM environments WHERE environment_variables::text NOT LIKE '\"v1.%'",
    )
    .fetch_one(pool)
    .await
    .unwrap();
    assert_eq!(plain, 0);

    let vault = server.running.system().vault().clone();
    for name in ["sealed", "plain"] {
        let row = clusters::by_id_or_name(pool, name).await.unwrap().unwrap().cluster;
        assert!(row.kubeconfig.expose().starts_with("v1."), "{name}");
        assert!(stored::access(Some(&vault), &row).is_ok(), "{name}");
    }
    let lost = clusters::by_id_or_name(pool, "lost").await.unwrap().unwrap().cluster;
    assert_eq!(lost.status.as_str(), "INACTIVE");
    let received: i64 =
        sqlx::query_scalar("SELECT network_rx FROM environment_metrics").fetch_one(pool).await.unwrap();
    assert_eq!(received, 9_007_199_254_740_993);
    server.running.stop().await;
}

#[tokio::test]
async fn what_is_no_old_database_is_refused() {
    let server = TestServer::start(&[]).await;
    let ours = PrivatePostgres::for_tests().await.unwrap();
    let (ok, said) = import(&server, &ours, &[]);
    assert!(!ok && said.contains("this server's own"), "{said}");
    let old = reference().await;
    sqlx::query("DROP TABLE environment_logs").execute(&old.pool).await.unwrap();
    let (ok, said) = import(&server, &old, &[]);
    assert!(!ok && said.contains("it has no tables environment_logs"), "{said}");
    let (ok, said) = import(&server, &old, &["--old-secret-env", "NOT_SET"]);
    assert!(!ok && said.contains("NOT_SET"), "{said}");
    server.running.stop().await;
}
