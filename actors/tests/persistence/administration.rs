//! Who looks after the others, and that somebody always does.

use devpocket_actors::persistence::administration::*;
use devpocket_actors::persistence::audit::{self, AuditFilter};
use devpocket_actors::persistence::embedded::PrivatePostgres;
use devpocket_actors::persistence::users::{DeleteUser, User, by_id};
use devpocket_actors::persistence::*;
use tokio::task::JoinSet;

use crate::support::{World, new_user};

impl World {
    async fn with_role(&self, name: &str, role: Role) -> User {
        let mut user = new_user(name);
        user.role = role;
        self.persistence.write(user).await.unwrap()
    }

    async fn administer(&self, by: &User, user: &User, act: Act) -> Result<User, WriteError> {
        self.persistence.write(administer(by, user, act)).await
    }

    async fn administrators(&self) -> usize {
        let filter =
            AccountFilter { role: Some(Role::Admin), active: Some(true), ..AccountFilter::default() };
        accounts(self.persistence.pool(), &filter, Page::default()).await.unwrap().0.len()
    }
}

fn administer(by: &User, user: &User, act: Act) -> Administer {
    let by = Administrator { id: by.id.clone(), name: by.username.clone(), ip: Some("192.0.2.1".into()) };
    Administer { by, user_id: user.id.clone(), act }
}

/// What a server of before this schema had: people who pay, and no support.
#[tokio::test]
async fn an_upgrade_makes_nobody_an_administrator() {
    let server = PrivatePostgres::in_temporary_directory().await.unwrap();
    server.ensure_database("old").await.unwrap();
    let pool = connect::pool(server.connect_options("old"), 2);
    let old = connect::MIGRATIONS.iter().filter(|migration| migration.version < 5).cloned().collect();
    sqlx::migrate::Migrator::with_migrations(old).run(&pool).await.unwrap();
    for (n, plan) in Plan::ALL.iter().enumerate() {
        sqlx::query(
            "INSERT INTO users (id, email, username, full_name, subscription_plan)
             VALUES ($1, $2, $1, 'X', $3)",
        )
        .bind(format!("user{n}"))
        .bind(format!("user{n}@example.org"))
        .bind(plan)
        .execute(&pool)
        .await
        .unwrap();
    }
    sqlx::query("UPDATE users SET role = 'ADMIN' WHERE id = 'user0'").execute(&pool).await.unwrap();
    connect::migrate(&pool).await.unwrap();
    let roles: Vec<(String, Role)> =
        sqlx::query_as("SELECT id, role FROM users ORDER BY id").fetch_all(&pool).await.unwrap();
    let expected = [Role::Admin, Role::User, Role::User, Role::User];
    assert_eq!(roles.iter().map(|(_, role)| *role).collect::<Vec<_>>(), expected, "{roles:?}");
    // And so does a dump of the server of before, which has no roles.
    sqlx::query(
        "INSERT INTO users (id, email, username, full_name, subscription_plan)
         VALUES ('dumped', 'd@example.org', 'dumped', 'D', 'ENTERPRISE')",
    )
    .execute(&pool)
    .await
    .unwrap();
    assert_eq!(by_id(&pool, "dumped").await.unwrap().unwrap().role, Role::User);
    pool.close().await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn accounts_are_found_and_changed_and_every_change_is_recorded() {
    let world = World::new().await;
    let root = world.with_role("root", Role::Admin).await;
    let pool = world.persistence.pool();
    let find = |search: &str| AccountFilter { search: Some(search.into()), ..AccountFilter::default() };
    let names = |found: &(Vec<Account>, i64)| {
        found.0.iter().map(|account| account.user.username.clone()).collect::<Vec<_>>()
    };
    for (search, expected) in [("ADA", vec!["ada"]), ("@EXAMPLE", vec!["root", "ada"]), ("%", vec![])] {
        let found = accounts(pool, &find(search), Page::default()).await.unwrap();
        assert_eq!(names(&found), expected, "{search}");
    }
    let second = accounts(pool, &AccountFilter::default(), Page { limit: 1, offset: 1 }).await.unwrap();
    assert_eq!((names(&second), second.1), (vec!["ada".to_owned()], 2));

    let ada = &world.user;
    assert_eq!(world.administer(&root, ada, Act::Role(Role::Support)).await.unwrap().role, Role::Support);
    let paid = world.administer(&root, ada, Act::Plan(Plan::Pro)).await.unwrap();
    assert_eq!(paid.subscription_plan, Plan::Pro);
    let suspend = Act::Suspend { reason: Some("spam".into()) };
    assert!(!world.administer(&root, ada, suspend).await.unwrap().is_active);
    assert!(world.administer(&root, ada, Act::Activate).await.unwrap().is_active);
    world.administer(&root, ada, Act::Unlock).await.unwrap();
    let filter = AuditFilter { target: Some(ada.id.clone()), ..AuditFilter::default() };
    let mut record = audit::page(pool, &filter, Page::default()).await.unwrap().0;
    record.reverse();
    let actions: Vec<_> = record.iter().map(|line| line.action.trim_start_matches("admin.user.")).collect();
    assert_eq!(actions, ["role", "plan", "suspend", "activate", "unlock"]);
    assert!(record.iter().all(|line| line.actor_name.as_deref() == Some("root")));
    assert_eq!(record[0].detail, Some(serde_json::json!({ "from": "USER", "to": "SUPPORT" })));

    // Who may not, and what is not there: nothing is changed, and nothing recorded.
    let nobody = User { id: "nobody".into(), ..root.clone() };
    let missing = world.administer(&root, &nobody, Act::Unlock).await.unwrap_err();
    assert_eq!(missing, WriteError::NotFound { what: "user" });
    assert!(matches!(world.administer(ada, &root, Act::Unlock).await, Err(WriteError::Refused { .. })));
    world.persistence.write(DeleteUser { user_id: ada.id.clone() }).await.unwrap();
    assert!(matches!(world.administer(&root, ada, Act::Activate).await, Err(WriteError::Refused { .. })));
    assert_eq!(audit::page(pool, &filter, Page::default()).await.unwrap().0.len(), 5);
    assert_eq!(accounts(pool, &AccountFilter::default(), Page::default()).await.unwrap().1, 1);
}

#[tokio::test]
async fn the_last_administrator_stays_one() {
    let world = World::new().await;
    let root = world.with_role("root", Role::Admin).await;
    let suspend = Act::Suspend { reason: None };
    for act in [Act::Role(Role::User), Act::Role(Role::Support), suspend.clone()] {
        let refused = world.administer(&root, &root, act).await.unwrap_err();
        assert!(matches!(refused, WriteError::Refused { .. }), "{refused}");
    }
    let delete = DeleteUser { user_id: root.id.clone() };
    assert!(matches!(world.persistence.write(delete.clone()).await, Err(WriteError::Refused { .. })));
    // A suspended one does not count.
    let other = world.with_role("other", Role::Admin).await;
    world.administer(&root, &other, suspend).await.unwrap();
    assert!(world.administer(&root, &root, Act::Role(Role::User)).await.is_err());
    world.administer(&root, &other, Act::Activate).await.unwrap();
    world.persistence.write(delete).await.unwrap();
    assert_eq!(world.administrators().await, 1);
}

/// Everybody takes the role away from the next, all at once; and the last two from each other.
#[tokio::test]
async fn administrators_that_depose_each_other_leave_one() {
    for count in [2, 2, 2, 6] {
        let world = World::new().await;
        let mut all = Vec::new();
        for n in 0..count {
            all.push(world.with_role(&format!("admin{n}"), Role::Admin).await);
        }
        let mut acts = JoinSet::new();
        for n in 0..count {
            let next = &all[(n + 1) % count];
            let act = if n % 2 == 0 { Act::Role(Role::User) } else { Act::Suspend { reason: None } };
            let (write, persistence) = (administer(&all[n], next, act), world.persistence.clone());
            acts.spawn(async move { persistence.write(write).await });
        }
        let done = acts.join_all().await.into_iter().filter(Result::is_ok).count();
        assert_eq!(world.administrators().await, count - done);
        assert!(done < count && done > 0, "{done} of {count}");
    }
}
