//! `devpocket connect`, as a person and as a script runs it.

use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use tokio::task::block_in_place;
use tokio::time::sleep;

use crate::common::server::{LOOK, TestServer};
use crate::common::soon;

fn start(server: &TestServer, arguments: &[&str], input: &str) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_devpocket"))
        .arg("connect")
        .args(arguments)
        .arg("--data-dir")
        .arg(server.data())
        .env("XDG_CONFIG_HOME", server.data().join("config"))
        .env_remove("DEVPOCKET_SERVER")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child
}

fn connect(server: &TestServer, arguments: &[&str], input: &str) -> std::process::Output {
    start(server, arguments, input).wait_with_output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn piped_commands_run_and_the_code_comes_back() {
    let server = TestServer::start().await;
    let account = server.data().join("demo-account.json");
    let account = account.to_str().unwrap().to_owned();
    let created = ["--account", &account, "--create", "ubuntu", "--name", "piped", "--yes"];
    let output = block_in_place(|| connect(&server, &created, "printf 'h%s\\n' ello\nexit 3\n"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("hello"), "{text}\n{errors}");
    assert_eq!(output.status.code(), Some(3), "{text}\n{errors}");
    assert!(!text.contains("\u{1b}c"), "a screen was written into a pipe: {text:?}");
    assert!(!errors.contains("missed"), "{errors}");

    // Signed in from now on; the end of the input ends the shell.
    let output = block_in_place(|| connect(&server, &["piped"], "printf 'ag%s\\n' ain\n"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("again"), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(!text.contains("\u{1b}c"), "a screen was written into a pipe: {text:?}");
    assert_eq!(output.status.code(), Some(0));

    let output = block_in_place(|| connect(&server, &["nowhere"], ""));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nowhere"));
    assert_ne!(output.status.code(), Some(0));
}

/// A program in a named session that was piped in; what it does next is up to the test.
struct Steps {
    server: TestServer,
    home: PathBuf,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    next: u32,
}

impl Steps {
    /// The program counts, five times a second, until it is told that it is enough.
    async fn start() -> Self {
        let server = TestServer::start().await;
        let environment = server.demo().await.environment("steps").await;
        let home = server.data().join("environments").join(environment.id).join("home");
        let account = server.data().join("demo-account.json").to_str().unwrap().to_owned();
        let program = "i=0; until [ -e enough ]; do echo step $((i += 1)); sleep 0.2; done; \
                       for n in 1 2 3; do echo step $((i + n)); done; echo $((i + 3)) >last; exit 5\n";
        let mut child = start(&server, &["--account", &account, "--session", "steps", "steps"], program);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { server, home, child, lines, next: 1 }
    }

    /// Reads until a step, which are to come in order, once each; or to the end of the output.
    fn read_until(&mut self, step: Option<u32>) {
        while step.is_none_or(|step| self.next <= step) {
            let Some(line) = block_in_place(|| self.lines.next()) else { break };
            let line = line.unwrap();
            // The first one has marks of the prompt before it; the echo of the program has no number.
            let number =
                line.trim_end().rsplit_once("step ").and_then(|(_, number)| number.parse::<u32>().ok());
            if let Some(number) = number {
                assert_eq!(number, self.next);
                self.next += 1;
            }
        }
        assert!(step.is_none_or(|step| self.next > step), "the output ended at step {}", self.next);
    }

    fn enough(&self) {
        fs::write(self.home.join("enough"), "").unwrap();
    }

    /// The last step, once the program has come to it.
    async fn last(&self) -> u32 {
        let last = async {
            loop {
                let text = fs::read_to_string(self.home.join("last")).unwrap_or_default();
                if let Some(number) = text.strip_suffix('\n') {
                    return number.parse().unwrap();
                }
                sleep(LOOK).await;
            }
        };
        soon("the last step", last).await
    }

    /// All steps have come, and the code of the shell.
    async fn ends_as_it_should(mut self) {
        self.read_until(None);
        assert_eq!(self.next, self.last().await + 1);
        let output = block_in_place(|| self.child.wait_with_output()).unwrap();
        assert_eq!(output.status.code(), Some(5), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Input that has ended leaves a named session when it is silent; a server that is away is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_into_a_named_session_waits_for_a_server_that_was_killed() {
    let mut steps = Steps::start().await;
    steps.read_until(Some(3));
    steps.server.kill();
    // Away for longer than the silence after which a named session is left.
    sleep(Duration::from_millis(1_500)).await;
    steps.server.run().await;
    // Some that were missed, and some that were not.
    steps.read_until(Some(20));
    steps.enough();
    steps.ends_as_it_should().await;
}

/// What a session wrote and how it ended while the server was away is not lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_hears_of_a_session_that_ended_while_the_server_was_away() {
    let mut steps = Steps::start().await;
    steps.read_until(Some(3));
    steps.server.kill();
    steps.enough();
    steps.last().await;
    steps.server.run().await;
    steps.ends_as_it_should().await;
}
