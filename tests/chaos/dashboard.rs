//! What operators see and do while things fail.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use devpocket_actors::persistence::Role;
use devpocket_actors::persistence::users::UpdateUser;
use devpocket_actors::supervision::{Kind, What};
use serde_json::{Map, Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::common::http::{self, Answer};
use crate::common::raw::RawSocket;
use crate::common::server::{LOOK, Person};
use crate::common::shell::Shell;
use crate::common::soon;
use crate::inside::Inside;

async fn ask(server: &Inside, method: &str, path: &str, person: Option<&Person>) -> Answer {
    let addr: SocketAddr = server.url().authority().parse().unwrap();
    let token = person.map(|person| person.token.as_str());
    http::ask(addr, method, &format!("/api/v1/admin{path}"), token, None).await
}

/// RFC 7396 §2.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let members = target.as_object_mut().unwrap();
    for (name, value) in patch {
        if value.is_null() {
            members.remove(&name);
        } else {
            merge(members.entry(name).or_insert(Value::Null), value);
        }
    }
}

/// A dashboard, as its page keeps it.
struct Dashboard {
    socket: RawSocket,
    document: Value,
    events: Vec<Value>,
    patches: Vec<Value>,
}

impl Dashboard {
    async fn open(server: &Inside, person: &Person) -> Result<Self, u16> {
        let bearer = format!("Bearer {}", person.token);
        let headers = [("sec-websocket-protocol", "devpocket.admin"), ("authorization", bearer.as_str())];
        let socket = RawSocket::open(&server.url(), "/api/v1/ws/admin", &headers).await?;
        Ok(Self { socket, document: json!({}), events: Vec::new(), patches: Vec::new() })
    }

    async fn view(&mut self, view: Value) {
        let mut view = view;
        view["type"] = json!("view");
        self.socket.text(&view).await;
    }

    async fn until(&mut self, what: &str, is: impl Fn(&Self) -> bool) {
        soon(what, async {
            while !is(self) {
                let message = self.socket.json_message().await;
                match message["type"].as_str() {
                    Some("state") => {
                        merge(&mut self.document, message["patch"].clone());
                        self.patches.push(message["patch"].clone());
                    }
                    Some("history") => self.events.extend(message["events"].as_array().unwrap().clone()),
                    _ => {}
                }
            }
        })
        .await;
    }

    fn order(&self) -> Vec<&str> {
        let order = self.document["tree"]["order"].as_array();
        order.into_iter().flatten().filter_map(Value::as_str).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_is_seen_at_once_with_its_reason_and_only_what_changed_is_sent() {
    let server = Inside::start().await;
    let (person, operator) = (server.demo().await, server.operator().await);
    let user = person.rest.me().await.unwrap().id;
    let environment = person.environment("watched").await;
    let shell = Shell::quiet(person.options(&environment.id, "main")).await;
    let terminal = format!("terminal:{}", shell.hellos[0].session_id);

    let mut dashboard = Dashboard::open(&server, &operator).await.unwrap();
    let user = format!("user:{user}");
    let (owner, place) = (user.as_str(), format!("environment:{}", environment.id));
    dashboard
        .view(json!({ "overview": true, "actor": terminal, "tree": {
            "open": ["root", "users", owner, place], "from": 0, "count": 50 } }))
        .await;
    dashboard.until("the terminal", |now| now.order().contains(&terminal.as_str())).await;
    let expected = ["root", "persistence", "mailer", "clusters", "users", owner, &place, &terminal];
    assert_eq!(dashboard.order(), expected);
    let row = &dashboard.document["tree"]["rows"][&terminal];
    assert_eq!(
        (&row["label"], &row["depth"], &row["terminal"]["attachments"]),
        (&json!("main"), &json!(4), &json!(1))
    );
    assert_eq!(dashboard.document["tree"]["rows"][owner]["label"], "ada");
    assert_eq!(dashboard.document["overview"]["sessions"]["live"], 1);
    let counted = |now: &Dashboard| now.document["overview"]["environments"]["byStatus"]["RUNNING"] == 1;
    dashboard.until("the environment to be counted", counted).await;
    assert_eq!(dashboard.document["actor"]["path"], json!(["root", "users", owner, place, terminal]));

    dashboard.patches.clear();
    let struck = Instant::now();
    server.strike(Kind::Terminal, &shell.hellos[0].session_id);
    let restarted = |now: &Dashboard| {
        let row = &now.document["tree"]["rows"][&terminal];
        row["restarts"] == 1
            && row["lastFailure"]["reason"].as_str().is_some_and(|why| why.contains("injected"))
    };
    dashboard.until("the crash", restarted).await;
    assert!(struck.elapsed() < Duration::from_secs(1), "after {:?}", struck.elapsed());
    dashboard.until("both events", |now| now.events.len() >= 2).await;
    let [failed, again] = &dashboard.events[..] else { panic!("{:?}", dashboard.events) };
    assert_eq!(
        (&failed["what"], &failed["actor"], &failed["parent"]),
        (&json!("failed"), &json!(terminal), &json!(place))
    );
    assert_eq!(
        (&failed["failures"], &failed["allowed"], &again["what"]),
        (&json!(1), &json!(5), &json!("restarted"))
    );
    // The others are not sent again, and neither is what has not changed of it.
    for patch in &dashboard.patches {
        let rows = patch["tree"]["rows"].as_object().cloned().unwrap_or_default();
        assert!(rows.values().all(|row| row.get("name").is_none() && row.get("kind").is_none()), "{patch}");
    }
    let shown = ask(&server, "GET", &format!("/actors/{terminal}"), Some(&operator)).await;
    assert_eq!((shown.status, &shown.body["actor"]["restarts"]), (200, &json!(1)), "{}", shown.text);
    assert_eq!(shown.body["history"].as_array().unwrap().len(), 2);

    // Folded, what lies below is summed up.
    dashboard.view(json!({ "tree": { "open": ["root"], "from": 4, "count": 1 } })).await;
    dashboard.until("one row", |now| now.order() == ["users"]).await;
    let below = &dashboard.document["tree"]["rows"]["users"]["below"];
    assert_eq!(*below, json!({ "actors": 3, "restarts": 1, "failing": 0, "attachments": 1 }));
    assert_eq!(dashboard.document["tree"]["total"], 5);
    assert!(dashboard.document.get("overview").is_none() && dashboard.document.get("actor").is_none());
    // Searched, what matches stands flat.
    dashboard.view(json!({ "tree": { "search": "WATCH", "count": 9 } })).await;
    dashboard.until("what matches", |now| now.order() == [place.as_str()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_is_restarted_under_a_session_that_does_not_notice() {
    let server = Inside::start().await;
    let (person, operator) = (server.demo().await, server.operator().await);
    let user = person.rest.me().await.unwrap().id;
    let environment = person.environment("steady").await;
    let mut shell = Shell::quiet(person.options(&environment.id, "main")).await;
    let session = shell.hellos[0].session_id.clone();
    let names = [
        format!("terminal:{session}"),
        format!("environment:{}", environment.id),
        format!("user:{user}"),
        "users".to_owned(),
        "mailer".to_owned(),
        "clusters".to_owned(),
        "persistence".to_owned(),
    ];
    for name in &names {
        let path = name.parse().unwrap();
        let before = server.system.registry().inspect(&path).unwrap().restarts;
        let answer = ask(&server, "POST", &format!("/actors/{name}/restart"), Some(&operator)).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text);
        soon("the restart", async {
            while server.system.registry().inspect(&path).is_none_or(|now| now.restarts <= before) {
                tokio::time::sleep(LOOK).await;
            }
        })
        .await;
        let told = server.system.registry().journal().read(0, Some(&path), 2);
        assert_eq!(told[0].what, What::Asked { by: "grace".into() });
        assert_eq!(shell.run(&format!("echo {name}")).await.trim(), *name);
    }
    assert_eq!((shell.losses, shell.hellos.len()), (0, 1), "the socket stays open");
    let noted = "SELECT count(*) FROM audit_log WHERE action = 'admin.actor.restart' AND actor_name = 'grace'
                 AND target_type = 'actor' AND target_id = ANY($1)";
    soon("all to be noted", async {
        loop {
            let count: i64 =
                sqlx::query_scalar(noted).bind(&names[..]).fetch_one(&server.pool).await.unwrap();
            if count == i64::try_from(names.len()).unwrap() {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    })
    .await;
    let root = ask(&server, "POST", "/actors/root/restart", Some(&operator)).await;
    assert!(root.status == 409 && root.text("message").contains("drain"), "{}", root.text);
    for nobody in ["terminal:nobody", "king", "terminal:"] {
        let answer = ask(&server, "POST", &format!("/actors/{nobody}/restart"), Some(&operator)).await;
        assert_eq!(answer.status, 404, "{nobody}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_figures_and_charts_are_told_over_rest() {
    let server = Inside::start().await;
    let (person, operator) = (server.demo().await, server.operator().await);
    let environment = person.environment("listed").await;
    let shell = Shell::quiet(person.options(&environment.id, "main")).await;
    let list = async |query: &str| ask(&server, "GET", &format!("/actors{query}"), Some(&operator)).await;
    let all = list("?limit=100").await;
    let names: Vec<_> =
        all.body["actors"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert_eq!((all.status, &names[0]), (200, &json!("root")), "{}", all.text);
    assert_eq!(all.body["pagination"]["total"], names.len());
    let only = list("?kind=terminal").await;
    assert_eq!(only.body["actors"][0]["name"], format!("terminal:{}", shell.hellos[0].session_id));
    assert_eq!(list("?search=listed").await.body["pagination"]["total"], 1);
    assert_eq!(list("?only=failing").await.body["actors"], json!([]));
    assert_eq!((list("?kind=king").await.status, list("?only=king").await.status), (400, 400));
    assert_eq!(list("?limit=1&offset=1").await.body["actors"][0]["name"], names[1]);

    let body = soon("the environment to be counted", async {
        loop {
            let overview = ask(&server, "GET", "/overview", Some(&operator)).await.body;
            if overview["clusters"][0]["environments"] == 1 {
                return overview;
            }
            tokio::time::sleep(LOOK).await;
        }
    })
    .await;
    assert!(body["process"]["memoryBytes"].as_u64().unwrap() > 1_000_000, "{body}");
    assert_eq!(
        (&body["database"]["available"], &body["actors"]["byKind"]["terminal"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(body["clusters"][0]["state"], "healthy", "{body}");
    let charts = ask(&server, "GET", "/charts", Some(&operator)).await;
    assert_eq!((charts.status, &charts.body["everySecs"]), (200, &json!(10)));
    assert!(!charts.body["points"].as_array().unwrap().is_empty());
    let history = ask(&server, "GET", "/history?actor=king", Some(&operator)).await;
    assert_eq!(history.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_is_for_administrators_for_as_long_as_they_are() {
    let server = Inside::start().await;
    let (person, operator) = (server.demo().await, server.operator().await);
    assert_eq!(Dashboard::open(&server, &person).await.err(), Some(403));
    let nobody = RawSocket::open(&server.url(), "/api/v1/ws/admin", &[]).await;
    assert_eq!(nobody.err(), Some(401));
    let elsewhere =
        [("origin", "https://elsewhere.example"), ("authorization", &format!("Bearer {}", operator.token))];
    let elsewhere = RawSocket::open(&server.url(), "/api/v1/ws/admin", &elsewhere).await;
    assert_eq!(elsewhere.err(), Some(403));
    for path in ["/overview", "/charts", "/history", "/actors", "/actors/root"] {
        assert_eq!(ask(&server, "GET", path, Some(&person)).await.status, 403, "{path}");
        assert_eq!(ask(&server, "GET", path, None).await.status, 401, "{path}");
    }
    assert_eq!(ask(&server, "POST", "/actors/mailer/restart", Some(&person)).await.status, 403);

    let mut dashboard = Dashboard::open(&server, &operator).await.unwrap();
    dashboard.socket.text(&json!({ "type": "ping" })).await;
    dashboard.socket.json_of("pong").await;
    let id = operator.rest.me().await.unwrap().id;
    let change = UpdateUser { id, role: Some(Role::User), ..UpdateUser::default() };
    let changed = Instant::now();
    server.system.persistence().write(change).await.unwrap();
    assert_eq!(dashboard.socket.closed().await, 4401);
    assert!(changed.elapsed() < Duration::from_secs(6), "after {:?}", changed.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_message_ends_a_dashboard_alone() {
    let server = Inside::start().await;
    let operator = server.operator().await;
    let mut other = Dashboard::open(&server, &operator).await.unwrap();
    let many: Vec<String> = (0..1_001).map(|number| format!("user:{number}")).collect();
    for wrong in [
        "no json".to_owned(),
        "{}".to_owned(),
        json!({ "type": "king" }).to_string(),
        json!({ "type": "view", "tree": { "only": "king", "count": 1 } }).to_string(),
        json!({ "type": "view", "tree": { "from": -1, "count": 1 } }).to_string(),
        json!({ "type": "view", "tree": { "open": many, "count": 1 } }).to_string(),
        json!({ "type": "view", "tree": { "search": "x".repeat(201), "count": 1 } }).to_string(),
        format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000)),
    ] {
        let mut dashboard = Dashboard::open(&server, &operator).await.unwrap();
        dashboard.socket.send(Message::text(wrong.clone())).await;
        assert_eq!(dashboard.socket.closed().await, 4400, "{wrong}");
    }
    let mut dashboard = Dashboard::open(&server, &operator).await.unwrap();
    dashboard.socket.send(Message::text("x".repeat(70_000))).await;
    assert_ne!(dashboard.socket.closed().await, 4400);
    // Names that are none are as good as actors that are gone; a page is never longer than may be.
    other
        .view(json!({ "actor": "king", "tree": { "open": ["king", "root"], "from": 0, "count": 100_000 } }))
        .await;
    other.until("the tree", |now| now.order().first() == Some(&"root")).await;
    assert!(other.document.get("actor").is_none());
}
