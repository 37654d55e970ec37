//! The real server: `devpocket dev` with a directory of its own.

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use devpocket::client::{Environment, NewEnvironment, Options, Rest, ServerUrl};
use serde_json::Value;
use tokio::time::sleep;

use super::PATIENCE;
#[cfg(feature = "cluster-tests")]
use super::cluster::{self, Installation};
use super::leash::Leash;
use super::secrets;
#[cfg(feature = "cluster-tests")]
use super::site::{self, Site};

/// How often something that tells nobody is looked at.
pub const LOOK: Duration = Duration::from_millis(20);

/// A server process. Dropping it ends everything it started.
pub struct TestServer {
    child: Option<Child>,
    settings: Vec<(String, String)>,
    /// The port stays over a restart, as a real server's does.
    port: u16,
    // Last: it ends what the others left.
    leash: Leash,
    /// Takes what it made on a cluster away, after the server has ended.
    #[cfg(feature = "cluster-tests")]
    cluster: Option<(PathBuf, Installation)>,
}

/// A person who is signed in.
#[derive(Clone)]
pub struct Person {
    /// Asks with their token.
    pub rest: Rest,
    /// Their access token.
    pub token: String,
}

impl TestServer {
    /// Starts a server and waits until it is ready.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with more settings.
    pub async fn start_with(settings: &[(&str, &str)]) -> Self {
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut server = Self {
            child: None,
            settings,
            port: 0,
            leash: Leash::new(),
            #[cfg(feature = "cluster-tests")]
            cluster: None,
        };
        #[cfg(feature = "cluster-tests")]
        if crate::SITE == Site::Kubernetes {
            let kubeconfig = cluster::server_kubeconfig(server.leash.path()).await;
            server.cluster = Some((kubeconfig, Installation::new()));
        }
        server.run().await;
        server
    }

    /// What puts its environments on a cluster, if they shall be on one.
    fn site(&self) -> (Vec<OsString>, Vec<(&'static str, String)>) {
        #[cfg(feature = "cluster-tests")]
        if let Some((kubeconfig, installation)) = &self.cluster {
            let image = cluster::agent_image();
            let args = ["--kubeconfig".into(), kubeconfig.into(), "--agent-image".into(), image.into()];
            let templates = ["--templates".into(), site::templates().into()];
            let settings = [("DEVPOCKET_INSTALLATION", installation.0.clone())];
            return (args.into_iter().chain(templates).collect(), settings.into());
        }
        (Vec::new(), Vec::new())
    }

    /// The name of what it makes on the cluster.
    #[cfg(feature = "cluster-tests")]
    pub fn installation(&self) -> &str {
        &self.cluster.as_ref().expect("it is on a cluster").1.0
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.leash.path().join("data")
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Its address.
    pub fn url(&self) -> ServerUrl {
        ServerUrl::from_str(&format!("http://127.0.0.1:{}", self.port)).unwrap()
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// Kills it as the kernel does when memory is short; what it started lives on or not, as
    /// it is built.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(&mut self) {
        let child = self.child.as_mut().expect("it runs");
        let pid = rustix::process::Pid::from_child(child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.ended().await;
    }

    /// Waits until it has ended, by itself or as it was asked to.
    pub async fn ended(&mut self) -> ExitStatus {
        let child = self.child.as_mut().expect("it runs");
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "the server does not end; its log:\n{}", self.log());
            sleep(LOOK).await;
        };
        self.child = None;
        status
    }

    /// Starts it (again) on its directory; returns how long it took to be ready.
    pub async fn run(&mut self) -> Duration {
        let started = Instant::now();
        let ready = self.data().join("server.json");
        let _ = fs::remove_file(&ready);
        let log = File::options().create(true).append(true).open(self.leash.path().join("log")).unwrap();
        let (args, settings) = self.site();
        let mut command = Command::new(env!("CARGO_BIN_EXE_devpocket"));
        command
            .arg("dev")
            .arg("--data-dir")
            .arg(self.data())
            .args(["--listen", &format!("127.0.0.1:{}", self.port)])
            .args(args)
            .envs(settings)
            .env("RATE_LIMIT_ENABLED", "false")
            .env("DEVPOCKET_AGENT", agent())
            .envs(self.settings.iter().map(|(key, value)| (key, value)))
            .current_dir(self.leash.path())
            .stdin(Stdio::null())
            .stdout(File::create(self.leash.path().join("said")).unwrap())
            .stderr(log);
        let mut child = command.spawn().unwrap();
        let deadline = started + 2 * PATIENCE;
        let url = loop {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the server ended with {status}; its log:\n{}", self.log());
            }
            let file: Option<Value> =
                fs::read(&ready).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
            if let Some(file) = file.filter(|file| file["pid"] == child.id()) {
                break file["url"].as_str().unwrap().to_owned();
            }
            assert!(Instant::now() < deadline, "the server is not ready; its log:\n{}", self.log());
            sleep(LOOK).await;
        };
        self.child = Some(child);
        self.port = url.trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap();
        started.elapsed()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.leash.path().join("log")).unwrap_or_default()
    }

    /// Its resident memory in KiB.
    pub fn rss(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Signs in as the account that `devpocket dev` made.
    pub async fn demo(&self) -> Person {
        self.account("demo-account.json").await
    }

    /// Signs in as its administrator: somebody else.
    pub async fn operator(&self) -> Person {
        self.account("admin-account.json").await
    }

    async fn account(&self, file: &str) -> Person {
        let file = fs::read(self.data().join(file)).unwrap();
        let account: Value = serde_json::from_slice(&file).unwrap();
        let text = |key: &str| account[key].as_str().map(str::to_owned);
        let name = text("username").or_else(|| text("email")).unwrap();
        self.sign_in(&name, &text("password").unwrap()).await
    }

    /// Signs in.
    pub async fn sign_in(&self, name: &str, password: &str) -> Person {
        let rest = Rest::new(self.url());
        let tokens = rest.login(name, password).await.unwrap();
        for secret in [password, &tokens.access_token, &tokens.refresh_token] {
            secrets::add(secret);
        }
        Person { rest: rest.with_token(&tokens.access_token), token: tokens.access_token }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(60).collect();
            println!("--- the end of the server's log:");
            tail.iter().rev().for_each(|line| println!("{line}"));
            return;
        }
        for file in fs::read_dir(self.data()).into_iter().flatten().flatten() {
            // Keys and accounts.
            let json = fs::read(file.path()).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
            secrets::note(&json.unwrap_or_default());
        }
        let leaks = secrets::lines_with_one(&self.log());
        assert!(leaks.is_empty(), "the log tells secrets:\n{}", leaks.join("\n"));
    }
}

impl Person {
    /// Creates an environment and waits until it runs.
    pub async fn environment(&self, name: &str) -> Environment {
        let new = NewEnvironment { name: name.to_owned(), template_id: crate::SITE.template().to_owned() };
        let made = self.rest.create(&new).await.unwrap();
        self.running(&made.id).await
    }

    /// Waits until an environment runs.
    pub async fn running(&self, id: &str) -> Environment {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let environment = self.rest.environment(id).await.unwrap();
            match environment.status.as_str() {
                "RUNNING" => return environment,
                "ERROR" | "TERMINATED" => panic!("{environment:?}"),
                _ => assert!(Instant::now() < deadline, "{environment:?}"),
            }
            sleep(LOOK).await;
        }
    }

    /// How to connect to a session of an environment, with short waits.
    pub fn options(&self, environment: &str, session: &str) -> Options {
        let mut options = Options::new(self.rest.server().clone(), environment, &self.token);
        options.session = session.to_owned();
        options.backoff =
            devpocket::client::Backoff::new(Duration::from_millis(4), Duration::from_millis(200));
        options
    }
}

/// The agent's program: what the scripts built, or what lies beside the server's.
pub fn agent() -> PathBuf {
    if let Some(named) = std::env::var_os("DEVPOCKET_AGENT") {
        return named.into();
    }
    let beside = PathBuf::from(env!("CARGO_BIN_EXE_devpocket")).with_file_name("devpocket-agent");
    assert!(beside.exists(), "{} is missing: cargo build -p devpocket-agent", beside.display());
    beside
}
