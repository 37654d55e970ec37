//! The tree from outside: what the edge may ask of it.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use devpocket_protocol::Size;
use devpocket_protocol::client::HelloEnvironment;
use sqlx::PgPool;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};

use crate::cluster::stored::StoredClusters;
use crate::cluster::{ClustersArgs, Runtimes};
use crate::environment::{Change, EnvironmentError, EnvironmentMessage, InstallLog, Selector};
use crate::mailer::{Mail, MailSettings, MailerArgs, MailerMessage};
use crate::persistence::clusters::{self, UpsertCluster};
use crate::persistence::environments::{self, CreateEnvironment, EnvironmentView, UpdateEnvironment};
use crate::persistence::records::{self, StoredLogLine};
use crate::persistence::terminals::{self, TerminalSession};
use crate::persistence::{
    ClusterStatus, Command, EngineHandle, EnvironmentStatus, Hidden, Persistence, ReadError, RuntimeKind,
    WriteError, new_id,
};
use crate::recorder::RecorderMessage;
use crate::root::{Root, RootArgs, RootMessage};
use crate::runtime::{CALL_LIMIT, EnvironmentKey, LogLine, LogQuery, Runtime, RuntimeError};
use crate::supervision::{
    ActorPath, Addr, CallError, Kind, Registry, Reply, TaskGuard, spawn_root, watchdog,
};
use crate::terminal::{Hub, TerminalMessage};
use crate::user::{Admission, Presence, UserArgs, UserMessage, UsersMessage};

/// The name of the cluster that is this machine.
pub const LOCAL_CLUSTER: &str = "local";

/// How often something is asked again of an actor that fails while it is asked: its restart
/// takes milliseconds.
const ATTEMPTS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// How long a client's session is looked for after its actor failed.
const REJOIN_LIMIT: Duration = Duration::from_secs(30);

/// How many environments are looked at at once after a start.
const RESUMED_AT_ONCE: usize = 8;

/// How long queued writes and mails may take at the end.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// What a tree is made of.
pub struct SystemSettings {
    /// The database, migrated.
    pub pool: PgPool,
    /// The clusters that this process was given.
    pub clusters: Vec<GivenCluster>,
    /// How to use the clusters of the database.
    pub stored: StoredClusters,
    /// How mail leaves.
    pub mail: MailSettings,
    /// The most live connections of one user.
    pub connections_per_user: usize,
}

/// A cluster that a process was given by its configuration. Its row is made at the first start
/// and holds nothing of how it is reached.
pub struct GivenCluster {
    /// The row's name.
    pub name: String,
    /// In words, for people.
    pub description: String,
    /// Which adapter it is.
    pub kind: RuntimeKind,
    /// Its runtime.
    pub runtime: Arc<dyn Runtime>,
}

/// Why a tree could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database refused something that the start needs.
    #[error("the database can't be used: {0}")]
    Database(#[from] WriteError),
    /// The database can't be read.
    #[error("the database can't be read: {0}")]
    Read(#[from] ReadError),
    /// The mail settings can't work.
    #[error("mail can't be sent: {0}")]
    Mail(#[from] crate::mailer::SettingsError),
    /// An actor could not be started.
    #[error("the supervision tree does not start: {0}")]
    Tree(String),
}

/// Resolves when the tree has ended, be it asked to or not.
pub type Ended = watch::Receiver<bool>;

/// A session that was opened.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Where to attach.
    pub hub: Arc<Hub>,
    /// Its row.
    pub session: TerminalSession,
    /// Its environment, as HELLO tells it.
    pub environment: HelloEnvironment,
}

/// The running tree. Cheap to clone.
#[derive(Clone)]
pub struct System {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Arc<Registry>,
    persistence: Persistence,
    engine: EngineHandle,
    mails: MailerArgs,
    runtimes: Runtimes,
    presence: Presence,
    root: Addr<RootMessage>,
    users: Addr<UsersMessage>,
    mailer: Addr<MailerMessage>,
    ended: Ended,
    _watchdog: TaskGuard,
    _resume: parking_lot::Mutex<Option<TaskGuard>>,
}

impl System {
    /// Starts the tree. Environments that were on their way somewhere go on in the background.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(settings: SystemSettings) -> Result<Self, StartError> {
        let registry = Arc::new(Registry::default());
        let engine = EngineHandle::new(settings.pool);
        let mails = MailerArgs::new(&settings.mail)?;
        let persistence = Persistence::routed(engine.clone(), route(&registry));
        let runtimes = Runtimes::default();
        let args = RootArgs {
            engine: engine.clone(),
            mailer: mails.clone(),
            clusters: ClustersArgs { runtimes: runtimes.clone(), persistence: persistence.clone() },
            users: UserArgs {
                user: String::new(),
                runtimes: runtimes.clone(),
                persistence: persistence.clone(),
            },
        };
        {
            // Before the tree: the workers that write are part of it, so these writes go by themselves.
            let _workers = engine.start_workers();
            let persistence = Persistence::new(engine.clone());
            for given in settings.clusters {
                runtimes.add(&given.id(&persistence).await?, given.runtime);
            }
            settings.stored.add_to(&runtimes, &persistence).await?;
        }
        let (root, handle) = spawn_root::<Root>(&registry, ActorPath::single(Kind::Root), args)
            .await
            .map_err(|failure| StartError::Tree(failure.to_string()))?;
        root.call(RootMessage::Ready).await.map_err(|error| StartError::Tree(error.to_string()))?;
        let missing = || StartError::Tree("an actor is missing".into());
        let (tell_end, ended) = watch::channel(false);
        tokio::spawn(async move {
            // However it ended: whoever waits wants to know that it did.
            let _ = handle.await;
            tell_end.send_replace(true);
        });
        let system = Self {
            inner: Arc::new(Inner {
                users: registry.find(&ActorPath::single(Kind::Users)).ok_or_else(missing)?,
                mailer: registry.find(&ActorPath::single(Kind::Mailer)).ok_or_else(missing)?,
                root,
                _watchdog: watchdog::watch(Arc::clone(&registry)),
                _resume: parking_lot::Mutex::new(None),
                registry,
                persistence,
                engine,
                mails,
                runtimes,
                presence: Presence::new(settings.connections_per_user),
                ended,
            }),
        };
        let resuming = system.clone();
        *system.inner._resume.lock() = Some(TaskGuard::spawn(async move { resuming.resume().await }));
        Ok(system)
    }

    /// All actors.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.inner.registry
    }

    /// The way to the database.
    #[must_use]
    pub fn persistence(&self) -> &Persistence {
        &self.inner.persistence
    }

    /// Tells when the tree has ended.
    #[must_use]
    pub fn ended(&self) -> Ended {
        self.inner.ended.clone()
    }

    /// Sends a mail, some time soon.
    pub fn send_mail(&self, mail: Mail) {
        if let Err(MailerMessage::Send(mail)) = self.inner.mailer.offer(MailerMessage::Send(mail)) {
            // The mailer is being restarted; it will find the mail in its queue.
            self.inner.mails.queue.push(mail);
        }
    }

    /// Admits one more connection of a user, or none when there are as many as may be.
    #[must_use]
    pub fn admit(&self, user: &str) -> Option<Admission> {
        self.inner.presence.admit(user)
    }

    /// Makes an environment; it comes up in the background.
    ///
    /// # Errors
    /// As the write's.
    pub async fn create_environment(
        &self,
        new: CreateEnvironment,
    ) -> Result<environments::Environment, EnvironmentError> {
        let row = self.inner.persistence.write(new).await?;
        // Whether its actor can be started now or not: it is found again when it is asked for.
        let _ = self.environment(&row.user_id, &row.id).await;
        Ok(row)
    }

    /// Changes name, description, resources or variables; the latter two count from the next start.
    ///
    /// # Errors
    /// `NotFound`, or as the write's.
    pub async fn update_environment(
        &self,
        user: &str,
        update: UpdateEnvironment,
    ) -> Result<EnvironmentView, EnvironmentError> {
        let id = update.id.clone();
        self.view(user, &id).await?;
        self.inner.persistence.write(update).await?;
        let view = self.view(user, &id).await?;
        if let Some(actor) =
            self.inner.registry.find::<EnvironmentMessage>(&ActorPath::of(Kind::Environment, &id))
        {
            // One that does not run reads the row when it starts.
            let _ = actor.cast(EnvironmentMessage::Refreshed(Box::new(view.clone())));
        }
        Ok(view)
    }

    /// Changes what is wanted of an environment. That is written when this returns; a deletion is
    /// also carried out, if it takes no longer than a few seconds.
    ///
    /// # Errors
    /// `NotFound`, `StillRunning`, or as the write's.
    pub async fn change_environment(
        &self,
        user: &str,
        id: &str,
        change: Change,
    ) -> Result<EnvironmentStatus, EnvironmentError> {
        self.ask_environment(user, id, |reply| EnvironmentMessage::Change(change, reply)).await
    }

    /// An environment of a user, terminated ones included.
    ///
    /// # Errors
    /// `NotFound` also when it is somebody else's.
    pub async fn view(&self, user: &str, id: &str) -> Result<EnvironmentView, EnvironmentError> {
        let view = environments::by_id(self.inner.persistence.pool(), id).await?;
        view.filter(|view| view.environment.user_id == user).ok_or(EnvironmentError::NotFound)
    }

    /// The newest lines of an environment's log, oldest first.
    ///
    /// # Errors
    /// `NotFound`, or when the database is away.
    pub async fn environment_logs(
        &self,
        user: &str,
        id: &str,
        lines: u32,
        since: Option<DateTime<Utc>>,
    ) -> Result<Vec<StoredLogLine>, EnvironmentError> {
        self.view(user, id).await?;
        Ok(records::recent_logs(self.inner.persistence.pool(), id, since, lines).await?)
    }

    /// What the runtime itself logged of an environment: its container's output, oldest first.
    ///
    /// # Errors
    /// `NotFound`, or when the runtime can't tell.
    pub async fn runtime_logs(
        &self,
        user: &str,
        id: &str,
        query: LogQuery,
    ) -> Result<Vec<LogLine>, EnvironmentError> {
        let view = self.view(user, id).await?;
        let row = &view.environment;
        let key = EnvironmentKey { id: row.id.clone(), user_id: row.user_id.clone() };
        let runtime = self.inner.runtimes.get(&row.cluster_id).map_err(EnvironmentError::Refused)?;
        let asked = timeout(CALL_LIMIT, runtime.logs(&key, query)).await;
        asked
            .unwrap_or_else(|_| Err(RuntimeError::Unavailable("The cluster does not answer.".into())))
            .map_err(|error| match error {
                RuntimeError::Unavailable(text) => EnvironmentError::Unavailable(text),
                RuntimeError::Rejected(text) => EnvironmentError::Refused(text),
            })
    }

    /// The install log of an environment, to follow.
    ///
    /// # Errors
    /// `NotFound`, or when its actor can't be reached.
    pub async fn install_log(&self, user: &str, id: &str) -> Result<Arc<InstallLog>, EnvironmentError> {
        self.ask_environment(user, id, EnvironmentMessage::InstallLog).await
    }

    /// The status of an environment whose actor runs.
    #[must_use]
    pub fn environment_status(&self, id: &str) -> Option<EnvironmentStatus> {
        let actor = self.inner.registry.inspect(&ActorPath::of(Kind::Environment, id))?;
        EnvironmentStatus::ALL.iter().copied().find(|status| status.as_str() == actor.state)
    }

    /// The live sessions of an environment.
    ///
    /// # Errors
    /// `NotFound`, or when the database is away.
    pub async fn sessions(&self, user: &str, id: &str) -> Result<Vec<TerminalSession>, EnvironmentError> {
        self.view(user, id).await?;
        Ok(terminals::live(self.inner.persistence.pool(), id).await?)
    }

    /// Makes a session, or finds the live one of that name.
    ///
    /// # Errors
    /// See [`System::open_terminal`].
    pub async fn create_session(
        &self,
        user: &str,
        id: &str,
        name: &str,
        size: Size,
    ) -> Result<TerminalSession, EnvironmentError> {
        let selector = match Selector::parse(name) {
            Ok(selector @ Selector::Name(_)) => selector,
            // A name of an id's form could never be told from an id again.
            Ok(Selector::Id(_)) => {
                return Err(EnvironmentError::Refused(
                    "This name has the form of an id. Choose another one.".into(),
                ));
            }
            Err(error) => return Err(EnvironmentError::Refused(error.to_string())),
        };
        Ok(self.open_terminal(user, id, &selector, size).await?.session)
    }

    /// Ends a session, given by id or name.
    ///
    /// # Errors
    /// `NotFound` or `NoSuchSession`.
    pub async fn end_session(&self, user: &str, id: &str, session: &str) -> Result<(), EnvironmentError> {
        let selector = Selector::parse(session).map_err(|_| EnvironmentError::NoSuchSession)?;
        self.ask_environment(user, id, |reply| EnvironmentMessage::EndSession(selector.clone(), reply)).await
    }

    /// Finds or makes a terminal session. Waits while the environment is on its way to running.
    ///
    /// # Errors
    /// `NotFound`, `NoSuchSession`, `Refused` when the environment is stopped or broken,
    /// `Unavailable` when it takes too long.
    pub async fn open_terminal(
        &self,
        user: &str,
        id: &str,
        selector: &Selector,
        size: Size,
    ) -> Result<Opened, EnvironmentError> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            let open = |reply| EnvironmentMessage::Open(selector.clone(), size, reply);
            let opened = self.ask_environment(user, id, open).await?;
            match opened.terminal.call(TerminalMessage::Hub).await {
                Ok(hub) => {
                    return Ok(Opened { hub, session: opened.session, environment: opened.environment });
                }
                Err(CallError::Down(_)) => sleep(pause).await,
                Err(error) => return Err(error.into()),
            }
            pause *= 2;
        }
        Err(EnvironmentError::Unavailable("The session is recovering. Try again shortly.".into()))
    }

    /// Finds the hub of a session whose actor failed while a client was attached.
    ///
    /// # Errors
    /// When it does not come back within half a minute, or has ended.
    pub async fn rejoin(&self, user: &str, id: &str, session: &str) -> Result<Arc<Hub>, EnvironmentError> {
        let deadline = Instant::now() + REJOIN_LIMIT;
        let selector = Selector::Id(session.to_owned());
        loop {
            match self.open_terminal(user, id, &selector, Size::DEFAULT).await {
                Ok(opened) => return Ok(opened.hub),
                Err(EnvironmentError::Unavailable(_)) if Instant::now() < deadline => {
                    sleep(FIRST_PAUSE * 5).await
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes what is queued, sends what waits, and ends the tree. Environments and their
    /// sessions go on.
    pub async fn shutdown(&self) {
        self.inner._resume.lock().take();
        let recorder = ActorPath::single(Kind::Persistence);
        if let Some(recorder) = self.inner.registry.find::<RecorderMessage>(&recorder) {
            // What was handed over may still lie in its mailbox.
            let queued = recorder.call(RecorderMessage::Queued);
            let _ = tokio::time::timeout(DRAIN_LIMIT, queued).await;
        }
        let left = self.inner.engine.drain(DRAIN_LIMIT).await;
        if !left.is_complete() {
            tracing::error!(?left, "not everything was written before the end");
        }
        if !self.inner.mails.queue.drain(DRAIN_LIMIT / 2).await {
            tracing::error!("not all mails were sent before the end");
        }
        let _ = self.inner.root.cast(RootMessage::Stop);
        let mut ended = self.ended();
        let _ = tokio::time::timeout(DRAIN_LIMIT, ended.wait_for(|ended| *ended)).await;
    }

    /// Starts the actors of all environments that should not stay as they are shown, and of
    /// those that run, so that what became of them is known.
    async fn resume(&self) {
        let rows = loop {
            match environments::all_live(self.inner.persistence.pool()).await {
                Ok(rows) => break rows,
                Err(error) => tracing::warn!(%error, "environments are not resumed yet"),
            }
            sleep(Duration::from_secs(1)).await;
        };
        let places = Arc::new(Semaphore::new(RESUMED_AT_ONCE));
        let wanted = rows.into_iter().filter(|row| row.status != EnvironmentStatus::Stopped);
        let mut tasks = tokio::task::JoinSet::new();
        for row in wanted {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let system = self.clone();
            tasks.spawn(async move {
                if let Err(error) = system.environment(&row.user_id, &row.id).await {
                    tracing::warn!(environment = row.id, %error, "an environment is not resumed");
                }
                drop(place);
            });
        }
        tasks.join_all().await;
    }

    async fn environment(&self, user: &str, id: &str) -> Result<Addr<EnvironmentMessage>, EnvironmentError> {
        let path = ActorPath::of(Kind::User, user);
        let actor = match self.inner.registry.find::<UserMessage>(&path).filter(Addr::is_up) {
            Some(actor) => actor,
            None => self.inner.users.call(|reply| UsersMessage::User(user.to_owned(), reply)).await??,
        };
        actor.call(|reply| UserMessage::Environment(id.to_owned(), reply)).await?
    }

    /// Asks an environment's actor; asks again when an actor on the way fails meanwhile.
    async fn ask_environment<T>(
        &self,
        user: &str,
        id: &str,
        message: impl Fn(Reply<Result<T, EnvironmentError>>) -> EnvironmentMessage,
    ) -> Result<T, EnvironmentError> {
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            let asked = match self.environment(user, id).await {
                Ok(actor) => actor.call(&message).await,
                Err(EnvironmentError::Unavailable(_)) if attempt < ATTEMPTS && self.recovers(user) => {
                    sleep(pause).await;
                    pause *= 2;
                    continue;
                }
                Err(error) => return Err(error),
            };
            match asked {
                Ok(answer) => return answer,
                Err(CallError::Down(_)) if attempt < ATTEMPTS => sleep(pause).await,
                Err(error) => return Err(error.into()),
            }
            pause *= 2;
        }
        Err(EnvironmentError::Internal)
    }

    /// Whether the actors above a user's environments are being restarted at the moment.
    fn recovers(&self, user: &str) -> bool {
        let user = self.inner.registry.find::<UserMessage>(&ActorPath::of(Kind::User, user));
        !self.inner.users.is_up() || user.is_none_or(|user| !user.is_up())
    }
}

/// Commands go to the persistence actor, or straight into the queues while it is restarted.
fn route(registry: &Arc<Registry>) -> crate::persistence::Route {
    let registry = Arc::clone(registry);
    let actor = std::sync::OnceLock::<Addr<RecorderMessage>>::new();
    Arc::new(move |command: Command| {
        if actor.get().is_none()
            && let Some(found) = registry.find(&ActorPath::single(Kind::Persistence))
        {
            let _ = actor.set(found);
        }
        let Some(actor) = actor.get() else { return Some(command) };
        match actor.offer(RecorderMessage::Write(Box::new(command))) {
            Err(RecorderMessage::Write(command)) => Some(*command),
            _ => None,
        }
    })
}

impl GivenCluster {
    /// The cluster that is this machine.
    #[must_use]
    pub fn local(runtime: Arc<dyn Runtime>) -> Self {
        let description = "Sandboxes on the server's own machine".to_owned();
        Self { name: LOCAL_CLUSTER.to_owned(), description, kind: RuntimeKind::Local, runtime }
    }

    /// The id of its row, which is made if there is none.
    async fn id(&self, persistence: &Persistence) -> Result<String, WriteError> {
        if let Some(known) = clusters::by_id_or_name(persistence.pool(), &self.name).await? {
            return Ok(known.cluster.id);
        }
        let provider = self.kind.as_str().to_lowercase();
        let row = UpsertCluster {
            id: new_id(),
            name: self.name.clone(),
            description: Some(self.description.clone()),
            region: provider.clone(),
            provider,
            kubeconfig: Hidden::new(String::new()),
            runtime: self.kind,
            status: ClusterStatus::Active,
            is_default: true,
            node_count: 1,
            max_environments: 1000,
        };
        Ok(persistence.write(row).await?.id)
    }
}
