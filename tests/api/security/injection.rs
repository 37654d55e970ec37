//! Fields that nobody gave a meaning, and names that mean something elsewhere.

use serde_json::{Value, json};

use crate::environments::add_cluster;
use crate::server::{PASSWORD, TestServer};

/// Members that are not for the person to set.
fn with_more(mut body: Value) -> Value {
    let more = json!({
        "id": "mine", "userId": "mine", "user_id": "mine", "role": "ADMIN", "isAdmin": true, "is_admin": true,
        "subscriptionPlan": "ENTERPRISE", "subscription_plan": "enterprise", "plan": "ENTERPRISE",
        "isVerified": true, "is_verified": true, "isActive": false, "googleId": "1", "createdAt": "1970-01-01T00:00:00Z",
        "status": "RUNNING", "phase": "RUNNING", "kubernetesNamespace": "kube-system", "dockerImage": "evil:1",
        "externalUrl": "https://evil.example", "port": 22, "__proto__": { "role": "ADMIN" }, "constructor": {},
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn nobody_makes_themselves_more_than_they_are() {
    let server = TestServer::start(&[]).await;
    add_cluster(&server).await;
    let body =
        json!({ "email": "ann@example.org", "username": "ann", "password": PASSWORD, "fullName": "Ann" });
    let head =
        "POST /api/v1/auth/register HTTP/1.1\r\nX-DevPocket-Dialect: camel\r\nContent-Type: application/json";
    let made = server.raw(head, with_more(body).to_string().as_bytes()).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let is_plain = |user: &Value, verified: bool| {
        assert_ne!(user["id"], "mine");
        assert_eq!((&user["role"], &user["subscriptionPlan"]), (&json!("USER"), &json!("FREE")), "{user}");
        assert_eq!((&user["isVerified"], &user["isActive"]), (&json!(verified), &json!(true)), "{user}");
    };
    is_plain(&made.body, false);
    let token = made.text("accessToken");
    let changed = server.ask("PUT", "/api/v1/users/me", Some(token), Some(with_more(json!({})))).await;
    is_plain(&changed.body, false);

    let code = server.code().await;
    server.post_as("/api/v1/auth/verify-email", token, with_more(json!({ "token": code }))).await;
    let new = with_more(json!({ "name": "box", "templateId": "ubuntu" }));
    let made = server.post_as("/api/v1/environments", token, new).await;
    assert_eq!((made.status, made.text("status")), (201, "CREATING"), "{}", made.body);
    let id = made.text("id");
    assert!(id != "mine" && made.text("dockerImage") != "evil:1" && made.body["port"] != 22);
    let put = server
        .ask("PUT", &format!("/api/v1/environments/{id}"), Some(token), Some(with_more(json!({}))))
        .await;
    assert_eq!((put.status, put.text("id")), (200, id), "{}", put.body);
    let seen = server.get(&format!("/api/v1/environments/{id}"), token).await;
    assert!(
        seen.text("kubernetesNamespace") != "kube-system" && seen.body["externalUrl"].is_null(),
        "{}",
        seen.body
    );
    is_plain(&server.get("/api/v1/auth/me", token).await.body, true);
    server.running.stop().await;
}

/// What means something to a shell, to Kubernetes, to a file system, to SQL, to a log or a mail.
const ODD: &[&str] = &[
    "../../etc/passwd",
    "..",
    "a/b",
    "a\\b",
    "$(reboot)",
    "`reboot`",
    "a; reboot",
    "a' OR '1'='1",
    "a\"--",
    "%2e%2e%2f",
    "a\r\nX-Evil: 1",
    "a\nb",
    "a\u{0}b",
    "\u{202e}gnp",
    "{{7*7}}",
    "${jndi:ldap://127.0.0.1/a}",
    "-rf",
];

#[tokio::test]
async fn names_that_mean_something_elsewhere_are_refused() {
    let server = TestServer::start(&[]).await;
    add_cluster(&server).await;
    let ann = server.verified("ann").await;
    let made =
        server.post_as("/api/v1/environments", &ann, json!({ "name": "box", "templateId": "ubuntu" })).await;
    let box_path = format!("/api/v1/environments/{}", made.text("id"));
    let mut wrong = Vec::new();
    for odd in ODD {
        let refused = |what: &str, status: u16, allowed: &[u16]| {
            (!allowed.contains(&status)).then(|| format!("{what} {odd:?}: {status}"))
        };
        let rename = server.ask("PUT", &box_path, Some(&ann), Some(json!({ "name": odd }))).await.status;
        // A name of its own may begin with a hyphen; what is made of it in Kubernetes has the id.
        let plain = if *odd == "-rf" { vec![200] } else { vec![400] };
        wrong.extend(refused("environment", rename, &plain));
        let by_template = json!({ "name": "other", "templateId": odd });
        wrong.extend(refused(
            "template",
            server.post_as("/api/v1/environments", &ann, by_template).await.status,
            &[400, 403, 404],
        ));
        let on_cluster = json!({ "name": "other", "templateId": "ubuntu", "clusterId": odd });
        wrong.extend(refused(
            "cluster",
            server.post_as("/api/v1/environments", &ann, on_cluster).await.status,
            &[400, 403, 404],
        ));
        let variables = json!({ "environmentVariables": { *odd: "x" } });
        wrong.extend(refused(
            "variable",
            server.ask("PUT", &box_path, Some(&ann), Some(variables)).await.status,
            &[400],
        ));
        let amount = json!({ "resources": { "cpu": odd } });
        wrong.extend(refused(
            "amount",
            server.ask("PUT", &box_path, Some(&ann), Some(amount)).await.status,
            &[400],
        ));
        let session = json!({ "name": odd });
        let session = server.post_as(&format!("{box_path}/sessions"), &ann, session).await.status;
        // Sessions may be called `..` and `-rf`: their names are in no path and no command line.
        wrong.extend(refused(
            "session",
            session,
            if ["..", "-rf"].contains(odd) { &[409, 503] } else { &[400] },
        ));
        let user = json!({ "username": odd });
        wrong.extend(refused(
            "user",
            server.ask("PUT", "/api/v1/users/me", Some(&ann), Some(user)).await.status,
            if *odd == "-rf" { &[200] } else { &[400] },
        ));
        let escaped: String =
            url::form_urlencoded::byte_serialize(odd.as_bytes()).collect::<String>().replace('+', "%20");
        for path in [
            format!("/api/v1/environments/{escaped}"),
            format!("/api/v1/environments/{escaped}/logs"),
            format!("/api/v1/templates/{escaped}"),
            format!("{box_path}/sessions/{escaped}"),
        ] {
            let method = if path.contains("/sessions/") { "DELETE" } else { "GET" };
            let answer = server.ask(method, &path, Some(&ann), None).await;
            wrong.extend(refused(&path, answer.status, &[400, 404, 409]));
        }
        let search = server.get(&format!("/api/v1/templates?search={escaped}&limit=1"), &ann).await;
        wrong.extend(refused("search", search.status, &[200, 400]));
        if odd.contains(char::is_control) {
            let name = json!({ "fullName": odd });
            wrong.extend(refused(
                "full name",
                server.ask("PUT", "/api/v1/users/me", Some(&ann), Some(name)).await.status,
                &[400],
            ));
        }
    }
    // What is no text is no name either, and is answered in the usual form.
    for path in ["/api/v1/environments/%ff", "/api/v1/templates/%c3%28", "/api/v1/templates/%00", "/%00"] {
        let answer = server.get(path, &ann).await;
        if answer.status != 404 || answer.text("detail").is_empty() {
            wrong.push(format!("{path}: {} {}", answer.status, answer.text));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    server.running.stop().await;
}

#[tokio::test]
async fn ids_of_requests_and_names_of_clients_are_repeated_only_where_they_are_harmless() {
    let server = TestServer::start(&[]).await;
    for odd in ["a b", "<script>", "a\tb", "a;b", &"a".repeat(200), "a\u{e9}"] {
        let answer = server.raw(&format!("GET /nothing HTTP/1.1\r\nX-Request-ID: {odd}"), b"").await;
        let id = answer.header("x-request-id").unwrap();
        assert!(id != odd && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{odd}: {id}");
        assert_eq!(answer.text("requestId"), id);
    }
    // A path is repeated as JSON text, which no browser takes for a page. (The pages repeat none.)
    let page =
        server.raw("GET /api/v1/%3Cscript%3Ealert(1)%3C/script%3E HTTP/1.1\r\nAccept: text/html", b"").await;
    assert_eq!(page.header("content-type"), Some("application/json"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    server.running.stop().await;
}
