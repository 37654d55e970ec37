//! The tasks that write, and the queues that outlive them.
//!
//! Three lanes. *Durable* jobs run in a transaction each, up to [`DURABLE_WORKERS`] at once,
//! and are answered after the commit. *Late* items are gathered and written in batches.
//! Observed *statuses* are reduced to the latest of each environment and retried until they
//! have landed.
//!
//! The queues live in an [`EngineHandle`], the tasks in an [`EngineGuard`]. Dropping the
//! guard stops the tasks and nothing is forgotten: what was in the middle of being written
//! late is still queued, and [`EngineHandle::start_workers`] goes on with it.

mod job;
mod late;
pub(in crate::persistence) mod late_sql;
mod status;
mod workers;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::PgPool;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

pub use self::job::{JOB_LIMIT, Job, START_LIMIT, Write};
use self::late::LateQueue;
pub use self::late::{
    AuditEntry, FLUSH_AFTER, FLUSH_ITEMS, LATE_BACKLOG, LOG_LINE_BYTES, Late, LogLine, Metric,
};
use self::status::StatusQueue;
pub use self::status::{ObservedStatus, next_sequence};
use super::error::WriteError;

/// Durable writes that may wait or run at a time; one more is refused as `Overloaded`.
pub const DURABLE_BACKLOG: usize = 1_024;

/// Durable writes that run at once.
pub const DURABLE_WORKERS: usize = 4;

/// What the engine is told to do. An actor in front of it passes these on unchanged.
#[derive(Debug)]
pub enum Command {
    /// Run a durable write.
    Durable(Job),
    /// Write this when there is a batch.
    Late(Late),
    /// This was seen of an environment.
    Status(ObservedStatus),
}

/// Figures for the dashboard and the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct EngineStats {
    /// Durable writes that wait or run.
    pub durable_backlog: usize,
    /// Durable writes that were committed.
    pub durable_done: u64,
    /// Durable writes that ended in an error.
    pub durable_failed: u64,
    /// Late items not yet in the database.
    pub late_backlog: usize,
    /// Late items written.
    pub late_written: u64,
    /// Late items dropped because the backlog was full.
    pub late_dropped: u64,
    /// Late items the database refused for good.
    pub late_refused: u64,
    /// Observed statuses not yet in the database.
    pub status_backlog: usize,
    /// Whether the last attempt reached the database.
    pub available: bool,
    /// How long a durable write takes, on the average of the last ones.
    pub write_time: Duration,
    /// Items in the last late batch.
    pub last_batch: usize,
    /// How long it took.
    pub batch_time: Duration,
}

/// What was still queued when draining ended. All zero: everything is in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Durable writes not done.
    pub durable: usize,
    /// Late items not written.
    pub late: usize,
    /// Statuses not written.
    pub statuses: usize,
}

impl Drained {
    /// Whether nothing was left.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.durable == 0 && self.late == 0 && self.statuses == 0
    }
}

#[derive(Debug)]
struct Shared {
    pool: PgPool,
    permits: Arc<Semaphore>,
    durable: Mutex<VecDeque<Job>>,
    durable_ready: Notify,
    late: Mutex<LateQueue>,
    late_ready: Notify,
    status: Mutex<StatusQueue>,
    status_ready: Notify,
    draining: AtomicBool,
    available: AtomicBool,
    /// Rung whenever something has landed or failed.
    progress: Notify,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Counters {
    durable_done: AtomicU64,
    durable_failed: AtomicU64,
    late_written: AtomicU64,
    late_dropped: AtomicU64,
    late_refused: AtomicU64,
    dropping: AtomicUsize,
    /// In microseconds, of these and the next.
    write_time: AtomicU64,
    batch_time: AtomicU64,
    last_batch: AtomicUsize,
}

/// The queues. Cheap to clone; none of its calls waits, but [`EngineHandle::drain`].
#[derive(Debug, Clone)]
pub struct EngineHandle {
    shared: Arc<Shared>,
}

/// The tasks. Dropping it stops them.
#[derive(Debug)]
pub struct EngineGuard {
    tasks: JoinSet<()>,
}

impl EngineGuard {
    /// Waits until a task has ended, which it does only by a fault of ours: a panic. The
    /// owner then drops the guard and starts new workers on the same queues.
    pub async fn broken(&mut self) {
        if self.tasks.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

/// Makes engines.
#[derive(Debug)]
pub struct Engine;

impl Engine {
    /// Empty queues and running tasks.
    #[must_use]
    pub fn start(pool: PgPool) -> (EngineHandle, EngineGuard) {
        let handle = EngineHandle::new(pool);
        let guard = handle.start_workers();
        (handle, guard)
    }
}

impl EngineHandle {
    /// Empty queues that nobody works on yet.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self {
            shared: Arc::new(Shared {
                pool,
                permits: Arc::new(Semaphore::new(DURABLE_BACKLOG)),
                durable: Mutex::default(),
                durable_ready: Notify::new(),
                late: Mutex::default(),
                late_ready: Notify::new(),
                status: Mutex::default(),
                status_ready: Notify::new(),
                draining: AtomicBool::new(false),
                available: AtomicBool::new(true),
                progress: Notify::new(),
                counters: Counters::default(),
            }),
        }
    }

    /// Starts the tasks. At most one guard should live at a time; a second one would be
    /// harmless but would write late batches twice as often as needed.
    #[must_use]
    pub fn start_workers(&self) -> EngineGuard {
        let mut tasks = JoinSet::new();
        for _ in 0..DURABLE_WORKERS {
            tasks.spawn(workers::durable(Arc::clone(&self.shared)));
        }
        tasks.spawn(workers::late(Arc::clone(&self.shared)));
        tasks.spawn(workers::statuses(Arc::clone(&self.shared)));
        EngineGuard { tasks }
    }

    /// Queues a command. Never waits.
    pub fn accept(&self, command: Command) {
        match command {
            Command::Durable(job) => {
                self.shared.durable.lock().push_back(job);
                self.shared.durable_ready.notify_one();
            }
            Command::Late(item) => {
                let (dropped, wake) = {
                    let mut queue = self.shared.late.lock();
                    let dropped = queue.push(item);
                    let length = queue.len();
                    // The worker sleeps until the batch is due or full.
                    (dropped, length <= 2 || length == FLUSH_ITEMS)
                };
                if wake {
                    self.shared.late_ready.notify_one();
                }
                self.shared.count_dropped(dropped);
            }
            Command::Status(observed) => {
                self.shared.status.lock().push(observed);
                self.shared.status_ready.notify_one();
            }
        }
    }

    /// A place among the waiting durable writes.
    pub(super) fn permit(&self) -> Result<OwnedSemaphorePermit, WriteError> {
        Arc::clone(&self.shared.permits).try_acquire_owned().map_err(|_| WriteError::Overloaded)
    }

    /// The pool, for reads.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.shared.pool
    }

    /// Figures of this moment.
    #[must_use]
    pub fn stats(&self) -> EngineStats {
        let counters = &self.shared.counters;
        EngineStats {
            durable_backlog: self.shared.durable_backlog(),
            durable_done: counters.durable_done.load(Ordering::Relaxed),
            durable_failed: counters.durable_failed.load(Ordering::Relaxed),
            late_backlog: self.shared.late.lock().len(),
            late_written: counters.late_written.load(Ordering::Relaxed),
            late_dropped: counters.late_dropped.load(Ordering::Relaxed),
            late_refused: counters.late_refused.load(Ordering::Relaxed),
            status_backlog: self.shared.status.lock().len(),
            available: self.shared.available.load(Ordering::Relaxed),
            write_time: Duration::from_micros(counters.write_time.load(Ordering::Relaxed)),
            last_batch: counters.last_batch.load(Ordering::Relaxed),
            batch_time: Duration::from_micros(counters.batch_time.load(Ordering::Relaxed)),
        }
    }

    /// Writes everything that is queued, without waiting for batches to fill, until the
    /// deadline. Used at shutdown, after whatever queues more has stopped.
    pub async fn drain(&self, deadline: Duration) -> Drained {
        let shared = &self.shared;
        shared.draining.store(true, Ordering::Release);
        shared.late_ready.notify_one();
        shared.status_ready.notify_one();
        let settled = async {
            loop {
                let progress = shared.progress.notified();
                tokio::pin!(progress);
                // Registered before looking, or the last ring could be missed.
                progress.as_mut().enable();
                if shared.left().is_complete() {
                    return;
                }
                progress.await;
            }
        };
        let _ = tokio::time::timeout(deadline, settled).await;
        shared.draining.store(false, Ordering::Release);
        shared.left()
    }
}

impl Counters {
    /// Notes how long a durable write took: an eighth of it goes into the average.
    fn timed_write(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        // Two that end at the same moment may lose one of them, which an average bears.
        let average = self.write_time.load(Ordering::Relaxed);
        let next = if average == 0 { took } else { average - average / 8 + took / 8 };
        self.write_time.store(next, Ordering::Relaxed);
    }

    fn timed_batch(&self, items: usize, took: Duration) {
        self.last_batch.store(items, Ordering::Relaxed);
        self.batch_time.store(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Shared {
    fn durable_backlog(&self) -> usize {
        DURABLE_BACKLOG.saturating_sub(self.permits.available_permits())
    }

    fn left(&self) -> Drained {
        Drained {
            durable: self.durable_backlog(),
            late: self.late.lock().len(),
            statuses: self.status.lock().len(),
        }
    }

    /// Counts, and says so once per bout: a full backlog must not fill the log as well.
    fn count_dropped(&self, dropped: u64) {
        if dropped == 0 {
            return;
        }
        self.counters.late_dropped.fetch_add(dropped, Ordering::Relaxed);
        if self.counters.dropping.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(
                limit = LATE_BACKLOG,
                "the backlog of late writes is full, the oldest are dropped"
            );
        }
    }

    /// Notes whether the database was reached, and says so when that changes.
    fn note(&self, result: Result<(), &WriteError>) {
        let available = !matches!(result, Err(WriteError::Unavailable));
        if self.available.swap(available, Ordering::Relaxed) != available {
            if available {
                self.counters.dropping.store(0, Ordering::Relaxed);
                tracing::info!("the database is back");
            } else {
                tracing::warn!("the database is not available");
            }
        }
    }
}
