//! Channels into pods, on the cluster of `KUBECONFIG`. Its node must be this machine (the pods
//! mount folders of it) and have `devbox:1`; kubectl is needed too.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper that fails is a failed test"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use devpocket_actors::plans::Plans;
use devpocket_actors::runtime::kubernetes::access::{self, Finding};
use devpocket_actors::runtime::kubernetes::connect::{self, Access};
use devpocket_actors::runtime::kubernetes::{KubernetesConfig, KubernetesRuntime};
use devpocket_actors::runtime::{EnvironmentKey, LogQuery, Runtime, RuntimeError};
use devpocket_protocol::agent::{AgentFrame, Role, ServerFrame};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::Client;
use kube::api::{Api, DeleteParams, PostParams};
use runtime_suite::Channel;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tokio::time::{sleep, timeout};

#[path = "agent_binary/mod.rs"]
mod agent_binary;
#[path = "runtime_suite/mod.rs"]
mod runtime_suite;

const PATIENCE: Duration = Duration::from_secs(60);

fn kubeconfig() -> PathBuf {
    std::env::var_os("KUBECONFIG")
        .expect("KUBECONFIG must name a cluster: make test-kubernetes KUBECONFIG=…")
        .into()
}

/// A namespace of an installation of its own, with folders of this machine for its pods.
struct Place {
    client: Client,
    runtime: KubernetesRuntime,
    namespace: String,
    files: tempfile::TempDir,
}

impl Drop for Place {
    fn drop(&mut self) {
        kubectl(&["delete", "namespace", &self.namespace, "--wait=false"]);
    }
}

fn kubectl(arguments: &[&str]) {
    let _ = Command::new("kubectl").args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

fn installation(client_id: &str) -> KubernetesConfig {
    KubernetesConfig {
        installation: client_id.to_owned(),
        agent_image: "devbox:1".to_owned(),
        storage_class: None,
        plans: Plans::default(),
        ..KubernetesConfig::default()
    }
}

impl Place {
    async fn new() -> Self {
        let access = Access::File(kubeconfig());
        let client = connect::client(&access).await.unwrap();
        let id: String = format!("t{}", uuid::Uuid::new_v4().simple()).chars().take(12).collect();
        let namespace = format!("{id}-u1");
        let object = serde_json::from_value(json!({"metadata": {"name": namespace}})).unwrap();
        Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &object).await.unwrap();
        let runtime = KubernetesRuntime::new(client.clone(), installation(&id));
        let files = tempfile::tempdir().unwrap();
        Self { client, runtime, namespace, files }
    }

    fn key(&self) -> EnvironmentKey {
        EnvironmentKey { id: "e1".to_owned(), user_id: "u1".to_owned() }
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// A folder that is the pod's `/devpocket/bin`, with this as the agent.
    fn stand_in(&self, script: &str) -> PathBuf {
        let folder = self.files.path().join("bin");
        std::fs::create_dir_all(&folder).unwrap();
        let agent = folder.join("devpocket-agent");
        std::fs::write(&agent, format!("#!/bin/bash\n{script}\n")).unwrap();
        Command::new("chmod").args(["-R", "755"]).arg(self.files.path()).status().unwrap();
        folder
    }

    fn real_agent(&self) -> PathBuf {
        let folder = self.stand_in("");
        std::fs::copy(agent_binary::agent(), folder.join("devpocket-agent")).unwrap();
        folder
    }

    async fn pod(&self, folder: &Path, command: Value, rest: Value) {
        let mut pod = json!({
            "metadata": {"name": "env-e1-0"},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": false,
                "restartPolicy": "Always",
                "containers": [{
                    "name": "environment", "image": "devbox:1", "command": command,
                    "resources": {"limits": {"cpu": "1", "memory": "512Mi"}, "requests": {"cpu": "10m", "memory": "16Mi"}},
                    "volumeMounts": [
                        {"name": "bin", "mountPath": "/devpocket/bin"},
                        {"name": "run", "mountPath": "/devpocket/run"},
                    ],
                }],
                "volumes": [{"name": "bin", "hostPath": {"path": folder}}, {"name": "run", "emptyDir": {}}],
            },
        });
        for (field, value) in rest.as_object().cloned().unwrap_or_default() {
            pod["spec"][field] = value;
        }
        let pod: Pod = serde_json::from_value(pod).unwrap();
        timeout(PATIENCE, async {
            // The namespace's service account may take a moment.
            while let Err(error) = self.pods().create(&PostParams::default(), &pod).await {
                assert!(error.to_string().contains("serviceaccount"), "{error}");
                sleep(Duration::from_millis(100)).await;
            }
        })
        .await
        .unwrap();
    }

    async fn running(&self, folder: &Path, command: Value) {
        self.pod(folder, command, json!({})).await;
        self.wait_for(|pod| {
            let containers = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
            containers.is_some_and(|all| all.iter().all(|container| container.ready))
        })
        .await;
    }

    async fn wait_for(&self, wanted: impl Fn(&Pod) -> bool) {
        timeout(PATIENCE, async {
            while !wanted(&self.pods().get("env-e1-0").await.unwrap()) {
                sleep(Duration::from_millis(50)).await;
            }
        })
        .await
        .expect("the pod gets there");
    }

    /// A pod whose agent is a script.
    async fn with_script(script: &str) -> Self {
        let place = Self::new().await;
        place.running(&place.stand_in(script), json!(["sleep", "3600"])).await;
        place
    }
}

fn words<T>(result: Result<T, RuntimeError>) -> String {
    result.err().expect("it fails").to_string()
}

#[tokio::test]
async fn the_agent_greets() {
    let place = Place::new().await;
    let config = json!({
        "environment_id": "e1", "environment_name": "test", "socket": "/devpocket/run/agent.sock", "home": "/tmp",
    });
    let run = format!(
        "echo '{config}' >/tmp/agent.json; exec /devpocket/bin/devpocket-agent run --config /tmp/agent.json"
    );
    place.running(&place.real_agent(), json!(["bash", "-c", run])).await;
    let shown = runtime_suite::shell(&place.runtime, &place.key(), "echo $((6*7))").await;
    assert_eq!(shown, "42");
    let mut channel = Channel::open(&place.runtime, &place.key(), Role::Control).await;
    assert!(matches!(channel.next().await, Some(AgentFrame::Welcome(_))));
    channel.send(&ServerFrame::Ping(7)).await;
    loop {
        if let AgentFrame::Pong(echoed) = channel.next().await.expect("the channel stays") {
            break assert_eq!(echoed, 7);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn much_output_comes_byte_for_byte() {
    let place = Place::with_script("exec seq 1 2700000").await;
    let mut stream = place.runtime.open(&place.key()).await.unwrap();
    let began = Instant::now();
    let mut got = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut got)).await.unwrap().unwrap();
    println!("{} bytes in {:?}", got.len(), began.elapsed());
    let wanted: String = (1..=2_700_000).map(|line| format!("{line}\n")).collect();
    assert!(got == wanted.as_bytes(), "{} of {} bytes", got.len(), wanted.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn much_input_waits_and_comes_byte_for_byte() {
    let place = Place::with_script("sleep 2; exec cat").await;
    let (mut reader, mut writer) = split(place.runtime.open(&place.key()).await.unwrap());
    let sent: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    let wanted = sent.clone();
    let writing = tokio::spawn(async move {
        // No flush: what was written leaves all the same.
        writer.write_all(&sent).await.unwrap();
        std::future::pending::<()>().await;
    });
    let mut got = vec![0; wanted.len()];
    timeout(PATIENCE, reader.read_exact(&mut got)).await.unwrap().unwrap();
    assert!(got == wanted);
    writing.abort();
}

#[tokio::test]
async fn who_does_not_read_keeps_the_stream() {
    let place = Place::with_script("seq 1 1000000; exec cat").await;
    let mut stream = place.runtime.open(&place.key()).await.unwrap();
    sleep(Duration::from_secs(12)).await;
    let mut left: usize = (1..=1_000_000).map(|line: u32| line.to_string().len() + 1).sum();
    let mut buffer = vec![0; 64 * 1024];
    while left > 0 {
        let room = buffer.len().min(left);
        left -= timeout(PATIENCE, stream.read(&mut buffer[..room])).await.unwrap().unwrap();
    }
    stream.write_all(b"still there").await.unwrap();
    let mut echo = [0; 11];
    timeout(PATIENCE, stream.read_exact(&mut echo)).await.unwrap().unwrap();
    assert_eq!(&echo, b"still there");
}

#[tokio::test]
async fn a_pod_that_goes_ends_its_streams() {
    let place = Place::with_script("exec cat").await;
    let mut stream = place.runtime.open(&place.key()).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    assert_eq!(timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap(), b'x');
    let gone = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    place.pods().delete("env-e1-0", &gone).await.unwrap();
    let began = Instant::now();
    let end = timeout(PATIENCE, stream.read_u8()).await.expect("the end is seen in time");
    println!("ended after {:?}: {end:?}", began.elapsed());
    assert!(end.is_err());
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let place = Place::with_script("echo 'no agent can be reached' >&2; exit 1").await;
    let mut stream = place.runtime.open(&place.key()).await.unwrap();
    let error = timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap_err().to_string();
    println!("agent fails: {error}");
    assert!(error.contains("no agent can be reached"), "{error}");

    std::fs::remove_file(place.files.path().join("bin/devpocket-agent")).unwrap();
    let error = match place.runtime.open(&place.key()).await {
        Ok(mut stream) => timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap_err().to_string(),
        Err(error) => error.to_string(),
    };
    println!("agent missing: {error}");
    assert!(error.contains("no such file"), "{error}");

    let other = EnvironmentKey { id: "e2".to_owned(), ..place.key() };
    let missing = place.runtime.open(&other).await.map(drop);
    assert!(matches!(missing, Err(RuntimeError::Unavailable(_))), "{missing:?}");
    println!("no pod: {}", words(missing));
    println!("no pod to forward to: {}", words(place.runtime.forward(&other, 80).await));
}

#[tokio::test]
async fn a_container_that_does_not_run_is_said() {
    let place = Place::new().await;
    place.pod(&place.stand_in(""), json!(["bash", "-c", "echo the last words; exit 3"]), json!({})).await;
    place
        .wait_for(|pod| {
            let all = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
            all.is_some_and(|all| {
                all.iter().any(|one| {
                    one.state.as_ref().is_some_and(|state| state.waiting.is_some()) && one.restart_count > 0
                })
            })
        })
        .await;
    let error = place.runtime.open(&place.key()).await.map(drop);
    assert!(matches!(error, Err(RuntimeError::Unavailable(_))), "{error:?}");
    println!("no container: {}", words(error));
    let lines =
        place.runtime.logs(&place.key(), LogQuery { lines: 10, since: None, previous: false }).await.unwrap();
    assert_eq!(lines.last().unwrap().text, "the last words", "{lines:?}");
}

#[tokio::test]
async fn logs_are_the_newest_lines_with_their_times() {
    let place = Place::new().await;
    place.running(&place.stand_in(""), json!(["bash", "-c", "seq 1 3000; exec sleep 3600"])).await;
    let lines = place
        .runtime
        .logs(&place.key(), LogQuery { lines: 5000, since: None, previous: false })
        .await
        .unwrap();
    assert_eq!((lines.len(), lines[999].text.as_str()), (1000, "3000"));
    let at = lines[0].at.expect("lines have times");
    assert!((chrono::Utc::now() - at).num_seconds().abs() < 60, "{at}");
    let since = Some(chrono::Utc::now() + chrono::Duration::seconds(5));
    assert!(
        place
            .runtime
            .logs(&place.key(), LogQuery { lines: 10, since, previous: false })
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn an_init_container_that_fails_is_read() {
    let place = Place::new().await;
    let init = json!({"initContainers": [{"name": "agent", "image": "devbox:1", "command": ["bash", "-c", "echo no room; exit 1"]}]});
    place.pod(&place.stand_in(""), json!(["sleep", "3600"]), init).await;
    let read = timeout(PATIENCE, async {
        loop {
            match place.runtime.logs(&place.key(), LogQuery { lines: 10, since: None, previous: false }).await
            {
                Ok(lines) if !lines.is_empty() => return lines,
                _ => sleep(Duration::from_millis(200)).await,
            }
        }
    });
    assert_eq!(read.await.unwrap()[0].text, "no room");
}

#[tokio::test]
async fn ports_are_forwarded() {
    let place = Place::new().await;
    // An echo; the image's Python has little more than sockets.
    let server = "import socket,os
l=socket.socket()
l.bind(('127.0.0.1',8080))
l.listen(9)
while 1:
 c,_=l.accept()
 if os.fork()==0:
  while 1:
   b=c.recv(65536)
   if not b or b==b'bye': os._exit(0)
   c.sendall(b)
 c.close()";
    place.running(&place.stand_in(""), json!(["python3", "-c", server])).await;
    let began = Instant::now();
    let closed = place.runtime.forward(&place.key(), 9999).await;
    assert!(matches!(closed, Err(RuntimeError::Unavailable(_))), "nothing listens on 9999");
    println!("refused after {:?}: {}", began.elapsed(), words(closed));
    let began = Instant::now();
    let stream = timeout(PATIENCE, async {
        loop {
            match place.runtime.forward(&place.key(), 8080).await {
                Ok(stream) => return stream,
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        }
    });
    let (mut reader, mut writer) = split(stream.await.unwrap());
    println!("forwarded after {:?}", began.elapsed());
    let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 249) as u8).collect();
    let wanted = sent.clone();
    let writing = tokio::spawn(async move { writer.write_all(&sent).await.map(|()| writer) });
    let mut got = vec![0; wanted.len()];
    timeout(PATIENCE, reader.read_exact(&mut got)).await.unwrap().unwrap();
    assert!(got == wanted);
    // The end of the server's side is the end of the stream.
    let mut writer = writing.await.unwrap().unwrap();
    writer.write_all(b"bye").await.unwrap();
    let end = timeout(PATIENCE, reader.read_u8()).await.expect("the end is seen in time");
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn figures_come_of_the_node() {
    let place = Place::new().await;
    place.running(&place.stand_in(""), json!(["bash", "-c", "while :; do :; done"])).await;
    let mut spec = runtime_suite::spec("test");
    spec.key = place.key();
    let (first, second) = tokio::join!(place.runtime.stats(&spec), place.runtime.stats(&spec));
    println!("{first:?} {second:?}");
    let stats = first.unwrap();
    assert!(stats.memory_percent > 0.0);
    let busy = timeout(PATIENCE, async {
        while place.runtime.stats(&spec).await.unwrap().cpu_percent < 5.0 {
            sleep(Duration::from_secs(1)).await;
        }
    });
    busy.await.expect("work shows");
}

#[tokio::test]
async fn the_report_names_what_a_role_lacks() {
    let place = Place::new().await;
    let config = installation("t1");
    let lacking = |findings: &[Finding]| -> Vec<String> {
        let wrong = findings.iter().filter(|finding| finding.needed && finding.result.is_err());
        wrong.map(|finding| finding.subject.clone()).collect()
    };
    assert_eq!(lacking(&access::report(&place.client, &config).await), Vec::<String>::new());

    // The role as it is shipped, with names of this test's own.
    let id = &place.namespace;
    let role =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/kubernetes/rbac.yaml"))
            .unwrap();
    let role = role.replace("devpocket-system", id).replace("name: devpocket", &format!("name: {id}"));
    let file = place.files.path().join("rbac.yaml");
    std::fs::write(&file, role).unwrap();
    kubectl(&["apply", "-f", file.to_str().unwrap()]);
    let client = connect::client(&access_with(None, &token(id, id)).unwrap()).await.unwrap();
    let findings = access::report(&client, &config).await;
    kubectl(&["delete", "clusterrole,clusterrolebinding", id]);
    for finding in &findings {
        println!("{} needed={}: {:?}", finding.subject, finding.needed, finding.result);
    }
    assert_eq!(lacking(&findings), Vec::<String>::new());

    // An account without any role.
    let client = connect::client(&access_with(None, &token(id, "default")).unwrap()).await.unwrap();
    let lacks = lacking(&access::report(&client, &config).await);
    println!("without a role: {lacks:?}");
    assert!(lacks.iter().any(|subject| subject.contains("namespaces")), "{lacks:?}");
    assert!(lacks.iter().any(|subject| subject.contains("pods/exec")), "{lacks:?}");
}

/// A token of a service account.
fn token(namespace: &str, account: &str) -> String {
    let made = Command::new("kubectl").args(["create", "token", "-n", namespace, account]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn the_health_check_tells_a_stranger() {
    let place = Place::new().await;
    place.runtime.check().await.unwrap();
    let text = std::fs::read_to_string(kubeconfig()).unwrap();
    let nobody = text.replace("127.0.0.1:16443", "127.0.0.1:1");
    let client = connect::client(&Access::Kubeconfig { text: nobody.into(), context: None }).await.unwrap();
    let error = KubernetesRuntime::new(client, installation("t1")).check().await;
    assert!(
        matches!(&error, Err(RuntimeError::Unavailable(text)) if text.contains("nothing listens")),
        "{error:?}"
    );
}

/// A certificate authority that signed nothing here.
const STRANGER: &str = "-----BEGIN CERTIFICATE-----
MIIBgDCCASWgAwIBAgIUVrQf5d//S01a0fbXxYRIx9wc0VQwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJdGVzdC1jYS0xMCAXDTI2MDMwNDEzMDk1MFoYDzIxMjYwMjA4
MTMwOTUwWjAUMRIwEAYDVQQDDAl0ZXN0LWNhLTEwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAARg57mWJPDsAIEQAgXqMOOfjMQP+PE9HqcZobycO8z94r/uRuV0wKx/
0SvMsKFtnreut0bjgFtmZaWY+6d87Is9o1MwUTAdBgNVHQ4EFgQUjtGuhkM7LtHB
gMPCJIxMwbY69OQwHwYDVR0jBBgwFoAUjtGuhkM7LtHBgMPCJIxMwbY69OQwDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEAj/WzNVJDg/cBtLqQVM77
tkB+QyIXLG3Vi9Xj1YfW9QECIQDDFW8yFtgLeCg2Zhr4xQNq3/24r/01kI2rjFPO
xBkDMw==
-----END CERTIFICATE-----
";

/// The cluster's kubeconfig with this authority and this token.
fn access_with(authority: Option<&str>, token: &str) -> Result<Access, RuntimeError> {
    let text = std::fs::read_to_string(kubeconfig()).unwrap();
    let file: Value = serde_saphyr::from_str(&text).unwrap();
    let mut cluster = file["clusters"][0]["cluster"].clone();
    if let Some(authority) = authority {
        cluster["certificate-authority-data"] = STANDARD.encode(authority).into();
    }
    let file = json!({
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": token}}],
    });
    let text = connect::single_context(&file.to_string().into(), None)?;
    Ok(Access::Kubeconfig { text, context: None })
}

/// What the cluster says to that.
async fn check_with(authority: Option<&str>, token: &str) -> Result<(), RuntimeError> {
    let client = connect::client(&access_with(authority, token)?).await?;
    KubernetesRuntime::new(client, installation("t1")).check().await
}

#[tokio::test]
async fn wrong_authorities_and_tokens_are_told() {
    let error = check_with(Some(STRANGER), "nonsense").await;
    println!("{error:?}");
    assert!(matches!(&error, Err(RuntimeError::Rejected(text)) if text.contains("authority")), "{error:?}");
    let error = check_with(None, "nonsense").await;
    println!("{error:?}");
    assert!(matches!(&error, Err(RuntimeError::Rejected(text)) if text.contains("credentials")), "{error:?}");
    assert!(!format!("{error:?}").contains("nonsense"));
}

/// Figures, not a test: a key's way to `cat` in the pod and back, beside kubectl's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints latencies"]
async fn latency_of_an_echo() {
    let place = Place::with_script("exec cat").await;
    let began = Instant::now();
    let mut stream = place.runtime.open(&place.key()).await.unwrap();
    stream.write_all(b"k").await.unwrap();
    stream.read_u8().await.unwrap();
    println!("ours: first echo after {:?}", began.elapsed());
    let mut ours = Vec::new();
    for _ in 0..300 {
        let began = Instant::now();
        stream.write_all(b"k").await.unwrap();
        stream.flush().await.unwrap();
        stream.read_u8().await.unwrap();
        ours.push(began.elapsed());
    }
    let began = Instant::now();
    let mut child = tokio::process::Command::new("kubectl")
        .args(["exec", "-i", "-n", &place.namespace, "env-e1-0", "--", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    input.write_all(b"k").await.unwrap();
    output.read_u8().await.unwrap();
    println!("kubectl: first echo after {:?}", began.elapsed());
    let mut theirs = Vec::new();
    for _ in 0..300 {
        let began = Instant::now();
        input.write_all(b"k").await.unwrap();
        output.read_u8().await.unwrap();
        theirs.push(began.elapsed());
    }
    for (name, times) in [("ours", &mut ours), ("kubectl", &mut theirs)] {
        times.sort();
        println!("{name}: p50 {:?} p99 {:?}", times[150], times[297]);
    }
    // Two keys in a row: the second must not wait for the first one's acknowledgement.
    let mut pairs = Vec::new();
    for _ in 0..100 {
        let began = Instant::now();
        stream.write_all(b"a").await.unwrap();
        stream.write_all(b"b").await.unwrap();
        stream.read_exact(&mut [0; 2]).await.unwrap();
        pairs.push(began.elapsed());
    }
    pairs.sort();
    println!("ours, two keys: p50 {:?} p99 {:?}", pairs[50], pairs[98]);
}
