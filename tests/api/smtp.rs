//! A real mail server (aiosmtpd) in a child process, and certificates for it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use std::time::Duration;

/// Ends a test that would fail anyway.
const PATIENCE: Duration = Duration::from_secs(60);

pub const USER: &str = "mailer";
pub const PASSWORD: &str = "pa:ss@word";

/// The server. Dropping it ends it.
pub struct Smtp {
    pub port: u16,
    lines: Lines<BufReader<ChildStdout>>,
    child: Child,
}

impl Smtp {
    /// One without TLS and accounts, on that port (0: any).
    pub async fn plain(port: u16) -> Self {
        Self::start(&["--port", &port.to_string()]).await
    }

    /// One that takes mail over TLS (`starttls` or `implicit`) and from [`USER`] alone.
    pub async fn secure(tls: &str, authority: &Authority) -> Self {
        let (cert, key) = (authority.path("leaf.pem"), authority.path("leaf.key"));
        let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
        let account = ["--user", USER, "--password", PASSWORD];
        Self::start(&[&["--tls", tls, "--cert", cert, "--key", key], &account[..]].concat()).await
    }

    async fn start(args: &[&str]) -> Self {
        // Debian's own Python has Debian's packages; another one in the PATH may not.
        let debian = Path::new("/usr/bin/python3");
        let mut child = Command::new(if debian.exists() { debian } else { Path::new("python3") })
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/smtp_server.py"))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next_line().await.unwrap();
        let first = first.unwrap_or_else(|| panic!("no aiosmtpd; scripts/setup test installs it"));
        let first: Value = serde_json::from_str(&first).unwrap();
        Self { port: u16::try_from(first["port"].as_u64().unwrap()).unwrap(), lines, child }
    }

    /// The next thing it says: a mail, or that it put one off.
    pub async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
        serde_json::from_str(&line.unwrap_or_else(|_| panic!("no mail came")).unwrap().unwrap()).unwrap()
    }

    /// Ends it; gives what it said that nobody has read.
    pub async fn stop(mut self) -> Vec<String> {
        drop(self.child.stdin.take());
        self.child.wait().await.unwrap();
        let mut left = Vec::new();
        while let Some(line) = self.lines.next_line().await.unwrap() {
            left.push(line);
        }
        left
    }
}

/// A certificate authority, and a certificate of it for `localhost`.
pub struct Authority(TempDir);

impl Authority {
    pub fn new() -> Self {
        let authority = Self(tempfile::tempdir().unwrap());
        let key = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
        authority.openssl(&key, &["-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Test CA"]);
        let leaf = ["-CA", "ca.pem", "-CAkey", "ca.key", "-subj", "/CN=localhost"];
        let names =
            ["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"];
        let files = ["-keyout", "leaf.key", "-out", "leaf.pem"];
        authority.openssl(&key, &[&leaf[..], &names, &files].concat());
        authority
    }

    fn openssl(&self, key: &[&str], rest: &[&str]) {
        let output = std::process::Command::new("openssl")
            .arg("req")
            .args(key)
            .args(rest)
            .current_dir(self.0.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}
