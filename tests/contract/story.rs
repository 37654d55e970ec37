//! Asks what the tables say, line by line, against one server for each dialect.

use std::collections::BTreeMap;
use std::fs;

use devpocket_actors::persistence::embedded::PrivatePostgres;
use devpocket_actors::persistence::new_id;
use serde_json::{Map, Value, json};
use sqlx::PgPool;
use tokio::time::{Instant, sleep};

use crate::Dialect;
use crate::common::PATIENCE;
use crate::common::http::{Answer, raw};
use crate::common::secrets;
use crate::common::server::{LOOK, TestServer};
use crate::shape::Shapes;
use crate::table::{self, And, Row};

/// Satisfies the rules.
pub const PASSWORD: &str = "Str0ng!enough";

/// Everybody who appears, but `nobody`.
pub struct Cast {
    pub dialect: Dialect,
    /// By name.
    tokens: BTreeMap<String, String>,
    /// What earlier lines have kept.
    kept: BTreeMap<String, String>,
}

/// The tables, in the order in which they are told.
const TABLES: &[(&str, &str)] = &[
    ("service", include_str!("service.table")),
    ("auth", include_str!("auth.table")),
    ("users", include_str!("users.table")),
    ("templates", include_str!("templates.table")),
    ("environments", include_str!("environments.table")),
    ("clusters", include_str!("clusters.table")),
    // Last: it ends sign-ins.
    ("admin", include_str!("admin.table")),
];

/// Nothing that anybody made has it.
pub const NOTHING: &str = "c0000000000000000000000nothing";

#[tokio::test(flavor = "multi_thread")]
async fn every_line_holds_in_camel() {
    tell(Dialect::Camel).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_holds_in_snake() {
    tell(Dialect::Snake).await;
}

async fn tell(dialect: Dialect) {
    let database = PrivatePostgres::for_tests().await.unwrap();
    let server = server(&[("DEVPOCKET_DATABASE_URL", &database.url)]).await;
    for name in ["second", "third"] {
        add_cluster(&database.pool, name).await;
    }
    let mut cast = Cast::gather(&server, dialect).await;
    let shapes = Shapes::read();
    let mut failures = Vec::new();
    for (name, text) in TABLES {
        for row in table::read(name, text) {
            if row.only.is_none_or(|only| only == dialect) {
                cast.play(&server, &shapes, &row, &mut failures).await;
            }
        }
    }
    assert!(failures.is_empty(), "{} lines differ in {dialect:?}:\n{}", failures.len(), failures.join("\n"));
}

/// A cluster that can be chosen, changed and removed, and can't be reached.
async fn add_cluster(pool: &PgPool, name: &str) {
    let sql = "INSERT INTO clusters (id, name, region, kubeconfig) VALUES ($1, $2, 'here', '')";
    sqlx::query(sql).bind(new_id()).bind(name).execute(pool).await.unwrap();
}

/// A server that tells all it can in its log.
pub async fn server(more: &[(&str, &str)]) -> TestServer {
    let settings: Vec<_> =
        [("LOG_LEVEL", "trace"), ("BCRYPT_ROUNDS", "4")].iter().chain(more).copied().collect();
    TestServer::start_with(&settings).await
}

impl Cast {
    /// Signs everybody in, each as the dialect does.
    pub async fn gather(server: &TestServer, dialect: Dialect) -> Self {
        let mut cast = Self { dialect, tokens: BTreeMap::new(), kept: BTreeMap::new() };
        for name in ["ann", "bob", "eve"] {
            let body = json!({ "email": format!("{name}@example.org"), "username": name,
                               "password": PASSWORD, "fullName": format!("{name} example") });
            let made = cast.ask(server, "nobody", "POST", "/auth/register", Some(body)).await;
            let token = made.text(&dialect.spell("accessToken")).to_owned();
            assert!(!token.is_empty(), "{name}: {}", made.body);
            cast.tokens.insert(name.to_owned(), token);
            cast.kept.insert(format!("{name}-id"), made.text("id").to_owned());
            cast.kept.insert(format!("{name}-refresh"), made.text(&dialect.spell("refreshToken")).to_owned());
            if name != "eve" {
                let code = code_of(&mail_to(server, name).await);
                let verified = cast
                    .ask(server, name, "POST", "/auth/verify-email", Some(json!({ "token": code })))
                    .await;
                assert_eq!(verified.status, 200, "{}", verified.body);
            }
        }
        for (name, file) in [("demo", "demo-account.json"), ("op", "admin-account.json")] {
            let account: Value =
                serde_json::from_slice(&fs::read(server.data().join(file)).unwrap()).unwrap();
            let body = json!({ "usernameOrEmail": account["username"], "password": account["password"] });
            let signed_in = cast.ask(server, "nobody", "POST", "/auth/login", Some(body)).await;
            assert_eq!(signed_in.status, 200, "{}", signed_in.body);
            cast.tokens.insert(name.to_owned(), signed_in.text(&dialect.spell("accessToken")).to_owned());
        }
        for (name, value) in [("password", PASSWORD), ("nothing", NOTHING)] {
            cast.kept.insert(name.to_owned(), value.to_owned());
        }
        cast
    }

    /// Somebody's access token, or what was kept under that name.
    pub fn shown_by(&self, who: &str) -> String {
        self.tokens.get(who).or_else(|| self.kept.get(who)).unwrap().clone()
    }

    /// Asks as somebody, in this dialect: by its spelling, by the token's claim, or by a header
    /// where neither says it.
    pub async fn ask(
        &self,
        server: &TestServer,
        who: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let path = match path.strip_prefix("//") {
            Some(top) => format!("/{top}"),
            None => format!("/api/v1{path}"),
        };
        let body = body.map(|body| respelled(self.dialect, body));
        let mut head = format!("{method} {path} HTTP/1.1");
        if who != "nobody" {
            let token = self.shown_by(who);
            head += &format!("\r\nAuthorization: Bearer {token}");
        } else {
            let spelled = body.as_ref().is_some_and(|body| {
                path.contains("/auth/")
                    && body.as_object().is_some_and(|all| all.keys().any(|key| key.contains('_')))
            });
            if self.dialect == Dialect::Snake && !spelled {
                head += "\r\nX-DevPocket-Dialect: snake";
            }
        }
        let bytes = body.as_ref().map(Value::to_string).unwrap_or_default();
        if body.is_some() {
            head += "\r\nContent-Type: application/json";
        }
        secrets::note_sent(body.as_ref().unwrap_or(&Value::Null));
        let answer = raw(server.addr(), &head, bytes.as_bytes()).await;
        secrets::note(&answer.body);
        // There is nothing that a browser sends along by itself.
        assert!(answer.header("set-cookie").is_none(), "{method} {path}: {}", answer.headers);
        answer
    }

    /// Plays a line.
    async fn play(&mut self, server: &TestServer, shapes: &Shapes, row: &Row, failures: &mut Vec<String>) {
        let (path, body) = (self.filled(&row.path), row.body.as_ref().map(|body| self.filled(body)));
        match row.method.as_str() {
            "CODE" | "LINK" => {
                let mail = mail_to(server, &path).await;
                let found = if row.method == "CODE" { code_of(&mail) } else { link_of(&mail) };
                secrets::add(&found);
                self.kept.insert(row.shape.clone(), found);
                return;
            }
            "WAIT" => return self.wait(server, &row.who, &path, &row.shape).await,
            _ => {}
        }
        let body = body.map(|body| {
            serde_json::from_str(&body).unwrap_or_else(|error| panic!("{}: {error} in {body}", row.place))
        });
        let answer = self.ask(server, &row.who, &row.method, &path, body).await;
        let expected = if self.dialect == Dialect::Camel { row.status.0 } else { row.status.1 };
        let mut wrong = Vec::new();
        if answer.status != expected {
            wrong.push(format!("status {} instead of {expected}", answer.status));
        } else {
            wrong.extend(shapes.check(self.dialect, &row.shape, &answer.body));
        }
        for and in &row.and {
            wrong.extend(self.holds(and, &answer));
        }
        if !wrong.is_empty() {
            let what = format!("{} {} {} as {}", row.place, row.method, row.path, row.who);
            failures.push(format!("- {what}\n    {}\n    body: {}", wrong.join("\n    "), answer.text));
        }
    }

    fn holds(&mut self, and: &And, answer: &Answer) -> Option<String> {
        match and {
            And::Part(key, part) => {
                let value = &answer.body[self.dialect.spell(key)];
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned).to_lowercase();
                let part = self.filled(part);
                (!text.contains(&part)).then(|| format!("{key} has no {part:?}: {text}"))
            }
            And::Is(key, expected) => {
                let found = key.split('.').fold(&answer.body, |value, key| match key.parse::<usize>() {
                    Ok(index) => &value[index],
                    Err(_) => &value[self.dialect.spell(key)],
                });
                let expected = respelled_words(self.dialect, key, expected);
                (*found != expected).then(|| format!("{key} is {found} instead of {expected}"))
            }
            And::Keep(key, name) => match answer.body[self.dialect.spell(key)].as_str() {
                Some(text) => {
                    self.kept.insert(name.clone(), text.to_owned());
                    None
                }
                None => Some(format!("{key} is to be kept and is not there")),
            },
            And::Fields(expected) => {
                let errors = answer.body["errors"].as_array().cloned().unwrap_or_default();
                let mut found: Vec<_> =
                    errors.iter().map(|one| one["field"].as_str().unwrap_or_default()).collect();
                let mut expected: Vec<_> = expected.iter().map(|field| self.dialect.spell(field)).collect();
                found.sort_unstable();
                expected.sort_unstable();
                (found != expected).then(|| format!("complains about {found:?} instead of {expected:?}"))
            }
        }
    }

    /// Waits until somebody's environment has that status.
    pub async fn wait(&self, server: &TestServer, who: &str, id: &str, status: &str) {
        let wanted = if self.dialect == Dialect::Snake { status.to_lowercase() } else { status.to_owned() };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.ask(server, who, "GET", &format!("/environments/{id}"), None).await;
            if answer.text("phase") == wanted {
                return;
            }
            assert!(Instant::now() < deadline, "{id} does not become {wanted}: {}", answer.body);
            sleep(LOOK).await;
        }
    }

    /// What was kept, for `$name`; the longest name that fits.
    fn filled(&self, text: &str) -> String {
        let mut names: Vec<_> = self.kept.keys().collect();
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        names.iter().fold(text.to_owned(), |text, name| text.replace(&format!("${name}"), &self.kept[*name]))
    }
}

/// A body in the dialect's spelling. What is in maps of variables is somebody's own.
fn respelled(dialect: Dialect, value: Value) -> Value {
    let Value::Object(members) = value else { return value };
    let members: Map<_, _> = members
        .into_iter()
        .map(|(key, value)| {
            let value = if key == "environmentVariables" { value } else { respelled(dialect, value) };
            (dialect.spell(&key), value)
        })
        .collect();
    Value::Object(members)
}

/// A word of an enumeration, which only those members hold.
fn respelled_words(dialect: Dialect, key: &str, value: &Value) -> Value {
    let words = ["status", "phase", "category", "subscriptionPlan", "userPlan", "role"];
    let last = key.rsplit('.').next().unwrap_or(key);
    match value.as_str() {
        Some(text) if dialect == Dialect::Snake && words.contains(&last) => json!(text.to_lowercase()),
        _ => value.clone(),
    }
}

/// The newest mail to somebody that was asked for (no welcome); it is taken away.
pub async fn mail_to(server: &TestServer, name: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let entries = fs::read_dir(server.data().join("outbox")).into_iter().flatten().flatten();
        let mut mails: Vec<_> = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|end| end == "eml"))
            .collect();
        mails.sort();
        for path in mails.iter().rev() {
            let mail = fs::read_to_string(path).unwrap();
            if mail.contains(&format!("To: {name}@")) && !mail.contains("Subject: Welcome") {
                fs::remove_file(path).unwrap();
                return mail;
            }
        }
        assert!(Instant::now() < deadline, "no mail to {name} came");
        sleep(LOOK).await;
    }
}

/// The six digits in a mail.
pub fn code_of(mail: &str) -> String {
    let mut words = mail.split(|c: char| !c.is_ascii_alphanumeric());
    words.rfind(|word| word.len() == 6 && word.bytes().all(|byte| byte.is_ascii_digit())).unwrap().to_owned()
}

/// The token of the link in a mail, whose lines may have been folded.
fn link_of(mail: &str) -> String {
    let whole = mail.replace("=\r\n", "").replace("=3D", "=");
    let (_, rest) = whole.split_once("?token=").unwrap_or_else(|| panic!("no link in {mail}"));
    rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect()
}
