//! Surveys of clusters that change meanwhile.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use devpocket_actors::cluster::orphans::{Survey, survey};
use devpocket_actors::persistence::clusters;
use devpocket_actors::persistence::environments::Environment;
use devpocket_actors::runtime::{
    BoxStream, Capacity, EnvironmentKey, EnvironmentSpec, LogLine, LogQuery, LogStream, Observed, Runtime,
    RuntimeError, Stats,
};
use sqlx::PgPool;
use tokio::sync::watch;

use crate::support::World;

/// A cluster that tells one listing after the other, the last one again and again, and on which
/// something happens after the first one.
struct Listings {
    listings: Vec<Vec<String>>,
    told: AtomicUsize,
    meanwhile: Option<(PgPool, String)>,
}

#[async_trait]
impl Runtime for Listings {
    async fn inventory(&self) -> Result<Vec<String>, RuntimeError> {
        let told = self.told.fetch_add(1, Ordering::SeqCst);
        if let (0, Some((pool, id))) = (told, &self.meanwhile) {
            installed(pool, id).await;
        }
        Ok(self.listings[told.min(self.listings.len() - 1)].clone())
    }

    async fn check(&self) -> Result<(), RuntimeError> {
        unimplemented!()
    }
    async fn follow(&self) -> RuntimeError {
        unimplemented!()
    }
    async fn ensure(&self, _: &EnvironmentSpec) -> Result<(), RuntimeError> {
        unimplemented!()
    }
    async fn capacity(&self) -> Result<Capacity, RuntimeError> {
        unimplemented!()
    }
    async fn may_grow(&self, _: &EnvironmentSpec) -> Result<(), RuntimeError> {
        unimplemented!()
    }
    async fn stop(&self, _: &EnvironmentKey) -> Result<(), RuntimeError> {
        unimplemented!()
    }
    async fn delete(&self, environment: &EnvironmentKey) -> Result<(), RuntimeError> {
        Err(RuntimeError::Unavailable(format!("{environment} stays")))
    }
    async fn watch(&self, _: &EnvironmentKey) -> Result<watch::Receiver<Observed>, RuntimeError> {
        unimplemented!()
    }
    async fn open(&self, _: &EnvironmentKey) -> Result<BoxStream, RuntimeError> {
        unimplemented!()
    }
    async fn logs(&self, _: &EnvironmentKey, _: LogQuery) -> Result<Vec<LogLine>, RuntimeError> {
        unimplemented!()
    }
    async fn follow_logs(&self, _: &EnvironmentKey, _: LogQuery) -> Result<LogStream, RuntimeError> {
        unimplemented!()
    }
    async fn stats(&self, _: &EnvironmentSpec) -> Result<Stats, RuntimeError> {
        unimplemented!()
    }
    async fn forward(&self, _: &EnvironmentKey, _: u16) -> Result<BoxStream, RuntimeError> {
        unimplemented!()
    }
}

fn listings(listings: Vec<Vec<String>>) -> Listings {
    Listings { listings, told: AtomicUsize::new(0), meanwhile: None }
}

async fn installed(pool: &PgPool, id: &str) {
    let sql = "UPDATE environments SET installation_completed = true, status = 'RUNNING' WHERE id = $1";
    sqlx::query(sql).bind(id).execute(pool).await.unwrap();
}

async fn cluster(world: &World) -> String {
    let found = clusters::by_id_or_name(world.persistence.pool(), "local").await.unwrap();
    found.unwrap().cluster.id
}

async fn environment(world: &World, name: &str) -> Environment {
    let row = world.environment(name).await;
    installed(world.persistence.pool(), &row.id).await;
    row
}

#[tokio::test]
async fn what_came_up_while_it_was_looked_is_not_lost() {
    let world = World::new().await;
    let row = world.environment("new").await;
    let meanwhile = Some((world.persistence.pool().clone(), row.id.clone()));
    let runtime = Listings { meanwhile, ..listings(vec![vec![], vec![row.id]]) };
    let found = survey(&cluster(&world).await, &runtime, &world.persistence).await;
    assert_eq!(found, Ok(Survey::default()));
}

#[tokio::test]
async fn what_is_being_deleted_is_not_lost() {
    let world = World::new().await;
    let row = environment(&world, "deleted").await;
    let sql = "UPDATE environments SET desired_state = 'TERMINATED', status = 'STOPPING' WHERE id = $1";
    sqlx::query(sql).bind(&row.id).execute(world.persistence.pool()).await.unwrap();
    let found = survey(&cluster(&world).await, &listings(vec![vec![]]), &world.persistence).await;
    assert_eq!(found, Ok(Survey::default()));
}

#[tokio::test]
async fn what_can_not_be_removed_is_reported() {
    let world = World::new().await;
    let (row, lost) = (environment(&world, "stuck").await, environment(&world, "lost").await);
    let sql = "UPDATE environments SET desired_state = 'TERMINATED', status = 'TERMINATED' WHERE id = $1";
    sqlx::query(sql).bind(&row.id).execute(world.persistence.pool()).await.unwrap();
    let runtime = listings(vec![vec![row.id.clone()]]);
    let found = survey(&cluster(&world).await, &runtime, &world.persistence).await;
    assert_eq!(found, Ok(Survey { stuck: vec![row.id], lost: vec![lost.id], ..Survey::default() }));
}
