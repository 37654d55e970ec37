//! A fresh database for each test, on one server per test process.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::OnceCell;

use super::{EmbeddedError, Options, PrivatePostgres, io};
use crate::persistence::{connect, new_id};

/// The database that was migrated once; all others are copies of it.
const MIGRATED: &str = "migrated";

static SERVER: OnceCell<PrivatePostgres> = OnceCell::const_new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// An empty, migrated database of its own.
#[derive(Debug, Clone)]
pub struct TestDatabase {
    /// Connected to it.
    pub pool: PgPool,
    /// How others connect to it.
    pub options: PgConnectOptions,
    /// The same as a URL.
    pub url: String,
}

impl PrivatePostgres {
    /// A fresh database on the server of this test process, which is started when it is first
    /// needed. It ends with the process, also when that is killed.
    ///
    /// # Errors
    /// See [`EmbeddedError`].
    pub async fn for_tests() -> Result<TestDatabase, EmbeddedError> {
        let server = SERVER.get_or_try_init(Self::in_temporary_directory).await?;
        server.fresh_database().await
    }

    /// A server of the test's own, for tests that stop it. Its directory is removed when the
    /// test process has ended.
    ///
    /// # Errors
    /// See [`EmbeddedError`].
    pub async fn in_temporary_directory() -> Result<Self, EmbeddedError> {
        let directory = temporary_directory()?;
        let server = Self::start(Options::fast(directory)).await?;
        server.ensure_database(MIGRATED).await?;
        let pool = connect::pool(server.connect_options(MIGRATED), 1);
        let migrated = connect::migrate(&pool).await;
        // A database can be copied only while nobody is connected to it.
        pool.close().await;
        migrated.map_err(|error| EmbeddedError::Setup(error.to_string()))?;
        Ok(server)
    }

    /// A copy of the migrated database.
    ///
    /// # Errors
    /// See [`EmbeddedError`].
    pub async fn fresh_database(&self) -> Result<TestDatabase, EmbeddedError> {
        let name = format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        self.create_database(&name, MIGRATED).await?;
        let options = self.connect_options(&name);
        Ok(TestDatabase { pool: connect::pool(options.clone(), 8), options, url: self.url(&name) })
    }
}

/// A directory that is removed when this process has ended, however it ends: a shell holds the
/// other end of a pipe and waits until it closes.
fn temporary_directory() -> Result<PathBuf, EmbeddedError> {
    let directory = std::env::temp_dir().join(format!("devpocket-test-{}", &new_id()[..10]));
    std::fs::create_dir(&directory).map_err(io("making a temporary directory"))?;
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o711))
        .map_err(io("making a temporary directory"))?;
    sweep_later(&directory)?;
    Ok(directory)
}

fn sweep_later(directory: &Path) -> Result<(), EmbeddedError> {
    // The server was told to end by the kernel at the same moment; its files come and go
    // until it has, so removing is tried for a while.
    const SCRIPT: &str = r#"read -r _; n=0
        until rm -rf "$1" 2>/dev/null && [ ! -e "$1" ]; do n=$((n+1)); [ $n -gt 50 ] && exit; sleep 0.1; done"#;
    let mut child = Command::new("/bin/sh")
        .args(["-c", SCRIPT, "sh"])
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        // Who kills a test kills its process group.
        .process_group(0)
        .spawn()
        .map_err(io("starting a shell"))?;
    if let Some(mut pipe) = child.stdin.take() {
        let _ = pipe.flush();
        // Kept open for the life of the process, on purpose.
        std::mem::forget(pipe);
    }
    Ok(())
}
