//! Everything about Postgres.
//!
//! Reads are plain functions over the pool. Writes are commands: a struct that says what is
//! wanted, with its SQL beside it ([`Write`]), run in one transaction and answered after the
//! commit; or [`Late`] items nobody waits for; or an observed status, of which only the
//! latest counts. [`engine`] does the writing and holds what waits while the database is
//! away. It knows nothing of actors: the persistence actor owns an [`EngineGuard`] and passes
//! on [`Command`]s, and when it is restarted the queues are still there.
//!
//! A file per family of tables: [`users`], [`administration`], [`lockout`], [`google`], [`tokens`], [`verification`], [`templates`], [`clusters`],
//! [`environments`], [`terminals`], [`records`], [`audit`]; [`everybody`] joins some of them for administrators. [`embedded`] runs a private Postgres for
//! `devpocket dev` and for tests.

pub mod administration;
pub mod audit;
pub mod clusters;
pub mod connect;
pub mod embedded;
pub mod engine;
pub mod environments;
mod error;
pub mod everybody;
pub mod google;
mod ids;
mod like;
pub mod lockout;
pub mod mails;
pub mod overview;
pub mod records;
pub mod rotation;
mod secrets;
pub mod templates;
pub mod terminals;
pub mod tokens;
pub mod users;
mod variables;
pub mod vault;
pub mod verification;
mod words;

use std::sync::Arc;

use sqlx::PgPool;

pub use self::engine::{
    AuditEntry, Command, Drained, Engine, EngineGuard, EngineHandle, EngineStats, Job, Late, LogLine, Metric,
    ObservedStatus, Write,
};
pub use self::error::{ReadError, WriteError};
pub use self::ids::{ID_LENGTH, new_id};
pub(crate) use self::secrets::hex;
pub use self::secrets::{Hidden, TokenHash, Variables};
pub use self::variables::{KeptVariables, Sealing};
pub use self::words::{
    ClusterRole, ClusterStatus, DesiredState, EnvironmentStatus, LogLevel, Plan, Role, RuntimeKind,
    SessionStatus, TemplateCategory, TemplateStatus, UnknownWord, VerificationPurpose,
};

/// Most rows any list gives at once, whatever was asked for.
pub const MAX_PAGE: u32 = 100;

/// A part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Rows wanted.
    pub limit: u32,
    /// Rows to skip.
    pub offset: u32,
}

impl Default for Page {
    fn default() -> Self {
        Self { limit: 20, offset: 0 }
    }
}

impl Page {
    fn limit(self) -> i64 {
        i64::from(self.limit.clamp(1, MAX_PAGE))
    }

    fn offset(self) -> i64 {
        i64::from(self.offset)
    }
}

/// Hands a command on. Gives it back when nobody is there to take it.
pub type Route = Arc<dyn Fn(Command) -> Option<Command> + Send + Sync>;

/// The way to the database for everybody else. Cheap to clone.
#[derive(Clone)]
pub struct Persistence {
    engine: EngineHandle,
    route: Option<Route>,
}

impl std::fmt::Debug for Persistence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Persistence").field("stats", &self.engine.stats()).finish_non_exhaustive()
    }
}

impl Persistence {
    /// Commands go straight into the queues.
    #[must_use]
    pub const fn new(engine: EngineHandle) -> Self {
        Self { engine, route: None }
    }

    /// Commands go through `route`, i.e. by message to the persistence actor. While the actor
    /// is being restarted they go straight into the queues, which it will find when it is back.
    #[must_use]
    pub const fn routed(engine: EngineHandle, route: Route) -> Self {
        Self { engine, route: Some(route) }
    }

    fn send(&self, command: Command) {
        let left = match &self.route {
            Some(route) => route(command),
            None => Some(command),
        };
        if let Some(command) = left {
            self.engine.accept(command);
        }
    }

    /// Does a durable write and waits for its commit.
    ///
    /// Dropping the future does not undo the write: it may run all the same.
    ///
    /// # Errors
    /// `Overloaded` when too many wait; `Unavailable` when it could not begin within
    /// [`engine::START_LIMIT`] or finish within [`engine::JOB_LIMIT`]; else what the command says.
    pub async fn write<W: Write>(&self, write: W) -> Result<W::Output, WriteError> {
        let permit = self.engine.permit()?;
        let (job, ticket) = Job::new(write, permit);
        self.send(Command::Durable(job));
        ticket.wait().await
    }

    /// Writes it with the next batch. Never waits, never fails.
    pub fn late(&self, item: Late) {
        self.send(Command::Late(item));
    }

    /// Writes what was seen of an environment, unless something newer is seen before it has
    /// landed. Never waits, never fails.
    pub fn observe_status(
        &self,
        environment_id: impl Into<String>,
        status: EnvironmentStatus,
        reason: Option<String>,
    ) {
        self.send(Command::Status(ObservedStatus::now(environment_id.into(), status, reason)));
    }

    /// For reads.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        self.engine.pool()
    }

    /// Figures of this moment.
    #[must_use]
    pub fn stats(&self) -> EngineStats {
        self.engine.stats()
    }

    /// The queues.
    #[must_use]
    pub const fn engine(&self) -> &EngineHandle {
        &self.engine
    }
}
