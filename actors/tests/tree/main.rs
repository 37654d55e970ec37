//! The whole tree on real Postgres, real sandboxes, real agents and real shells, without the edge.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use devpocket_actors::environment::{Change, EnvironmentError, Selector};
use devpocket_actors::persistence::{AuditEntry, EnvironmentStatus, Late};
use devpocket_actors::supervision::{ActorPath, Kind};
use devpocket_protocol::Size;
use devpocket_protocol::client::ExitReason;
use support::Place;

fn main_session() -> Selector {
    Selector::Name("main".into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_is_opened_used_and_ended() {
    let place = Place::new().await;
    let environment = place.create("dev").await;
    let mut terminal = place.attach(&environment, &main_session()).await;
    terminal.type_in("echo hello-$((40+2))\n").await;
    terminal.read_until("hello-42").await;
    terminal.type_in("exit 3\n").await;
    let exit = terminal.exit().await;
    assert_eq!((exit.reason, exit.code), (ExitReason::Exited, Some(3)));

    // By its id it is gone, by its name it is a new one.
    let id = Selector::Id(terminal.session_id());
    let gone = place.system.open_terminal(&place.user, &environment, &id, Size::DEFAULT).await;
    assert_eq!(gone.unwrap_err(), EnvironmentError::NoSuchSession);
    let next = place.attach(&environment, &main_session()).await;
    assert_ne!(next.session_id(), terminal.session_id());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_anywhere_above_a_terminal_loses_no_byte() {
    let place = Place::new().await;
    let environment = place.create("dev").await;
    let mut terminal = place.attach(&environment, &main_session()).await;
    let lines = 30_000;
    terminal.type_in(&format!("stty -echo; clear; seq 1 {lines}; echo the-$((40+2))\n")).await;
    let session = terminal.session_id();
    let victims =
        [(Kind::Terminal, session.as_str()), (Kind::Environment, &environment), (Kind::User, &place.user)];
    for (kind, id) in victims {
        terminal.read_some().await;
        place.fail(&ActorPath::of(kind, id)).await;
    }
    terminal.read_until("the-42").await;
    let text = terminal.text();
    let printed: String = (1..=lines).map(|n| format!("{n}\r\n")).collect();
    assert!(text.contains(&printed), "the numbered lines are not all there, once and in order");
    terminal.type_in("echo still-$((1+1))\n").await;
    terminal.read_until("still-2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_that_always_fails_is_given_up_and_its_siblings_go_on() {
    let place = Place::new().await;
    let environment = place.create("dev").await;
    let victim = place.attach(&environment, &Selector::Name("victim".into())).await;
    let mut sibling = place.attach(&environment, &Selector::Name("sibling".into())).await;
    let path = ActorPath::of(Kind::Terminal, &victim.session_id());
    place.system.registry().panic_at_start(&path, true);
    assert!(place.system.registry().inject_panic(&path));
    let failed = support::eventually("the terminal is given up", || async {
        place.system.registry().inspect(&path).filter(|actor| actor.state == "failed")
    })
    .await;
    assert!(failed.restarts >= 3, "{failed:?}");
    assert!(failed.last_failure.is_some_and(|failure| failure.reason.contains("injected")));
    sibling.type_in("echo sibling-$((3*4))\n").await;
    sibling.read_until("sibling-12").await;
    let id = Selector::Id(victim.session_id());
    let refused = place.system.open_terminal(&place.user, &environment, &id, Size::DEFAULT).await;
    assert_eq!(refused.unwrap_err(), EnvironmentError::KeepsFailing);
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_keeps_the_home_and_ends_the_sessions() {
    let place = Place::new().await;
    let environment = place.create("dev").await;
    let mut terminal = place.attach(&environment, &main_session()).await;
    terminal.type_in("echo kept-$((6*7)) > ~/file; echo written-$((1+1))\n").await;
    terminal.read_until("written-2").await;
    place.system.change_environment(&place.user, &environment, Change::Stop).await.unwrap();
    assert_eq!(terminal.exit().await.reason, ExitReason::EnvironmentGone);
    place.reaches(&environment, EnvironmentStatus::Stopped).await;
    let refused = place.system.open_terminal(&place.user, &environment, &main_session(), Size::DEFAULT).await;
    assert!(matches!(refused, Err(EnvironmentError::Refused(_))), "{refused:?}");
    place.system.change_environment(&place.user, &environment, Change::Start).await.unwrap();
    let mut terminal = place.attach(&environment, &main_session()).await;
    terminal.type_in("cat ~/file\n").await;
    terminal.read_until("kept-42").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_environment_is_not_deleted_and_a_stopped_one_is_gone() {
    let place = Place::new().await;
    let environment = place.create("dev").await;
    place.reaches(&environment, EnvironmentStatus::Running).await;
    let change = |change| place.system.change_environment(&place.user, &environment, change);
    assert_eq!(change(Change::Delete).await, Err(EnvironmentError::StillRunning));
    change(Change::Stop).await.unwrap();
    assert_eq!(change(Change::Delete).await, Ok(EnvironmentStatus::Terminated));
    assert_eq!(change(Change::Start).await, Err(EnvironmentError::NotFound));
    assert!(!place.home(&environment).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_environment_comes_back_by_itself() {
    let place = Place::new().await;
    let environment = place.create("dev").await;
    let mut terminal = place.attach(&environment, &main_session()).await;
    place.kill_agent(&environment);
    assert_eq!(terminal.exit().await.reason, ExitReason::PodGone);
    let mut terminal = place.attach(&environment, &main_session()).await;
    terminal.type_in("echo back-$((5+5))\n").await;
    terminal.read_until("back-10").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_finds_the_same_session_at_the_same_byte() {
    let mut place = Place::new().await;
    let environment = place.create("dev").await;
    let mut terminal = place.attach(&environment, &main_session()).await;
    terminal.type_in("stty -echo; echo before-$((1+1))\n").await;
    terminal.read_until("before-2").await;
    let (id, offset) = (terminal.session_id(), terminal.offset());
    drop(terminal);
    place.restart().await;
    let mut terminal = place.resume(&environment, &id, offset).await;
    terminal.type_in("echo after-$((2+2))\n").await;
    terminal.read_until("after-4").await;
    assert!(!terminal.text().contains("before-2"), "bytes came twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_environment_does_not_exist() {
    let place = Place::new().await;
    let environment = place.create("dev").await;
    let other = place.other_user().await;
    let theirs = place.system.open_terminal(&other, &environment, &main_session(), Size::DEFAULT).await;
    let nowhere =
        place.system.open_terminal(&other, "cnosuchenvironment0000000", &main_session(), Size::DEFAULT).await;
    assert_eq!(theirs.unwrap_err(), EnvironmentError::NotFound);
    assert_eq!(nowhere.unwrap_err(), EnvironmentError::NotFound);
}

/// What was handed over a moment before the end is written, also what lay in a mailbox still.
#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_writes_what_was_handed_over() {
    let place = Place::new().await;
    let persistence = place.system.persistence().clone();
    let count = 3;
    for _ in 0..count {
        persistence.late(Late::Audit(AuditEntry::now("handed.over")));
    }
    place.system.shutdown().await;
    let query = "SELECT count(*) FROM audit_log WHERE action = 'handed.over'";
    let written: i64 = sqlx::query_scalar(query).fetch_one(persistence.pool()).await.unwrap();
    assert_eq!(written, count);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_is_told_by_mail_that_an_environment_failed() {
    let mut place = Place::new().await;
    let environment = place.create("dev").await;
    place.reaches(&environment, EnvironmentStatus::Running).await;
    place.system.change_environment(&place.user, &environment, Change::Stop).await.unwrap();
    place.reaches(&environment, EnvironmentStatus::Stopped).await;
    assert!(place.mails().is_empty(), "only errors are told");
    place.spoil(&environment).await;
    // Whoever asks for it has it started.
    let start = place.system.change_environment(&place.user, &environment, Change::Start).await;
    assert!(start.is_ok(), "{start:?}");
    place.reaches(&environment, EnvironmentStatus::Error).await;
    let mail = support::eventually("a mail", || async { place.mails().pop() }).await;
    assert!(mail.contains("Subject: dev has failed") && mail.contains("Its cpu is"), "{mail}");
}
