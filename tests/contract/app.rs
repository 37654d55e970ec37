//! The mobile app's own way through the API: its fields, its slashes, its strict decoding.
//!
//! The structs are what the app decodes, and as strictly: a required member that is missing or
//! null, a word that it does not know, a value of a map that is no text, and it shows nothing.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::common::PATIENCE;
use crate::common::http::{Answer, raw};
use crate::common::raw::RawSocket;
use crate::common::secrets;
use crate::common::server::{LOOK, TestServer};
use crate::story::{code_of, mail_to, server};

#[derive(Deserialize)]
struct Tokens {
    access_token: String,
    refresh_token: String,
    token_type: String,
    expires_in: u64,
}

#[derive(Deserialize)]
struct User {
    id: String,
    username: String,
    email: String,
    full_name: Option<String>,
    is_active: bool,
    is_verified: bool,
    subscription_plan: String,
    created_at: DateTime<Utc>,
    last_login: Option<DateTime<Utc>>,
    preferred_region: Option<String>,
    avatar_url: Option<String>,
}

#[derive(Deserialize, PartialEq, Eq, Debug, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Status {
    Creating,
    Running,
    Stopped,
    Terminated,
    Error,
}

#[derive(Deserialize)]
struct Limits {
    cpu: Option<String>,
    memory: Option<String>,
    storage: Option<String>,
}

#[derive(Deserialize)]
struct Environment {
    id: String,
    name: String,
    template_id: String,
    status: Status,
    resource_limits: Limits,
    environment_variables: BTreeMap<String, String>,
    external_url: Option<String>,
    web_port: Option<i64>,
    ssh_port: Option<i64>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    last_accessed: Option<DateTime<Utc>>,
    cpu_usage: Option<f64>,
    memory_usage: Option<f64>,
    storage_usage: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Category {
    ProgrammingLanguage,
    Framework,
    Database,
    Devops,
    OperatingSystem,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum TemplateStatus {
    Active,
    Beta,
    Deprecated,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "that it can be decoded is what counts")]
struct Template {
    id: String,
    name: String,
    display_name: String,
    description: String,
    category: Category,
    tags: Vec<String>,
    docker_image: String,
    default_port: Option<i64>,
    default_resources: BTreeMap<String, String>,
    environment_variables: BTreeMap<String, String>,
    startup_commands: Vec<String>,
    documentation_url: Option<String>,
    icon_url: Option<String>,
    status: TemplateStatus,
    version: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    usage_count: i64,
}

/// The app decodes a single one otherwise than one of a list.
#[derive(Deserialize)]
#[allow(dead_code, reason = "that it can be decoded is what counts")]
struct TemplateDetail {
    id: String,
    name: String,
    description: String,
    image: String,
    config: Option<BTreeMap<String, Value>>,
    default_resources: Option<BTreeMap<String, Value>>,
}

#[derive(Deserialize)]
struct Logs {
    logs: Vec<String>,
    total: i64,
    has_more: bool,
}

#[derive(Deserialize)]
struct Metrics {
    cpu_usage: Option<f64>,
    memory_usage: Option<f64>,
    disk_usage: Option<f64>,
    network_in: Option<f64>,
    network_out: Option<f64>,
    timestamp: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
struct Problem {
    detail: String,
    errors: Option<Vec<FieldProblem>>,
}

#[derive(Deserialize)]
struct FieldProblem {
    field: String,
    message: String,
    code: Option<String>,
}

/// The app on a phone.
struct Phone<'a> {
    server: &'a TestServer,
    /// What its HTTP library calls itself, if it says so.
    agent: Option<&'static str>,
    token: Option<String>,
}

impl Phone<'_> {
    async fn send(&self, method: &str, path: &str, body: Value) -> Answer {
        secrets::note_sent(&body);
        let mut head = format!("{method} /api/v1{path} HTTP/1.1\r\nAccept: application/json");
        if let Some(agent) = self.agent {
            head += &format!("\r\nUser-Agent: {agent}");
        }
        if let Some(token) = &self.token {
            head += &format!("\r\nAuthorization: Bearer {token}");
        }
        let bytes = if body.is_null() { String::new() } else { body.to_string() };
        if !body.is_null() {
            head += "\r\nContent-Type: application/json";
        }
        let answer = raw(self.server.addr(), &head, bytes.as_bytes()).await;
        secrets::note(&answer.body);
        answer
    }

    /// Asks for something that must be had, and decodes it.
    async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        decoded(&self.send("GET", path, Value::Null).await)
    }

    /// Does something of which the app reads no more than that it was done.
    async fn act(&self, method: &str, path: &str) {
        let answer = self.send(method, path, Value::Null).await;
        assert!((200..300).contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text);
    }

    /// Looks at an environment until it has that status.
    async fn until(&self, id: &str, status: Status) -> Environment {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let environment: Environment = self.get(&format!("/environments/{id}")).await;
            if environment.status == status {
                return environment;
            }
            assert!(Instant::now() < deadline, "still {:?}", environment.status);
            sleep(LOOK).await;
        }
    }
}

fn decoded<T: DeserializeOwned>(answer: &Answer) -> T {
    assert!((200..300).contains(&answer.status), "{} {}", answer.status, answer.text);
    serde_json::from_str(&answer.text).unwrap_or_else(|error| panic!("{error} in {}", answer.text))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_app_walks_through_with_what_its_library_calls_itself() {
    walk(Some("Dart/3.5 (dart:io)")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_app_walks_through_without_saying_what_it_is() {
    walk(None).await;
}

async fn walk(agent: Option<&'static str>) {
    let server = server(&[]).await;
    let mut phone = Phone { server: &server, agent, token: None };

    // Signing up: no full name was typed, and no special character is asked for.
    let password = "Str0ngenough";
    let refused =
        phone.send("POST", "/auth/login", json!({ "username_or_email": "dora", "password": password })).await;
    let problem: Problem = serde_json::from_str(&refused.text).unwrap();
    assert!(
        refused.status == 401 && problem.detail.to_lowercase().contains("incorrect"),
        "{}",
        problem.detail
    );
    let new = json!({ "username": "dora", "email": "dora@example.org", "password": password });
    // Without its library's name only the spelling tells, and of these names one must be spelled.
    let new = if agent.is_some() { new } else { with_name(new) };
    let tokens: Tokens = decoded(&phone.send("POST", "/auth/register", new).await);
    assert!(tokens.token_type == "bearer" && tokens.expires_in > 60);
    for token in [&tokens.access_token, &tokens.refresh_token] {
        assert!(expires(token) > Utc::now().timestamp(), "the app reads the end of both");
    }
    phone.token = Some(tokens.access_token);
    let me: User = phone.get("/auth/me").await;
    assert!(me.is_active && !me.is_verified && me.subscription_plan == "free", "{}", me.id);
    assert_eq!((me.username.as_str(), me.email.as_str()), ("dora", "dora@example.org"));
    assert!(me.full_name.is_some() && me.preferred_region.is_none() && me.avatar_url.is_none());
    let region = json!({ "preferred_region": "southeast-asia" });
    let me: User = decoded(&phone.send("PUT", "/users/me", region).await);
    assert_eq!(me.preferred_region.as_deref(), Some("southeast-asia"));
    assert!(me.created_at <= Utc::now() && me.last_login.is_none_or(|at| at <= Utc::now()));

    // The six digits.
    let code = code_of(&mail_to(&server, "dora").await);
    secrets::add(&code);
    phone.act("POST", "/auth/resend-verification").await;
    let code = {
        let newer = code_of(&mail_to(&server, "dora").await);
        secrets::add(&newer);
        if newer == code { code } else { newer }
    };
    let verified = phone.send("POST", "/auth/verify-email", json!({ "token": code })).await;
    assert_eq!(verified.status, 200, "{}", verified.text);
    assert!(phone.get::<User>("/auth/me").await.is_verified);

    // A new start of the app refreshes.
    let refreshed =
        phone.send("POST", "/auth/refresh", json!({ "refresh_token": tokens.refresh_token })).await;
    phone.token = Some(decoded::<Tokens>(&refreshed).access_token);

    // Templates: a list, and a single one.
    let templates: Vec<Template> = phone.get("/templates/").await;
    let ubuntu = templates.iter().find(|template| template.name == "ubuntu").unwrap();
    assert!(templates.iter().all(|template| template.status != TemplateStatus::Deprecated));
    assert!(["cpu", "memory", "storage"].iter().all(|key| ubuntu.default_resources.contains_key(*key)));
    let single: TemplateDetail = phone.get(&format!("/templates/{}", ubuntu.id)).await;
    assert!(!single.image.is_empty() && single.name == "ubuntu");

    // Creating, wrongly first, then by the name that older builds send, then rightly.
    let wrong =
        phone.send("POST", "/environments/", json!({ "name": "my project", "template_id": ubuntu.id })).await;
    let problem: Problem = serde_json::from_str(&wrong.text).unwrap();
    let fields = problem.errors.unwrap();
    assert!(wrong.status == 422 && fields[0].field == "name" && fields[0].message.starts_with("name"));
    assert!(fields[0].code.is_some() && !problem.detail.is_empty());
    let new = json!({ "name": "pocket", "template_id": ubuntu.id, "resource_limits": null,
                      "environment_variables": { "camelCase": "kept-as-it-is" } });
    let made: Environment = decoded(&phone.send("POST", "/environments/", new).await);
    assert_eq!(made.status, Status::Creating);
    assert_eq!(made.template_id, ubuntu.id);
    let running = phone.until(&made.id, Status::Running).await;
    assert_eq!(running.environment_variables["camelCase"], "kept-as-it-is");
    let limits = &running.resource_limits;
    assert!(limits.cpu.is_some() && limits.memory.is_some() && limits.storage.is_some());
    assert!(
        running.external_url.is_none()
            && running.ssh_port.is_none()
            && running.web_port.is_none_or(|p| p > 0)
    );
    assert!(
        running.created_at <= running.updated_at && running.last_accessed.is_none_or(|at| at <= Utc::now())
    );
    assert!(
        [running.cpu_usage, running.memory_usage, running.storage_usage].iter().flatten().all(|n| *n >= 0.0)
    );
    let list: Vec<Environment> = phone.get("/environments/").await;
    assert_eq!(list.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["pocket"]);

    type_in(&server, &made.id, phone.token.as_ref().unwrap()).await;

    let logs: Logs = phone.get(&format!("/environments/{}/logs?lines=100", made.id)).await;
    assert_eq!(logs.logs.len(), usize::try_from(logs.total).unwrap());
    assert!(!logs.has_more);
    let metrics: Metrics = phone.get(&format!("/environments/{}/metrics", made.id)).await;
    assert!(metrics.cpu_usage.is_some() && metrics.memory_usage.is_some() && metrics.disk_usage.is_some());
    assert!(metrics.network_in.is_some() && metrics.network_out.is_some() && metrics.timestamp.is_some());

    // It fires, ignores the answer, and looks again at once: what it sees must be the new state.
    phone.act("POST", &format!("/environments/{}/stop", made.id)).await;
    assert_eq!(phone.get::<Environment>(&format!("/environments/{}", made.id)).await.status, Status::Stopped);
    phone.act("POST", &format!("/environments/{}/start", made.id)).await;
    let seen = phone.get::<Environment>(&format!("/environments/{}", made.id)).await.status;
    assert!(matches!(seen, Status::Creating | Status::Running), "{seen:?}");
    phone.until(&made.id, Status::Running).await;
    // It offers deletion in any state.
    phone.act("DELETE", &format!("/environments/{}", made.id)).await;
    assert!(phone.get::<Vec<Environment>>("/environments/").await.is_empty());
    phone.act("POST", "/auth/logout").await;
    assert_eq!(phone.send("GET", "/auth/me", Value::Null).await.status, 401);
}

fn with_name(mut body: Value) -> Value {
    body["full_name"] = json!("Dora");
    body
}

/// A terminal, key by key, as the app's emulator sends them.
async fn type_in(server: &TestServer, environment: &str, token: &str) {
    let mut socket = RawSocket::json(&server.url(), environment, token).await;
    let welcome = socket.json_of("welcome").await;
    assert_eq!(
        (&welcome["environment"]["name"], &welcome["environment"]["template"]),
        (&json!("pocket"), &json!("ubuntu"))
    );
    assert_eq!(welcome["environment"]["status"], "running");
    socket.text(&json!({ "type": "resize", "cols": 44, "rows": 31 })).await;
    for key in "stty size; echo $camelCase\r".chars() {
        socket.text(&json!({ "type": "input", "data": key.to_string() })).await;
    }
    let mut shown = String::new();
    let deadline = Instant::now() + PATIENCE;
    while !(shown.contains("31 44") && shown.contains("\r\nkept-as-it-is")) {
        assert!(Instant::now() < deadline, "{shown}");
        shown.push_str(socket.json_of("output").await["data"].as_str().unwrap());
    }
    // A program that reads, Ctrl-C, and an arrow, which is an escape sequence. What is typed
    // while a program has the terminal looks otherwise, so the prompt is waited for.
    for (keys, answer, then) in [
        ("echo re''ady; cat\r", "ready\r\n", ""),
        ("w\u{f6}rd\r", "w\u{f6}rd\r\nw\u{f6}rd", ""),
        ("\u{3}", "^C", "$ "),
        ("\u{1b}[A\u{15}echo en''d\r", "end\r\n", "$ "),
    ] {
        socket.text(&json!({ "type": "input", "data": keys })).await;
        while !shown.rsplit_once(answer).is_some_and(|(_, after)| after.contains(then)) {
            assert!(Instant::now() < deadline, "{keys:?}: {shown}");
            let message = socket.json_message().await;
            shown.push_str(
                message["data"].as_str().filter(|_| message["type"] == "output").unwrap_or_default(),
            );
        }
    }
    socket.text(&json!({ "type": "ping" })).await;
    socket.json_of("pong").await;
}

/// The end of a token, as the app reads it: without checking anything.
fn expires(token: &str) -> i64 {
    let claims = jsonwebtoken::dangerous::insecure_decode::<Value>(token).unwrap().claims;
    claims["exp"].as_i64().unwrap()
}
