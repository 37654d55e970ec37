//! The server as it runs in a pod: `devpocket serve`, configured by variables alone, let into the
//! cluster as its service account.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::str::FromStr as _;
use std::time::Instant;

use devpocket::client::{Rest, ServerUrl};
use devpocket_actors::persistence::embedded::{PrivatePostgres, TestDatabase};

use crate::common::PATIENCE;
use crate::common::cluster::{Installation, agent_image, service_account};
use crate::common::leash::Leash;
use crate::common::server::{LOOK, Person};
use crate::common::shell::Shell;
use crate::common::site;

const PASSWORD: &str = "Str0ng!enough";

/// Where a pod finds what its service account is let in with.
const ACCOUNT: &str = "/run/secrets/kubernetes.io/serviceaccount";

/// What runs in the pod sees the machine, and a service account at the place where pods have it.
struct Pod {
    account: PathBuf,
    variables: Vec<(&'static str, String)>,
    log: PathBuf,
}

impl Pod {
    async fn new(directory: &Path, database: &TestDatabase, installation: &Installation, port: u16) -> Self {
        let account = directory.join("account");
        let (host, api_port) = service_account(&account).await;
        let text = str::to_owned;
        let variables = vec![
            ("DATABASE_URL", database.url.clone()),
            ("JWT_SECRET", text("a-secret-of-more-than-32-characters!")),
            ("SECRET_KEY", text("another-one-of-more-than-32-characters!")),
            ("NODE_ENV", text("production")),
            ("HOST", text("127.0.0.1")),
            ("PORT", port.to_string()),
            ("MAIL_OUTBOX_DIR", directory.join("outbox").display().to_string()),
            ("KUBERNETES_IN_CLUSTER", text("true")),
            ("KUBERNETES_SERVICE_HOST", host),
            ("KUBERNETES_SERVICE_PORT", api_port),
            ("DEVPOCKET_INSTALLATION", installation.0.clone()),
            ("AGENT_IMAGE", text(agent_image())),
            ("LOG_LEVEL", text("info")),
        ];
        Self { account, variables, log: directory.join("log") }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("bwrap");
        command
            .args(["--die-with-parent", "--dev-bind", "/", "/", "--tmpfs", "/run", "--ro-bind"])
            .arg(&self.account)
            .arg(ACCOUNT)
            .arg(env!("CARGO_BIN_EXE_devpocket"))
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end, which must be a good one; returns what it said.
    fn run(&self, args: &[&str], input: &str) -> String {
        let mut child = self.command(args).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&stdout).into_owned();
        println!("{args:?}: {status}\n{said}");
        assert!(status.success(), "{args:?}: {}", String::from_utf8_lossy(&stderr));
        said
    }

    fn serve(&self) -> Served {
        let log = std::fs::File::create(&self.log).unwrap();
        let mut command = self.command(&["serve"]);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Served(command.spawn().unwrap())
    }
}

/// The process that serves; gone when this is.
struct Served(Child);

impl Served {
    /// Asks it to end, as the kubelet does, and waits until it has.
    async fn stop(mut self) {
        // bwrap stays, and hands on how its child ended.
        let bwrap = self.0.id();
        let children = std::fs::read_to_string(format!("/proc/{bwrap}/task/{bwrap}/children")).unwrap();
        let pid = rustix::process::Pid::from_raw(children.trim().parse().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.0.try_wait().unwrap() {
                Some(status) => return assert!(status.success(), "{status}"),
                None => assert!(Instant::now() < deadline, "it does not end"),
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_in_a_pod_needs_nothing_but_variables_and_its_service_account() {
    let leash = Leash::new();
    let database = PrivatePostgres::for_tests().await.unwrap();
    // Dropped after the server: it takes away what that made.
    let installation = Installation::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let pod = Pod::new(leash.path(), &database, &installation, port).await;

    pod.run(&["migrate"], "");
    pod.run(&["templates", "load", &site::templates().display().to_string()], "");
    let admin =
        ["user", "create-admin", "--email", "ann@example.org", "--username", "ann", "--password-stdin"];
    pod.run(&admin, PASSWORD);
    let found = pod.run(&["doctor", "--cluster", "kubernetes"], "");
    assert!(found.lines().count() > 10 && !found.contains("FAIL"), "{found}");
    pod.run(&["doctor"], "");

    let served = pod.serve();
    let rest = Rest::new(ServerUrl::from_str(&format!("http://127.0.0.1:{port}")).unwrap());
    let deadline = Instant::now() + PATIENCE;
    let tokens = loop {
        match rest.login("ann", PASSWORD).await {
            Ok(tokens) => break tokens,
            Err(error) => {
                let log = std::fs::read_to_string(&pod.log).unwrap_or_default();
                assert!(Instant::now() < deadline, "{error}\n{log}");
            }
        }
        tokio::time::sleep(LOOK).await;
    };
    let ann = Person { rest: rest.with_token(&tokens.access_token), token: tokens.access_token };
    let made = ann.environment("pod").await;
    let mut shell = Shell::quiet(ann.options(&made.id, "main")).await;
    assert_eq!(shell.run("echo $((6 * 7))").await, "42\r\n");
    served.stop().await;

    // The next one finds it, and the shell in it.
    let served = pod.serve();
    assert_eq!(shell.run("echo still $((6 * 7))").await, "still 42\r\n");
    drop(shell);
    served.stop().await;
    let log = std::fs::read_to_string(&pod.log).unwrap();
    for (name, secret) in
        pod.variables.iter().filter(|(name, _)| matches!(*name, "JWT_SECRET" | "SECRET_KEY"))
    {
        assert!(!log.contains(secret.as_str()), "{name} is in the log");
    }
}
