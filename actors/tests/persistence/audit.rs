//! Reading the audit record.

use chrono::{DateTime, TimeDelta, Utc};
use devpocket_actors::persistence::audit::{self, AuditFilter, Export, MAX_EXPORT};
use devpocket_actors::persistence::records::WriteAudit;
use devpocket_actors::persistence::{AuditEntry, Page};
use serde_json::json;

use crate::support::World;

fn at(minute: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap() + TimeDelta::minutes(minute)
}

async fn write(
    world: &World,
    minute: i64,
    who: (&str, &str),
    action: &str,
    target: (&str, &str),
    more: &str,
) {
    let entry = AuditEntry {
        actor_id: Some(who.0.to_owned()),
        actor_name: Some(who.1.to_owned()),
        target_type: Some(target.0.to_owned()),
        target_id: Some(target.1.to_owned()),
        ip: Some("203.0.113.7".to_owned()),
        detail: Some(json!({ "note": more })),
        timestamp: at(minute),
        ..AuditEntry::now(action)
    };
    world.persistence.write(WriteAudit { entry }).await.unwrap();
}

#[tokio::test]
async fn lines_are_found_by_whatever_is_in_them() {
    let world = World::new().await;
    let (ada, bob) = (("id-ada", "ada"), ("id-bob", "bob"));
    write(&world, 0, ada, "admin.user.suspend", ("user", "id-bob"), "100% spam").await;
    write(&world, 1, bob, "environment.create", ("environment", "e1"), "a_b").await;
    write(&world, 2, ada, "environment.delete", ("environment", "e1"), "axb").await;
    let filters = [
        ("everything", AuditFilter::default(), vec![2, 1, 0]),
        ("an id", AuditFilter { actor: Some("id-ada".into()), ..AuditFilter::default() }, vec![2, 0]),
        ("a name", AuditFilter { actor: Some("bob".into()), ..AuditFilter::default() }, vec![1]),
        (
            "an action",
            AuditFilter { action: Some("environment.create".into()), ..AuditFilter::default() },
            vec![1],
        ),
        (
            "actions",
            AuditFilter { action: Some("environment.".into()), ..AuditFilter::default() },
            vec![2, 1],
        ),
        ("no pattern", AuditFilter { action: Some("environment%".into()), ..AuditFilter::default() }, vec![]),
        ("a target", AuditFilter { target: Some("e1".into()), ..AuditFilter::default() }, vec![2, 1]),
        ("a kind", AuditFilter { target: Some("user".into()), ..AuditFilter::default() }, vec![0]),
        ("a detail", AuditFilter { search: Some("SPAM".into()), ..AuditFilter::default() }, vec![0]),
        ("a blank", AuditFilter { search: Some("a_b".into()), ..AuditFilter::default() }, vec![1]),
        (
            "an address",
            AuditFilter { search: Some("203.0.".into()), ..AuditFilter::default() },
            vec![2, 1, 0],
        ),
        ("from", AuditFilter { from: Some(at(1)), ..AuditFilter::default() }, vec![2, 1]),
        ("to", AuditFilter { to: Some(at(1)), ..AuditFilter::default() }, vec![0]),
        (
            "all at once",
            AuditFilter {
                actor: Some("ada".into()),
                target: Some("e1".into()),
                action: Some("environment.".into()),
                search: Some("axb".into()),
                from: Some(at(2)),
                to: Some(at(3)),
            },
            vec![2],
        ),
    ];
    for (what, filter, expected) in filters {
        let pool = world.persistence.pool();
        let (rows, total) = audit::page(pool, &filter, Page::default()).await.unwrap();
        let found: Vec<_> = rows.iter().map(|row| row.timestamp).collect();
        let expected: Vec<_> = expected.into_iter().map(at).collect();
        assert_eq!((&found, total), (&expected, expected.len() as i64), "{what}");
        let exported = Export::new(pool, filter).next().await.unwrap();
        assert_eq!(exported.iter().map(|row| row.timestamp).collect::<Vec<_>>(), expected, "{what}");
    }
    let second = Page { limit: 1, offset: 1 };
    let (rows, total) = audit::page(world.persistence.pool(), &AuditFilter::default(), second).await.unwrap();
    assert_eq!((rows[0].timestamp, rows.len(), total), (at(1), 1, 3));
}

#[tokio::test]
async fn an_export_gives_each_line_once_and_no_more_than_its_bound() {
    let world = World::new().await;
    // Many of one moment, so that only their order of writing tells pieces apart.
    let many = "INSERT INTO audit_log (id, action, timestamp)
                SELECT n::text, 'test.line', '2026-01-01T00:00:00Z'::timestamptz + (n / 700) * interval '1 s'
                FROM generate_series(1, $1) AS n";
    sqlx::query(many)
        .bind(i32::try_from(MAX_EXPORT).unwrap() + 3)
        .execute(world.persistence.pool())
        .await
        .unwrap();
    let mut export = Export::new(world.persistence.pool(), AuditFilter::default());
    let (mut next, mut pieces) = (MAX_EXPORT + 3, 0);
    loop {
        let lines = export.next().await.unwrap();
        if lines.is_empty() {
            break;
        }
        pieces += 1;
        for line in lines {
            assert_eq!(line.id, next.to_string());
            next -= 1;
        }
    }
    assert_eq!((next, pieces > 10), (3, true));
}
