//! A tree on a database and a directory of its own, and a client that reads like the edge does.

#[path = "../accounts/mod.rs"]
mod accounts;
#[path = "../agent_binary/mod.rs"]
mod agent_binary;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use accounts::new_user;
use agent_binary::agent;
use devpocket_actors::cluster::stored::StoredClusters;
use devpocket_actors::environment::Selector;
use devpocket_actors::mailer::{MailSettings, MailTransport, NoticeLevel};
use devpocket_actors::persistence::embedded::{PrivatePostgres, TestDatabase};
use devpocket_actors::persistence::environments::CreateEnvironment;
use devpocket_actors::persistence::users::CreateUser;
use devpocket_actors::persistence::vault::Vault;
use devpocket_actors::persistence::{EngineHandle, EnvironmentStatus, Persistence, Plan, Variables, new_id};
use devpocket_actors::plans::{Allowance, Plans};
use devpocket_actors::runtime::local::{LocalConfig, LocalRuntime, Sandbox, sandbox};
use devpocket_actors::runtime::{EnvironmentKey, Runtime};
use devpocket_actors::supervision::ActorPath;
use devpocket_actors::terminal::{Attachment, Client, Event, Snapshot, Start};
use devpocket_actors::{GivenCluster, System, SystemSettings, templates};
use devpocket_protocol::Size;
use devpocket_protocol::client::{Exit, Mode};
use tempfile::TempDir;
use uuid::Uuid;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);

/// Waits until `look` finds something.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, look: impl Fn() -> F) -> T {
    let found = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// A running tree. Whatever runs in it ends with it, also when a test fails.
pub struct Place {
    pub system: System,
    pub user: String,
    database: TestDatabase,
    runtime: LocalRuntime,
    folder: TempDir,
}

impl Place {
    pub async fn new() -> Self {
        // With RUST_LOG set, a failing test tells what the tree did.
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        let folder = tempfile::tempdir().unwrap();
        let database = PrivatePostgres::for_tests().await.unwrap();
        let bubblewrap = sandbox::probe().await.expect("bubblewrap works here");
        let root = folder.path().join("environments");
        let config = LocalConfig { root, agent: agent(), sandbox: Sandbox::Bubblewrap(bubblewrap) };
        let runtime = LocalRuntime::new(config);
        let user = {
            let engine = EngineHandle::new(database.pool.clone());
            let _workers = engine.start_workers();
            let persistence = Persistence::new(engine);
            templates::sync(&persistence, templates::built_in().unwrap()).await.unwrap();
            persistence.write(user("ada")).await.unwrap().id
        };
        let system = start(&database, &runtime, &folder).await;
        Self { system, user, database, runtime, folder }
    }

    /// Ends the tree without any good-bye and starts another one, as another process would.
    pub async fn restart(&mut self) {
        self.system.shutdown().await;
        self.system = start(&self.database, &self.runtime, &self.folder).await;
    }

    pub async fn other_user(&self) -> String {
        self.system.persistence().write(user("bob")).await.unwrap().id
    }

    pub async fn create(&self, name: &str) -> String {
        let new = CreateEnvironment {
            id: new_id(),
            user_id: self.user.clone(),
            name: name.to_owned(),
            description: None,
            template: "ubuntu".to_owned(),
            cluster: None,
            region: None,
            preferred_cluster: None,
            cpu: None,
            memory: None,
            storage: None,
            variables: Variables::default(),
            plans: {
                let Plans { free, .. } = Plans::default();
                Plans { free: Allowance { environments: 10, ..free }, ..Plans::default() }
            },
        };
        self.system.create_environment(new).await.unwrap().id
    }

    /// Spoils what an environment asks for, as a row of an older installation may be spoiled; and
    /// begins anew, so that it is read.
    pub async fn spoil(&mut self, environment: &str) {
        sqlx::query(
            "UPDATE environments SET resources_cpu = 'lots', desired_state = 'RUNNING' WHERE id = $1",
        )
        .bind(environment)
        .execute(&self.database.pool)
        .await
        .unwrap();
        self.restart().await;
    }

    /// The mails that were sent.
    pub fn mails(&self) -> Vec<String> {
        let outbox = std::fs::read_dir(self.folder.path().join("outbox")).into_iter().flatten().flatten();
        let mails = outbox.filter(|file| file.file_name().to_string_lossy().ends_with(".eml"));
        mails.map(|file| std::fs::read_to_string(file.path()).unwrap()).collect()
    }

    pub async fn reaches(&self, environment: &str, status: EnvironmentStatus) {
        eventually(status.as_str(), || async {
            let view = self.system.view(&self.user, environment).await.unwrap();
            (view.environment.status == status).then_some(())
        })
        .await;
    }

    pub async fn attach(&self, environment: &str, selector: &Selector) -> Reader {
        let opened =
            self.system.open_terminal(&self.user, environment, selector, Size::DEFAULT).await.unwrap();
        Reader::new(self, environment, &opened.hub, Start::Screen).await
    }

    pub async fn resume(&self, environment: &str, session: &str, offset: u64) -> Reader {
        let selector = Selector::Id(session.to_owned());
        let opened =
            self.system.open_terminal(&self.user, environment, &selector, Size::DEFAULT).await.unwrap();
        Reader::new(self, environment, &opened.hub, Start::Offset(offset)).await
    }

    /// Makes an actor panic, and waits until it was started again.
    pub async fn fail(&self, path: &ActorPath) {
        let registry = self.system.registry();
        let before = registry.inspect(path).unwrap().restarts;
        assert!(registry.inject_panic(path));
        eventually("the actor is back", || async {
            registry.inspect(path).filter(|actor| actor.restarts > before)
        })
        .await;
    }

    pub fn home(&self, environment: &str) -> PathBuf {
        self.folder.path().join("environments").join(environment).join("home")
    }

    pub fn kill_agent(&self, environment: &str) {
        let noted = self.folder.path().join("environments").join(environment).join("instance.json");
        let noted: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(noted).unwrap()).unwrap();
        let pid = i32::try_from(noted["pid"].as_i64().unwrap()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let (system, runtime) = (self.system.clone(), self.runtime.clone());
        let root = self.folder.path().join("environments");
        // A thread of its own, because the test's runtime is busy ending.
        let ended = std::thread::spawn(move || {
            let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            tokio.block_on(async {
                // First the tree, or it would start again what is ended here.
                system.shutdown().await;
                for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
                    let name = entry.file_name().into_string().unwrap();
                    if !name.starts_with('.') {
                        runtime.delete(&EnvironmentKey { id: name, user_id: String::new() }).await.unwrap();
                    }
                }
            });
        });
        assert!(ended.join().is_ok() || std::thread::panicking(), "processes are left");
    }
}

async fn start(database: &TestDatabase, runtime: &LocalRuntime, folder: &TempDir) -> System {
    let settings = SystemSettings {
        pool: database.pool.clone(),
        clusters: vec![GivenCluster::local(Arc::new(runtime.clone()))],
        stored: StoredClusters::default(),
        vault: Vault::new("a-secret-of-more-than-32-characters!"),
        mail: MailSettings {
            from: "noreply@example.org".into(),
            transport: MailTransport::Outbox(folder.path().join("outbox")),
            ca_file: None,
        },
        notices: (NoticeLevel::Errors, "https://app.example".into()),
        connections_per_user: 10,
    };
    System::start(settings).await.unwrap()
}

/// Somebody who may have environments.
fn user(name: &str) -> CreateUser {
    CreateUser { is_verified: true, subscription_plan: Plan::Pro, ..new_user(name) }
}

/// A client: acknowledges, joins the successor of a failed actor, and checks that output is
/// contiguous.
pub struct Reader {
    system: System,
    user: String,
    environment: String,
    client: Arc<Client>,
    attachment: Option<Attachment>,
    typed: u64,
    offset: Option<u64>,
    received: Vec<u8>,
    snapshots: Vec<Snapshot>,
}

impl Reader {
    async fn new(
        place: &Place,
        environment: &str,
        hub: &Arc<devpocket_actors::terminal::Hub>,
        start: Start,
    ) -> Self {
        let client = Client::new(hub, Uuid::new_v4(), Mode::Control, Size::DEFAULT);
        let (attachment, standing) = Attachment::attach(hub, &client, start).await.unwrap();
        let offset = match start {
            Start::Screen => None,
            Start::Offset(offset) => Some(offset),
        };
        Self {
            system: place.system.clone(),
            user: place.user.clone(),
            environment: environment.to_owned(),
            client,
            attachment: Some(attachment),
            typed: standing.input_offset,
            offset,
            received: Vec::new(),
            snapshots: Vec::new(),
        }
    }

    pub fn session_id(&self) -> String {
        self.attachment.as_ref().unwrap().hub().session().id.clone()
    }

    pub fn offset(&self) -> u64 {
        self.offset.unwrap()
    }

    /// All output since the attach, without snapshots.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.received).into_owned()
    }

    pub async fn type_in(&mut self, text: &str) {
        self.client.input(self.typed, text.as_bytes()).await.unwrap();
        self.typed += text.len() as u64;
    }

    async fn next(&mut self) -> Event {
        loop {
            let event = self.attachment.as_mut().unwrap().next().await;
            match &event {
                Event::Orphaned => {
                    let session = self.session_id();
                    self.attachment = None;
                    let hub = self.system.rejoin(&self.user, &self.environment, &session).await.unwrap();
                    self.attachment = Some(Attachment::rejoin(&hub, &self.client));
                    continue;
                }
                Event::Output { offset, data } => {
                    assert_eq!(self.offset.unwrap_or(*offset), *offset, "output is not contiguous");
                    self.received.extend_from_slice(data);
                    let end = offset + data.len() as u64;
                    self.offset = Some(end);
                    self.client.ack(end).unwrap();
                }
                Event::Snapshot(snapshot) => {
                    assert!(self.snapshots.is_empty(), "a client that acknowledges fell behind");
                    self.snapshots.push(snapshot.clone());
                    self.offset = Some(snapshot.offset);
                }
                _ => {}
            }
            return event;
        }
    }

    async fn read_while<T>(&mut self, what: &str, found: impl Fn(&Self, &Event) -> Option<T>) -> T {
        let reading = async {
            loop {
                let event = self.next().await;
                if let Some(found) = found(self, &event) {
                    return found;
                }
            }
        };
        match tokio::time::timeout(PATIENCE, reading).await {
            Ok(found) => found,
            Err(_) => panic!("{what}: not within {PATIENCE:?}; the output was {:?}", self.text()),
        }
    }

    /// Reads until the output, or the screen that came first, has `text`.
    pub async fn read_until(&mut self, text: &str) {
        let has = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(text);
        if !has(&self.received) {
            self.read_while(text, |this, _| {
                let on_screen = this.snapshots.iter().any(|snapshot| has(&snapshot.data));
                (has(&this.received) || on_screen).then_some(())
            })
            .await;
        }
    }

    /// Reads at least one more piece of output.
    pub async fn read_some(&mut self) {
        self.read_while("output", |_, event| matches!(event, Event::Output { .. }).then_some(())).await;
    }

    /// Reads until the session ends.
    pub async fn exit(&mut self) -> Exit {
        self.read_while("the end of the session", |_, event| match event {
            Event::Exit(exit) => Some(exit.clone()),
            _ => None,
        })
        .await
    }
}
