//! Recovering: how often an environment that failed may be made anew.

use std::time::Duration;

use sqlx::{FromRow, PgTransaction};

use super::changes::GONE;
use crate::persistence::engine::Write;
use crate::persistence::error::WriteError;
use crate::persistence::words::EnvironmentStatus;

/// The most recoveries of an environment until it runs again, or for a day.
pub const MAX_RECOVERIES: u32 = 5;

/// The shortest time between two.
pub const RECOVERY_PAUSE: Duration = Duration::from_mins(5);

/// Counts an attempt to recover, if there may be one.
#[derive(Debug, Clone)]
pub struct RecordRecovery {
    /// Which.
    pub id: String,
}

/// Whether an environment may be recovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// Yes, and it was counted.
    Begun {
        /// Which one this is, from 1.
        attempt: u32,
    },
    /// It has not failed, and is not on its way up.
    NotNeeded(EnvironmentStatus),
    /// The last one was a moment ago.
    TooSoon {
        /// How long to wait.
        wait: Duration,
    },
    /// It was tried as often as may be.
    Exhausted,
}

#[derive(FromRow)]
struct Tried {
    status: EnvironmentStatus,
    attempts: i32,
    seconds_ago: Option<f64>,
}

impl Write for RecordRecovery {
    type Output = Recovery;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<Recovery, WriteError> {
        // Locked: of several at once one is the first.
        let tried: Tried = sqlx::query_as(
            "SELECT status,
                    CASE WHEN ready_at > last_recovery_at OR last_recovery_at < now() - interval '1 day'
                         THEN 0 ELSE recovery_attempts END AS attempts,
                    extract(epoch FROM now() - last_recovery_at)::float8 AS seconds_ago
             FROM environments WHERE id = $1 AND status <> 'TERMINATED' FOR NO KEY UPDATE",
        )
        .bind(&self.id)
        .fetch_optional(&mut **tx)
        .await?
        .ok_or(GONE)?;
        use EnvironmentStatus as S;
        if !matches!(tried.status, S::Error | S::Creating | S::Provisioning | S::Installing | S::Configuring)
        {
            return Ok(Recovery::NotNeeded(tried.status));
        }
        let attempts = u32::try_from(tried.attempts).unwrap_or(0);
        let ago = tried.seconds_ago.map(|seconds| Duration::from_secs_f64(seconds.max(0.0)));
        if let Some(ago) = ago.filter(|ago| attempts > 0 && *ago < RECOVERY_PAUSE) {
            return Ok(Recovery::TooSoon { wait: RECOVERY_PAUSE.saturating_sub(ago) });
        }
        if attempts >= MAX_RECOVERIES {
            return Ok(Recovery::Exhausted);
        }
        sqlx::query("UPDATE environments SET recovery_attempts = $2, last_recovery_at = now() WHERE id = $1")
            .bind(self.id)
            .bind(tried.attempts + 1)
            .execute(&mut **tx)
            .await?;
        Ok(Recovery::Begun { attempt: attempts + 1 })
    }
}
