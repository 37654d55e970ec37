//! What can go wrong with a cluster, struck for real. `DEVPOCKET_CLUSTER_CONTROL` names a program
//! that is called with an action (`kill`, `start`, `pause`, `resume`, `restart`) and a component
//! (`apiserver`, `kubelet`); tests that need it say so without it and do nothing.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use devpocket::client::Environment;
use devpocket_protocol::client::{ExitReason, SessionState};
use hyper::Method;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams};
use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::SITE;
use crate::common::cluster::admin;
use crate::common::server::{LOOK, Person, TestServer};
use crate::common::shell::Shell;
use crate::common::soon;

/// Breaks and mends the cluster; what was broken is mended when it is dropped.
struct Control {
    program: PathBuf,
    broken: Option<(&'static str, &'static str)>,
}

impl Control {
    fn get() -> Option<Self> {
        let Some(program) = std::env::var_os("DEVPOCKET_CLUSTER_CONTROL") else {
            println!("skipped: DEVPOCKET_CLUSTER_CONTROL names no program that breaks the cluster");
            return None;
        };
        Some(Self { program: program.into(), broken: None })
    }

    fn run(&self, action: &str, component: &str) {
        let status = Command::new(&self.program).args([action, component]).status().unwrap();
        assert!(status.success(), "{action} {component}: {status}");
    }

    fn strike(&mut self, action: &'static str, component: &'static str) {
        self.run(action, component);
        self.broken = Some((if action == "pause" { "resume" } else { "start" }, component));
    }

    fn mend(&mut self) {
        if let Some((action, component)) = self.broken.take() {
            self.run(action, component);
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.mend();
    }
}

/// The pod of an environment, as an operator finds it.
async fn pod(server: &TestServer, environment: &Environment) -> (Api<Pod>, Pod) {
    let labels = format!(
        "devpocket.dev/installation={},devpocket.dev/environment={}",
        server.installation(),
        environment.id
    );
    let client = admin().await;
    let all: Api<Pod> = Api::all(client.clone());
    let pod = all.list(&ListParams::default().labels(&labels)).await.unwrap().items.remove(0);
    (Api::namespaced(client, pod.metadata.namespace.as_deref().unwrap()), pod)
}

async fn shown(person: &Person, environment: &Environment) -> (String, String) {
    let path = format!("/api/v1/environments/{}", environment.id);
    let body: Value = person.rest.ask(Method::GET, &path, None).await.unwrap();
    let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
    (text("status"), text("statusReason"))
}

/// Waits until the environment is shown so; returns the reason, and how long it took.
async fn until_shown(
    person: &Person,
    environment: &Environment,
    what: impl Fn(&str, &str) -> bool,
) -> (String, Duration) {
    let started = Instant::now();
    let waiting = async {
        loop {
            let (status, reason) = shown(person, environment).await;
            if what(&status, &reason) {
                return reason;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    (soon("the status", waiting).await, started.elapsed())
}

/// A loop that prints numbered lines by itself for about so long.
fn printing(lines: u32) -> String {
    format!(
        "i=0; while [ $i -lt {lines} ]; do i=$((i+1)); echo line $i of the output; sleep 0.04; done; \
         printf 'THE %s\\n' END\n"
    )
}

fn printed(lines: u32) -> Vec<u8> {
    let mut all: Vec<u8> =
        (1..=lines).flat_map(|n| format!("line {n} of the output\r\n").into_bytes()).collect();
    all.extend_from_slice(b"THE END\r\n");
    all
}

/// The API server goes and comes while 20 sessions print: each goes on at its byte, and no
/// session has a second channel afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_restarts_under_twenty_sessions() {
    let Some(mut control) = Control::get() else { return };
    let server = TestServer::start_with(&[("WS_MAX_CONNECTIONS_PER_USER", "40")]).await;
    let person = server.demo().await;
    let environment = person.environment("restart").await;
    const SESSIONS: usize = 20;
    const LINES: u32 = 400;
    let mut shells = Vec::new();
    for n in 0..SESSIONS {
        shells.push(Shell::quiet(person.options(&environment.id, &format!("s{n}"))).await);
    }
    let begun = Arc::new(Barrier::new(SESSIONS + 1));
    let tasks: Vec<_> = shells
        .into_iter()
        .map(|mut shell| {
            let begun = begun.clone();
            tokio::spawn(async move {
                shell.type_text(&printing(LINES));
                shell.until("some output", |shell| shell.received.len() > 500).await;
                begun.wait().await;
                shell.until("the outage", |shell| was(shell, SessionState::Reconnecting)).await;
                let live = |shell: &Shell| shell.statuses.last().unwrap().state == SessionState::Live;
                shell.until("the end of the outage", live).await;
                let resumed = Instant::now();
                // In parts, since the whole takes longer than anything else may.
                let all = printed(LINES).len();
                for part in 1..=10 {
                    shell.until("more output", |shell| shell.received.len() >= all * part / 10).await;
                }
                (shell, resumed)
            })
        })
        .collect();
    begun.wait().await;
    control.strike("kill", "apiserver");
    tokio::time::sleep(Duration::from_secs(2)).await;
    control.mend();
    let back = Instant::now();
    let (mut shells, mut took) = (Vec::new(), Vec::new());
    for task in tasks {
        let (shell, resumed) = task.await.unwrap();
        shells.push(shell);
        took.push(resumed.saturating_duration_since(back));
    }
    took.sort();
    println!(
        "resumed after the API server was back: p50 {:?}, last {:?}",
        took[SESSIONS / 2],
        took[SESSIONS - 1]
    );
    for shell in &shells {
        assert_eq!(shell.snapshots.len(), 0, "nothing was missed");
        assert!(shell.received == printed(LINES), "the bytes differ: {}", shell.received.len());
        assert_eq!(shell.losses, 0, "clients stay connected");
    }
    // One channel each and the one for control; those that broke are gone.
    let wanted = format!("{}\r\n", SESSIONS + 1);
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let count = "grep -slz '^attach$' /proc/[0-9]*/cmdline | wc -l";
        let found = shells[0].run(count).await;
        if found == wanted {
            break;
        }
        assert!(Instant::now() < deadline, "{found} channels instead of {wanted}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn was(shell: &Shell, state: SessionState) -> bool {
    shell.statuses.iter().any(|status| status.state == state)
}

/// A pod that is killed: its sessions end with the reason, the environment comes back with its
/// files, and a session of the same name is a new one.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_pod_is_told_and_comes_back() {
    let server = TestServer::start().await;
    let person = server.demo().await;
    let environment = person.environment("killed").await;
    let mut shell = Shell::quiet(person.options(&environment.id, "main")).await;
    shell.run("echo kept > ~/file; sync").await;
    let session = shell.hellos[0].session_id.clone();
    let (pods, pod) = pod(&server, &environment).await;
    let name = pod.metadata.name.unwrap();
    let struck = Instant::now();
    pods.delete(&name, &DeleteParams::default().grace_period(0)).await.unwrap();
    shell.until("EXIT", |shell| shell.exit.is_some()).await;
    let told = struck.elapsed();
    let (reason, _) = until_shown(&person, &environment, |status, _| status != "RUNNING").await;
    println!("EXIT after {told:?}, the status after {:?}: {reason:?}", struck.elapsed());
    assert_eq!(shell.exit.as_ref().unwrap().reason, ExitReason::PodGone);
    assert!(told < Duration::from_secs(2), "{told:?}");
    assert!(struck.elapsed() < Duration::from_secs(4), "{:?}", struck.elapsed());
    assert!(!reason.is_empty());
    person.running(&environment.id).await;
    let mut again = Shell::quiet(person.options(&environment.id, "main")).await;
    assert_ne!(again.hellos[0].session_id, session);
    assert_eq!(again.run("cat ~/file").await, "kept\r\n");
}

/// A container that takes more memory than it may.
#[tokio::test(flavor = "multi_thread")]
async fn a_container_out_of_memory_is_told_so() {
    let server = TestServer::start().await;
    let person = server.demo().await;
    let new = json!({ "name": "memory", "templateId": SITE.template(), "resources": { "memory": "48Mi" } });
    let made: Environment = person.rest.ask(Method::POST, "/api/v1/environments", Some(new)).await.unwrap();
    let environment = person.running(&made.id).await;
    let mut shell = Shell::quiet(person.options(&environment.id, "main")).await;
    shell.run("echo kept > ~/file; sync").await;
    // The kernel takes the largest process, so the agent, which holds what was printed, is made
    // larger than all the others.
    for n in 0..4 {
        let mut large = Shell::quiet(person.options(&environment.id, &format!("large{n}"))).await;
        large.run("seq -w 1000000 1200000 | tr 0123456789 abcdefghij").await;
    }
    shell.type_text("while :; do sleep 1000 & done 2>/dev/null\n");
    let struck = Instant::now();
    shell.until("EXIT", |shell| shell.exit.is_some()).await;
    assert_eq!(shell.exit.as_ref().unwrap().reason, ExitReason::PodGone);
    let (reason, _) = until_shown(&person, &environment, |_, reason| reason.contains("memory")).await;
    println!("told after {:?}: {reason}", struck.elapsed());
    person.running(&environment.id).await;
    let mut again = Shell::quiet(person.options(&environment.id, "main")).await;
    assert_eq!(again.run("cat ~/file").await, "kept\r\n");
}

/// A node that does not answer for half a minute: clients are told to wait, nothing is started
/// anew, and the bytes are exact.
#[tokio::test(flavor = "multi_thread")]
async fn a_paused_node_is_waited_for() {
    let Some(mut control) = Control::get() else { return };
    let server = TestServer::start().await;
    let person = server.demo().await;
    let environment = person.environment("paused").await;
    let (_, before) = pod(&server, &environment).await;
    let mut shell = Shell::quiet(person.options(&environment.id, "main")).await;
    const LINES: u32 = 900;
    shell.type_text(&printing(LINES));
    shell.until("some output", |shell| shell.received.len() > 500).await;
    control.strike("pause", "kubelet");
    let paused = Instant::now();
    let reading = tokio::spawn(async move {
        shell.until("reconnecting", |shell| was(shell, SessionState::Reconnecting)).await;
        println!("told to wait after {:?}", paused.elapsed());
        shell
    });
    tokio::time::sleep(Duration::from_secs(30)).await;
    control.mend();
    let mut shell = reading.await.unwrap();
    shell.until_text("THE END\r\n").await;
    assert!(shell.received == printed(LINES), "the bytes differ: {}", shell.received.len());
    assert_eq!(shell.losses, 0);
    let (_, after) = pod(&server, &environment).await;
    assert_eq!(before.metadata.uid, after.metadata.uid, "the pod is the same");
    assert_eq!(shown(&person, &environment).await.0, "RUNNING");
    let restarts = after.status.unwrap().container_statuses.unwrap()[0].restart_count;
    assert_eq!(restarts, 0);
}

/// The watch is cut, and what it would go on from is compacted away meanwhile (410 Gone): what
/// happens then is seen all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_was_cut_misses_nothing() {
    let Some(mut control) = Control::get() else { return };
    let server = TestServer::start().await;
    let person = server.demo().await;
    let environment = person.environment("watched").await;
    let mut shell = Shell::quiet(person.options(&environment.id, "main")).await;
    shell.run("echo kept > ~/file; sync").await;
    control.strike("kill", "apiserver");
    compact();
    control.mend();
    let (pods, pod) = pod(&server, &environment).await;
    pods.delete(&pod.metadata.name.unwrap(), &DeleteParams::default().grace_period(0)).await.unwrap();
    shell.until("EXIT", |shell| shell.exit.is_some()).await;
    until_shown(&person, &environment, |status, _| status != "RUNNING").await;
    person.running(&environment.id).await;
    let mut again = Shell::quiet(person.options(&environment.id, "main")).await;
    assert_eq!(again.run("cat ~/file").await, "kept\r\n");
}

/// Forgets all revisions but the newest, where etcd can be reached.
fn compact() {
    let Some(endpoint) = std::env::var_os("DEVPOCKET_CLUSTER_ETCD") else {
        return println!("nothing is compacted: DEVPOCKET_CLUSTER_ETCD names no endpoint");
    };
    let etcdctl = |arguments: &[&str]| {
        let output = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .arg("--endpoints")
            .arg(&endpoint)
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    let status: Value =
        serde_json::from_slice(&etcdctl(&["endpoint", "status", "--write-out=json"])).unwrap();
    let revision = status[0]["Status"]["header"]["revision"].as_u64().unwrap().to_string();
    etcdctl(&["compact", &revision]);
}
