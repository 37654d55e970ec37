//! The data directory: its lock, keys, and small files.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use rand::seq::IndexedRandom as _;
use rustix::fs::{FlockOperation, flock};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// An opened data directory. Nobody else has it open, as long as this lives.
pub(super) struct DataDir {
    path: PathBuf,
    /// The kernel lets go of it when the process ends, however it ends.
    _lock: File,
}

/// Where `devpocket connect` finds the server.
#[derive(Serialize, Deserialize)]
struct ServerFile {
    url: String,
    pid: u32,
}

/// The keys of this instance. No `Debug`.
#[derive(Serialize, Deserialize)]
pub(super) struct Keys {
    jwt_secret: String,
    secret_key: String,
}

impl Keys {
    pub(super) fn jwt_secret(&self) -> &str {
        &self.jwt_secret
    }

    /// A name for what this instance makes on a cluster.
    pub(super) fn installation(&self) -> String {
        let digest = Sha256::digest(self.secret_key.as_bytes());
        format!("dev-{:08x}", u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]))
    }

    pub(super) fn secret_key(&self) -> &str {
        &self.secret_key
    }
}

impl DataDir {
    /// Makes it when it is not there, and takes its lock.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(path).with_context(|| format!("making {}", path.display()))?;
        let path = path.canonicalize().with_context(|| format!("opening {}", path.display()))?;
        // Nothing of it belongs into anybody's repository.
        let ignore = path.join(".gitignore");
        if !ignore.exists() {
            std::fs::write(&ignore, "*\n").with_context(|| format!("writing {}", ignore.display()))?;
        }
        let name = path.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&name);
        let lock = lock.with_context(|| format!("opening {}", name.display()))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            let server: Option<ServerFile> = read(&path.join("server.json")).unwrap_or_default();
            let who = server.map_or_else(String::new, |it| format!(" (process {}, {})", it.pid, it.url));
            bail!(
                "another devpocket{who} uses {}; stop it, or give this one its own --data-dir and --listen",
                path.display()
            );
        }
        Ok(Self { path, _lock: lock })
    }

    /// Something in it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The keys, made at the first start.
    pub(super) fn keys(&self) -> anyhow::Result<Keys> {
        if let Some(keys) = self.read("keys.json")? {
            return Ok(keys);
        }
        let keys = Keys { jwt_secret: random_key(), secret_key: random_key() };
        self.write("keys.json", &keys)?;
        Ok(keys)
    }

    /// Tells where the server is.
    pub(super) fn announce_server(&self, url: &str) -> anyhow::Result<()> {
        self.write("server.json", &ServerFile { url: url.to_owned(), pid: std::process::id() })
    }

    /// It is gone.
    pub(super) fn forget_server(&self) {
        let _ = std::fs::remove_file(self.path("server.json"));
    }

    /// Reads a small file of ours; `None` when it is not there.
    pub(super) fn read<T: DeserializeOwned>(&self, name: &str) -> anyhow::Result<Option<T>> {
        read(&self.path(name))
    }

    /// Writes a small file for the owner's eyes only: all of it or nothing.
    pub(super) fn write(&self, name: &str, value: &impl Serialize) -> anyhow::Result<()> {
        let path = self.path(name);
        let unfinished = self.path(&format!(".{name}.new"));
        let write = || -> std::io::Result<()> {
            let _ = std::fs::remove_file(&unfinished);
            let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&unfinished)?;
            let mut text = serde_json::to_vec_pretty(value)?;
            text.push(b'\n');
            file.write_all(&text)?;
            file.sync_all()?;
            std::fs::rename(&unfinished, &path)
        };
        write().with_context(|| format!("writing {}", path.display()))
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Option<T>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    // What serde_json says quotes no values of a struct of strings, but the name is enough.
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|_| anyhow::anyhow!("{} cannot be read; delete it to have it made anew", path.display()))
}

/// 256 bits, as text.
fn random_key() -> String {
    const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut rng = rand::rng();
    (0..52).filter_map(|_| DIGITS.choose(&mut rng)).copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn one_instance_at_a_time_and_keys_that_stay() {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDir::open(directory.path()).unwrap();
        let first = data.keys().unwrap();
        data.announce_server("http://127.0.0.1:1").unwrap();
        let error = DataDir::open(directory.path()).err().unwrap().to_string();
        assert!(error.contains("http://127.0.0.1:1") && error.contains("--data-dir"), "{error}");
        drop(data);
        let again = DataDir::open(directory.path()).unwrap();
        assert_eq!(again.keys().unwrap().jwt_secret, first.jwt_secret);
        let mode = std::fs::metadata(again.path("keys.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
