//! A whole server inside of a process.

use std::net::SocketAddr;
use std::time::Duration;

use devpocket_actors::cluster::stored::StoredClusters;
use devpocket_actors::{GivenCluster, StartError, System, SystemSettings};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::app::App;
use crate::config::Config;
use crate::server;

/// How long sockets may take to say goodbye, and requests to end, at a shutdown.
const FAREWELL: Duration = Duration::from_secs(5);

/// What a server is made of.
pub struct Parts {
    /// Its configuration. The address in it is not used: the listener is there already.
    pub config: Config,
    /// Where it listens.
    pub listener: TcpListener,
    /// Its database, migrated.
    pub pool: PgPool,
    /// The clusters that it is given.
    pub clusters: Vec<GivenCluster>,
}

/// Starts servers.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Starts the tree and takes connections.
    ///
    /// # Errors
    /// When the database refuses what the start needs, or the mail settings cannot work.
    pub async fn start(parts: Parts) -> Result<Running, StartError> {
        let Parts { config, listener, pool, clusters } = parts;
        let vault = config.vault();
        let settings = SystemSettings {
            pool,
            clusters,
            stored: StoredClusters {
                vault: Some(vault.clone()),
                kubernetes: config.kubernetes.environments.clone(),
            },
            vault,
            mail: config.mail.clone(),
            notices: (config.notices, config.web.frontend_url.clone()),
            connections_per_user: config.limits.sockets_per_user,
        };
        let system = System::start(settings).await?;
        let addr = listener.local_addr().map_err(|error| StartError::Tree(error.to_string()))?;
        let app = App::new(config, system);
        let (stop, stopped) = watch::channel(false);
        tokio::spawn({
            let app = app.clone();
            async move { app.auth().passwords().warm_up().await }
        });
        let task = tokio::spawn(server::serve(listener, app.clone(), stopped));
        Ok(Running { addr, app, stop, task })
    }
}

/// A running server. Dropping it leaves it running; [`Running::stop`] ends it.
pub struct Running {
    addr: SocketAddr,
    app: App,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its base URL, for somebody on this machine.
    #[must_use]
    pub fn url(&self) -> String {
        url_of(self.addr)
    }

    /// The system behind it.
    #[must_use]
    pub fn system(&self) -> &System {
        self.app.system()
    }

    /// What its handlers work with.
    #[must_use]
    pub const fn app(&self) -> &App {
        &self.app
    }

    /// Waits until the tree has ended by itself, which it does only when it cannot be kept up.
    pub async fn broken(&self) {
        let mut ended = self.app.system().ended();
        let _ = ended.wait_for(|ended| *ended).await;
    }

    /// Waits until an administrator asked for its end. Whoever runs it then stops it.
    pub async fn asked_to_end(&self) {
        self.app.asked_to_end().await;
    }

    /// Ends it in good order: sockets say goodbye while requests are still answered, then there
    /// are no new connections, requests end, what is queued is written. Environments and their
    /// sessions go on. Takes at most about half a minute.
    pub async fn stop(self) {
        let left = self.app.sockets().close(FAREWELL).await;
        if left > 0 {
            tracing::warn!(left, "sockets did not close in time");
        }
        self.stop.send_replace(true);
        if tokio::time::timeout(FAREWELL, self.task).await.is_err() {
            tracing::warn!("requests did not end in time");
        }
        self.app.system().shutdown().await;
    }
}

/// An address as a URL; one that means "everywhere" as this machine.
#[must_use]
pub fn url_of(addr: SocketAddr) -> String {
    let ip = addr.ip();
    if ip.is_unspecified() {
        let local = if ip.is_ipv4() { "127.0.0.1" } else { "[::1]" };
        return format!("http://{local}:{}", addr.port());
    }
    format!("http://{addr}")
}
