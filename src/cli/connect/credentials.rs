//! Who a person is to each server: kept in one file, used by several programs at a time.
//!
//! A refresh token is good once. So whoever refreshes holds a lock, and looks first whether
//! another program has done it meanwhile.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::client::{ClientError, Rest, Tokens};

/// A token that is good for less than this is renewed before it is used.
const MARGIN: Duration = Duration::from_secs(60);

/// The file of credentials.
#[derive(Debug, Clone)]
pub struct Credentials {
    path: PathBuf,
}

/// What is kept for one server.
#[derive(Clone, Serialize, Deserialize)]
struct Entry {
    access_token: String,
    refresh_token: String,
    /// Seconds since 1970.
    expires_at: u64,
}

type Entries = BTreeMap<String, Entry>;

impl Entry {
    fn of(tokens: &Tokens) -> Self {
        Self {
            access_token: tokens.access_token.clone(),
            refresh_token: tokens.refresh_token.clone(),
            expires_at: now() + tokens.expires_in,
        }
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl Credentials {
    /// The person's own file: `$XDG_CONFIG_HOME/devpocket/credentials.json`.
    ///
    /// # Errors
    /// When there is no home directory.
    pub fn of_person() -> anyhow::Result<Self> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let directory = set("XDG_CONFIG_HOME")
            .or_else(|| Some(set("HOME")?.join(".config")))
            .context("neither XDG_CONFIG_HOME nor HOME is set")?;
        Ok(Self::at(&directory.join("devpocket/credentials.json")))
    }

    /// The file at `path`.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Keeps the tokens of a fresh sign-in.
    ///
    /// # Errors
    /// When the file can't be written.
    pub async fn keep(&self, server: &str, tokens: &Tokens) -> anyhow::Result<()> {
        let _lock = self.lock().await?;
        self.put(server, Entry::of(tokens))
    }

    /// Forgets a server.
    ///
    /// # Errors
    /// When the file can't be written.
    pub async fn forget(&self, server: &str) -> anyhow::Result<()> {
        let _lock = self.lock().await?;
        let mut entries = self.read()?;
        entries.remove(server);
        self.write(&entries)
    }

    /// An access token for `rest`'s server; renews it when it is about to expire, or when it is
    /// the `refused` one. `None`: the person has to sign in.
    ///
    /// # Errors
    /// When the file can't be read or written, or the server can't be reached.
    pub async fn token(&self, rest: &Rest, refused: Option<&str>) -> anyhow::Result<Option<String>> {
        let server = rest.server().to_string();
        let good = |entry: &Entry| {
            Some(entry.access_token.as_str()) != refused && entry.expires_at > now() + MARGIN.as_secs()
        };
        let kept = |entries: Entries| entries.get(&server).cloned();
        match kept(self.read()?) {
            None => return Ok(None),
            Some(entry) if good(&entry) => return Ok(Some(entry.access_token)),
            Some(_) => {}
        }
        let _lock = self.lock().await?;
        let Some(entry) = kept(self.read()?) else { return Ok(None) };
        if good(&entry) {
            return Ok(Some(entry.access_token));
        }
        match rest.refresh(&entry.refresh_token).await {
            Ok(tokens) => {
                self.put(&server, Entry::of(&tokens))?;
                Ok(Some(tokens.access_token))
            }
            Err(ClientError::Refused(refusal)) if matches!(refusal.status, 400 | 401 | 403) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn put(&self, server: &str, entry: Entry) -> anyhow::Result<()> {
        let mut entries = self.read()?;
        entries.insert(server.to_owned(), entry);
        self.write(&entries)
    }

    fn read(&self) -> anyhow::Result<Entries> {
        match fs::read(&self.path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("{} is damaged; remove it to sign in anew", self.path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Entries::new()),
            Err(error) => Err(error).with_context(|| format!("can't read {}", self.path.display())),
        }
    }

    /// Replaces the file in one step, so that a reader never sees half of it.
    fn write(&self, entries: &Entries) -> anyhow::Result<()> {
        let fresh = self.path.with_extension(format!("json.{}", std::process::id()));
        let write = || -> anyhow::Result<()> {
            let mut file = private().write(true).create(true).truncate(true).open(&fresh)?;
            file.write_all(&serde_json::to_vec_pretty(entries)?)?;
            fs::rename(&fresh, &self.path)?;
            Ok(())
        };
        write().with_context(|| format!("can't write {}", self.path.display()))
    }

    async fn lock(&self) -> anyhow::Result<File> {
        let path = self.path.with_extension("lock");
        if let Some(directory) = path.parent() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)
                .with_context(|| format!("can't create {}", directory.display()))?;
        }
        let file = private().write(true).create(true).truncate(false).open(&path)?;
        let locked = tokio::task::spawn_blocking(move || {
            flock(&file, FlockOperation::LockExclusive)?;
            Ok::<_, io::Error>(file)
        });
        Ok(locked.await??)
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::str::FromStr;

    use super::*;
    use crate::client::ServerUrl;

    #[tokio::test]
    async fn tokens_are_kept_per_server_for_their_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("devpocket/credentials.json");
        let credentials = Credentials::at(&path);
        let rest = |port: u16| Rest::new(ServerUrl::from_str(&format!("127.0.0.1:{port}")).unwrap());
        assert_eq!(credentials.token(&rest(1), None).await.unwrap(), None);

        let tokens = Tokens { access_token: "a".into(), refresh_token: "r".into(), expires_in: 3600 };
        credentials.keep(&rest(1).server().to_string(), &tokens).await.unwrap();
        assert_eq!(credentials.token(&rest(1), None).await.unwrap().as_deref(), Some("a"));
        assert_eq!(credentials.token(&rest(2), None).await.unwrap(), None);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        // A refused token is renewed, for which nobody is there.
        assert!(credentials.token(&rest(1), Some("a")).await.is_err());

        credentials.forget(&rest(1).server().to_string()).await.unwrap();
        assert_eq!(credentials.token(&rest(1), None).await.unwrap(), None);
    }
}
