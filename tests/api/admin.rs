//! Looking after others: who may, what changes, and that it is recorded.

use devpocket_actors::persistence::audit::{self, AuditFilter};
use devpocket_actors::persistence::users::UpdateUser;
use devpocket_actors::persistence::{Page, Role};
use serde_json::{Value, json};

use crate::server::{Answer, PASSWORD, TestServer};

/// Somebody verified with that role: their access token and id.
pub async fn somebody(server: &TestServer, name: &str, role: Role) -> (String, String) {
    let token = server.verified(name).await;
    let id = server.get("/api/v1/auth/me", &token).await.text("id").to_owned();
    let change = UpdateUser { id: id.clone(), role: Some(role), ..UpdateUser::default() };
    server.running.system().persistence().write(change).await.unwrap();
    server.running.app().auth().forget(&id);
    (token, id)
}

async fn ask(server: &TestServer, method: &str, path: &str, token: &str, body: Value) -> Answer {
    let body = if body.is_null() { None } else { Some(body) };
    server.ask(method, &format!("/api/v1/admin/users{path}"), Some(token), body).await
}

#[tokio::test]
async fn an_administrator_finds_and_changes_accounts_and_it_counts_at_once() {
    let server = TestServer::start(&[]).await;
    let (root, _) = somebody(&server, "root", Role::Admin).await;
    let (ann, id) = somebody(&server, "ann", Role::User).await;
    let list = ask(&server, "GET", "?search=ANN@&role=user&plan=free&active=true", &root, Value::Null).await;
    assert_eq!((list.status, list.body["pagination"]["total"].as_u64()), (200, Some(1)), "{}", list.body);
    let found = &list.body["users"][0];
    assert_eq!((found["id"].as_str(), found["role"].as_str()), (Some(id.as_str()), Some("USER")));
    assert_eq!((&found["hasPassword"], &found["sessionCount"]), (&json!(true), &json!(1)));
    assert!(!list.body.to_string().contains("$2b$"), "{}", list.body);
    assert_eq!(ask(&server, "GET", "?role=king", &root, Value::Null).await.status, 400);
    assert_eq!(ask(&server, "GET", "/nobody", &root, Value::Null).await.status, 404);

    // A role.
    let role = |role: &str| json!({ "role": role });
    let path = format!("/{id}");
    assert_eq!(ask(&server, "GET", &path, &ann, Value::Null).await.status, 403);
    let made = ask(&server, "PUT", &format!("/{id}/role"), &root, role("support")).await;
    assert_eq!((made.status, made.text("role")), (200, "SUPPORT"), "{}", made.body);
    assert_eq!(ask(&server, "GET", &path, &ann, Value::Null).await.status, 200);
    // Support looks and changes nothing.
    for (method, what, body) in [
        ("PUT", "role", role("ADMIN")),
        ("PUT", "plan", json!({ "plan": "PRO" })),
        ("POST", "suspend", Value::Null),
        ("POST", "activate", Value::Null),
        ("POST", "unlock", Value::Null),
    ] {
        assert_eq!(ask(&server, method, &format!("/{id}/{what}"), &ann, body).await.status, 403, "{what}");
    }
    let wrong = ask(&server, "PUT", &format!("/{id}/role"), &root, role("KING")).await;
    assert!(wrong.status == 400 && wrong.body["errors"][0]["field"] == "role", "{}", wrong.body);

    // A plan, which allows more environments now and makes nobody an administrator.
    let paid =
        ask(&server, "PUT", &format!("/{id}/plan"), &root, json!({ "subscriptionPlan": "ENTERPRISE" })).await;
    assert_eq!((paid.status, paid.text("subscriptionPlan")), (200, "ENTERPRISE"), "{}", paid.body);
    assert_eq!(server.get("/api/v1/auth/me", &ann).await.text("subscriptionPlan"), "ENTERPRISE");
    ask(&server, "PUT", &format!("/{id}/role"), &root, role("USER")).await;
    assert_eq!(ask(&server, "GET", "", &ann, Value::Null).await.status, 403);

    // A suspension.
    let reason = json!({ "reason": "spam" });
    let suspended = ask(&server, "POST", &format!("/{id}/suspend"), &root, reason).await;
    assert_eq!((suspended.status, &suspended.body["isActive"]), (200, &json!(false)), "{}", suspended.body);
    assert_eq!(server.get("/api/v1/auth/me", &ann).await.status, 401);
    assert_eq!(server.login("ann", PASSWORD).await.status, 401);
    let active = ask(&server, "POST", &format!("/{id}/activate"), &root, Value::Null).await;
    assert_eq!((active.status, &active.body["isActive"]), (200, &json!(true)));
    // What was ended stays ended.
    assert_eq!(server.get("/api/v1/auth/me", &ann).await.status, 401);
    assert_eq!(server.login("ann", PASSWORD).await.status, 200);

    let filter = AuditFilter { target: Some(id), action: Some("admin.".into()), ..AuditFilter::default() };
    let pool = server.running.system().persistence().pool();
    let record = audit::page(pool, &filter, Page::default()).await.unwrap().0;
    let actions: Vec<_> = record.iter().rev().map(|line| line.action.as_str()).collect();
    let expected = ["role", "plan", "role", "suspend", "activate"].map(|act| format!("admin.user.{act}"));
    assert_eq!(actions, expected);
    assert!(record.iter().all(|line| line.actor_name.as_deref() == Some("root") && line.ip.is_some()));
    server.running.stop().await;
}

#[tokio::test]
async fn the_last_administrator_is_kept_and_told_why() {
    let server = TestServer::start(&[]).await;
    let (root, id) = somebody(&server, "root", Role::Admin).await;
    for (method, what, body) in [("PUT", "role", json!({ "role": "USER" })), ("POST", "suspend", Value::Null)]
    {
        let refused = ask(&server, method, &format!("/{id}/{what}"), &root, body).await;
        assert!(refused.status == 409 && refused.text("message").contains("last administrator"), "{what}");
    }
    let password = json!({ "password": PASSWORD });
    let kept = server.ask("DELETE", "/api/v1/users/me", Some(&root), Some(password)).await;
    assert_eq!(kept.status, 409, "{}", kept.body);
    assert_eq!(ask(&server, "GET", "", &root, Value::Null).await.status, 200);
    // Not signed in at all.
    assert_eq!(server.ask("GET", "/api/v1/admin/users", None, None).await.status, 401);
    server.running.stop().await;
}

#[tokio::test]
async fn accounts_are_shown_in_both_dialects() {
    let server = TestServer::start(&[]).await;
    somebody(&server, "root", Role::Admin).await;
    let login = json!({ "username_or_email": "root", "password": PASSWORD });
    let token = server.post("/api/v1/auth/login", login).await.text("access_token").to_owned();
    let list = ask(&server, "GET", "/", &token, Value::Null).await;
    let root = &list.body["users"][0];
    assert_eq!((&root["role"], &root["subscription_plan"]), (&json!("admin"), &json!("free")));
    assert_eq!((&root["locked_addresses"], &root["has_password"]), (&json!(0), &json!(true)));
    assert_eq!(list.body["pagination"]["has_more"], false);
    let id = root["id"].as_str().unwrap();
    let one = ask(&server, "GET", &format!("/{id}/"), &token, Value::Null).await;
    assert_eq!((one.text("username"), one.text("full_name")), ("root", "Ann Example"));
    let wrong = ask(&server, "PUT", &format!("/{id}/plan"), &token, json!({ "plan": "gold" })).await;
    assert_eq!(wrong.status, 422);
    server.running.stop().await;
}
