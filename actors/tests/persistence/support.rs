//! What the tests share: a world with one user, one template and one cluster.

#[path = "../accounts/mod.rs"]
mod accounts;

use std::time::Duration;

pub use accounts::new_user;
use devpocket_actors::persistence::clusters::UpsertCluster;
use devpocket_actors::persistence::embedded::{PrivatePostgres, TestDatabase};
use devpocket_actors::persistence::environments::{CreateEnvironment, Environment};
use devpocket_actors::persistence::templates::{CreateTemplate, TemplateSpec};
use devpocket_actors::persistence::users::User;
use devpocket_actors::persistence::vault::Vault;
use devpocket_actors::persistence::*;
use devpocket_actors::plans::Plans;
use devpocket_actors::runtime::Placement;

pub struct World {
    pub database: TestDatabase,
    pub persistence: Persistence,
    pub guard: EngineGuard,
    pub user: User,
}

/// The usual plans, with that many environments on each.
pub fn plans(environments: u32) -> Plans {
    let mut plans = Plans::default();
    for plan in [&mut plans.free, &mut plans.starter, &mut plans.pro, &mut plans.enterprise] {
        plan.environments = environments;
    }
    plans
}

impl World {
    pub async fn new() -> Self {
        Self::on(PrivatePostgres::for_tests().await.unwrap()).await
    }

    pub async fn on(database: TestDatabase) -> Self {
        let (engine, guard) = Engine::start(database.pool.clone());
        let persistence = Persistence::new(engine);
        let user = persistence.write(new_user("ada")).await.unwrap();
        persistence.write(CreateTemplate { id: new_id(), spec: spec("debian") }).await.unwrap();
        persistence.write(cluster("local")).await.unwrap();
        Self { database, persistence, guard, user }
    }

    pub fn new_environment(&self, name: &str) -> CreateEnvironment {
        CreateEnvironment {
            id: new_id(),
            user_id: self.user.id.clone(),
            name: name.to_owned(),
            description: None,
            template: "debian".to_owned(),
            cluster: None,
            region: None,
            preferred_cluster: None,
            cpu: None,
            memory: None,
            storage: None,
            variables: Variables::default(),
            plans: plans(100),
        }
    }

    pub async fn environment(&self, name: &str) -> Environment {
        self.persistence.write(sealing(self.new_environment(name))).await.unwrap()
    }

    pub async fn read(&self, id: &str) -> Environment {
        environments::by_id(self.persistence.pool(), id).await.unwrap().unwrap().environment
    }

    pub async fn count(&self, table: &'static str) -> i64 {
        let query = match table {
            "environment_logs" => "SELECT count(*) FROM environment_logs",
            "environment_metrics" => "SELECT count(*) FROM environment_metrics",
            "audit_log" => "SELECT count(*) FROM audit_log",
            other => panic!("no query for {other}"),
        };
        sqlx::query_scalar(query).fetch_one(self.persistence.pool()).await.unwrap()
    }
}

pub fn vault() -> Vault {
    Vault::new("a-secret-of-more-than-32-characters!")
}

/// A write under that vault.
pub fn sealing<W>(write: W) -> Sealing<W> {
    Sealing { write, vault: vault() }
}

/// An environment's variables, opened.
pub fn variables(row: &Environment) -> Variables {
    row.environment_variables.open(&vault(), &row.id).unwrap()
}

pub fn spec(name: &str) -> TemplateSpec {
    TemplateSpec {
        name: name.to_owned(),
        display_name: format!("The {name} template"),
        description: "For tests".to_owned(),
        category: TemplateCategory::OperatingSystem,
        tags: vec!["linux".to_owned(), name.to_owned()],
        docker_image: "debian:12".to_owned(),
        default_port: 8080,
        default_resources_cpu: "500m".to_owned(),
        default_resources_memory: "1Gi".to_owned(),
        default_resources_storage: "10Gi".to_owned(),
        environment_variables: Variables([("EDITOR".to_owned(), "vi".to_owned())].into()),
        install_commands: vec!["true".to_owned()],
        startup_commands: vec![],
        placement: Placement::default(),
        documentation_url: None,
        icon_url: None,
        status: TemplateStatus::Active,
        version: "1.0.0".to_owned(),
    }
}

pub fn cluster(name: &str) -> UpsertCluster {
    UpsertCluster {
        id: new_id(),
        name: name.to_owned(),
        description: None,
        provider: "local".to_owned(),
        region: "here".to_owned(),
        kubeconfig: Hidden::new(String::new()),
        runtime: RuntimeKind::Local,
        status: ClusterStatus::Active,
        is_default: false,
        node_count: 1,
        max_environments: 100,
    }
}

/// Waits until the condition holds. The deadline only ends a test that would fail anyway.
pub async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !condition().await {
        assert!(tokio::time::Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
