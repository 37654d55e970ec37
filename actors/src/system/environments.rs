//! What the edge may ask of environments and their sessions.
//!
//! Whoever asks an actor that fails meanwhile asks its successor.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use devpocket_protocol::Size;
use devpocket_protocol::client::HelloEnvironment;
use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, sleep, timeout};

use super::System;
use crate::environment::{Change, EnvironmentError, EnvironmentMessage, InstallLog, Selector, spec_of};
use crate::persistence::environments::{
    self, CreateEnvironment, EnvironmentFilter, EnvironmentView, MAX_RECOVERIES, RecordRecovery, Recovery,
    UpdateEnvironment,
};
use crate::persistence::records::{self, StoredLogLine};
use crate::persistence::terminals::{self, TerminalSession};
use crate::persistence::{EnvironmentStatus, Page, ReadError, Sealing};
use crate::runtime::{CALL_LIMIT, EnvironmentKey, LogLine, LogQuery, LogStream, Runtime, RuntimeError};
use crate::supervision::{ActorPath, Addr, CallError, Kind, Reply};
use crate::terminal::{Hub, TerminalMessage};
use crate::user::{Happening, UserMessage, UsersMessage};

/// How many environments of somebody who is gone are taken down at once.
const TAKEN_DOWN_AT_ONCE: usize = 4;

/// How often something is asked again of an actor that fails while it is asked: its restart
/// takes milliseconds.
const ATTEMPTS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// How long a client's session is looked for after its actor failed.
const REJOIN_LIMIT: Duration = Duration::from_secs(30);

/// How long a cluster may think about a larger volume: somebody waits for the answer.
const MAY_GROW_LIMIT: Duration = Duration::from_secs(12);

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

impl System {
    /// Makes an environment; it comes up in the background.
    ///
    /// # Errors
    /// As the write's.
    pub async fn create_environment(
        &self,
        new: CreateEnvironment,
    ) -> Result<environments::Environment, EnvironmentError> {
        let vault = self.vault().clone();
        let row = self.inner.persistence.write(Sealing { write: new, vault }).await?.opened(self.vault());
        let made = Happening::Status { status: row.status, reason: None };
        self.inner.events.tell(&row.user_id, &row.id, made);
        // Whether its actor can be started now or not: it is found again when it is asked for.
        let _ = self.environment(&row.user_id, &row.id).await;
        Ok(row)
    }

    /// Changes name, description, resources or variables; the latter two count from the next
    /// start. Tells whether something that runs goes on as before until then.
    ///
    /// # Errors
    /// `NotFound`, `BeyondPlan`; `Refused` when the volume would get smaller, or larger where it
    /// can't; or as the write's.
    pub async fn update_environment(
        &self,
        user: &str,
        update: UpdateEnvironment,
    ) -> Result<(EnvironmentView, bool), EnvironmentError> {
        let id = update.id.clone();
        let before = self.view(user, &id).await?;
        update.check(&before.environment, before.owner_plan)?;
        if update.grows(&before.environment) {
            self.may_grow(&before, &update).await?;
        }
        self.inner.persistence.write(Sealing { write: update, vault: self.vault().clone() }).await?;
        let view = self.view(user, &id).await?;
        if let Some(actor) =
            self.inner.registry.find::<EnvironmentMessage>(&ActorPath::of(Kind::Environment, &id))
        {
            // One that does not run reads the row when it starts.
            let _ = actor.cast(EnvironmentMessage::Refreshed(Box::new(view.clone())));
        }
        let pending = view.environment.status != EnvironmentStatus::Stopped
            && starts_differently(&before.environment, &view.environment);
        Ok((view, pending))
    }

    /// Asks the cluster whether an environment's volume can have the size that is wished for.
    async fn may_grow(
        &self,
        before: &EnvironmentView,
        update: &UpdateEnvironment,
    ) -> Result<(), EnvironmentError> {
        let mut larger = before.clone();
        if let Some(storage) = &update.storage {
            larger.environment.resources_storage.clone_from(storage);
        }
        let spec =
            spec_of(&larger, self.vault()).map_err(|error| EnvironmentError::Refused(error.to_string()))?;
        let runtime = self.inner.runtimes.get(&before.environment.cluster_id);
        let runtime = runtime.map_err(EnvironmentError::Refused)?;
        let asked = timeout(MAY_GROW_LIMIT, runtime.may_grow(&spec)).await;
        asked.unwrap_or_else(|_| Err(silent())).map_err(EnvironmentError::from)
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
        self.ask_environment(user, id, |reply| EnvironmentMessage::Change(change, None, reply)).await
    }

    /// Takes down the environments of somebody who is gone. They are wanted gone already, so what a
    /// killed server leaves of this its next start does. Returns at once.
    pub fn take_down(&self, user: &str, environments: Vec<String>) {
        let (system, user) = (self.clone(), user.to_owned());
        tokio::spawn(async move {
            stream::iter(environments)
                .for_each_concurrent(TAKEN_DOWN_AT_ONCE, |id| {
                    let (system, user) = (&system, &user);
                    async move {
                        let asked = system.change_environment(user, &id, Change::StopAndDelete).await;
                        if let Err(error) = asked {
                            tracing::warn!(environment = id, %error, "an environment is taken down later");
                        }
                    }
                })
                .await;
        });
    }

    /// Makes an environment that failed, or got stuck on its way up, anew on its volume.
    ///
    /// # Errors
    /// `Refused` when it needs none or was recovered too often, `TooSoon`, `NotFound`, or as the
    /// write's.
    pub async fn recover_environment(
        &self,
        user: &str,
        id: &str,
    ) -> Result<(EnvironmentStatus, u32), EnvironmentError> {
        self.view(user, id).await?;
        match self.inner.persistence.write(RecordRecovery { id: id.to_owned() }).await? {
            Recovery::Begun { attempt } => {
                Ok((self.change_environment(user, id, Change::Restart).await?, attempt))
            }
            Recovery::NotNeeded(status) => {
                let why = format!("Only one that failed or got stuck can be recovered; it is {status}.");
                Err(EnvironmentError::Refused(why))
            }
            Recovery::TooSoon { wait } => Err(EnvironmentError::TooSoon { wait }),
            Recovery::Exhausted => Err(EnvironmentError::Refused(format!(
                "It was recovered {MAX_RECOVERIES} times already. Its logs may say why it fails."
            ))),
        }
    }

    /// An environment of a user, terminated ones included, with its variables opened.
    ///
    /// # Errors
    /// `NotFound` also when it is somebody else's.
    pub async fn view(&self, user: &str, id: &str) -> Result<EnvironmentView, EnvironmentError> {
        let view = environments::by_id(self.inner.persistence.pool(), id).await?;
        let view = view.filter(|view| view.environment.user_id == user).ok_or(EnvironmentError::NotFound)?;
        Ok(EnvironmentView { environment: view.environment.opened(self.vault()), ..view })
    }

    /// A page of environments, their variables opened; and how many there are in all.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn views(
        &self,
        filter: &EnvironmentFilter,
        page: Page,
    ) -> Result<(Vec<EnvironmentView>, i64), ReadError> {
        let (mut rows, total) = environments::list(self.inner.persistence.pool(), filter, page).await?;
        for row in &mut rows {
            row.environment = row.environment.clone().opened(self.vault());
        }
        Ok((rows, total))
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
        let (runtime, key) = self.place(user, id).await?;
        let asked = timeout(CALL_LIMIT, runtime.logs(&key, query)).await;
        asked.unwrap_or_else(|_| Err(silent())).map_err(EnvironmentError::from)
    }

    /// The same, to follow.
    ///
    /// # Errors
    /// `NotFound`, or when the runtime can't tell.
    pub async fn follow_runtime_logs(
        &self,
        user: &str,
        id: &str,
        query: LogQuery,
    ) -> Result<LogStream, EnvironmentError> {
        let (runtime, key) = self.place(user, id).await?;
        let asked = timeout(CALL_LIMIT, runtime.follow_logs(&key, query)).await;
        asked.unwrap_or_else(|_| Err(silent())).map_err(EnvironmentError::from)
    }

    /// Where an environment of a user is, and what it is called there.
    async fn place(
        &self,
        user: &str,
        id: &str,
    ) -> Result<(Arc<dyn Runtime>, EnvironmentKey), EnvironmentError> {
        let row = self.view(user, id).await?.environment;
        let runtime = self.inner.runtimes.get(&row.cluster_id).map_err(EnvironmentError::Refused)?;
        Ok((runtime, EnvironmentKey { id: row.id, user_id: row.user_id }))
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

    /// The actor of an environment, made if it does not run.
    pub(super) async fn environment(
        &self,
        user: &str,
        id: &str,
    ) -> Result<Addr<EnvironmentMessage>, EnvironmentError> {
        let path = ActorPath::of(Kind::User, user);
        let actor = match self.inner.registry.find::<UserMessage>(&path).filter(Addr::is_up) {
            Some(actor) => actor,
            None => self.inner.users.call(|reply| UsersMessage::User(user.to_owned(), reply)).await??,
        };
        actor.call(|reply| UserMessage::Environment(id.to_owned(), reply)).await?
    }

    /// Asks an environment's actor; asks again when an actor on the way fails meanwhile.
    pub(super) async fn ask_environment<T>(
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

/// Whether the second row starts another environment than the first.
fn starts_differently(before: &environments::Environment, after: &environments::Environment) -> bool {
    let settings = |row: &environments::Environment| {
        let amounts = [&row.resources_cpu, &row.resources_memory, &row.resources_storage].map(Clone::clone);
        (amounts, row.environment_variables.clone())
    };
    settings(before) != settings(after)
}

fn silent() -> RuntimeError {
    RuntimeError::Unavailable("The cluster does not answer.".into())
}
