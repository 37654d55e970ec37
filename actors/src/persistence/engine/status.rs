//! Observed statuses: only the latest of each environment counts, and it is retried until
//! it has landed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};

use sqlx::PgPool;

use crate::persistence::error::WriteError;
use crate::persistence::words::EnvironmentStatus;

/// Statuses written in one statement.
pub(super) const STATUS_BATCH: usize = 256;

static LAST_SEQUENCE: AtomicI64 = AtomicI64::new(0);

/// The next number in the order of observations.
///
/// Microseconds since 1970, but never twice the same and never backwards within a process:
/// it also grows across a restart, as nobody restarts a server within a microsecond.
#[must_use]
pub fn next_sequence() -> i64 {
    let now = chrono::Utc::now().timestamp_micros();
    let mut last = LAST_SEQUENCE.load(Ordering::Relaxed);
    loop {
        let next = now.max(last + 1);
        match LAST_SEQUENCE.compare_exchange_weak(last, next, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => return next,
            Err(seen) => last = seen,
        }
    }
}

/// What was seen of an environment, and its place in the order of observations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedStatus {
    /// Whose.
    pub environment_id: String,
    /// What was seen.
    pub status: EnvironmentStatus,
    /// Why, in words a person can act on.
    pub reason: Option<String>,
    /// See [`next_sequence`].
    pub sequence: i64,
}

impl ObservedStatus {
    /// An observation made now.
    #[must_use]
    pub fn now(environment_id: String, status: EnvironmentStatus, reason: Option<String>) -> Self {
        // Postgres text holds no NUL; one in a container's last words must not wedge the lane.
        let reason = reason.map(|text| text.replace('\0', ""));
        Self { environment_id, status, reason, sequence: next_sequence() }
    }
}

/// The latest observation of each environment that has not landed yet. Bounded by the number
/// of environments.
#[derive(Debug, Default)]
pub(super) struct StatusQueue(HashMap<String, ObservedStatus>);

impl StatusQueue {
    pub(super) fn push(&mut self, observed: ObservedStatus) {
        match self.0.get_mut(&observed.environment_id) {
            Some(waiting) if waiting.sequence >= observed.sequence => {}
            Some(waiting) => *waiting = observed,
            None => {
                self.0.insert(observed.environment_id.clone(), observed);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Copies: an entry stays until it has landed, whatever happens to the worker.
    pub(super) fn batch(&self) -> Vec<ObservedStatus> {
        self.0.values().take(STATUS_BATCH).cloned().collect()
    }

    /// Forgets what has landed, but not what replaced it meanwhile.
    pub(super) fn landed(&mut self, batch: &[ObservedStatus]) {
        for done in batch {
            if self.0.get(&done.environment_id).is_some_and(|now| now.sequence == done.sequence) {
                self.0.remove(&done.environment_id);
            }
        }
    }
}

/// Writes them in one statement, rows locked by id. `ready_at` moves when an environment
/// becomes usable, `updated_at` when something a person sees has changed.
pub(super) async fn write(pool: &PgPool, batch: &[ObservedStatus]) -> Result<(), WriteError> {
    let ids: Vec<&str> = batch.iter().map(|o| o.environment_id.as_str()).collect();
    let statuses: Vec<&str> = batch.iter().map(|o| o.status.as_str()).collect();
    let reasons: Vec<Option<&str>> = batch.iter().map(|o| o.reason.as_deref()).collect();
    let sequences: Vec<i64> = batch.iter().map(|o| o.sequence).collect();
    sqlx::query(
        "UPDATE environments e
         SET status = i.status,
             status_reason = i.reason,
             status_sequence = i.sequence,
             installation_completed = e.installation_completed OR i.status = 'RUNNING',
             ready_at = CASE WHEN i.status = 'RUNNING' AND e.status <> 'RUNNING'
                             THEN now() ELSE e.ready_at END,
             updated_at = CASE WHEN (e.status, e.status_reason) IS DISTINCT FROM (i.status, i.reason)
                               THEN now() ELSE e.updated_at END
         FROM (SELECT e.id, n.status, n.reason, n.sequence
               FROM UNNEST($1::text[], $2::text[], $3::text[], $4::bigint[])
                    AS n (id, status, reason, sequence)
               JOIN environments e ON e.id = n.id
               ORDER BY e.id FOR NO KEY UPDATE OF e) i
         WHERE e.id = i.id AND e.status_sequence < i.sequence AND e.status <> 'TERMINATED'",
    )
    .bind(ids)
    .bind(statuses)
    .bind(reasons)
    .bind(sequences)
    .execute(pool)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_only_grow() {
        let taken: Vec<i64> = (0..1000).map(|_| next_sequence()).collect();
        assert!(taken.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn only_the_latest_waits_and_landing_keeps_what_is_newer() {
        let mut queue = StatusQueue::default();
        let first = ObservedStatus::now("e".into(), EnvironmentStatus::Running, None);
        let second = ObservedStatus::now("e".into(), EnvironmentStatus::Stopping, None);
        queue.push(first.clone());
        let sent = queue.batch();
        queue.push(second.clone());
        queue.push(first);
        queue.landed(&sent);
        assert_eq!(queue.batch(), vec![second.clone()]);
        queue.landed(&[second]);
        assert_eq!(queue.len(), 0);
    }
}
