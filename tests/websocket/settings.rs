//! What is changed of an environment that runs, and when that counts.

use hyper::Method;
use serde_json::{Value, json};

use crate::common::server::{LOOK, TestServer};
use crate::common::shell::Shell;
use crate::common::soon;

#[tokio::test(flavor = "multi_thread")]
async fn variables_and_memory_count_from_the_next_start() {
    let server = TestServer::start().await;
    let person = server.demo().await;
    let id = person.environment("settings").await.id;
    let path = format!("/api/v1/environments/{id}");
    let look = "echo \"$FLAVOUR/$EDITOR_OF_MINE/$(ulimit -d)\"";
    let put = |body: Value| person.rest.ask::<Value>(Method::PUT, &path, Some(body));
    put(json!({ "environmentVariables": { "EDITOR_OF_MINE": "ed" } })).await.unwrap();

    let changed = put(json!({
        "resources": { "memory": "640Mi" },
        "environmentVariables": { "FLAVOUR": "plain vanilla", "EDITOR_OF_MINE": null },
    }));
    let changed = changed.await.unwrap();
    assert_eq!(changed["restartRequired"], true, "{changed}");
    assert!(changed["message"].as_str().unwrap().contains("next start"), "{changed}");
    assert_eq!(changed["resources"]["memory"], "640Mi");
    let mut shell = Shell::quiet(person.options(&id, "main")).await;
    assert!(shell.run(look).await.starts_with("//"), "what runs is not touched");
    drop(shell);

    person.rest.act(&id, "restart").await.unwrap();
    person.running(&id).await;
    soon("the next start", async {
        loop {
            // Until the instance that was to go has gone.
            let mut shell = Shell::quiet(person.options(&id, "main")).await;
            let seen = shell.run(look).await;
            if seen == format!("plain vanilla//{}\r\n", 640 * 1024) {
                return;
            }
            assert!(seen.starts_with("//"), "{seen}");
            tokio::time::sleep(LOOK).await;
        }
    })
    .await;

    // A new name alone needs no restart, nor does what does not run.
    let renamed = put(json!({ "name": "renamed" })).await.unwrap();
    assert_eq!(renamed["restartRequired"], false, "{renamed}");
    person.rest.act(&id, "stop").await.unwrap();
    soon("the end", async {
        while person.rest.environment(&id).await.unwrap().status != "STOPPED" {
            tokio::time::sleep(LOOK).await;
        }
    })
    .await;
    // The machine's own volumes can grow.
    let storage = put(json!({ "resources": { "storage": "30Gi" } })).await.unwrap();
    assert_eq!(
        (&storage["restartRequired"], &storage["resources"]["storage"]),
        (&json!(false), &json!("30Gi"))
    );
}
