//! Sessions over the agent's socket, with real shells on real terminals.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::time::{Duration, Instant};

use common::{Agent, STREAM, open};
use devpocket_protocol::Size;
use devpocket_protocol::agent::{
    ControlEvent, ControlRequest, Open, OpenSession, RefusalCode, Role, ServerFrame, StreamId, VERSION,
};
use devpocket_protocol::client::ExitReason;

#[test]
fn a_shell_answers() {
    let agent = Agent::start();
    let mut s = agent.session("s1");
    s.type_in("echo $((40+2)) $TERM $COLORTERM $DEVPOCKET_SESSION $0 $PWD; stty size; tty\n");
    s.wait_for("\r\n42 xterm-256color truecolor main -bash ");
    s.wait_for("24 80\r\n");
    s.wait_for("/dev/pts/");
}

#[test]
fn exit_statuses_are_told_after_the_last_output() {
    let agent = Agent::start();
    for (command, reason, code, signal) in [
        ("echo bye; exit 7\n", ExitReason::Exited, Some(7), None),
        ("echo bye; kill -9 $$\n", ExitReason::Signaled, None, Some("SIGKILL".to_owned())),
    ] {
        let mut s = agent.session(command);
        s.type_in(command);
        let exit = s.exit();
        assert_eq!(s.gaps, 0);
        assert!(s.text().contains("\r\nbye\r\n"), "{}", s.text());
        assert_eq!((exit.reason, exit.code, exit.signal), (reason, code, signal));
        assert!(s.next().is_none());
        // Whoever was away hears the same.
        let mut again = agent.session_from(command, 0);
        again.exit();
        assert_eq!(again.output, s.output);
    }
}

#[test]
fn what_the_shell_leaves_behind_does_not_hold_its_end_back() {
    let agent = Agent::start();
    let mut s = agent.session("s1");
    s.type_in("trap '' HUP; sleep 1000 & exit 3\n");
    let asked = Instant::now();
    assert_eq!(s.exit().code, Some(3));
    assert!(asked.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_new_channel_goes_on_from_the_same_byte() {
    let agent = Agent::start();
    let mut first = agent.session("s1");
    first.type_in("for i in $(seq 1 500); do echo line $i; done; echo do''ne\n");
    first.wait_for("done\r\n$ ");
    for from in (0..first.offset).step_by(97) {
        let mut again = agent.session_from("s1", from);
        while again.offset < first.offset {
            again.next().unwrap();
        }
        assert_eq!(again.output, first.output[from as usize..], "from {from}");
    }
    let mut bounded = agent.open(OpenSession { from: Some(0), backfill: 10, ..open("s1") });
    assert_eq!(bounded.welcome().output_offset, first.offset - 10);
    let mut ahead = agent.open(OpenSession { from: Some(first.offset + 1), backfill: 0, ..open("s1") });
    assert_eq!(ahead.welcome().output_offset, first.offset);
}

#[test]
fn each_byte_of_input_is_taken_once_however_channels_break() {
    let agent = Agent::start();
    let script: String = (0..200).map(|i| format!("echo n{i} >> log\n")).collect();
    let mut s = agent.session("s1");
    let (mut sent, mut seed) = (0usize, 12345usize);
    while sent < script.len() {
        seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12345) & 0x7fff_ffff;
        let len = (seed % 150 + 1).min(script.len() - sent);
        s.input(STREAM, sent as u64, &script.as_bytes()[sent..sent + len]);
        sent += len;
        if seed % 3 == 0 {
            // The connection breaks before any acknowledgement was seen; the client starts
            // again from where the agent says, or from earlier.
            let mut new = agent.session_from("s1", 0);
            sent = new.expected(STREAM) as usize;
            sent -= (seed % 40).min(sent);
            s = new;
        }
    }
    s.input(STREAM, script.len() as u64, b"echo fin''ished\n");
    s.wait_for("finished\r\n");
    let log = std::fs::read_to_string(agent.home().join("log")).unwrap();
    let expected: String = (0..200).map(|i| format!("n{i}\n")).collect();
    assert_eq!(log, expected);
}

#[test]
fn a_gap_in_the_input_is_told_and_not_taken() {
    let agent = Agent::start();
    let mut s = agent.session("s1");
    s.wait_for("$ ");
    s.input(STREAM, 5, b"echo never\n");
    assert_eq!(s.acknowledged(STREAM), 0);
    s.input(STREAM, 0, b"echo on''ce\n");
    s.wait_for("once\r\n");
    assert!(!s.text().contains("never"));
}

#[test]
fn a_large_paste_arrives_whole() {
    let agent = Agent::start();
    let mut s = agent.session("s1");
    s.type_in("stty -echo; cat > pasted; echo do''ne\n");
    let text: Vec<u8> =
        (0..1024 * 1024u32).map(|i| if i % 61 == 60 { b'\n' } else { b'a' + (i % 23) as u8 }).collect();
    let stream = StreamId([2; 16]);
    let (mut sent, mut taken) = (0, 0);
    while taken < text.len() {
        while sent < text.len() && sent - taken < 128 * 1024 {
            let end = (sent + 10_000).min(text.len());
            s.input(stream, sent as u64, &text[sent..end]);
            sent = end;
        }
        taken = s.acknowledged(stream) as usize;
    }
    s.input(stream, text.len() as u64, b"\n\x04");
    s.wait_for("done\r\n");
    let pasted = std::fs::read(agent.home().join("pasted")).unwrap();
    assert_eq!(pasted.len(), text.len() + 1);
    assert!(pasted[..text.len()] == text[..]);
}

#[test]
fn input_for_a_program_that_does_not_read_is_bounded_and_heartbeats_go_on() {
    let agent = Agent::start();
    let mut s = agent.session("s1");
    s.type_in("stty raw -echo; echo re''ady; sleep 1000\n");
    s.wait_for("ready");
    let stream = StreamId([3; 16]);
    for i in 0..20 {
        s.input(stream, i * 10_000, &[b'x'; 10_000]);
    }
    s.ping(7);
    let taken = s.expected(stream);
    assert!(taken < 200_000, "{taken}");
    // The size and the picture work as well.
    s.send(&ServerFrame::Resize(Size::new(90, 30).unwrap()));
    assert_eq!(s.snapshot().1, Size::new(90, 30).unwrap());
    // Another channel starts again from what was taken.
    let mut other = agent.session_from("s1", 0);
    assert_eq!(other.expected(stream), taken);
}

#[test]
fn keys_are_answered_while_output_floods() {
    let agent = Agent::start();
    let mut flood = agent.session("flood");
    flood.type_in("yes\n");
    flood.wait_for("y\r\ny\r\n");
    let silent = flood.offset;
    // Nobody reads `flood` from here on. Another session works as if nothing were.
    let mut quiet = agent.session("quiet");
    quiet.wait_for("$ ");
    let mut worst = Duration::ZERO;
    for key in "abcdefghij".chars() {
        let pressed = Instant::now();
        quiet.type_in(&key.to_string());
        quiet.wait_for(&key.to_string());
        worst = worst.max(pressed.elapsed());
    }
    assert!(worst < Duration::from_secs(1), "{worst:?}");
    let mut control = agent.control();
    let end = |control: &mut common::Channel| {
        control.request(ControlRequest::Sessions);
        control.event(|event| match event {
            ControlEvent::Sessions { sessions } => sessions.iter().find(|s| s.id == "flood").cloned(),
            _ => None,
        })
    };
    // The terminal is drained all the same, and no more is held than the ring.
    let deadline = Instant::now() + common::PATIENCE;
    let info = loop {
        let info = end(&mut control);
        if info.output_offset > silent + 8 * 1024 * 1024 {
            break info;
        }
        assert!(Instant::now() < deadline, "only {} bytes were read", info.output_offset - silent);
    };
    assert!(info.output_offset - info.oldest_offset <= 1024 * 1024);
    assert!(agent.resident() < 24 * 1024 * 1024, "{}", agent.resident());
    // Ctrl-C goes past the flood, on a channel of its own.
    let mut other = agent.open(OpenSession { from: None, backfill: 0, ..open("flood") });
    other.welcome();
    let stream = StreamId([9; 16]);
    other.input(stream, 0, b"\x03");
    other.wait_for("^C");
    other.input(stream, 1, b"echo ba''ck\n");
    other.wait_for("back\r\n");
}

#[test]
fn a_reader_that_lagged_goes_on_at_a_later_offset() {
    let agent = Agent::start();
    let mut slow = agent.session("s1");
    slow.type_in("head -c 4000000 /dev/zero | tr '\\0' x; echo do''ne\n");
    let mut fast = agent.open(OpenSession { from: None, backfill: 0, ..open("s1") });
    fast.welcome();
    fast.wait_for("done\r\n");
    slow.wait_for("done\r\n");
    assert_eq!(slow.gaps, 1);
    assert_eq!(slow.offset, fast.offset);
    // What it has is the stream's own bytes.
    let common = slow.output.len().min(fast.output.len());
    assert!(slow.output[slow.output.len() - common..] == fast.output[fast.output.len() - common..]);
}

#[test]
fn sizes_reach_the_program() {
    let agent = Agent::start();
    let mut s = agent.session("s1");
    s.wait_for("$ ");
    s.type_in("trap 'echo size: $(stty size)' WINCH\n");
    s.wait_for("$ ");
    s.send(&ServerFrame::Resize(Size::new(101, 33).unwrap()));
    s.send(&ServerFrame::Resize(Size::new(101, 33).unwrap()));
    s.type_in("\n");
    s.wait_for("size: 33 101\r\n");
}

#[test]
fn sessions_are_listed_closed_and_forgotten() {
    let agent = Agent::start();
    let mut s = agent.session("s1");
    s.type_in("trap '' HUP; echo re''ady\n");
    s.wait_for("ready\r\n");
    let mut control = agent.control();
    control.request(ControlRequest::ForgetSession { id: "s1".into() });
    control.event(|event| matches!(event, ControlEvent::Failed { .. }).then_some(()));
    // It ignores the hang-up, so this takes the whole grace.
    control.request(ControlRequest::CloseSession { id: "s1".into() });
    let exit = s.exit();
    assert_eq!((exit.reason, exit.signal.as_deref()), (ExitReason::Closed, Some("SIGKILL")));
    control.request(ControlRequest::ForgetSession { id: "s1".into() });
    control.request(ControlRequest::Sessions);
    let sessions = control.event(|event| match event {
        ControlEvent::Sessions { sessions } => Some(sessions.clone()),
        _ => None,
    });
    assert_eq!(sessions, []);
    let mut gone = agent.open(OpenSession { create: false, ..open("s1") });
    assert_eq!(gone.refusal().code, RefusalCode::NoSuchSession);
}

#[test]
fn too_many_channels_on_a_session_push_the_oldest_out() {
    let agent = Agent::start();
    let mut channels: Vec<_> =
        (0..devpocket_agent::session::CHANNELS + 2).map(|_| agent.session("s1")).collect();
    channels.reverse();
    for mut old in channels.split_off(devpocket_agent::session::CHANNELS) {
        while old.next().is_some() {}
    }
    channels[0].ping(1);
    channels.last_mut().unwrap().ping(2);
}

#[test]
fn the_number_of_sessions_is_bounded() {
    let agent = Agent::start();
    let channels: Vec<_> =
        (0..devpocket_agent::session::LIVE).map(|n| agent.session(&n.to_string())).collect();
    let mut one_more = agent.open(open("one more"));
    assert_eq!(one_more.refusal().code, RefusalCode::TooManySessions);
    drop(channels);
    // They live on without channels.
    let mut other = agent.open(open("other"));
    assert_eq!(other.refusal().code, RefusalCode::TooManySessions);
}

#[test]
fn orphans_are_reaped() {
    let agent = Agent::start();
    let mut s = agent.session("s1");
    // Each inner shell ends before its child does.
    s.type_in("for i in 1 2 3 4 5 6 7 8; do (sh -c 'sleep 0.1 & true'); done; sleep 0.5; echo wai''ted\n");
    s.wait_for("waited\r\n");
    let agent_pid = agent.process.id().to_string();
    let deadline = Instant::now() + common::PATIENCE;
    loop {
        let zombies = std::fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok())
            .filter(|stat| {
                let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
                fields[1] == agent_pid && fields[0] == "Z"
            })
            .count();
        if zombies == 0 {
            break;
        }
        assert!(Instant::now() < deadline, "{zombies} zombies");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn another_version_is_refused() {
    let agent = Agent::start();
    let mut channel = agent.raw();
    channel.send(&ServerFrame::Open(Open { version: VERSION + 1, role: Role::Control }));
    let refusal = channel.refusal();
    assert_eq!(refusal.code, RefusalCode::Version);
    assert!(channel.next().is_none());
}
