//! `devpocket connect`, as a person and as a script runs it.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::common::server::TestServer;

fn connect(server: &TestServer, arguments: &[&str], input: &str) -> std::process::Output {
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
    child.wait_with_output().unwrap()
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
