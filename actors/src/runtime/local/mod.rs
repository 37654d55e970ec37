//! Environments in sandboxes on this machine, for a server without a cluster.
//!
//! An environment is a home directory and an agent in a bubblewrap sandbox. It has no image:
//! the machine's own shell and tools are there, read-only. What bounds it: its own process, IPC
//! and host name, mounts of the system and its home only, an unprivileged user, and limits on
//! memory (each process), processes and cores. What does not: the network is the machine's, and
//! the size of the home is measured but not enforced. [`sandbox`] tells more.
//!
//! Agents outlive the server. Everything about them is read from their files and from `/proc`
//! (`instance`), so a server that was killed finds them again, and calls of several servers
//! on one environment wait for each other (`layout`). A service manager must end the server's
//! process alone (systemd: `KillMode=process`), or it ends the environments with it.
//!
//! * `layout`: files, ids, the lock.
//! * [`sandbox`]: the command line of bwrap; `identity`: the user inside.
//! * `start`: config and launch; `instance`: find, reach, end; `watch`: what is the case.
//! * `process` and `control`: what these need of the kernel and of the agent; `capacity`.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use devpocket_protocol::agent::Usage;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{
    BoxStream, CALL_LIMIT, Capacity, EnvironmentKey, EnvironmentSpec, LogLine, LogQuery, LogStream, Observed,
    Resources, Runtime, RuntimeError, Stats,
};
use control::Channel;
use layout::{Layout, empty_trash};
use watch::Watchers;

mod capacity;
mod control;
mod follow;
mod identity;
mod instance;
mod layout;
mod process;
pub mod sandbox;
mod start;
mod watch;

/// How long removing an environment's files may hold up its deletion; then it goes on alone.
const EMPTY_TRASH: Duration = Duration::from_secs(8);

/// How long connecting to a port may take.
const FORWARD: Duration = Duration::from_secs(5);

/// The most of `agent.log` that is read, and the most lines of it that are told.
const LOG_BYTES: u64 = 256 * 1024;
const LOG_LINES: usize = 1000;

/// How a [`LocalRuntime`] is set up.
#[derive(Debug, Clone)]
pub struct LocalConfig {
    /// Where environments live; made when missing. For one user's servers only.
    pub root: PathBuf,
    /// The agent's program, statically linked.
    pub agent: PathBuf,
    /// What is put around an agent.
    pub sandbox: Sandbox,
}

/// What is put around an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sandbox {
    /// A bubblewrap that [`sandbox::probe`] found to work.
    Bubblewrap(sandbox::Bubblewrap),
    /// Nothing: whoever uses an environment can do what the server's user can do.
    None,
}

/// Runs environments on this machine. Cheap to clone; clones share their watchers.
#[derive(Clone)]
pub struct LocalRuntime {
    config: Arc<LocalConfig>,
    watchers: Arc<Watchers>,
    samples: Arc<Mutex<HashMap<String, Sample>>>,
}

/// What CPU time an instance had used at some moment.
struct Sample {
    at: Instant,
    cpu_ms: u64,
}

impl LocalRuntime {
    /// A runtime over `config.root`. Nothing is touched until it is used.
    #[must_use]
    pub fn new(config: LocalConfig) -> Self {
        Self { config: Arc::new(config), watchers: Arc::default(), samples: Arc::default() }
    }

    fn layout(&self, environment: &str) -> Result<Layout, RuntimeError> {
        Layout::new(&self.config.root, environment)
    }

    /// Runs a change of an environment under its lock, to its end even if the caller goes away.
    async fn change<F>(
        &self,
        layout: &Layout,
        change: impl FnOnce(Self, Layout, layout::Lock) -> F,
    ) -> Result<(), RuntimeError>
    where
        F: Future<Output = Result<(), RuntimeError>> + Send + 'static,
    {
        let lock = layout.lock().await?;
        let (this, id) = (self.clone(), layout.id.clone());
        let work = change(self.clone(), layout.clone(), lock);
        let work = tokio::spawn(async move {
            let result = work.await;
            this.watchers.look(&id);
            result
        });
        match timeout(CALL_LIMIT, work).await {
            Ok(Ok(result)) => result,
            Ok(Err(panicked)) => {
                Err(RuntimeError::Unavailable(format!("the local runtime failed: {panicked}")))
            }
            Err(_) => Err(RuntimeError::Unavailable("it takes long and goes on; ask again".to_owned())),
        }
    }

    /// Puts an agent's figures in proportion to what the environment may use.
    fn stats_of(&self, environment: &str, usage: &Usage, resources: Resources) -> Stats {
        let now = Sample { at: Instant::now(), cpu_ms: usage.cpu_ms };
        let mut samples = self.samples.lock();
        let cpu_percent = match samples.get(environment) {
            // Less than before: it was started anew.
            Some(before) if now.cpu_ms >= before.cpu_ms => {
                let wall = now.at.duration_since(before.at).as_secs_f64().max(0.001);
                let cores = f64::from(resources.cpu_millis.max(1)) / 1000.0;
                (now.cpu_ms - before.cpu_ms) as f64 / 1000.0 / wall / cores * 100.0
            }
            _ => 0.0,
        };
        samples.insert(environment.to_owned(), now);
        let part = |used: u64, of: u64| (used as f64 / of.max(1) as f64 * 100.0).min(100.0);
        Stats {
            cpu_percent: cpu_percent.min(100.0),
            memory_percent: part(usage.memory_bytes, resources.memory_bytes),
            storage_percent: part(usage.storage_bytes, resources.storage_bytes),
            // The network is the machine's.
            network_rx: 0,
            network_tx: 0,
        }
    }
}

#[async_trait]
impl Runtime for LocalRuntime {
    async fn check(&self) -> Result<(), RuntimeError> {
        let root = &self.config.root;
        let probe = Layout::new(root, "check")?;
        drop(probe.lock().await?);
        if !self.config.agent.is_file() {
            return Err(RuntimeError::Unavailable(format!(
                "the agent's program {} is missing; it belongs beside the server's program (make run builds both)",
                self.config.agent.display()
            )));
        }
        if let Sandbox::Bubblewrap(_) = self.config.sandbox {
            sandbox::probe().await.map_err(RuntimeError::Unavailable)?;
        }
        // Left by a deletion that was cut short.
        let root = root.clone();
        tokio::spawn(async move { empty_trash(&root).await });
        Ok(())
    }

    async fn follow(&self) -> RuntimeError {
        // Each environment's files are watched by themselves.
        std::future::pending().await
    }

    async fn inventory(&self) -> Result<Vec<String>, RuntimeError> {
        layout::environments(&self.config.root)
    }

    async fn ensure(&self, spec: &EnvironmentSpec) -> Result<(), RuntimeError> {
        let layout = self.layout(&spec.key.id)?;
        let spec = spec.clone();
        self.change(&layout, |this, layout, lock| async move {
            let result = start::ensure(&this.config, &layout, &spec).await;
            drop(lock);
            result
        })
        .await
    }

    async fn capacity(&self) -> Result<Capacity, RuntimeError> {
        capacity::of_machine(&self.config.root)
    }

    async fn may_grow(&self, _: &EnvironmentSpec) -> Result<(), RuntimeError> {
        // The size of a home is measured and not enforced.
        Ok(())
    }

    async fn stop(&self, environment: &EnvironmentKey) -> Result<(), RuntimeError> {
        let layout = self.layout(&environment.id)?;
        self.change(&layout, |this, layout, lock| async move {
            let result = instance::end(&layout).await;
            this.samples.lock().remove(&layout.id);
            drop(lock);
            result
        })
        .await
    }

    async fn delete(&self, environment: &EnvironmentKey) -> Result<(), RuntimeError> {
        let layout = self.layout(&environment.id)?;
        self.change(&layout, |this, layout, lock| async move {
            instance::end(&layout).await?;
            this.samples.lock().remove(&layout.id);
            layout.to_trash(lock)?;
            let root = layout.root.clone();
            let emptied = tokio::spawn(async move { empty_trash(&root).await });
            match timeout(EMPTY_TRASH, emptied).await {
                Ok(Ok(result)) => result,
                // Large: it goes on, and the environment is gone already.
                _ => Ok(()),
            }
        })
        .await
    }

    async fn watch(
        &self,
        environment: &EnvironmentKey,
    ) -> Result<tokio::sync::watch::Receiver<Observed>, RuntimeError> {
        Ok(self.watchers.subscribe(self.layout(&environment.id)?).await)
    }

    async fn open(&self, environment: &EnvironmentKey) -> Result<BoxStream, RuntimeError> {
        Ok(Box::new(instance::reach(&self.layout(&environment.id)?).await?))
    }

    async fn logs(
        &self,
        environment: &EnvironmentKey,
        query: LogQuery,
    ) -> Result<Vec<LogLine>, RuntimeError> {
        let layout = self.layout(&environment.id)?;
        if query.previous {
            // All starts write to one log.
            return Ok(Vec::new());
        }
        // Its lines carry no time that could be compared with `since`.
        let text =
            layout.log_tail(LOG_BYTES).map_err(|error| layout::unavailable("read", &layout.log(), &error))?;
        let lines: Vec<&str> = text.lines().collect();
        let first = lines.len().saturating_sub(query.lines.min(LOG_LINES));
        Ok(lines[first..].iter().map(|line| LogLine { at: None, text: (*line).to_owned() }).collect())
    }

    async fn follow_logs(
        &self,
        environment: &EnvironmentKey,
        query: LogQuery,
    ) -> Result<LogStream, RuntimeError> {
        let layout = self.layout(&environment.id)?;
        follow::follow(&layout, query.lines.min(LOG_LINES))
            .map_err(|error| layout::unavailable("read", &layout.log(), &error))
    }

    async fn stats(&self, spec: &EnvironmentSpec) -> Result<Stats, RuntimeError> {
        let stream = instance::reach(&self.layout(&spec.key.id)?).await?;
        let usage = async { Channel::open(stream).await?.usage().await }.await.map_err(|error| {
            RuntimeError::Unavailable(format!(
                "the agent of environment {} gives no figures: {error}",
                spec.key.id
            ))
        })?;
        Ok(self.stats_of(&spec.key.id, &usage, spec.resources))
    }

    async fn forward(&self, environment: &EnvironmentKey, port: u16) -> Result<BoxStream, RuntimeError> {
        let layout = self.layout(&environment.id)?;
        if instance::agent(&layout).is_none() {
            return Err(RuntimeError::Unavailable(format!("environment {environment} does not run")));
        }
        // The network is the machine's, so this may be another environment's port as well.
        let addresses = [format!("127.0.0.1:{port}"), format!("[::1]:{port}")];
        let connected = timeout(FORWARD, async {
            for address in &addresses {
                if let Ok(stream) = TcpStream::connect(address.as_str()).await {
                    return Some(stream);
                }
            }
            None
        });
        match connected.await {
            Ok(Some(stream)) => {
                let _ = stream.set_nodelay(true);
                Ok(Box::new(stream))
            }
            _ => Err(RuntimeError::Unavailable(format!(
                "nothing listens on port {port} in environment {environment}: start the program first"
            ))),
        }
    }
}
