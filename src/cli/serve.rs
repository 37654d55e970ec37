//! `devpocket serve`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use devpocket_actors::persistence::connect;
use secrecy::ExposeSecret as _;
use sqlx::PgPool;
use tokio::net::TcpListener;

use super::runtime::{self, Wanted};
use super::signals::Signals;
use crate::config::Config;
use crate::{Parts, Server, logging};

/// Pause between attempts to reach the database at the start.
const DATABASE_PAUSE: Duration = Duration::from_secs(2);

/// The configured database.
pub(super) fn pool(config: &Config) -> anyhow::Result<PgPool> {
    let database = &config.database;
    Ok(connect::pool_from_url(database.url.expose_secret(), database.max_connections)?)
}

/// Listens there, or says who is in the way.
pub(super) async fn listen(address: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            anyhow::anyhow!(
                "{address} is in use by another program; choose another address or port (0: any free one)"
            )
        }
        _ => anyhow::anyhow!("cannot listen on {address}: {error}"),
    })
}

pub(super) async fn run(config: Config) -> anyhow::Result<ExitCode> {
    logging::start(&config.log).map_err(anyhow::Error::msg)?;
    let mut signals = Signals::catch()?;
    let host = if config.host.contains(':') { format!("[{}]", config.host) } else { config.host.clone() };
    let listener = listen(&format!("{host}:{}", config.port)).await?;
    let pool = pool(&config)?;
    tokio::select! {
        migrated = migrate(&pool) => migrated?,
        () = signals.next() => return Ok(ExitCode::SUCCESS),
    }
    let mut clusters = Vec::new();
    if let Some(directory) = &config.local_runtime {
        let wanted = Wanted { root: directory.clone(), unsandboxed: false };
        clusters.push(runtime::local(&wanted).await.map_err(anyhow::Error::msg)?);
    }
    clusters.extend(runtime::given(&config.kubernetes).await.map_err(anyhow::Error::msg)?);
    let running = Server::start(Parts { config, listener, pool, clusters }).await.context("cannot start")?;
    tracing::info!(url = running.url(), "serving");
    let broken = tokio::select! {
        () = signals.next() => false,
        () = running.asked_to_end() => false,
        () = running.broken() => true,
    };
    tracing::info!("ending");
    signals.until_done(running.stop()).await;
    // Whoever runs the process starts it again.
    Ok(if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Waits for the database and brings its schema up to date.
async fn migrate(pool: &PgPool) -> anyhow::Result<()> {
    loop {
        match connect::migrate(pool).await {
            Ok(()) => return Ok(()),
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, "waiting for the database");
                tokio::time::sleep(DATABASE_PAUSE).await;
            }
            Err(error) => return Err(error).context("the database's schema cannot be brought up to date"),
        }
    }
}
