use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use devpocket_actors::persistence::embedded::PrivatePostgres;
use devpocket_actors::persistence::engine::{DURABLE_BACKLOG, LATE_BACKLOG};
use devpocket_actors::persistence::users::MarkVerified;
use devpocket_actors::persistence::*;
use sqlx::PgTransaction;
use tokio::sync::Notify;

use crate::support::{World, new_user, until};

fn line(environment_id: &str, text: &str) -> Late {
    Late::LogLine(LogLine::now(environment_id.to_owned(), LogLevel::Info, "test", text))
}

fn metric(environment_id: &str, cpu: f64) -> Late {
    Late::Metric(Metric {
        id: new_id(),
        environment_id: environment_id.to_owned(),
        cpu_usage: cpu,
        memory_usage: 2.0,
        storage_usage: 3.0,
        network_rx: 4,
        network_tx: 5,
        timestamp: Utc::now(),
    })
}

const DRAIN: Duration = Duration::from_secs(20);

#[tokio::test]
async fn late_writes_of_every_kind_land_together_and_once() {
    let world = World::new().await;
    let environment = world.environment("one").await;
    let id = environment.id.clone();
    let at = Utc::now() + TimeDelta::seconds(60);
    for seconds in [60, 10] {
        let at = Utc::now() + TimeDelta::seconds(seconds);
        world.persistence.late(Late::Activity { environment_id: id.clone(), at });
    }
    world.persistence.late(Late::UserSeen { user_id: world.user.id.clone(), session_id: None, at });
    let said_twice = line(&id, "first\0line");
    world.persistence.late(said_twice.clone());
    world.persistence.late(said_twice);
    world.persistence.late(line(&id, "second"));
    // About an environment that does not exist: must not stop the others.
    world.persistence.late(line("nowhere", "lost"));
    world.persistence.late(metric("nowhere", 1.0));
    world.persistence.late(metric(&id, 41.5));
    world.persistence.late(Late::Audit(AuditEntry::now("test.done")));
    assert!(world.persistence.engine().drain(DRAIN).await.is_complete());

    let logs = records::recent_logs(world.persistence.pool(), &id, None, 10).await.unwrap();
    let texts: Vec<_> = logs.iter().map(|line| line.message.as_str()).collect();
    assert_eq!(texts, ["firstline", "second"]);
    assert_eq!(world.count("environment_metrics").await, 1);
    assert_eq!(world.count("audit_log").await, 1);
    let row = world.read(&id).await;
    assert!(row.last_activity_at.unwrap() > Utc::now() + TimeDelta::seconds(30));
    assert!((row.cpu_usage - 41.5).abs() < 1e-9);
    let stats = world.persistence.stats();
    assert_eq!((stats.late_backlog, stats.late_dropped, stats.late_refused), (0, 0, 0));
}

#[tokio::test]
async fn a_full_batch_does_not_wait_for_the_clock_and_a_small_one_does_not_wait_for_more() {
    let world = World::new().await;
    let id = world.environment("one").await.id;
    world.persistence.late(line(&id, "alone"));
    until("the single line has landed", || async { world.count("environment_logs").await == 1 }).await;
    for n in 0..1_000 {
        world.persistence.late(line(&id, &n.to_string()));
    }
    until("all lines have landed", || async { world.count("environment_logs").await == 1_001 }).await;
    let logs = records::recent_logs(world.persistence.pool(), &id, None, 1_000).await.unwrap();
    let order: Vec<_> = logs.iter().map(|line| line.message.clone()).collect();
    assert_eq!(order, (0..1_000).map(|n: i32| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_outage_costs_late_writes_nothing_and_durable_ones_answer_soon() {
    let server = PrivatePostgres::in_temporary_directory().await.unwrap();
    let world = World::on(server.fresh_database().await.unwrap()).await;
    let id = world.environment("one").await.id;
    world.persistence.late(line(&id, "before"));
    until("the first line has landed", || async { world.count("environment_logs").await == 1 }).await;

    server.halt().await.unwrap();
    for n in 0..300 {
        world.persistence.late(line(&id, &n.to_string()));
    }
    world.persistence.observe_status(&id, EnvironmentStatus::Running, None);
    // More than there are workers: none may wait for another's time-out.
    let began = Instant::now();
    let mut writes = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (persistence, user_id) = (world.persistence.clone(), world.user.id.clone());
        writes.spawn(async move { persistence.write(MarkVerified { user_id }).await.map(|_| ()) });
    }
    while let Some(answer) = writes.join_next().await {
        assert_eq!(answer.unwrap(), Err(WriteError::Unavailable));
    }
    assert!(began.elapsed() < Duration::from_millis(2_500), "took {:?}", began.elapsed());
    let read = users::by_id(world.persistence.pool(), &world.user.id).await;
    assert!(matches!(read, Err(ReadError::Unavailable)));
    until("the outage is known", || async { !world.persistence.stats().available }).await;

    server.resume().await.unwrap();
    assert!(world.persistence.engine().drain(DRAIN).await.is_complete());
    assert_eq!(world.count("environment_logs").await, 301);
    assert_eq!(world.read(&id).await.status, EnvironmentStatus::Running);
    world.persistence.write(MarkVerified { user_id: world.user.id.clone() }).await.unwrap();
    let stats = world.persistence.stats();
    assert!(stats.available && stats.late_dropped == 0 && stats.late_refused == 0);
}

#[tokio::test]
async fn a_restart_of_the_workers_forgets_nothing() {
    let mut world = World::new().await;
    let id = world.environment("one").await.id;
    let engine = world.persistence.engine().clone();
    for n in 0..600 {
        world.persistence.late(line(&id, &n.to_string()));
        if n % 100 == 99 {
            tokio::task::yield_now().await;
            drop(world.guard);
            world.guard = engine.start_workers();
        }
    }
    world.persistence.observe_status(&id, EnvironmentStatus::Running, None);
    assert!(engine.drain(DRAIN).await.is_complete());
    assert_eq!(world.count("environment_logs").await, 600);
    assert_eq!(world.read(&id).await.status, EnvironmentStatus::Running);
}

#[tokio::test]
async fn the_backlogs_are_bounded() {
    let world = World::new().await;
    // Queues nobody works on: as during an outage.
    let idle = Persistence::new(EngineHandle::new(world.database.pool.clone()));
    for n in 0..LATE_BACKLOG + 7 {
        idle.late(line("e", &n.to_string()));
    }
    let stats = idle.stats();
    assert_eq!((stats.late_backlog, stats.late_dropped), (LATE_BACKLOG, 7));
    for _ in 0..1_000 {
        idle.observe_status("e", EnvironmentStatus::Running, None);
    }
    assert_eq!(idle.stats().status_backlog, 1);

    let mut waiting: Vec<_> = (0..DURABLE_BACKLOG)
        .map(|_| Box::pin(idle.write(MarkVerified { user_id: "nobody".into() })))
        .collect();
    for write in &mut waiting {
        assert!(futures_util::poll!(write.as_mut()).is_pending());
    }
    let one_more = idle.write(MarkVerified { user_id: "nobody".into() }).await;
    assert_eq!(one_more.unwrap_err(), WriteError::Overloaded);
    // And those that wait are not left without an answer.
    for write in waiting {
        assert_eq!(write.await.unwrap_err(), WriteError::Unavailable);
    }
    // Given up, they never run: once there are workers, they only leave the queue.
    let _guard = idle.engine().start_workers();
    until("the places are free again", || async { idle.stats().durable_backlog == 0 }).await;
    assert_eq!(idle.stats().durable_done + idle.stats().durable_failed, 0);
}

/// A write that does what the test says.
struct Scripted<F>(F);

impl<F, Fut> Write for Scripted<F>
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), WriteError>> + Send,
{
    type Output = ();

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<(), WriteError> {
        sqlx::query("INSERT INTO audit_log (id, action) VALUES ($1, 'scripted')")
            .bind(new_id())
            .execute(&mut **tx)
            .await?;
        (self.0)().await
    }
}

#[tokio::test]
async fn an_error_or_a_panic_rolls_back_and_harms_nobody_else() {
    let world = World::new().await;
    let refused =
        world.persistence.write(Scripted(|| async { Err(WriteError::Refused { why: "because" }) })).await;
    assert_eq!(refused, Err(WriteError::Refused { why: "because" }));
    for _ in 0..2 * engine::DURABLE_WORKERS {
        let panicked = world.persistence.write(Scripted(|| async { panic!("on purpose") })).await;
        assert!(matches!(panicked, Err(WriteError::Internal(_))));
    }
    assert_eq!(world.count("audit_log").await, 0);
    world.persistence.write(Scripted(|| async { Ok(()) })).await.unwrap();
    assert_eq!(world.count("audit_log").await, 1);
}

#[tokio::test]
async fn a_write_whose_caller_left_is_done_and_drain_waits_for_it() {
    let world = World::new().await;
    let gate = Arc::new(Notify::new());
    let begun = Arc::new(Notify::new());
    let (wait, tell) = (Arc::clone(&gate), Arc::clone(&begun));
    let persistence = world.persistence.clone();
    let caller = tokio::spawn(async move {
        let script = move || async move {
            tell.notify_one();
            wait.notified().await;
            Ok(())
        };
        persistence.write(Scripted(script)).await
    });
    begun.notified().await;
    caller.abort();
    let left = world.persistence.engine().drain(Duration::from_millis(50)).await;
    assert_eq!(left.durable, 1);
    gate.notify_one();
    assert!(world.persistence.engine().drain(DRAIN).await.is_complete());
    assert_eq!(world.count("audit_log").await, 1);
}

#[tokio::test]
async fn an_older_status_never_replaces_a_newer_one() {
    let world = World::new().await;
    let id = world.environment("one").await.id;
    let engine = world.persistence.engine().clone();
    let early = ObservedStatus::now(id.clone(), EnvironmentStatus::Running, None);
    let later = ObservedStatus::now(id.clone(), EnvironmentStatus::Error, Some("no\0 image".into()));
    engine.accept(Command::Status(later));
    assert!(engine.drain(DRAIN).await.is_complete());
    engine.accept(Command::Status(early.clone()));
    assert!(engine.drain(DRAIN).await.is_complete());
    let row = world.read(&id).await;
    assert_eq!((row.status, row.status_reason.as_deref()), (EnvironmentStatus::Error, Some("no image")));
    assert!(row.ready_at.is_none());

    // What was seen before a wish is old as well.
    let before = ObservedStatus::now(id.clone(), EnvironmentStatus::Running, None);
    let wish = environments::SetDesired {
        id: id.clone(),
        desired: DesiredState::Stopped,
        status: Some(EnvironmentStatus::Stopping),
        reason: None,
        replaces: None,
    };
    let row = world.persistence.write(wish).await.unwrap();
    assert_eq!((row.desired_state, row.desired_generation), (DesiredState::Stopped, 2));
    engine.accept(Command::Status(before));
    assert!(engine.drain(DRAIN).await.is_complete());
    assert_eq!(world.read(&id).await.status, EnvironmentStatus::Stopping);

    // And nothing comes back from the dead.
    world.persistence.write(environments::MarkTerminated { id: id.clone() }).await.unwrap();
    world.persistence.observe_status(&id, EnvironmentStatus::Running, None);
    assert!(engine.drain(DRAIN).await.is_complete());
    assert_eq!(world.read(&id).await.status, EnvironmentStatus::Terminated);
}

#[tokio::test]
async fn becoming_usable_is_noted_and_unchanged_statuses_do_not_reorder_the_list() {
    let world = World::new().await;
    let id = world.environment("one").await.id;
    let engine = world.persistence.engine().clone();
    world.persistence.observe_status(&id, EnvironmentStatus::Running, None);
    assert!(engine.drain(DRAIN).await.is_complete());
    let first = world.read(&id).await;
    assert!(first.ready_at.is_some());
    world.persistence.observe_status(&id, EnvironmentStatus::Running, None);
    assert!(engine.drain(DRAIN).await.is_complete());
    let second = world.read(&id).await;
    assert_eq!((first.ready_at, first.updated_at), (second.ready_at, second.updated_at));
    assert!(second.status_sequence > first.status_sequence);
}

#[tokio::test]
async fn a_route_that_is_gone_is_bypassed() {
    let world = World::new().await;
    let route: Route = Arc::new(Some);
    let persistence = Persistence::routed(world.persistence.engine().clone(), route);
    assert_eq!(persistence.write(new_user("eve")).await.unwrap().username, "eve");
}
