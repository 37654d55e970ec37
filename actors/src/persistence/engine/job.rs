//! Durable writes: one transaction each, answered after the commit.

use std::any::type_name;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use sqlx::{PgPool, PgTransaction};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

use crate::persistence::error::WriteError;

/// A job that has no connection this long after it was queued is answered `Unavailable`.
pub const START_LIMIT: Duration = Duration::from_secs(2);

/// Longest run of one job, from its start to its commit.
pub const JOB_LIMIT: Duration = Duration::from_secs(5);

/// A change to the database whose outcome somebody waits for.
///
/// The value is the command, `apply` its SQL. It runs in a transaction of its own: an `Err`
/// rolls back, an `Ok` is committed before anybody hears of it. A command that must keep
/// something although it "failed" (a counted wrong password, a revoked family of tokens)
/// says so in its `Output`.
///
/// Locks are taken in one order everywhere: users, their addresses, their sign-ins, refresh tokens, templates,
/// environments, terminal sessions; and by id within a table.
pub trait Write: Send + 'static {
    /// What the caller gets.
    type Output: Send + 'static;

    /// Does it.
    fn apply(
        self,
        tx: &mut PgTransaction<'_>,
    ) -> impl Future<Output = Result<Self::Output, WriteError>> + Send;
}

const WAITING: u8 = 0;
const STARTED: u8 = 1;
const GIVEN_UP: u8 = 2;

/// Who may still decide about a job: its caller while it waits, its worker afterwards.
#[derive(Debug, Default)]
struct Claim(AtomicU8);

impl Claim {
    fn take(&self, as_state: u8) -> bool {
        self.0.compare_exchange(WAITING, as_state, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The caller's: true when the job will never start.
    fn give_up(&self) -> bool {
        self.take(GIVEN_UP)
    }
}

type Answer<T> = oneshot::Sender<Result<T, WriteError>>;
type Running<'a> = Pin<Box<dyn Future<Output = Result<(), WriteError>> + Send + 'a>>;

trait Erased: Send {
    fn run(self: Box<Self>, pool: &PgPool, begin_by: Instant) -> Running<'_>;
}

struct Typed<W: Write> {
    write: W,
    answer: Answer<W::Output>,
}

impl<W: Write> Erased for Typed<W> {
    fn run(self: Box<Self>, pool: &PgPool, begin_by: Instant) -> Running<'_> {
        let Self { write, answer } = *self;
        Box::pin(async move {
            let work = async {
                let mut tx = tokio::time::timeout_at(begin_by, pool.begin())
                    .await
                    .map_err(|_| WriteError::Unavailable)??;
                let output = write.apply(&mut tx).await?;
                tx.commit().await?;
                Ok(output)
            };
            // A panic in one command must not take the worker, and with it other people's
            // writes, along. Its transaction was dropped, so it is rolled back.
            let guarded = AssertUnwindSafe(tokio::time::timeout(JOB_LIMIT, work)).catch_unwind();
            let result = match guarded.await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(WriteError::Unavailable),
                Err(_) => Err(WriteError::Internal("the write panicked".into())),
            };
            let seen = result.as_ref().map(|_| ()).map_err(Clone::clone);
            // The caller may have gone; the write stands all the same.
            let _ = answer.send(result);
            seen
        })
    }
}

/// A durable write with its type erased: it can be queued and sent in a message. It carries
/// the way back to its caller, and its place in the bound on waiting writes.
pub struct Job {
    name: &'static str,
    erased: Box<dyn Erased>,
    claim: Arc<Claim>,
    queued_at: Instant,
    _permit: OwnedSemaphorePermit,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The caller's end of a [`Job`].
pub(in crate::persistence) struct Ticket<T> {
    answer: oneshot::Receiver<Result<T, WriteError>>,
    claim: Arc<Claim>,
    start_by: Instant,
}

impl<T> Ticket<T> {
    /// Waits for the answer, but not for a start: a job that is still queued when it should
    /// have begun is given up and never runs.
    pub(in crate::persistence) async fn wait(mut self) -> Result<T, WriteError> {
        match tokio::time::timeout_at(self.start_by, &mut self.answer).await {
            Ok(answer) => return answer.unwrap_or(Err(WriteError::Unavailable)),
            Err(_) if self.claim.give_up() => return Err(WriteError::Unavailable),
            Err(_) => {}
        }
        // It runs, so its worker answers in time. A worker that was stopped drops the sender:
        // then nobody knows whether it was done.
        self.answer.await.unwrap_or(Err(WriteError::Unavailable))
    }
}

impl Job {
    pub(in crate::persistence) fn new<W: Write>(
        write: W,
        permit: OwnedSemaphorePermit,
    ) -> (Self, Ticket<W::Output>) {
        let (answer, receiver) = oneshot::channel();
        let claim = Arc::new(Claim::default());
        let queued_at = Instant::now();
        let job = Self {
            name: type_name::<W>(),
            erased: Box::new(Typed { write, answer }),
            claim: Arc::clone(&claim),
            queued_at,
            _permit: permit,
        };
        (job, Ticket { answer: receiver, claim, start_by: queued_at + START_LIMIT })
    }

    /// The command's type name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Runs it, unless its caller gave up. `None`: it was not run.
    pub(super) async fn run(self, pool: &PgPool) -> Option<Result<(), WriteError>> {
        if !self.claim.take(STARTED) {
            return None;
        }
        Some(self.erased.run(pool, self.queued_at + START_LIMIT).await)
    }
}
