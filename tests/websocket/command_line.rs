//! `devpocket connect`, as a person and as a script runs it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::common::server::TestServer;

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
    let output = tokio::task::block_in_place(|| connect(&server, &created, "printf 'h%s\\n' ello\nexit 3\n"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("hello"), "{text}\n{errors}");
    assert_eq!(output.status.code(), Some(3), "{text}\n{errors}");
    assert!(!text.contains("\u{1b}c"), "a screen was written into a pipe: {text:?}");
    assert!(!errors.contains("missed"), "{errors}");

    // Signed in from now on; the end of the input ends the shell.
    let output = tokio::task::block_in_place(|| connect(&server, &["piped"], "printf 'ag%s\\n' ain\n"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("again"), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(!text.contains("\u{1b}c"), "a screen was written into a pipe: {text:?}");
    assert_eq!(output.status.code(), Some(0));

    let output = tokio::task::block_in_place(|| connect(&server, &["nowhere"], ""));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nowhere"));
    assert_ne!(output.status.code(), Some(0));
}

/// Input that has ended leaves a named session when it is silent; a server that is away is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_into_a_named_session_waits_for_a_server_that_was_killed() {
    let mut server = TestServer::start().await;
    server.demo().await.environment("killed").await;
    let account = server.data().join("demo-account.json").to_str().unwrap().to_owned();
    let arguments = ["--account", &account, "--session", "steps", "killed"];
    let steps = "for i in $(seq 60); do echo step $i; sleep 0.1; done; exit 5\n";
    let mut child = start(&server, &arguments, steps);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut step = || tokio::task::block_in_place(|| lines.next()).map(Result::unwrap);
    while !step().expect("it goes on").contains("step 9") {}
    server.kill();
    // Away for longer than the silence after which a named session is left.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    server.run().await;
    let mut wanted = 10..=60;
    while let Some(line) = step() {
        if line.starts_with("step ") {
            assert_eq!(line.trim_end(), format!("step {}", wanted.next().unwrap()));
        }
    }
    assert_eq!(wanted.next(), None);
    assert_eq!(tokio::task::block_in_place(|| child.wait()).unwrap().code(), Some(5));
}
