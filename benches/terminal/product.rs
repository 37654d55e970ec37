//! The product under the same load.

use std::time::{Duration, Instant};

use devpocket::client::{Environment, Event, Options, TerminalClient};

use crate::common::server::{Person, TestServer};
use crate::common::shell::Shell;
use crate::keys::{ECHO, echoes};

/// A program that writes so much after a key.
pub const BULK: &str =
    "stty raw -echo; printf 'REA%s' DY; head -c 1 >/dev/null; head -c BYTES /dev/zero | tr '\\0' x; sleep 60";

/// How many keys in each session, and the pause between two.
pub fn schedule(sessions: usize, keys: usize) -> (usize, Duration) {
    if sessions == 1 { (keys, Duration::from_millis(5)) } else { (keys / 10, Duration::from_millis(100)) }
}

/// How many sessions are opened in one environment; it takes no more than 64.
const SESSIONS_EACH: usize = 50;

/// A server with as many environments as the sessions need.
pub struct Product {
    server: TestServer,
    person: Person,
    environments: Vec<Environment>,
}

impl Product {
    pub async fn start() -> Self {
        let server = TestServer::start_with(&[
            ("WS_MAX_CONNECTIONS_PER_USER", "1000"),
            ("PRO_PLAN_MAX_ENVIRONMENTS", "2000"),
            ("LOG_LEVEL", "warn"),
        ])
        .await;
        let person = server.demo().await;
        let environments = vec![person.environment("bench-0").await];
        Self { server, person, environments }
    }

    /// Makes the environments that so many sessions need.
    async fn make_room(&mut self, sessions: usize) {
        for n in self.environments.len()..sessions.div_ceil(SESSIONS_EACH) {
            self.environments.push(self.person.environment(&format!("bench-{n}")).await);
        }
    }

    fn options(&self, nth: usize, session: &str) -> Options {
        self.person.options(&self.environments[nth / SESSIONS_EACH].id, session)
    }

    async fn open(&self, nth: usize, session: &str, program: &str) -> TerminalClient {
        let mut shell = Shell::open(self.options(nth, session)).await;
        shell.type_text(&format!("exec sh -c \"{}\"\n", program.replace('"', "\\\"")));
        shell.until_text("READY").await;
        shell.client
    }

    /// p50 and p99 of echoed keys, in microseconds.
    pub async fn echo(&mut self, sessions: usize, keys: usize) -> (f64, f64) {
        self.make_room(sessions).await;
        let mut clients = Vec::new();
        for i in 0..sessions {
            clients.push(self.open(i, &format!("echo-{i}-{}", uuid::Uuid::new_v4().simple()), ECHO).await);
        }
        let (each, pause) = schedule(sessions, keys);
        let tasks: Vec<_> = clients
            .into_iter()
            .map(|mut client| {
                tokio::spawn(async move {
                    let took = echoes(&mut client, each, pause).await;
                    client.leave().await;
                    took
                })
            })
            .collect();
        let mut all = Vec::new();
        for task in tasks {
            all.extend(task.await.unwrap());
        }
        self.end_sessions().await;
        (crate::figures::percentile(&all, 0.5), crate::figures::percentile(&all, 0.99))
    }

    async fn end_sessions(&self) {
        for environment in &self.environments {
            self.end_sessions_of(&environment.id).await;
        }
    }

    async fn end_sessions_of(&self, environment: &str) {
        let path = format!("/api/v1/environments/{environment}/sessions");
        let list: serde_json::Value = self.person.rest.ask(hyper::Method::GET, &path, None).await.unwrap();
        for session in list["sessions"].as_array().unwrap() {
            let id = session["sessionId"].as_str().or(session["id"].as_str()).unwrap();
            let ended: Result<serde_json::Value, _> =
                self.person.rest.ask(hyper::Method::DELETE, &format!("{path}/{id}"), None).await;
            if let Err(error) = ended {
                println!("ending a session: {error}");
            }
        }
    }

    /// MB/s of output to a client that acknowledges it.
    pub async fn bulk(&self, bytes: usize) -> f64 {
        let session = format!("bulk-{}", uuid::Uuid::new_v4().simple());
        let program = BULK.replace("BYTES", &bytes.to_string());
        let mut client = self.open(0, &session, &program).await;
        let started = Instant::now();
        let first = client.resume().output().unwrap();
        client.type_bytes(b"\n");
        while client.resume().output().unwrap() < first + bytes as u64 {
            client.next_event().await.unwrap();
        }
        let took = started.elapsed();
        client.leave().await;
        self.end_sessions().await;
        bytes as f64 / 1e6 / took.as_secs_f64()
    }

    /// Milliseconds from dialling to the first byte of the screen.
    pub async fn attach(&self, times: usize) -> Vec<f64> {
        self.open(0, "attached", "echo READY; exec cat").await.leave().await;
        let mut all = Vec::new();
        for _ in 0..times {
            let started = Instant::now();
            let mut client = TerminalClient::new(self.options(0, "attached"));
            while !matches!(client.next_event().await.unwrap(), Event::Snapshot { .. } | Event::Output { .. })
            {
            }
            all.push(started.elapsed().as_secs_f64() * 1e3);
            client.leave().await;
        }
        all
    }

    /// KiB of the server for each idle session that somebody is attached to.
    pub async fn memory(&mut self, sessions: usize) -> f64 {
        self.make_room(sessions).await;
        // What the first one brings (buffers, code pages) belongs to none.
        let first = Shell::open(self.options(0, "first")).await;
        let before = self.server.rss();
        let mut clients = Vec::new();
        for i in 1..sessions {
            let mut shell = Shell::open(self.options(i, &format!("idle-{i}"))).await;
            shell
                .until("its screen", |shell| !shell.snapshots.is_empty() || !shell.received.is_empty())
                .await;
            clients.push(shell);
        }
        let after = self.server.rss();
        drop(first);
        (after.saturating_sub(before)) as f64 / (sessions - 1) as f64
    }
}

/// Milliseconds from starting the process to being ready, with so many environments to look at.
pub async fn start_with_environments(environments: usize, rounds: usize) -> Vec<f64> {
    let mut server =
        TestServer::start_with(&[("PRO_PLAN_MAX_ENVIRONMENTS", "2000"), ("LOG_LEVEL", "warn")]).await;
    let person = server.demo().await;
    let made = person.environment("first").await;
    person.rest.act(&made.id, "stop").await.unwrap();
    copy_row(&server, &made.id, environments - 1).await;
    let mut all = Vec::new();
    for _ in 0..rounds {
        server.stop().await;
        all.push(server.run().await.as_secs_f64() * 1e3);
        let person = server.demo().await;
        assert_eq!(person.rest.environments().await.unwrap().len(), 100, "a page of them");
    }
    all
}

/// Copies an environment's row: making them by the API would start as many agents.
async fn copy_row(server: &TestServer, id: &str, copies: usize) {
    use sqlx::Connection as _;
    let socket = server.data().join("postgres/socket");
    let options = sqlx::postgres::PgConnectOptions::new_without_pgpass()
        .socket(&socket)
        .port(5432)
        .username("devpocket")
        .database("devpocket");
    let mut connection = sqlx::PgConnection::connect_with(&options).await.unwrap();
    let copied = sqlx::query(
        "INSERT INTO environments SELECT (jsonb_populate_record(e, jsonb_build_object(
             'id', lower(substr(md5(n::text) || md5(n::text), 1, 25)), 'name', 'copy-' || n,
             'status', 'STOPPED', 'desired_state', 'STOPPED'))).*
         FROM environments e, generate_series(1, $2) n WHERE e.id = $1",
    )
    .bind(id)
    .bind(i32::try_from(copies).unwrap())
    .execute(&mut connection)
    .await
    .unwrap();
    assert_eq!(copied.rows_affected(), copies as u64);
    connection.close().await.unwrap();
}
