//! A server in the test's own process, whose actors can be struck.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use devpocket::client::{Rest, ServerUrl};
use devpocket::config::{Config, Source};
use devpocket::{Parts, Running, Server};
use devpocket_actors::GivenCluster;
use devpocket_actors::persistence::embedded::{PrivatePostgres, TestDatabase};
use devpocket_actors::persistence::users::CreateUser;
use devpocket_actors::persistence::{EngineHandle, Hidden, Persistence, Plan, Role, new_id};
use devpocket_actors::runtime::local::{LocalConfig, LocalRuntime, Sandbox, sandbox};
use devpocket_actors::supervision::{ActorPath, ActorSnapshot, Kind};
use devpocket_actors::{System, templates};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

#[cfg(feature = "cluster-tests")]
use crate::common::cluster::Installation;
use crate::common::leash::Leash;
use crate::common::server::{LOOK, Person, agent};
use crate::common::site::{self, Site};
use crate::common::soon;

const PASSWORD: &str = "Str0ng!enough";

/// The server. Dropping it ends everything it started.
pub struct Inside {
    pub system: System,
    pub postgres: PrivatePostgres,
    /// Answers also when the server has ended.
    pub pool: PgPool,
    /// Taken when it ends.
    running: Option<Running>,
    url: ServerUrl,
    #[expect(dead_code, reason = "ends what the server started when it is dropped")]
    leash: Leash,
    #[cfg(feature = "cluster-tests")]
    #[expect(dead_code, reason = "takes what was made on a cluster away when it is dropped")]
    installation: Option<Installation>,
}

impl Inside {
    pub async fn start() -> Self {
        let leash = Leash::new();
        let postgres = PrivatePostgres::in_temporary_directory().await.unwrap();
        let database = postgres.fresh_database().await.unwrap();
        people(&database).await;
        let source = Source::of(
            [
                ("NODE_ENV", "test"),
                ("DATABASE_URL", database.url.as_str()),
                ("JWT_SECRET", "0123456789abcdef0123456789abcdef"),
                ("SECRET_KEY", "0123456789abcdef0123456789abcdef"),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
        );
        let config = Config::read(&source).unwrap_or_else(|problems| panic!("{problems:?}"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        #[cfg(feature = "cluster-tests")]
        let mut installation = None;
        let cluster = match crate::SITE {
            Site::Local => GivenCluster::local(Arc::new(runtime(leash.path().to_owned()).await)),
            #[cfg(feature = "cluster-tests")]
            Site::Kubernetes => on_cluster(leash.path(), installation.insert(Installation::new())).await,
            #[cfg(not(feature = "cluster-tests"))]
            Site::Kubernetes => panic!("cluster-tests is off"),
        };
        let clusters = vec![cluster];
        let parts = Parts { config, listener, pool: database.pool.clone(), clusters };
        let running = Server::start(parts).await.unwrap();
        let system = running.system().clone();
        let url = ServerUrl::from_str(&running.url()).unwrap();
        Self {
            system,
            postgres,
            pool: database.pool,
            running: Some(running),
            url,
            leash,
            #[cfg(feature = "cluster-tests")]
            installation,
        }
    }

    /// Its address.
    pub fn url(&self) -> ServerUrl {
        self.url.clone()
    }

    /// Ends it in good order, as a signal does.
    pub fn stop(&mut self) -> JoinHandle<()> {
        tokio::spawn(self.running.take().expect("it runs").stop())
    }

    pub async fn demo(&self) -> Person {
        self.person("ada").await
    }

    /// An administrator.
    pub async fn operator(&self) -> Person {
        self.person("grace").await
    }

    async fn person(&self, name: &str) -> Person {
        let rest = Rest::new(self.url());
        let tokens = rest.login(name, PASSWORD).await.unwrap();
        Person { rest: rest.with_token(&tokens.access_token), token: tokens.access_token }
    }

    /// Makes an actor panic.
    pub fn strike(&self, kind: Kind, id: &str) {
        let path = ActorPath::of(kind, id);
        assert!(self.system.registry().inject_panic(&path), "{path} is not there");
    }

    /// Waits until introspection shows this of an actor.
    pub async fn shows(&self, kind: Kind, id: &str, what: &str, is: impl Fn(&ActorSnapshot) -> bool) {
        let path = ActorPath::of(kind, id);
        let waiting = async {
            while !self.system.registry().inspect(&path).is_some_and(|actor| is(&actor)) {
                tokio::time::sleep(LOOK).await;
            }
        };
        soon(&format!("{path} to be {what}"), waiting).await;
    }
}

impl Drop for Inside {
    /// Before the leash kills environments: a server that runs would start them again.
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(running.stop()));
        }
    }
}

async fn people(database: &TestDatabase) {
    let engine = EngineHandle::new(database.pool.clone());
    let _workers = engine.start_workers();
    let persistence = Persistence::new(engine);
    templates::sync(&persistence, templates::built_in().unwrap()).await.unwrap();
    templates::sync(&persistence, templates::load_directory(&site::templates()).unwrap()).await.unwrap();
    let hash = bcrypt::hash(PASSWORD, 4).unwrap();
    for (name, role) in [("ada", Role::User), ("grace", Role::Admin)] {
        let person = CreateUser {
            id: new_id(),
            email: format!("{name}@example.org"),
            username: name.to_owned(),
            full_name: name.to_owned(),
            password: Some(Hidden::new(hash.clone())),
            avatar_url: None,
            is_verified: true,
            subscription_plan: Plan::Pro,
            role,
            google_id: None,
        };
        persistence.write(person).await.unwrap();
    }
}

#[cfg(feature = "cluster-tests")]
async fn on_cluster(folder: &std::path::Path, installation: &Installation) -> GivenCluster {
    use devpocket_actors::persistence::RuntimeKind;
    use devpocket_actors::runtime::kubernetes::connect::{self, Access};
    use devpocket_actors::runtime::kubernetes::{KubernetesConfig, KubernetesRuntime};

    let access = Access::File(crate::common::cluster::server_kubeconfig(folder).await);
    let client = connect::client(&access).await.unwrap();
    let config = KubernetesConfig {
        installation: installation.0.clone(),
        agent_image: crate::common::cluster::agent_image().to_owned(),
        ..KubernetesConfig::default()
    };
    GivenCluster {
        name: "kubernetes".to_owned(),
        description: "The tests' cluster".to_owned(),
        kind: RuntimeKind::Kubernetes,
        runtime: Arc::new(KubernetesRuntime::new(client, config)),
    }
}

async fn runtime(folder: PathBuf) -> LocalRuntime {
    let bubblewrap = sandbox::probe().await.expect("bubblewrap works here");
    LocalRuntime::new(LocalConfig {
        root: folder.join("environments"),
        agent: agent(),
        sandbox: Sandbox::Bubblewrap(bubblewrap),
    })
}
