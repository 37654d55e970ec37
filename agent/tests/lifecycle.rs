//! The agent as a process: its start, its commands, its end, and those who speak nonsense to it.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{Agent, Channel, PATIENCE, binary, config, open};
use devpocket_protocol::agent::{
    AgentFrame, ControlEvent, ControlRequest, FrameReader, Open, Phase, RefusalCode, Role, ServerFrame,
    VERSION, config::AgentUser,
};
use devpocket_protocol::client::ExitReason;

fn ready(channel: &mut Channel) -> u32 {
    channel.event(|event| match event {
        ControlEvent::Phase { phase: Phase::Ready { failed_commands } } => Some(*failed_commands),
        _ => None,
    })
}

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

#[test]
fn install_runs_once_and_startup_each_time() {
    let home = tempfile::tempdir().unwrap();
    let start = || {
        Agent::start_with(|c| {
            c.home = home.path().to_owned();
            c.notes = vec!["welcome to the box".into()];
            c.install = vec!["echo installed; echo to stderr >&2".into(), "exit 4".into()];
            c.startup =
                vec!["echo started $DEVPOCKET_ENVIRONMENT; sleep 1000 &".into(), "kill -TERM $$".into()];
        })
    };
    for (first, failed) in [(true, 2), (false, 1)] {
        let agent = start();
        let mut control = agent.control();
        control.request(ControlRequest::FollowLog { from: 0 });
        control.wait_for("[ended by SIGTERM]\n");
        let log = control.text();
        assert!(log.starts_with("welcome to the box\n"), "{log}");
        let install = "installed\nto stderr\n$ exit 4\n[exit status 4]\n";
        assert_eq!(log.contains(install), first, "{log}");
        assert!(log.contains("sleep 1000 &\nstarted box\n"), "{log}");
        assert_eq!(ready(&mut agent.control()), failed);
        control.request(ControlRequest::Usage);
        let usage = control.event(|event| match event {
            ControlEvent::Usage { usage } => Some(usage.clone()),
            _ => None,
        });
        assert!(usage.memory_bytes > 100_000 && usage.processes >= 1 && usage.storage_bytes > 0, "{usage:?}");
    }
}

#[test]
fn the_end_is_told_and_takes_everything_with_it() {
    let mut agent = Agent::start_with(|c| c.startup = vec!["setsid sleep 1234567 &".into()]);
    ready(&mut agent.control());
    let mut s = agent.session("s1");
    s.type_in("echo re''ady\n");
    s.wait_for("ready\r\n");
    let begun = Instant::now();
    agent.control().request(ControlRequest::Shutdown { grace_ms: 10_000 });
    assert_eq!(s.exit().reason, ExitReason::EnvironmentGone);
    assert!(agent.process.wait().unwrap().success());
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert!(!agent.socket.exists());
    let sleeps = Command::new("pgrep").args(["-f", "^sleep 1234567$"]).output().unwrap();
    assert!(sleeps.stdout.is_empty());
}

#[test]
fn an_end_that_nobody_asked_for_is_told_apart() {
    let mut agent = Agent::start();
    let mut s = agent.session("s1");
    s.type_in("echo re''ady\n");
    s.wait_for("ready\r\n");
    let pid = rustix::process::Pid::from_child(&agent.process);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(s.exit().reason, ExitReason::PodGone);
    assert!(agent.process.wait().unwrap().success());
}

#[test]
fn the_socket_is_for_its_owner_and_replaces_a_dead_one() {
    let agent = Agent::start_with(|c| {
        drop(std::os::unix::net::UnixListener::bind(&c.socket).unwrap());
    });
    assert_eq!(std::fs::metadata(&agent.socket).unwrap().permissions().mode() & 0o777, 0o600);
    // A second agent does not take the place of a living one.
    let second = Command::new(binary())
        .args(["run", "--config"])
        .arg(agent.dir.path().join("config.json"))
        .output()
        .unwrap();
    assert!(!second.status.success());
    assert!(String::from_utf8_lossy(&second.stderr).contains("another agent"));
    agent.session("s1").ping(1);
}

/// An `attach` whose stdin and stdout are ours.
fn attach(agent: &Agent) -> Child {
    let mut command = Command::new(binary());
    command.args(["attach", "--socket"]).arg(&agent.socket);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

#[test]
fn attach_joins_its_stdin_and_stdout_to_a_socket_at_a_long_path() {
    let agent = Agent::start_with(|c| {
        let deep = c.home.join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        c.socket = deep.join("agent.sock");
    });
    let deadline = Instant::now() + PATIENCE;
    while !agent.socket.exists() {
        assert!(Instant::now() < deadline, "the agent does not listen");
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut attach = attach(&agent);
    let (mut stdin, mut stdout) = (attach.stdin.take().unwrap(), attach.stdout.take().unwrap());
    let mut out = Vec::new();
    ServerFrame::Open(Open { version: VERSION, role: Role::Session(open("s1")) }).encode(&mut out);
    ServerFrame::Input { stream: common::STREAM, offset: 0, data: "echo half''closed; exit 3\n".into() }
        .encode(&mut out);
    stdin.write_all(&out).unwrap();
    drop(stdin);
    // All that is still to be said is said after the end of stdin.
    let (mut frames, mut text, mut code) = (FrameReader::default(), Vec::new(), None);
    let mut all = Vec::new();
    stdout.read_to_end(&mut all).unwrap();
    frames.buffer().extend_from_slice(&all);
    while let Some(frame) = frames.next_frame().unwrap() {
        match AgentFrame::decode(frame).unwrap() {
            AgentFrame::Output { data, .. } => text.extend_from_slice(&data),
            AgentFrame::Exit(exit) => code = exit.code,
            _ => {}
        }
    }
    assert!(String::from_utf8_lossy(&text).contains("\r\nhalfclosed\r\n"));
    assert_eq!(code, Some(3));
    assert!(attach.wait().unwrap().success());
}

/// What is left of a channel when the server's machine is gone: stdin ends, and nobody closes
/// stdout.
#[test]
fn an_attach_whose_server_has_gone_ends_while_its_session_goes_on() {
    let agent = Agent::start();
    let mut attach = attach(&agent);
    let mut stdin = attach.stdin.take().unwrap();
    let mut out = Vec::new();
    ServerFrame::Open(Open { version: VERSION, role: Role::Session(open("s1")) }).encode(&mut out);
    stdin.write_all(&out).unwrap();
    let mut other = agent.session("s1");
    drop(stdin);
    let begun = Instant::now();
    assert!(attach.wait().unwrap().success());
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    other.type_in("echo still he''re\n");
    other.wait_for("still here\r\n");
}

#[test]
fn attach_says_that_there_is_no_agent() {
    let out = Command::new(binary()).args(["attach", "--socket", "/nowhere/agent.sock"]).output().unwrap();
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stderr).contains("no agent can be reached at /nowhere/agent.sock"));
}

#[test]
fn it_installs_itself() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("a/b");
    assert!(Command::new(binary()).arg("install-to").arg(&target).status().unwrap().success());
    let out = Command::new(target.join("devpocket-agent")).arg("--version").output().unwrap();
    assert!(String::from_utf8_lossy(&out.stdout).starts_with("devpocket-agent "));
    assert_eq!(Command::new(binary()).status().unwrap().code(), Some(2));
}

/// Only the superuser may become less nice again: a server that runs under `nice` has shells too.
#[test]
fn shells_are_nicer_than_the_agent_however_nice_that_is() {
    let agent = Agent::start_with(|c| c.limits.processes = Some(500));
    for (own, theirs) in [(2, "7"), (12, "17"), (19, "19")] {
        let process = rustix::process::Pid::from_child(&agent.process);
        rustix::process::setpriority_process(Some(process), own).unwrap();
        let mut session = agent.session(theirs);
        session.type_in("echo nice is $(nice)\n");
        session.wait_for(&format!("nice is {theirs}\r\n"));
    }
}

#[test]
fn it_becomes_the_user_and_applies_the_limits() {
    if !is_root() {
        println!("skipped: only root can become another user");
        return;
    }
    let agent = Agent::start_with(|c| {
        std::fs::set_permissions(&c.home, PermissionsExt::from_mode(0o755)).unwrap();
        c.user = Some(AgentUser { uid: 12345, gid: 12346, name: "dev".into() });
        c.limits.memory_bytes = Some(512 * 1024 * 1024);
        c.limits.processes = Some(77);
        c.limits.cores = Some(1);
    });
    let socket = std::fs::metadata(&agent.socket).unwrap();
    assert_eq!((socket.uid(), socket.gid(), socket.mode() & 0o777), (12345, 12346, 0o600));
    assert_eq!(
        std::fs::metadata(format!("/proc/{}/environ", agent.process.id())).unwrap().uid(),
        0,
        "not dumpable"
    );
    let mut s = agent.session("s1");
    s.type_in("echo $(id -u):$(id -g):$(id -G) $USER $(ulimit -d) $(ulimit -u) $(nproc) $(nice)\n");
    s.wait_for("12345:12346:12346 dev 524288 77 1 5\r\n");
    s.type_in("grep -c 'NoNewPrivs:.1' /proc/self/status\n");
    s.wait_for("\n1\r\n");
}

#[test]
fn nonsense_ends_its_own_channel_only() {
    let agent = Agent::start();
    let mut s = agent.session("s1");
    s.wait_for("$ ");
    let mut seed = 42u64;
    for round in 0..60 {
        let mut channel = agent.raw();
        let mut bytes = Vec::new();
        if round % 2 == 0 {
            ServerFrame::Open(Open { version: VERSION, role: Role::Session(open("s1")) }).encode(&mut bytes);
        }
        for _ in 0..200 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            bytes.push((seed >> 32) as u8);
        }
        // An impossible length, so that the agent need not wait for the rest of a frame.
        bytes.extend_from_slice(&[0xff; 200_000]);
        let _ = channel.stream.write_all(&bytes);
        let mut refused = false;
        while let Some(frame) = channel.next() {
            refused |= matches!(frame, AgentFrame::Refused(r) if r.code == RefusalCode::Malformed);
        }
        assert!(refused);
    }
    // Well-formed frames in the wrong place.
    let mut channel = agent.session("s1");
    channel.send(&ServerFrame::Open(Open { version: VERSION, role: Role::Control }));
    assert_eq!(channel.refusal().code, RefusalCode::Malformed);
    let mut channel = agent.control();
    channel.send(&ServerFrame::SnapshotRequest);
    assert_eq!(channel.refusal().code, RefusalCode::Malformed);
    let mut channel = agent.raw();
    channel.send(&ServerFrame::Ping(1));
    assert_eq!(channel.refusal().code, RefusalCode::Malformed);
    s.type_in("echo still he''re\n");
    s.wait_for("still here\r\n");
    s.ping(3);
}

#[test]
fn snapshots_are_right_and_ask_the_program_to_draw_again() {
    let agent = Agent::start();
    let mut s = agent.session("s1");
    s.type_in("trap 'echo WIN''CH' WINCH; printf '\\033[?1049h\\033[5;10Hpic''ture'; read x\n");
    s.wait_for("picture");
    let (offset, _, data) = s.snapshot();
    let mut client = vt100::Parser::new(24.try_into().unwrap(), 80.try_into().unwrap(), 0);
    client.process(&data);
    assert!(client.screen().alternate_screen());
    assert_eq!(client.screen().rows(0, 80).nth(4).unwrap().trim(), "picture");
    assert_eq!(offset, s.offset);
    // bash runs the trap when `read` is interrupted or ends.
    s.type_in("\n");
    s.wait_for("WINCH");
}

/// A static binary and a static shell, and nothing else: no libraries, no /proc, no /dev but
/// the terminals.
#[test]
fn it_runs_in_an_empty_chroot() {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| {
        let ldd = Command::new("ldd").arg(path).output();
        std::path::Path::new(path).exists()
            && ldd.is_ok_and(|out| {
                !out.status.success() || String::from_utf8_lossy(&out.stdout).contains("not a dynamic")
            })
    });
    let agent = std::env::var_os("DEVPOCKET_STATIC_AGENT").map(std::path::PathBuf::from);
    let (Some(busybox), Some(agent), true) = (busybox, agent, is_root()) else {
        println!(
            "skipped: needs root, a static busybox, and DEVPOCKET_STATIC_AGENT to name what scripts/build-agent made"
        );
        return;
    };
    let root = tempfile::tempdir().unwrap();
    for dir in ["bin", "dev/pts", "home", "run"] {
        std::fs::create_dir_all(root.path().join(dir)).unwrap();
    }
    std::fs::copy(busybox, root.path().join("bin/sh")).unwrap();
    std::fs::copy(agent, root.path().join("agent")).unwrap();
    let mut settings = config(std::path::Path::new("/home"));
    settings.socket = "/run/agent.sock".into();
    settings.shell = None;
    settings.startup = vec!["echo started".into()];
    std::fs::write(root.path().join("config.json"), serde_json::to_string(&settings).unwrap()).unwrap();
    let script = format!(
        "mount -t devpts -o newinstance,ptmxmode=0666 devpts {0}/dev/pts && exec chroot {0} /agent run --config /config.json",
        root.path().display()
    );
    let process = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", &script])
        .spawn()
        .unwrap();
    // unshare(1) shields itself from anything milder.
    let ended_by = rustix::process::Signal::KILL;
    let socket = root.path().join("run/agent.sock");
    let agent = Agent { socket, dir: tempfile::tempdir().unwrap(), process, ended_by };
    let deadline = Instant::now() + PATIENCE;
    while std::os::unix::net::UnixStream::connect(&agent.socket).is_err() {
        assert!(Instant::now() < deadline, "the agent does not listen");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(ready(&mut agent.control()), 0);
    let mut s = agent.session("s1");
    s.type_in("echo pid $PPID in $PWD; echo *; echo /*\n");
    s.wait_for("pid 1 in /home\r\n");
    s.wait_for("/agent /bin /config.json /dev /home /run\r\n");
    // Orphans are PID 1's.
    s.type_in("(sh -c 'read x' <&- &) ; echo $((6*7)); exit 5\n");
    s.wait_for("42\r\n");
    assert_eq!(s.exit().code, Some(5));
}
