//! What the database keeps sealed: seen over HTTP, in the table, and by the commands that change the key.

use serde_json::json;

use crate::environments::add_cluster;
use crate::server::{SECRET_KEY, TestServer};

const NEW_KEY: &str = "a-newer-secret-of-more-than-32-characters";

/// Runs a command with these keys. What it says holds no secret.
fn command(server: &TestServer, args: &[&str], keys: &[(&str, &str)]) -> (bool, String) {
    let (ok, said) = server.command_with(args, keys);
    assert!(!said.contains("hunter2") && !said.contains(NEW_KEY) && !said.contains(SECRET_KEY), "{said}");
    (ok, said)
}

#[tokio::test]
async fn variables_are_sealed_and_their_key_can_be_changed() {
    let server = TestServer::start(&[]).await;
    let ann = server.verified("ann").await;
    add_cluster(&server).await;
    let body = json!({ "name": "box", "template": "ubuntu", "environmentVariables": { "TOKEN": "hunter2" } });
    let made = server.post_as("/api/v1/environments", &ann, body).await;
    assert_eq!(made.body["environmentVariables"]["TOKEN"], "hunter2", "{}", made.body);
    let path = format!("/api/v1/environments/{}", made.text("id"));
    let pool = server.running.system().persistence().pool();
    let stored = async || -> String {
        let column = "SELECT environment_variables::text FROM environments";
        sqlx::query_scalar(column).fetch_one(pool).await.unwrap()
    };
    let sealed = stored().await;
    assert!(sealed.contains("v1.") && !sealed.contains("TOKEN") && !sealed.contains("hunter2"), "{sealed}");
    let shown = async || {
        let (one, list) = (server.get(&path, &ann).await, server.get("/api/v1/environments", &ann).await);
        (
            one.body["environmentVariables"].clone(),
            list.body["environments"][0]["environmentVariables"].clone(),
        )
    };
    let (one, list) = shown().await;
    assert!(one["TOKEN"] == "hunter2" && one == list, "{one} {list}");
    let change = json!({ "environmentVariables": { "TOKEN": null, "OTHER": "x" } });
    let changed = server.ask("PUT", &path, Some(&ann), Some(change)).await;
    assert_eq!(changed.body["environmentVariables"]["OTHER"], "x", "{}", changed.body);
    assert!(changed.body["environmentVariables"]["TOKEN"].is_null());

    // Without the key of before nothing is touched; with it all of it is.
    let before = stored().await;
    let (ok, said) = command(&server, &["keys", "rotate"], &[("SECRET_KEY", NEW_KEY)]);
    assert!(
        !ok && said.contains("environments.environment_variables: 1 ")
            && said.contains("SECRET_KEY_PREVIOUS"),
        "{said}"
    );
    assert_eq!(stored().await, before);
    let both = [("SECRET_KEY", NEW_KEY), ("SECRET_KEY_PREVIOUS", SECRET_KEY)];
    let (_, said) = command(&server, &["doctor"], &both);
    assert!(said.contains("1 of environments.environment_variables under earlier keys"), "{said}");
    let (ok, said) = command(&server, &["keys", "rotate"], &both);
    assert!(ok && said.contains("everything is sealed under SECRET_KEY"), "{said}");
    assert_ne!(stored().await, before);
    let (_, said) = command(&server, &["doctor"], &[("SECRET_KEY", NEW_KEY)]);
    assert!(said.contains("all 1 sealed values are under SECRET_KEY"), "{said}");
    let (_, said) = command(&server, &["doctor"], &[("SECRET_KEY", SECRET_KEY)]);
    assert!(said.contains("FAIL  sealed"), "{said}");
    // This server has only the old key: the environment is there, its variables are not shown.
    let (one, _) = shown().await;
    assert_eq!(one, json!({}));
    let change = json!({ "environmentVariables": { "MORE": "x" } });
    assert_eq!(server.ask("PUT", &path, Some(&ann), Some(change)).await.status, 409);
    server.running.stop().await;
}
