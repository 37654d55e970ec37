//! Takes away what nobody needs any more.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::persistence::Persistence;
use crate::persistence::records::SWEEP_ROWS;
use crate::persistence::tokens::SweepTokens;
use crate::supervision::TaskGuard;

/// How often.
const EVERY: Duration = Duration::from_hours(1);

/// How long tokens and proofs stay after their end: a spent one that comes back is noticed.
const KEEP: Duration = Duration::from_hours(30 * 24);

/// Does so until it is dropped. Several servers may do it at once.
pub(super) fn start(persistence: Persistence) -> TaskGuard {
    TaskGuard::spawn(async move {
        let mut due = interval(EVERY);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            due.tick().await;
            // Piece by piece, so that nobody waits for it.
            loop {
                match persistence.write(SweepTokens { keep: KEEP }).await {
                    Ok(gone) if gone >= SWEEP_ROWS.unsigned_abs() => {}
                    Ok(_) => break,
                    Err(error) => {
                        tracing::debug!(%error, "old tokens are taken away later");
                        break;
                    }
                }
            }
        }
    })
}
