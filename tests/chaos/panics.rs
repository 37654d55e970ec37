//! An actor that panics is none of a person's business.

use std::time::Duration;

use devpocket_actors::persistence::AuditEntry;
use devpocket_actors::supervision::Kind;
use devpocket_protocol::client::close;

use crate::common::server::LOOK;
use crate::common::shell::Shell;
use crate::common::soon;
use crate::inside::Inside;

fn numbered(from: u64, to: u64) -> Vec<u8> {
    (from..=to).flat_map(|n| format!("line {n} of the output\r\n").into_bytes()).collect()
}

/// The whole line of actors above a session, struck one after the other while output flows:
/// one connection, every byte.
#[tokio::test(flavor = "multi_thread")]
async fn a_panic_anywhere_costs_no_byte() {
    let server = Inside::start().await;
    let person = server.demo().await;
    let user = person.rest.me().await.unwrap().id;
    let environment = person.environment("struck").await;
    let mut shell = Shell::quiet(person.options(&environment.id, "main")).await;
    let session = shell.hellos[0].session_id.clone();
    let victims = [
        (Kind::Terminal, session.as_str()),
        (Kind::Environment, environment.id.as_str()),
        (Kind::User, user.as_str()),
        (Kind::Terminal, session.as_str()),
    ];
    // One piece of output per byte of input: no more is under way than the session holds.
    shell.type_text(
        "i=0; while IFS= read -r _; do seq -f 'line %.0f of the output' $((i * 4000 + 1)) $(((i + 1) * 4000)); i=$((i+1)); done\n",
    );
    let mut pieces = 0;
    for (kind, id) in victims {
        for strike in [false, true, false] {
            pieces += 1;
            shell.type_text("\n");
            let expected = numbered(1, pieces * 4000);
            if strike {
                let half = expected.len() - 60_000;
                shell.until("a part", |shell| shell.received.len() >= half).await;
                server.strike(kind, id);
            }
            let what = format!("piece {pieces}, {kind:?} struck: {strike}");
            shell.until(&what, |shell| shell.received.len() >= expected.len()).await;
            assert!(shell.received == expected, "{what}: the bytes differ");
        }
    }
    assert_eq!(shell.losses, 0, "the socket stays open");
    assert_eq!(shell.hellos.len(), 1);
    assert_eq!(shell.snapshots.len(), 0);
}

/// What was typed into an actor that fails runs, and runs once.
#[tokio::test(flavor = "multi_thread")]
async fn keys_typed_into_a_panic_count_once() {
    let server = Inside::start().await;
    let person = server.demo().await;
    let environment = person.environment("typed").await;
    let mut shell = Shell::quiet(person.options(&environment.id, "main")).await;
    let session = shell.hellos[0].session_id.clone();
    let user = person.rest.me().await.unwrap().id;
    shell.run("rm -f log").await;
    let mut typed = 0;
    for (kind, id) in [(Kind::Terminal, &session), (Kind::Environment, &environment.id), (Kind::User, &user)]
    {
        for i in 0..20 {
            typed += 1;
            shell.type_text(&format!("echo {typed} >> log\n"));
            if i == 10 {
                server.strike(kind, id);
            }
            if i % 5 == 4 {
                shell.until_taken().await;
            }
        }
    }
    let log = shell.run("cat log").await;
    let numbers: Vec<u64> = log.lines().map(|line| line.trim().parse().unwrap()).collect();
    assert_eq!(numbers, (1..=typed).collect::<Vec<u64>>());
    assert_eq!(shell.losses, 0);
}

/// One that fails at each start is given up and shown so; its siblings go on; and when its
/// fault is gone it works again.
#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_that_always_fails_is_given_up_alone() {
    let server = Inside::start().await;
    let person = server.demo().await;
    let environment = person.environment("broken").await;
    let mut sibling = Shell::quiet(person.options(&environment.id, "sibling")).await;
    let mut broken = Shell::quiet(person.options(&environment.id, "broken")).await;
    let session = broken.hellos[0].session_id.clone();
    let path = devpocket_actors::supervision::ActorPath::of(Kind::Terminal, &session);
    server.system.registry().panic_at_start(&path, true);
    server.strike(Kind::Terminal, &session);
    server.shows(Kind::Terminal, &session, "failed", |actor| actor.state == "failed").await;
    server
        .shows(Kind::Terminal, &session, "counted", |actor| {
            actor.restarts > 0 && actor.last_failure.is_some()
        })
        .await;
    assert_eq!(sibling.run("echo alive").await, "alive\r\n");
    assert_eq!(sibling.losses, 0);
    // The environment and the user above it run.
    server.shows(Kind::Environment, &environment.id, "running", |actor| actor.state != "failed").await;
    // Its client is told, after the server has looked for a successor for a while.
    broken.type_text("echo x\n");
    let told = async {
        while broken.losses == 0 && broken.closed.is_none() {
            if broken.step().await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(45), told).await.expect("its client must be told");
    server.system.registry().panic_at_start(&path, false);
}

/// Whoever is to be detached is, also when the session's actor failed meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_keeps_its_number_over_a_panic() {
    let server = Inside::start().await;
    let person = server.demo().await;
    let environment = person.environment("numbered").await;
    let mut stays = Shell::quiet(person.options(&environment.id, "main")).await;
    let mut goes = Shell::open(person.options(&environment.id, "main")).await;
    let session = stays.hellos[0].session_id.clone();
    let numbers = async || {
        let clients = server.system.clients(&session).await.unwrap();
        let mut all: Vec<_> = clients.into_iter().map(|client| (client.number, client.stream)).collect();
        all.sort();
        all
    };
    let before = numbers().await;
    assert_eq!(before.len(), 2);
    server.strike(Kind::Terminal, &session);
    server.shows(Kind::Terminal, &session, "restarted", |actor| actor.restarts == 1).await;
    let back = async {
        while numbers().await != before {
            tokio::time::sleep(LOOK).await;
        }
    };
    soon("both clients to be back under their numbers", back).await;
    let (number, _) = before.iter().find(|(_, stream)| *stream == goes.hellos[0].stream).unwrap();
    assert!(server.system.detach(&session, *number, AuditEntry::now("test.detach")).await.unwrap());
    while goes.closed.is_none() {
        goes.step().await.unwrap();
    }
    assert_eq!(goes.closed.map(|closed| closed.0), Some(close::DETACHED));
    assert_eq!(stays.run("echo here").await, "here\r\n");
    assert_eq!((stays.losses, numbers().await.len()), (0, 1));
}
