//! The local runtime with real sandboxes and the real agent.
//!
//! `DEVPOCKET_AGENT` names the agent's program; without it, it is built.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod agent_binary;
mod runtime_suite;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use agent_binary::agent;
use devpocket_actors::runtime::local::{LocalConfig, LocalRuntime, Sandbox, sandbox};
use devpocket_actors::runtime::{EnvironmentSpec, LogQuery, Observed, Runtime, RuntimeError};
use devpocket_protocol::agent::{AgentFrame, ControlRequest, Role, ServerFrame};
use runtime_suite::{Channel, PATIENCE, key, shell, spec, start, wait_for};
use tempfile::TempDir;

/// A runtime over a directory of its own. Whatever runs there ends with it, also when a test fails.
struct Place {
    runtime: LocalRuntime,
    root: PathBuf,
    folder: TempDir,
}

impl Place {
    async fn new() -> Self {
        let bubblewrap = sandbox::probe().await.expect("bubblewrap works here");
        Self::with(Sandbox::Bubblewrap(bubblewrap))
    }

    fn with(sandbox: Sandbox) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Longer than the path of a socket may be.
        let root = folder.path().join("a-data-directory-with-a-long-name".repeat(4)).join("environments");
        let runtime = LocalRuntime::new(LocalConfig { root: root.clone(), agent: agent(), sandbox });
        Self { runtime, root, folder }
    }

    /// The number of the agent's process.
    fn agent_pid(&self, spec: &EnvironmentSpec) -> i32 {
        let noted = std::fs::read_to_string(self.root.join(&spec.key.id).join("instance.json")).unwrap();
        let noted: serde_json::Value = serde_json::from_str(&noted).unwrap();
        i32::try_from(noted["pid"].as_i64().unwrap()).unwrap()
    }

    fn kill_agent(&self, spec: &EnvironmentSpec) {
        let pid = rustix::process::Pid::from_raw(self.agent_pid(spec)).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let (runtime, root) = (self.runtime.clone(), self.root.clone());
        // A thread of its own, because the test's runtime is busy ending.
        let ended = std::thread::spawn(move || {
            let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            tokio.block_on(async {
                for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
                    let name = entry.file_name().into_string().unwrap();
                    if !name.starts_with('.') {
                        runtime.delete(&key(&name)).await.unwrap();
                    }
                }
            });
        });
        if ended.join().is_err() && !std::thread::panicking() {
            panic!("processes are left in {}", self.folder.path().display());
        }
    }
}

#[tokio::test]
async fn the_home_outlives_a_stop() {
    let place = Place::new().await;
    place.runtime.check().await.unwrap();
    runtime_suite::the_home_outlives_a_stop(&place.runtime, &spec("keep")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ensure_may_be_repeated() {
    let place = Place::new().await;
    runtime_suite::ensure_may_be_repeated(&place.runtime, &spec("twice")).await;
}

#[tokio::test]
async fn variables_reach_the_shell() {
    let place = Place::new().await;
    runtime_suite::variables_reach_the_shell(&place.runtime, &spec("vars")).await;
}

#[tokio::test]
async fn a_failing_startup_command_stops_nothing() {
    let place = Place::new().await;
    runtime_suite::a_failing_startup_command_stops_nothing(&place.runtime, &spec("startup")).await;
}

#[tokio::test]
async fn stats_are_shares() {
    let place = Place::new().await;
    runtime_suite::stats_are_shares(&place.runtime, &spec("stats")).await;
}

#[tokio::test]
async fn a_port_is_forwarded() {
    let place = Place::new().await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let serve = format!(
        "perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(LocalAddr => \"127.0.0.1\", \
         LocalPort => {port}, Listen => 1, ReuseAddr => 1) or die; my $c = $s->accept; \
         print $c \"hello from inside\\n\";' >/dev/null 2>&1 </dev/null & disown"
    );
    runtime_suite::a_port_is_forwarded(&place.runtime, &spec("port"), port, &serve).await;
}

#[tokio::test]
async fn delete_removes_all_of_it_alone() {
    let place = Place::new().await;
    let (one, other) = (spec("one"), spec("other"));
    runtime_suite::delete_removes_all_of_it_alone(&place.runtime, &one, &other).await;
    place.runtime.delete(&one.key).await.unwrap();
    place.runtime.delete(&other.key).await.unwrap();
    let left = |folder: &Path| std::fs::read_dir(folder).map_or(0, Iterator::count);
    assert!(!place.root.join(&one.key.id).exists() && !place.root.join(&other.key.id).exists());
    assert_eq!(left(&place.root.join(".locks")) + left(&place.root.join(".trash")), 0);
}

#[tokio::test]
async fn hostile_ids_are_refused() {
    let place = Place::with(Sandbox::None);
    runtime_suite::hostile_ids_are_refused(&place.runtime).await;
    assert!(!place.root.exists(), "not even a directory was made");
}

#[tokio::test]
async fn the_rest_of_the_machine_is_out_of_sight() {
    let place = Place::new().await;
    let (spec, other) = (spec("My *Fancy* Project!"), spec("other"));
    start(&place.runtime, &spec).await;
    start(&place.runtime, &other).await;
    std::fs::write(place.folder.path().join("secret"), "s3cret").unwrap();
    let run = async |command: &str| shell(&place.runtime, &spec.key, command).await;

    assert_eq!(run("hostname").await, "my-fancy-project");
    assert_eq!(run("whoami; id -un; echo $HOME").await, "dev\ndev\n/home/dev");
    assert_eq!(run("ls /home").await, "dev");
    let other_home = place.root.join(&other.key.id);
    for hidden in ["/root", "/var/lib", "/sys/class", "/boot", "/srv", "/mnt"] {
        assert_eq!(run(&format!("ls {hidden} 2>/dev/null || echo no")).await, "no", "{hidden}");
    }
    for hidden in
        [place.folder.path().join("secret"), other_home, "/etc/shadow".into(), "/etc/gshadow".into()]
    {
        let command = format!("test -r {} || echo no", hidden.display());
        assert_eq!(run(&command).await, "no", "{}", hidden.display());
    }
    for system in ["/usr", "/etc", "/usr/bin", "/bin", "/", "/run", "/var", "/dev", "/home"] {
        let command = format!("touch {system}/x 2>/dev/null || echo no");
        assert_eq!(run(&command).await, "no", "{system}");
    }
    // Only its own processes, the agent first.
    assert_eq!(run("tr '\\0' ' ' </proc/1/cmdline | cut -d ' ' -f 1").await, "/run/devpocket-agent");
    let count: usize = run("ls -d /proc/[0-9]* | wc -l").await.parse().unwrap();
    assert!(count < 12, "{count} processes are seen");
    // An empty /tmp that is its own, a terminal, and no way back up.
    assert_eq!(
        run("ls -A /tmp /var/tmp | grep -v : ; touch /tmp/mine /dev/shm/mine && ls /tmp").await,
        "mine"
    );
    assert_eq!(shell(&place.runtime, &other.key, "ls -A /tmp").await, "");
    assert_eq!(run("tty | cut -c 1-9").await, "/dev/pts/");
    assert_eq!(
        run("grep -E 'NoNewPrivs|CapEff' /proc/self/status | tr -d '\\t\\n'")
            .await
            .replace("CapEff:0000000000000000", ""),
        "NoNewPrivs:1"
    );
    assert_eq!(run("ulimit -d; nproc").await, format!("{}\n1", (1u64 << 30) / 1024));
    assert_eq!(run("ulimit -u").await, "512");
    // Names are resolved as on the machine.
    assert_eq!(run("getent hosts localhost >/dev/null && test -r /etc/resolv.conf && echo yes").await, "yes");
    // The config, with the variables in it, is gone.
    assert_eq!(run("ls /run/devpocket").await, "agent.sock");
}

#[tokio::test]
async fn the_install_log_says_that_there_is_no_image() {
    let place = Place::new().await;
    let mut spec = spec("notes");
    spec.install = vec!["touch ~/installed".to_owned(); 2];
    start(&place.runtime, &spec).await;
    let mut channel = Channel::open(&place.runtime, &spec.key, Role::Control).await;
    channel.send(&ServerFrame::Control(ControlRequest::FollowLog { from: 0 })).await;
    let mut log = String::new();
    while !log.contains("2 install commands are skipped") {
        if let AgentFrame::Output { data, .. } = channel.next().await.expect("the log is told") {
            log.push_str(&String::from_utf8_lossy(&data));
        }
    }
    assert!(log.contains("no image") && log.contains("debian:12"), "{log}");
    assert_eq!(shell(&place.runtime, &spec.key, "test -e ~/installed || echo no").await, "no");
}

#[tokio::test]
async fn a_killed_agent_is_noticed_at_once() {
    let place = Place::new().await;
    let spec = spec("killed");
    start(&place.runtime, &spec).await;
    let mut seen = place.runtime.watch(&spec.key).await.unwrap();
    wait_for(&mut seen, |seen| matches!(seen, Observed::Running { .. })).await;
    // A program that would go on alone, were it not in the sandbox.
    shell(&place.runtime, &spec.key, "{ setsid sleep 4321 </dev/null >/dev/null 2>&1 & }").await;
    let asked = std::time::Instant::now();
    place.kill_agent(&spec);
    wait_for(&mut seen, |seen| *seen == Observed::Absent).await;
    assert!(asked.elapsed() < Duration::from_secs(2), "it took {:?}", asked.elapsed());
    let sleeps = Command::new("pgrep").args(["-f", "sleep 4321$"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&sleeps.stdout), "");
    start(&place.runtime, &spec).await;
}

#[tokio::test]
async fn another_server_finds_it_again() {
    let place = Place::new().await;
    let spec = spec("found");
    let instance = start(&place.runtime, &spec).await;
    let bubblewrap = sandbox::probe().await.unwrap();
    let again = || {
        let sandbox = Sandbox::Bubblewrap(bubblewrap.clone());
        LocalRuntime::new(LocalConfig { root: place.root.clone(), agent: agent(), sandbox })
    };
    let later = again();
    assert_eq!(
        *later.watch(&spec.key).await.unwrap().borrow(),
        Observed::Running { instance: instance.clone(), after: None }
    );
    assert_eq!(start(&later, &spec).await, instance);
    // A server that was killed before it could note what it had started.
    std::fs::remove_file(place.root.join(&spec.key.id).join("instance.json")).unwrap();
    assert_eq!(start(&again(), &spec).await, instance);
    // What one server does, the other one sees.
    let mut seen = place.runtime.watch(&spec.key).await.unwrap();
    later.stop(&spec.key).await.unwrap();
    wait_for(&mut seen, |seen| *seen == Observed::Absent).await;
    start(&later, &spec).await;
    wait_for(&mut seen, |seen| matches!(seen, Observed::Running { .. })).await;
}

/// A process that is killed when this is dropped.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs itself again as the server that is killed.
#[tokio::test]
async fn a_killed_server_leaves_its_environments() {
    const ROOT: &str = "DEVPOCKET_TEST_ROOT";
    let key = key("cserver");
    let spec = EnvironmentSpec { key: key.clone(), ..spec("server") };
    let sandbox = Sandbox::Bubblewrap(sandbox::probe().await.unwrap());
    if let Some(root) = std::env::var_os(ROOT) {
        let server = LocalRuntime::new(LocalConfig { root: root.into(), agent: agent(), sandbox });
        start(&server, &spec).await;
        return std::future::pending().await;
    }
    let place = Place::with(sandbox);
    let server = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_killed_server_leaves_its_environments"])
        .env(ROOT, &place.root)
        .env("DEVPOCKET_AGENT", agent())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let server = Killed(server);
    let mut seen = place.runtime.watch(&key).await.unwrap();
    let running = wait_for(&mut seen, |seen| matches!(seen, Observed::Running { .. })).await;
    shell(&place.runtime, &key, "echo before >~/file").await;
    drop(server);
    let Observed::Running { instance, .. } = running else { unreachable!() };
    assert_eq!(start(&place.runtime, &spec).await, instance);
    assert_eq!(shell(&place.runtime, &key, "cat ~/file").await, "before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_leaves_nothing_half_done() {
    let place = Place::new().await;
    let spec = spec("dropped");
    for pause in [0, 1, 3, 10, 30, 100] {
        let ensure = place.runtime.ensure(&spec);
        let _ = tokio::time::timeout(Duration::from_millis(pause), ensure).await;
    }
    let instance = start(&place.runtime, &spec).await;
    assert_eq!(start(&place.runtime, &spec).await, instance);
    let noted = place.root.join(&spec.key.id).join("home");
    let inside =
        Command::new("pgrep").args(["-f", "--"]).arg(format!("--bind {}", noted.display())).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&inside.stdout).lines().count(), 1, "one sandbox");
}

#[tokio::test]
async fn an_agent_that_cannot_start_is_a_failure_with_a_reason() {
    let mut place = Place::new().await;
    let broken = place.folder.path().join("agent");
    std::fs::write(&broken, "#!/bin/sh\necho out of order >&2\nexit 3\n").unwrap();
    std::fs::set_permissions(&broken, std::fs::Permissions::from_mode(0o755)).unwrap();
    let sandbox = Sandbox::Bubblewrap(sandbox::probe().await.unwrap());
    place.runtime = LocalRuntime::new(LocalConfig { root: place.root.clone(), agent: broken, sandbox });
    let spec = spec("broken");
    let Err(RuntimeError::Rejected(reason)) = place.runtime.ensure(&spec).await else { panic!("it starts") };
    assert!(reason.contains("out of order"), "{reason}");
    let seen = place.runtime.watch(&spec.key).await.unwrap();
    assert_eq!(*seen.borrow(), Observed::Failed(reason));
    let log =
        place.runtime.logs(&spec.key, LogQuery { lines: 10, since: None, previous: false }).await.unwrap();
    assert!(log.iter().any(|line| line.text == "out of order"), "{log:?}");
    place.runtime.stop(&spec.key).await.unwrap();
    assert_eq!(*place.runtime.watch(&spec.key).await.unwrap().borrow(), Observed::Absent);
}

#[tokio::test]
async fn deletion_follows_no_link_and_no_depth() {
    let place = Place::new().await;
    let spec = spec("tree");
    start(&place.runtime, &spec).await;
    let outside = place.folder.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("file"), "spared").unwrap();
    symlink(&outside, place.root.join(&spec.key.id).join("home/link")).unwrap();
    // Deeper than a path may be long, a directory without rights, and a strange name.
    let made = shell(
        &place.runtime,
        &spec.key,
        "perl -e 'for (1..3000) { mkdir q(d); chdir q(d) }'; mkdir -p ~/ro/x && chmod 500 ~/ro/x ~/ro; \
         touch \"$(printf 'a\\nb')\" -- -rf; echo made",
    )
    .await;
    assert_eq!(made, "made");
    place.runtime.delete(&spec.key).await.unwrap();
    assert_eq!(std::fs::read_to_string(outside.join("file")).unwrap(), "spared");
    assert!(!place.root.join(&spec.key.id).exists());
    assert_eq!(std::fs::read_dir(place.root.join(".trash")).map_or(0, Iterator::count), 0);
}

/// A program inside may replace the socket where it is the server's own user.
#[tokio::test]
async fn a_replaced_socket_is_not_connected_to() {
    let place = Place::new().await;
    let spec = spec("socket");
    start(&place.runtime, &spec).await;
    let socket = place.root.join(&spec.key.id).join("run/agent.sock");
    let kept = socket.with_extension("kept");
    std::fs::rename(&socket, &kept).unwrap();
    // Of a name short enough to bind.
    let short = tempfile::tempdir().unwrap();
    let victim = short.path().join("victim.sock");
    let listener = std::os::unix::net::UnixListener::bind(&victim).unwrap();
    listener.set_nonblocking(true).unwrap();
    symlink(&victim, &socket).unwrap();
    assert!(place.runtime.open(&spec.key).await.is_err());
    assert!(listener.accept().is_err(), "the link was followed");
    std::fs::remove_file(&socket).unwrap();
    std::fs::rename(&victim, &socket).unwrap();
    assert!(place.runtime.open(&spec.key).await.is_err(), "not the agent's socket");
    std::fs::rename(&kept, &socket).unwrap();
    place.runtime.open(&spec.key).await.unwrap();
}

#[tokio::test]
async fn without_a_sandbox_it_runs_and_ends_all_the_same() {
    let place = Place::with(Sandbox::None);
    let spec = spec("plain");
    runtime_suite::the_home_outlives_a_stop(&place.runtime, &spec).await;
    let home = place.root.join(&spec.key.id).join("home");
    assert_eq!(shell(&place.runtime, &spec.key, "pwd -P").await, home.display().to_string());
    let pid =
        shell(&place.runtime, &spec.key, "setsid sleep 5432 </dev/null >/dev/null 2>&1 & echo $!").await;
    let pid: i32 = pid.lines().last().unwrap().trim().parse().unwrap();
    place.kill_agent(&spec);
    let mut seen = place.runtime.watch(&spec.key).await.unwrap();
    wait_for(&mut seen, |seen| *seen == Observed::Absent).await;
    place.runtime.stop(&spec.key).await.unwrap();
    let gone = std::time::Instant::now();
    while std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("sleep")) {
        assert!(gone.elapsed() < PATIENCE, "process {pid} was left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
