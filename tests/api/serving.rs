//! `devpocket serve` as a process of its own, which can be killed.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::http;
use crate::server::{JWT_SECRET, PASSWORD, SECRET_KEY};

/// Ends a test that would fail anyway.
const PATIENCE: Duration = Duration::from_secs(60);

/// The process. Dropping it kills it.
pub struct Serving {
    addr: SocketAddr,
    child: Child,
    log: JoinHandle<String>,
}

impl Serving {
    /// Starts one on that database, which need not have its tables, and waits until it listens.
    pub async fn start(database: &str, smtp: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_devpocket"))
            .arg("serve")
            .env_clear()
            .envs([("DATABASE_URL", database), ("SMTP_URL", smtp)])
            .envs([("JWT_SECRET", JWT_SECRET), ("SECRET_KEY", SECRET_KEY)])
            .envs([("HOST", "127.0.0.1"), ("PORT", "0"), ("NODE_ENV", "test")])
            .envs([("BCRYPT_ROUNDS", "4"), ("LOG_LEVEL", "info")])
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut log = String::new();
        let listening = async {
            loop {
                let from = log.len();
                assert_ne!(lines.read_line(&mut log).await.unwrap(), 0, "it ended:\n{log}");
                if let Some((_, addr)) = log[from..].trim_end().rsplit_once("url=\"http://") {
                    return addr.trim_end_matches('"').parse().unwrap();
                }
            }
        };
        let addr = tokio::time::timeout(PATIENCE, listening).await;
        let addr = addr.unwrap_or_else(|_| panic!("it does not listen"));
        let log = tokio::spawn(async move {
            lines.read_to_string(&mut log).await.unwrap();
            log
        });
        Self { addr, child, log }
    }

    /// Somebody makes an account.
    pub async fn register(&self, name: &str) {
        let body = json!({ "email": format!("{name}@example.org"), "username": name,
                           "password": PASSWORD, "fullName": "Ann Example" });
        let answer = http::ask(self.addr, "POST", "/api/v1/auth/register", None, Some(&body)).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
    }

    /// Kills it, as the kernel does when memory is short; gives what it logged.
    pub async fn kill(mut self) -> String {
        self.child.kill().await.unwrap();
        self.log.await.unwrap()
    }
}
