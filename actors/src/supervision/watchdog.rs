//! Finds actors whose handler does not return: dead is not the only fault.
//!
//! A handler is a plain function, so one that hangs can't be cancelled from outside. It is
//! shown as `stuck`, logged, and makes the process report itself as not alive
//! (`/health/live`): whoever runs the server restarts it, and no session is lost by that.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::journal::What;
use super::registry::Registry;
use super::task::TaskGuard;

/// How long a handler may take. They take microseconds.
pub const LIMIT: Duration = Duration::from_secs(10);

const PERIOD: Duration = Duration::from_secs(2);

/// Starts the watchdog; it ends with the guard.
pub fn watch(registry: Arc<Registry>) -> TaskGuard {
    TaskGuard::spawn(async move {
        let mut known = HashSet::new();
        let mut ticks = tokio::time::interval(PERIOD);
        loop {
            ticks.tick().await;
            let stuck: HashSet<_> = registry.stuck(LIMIT).into_iter().collect();
            for actor in stuck.difference(&known) {
                tracing::error!(%actor, limit = ?LIMIT, "a handler does not return");
                registry.note(actor, What::Stuck);
            }
            for actor in known.difference(&stuck) {
                registry.note(actor, What::Returned);
            }
            known = stuck;
        }
    })
}
