//! Coming back to the same byte, whatever broke.

use std::time::Duration;

use devpocket::client::{ClientError, Event};
use devpocket_protocol::Size;
use devpocket_protocol::client::{ServerFrame, SessionState};
use hyper::Method;
use tokio_tungstenite::tungstenite::Message;

use crate::common::cut::Cuts;
use crate::common::random::Random;
use crate::common::raw::RawSocket;
use crate::common::server::{LOOK, TestServer};
use crate::common::shell::Shell;
use crate::common::{screen, soon};

/// What `seq` writes into a terminal.
fn numbered(from: u64, to: u64) -> Vec<u8> {
    (from..=to).flat_map(|n| format!("line {n} of the output\r\n").into_bytes()).collect()
}

/// Writes `chunks` pieces of numbered lines, each after it has read one byte of input.
fn paced(chunks: u64, lines: u64) -> String {
    format!(
        "i=0; while [ $i -lt {chunks} ]; do IFS= read -r _; \
         seq -f 'line %.0f of the output' $((i * {lines} + 1)) $(((i + 1) * {lines})); i=$((i + 1)); done\n"
    )
}

const CHUNKS: u64 = 100;
const LINES: u64 = 7_500;

/// 20 MB over 50 breaks: no more is under way at a time than the session holds, so each byte
/// has to come, once, and no snapshot in its place.
#[tokio::test(flavor = "multi_thread")]
async fn every_byte_comes_once_over_fifty_breaks() {
    let server = TestServer::start().await;
    let person = server.demo().await;
    let environment = person.environment("resume").await;
    // All of them lie within the 20 MB, by five standard deviations.
    let cuts = Cuts::new(Random::printed("every_byte_comes_once_over_fifty_breaks"), 50, (20_000, 560_000));
    let mut options = person.options(&environment.id, "exact");
    options.wrap = Some(cuts.wrap());
    let mut shell = Shell::quiet(options).await;
    shell.type_text(&paced(CHUNKS, LINES));

    let expected = numbered(1, CHUNKS * LINES);
    assert!(expected.len() > 20_000_000, "{} bytes", expected.len());
    for chunk in 1..=CHUNKS {
        shell.type_text("\n");
        let end = expected_end(&expected, chunk);
        shell.until("the next lines", |shell| shell.received.len() >= end).await;
        compare(&shell.received, &expected[..end]);
    }
    assert_eq!(shell.snapshots.len(), 0, "what was held had to be sent");
    assert_eq!(cuts.left(), 0);
    assert!(shell.losses >= 50, "{} losses", shell.losses);
}

fn expected_end(expected: &[u8], chunk: u64) -> usize {
    let last = format!("line {} of the output\r\n", chunk * LINES);
    // Lines grow longer with their numbers: found by its text, from an estimate on.
    let mut from = (chunk as usize - 1) * LINES as usize * 20;
    from = from.min(expected.len());
    from + crate::common::shell::find(&expected[from..], format!("\n{last}").as_bytes()).unwrap()
        + 1
        + last.len()
}

/// Fails with the place of the first difference and not with megabytes.
fn compare(got: &[u8], expected: &[u8]) {
    if got != expected {
        let at = got.iter().zip(expected).take_while(|(a, b)| a == b).count();
        let around = |bytes: &[u8]| {
            String::from_utf8_lossy(&bytes[at.saturating_sub(60)..(at + 60).min(bytes.len())]).into_owned()
        };
        panic!(
            "{} bytes came, {} expected; they differ at {at}: {:?} instead of {:?}",
            got.len(),
            expected.len(),
            around(got),
            around(expected)
        );
    }
}

/// A program that does not wait for the client: what was missed may be replaced by a snapshot,
/// and the screen is the one that all bytes would have given.
#[tokio::test(flavor = "multi_thread")]
async fn the_screen_is_exact_after_a_flood_over_fifty_breaks() {
    let server = TestServer::start().await;
    let person = server.demo().await;
    let environment = person.environment("flooded").await;
    let cuts =
        Cuts::new(Random::printed("the_screen_is_exact_after_a_flood_over_fifty_breaks"), 50, (500, 60_000));
    let mut options = person.options(&environment.id, "flood");
    options.wrap = Some(cuts.wrap());
    let mut shell = Shell::quiet(options).await;
    let lines = 850_000;
    shell.type_text(&format!(
        "seq -f 'line %.0f of the output' 1 {lines}; printf '\\033[1;32mTHE %s\\033[0m' END; read -r _\n"
    ));
    shell.until_text("THE END").await;
    shell.until("fifty breaks", |_| true).await;

    // The last lines are all that a screen of this size can show of it.
    let mut replay = numbered(lines - 100, lines);
    replay.extend_from_slice(b"\x1b[1;32mTHE END\x1b[0m");
    assert_eq!(screen::of(&shell, Size::DEFAULT), screen::after(Size::DEFAULT, &replay));
    // Between snapshots the lines are whole: each follows the one before.
    let mut last: Option<u64> = None;
    let text = String::from_utf8_lossy(&shell.since_snapshot).into_owned();
    for number in text.lines().filter_map(|line| line.strip_prefix("line ")?.strip_suffix(" of the output")) {
        let number: u64 = number.parse().unwrap();
        assert!(last.is_none_or(|last| number == last + 1), "{number} after {last:?}");
        last = Some(number);
    }
}

/// kill -9 of the server in the middle of it: the same bytes, and what was typed runs once.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_costs_nothing() {
    let mut server = TestServer::start().await;
    let person = server.demo().await;
    let environment = person.environment("killed").await;
    let mut random = Random::printed("a_killed_server_costs_nothing");
    let mut shell = Shell::quiet(person.options(&environment.id, "main")).await;

    shell.type_text("rm -f log; exec 3>>log\n");
    let expected = numbered(1, 40 * LINES);
    let mut typed = 0;
    shell.type_text(&paced(40, LINES));
    let kills = [random.between(2, 12), random.between(14, 24), random.between(26, 38)];
    for chunk in 1..=40 {
        shell.type_text("\n");
        let end = expected_end(&expected, chunk);
        if kills.contains(&chunk) {
            let until = end - random.below(100_000) as usize;
            shell.until("a part", |shell| shell.received.len() >= until).await;
            server.kill();
            let losses = shell.losses;
            shell.until("the loss", |shell| shell.losses > losses).await;
            server.run().await;
        }
        shell.until("the next lines", |shell| shell.received.len() >= end).await;
        compare(&shell.received, &expected[..end]);
    }
    assert_eq!(shell.snapshots.len(), 0);

    // Commands typed around a kill: each runs once, in order.
    for round in 0..3 {
        let before = random.between(3, 20);
        for _ in 0..before {
            typed += 1;
            shell.type_text(&format!("echo {typed} >&3\n"));
            if random.below(3) == 0 {
                shell.until_taken().await;
            }
        }
        if round < 2 {
            server.kill();
            for _ in 0..5 {
                typed += 1;
                shell.type_text(&format!("echo {typed} >&3\n"));
            }
            server.run().await;
        }
        shell.until_taken().await;
    }
    let log = shell.run("cat log").await;
    let numbers: Vec<u64> = log.lines().map(|line| line.trim().parse().unwrap()).collect();
    assert_eq!(numbers, (1..=typed).collect::<Vec<u64>>());
}

/// Whoever was away for longer than anything is held gets the screen.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_missed_too_much_gets_the_screen() {
    let server = TestServer::start().await;
    let person = server.demo().await;
    let environment = person.environment("away").await;
    let mut away = Shell::quiet(person.options(&environment.id, "main")).await;
    let other = person.options(&environment.id, "main");
    let mut busy = Shell::open(other).await;
    // `away` asks for nothing meanwhile, so it acknowledges nothing.
    busy.type_text("seq -f 'line %.0f of the output' 1 200000; printf 'THE %s' END; read -r _\n");
    busy.until_text("THE END").await;
    away.until_text("THE END").await;
    assert!(!away.snapshots.is_empty(), "4 MB were not held");
    let mut replay = numbered(199_900, 200_000);
    replay.extend_from_slice(b"THE END");
    assert_eq!(screen::of(&away, Size::DEFAULT), screen::after(Size::DEFAULT, &replay));
}

/// Two clients see the same, and one that comes later sees the screen of both.
#[tokio::test(flavor = "multi_thread")]
async fn all_clients_of_a_session_see_the_same() {
    let server = TestServer::start().await;
    let person = server.demo().await;
    let environment = person.environment("shared").await;
    let mut first = Shell::quiet(person.options(&environment.id, "main")).await;
    let mut second = Shell::open(person.options(&environment.id, "main")).await;
    let two = |shell: &Shell| shell.statuses.iter().any(|status| status.attachments == Some(2));
    first.until("the news of a second client", two).await;
    first.type_text(
        "printf '\\033[2J\\033[5;10H\\033[31mred\\033[0m and \\033[?1h\\033[?2004hmo%s' des; read -r _\n",
    );
    first.until_text("modes").await;
    second.until_text("modes").await;
    let mut third = Shell::new(person.options(&environment.id, "main"));
    third.until("its screen", |shell| !shell.snapshots.is_empty()).await;
    // All at the same byte: a snapshot may be of a moment before the last output.
    let end = first.client.resume().output();
    for shell in [&mut second, &mut third] {
        shell.until("the same byte", |shell| shell.client.resume().output() >= end).await;
        assert_eq!(shell.client.resume().output(), end);
    }
    let picture = screen::of(&first, Size::DEFAULT);
    assert!(picture.modes.0 && picture.modes.2, "{picture:?}");
    assert_eq!(screen::of(&second, Size::DEFAULT), picture);
    assert_eq!(screen::of(&third, Size::DEFAULT), picture);
}

/// EXIT with the shell's code, then 1000; by id it is gone, by name there is a new one.
#[tokio::test(flavor = "multi_thread")]
async fn a_shell_that_ends_says_how() {
    let server = TestServer::start().await;
    let person = server.demo().await;
    let environment = person.environment("ends").await;
    let mut shell = Shell::open(person.options(&environment.id, "main")).await;
    shell.type_text("exit 7\n");
    let ending = async {
        while shell.closed.is_none() {
            shell.step().await.unwrap();
        }
    };
    soon("the end", ending).await;
    assert_eq!(shell.exit.as_ref().unwrap().code, Some(7));
    assert_eq!(shell.closed.as_ref().unwrap().0, 1000);

    let ended = shell.hellos[0].session_id.clone();
    let mut by_id = Shell::new(person.options(&environment.id, &ended));
    let refused = by_id.step().await;
    assert!(matches!(&refused, Err(ClientError::Refused(refusal)) if refusal.status == 404), "{refused:?}");
    let by_name = Shell::open(person.options(&environment.id, "main")).await;
    assert_ne!(by_name.hellos[0].session_id, ended);
}

/// Who was away when a shell ended reads on from their byte to its end, also after another server
/// took over; there is no screen of it any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_shell_that_ended_meanwhile_is_read_to_its_end() {
    let mut server = TestServer::start().await;
    let person = server.demo().await;
    let environment = person.environment("ended").await;
    let mut shell = Shell::quiet(person.options(&environment.id, "main")).await;
    shell.type_text("printf 'be%s\\n' fore; until [ -e enough ]; do sleep 0.05; done; echo after; exit 7\n");
    shell.until_text("before\r\n").await;
    let (id, offset) = (shell.hellos[0].session_id.clone(), shell.client.resume().output().unwrap());
    shell.client.leave().await;

    let mut other = Shell::quiet(person.options(&environment.id, "other")).await;
    other.run("touch enough").await;
    let sessions = format!("/api/v1/environments/{}/sessions", environment.id);
    let live = async || {
        let answer: serde_json::Value = person.rest.ask(Method::GET, &sessions, None).await.unwrap();
        answer.to_string().contains(&id)
    };
    soon("the end", async {
        while live().await {
            tokio::time::sleep(LOOK).await;
        }
    })
    .await;

    for restarted in [false, true] {
        if restarted {
            server.kill();
            server.run().await;
        }
        let url = server.url();
        let query = format!("session={id}&from={offset}");
        let mut socket =
            RawSocket::terminal(&url, &environment.id, &query, &person.token).await.expect("it can be read");
        let (mut output, mut exit) = (Vec::new(), None);
        loop {
            match socket.next().await {
                Some(Message::Binary(frame)) => match ServerFrame::decode(frame).unwrap() {
                    ServerFrame::Output { data, .. } => output.extend_from_slice(&data),
                    ServerFrame::Exit(told) => exit = Some(told),
                    ServerFrame::Snapshot { .. } => panic!("a screen"),
                    _ => {}
                },
                Some(Message::Close(Some(frame))) => {
                    assert_eq!(u16::from(frame.code), 1000);
                    break;
                }
                other => assert!(other.is_some(), "the connection broke"),
            }
        }
        let output = String::from_utf8_lossy(&output).into_owned();
        assert!(output.starts_with("after\r\n"), "{output:?}");
        assert_eq!(exit.and_then(|exit| exit.code), Some(7));
        let screen =
            RawSocket::terminal(&url, &environment.id, &format!("session={id}"), &person.token).await;
        assert_eq!(screen.err(), Some(404));
    }
}

/// An orderly restart tells its clients, who come back.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_away_says_so() {
    let mut server = TestServer::start().await;
    let person = server.demo().await;
    let environment = person.environment("drained").await;
    let mut shell = Shell::quiet(person.options(&environment.id, "main")).await;
    let told = tokio::spawn(async move {
        shell.until("the loss", |shell| shell.losses > 0).await;
        shell
    });
    server.stop().await;
    let mut shell = soon("the loss", told).await.unwrap();
    let draining = shell.statuses.iter().any(|status| status.state == SessionState::Draining);
    assert!(draining, "{:?}", shell.statuses);
    server.run().await;
    assert_eq!(shell.run("echo still here").await, "still here\r\n");
    assert_eq!(shell.hellos[0].session_id, shell.hellos.last().unwrap().session_id);
    assert!(shell.away[0].contains("1001"), "{:?}", shell.away);
}

/// An offset that the session has not reached is refused, and the client begins anew.
#[tokio::test(flavor = "multi_thread")]
async fn an_offset_ahead_of_the_session_is_a_conflict() {
    let server = TestServer::start().await;
    let person = server.demo().await;
    let environment = person.environment("ahead").await;
    let shell = Shell::quiet(person.options(&environment.id, "main")).await;
    let id = &shell.hellos[0].session_id;
    let query = format!("session={id}&from=99999999999");
    let url = server.url();
    let opened = RawSocket::terminal(&url, &environment.id, &query, &person.token);
    assert_eq!(opened.await.err(), Some(409));
}

/// A heartbeat is answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_in_the_foreground_finds_out_at_once() {
    let server = TestServer::start().await;
    let person = server.demo().await;
    let environment = person.environment("beat").await;
    let mut shell = Shell::quiet(person.options(&environment.id, "main")).await;
    shell.client.hurry();
    // Without a PONG the connection would count as lost after 3 s.
    let quiet = tokio::time::timeout(Duration::from_secs(4), async {
        loop {
            if let Event::Away { reason, .. } = shell.client.next_event().await.unwrap() {
                return reason;
            }
        }
    });
    assert!(quiet.await.is_err(), "no PONG came");
}
