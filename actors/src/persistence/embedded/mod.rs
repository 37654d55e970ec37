//! A private Postgres: for `devpocket dev` and for tests.
//!
//! It uses the server programs the machine has, listens on a Unix socket only, and belongs to
//! the process that started it: it is stopped when the owner drops it, and the kernel stops it
//! when the owner is killed. [`binaries`] finds the programs, [`launch`] decides as whom and
//! through what they run, [`process`] starts, adopts and stops the server, [`tests`] gives a
//! fresh database to each test.

mod binaries;
mod launch;
mod process;
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use self::launch::Launcher;
use self::process::Postmaster;
pub use self::tests::TestDatabase;

/// Longest wait for the server to accept connections. Recovery after a kill takes the most.
const START_LIMIT: Duration = Duration::from_secs(60);

/// The superuser of a private server. Nobody else can reach its socket, so it has no password.
pub const SUPERUSER: &str = "devpocket";

/// Why there is no private Postgres. The texts are meant for the person at the keyboard.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// No server programs.
    #[error(
        "no PostgreSQL server programs found in {searched}; install them \
         (Debian/Ubuntu: apt-get install postgresql) or set DEVPOCKET_DATABASE_URL to a server you have"
    )]
    NoPrograms {
        /// Where was looked.
        searched: String,
    },
    /// The data was made by another major version.
    #[error("the data in {directory} belongs to PostgreSQL {version}, whose programs are not installed")]
    WrongVersion {
        /// The data directory.
        directory: PathBuf,
        /// Its major version.
        version: String,
    },
    /// Postgres refuses to run as root and there is nobody else to run it as.
    #[error("running as root, but there is neither a user `postgres` nor `nobody` to run PostgreSQL as")]
    NoUser,
    /// The directory is out of reach for the user it must run as.
    #[error(
        "{directory} lies below a directory that user `{user}` may not enter, and PostgreSQL does not run \
         as root; install util-linux (for `unshare` and `setpriv`), or move the project to where \
         everybody may go (e.g. /srv), or set DEVPOCKET_DATABASE_URL"
    )]
    OutOfReach {
        /// The data directory.
        directory: PathBuf,
        /// The user.
        user: String,
    },
    /// A program failed.
    #[error("{program} failed: {output}")]
    Program {
        /// Which.
        program: &'static str,
        /// The end of what it said.
        output: String,
    },
    /// It did not come up.
    #[error("PostgreSQL did not accept connections within {} s: {log}", START_LIMIT.as_secs())]
    NotReady {
        /// The end of its log.
        log: String,
    },
    /// A statement to set it up failed.
    #[error("setting up the private PostgreSQL failed: {0}")]
    Setup(String),
    /// A file or a process could not be handled.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why not.
        source: std::io::Error,
    },
}

fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> EmbeddedError {
    let what = what.into();
    move |source| EmbeddedError::Io { what, source }
}

/// How to run it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it keeps its data and its log. Made when it is not there.
    pub directory: PathBuf,
    /// Answers before anything is on disk. For tests only: a power cut destroys the data.
    pub unsafe_but_fast: bool,
    /// Connections it takes.
    pub max_connections: u16,
}

impl Options {
    /// Durable, for development.
    #[must_use]
    pub fn durable(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), unsafe_but_fast: false, max_connections: 100 }
    }

    /// Fast, for tests.
    #[must_use]
    pub fn fast(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), unsafe_but_fast: true, max_connections: 200 }
    }
}

/// A running private server. Dropping it stops the server at once (an immediate shutdown:
/// what was committed is recovered at the next start); [`PrivatePostgres::stop`] does it
/// the orderly way.
#[derive(Debug)]
pub struct PrivatePostgres {
    launcher: Launcher,
    options: Options,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    postmaster: Option<Postmaster>,
    socket: PathBuf,
}

impl PrivatePostgres {
    /// Starts it, making its data directory first when there is none. A server still running
    /// on that directory (its owner was killed) is taken over.
    ///
    /// # Errors
    /// See [`EmbeddedError`].
    pub async fn start(options: Options) -> Result<Self, EmbeddedError> {
        let prepare = options.clone();
        // File work and initdb, which takes about a second.
        let launcher = blocking(move || Launcher::prepare(&prepare)).await?;
        let server =
            Self { launcher, options, state: Mutex::new(State { postmaster: None, socket: PathBuf::new() }) };
        server.resume().await?;
        Ok(server)
    }

    /// Starts the server again after [`PrivatePostgres::halt`].
    ///
    /// # Errors
    /// See [`EmbeddedError`].
    pub async fn resume(&self) -> Result<(), EmbeddedError> {
        let deadline = tokio::time::Instant::now() + START_LIMIT;
        loop {
            // Its drop clears away the socket of a server that has ended; after the next one has
            // begun, that would be the next one's.
            drop(self.state.lock().postmaster.take());
            let (launcher, options) = (self.launcher.clone(), self.options.clone());
            let (postmaster, socket) =
                blocking(move || Postmaster::adopt_or_start(&launcher, &options)).await?;
            let adopted = postmaster.is_adopted();
            {
                let mut state = self.state.lock();
                state.postmaster = Some(postmaster);
                state.socket = socket;
            }
            match self.wait_until_ready(deadline).await {
                // Its owner was killed a moment ago, so it was on its way down when it was found.
                Err(EmbeddedError::NotReady { .. })
                    if adopted && !self.is_running() && tokio::time::Instant::now() < deadline => {}
                result => return result,
            }
        }
    }

    fn is_running(&self) -> bool {
        self.state.lock().postmaster.as_ref().is_some_and(Postmaster::is_running)
    }

    async fn wait_until_ready(&self, deadline: tokio::time::Instant) -> Result<(), EmbeddedError> {
        let options = self.connect_options("postgres");
        loop {
            match PgConnection::connect_with(&options).await {
                Ok(connection) => {
                    let _ = connection.close().await;
                    return Ok(());
                }
                Err(error) => tracing::trace!(%error, "the private PostgreSQL is not ready yet"),
            }
            if !self.is_running() || tokio::time::Instant::now() >= deadline {
                return Err(EmbeddedError::NotReady { log: self.launcher.log_tail() });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// How to connect to one of its databases.
    #[must_use]
    pub fn connect_options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.state.lock().socket)
            .port(process::PORT)
            .username(SUPERUSER)
            .database(database)
            .ssl_mode(sqlx::postgres::PgSslMode::Disable)
    }

    /// The same as a URL, for other programs (`psql "$(…)"`).
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let socket = self.state.lock().socket.display().to_string();
        format!("postgres:///{database}?host={socket}&port={}&user={SUPERUSER}", process::PORT)
    }

    /// Its data directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.options.directory
    }

    /// The process id of the server, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.state.lock().postmaster.as_ref().map(Postmaster::pid)
    }

    /// Makes the database if it is not there.
    ///
    /// # Errors
    /// See [`EmbeddedError`].
    pub async fn ensure_database(&self, name: &str) -> Result<(), EmbeddedError> {
        let exists = self
            .admin(|connection| {
                let name = name.to_owned();
                Box::pin(async move {
                    sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
                        .bind(name)
                        .fetch_one(connection)
                        .await
                })
            })
            .await?;
        if exists { Ok(()) } else { self.create_database(name, "template1").await }
    }

    async fn create_database(&self, name: &str, template: &str) -> Result<(), EmbeddedError> {
        let quote = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        // FILE_COPY is the quicker strategy without fsync, and makes no WAL to speak of.
        let statement = format!("CREATE DATABASE {} TEMPLATE {}", quote(name), quote(template));
        self.admin(|connection| {
            Box::pin(async move { connection.execute(AssertSqlSafe(statement)).await.map(|_| ()) })
        })
        .await
    }

    async fn admin<T>(
        &self,
        work: impl FnOnce(
            &mut PgConnection,
        ) -> std::pin::Pin<Box<dyn Future<Output = Result<T, sqlx::Error>> + Send + '_>>,
    ) -> Result<T, EmbeddedError> {
        let setup = |error: sqlx::Error| EmbeddedError::Setup(error.to_string());
        let mut connection =
            PgConnection::connect_with(&self.connect_options("postgres")).await.map_err(setup)?;
        let result = work(&mut connection).await.map_err(setup);
        let _ = connection.close().await;
        result
    }

    /// Stops the server and keeps this value, so that it can be started again. Connections are
    /// cut, what they did is on disk. For tests of an outage, and behind [`Self::stop`].
    ///
    /// # Errors
    /// When it does not end.
    pub async fn halt(&self) -> Result<(), EmbeddedError> {
        let postmaster = self.state.lock().postmaster.take();
        match postmaster {
            Some(postmaster) => blocking(move || postmaster.stop_fast()).await,
            None => Ok(()),
        }
    }

    /// Stops the server the orderly way: connections are cut, everything is written.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn stop(self) -> Result<(), EmbeddedError> {
        self.halt().await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EmbeddedError> + Send + 'static,
) -> Result<T, EmbeddedError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| EmbeddedError::Setup(format!("a task ended early: {error}")))?
}
