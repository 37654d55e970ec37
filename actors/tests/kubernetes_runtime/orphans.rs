//! What a cluster has that the database does not want, and the other way round.

use devpocket_actors::cluster::orphans::{Survey, survey};
use devpocket_actors::persistence::clusters;
use devpocket_actors::runtime::{EnvironmentKey, EnvironmentSpec, Runtime};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};

use crate::place::{Place, spec};
use crate::support::World;

#[tokio::test]
async fn what_deletions_left_goes_and_what_is_unknown_stays() {
    let place = Place::new("what_deletions_left_goes_and_what_is_unknown_stays").await;
    let world = World::new().await;
    let cluster = clusters::by_id_or_name(world.persistence.pool(), "local").await.unwrap().unwrap();
    let cluster = cluster.cluster.id;
    let row = async |name: &str, installed: bool, terminated: bool| {
        let row = world.environment(name).await;
        let (status, desired) =
            if terminated { ("TERMINATED", "TERMINATED") } else { ("RUNNING", "RUNNING") };
        sqlx::query("UPDATE environments SET status = $2, desired_state = $3, installation_completed = $4 WHERE id = $1")
            .bind(&row.id)
            .bind(status)
            .bind(desired)
            .bind(installed)
            .execute(world.persistence.pool())
            .await
            .unwrap();
        EnvironmentSpec { key: EnvironmentKey { id: row.id, user_id: row.user_id }, ..spec(name) }
    };
    let kept = row("kept", true, false).await;
    let left = row("left", true, true).await;
    let gone = row("gone", true, true).await;
    let lost = row("lost", true, false).await;
    let coming = row("coming", false, false).await;
    let unknown = spec("unknown");
    for spec in [&kept, &left, &unknown] {
        place.runtime.ensure(spec).await.unwrap();
    }
    let found = survey(&cluster, &place.runtime, &world.persistence).await.unwrap();
    let wanted = Survey {
        removed: vec![left.key.id.clone()],
        stuck: Vec::new(),
        unknown: vec![unknown.key.id.clone()],
        lost: vec![lost.key.id.clone()],
    };
    assert_eq!(found, wanted, "neither {} nor {}", gone.key, coming.key);
    assert!(place.get::<StatefulSet>(&left.key).await.is_none());
    assert!(place.get::<PersistentVolumeClaim>(&left.key).await.is_none());
    assert!(place.get::<Secret>(&left.key).await.is_none());
    for spec in [&kept, &unknown] {
        assert!(place.get::<StatefulSet>(&spec.key).await.is_some(), "{}", spec.name);
        assert!(place.get::<PersistentVolumeClaim>(&spec.key).await.is_some(), "{}", spec.name);
    }

    // Once more, and nothing but what was reported before.
    let again = survey(&cluster, &place.runtime, &world.persistence).await.unwrap();
    assert_eq!(again, Survey { removed: Vec::new(), ..wanted });

    // Without the database, nothing is removed and nothing is said.
    let terminated = "UPDATE environments SET status = 'TERMINATED', desired_state = 'TERMINATED'";
    sqlx::query(terminated).execute(world.persistence.pool()).await.unwrap();
    world.database.pool.close().await;
    survey(&cluster, &place.runtime, &world.persistence).await.unwrap_err();
    assert!(place.get::<StatefulSet>(&kept.key).await.is_some());
}
