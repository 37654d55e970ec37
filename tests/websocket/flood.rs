//! Programs that write faster than a phone can read.

use std::time::{Duration, Instant};

use devpocket_protocol::Size;
use devpocket_protocol::client::ClientFrame;

use crate::common::raw::RawSocket;
use crate::common::screen;
use crate::common::server::TestServer;
use crate::common::shell::Shell;

/// How long the flood goes on; not a wait for anything.
const FLOOD: Duration = Duration::from_secs(10);

/// The most that the server may grow by, in KiB.
const GROWTH: u64 = 8 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_costs_nothing() {
    let server = TestServer::start().await;
    let person = server.demo().await;
    let environment = person.environment("flood").await;
    // Both sessions and their sockets are there before memory is measured.
    let mut deaf = Shell::quiet(person.options(&environment.id, "flood")).await;
    let mut other = Shell::quiet(person.options(&environment.id, "other")).await;
    other.run("echo warm").await;
    let before = server.rss();

    deaf.type_text(
        "timeout 10 yes 'all work and no play'; seq 1 40; printf '\\033[7mFLOOD %s\\033[0m' OVER; read -r _\n",
    );
    deaf.until_taken().await;
    // From here on it reads nothing; keys elsewhere are answered, memory stays.
    let (started, mut worst, mut peak) = (Instant::now(), Duration::ZERO, before);
    let mut keys = 0;
    while started.elapsed() < FLOOD {
        let pressed = Instant::now();
        other.run("echo key").await;
        worst = worst.max(pressed.elapsed());
        peak = peak.max(server.rss());
        keys += 1;
    }
    println!("{keys} keys, the slowest in {worst:?}; memory {before} KiB, at most {peak} KiB");
    assert!(worst < Duration::from_secs(2), "a key took {worst:?}");
    assert!(peak < before + GROWTH, "the server grew from {before} to {peak} KiB");

    // It acknowledges again and is shown what is there now, not the backlog.
    deaf.until_text("FLOOD OVER").await;
    assert!(!deaf.snapshots.is_empty());
    assert!(deaf.received.len() < 2_000_000, "{} bytes came", deaf.received.len());
    // `timeout` may cut `yes` within a line, which the numbers have scrolled away.
    let mut replay: Vec<u8> = (1..=40).flat_map(|n| format!("{n}\r\n").into_bytes()).collect();
    replay.extend_from_slice(b"\x1b[7mFLOOD OVER\x1b[0m");
    let expected = screen::after(Size::DEFAULT, &replay);
    assert_eq!(screen::of(&deaf, Size::DEFAULT), expected);
    // And whoever comes now is shown the same.
    let mut fresh = Shell::new(person.options(&environment.id, "flood"));
    fresh.until("its screen", |shell| !shell.snapshots.is_empty()).await;
    fresh.until_text("FLOOD OVER").await;
    assert_eq!(screen::of(&fresh, Size::DEFAULT), expected);
}

/// Ctrl-C ends a flood that its own client is buried under.
#[tokio::test(flavor = "multi_thread")]
async fn control_c_gets_through_a_flood() {
    let server = TestServer::start().await;
    let person = server.demo().await;
    let environment = person.environment("buried").await;
    let mut shell = Shell::quiet(person.options(&environment.id, "main")).await;
    shell.type_text("yes 'all work and no play'\n");
    shell.until("the flood", |shell| shell.received.len() > 1_000_000).await;
    let pressed = Instant::now();
    shell.type_text("\u{3}");
    shell.until_taken().await;
    assert_eq!(shell.run("echo over").await.lines().last(), Some("over"));
    println!("Ctrl-C took {:?}", pressed.elapsed());
    assert!(pressed.elapsed() < Duration::from_secs(5));
}

/// Without ACK the server sends one window and then waits.
#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_the_window_is_sent_without_an_ack() {
    let server = TestServer::start().await;
    let person = server.demo().await;
    let environment = person.environment("window").await;
    let mut typist = Shell::quiet(person.options(&environment.id, "main")).await;
    let mut socket = RawSocket::terminal(&server.url(), &environment.id, "session=main", &person.token)
        .await
        .unwrap_or_else(|s| panic!("{s}"));
    typist.type_text("seq 1 400000\n");
    typist.until_text("\r\n400000\r\n").await;
    let mut sent = 0;
    while !socket.silent(Duration::from_millis(700)).await {
        // `silent` took one message; count what is left by its own reading.
        sent += 1;
        assert!(sent < 5_000, "the server does not stop");
    }
    socket.bytes(&ClientFrame::Ping(9).encode()).await;
    assert!(!socket.silent(Duration::from_secs(2)).await, "a PONG must come although the window is full");
}
