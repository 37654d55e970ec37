//! Takes the database of the server that this one replaces into ours.
//!
//! The old database is only read, in one snapshot; everything is written in one transaction, so an
//! import that fails has done nothing. What is here already stays as it is, so it can be run again.
//! Rows go through memory in pages of 500.
//!
//! [`rows`] moves rows, [`people`], [`places`] and [`environments`] know what is different here,
//! [`report`] says what was done.

mod environments;
mod kubeconfig;
mod people;
mod places;
mod report;
mod rows;

use std::collections::{HashMap, HashSet};

use secrecy::SecretString;
use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use self::kubeconfig::OldKey;
pub use self::report::{Count, Report};
use self::rows::Table;
use crate::persistence::ReadError;
use crate::persistence::vault::Vault;

/// Why nothing was imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The old database can't be read.
    #[error("the old database cannot be read: {0}")]
    Source(ReadError),
    /// It is something else.
    #[error("the old database is none of the server before this one: {0}")]
    Foreign(String),
    /// Ours can't be written.
    #[error("nothing was imported: {0}")]
    Target(String),
}

impl ImportError {
    fn source(error: sqlx::Error) -> Self {
        Self::Source(error.into())
    }

    fn target(error: sqlx::Error) -> Self {
        Self::Target(ReadError::from(error).to_string())
    }
}

/// How to import.
#[derive(Debug)]
pub struct Settings<'a> {
    /// Seals what is to be sealed here.
    pub vault: &'a Vault,
    /// The old server's `SECRET_KEY`, which its kubeconfigs were sealed with.
    pub old_secret: Option<&'a SecretString>,
    /// Do everything, and then undo it.
    pub dry_run: bool,
}

/// An import under way.
struct Import<'a> {
    source: &'a mut PgConnection,
    target: &'a mut PgConnection,
    vault: &'a Vault,
    old_key: Option<OldKey>,
    report: Report,
    /// Users that could not be taken, with all that is theirs.
    left_out: HashSet<String>,
    /// Old ids of what is here under another one.
    templates: HashMap<String, String>,
    clusters: HashMap<String, String>,
}

/// Imports everything.
///
/// # Errors
/// When either database fails or the old one is not what it should be; then nothing was imported.
pub async fn run(source: &PgPool, target: &PgPool, settings: Settings<'_>) -> Result<Report, ImportError> {
    let mut from = source.begin().await.map_err(ImportError::source)?;
    sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .execute(&mut *from)
        .await
        .map_err(ImportError::source)?;
    patient(&mut from).await.map_err(ImportError::source)?;
    recognise(&mut from).await?;
    let mut to = target.begin().await.map_err(ImportError::target)?;
    patient(&mut to).await.map_err(ImportError::target)?;
    // The old times have no zone and hold UTC.
    sqlx::query("SET LOCAL TimeZone = 'UTC'").execute(&mut *to).await.map_err(ImportError::target)?;
    let old_key = match settings.old_secret.cloned() {
        None => None,
        // Slow on purpose: not on a thread that others wait for.
        Some(secret) => tokio::task::spawn_blocking(move || OldKey::new(&secret)).await.ok().flatten(),
    };
    let mut import = Import {
        source: &mut from,
        target: &mut to,
        vault: settings.vault,
        old_key,
        report: Report::default(),
        left_out: HashSet::new(),
        templates: HashMap::new(),
        clusters: HashMap::new(),
    };
    import.users().await?;
    import.templates().await?;
    import.clusters().await?;
    import.user_clusters().await?;
    import.environments().await?;
    import.records().await?;
    import.skipped().await?;
    let report = import.report;
    if settings.dry_run {
        to.rollback().await.map_err(ImportError::target)?;
    } else {
        to.commit().await.map_err(ImportError::target)?;
    }
    Ok(report)
}

/// Our pools are made for people who wait. Here one database waits while a page of rows goes into the
/// other, and a large table is counted.
async fn patient(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    for setting in ["idle_in_transaction_session_timeout", "statement_timeout"] {
        let query = format!("SET LOCAL {setting} = '10min'");
        sqlx::query(AssertSqlSafe(query)).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Whether it is the old server's database, and not one of ours.
async fn recognise(source: &mut PgConnection) -> Result<(), ImportError> {
    let missing: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM unnest(ARRAY['users', 'templates', 'clusters', 'user_clusters', 'environments',
                                       'environment_logs', 'environment_metrics', 'refresh_tokens',
                                       'email_verification_tokens', 'terminal_sessions']) AS name
         WHERE to_regclass(name) IS NULL",
    )
    .fetch_all(&mut *source)
    .await
    .map_err(ImportError::source)?;
    if !missing.is_empty() {
        return Err(ImportError::Foreign(format!("it has no tables {}", missing.join(", "))));
    }
    let ours: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(source)
        .await
        .map_err(ImportError::source)?;
    if ours {
        return Err(ImportError::Foreign("it is one of this server's own".into()));
    }
    Ok(())
}

impl Import<'_> {
    /// Says what is not taken, and why.
    async fn skipped(&mut self) -> Result<(), ImportError> {
        for (name, why) in [
            (
                "refresh_tokens",
                "everybody signs in once more: the old ones are kept as they are, ours as digests",
            ),
            ("email_verification_tokens", "who waits for one asks for another mail"),
            ("terminal_sessions", "they name sessions of the old server that do not exist here"),
        ] {
            let read = Table { name, columns: "" }.size(&mut *self.source).await?;
            if read > 0 {
                self.report.note(format!("{read} rows of {name} are not taken: {why}"));
            }
        }
        Ok(())
    }
}
