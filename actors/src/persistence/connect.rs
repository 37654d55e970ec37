//! The pool: its bounds, and the migrations.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use super::error::WriteError;

/// How long a caller waits for a connection. A client gives up after 30 s and a person long
/// before: better to say "not now" soon.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest statement the database runs for us. Longer than any of ours needs by far; it ends
/// what a lost connection left behind on the server.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections kept when the configuration names no number.
pub const DEFAULT_MAX_CONNECTIONS: u32 = 16;

/// Migrations of this build, in order.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../migrations");

/// A pool that connects when it is first used, so that a server starts (and says that it is
/// not ready) while the database is still away.
#[must_use]
pub fn pool(options: PgConnectOptions, max_connections: u32) -> PgPool {
    let options = options.application_name("devpocket").options([
        ("statement_timeout", format!("{}ms", STATEMENT_TIMEOUT.as_millis())),
        // A transaction left open by a server that hangs must not hold locks for ever.
        ("idle_in_transaction_session_timeout", "30s".to_owned()),
    ]);
    PgPoolOptions::new()
        .max_connections(max_connections.max(1))
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(Duration::from_mins(5))
        .max_lifetime(Duration::from_mins(30))
        .connect_lazy_with(options)
}

/// As [`pool`], from a `postgres://` URL.
///
/// # Errors
/// When the URL cannot be read. The text does not repeat it, as it holds a password.
pub fn pool_from_url(url: &str, max_connections: u32) -> Result<PgPool, WriteError> {
    let options: PgConnectOptions =
        url.parse().map_err(|_| WriteError::Internal("the database URL cannot be read".into()))?;
    Ok(pool(options, max_connections))
}

/// Brings the schema up to this build. Safe when several servers start at once: the
/// migrator holds an advisory lock.
///
/// # Errors
/// `Unavailable` while the database is away, `Internal` when the schema is not ours.
pub async fn migrate(pool: &PgPool) -> Result<(), WriteError> {
    MIGRATIONS.run(pool).await.map_err(|error| match error {
        sqlx::migrate::MigrateError::Execute(error) => error.into(),
        other => WriteError::Internal(format!("migration: {other}")),
    })
}

/// Whether the database answers now.
pub async fn is_ready(pool: &PgPool) -> bool {
    let probe = sqlx::query("SELECT 1").execute(pool);
    matches!(tokio::time::timeout(ACQUIRE_TIMEOUT, probe).await, Ok(Ok(_)))
}
