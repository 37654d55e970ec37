//! A server in this process, and a client that asks it one thing at a time.

use std::process::Command;
use std::time::Duration;

use devpocket::config::{Config, Source};
use devpocket::{Parts, Running, Server};
use devpocket_actors::persistence::embedded::PrivatePostgres;
use devpocket_actors::templates;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::http;
pub use crate::http::Answer;

/// A password that satisfies the rules.
pub const PASSWORD: &str = "Str0ng!enough";
/// The key of all test servers.
pub const JWT_SECRET: &str = "a-secret-of-more-than-32-characters!";

/// What seals in all test servers.
pub const SECRET_KEY: &str = "another-secret-of-more-than-32-characters";

/// A server with an empty database of its own; its mails are in a directory.
pub struct TestServer {
    pub running: Running,
    outbox: tempfile::TempDir,
}

impl TestServer {
    pub async fn start(variables: &[(&str, &str)]) -> Self {
        let database = PrivatePostgres::for_tests().await.unwrap();
        Self::start_on(&database.url, database.pool, variables).await
    }

    /// Ends it, and starts another one on its database.
    pub async fn restarted(self, variables: &[(&str, &str)]) -> Self {
        let url = self.running.app().config().database.url.expose_secret().to_owned();
        let pool = self.running.system().persistence().pool().clone();
        self.running.stop().await;
        Self::start_on(&url, pool, variables).await
    }

    async fn start_on(url: &str, pool: PgPool, variables: &[(&str, &str)]) -> Self {
        let outbox = tempfile::tempdir().unwrap();
        let directory = outbox.path().display().to_string();
        let basis = [
            ("DATABASE_URL", url),
            ("JWT_SECRET", JWT_SECRET),
            ("SECRET_KEY", SECRET_KEY),
            ("NODE_ENV", "test"),
            ("BCRYPT_ROUNDS", "4"),
            ("MAIL_OUTBOX_DIR", &directory),
        ];
        let all = basis.iter().chain(variables);
        let source = Source::of(all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let config = Config::read(&source).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let parts = Parts { config, listener, pool, clusters: Vec::new() };
        let running = Server::start(parts).await.unwrap();
        templates::sync(running.system().persistence(), templates::built_in().unwrap()).await.unwrap();
        Self { running, outbox }
    }

    /// Runs a command of the program on this server's database; gives whether it succeeded, and what
    /// it said.
    pub fn command(&self, args: &[&str]) -> (bool, String) {
        self.command_with(args, &[("SECRET_KEY", SECRET_KEY)])
    }

    /// The same with more variables.
    pub fn command_with(&self, args: &[&str], variables: &[(&str, &str)]) -> (bool, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_devpocket"))
            .args(args)
            .env_clear()
            .current_dir(self.outbox.path())
            .env("DATABASE_URL", self.running.app().config().database.url.expose_secret())
            .env("JWT_SECRET", JWT_SECRET)
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    }

    /// Sends exactly these lines and this body.
    pub async fn raw(&self, head: &str, body: &[u8]) -> Answer {
        http::raw(self.running.addr(), head, body).await
    }

    /// The status of an answer, if there is one.
    pub async fn raw_or_nothing(&self, line: &str) -> Option<u16> {
        let mut stream = TcpStream::connect(self.running.addr()).await.ok()?;
        let head = format!("{line}\r\nHost: test\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        answer.get(9..12)?.parse().ok()
    }

    pub async fn ask(&self, method: &str, path: &str, token: Option<&str>, body: Option<Value>) -> Answer {
        http::ask(self.running.addr(), method, path, token, body.as_ref()).await
    }

    /// The same as somebody, without borrowing.
    pub async fn ask_boxed(
        &self,
        method: String,
        path: String,
        token: String,
        body: Option<Value>,
    ) -> Answer {
        self.ask(&method, &path, Some(&token), body).await
    }

    pub async fn get(&self, path: &str, token: &str) -> Answer {
        self.ask("GET", path, Some(token), None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask("POST", path, None, Some(body)).await
    }

    pub async fn post_as(&self, path: &str, token: &str, body: Value) -> Answer {
        self.ask("POST", path, Some(token), Some(body)).await
    }

    /// Registers somebody.
    pub async fn register(&self, name: &str) -> Answer {
        let body = json!({ "email": format!("{name}@example.org"), "username": name,
                           "password": PASSWORD, "fullName": "Ann Example" });
        self.post("/api/v1/auth/register", body).await
    }

    pub async fn login(&self, name: &str, password: &str) -> Answer {
        self.post("/api/v1/auth/login", json!({ "usernameOrEmail": name, "password": password })).await
    }

    /// Somebody registered and verified: their access token.
    pub async fn verified(&self, name: &str) -> String {
        let registered = self.register(name).await;
        let token = registered.text("accessToken").to_owned();
        let code = self.code().await;
        let verified = self.post_as("/api/v1/auth/verify-email", &token, json!({ "token": code })).await;
        assert_eq!(verified.status, 200, "{}", verified.body);
        token
    }

    /// The six digits of the newest mail.
    pub async fn code(&self) -> String {
        let mail = self.mail().await;
        let mut words = mail.split(|c: char| !c.is_ascii_alphanumeric());
        let is_code = |word: &&str| word.len() == 6 && word.bytes().all(|byte| byte.is_ascii_digit());
        words.rfind(is_code).unwrap().to_owned()
    }

    /// The newest mail that was asked for (no welcome); it is taken away.
    pub async fn mail(&self) -> String {
        for _ in 0..500 {
            let entries = std::fs::read_dir(self.outbox.path()).unwrap().flatten();
            let mails = entries.map(|entry| entry.path());
            let mails = mails.filter(|path| path.extension().is_some_and(|kind| kind == "eml"));
            let mut mails: Vec<_> =
                mails.map(|path| (std::fs::read_to_string(&path).unwrap(), path)).collect();
            mails.retain(|(mail, _)| !mail.contains("Subject: Welcome"));
            if let Some((mail, path)) = mails.into_iter().max_by_key(|(_, path)| path.clone()) {
                std::fs::remove_file(path).unwrap();
                return mail;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no mail came");
    }
}
