//! The loops behind the three lanes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::RngExt as _;
use tokio::time::Instant;

use super::{Shared, late_sql, status};

/// First wait after a failed attempt; it doubles up to the last.
const FIRST_RETRY: Duration = Duration::from_millis(100);
/// Longest wait between attempts: how long after the database is back the backlog may rest.
const LAST_RETRY: Duration = Duration::from_secs(2);
/// Longest attempt at one batch.
const BATCH_LIMIT: Duration = Duration::from_secs(10);

/// Waits between attempts.
struct Backoff(Duration);

impl Backoff {
    const fn new() -> Self {
        Self(FIRST_RETRY)
    }

    /// Sleeps half to all of the present wait: several servers must not knock in step. When
    /// draining there is no time to lose.
    async fn pause(&mut self, draining: bool) {
        let wait = if draining { FIRST_RETRY } else { self.0 };
        let part: f64 = rand::rng().random_range(0.5..=1.0);
        tokio::time::sleep(wait.mul_f64(part)).await;
        self.0 = (self.0 * 2).min(LAST_RETRY);
    }
}

/// Takes one durable job after the other.
pub(super) async fn durable(shared: Arc<Shared>) {
    loop {
        let next = shared.durable.lock().pop_front();
        let Some(job) = next else {
            shared.durable_ready.notified().await;
            continue;
        };
        let name = job.name();
        let began = Instant::now();
        if let Some(result) = job.run(&shared.pool).await {
            shared.counters.timed_write(began.elapsed());
            shared.note(result.as_ref().copied());
            let counter = match &result {
                Ok(()) => &shared.counters.durable_done,
                Err(error) => {
                    tracing::debug!(write = name, %error, "a write was not done");
                    &shared.counters.durable_failed
                }
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }
        shared.progress.notify_waiters();
    }
}

/// Gathers late items and writes them.
pub(super) async fn late(shared: Arc<Shared>) {
    loop {
        wait_until_due(&shared).await;
        let batch = shared.late.lock().take();
        let mut backoff = Backoff::new();
        let (refused, took) = loop {
            let began = Instant::now();
            let attempt = tokio::time::timeout(BATCH_LIMIT, late_sql::write(&shared.pool, &batch)).await;
            let error = match attempt {
                Ok(Ok(())) => break (0, began.elapsed()),
                Ok(Err(error)) => error,
                Err(_) => crate::persistence::WriteError::Unavailable,
            };
            shared.note(Err(&error));
            if !error.is_transient()
                && let Ok(refused) = late_sql::write_salvaging(&shared.pool, &batch).await
            {
                break (refused, began.elapsed());
            }
            shared.progress.notify_waiters();
            backoff.pause(shared.draining.load(Ordering::Acquire)).await;
        };
        shared.counters.timed_batch(batch.len(), took);
        shared.note(Ok(()));
        shared.late.lock().landed();
        shared.counters.late_refused.fetch_add(refused, Ordering::Relaxed);
        let written = (batch.len() as u64).saturating_sub(refused);
        shared.counters.late_written.fetch_add(written, Ordering::Relaxed);
        shared.progress.notify_waiters();
    }
}

async fn wait_until_due(shared: &Shared) {
    loop {
        let due = shared.late.lock().due(shared.draining.load(Ordering::Acquire));
        match due {
            None => shared.late_ready.notified().await,
            Some(due) if due <= Instant::now() => return,
            Some(due) => {
                tokio::select! {
                    () = shared.late_ready.notified() => {}
                    () = tokio::time::sleep_until(due) => {}
                }
            }
        }
    }
}

/// Writes observed statuses as soon as there are any.
pub(super) async fn statuses(shared: Arc<Shared>) {
    let mut backoff = Backoff::new();
    loop {
        let batch = shared.status.lock().batch();
        if batch.is_empty() {
            shared.status_ready.notified().await;
            continue;
        }
        let attempt = tokio::time::timeout(BATCH_LIMIT, status::write(&shared.pool, &batch)).await;
        match attempt.unwrap_or(Err(crate::persistence::WriteError::Unavailable)) {
            Ok(()) => {
                shared.note(Ok(()));
                shared.status.lock().landed(&batch);
                backoff = Backoff::new();
            }
            Err(error) => {
                shared.note(Err(&error));
                if !error.is_transient() {
                    tracing::error!(%error, "observed statuses were refused, trying again");
                }
                backoff.pause(shared.draining.load(Ordering::Acquire)).await;
            }
        }
        shared.progress.notify_waiters();
    }
}
