use std::collections::BTreeMap;

use devpocket_actors::persistence::environments::{
    CreateEnvironment, EnvironmentFilter, MAX_RECOVERIES, MarkTerminated, NAME_TAKEN, RECOVERY_PAUSE,
    RecordRecovery, Recovery, SetDesired, UpdateEnvironment, VariableChange, all_live, count_live, list,
};
use devpocket_actors::persistence::terminals::{CreateTerminalSession, EndTerminalSession};
use devpocket_actors::persistence::*;
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{World, plans, sealing, variables};

#[tokio::test]
async fn the_plan_limit_holds_against_parallel_requests() {
    let world = World::new().await;
    let mut requests = JoinSet::new();
    for n in 0..20 {
        let create = CreateEnvironment { plans: plans(3), ..world.new_environment(&format!("n{n}")) };
        let persistence = world.persistence.clone();
        requests.spawn(async move { persistence.write(sealing(create)).await });
    }
    let (mut made, mut refused) = (0, 0);
    while let Some(answer) = requests.join_next().await {
        match answer.unwrap() {
            Ok(_) => made += 1,
            Err(WriteError::LimitReached { limit: 3 }) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((made, refused), (3, 17));
}

#[tokio::test]
async fn a_name_is_taken_once_and_free_again_after_termination() {
    let world = World::new().await;
    let mut requests = JoinSet::new();
    for _ in 0..8 {
        let (create, persistence) = (world.new_environment("same"), world.persistence.clone());
        requests.spawn(async move { persistence.write(sealing(create)).await });
    }
    let answers = requests.join_all().await;
    let taken = WriteError::Conflict { constraint: NAME_TAKEN.to_owned() };
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.as_ref().is_err_and(|e| *e == taken)).count(), 7);
    let id = answers.into_iter().find_map(Result::ok).unwrap().id;
    world.persistence.write(MarkTerminated { id }).await.unwrap();
    world.environment("same").await;
}

#[tokio::test]
async fn the_rules_are_checked_in_their_order() {
    let world = World::new().await;
    world.environment("one").await;
    let wrong = |name: &str, template: &str, limit| CreateEnvironment {
        template: template.to_owned(),
        plans: plans(limit),
        ..world.new_environment(name)
    };
    let answer = |create| async { world.persistence.write(sealing(create)).await.map(|_| ()).unwrap_err() };
    assert_eq!(answer(wrong("one", "none", 1)).await, WriteError::LimitReached { limit: 1 });
    assert_eq!(
        answer(wrong("one", "none", 2)).await,
        WriteError::Conflict { constraint: NAME_TAKEN.to_owned() }
    );
    assert_eq!(answer(wrong("two", "none", 2)).await, WriteError::NotFound { what: "template" });
    let no_cluster = CreateEnvironment { cluster: Some("none".into()), ..world.new_environment("two") };
    assert_eq!(answer(no_cluster).await, WriteError::NotFound { what: "cluster" });
    let nobody = CreateEnvironment { user_id: "nobody".into(), ..world.new_environment("two") };
    assert_eq!(answer(nobody).await, WriteError::NotFound { what: "user" });
}

#[tokio::test]
async fn an_environment_takes_what_it_does_not_say_from_its_template() {
    let world = World::new().await;
    let create = CreateEnvironment {
        cpu: Some("1".into()),
        variables: Variables([("A".into(), "1".into())].into()),
        ..world.new_environment("one")
    };
    let made = world.persistence.write(sealing(create)).await.unwrap();
    assert_eq!((made.status, made.desired_state), (EnvironmentStatus::Creating, DesiredState::Running));
    assert_eq!((made.resources_cpu.as_str(), made.resources_memory.as_str()), ("1", "1Gi"));
    assert_eq!(variables(&made).0.len(), 2);
    let view = environments::by_id(world.persistence.pool(), &made.id).await.unwrap().unwrap();
    assert_eq!((view.template_name.as_str(), view.cluster_name.as_str()), ("debian", "local"));
    let template =
        devpocket_actors::persistence::templates::by_id_or_name(world.persistence.pool(), "debian");
    assert_eq!(template.await.unwrap().unwrap().usage_count, 1);
}

#[tokio::test]
async fn resources_stay_within_the_plan_and_volumes_never_shrink() {
    let world = World::new().await;
    let beyond = |cpu: &str, storage: &str| CreateEnvironment {
        cpu: Some(cpu.into()),
        storage: Some(storage.into()),
        ..world.new_environment("one")
    };
    let refused = world.persistence.write(sealing(beyond("2", "11Gi"))).await.unwrap_err();
    assert!(
        matches!(&refused, WriteError::BeyondPlan(why) if why.contains("cpu 2, storage 11Gi") && why.contains("FREE")),
        "{refused:?}"
    );
    let one = world.persistence.write(sealing(beyond("1", "5Gi"))).await.unwrap();
    let storage = |size: &str| UpdateEnvironment {
        id: one.id.clone(),
        storage: Some(size.into()),
        ..UpdateEnvironment::default()
    };
    let refused = world.persistence.write(sealing(storage("4Gi"))).await.unwrap_err();
    assert!(matches!(refused, WriteError::Refused { why } if why.contains("smaller")), "{refused:?}");
    assert!(matches!(
        world.persistence.write(sealing(storage("11Gi"))).await,
        Err(WriteError::BeyondPlan(_))
    ));
    let row = world.persistence.write(sealing(storage("10Gi"))).await.unwrap();
    assert_eq!(row.resources_storage, "10Gi");
    // On a smaller plan, what it has already may be said again, and other things changed.
    let mut smaller = plans(9);
    smaller.free.each.storage_bytes = 1 << 30;
    let same = UpdateEnvironment {
        name: Some("uno".into()),
        cpu: Some("500m".into()),
        plans: smaller,
        ..storage("10Gi")
    };
    assert_eq!(world.persistence.write(sealing(same)).await.unwrap().name, "uno");
    // What a template suggests is cut to the plan.
    let two = CreateEnvironment { plans: smaller, ..world.new_environment("two") };
    assert_eq!(world.persistence.write(sealing(two)).await.unwrap().resources_storage, "1Gi");
}

#[tokio::test]
async fn changes_merge_replace_and_remove_variables() {
    let world = World::new().await;
    let id = world.environment("one").await.id;
    let merge: BTreeMap<_, _> = [("A".to_owned(), Some("1".to_owned())), ("EDITOR".to_owned(), None)].into();
    let update = UpdateEnvironment {
        id: id.clone(),
        description: Some(Some("words".into())),
        variables: Some(VariableChange::Merge(merge)),
        ..UpdateEnvironment::default()
    };
    let row = world.persistence.write(sealing(update)).await.unwrap();
    assert_eq!(variables(&row).0, [("A".to_owned(), "1".to_owned())].into());
    assert_eq!((row.name.as_str(), row.description.as_deref()), ("one", Some("words")));
    world.environment("two").await;
    let rename = UpdateEnvironment { id, name: Some("two".into()), ..UpdateEnvironment::default() };
    assert_eq!(
        world.persistence.write(sealing(rename)).await.unwrap_err(),
        WriteError::Conflict { constraint: NAME_TAKEN.to_owned() }
    );
}

#[tokio::test]
async fn lists_show_the_newest_change_first_and_hide_the_terminated() {
    let world = World::new().await;
    let (one, two, three) =
        (world.environment("one").await, world.environment("two").await, world.environment("three").await);
    world.persistence.write(MarkTerminated { id: two.id.clone() }).await.unwrap();
    let touch = UpdateEnvironment { id: one.id.clone(), name: Some("uno".into()), ..Default::default() };
    world.persistence.write(sealing(touch)).await.unwrap();
    let pool = world.persistence.pool();
    let filter = EnvironmentFilter { user_id: Some(world.user.id.clone()), ..Default::default() };
    let (rows, total) = list(pool, &filter, Page { limit: 1, offset: 0 }).await.unwrap();
    assert_eq!((rows[0].environment.name.as_str(), total), ("uno", 2));
    let (rows, _) = list(pool, &filter, Page { limit: 1, offset: 1 }).await.unwrap();
    assert_eq!(rows[0].environment.id, three.id);
    // However the pages lie, all are counted.
    for (limit, offset, shown) in
        [(1, 1, 1), (1, 2, 0), (2, 0, 2), (3, 0, 2), (3, 1, 1), (3, 2, 0), (3, 9, 0)]
    {
        let (rows, total) = list(pool, &filter, Page { limit, offset }).await.unwrap();
        assert_eq!((rows.len(), total), (shown, 2), "{limit} from {offset}");
    }
    let counted = users::counted(pool, &world.user.id).await.unwrap().unwrap();
    assert_eq!((counted.user.id, counted.environments), (world.user.id.clone(), 2));
    let gone = EnvironmentFilter { status: Some(EnvironmentStatus::Terminated), ..filter };
    assert_eq!(list(pool, &gone, Page::default()).await.unwrap().1, 1);
    assert_eq!(count_live(pool, &world.user.id).await.unwrap(), 2);
    assert_eq!(all_live(pool).await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_wanted_gone_cannot_be_wanted_back() {
    let world = World::new().await;
    let id = world.environment("one").await.id;
    let want = |desired| SetDesired { id: id.clone(), desired, status: None, reason: None, replaces: None };
    world.persistence.write(want(DesiredState::Terminated)).await.unwrap();
    let back = world.persistence.write(want(DesiredState::Running)).await;
    assert!(matches!(back, Err(WriteError::Refused { .. })));
    let nothing = SetDesired { id: "none".into(), ..want(DesiredState::Running) };
    let answer = world.persistence.write(nothing).await.unwrap_err();
    assert_eq!(answer, WriteError::NotFound { what: "environment" });
}

#[tokio::test]
async fn a_session_name_is_free_again_when_its_shell_has_ended() {
    let world = World::new().await;
    let environment = world.environment("one").await;
    let create = || CreateTerminalSession {
        id: new_id(),
        environment_id: environment.id.clone(),
        session_id: new_id(),
        name: "main".into(),
        cols: 80,
        rows: 24,
        client_info: Some(json!({"app": "test"})),
    };
    let first = world.persistence.write(create()).await.unwrap();
    assert!(matches!(world.persistence.write(create()).await, Err(WriteError::Conflict { .. })));
    let end = |code: i32| EndTerminalSession { id: first.id.clone(), exit: json!({"code": code}) };
    assert!(world.persistence.write(end(7)).await.unwrap());
    assert!(!world.persistence.write(end(0)).await.unwrap(), "the first end counts");
    world.persistence.write(create()).await.unwrap();
    let pool = world.persistence.pool();
    let ended = terminals::by_session_id(pool, &first.session_id).await.unwrap().unwrap();
    assert_eq!((ended.status, ended.exit), (SessionStatus::Terminated, Some(json!({"code": 7}))));
    world.persistence.write(MarkTerminated { id: environment.id.clone() }).await.unwrap();
    assert!(terminals::live(pool, &environment.id).await.unwrap().is_empty());
}

#[tokio::test]
async fn recoveries_are_counted_and_bounded() {
    let world = World::new().await;
    let id = world.environment("broken").await.id;
    let recover = || world.persistence.write(RecordRecovery { id: id.clone() });
    let set = async |sql: &str| {
        let sql = format!("UPDATE environments SET {sql} WHERE id = '{id}'");
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(world.persistence.pool()).await.unwrap();
    };
    set("status = 'RUNNING'").await;
    assert_eq!(recover().await, Ok(Recovery::NotNeeded(EnvironmentStatus::Running)));
    set("status = 'ERROR'").await;
    // Of many at once one is the first.
    let (first, second) = tokio::join!(recover(), recover());
    let begun = Ok(Recovery::Begun { attempt: 1 });
    assert!((first == begun) != (second == begun), "{first:?} {second:?}");
    let Ok(Recovery::TooSoon { wait }) = recover().await else { panic!() };
    assert!(wait <= RECOVERY_PAUSE && wait > RECOVERY_PAUSE / 2);
    for attempt in 2..=MAX_RECOVERIES {
        set("last_recovery_at = now() - interval '6 minutes'").await;
        assert_eq!(recover().await, Ok(Recovery::Begun { attempt }));
    }
    set("last_recovery_at = now() - interval '6 minutes'").await;
    assert_eq!(recover().await, Ok(Recovery::Exhausted));
    // It ran since: the count begins anew.
    set("ready_at = now() - interval '1 minute'").await;
    assert_eq!(recover().await, Ok(Recovery::Begun { attempt: 1 }));
    set("status = 'TERMINATED'").await;
    assert_eq!(recover().await, Err(WriteError::NotFound { what: "environment" }));
}
