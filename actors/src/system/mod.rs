//! The tree from outside: starting and ending it, and what the edge may ask of it.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::{Semaphore, watch};
use tokio::time::sleep;

use crate::cluster::stored::StoredClusters;
use crate::cluster::{ClustersArgs, ClustersMessage, GivenCluster, Runtimes};
use crate::mailer::{Mail, MailSettings, MailerArgs, MailerMessage, NoticeLevel, Notices};
use crate::persistence::environments::{Environment, all_live};
use crate::persistence::mails::Mailed;
use crate::persistence::vault::Vault;
use crate::persistence::{
    Command, EngineHandle, EngineStats, EnvironmentStatus, Persistence, ReadError, Write, WriteError,
    rotation,
};
use crate::recorder::RecorderMessage;
use crate::root::{Root, RootArgs, RootMessage};
use crate::runtime::LinkFigures;
use crate::supervision::{ActorPath, Addr, Kind, Registry, TaskGuard, spawn_root, watchdog};
use crate::user::{Admission, Events, Listener, Presence, UserArgs, UsersMessage};

mod administration;
mod clusters;
mod environments;
mod housekeeping;

pub use clusters::{ClusterError, NewCluster, NewKubeconfig};
pub use environments::Opened;

/// How many environments are looked at at once after a start.
const RESUMED_AT_ONCE: usize = 8;

/// How long queued writes and mails may take at the end.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// The most streams of events that one user may listen to at a time.
const STREAMS_PER_USER: usize = 10;

/// What a tree is made of.
pub struct SystemSettings {
    /// The database, migrated.
    pub pool: PgPool,
    /// The clusters that this process was given.
    pub clusters: Vec<GivenCluster>,
    /// How to use the clusters of the database.
    pub stored: StoredClusters,
    /// Seals and opens what the database keeps sealed.
    pub vault: Vault,
    /// How mail leaves.
    pub mail: MailSettings,
    /// What owners of environments are told by mail, and where its link leads.
    pub notices: (NoticeLevel, String),
    /// The most live connections of one user.
    pub connections_per_user: usize,
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
    vault: Vault,
    runtimes: Runtimes,
    presence: Presence,
    streams: Presence,
    events: Events,
    root: Addr<RootMessage>,
    users: Addr<UsersMessage>,
    clusters: Addr<ClustersMessage>,
    stored: StoredClusters,
    /// Held while clusters are brought to what the database says.
    syncing: tokio::sync::Mutex<()>,
    mailer: Addr<MailerMessage>,
    ended: Ended,
    _watchdog: TaskGuard,
    _housekeeping: TaskGuard,
    /// Tasks that start actors of environments, or look at clusters.
    resuming: parking_lot::Mutex<Vec<TaskGuard>>,
}

impl System {
    /// Starts the tree. Environments that were on their way somewhere go on in the background.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(settings: SystemSettings) -> Result<Self, StartError> {
        let registry = Arc::new(Registry::default());
        let engine = EngineHandle::new(settings.pool);
        let persistence = Persistence::routed(engine.clone(), route(&registry));
        let mails = MailerArgs::new(&settings.mail, persistence.clone(), settings.vault.clone())?;
        let (level, link) = settings.notices;
        let notices = Notices {
            level,
            link: link.into(),
            queue: Arc::clone(&mails.queue),
            persistence: persistence.clone(),
        };
        let (runtimes, events) = (Runtimes::default(), Events::default());
        let args = RootArgs {
            engine: engine.clone(),
            mailer: mails.clone(),
            clusters: ClustersArgs { runtimes: runtimes.clone(), persistence: persistence.clone() },
            users: UserArgs {
                user: String::new(),
                runtimes: runtimes.clone(),
                persistence: persistence.clone(),
                vault: settings.vault.clone(),
                events: events.clone(),
                notices,
            },
        };
        {
            // Before the tree: the workers that write are part of it, so these writes go by themselves.
            let _workers = engine.start_workers();
            let persistence = Persistence::new(engine.clone());
            for given in settings.clusters {
                runtimes.give(&given.id(&persistence).await?, given.runtime);
            }
            settings.stored.sync(&runtimes, &persistence).await?;
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
                _housekeeping: housekeeping::start(persistence.clone()),
                resuming: parking_lot::Mutex::default(),
                clusters: registry.find(&ActorPath::single(Kind::Clusters)).ok_or_else(missing)?,
                stored: settings.stored,
                syncing: tokio::sync::Mutex::new(()),
                registry,
                persistence,
                engine,
                mails,
                vault: settings.vault,
                runtimes,
                presence: Presence::new(settings.connections_per_user),
                streams: Presence::new(STREAMS_PER_USER),
                events,
                ended,
            }),
        };
        let resuming = system.clone();
        let resumed = TaskGuard::spawn(async move { resuming.resume(|_| true).await });
        system.inner.resuming.lock().extend([resumed, system.keep_clusters()]);
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

    /// Seals and opens what the database keeps sealed.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        &self.inner.vault
    }

    /// How the writing to the database does.
    #[must_use]
    pub fn writing(&self) -> EngineStats {
        self.inner.engine.stats()
    }

    /// How many mails wait to be stored or sent.
    #[must_use]
    pub fn mails_waiting(&self) -> usize {
        self.inner.mails.queue.len()
    }

    /// How the connection to a cluster does; none: it can't be used.
    #[must_use]
    pub fn link(&self, cluster: &str) -> Option<LinkFigures> {
        self.inner.runtimes.get(cluster).ok().map(|runtime| runtime.figures())
    }

    /// Tells when the tree has ended.
    #[must_use]
    pub fn ended(&self) -> Ended {
        self.inner.ended.clone()
    }

    /// Does a durable write and sends a mail that tells of it: both or none.
    ///
    /// # Errors
    /// As the write's.
    pub async fn write_and_mail<W: Write>(&self, write: W, mail: &Mail) -> Result<W::Output, WriteError> {
        let mails = &self.inner.mails;
        let mail = mails.seal(mail).map_err(|error| WriteError::Internal(error.to_string()))?;
        let output = self.inner.persistence.write(Mailed { write, mail }).await?;
        mails.stored();
        Ok(output)
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

    /// Admits one more stream of events or lines of a user, or none when there are as many as
    /// may be.
    #[must_use]
    pub fn admit_stream(&self, user: &str) -> Option<Admission> {
        self.inner.streams.admit(user)
    }

    /// Listens to what happens to what is a user's, or not when there are as many listeners as
    /// may be.
    #[must_use]
    pub fn listen(&self, user: &str) -> Option<(Listener, Admission)> {
        let admission = self.admit_stream(user)?;
        Some((self.inner.events.listen(user), admission))
    }

    /// The same for who was admitted to something else already.
    #[must_use]
    pub fn listen_along(&self, user: &str, _: &Admission) -> Listener {
        self.inner.events.listen(user)
    }

    /// Writes what is queued, mails included, and ends the tree. Environments and their
    /// sessions go on.
    pub async fn shutdown(&self) {
        self.inner.resuming.lock().clear();
        let recorder = ActorPath::single(Kind::Persistence);
        if let Some(recorder) = self.inner.registry.find::<RecorderMessage>(&recorder) {
            // What was handed over may still lie in its mailbox.
            let queued = recorder.call(RecorderMessage::Queued);
            let _ = tokio::time::timeout(DRAIN_LIMIT, queued).await;
        }
        // Mails are stored; they are sent after the next start.
        if !self.inner.mails.queue.drain(DRAIN_LIMIT / 2).await {
            tracing::error!("not all mails were stored or sent before the end");
        }
        let left = self.inner.engine.drain(DRAIN_LIMIT).await;
        if !left.is_complete() {
            tracing::error!(?left, "not everything was written before the end");
        }
        let _ = self.inner.root.cast(RootMessage::Stop);
        let mut ended = self.ended();
        let _ = tokio::time::timeout(DRAIN_LIMIT, ended.wait_for(|ended| *ended)).await;
    }

    /// Starts the actors of all environments that should not stay as they are shown, and of
    /// those that run, so that what became of them is known; as far as they are `meant`.
    async fn resume(&self, meant: impl Fn(&Environment) -> bool) {
        let rows = loop {
            match all_live(self.inner.persistence.pool()).await {
                Ok(rows) => break rows,
                Err(error) => tracing::warn!(%error, "environments are not resumed yet"),
            }
            sleep(Duration::from_secs(1)).await;
        };
        rotation::at_start(&self.inner.persistence, &self.inner.vault).await;
        let places = Arc::new(Semaphore::new(RESUMED_AT_ONCE));
        let wanted = rows.into_iter().filter(|row| row.status != EnvironmentStatus::Stopped && meant(row));
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
