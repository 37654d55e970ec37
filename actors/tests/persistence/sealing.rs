//! What is kept sealed, and how its key is changed.

use devpocket_actors::persistence::environments::{CreateEnvironment, UpdateEnvironment, VariableChange};
use devpocket_actors::persistence::rotation::{self, Kept, Survey};
use devpocket_actors::persistence::vault::{Vault, VaultError};
use devpocket_actors::persistence::*;
use tokio::task::JoinSet;

use crate::support::{World, plans, sealing, variables, vault};

const NEW_KEY: &str = "a-new-secret-of-more-than-32-characters!";

fn secrets(value: &str) -> Variables {
    Variables([("TOKEN".to_owned(), value.to_owned())].into())
}

async fn with_secret(world: &World, name: &str, value: &str) -> String {
    let create =
        CreateEnvironment { variables: secrets(value), plans: plans(1_000), ..world.new_environment(name) };
    world.persistence.write(sealing(create)).await.unwrap().id
}

/// As a version of the server left it that sealed nothing.
async fn make_plain(world: &World, id: &str, json: &str) {
    sqlx::query("UPDATE environments SET environment_variables = $2::jsonb WHERE id = $1")
        .bind(id)
        .bind(json)
        .execute(world.persistence.pool())
        .await
        .unwrap();
}

async fn column(world: &World, id: &str) -> String {
    sqlx::query_scalar("SELECT environment_variables::text FROM environments WHERE id = $1")
        .bind(id)
        .fetch_one(world.persistence.pool())
        .await
        .unwrap()
}

fn of_variables(surveys: Vec<Survey>) -> Survey {
    surveys.into_iter().find(|survey| survey.kept == Kept::Variables).unwrap()
}

#[tokio::test]
async fn variables_are_sealed_for_their_row_alone() {
    let world = World::new().await;
    let (one, two) = (with_secret(&world, "one", "hunter2").await, with_secret(&world, "two", "x").await);
    let stored = column(&world, &one).await;
    assert!(
        stored.starts_with("\"v1.") && !stored.contains("TOKEN") && !stored.contains("hunter2"),
        "{stored}"
    );
    assert_eq!(variables(&world.read(&one).await).0["TOKEN"], "hunter2");
    // One row's variables can't be put into another.
    make_plain(&world, &two, &stored).await;
    let row = world.read(&two).await;
    assert_eq!(row.environment_variables.open(&vault(), &row.id).unwrap_err(), VaultError::Damaged);
    assert!(row.opened(&vault()).environment_variables.plain().is_none());
}

#[tokio::test]
async fn plain_variables_of_before_are_read_changed_and_sealed() {
    let world = World::new().await;
    let (one, two) = (with_secret(&world, "one", "x").await, with_secret(&world, "two", "x").await);
    make_plain(&world, &one, r#"{"A": "1", "B": "2"}"#).await;
    make_plain(&world, &two, r#"{"A": "{\"v1.\": 0}"}"#).await;
    assert_eq!(variables(&world.read(&one).await).0.len(), 2);
    let merge =
        VariableChange::Merge([("B".to_owned(), None), ("C".to_owned(), Some("3".to_owned()))].into());
    let update = UpdateEnvironment { id: one.clone(), variables: Some(merge), ..Default::default() };
    world.persistence.write(sealing(update)).await.unwrap();
    assert!(column(&world, &one).await.starts_with("\"v1."));
    assert_eq!(variables(&world.read(&one).await).0.keys().collect::<Vec<_>>(), ["A", "C"]);
    let done = rotation::seal_plain(&world.persistence, &vault()).await.unwrap();
    assert_eq!((done.sealed, done.unreadable), (1, 0));
    assert!(column(&world, &two).await.starts_with("\"v1."));
    assert_eq!(variables(&world.read(&two).await).0["A"], r#"{"v1.": 0}"#);
}

#[tokio::test]
async fn everything_is_sealed_anew_under_a_new_key_once() {
    let world = World::new().await;
    // More than a batch.
    let pool = world.persistence.pool();
    sqlx::query("UPDATE clusters SET max_environments = 1000").execute(pool).await.unwrap();
    let mut ids = Vec::new();
    for n in 0..130 {
        ids.push(with_secret(&world, &format!("n{n}"), &n.to_string()).await);
    }
    make_plain(&world, &ids[7], r#"{"TOKEN": "7"}"#).await;
    let old = vault();
    let new = Vault::with_previous(NEW_KEY, ["a-secret-of-more-than-32-characters!"]);
    let survey = of_variables(rotation::survey(pool, &new).await.unwrap());
    assert_eq!((survey.current, survey.earlier, survey.plain), (0, 129, 1));
    let done = rotation::reseal(&world.persistence, &new, Kept::Variables).await.unwrap();
    assert_eq!((done.sealed, done.changed, done.unreadable), (130, 0, 0));
    for (n, id) in ids.iter().enumerate() {
        let row = world.read(id).await;
        let opened = row.environment_variables.open(&Vault::new(NEW_KEY), id).unwrap();
        assert_eq!(opened.0["TOKEN"], n.to_string());
    }
    let again = rotation::reseal(&world.persistence, &new, Kept::Variables).await.unwrap();
    assert_eq!(again, rotation::Resealed::default());
    // Who has only the old key is told which one is missing.
    let survey = of_variables(rotation::survey(pool, &old).await.unwrap());
    assert_eq!(survey.unknown, [(new.key_id().to_owned(), 130)]);
    let done = rotation::reseal(&world.persistence, &old, Kept::Variables).await.unwrap();
    assert_eq!((done.sealed, done.unreadable), (0, 130));
    assert_eq!(done.examples[0].1, VaultError::OtherKey(new.key_id().to_owned()));
}

#[tokio::test]
async fn no_change_is_lost_to_a_rotation_beside_it() {
    let world = World::new().await;
    let id = with_secret(&world, "busy", "0").await;
    let new = Vault::with_previous(NEW_KEY, ["a-secret-of-more-than-32-characters!"]);
    let mut tasks = JoinSet::new();
    for n in 0..40 {
        let merge = VariableChange::Merge([(format!("N{n}"), Some(n.to_string()))].into());
        let write = UpdateEnvironment { id: id.clone(), variables: Some(merge), ..Default::default() };
        let (persistence, vault) = (world.persistence.clone(), new.clone());
        tasks.spawn(async move { persistence.write(Sealing { write, vault }).await.map(|_| ()) });
        let (persistence, vault) = (world.persistence.clone(), new.clone());
        tasks.spawn(async move { rotation::reseal(&persistence, &vault, Kept::Variables).await.map(|_| ()) });
    }
    for result in tasks.join_all().await {
        result.unwrap();
    }
    let row = world.read(&id).await;
    let opened = row.environment_variables.open(&Vault::new(NEW_KEY), &id).unwrap();
    assert_eq!(opened.0.keys().filter(|name| name.starts_with('N')).count(), 40);
}
