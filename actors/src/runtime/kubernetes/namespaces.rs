//! Which namespaces are known to be in order, and who may touch one now.
//!
//! Making environments in a namespace and removing the namespace exclude each other within
//! this process. Another server's removal is noticed by the cluster's answer, and retried.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use tokio::time::Instant;

use crate::persistence::Plan;

/// How long a namespace is believed to be as it was applied.
const BELIEVED: Duration = Duration::from_secs(600);

/// How many are remembered. Forgetting one costs five requests.
const REMEMBERED: usize = 10_000;

/// What is remembered of namespaces.
#[derive(Debug, Default)]
pub(super) struct Namespaces {
    applied: Mutex<HashMap<String, (Plan, Instant)>>,
    locks: Mutex<HashMap<String, Arc<RwLock<()>>>>,
}

impl Namespaces {
    /// Whether a namespace was applied lately with this plan.
    pub(super) fn is_applied(&self, namespace: &str, plan: Plan) -> bool {
        let applied = self.applied.lock();
        applied.get(namespace).is_some_and(|(with, at)| *with == plan && at.elapsed() < BELIEVED)
    }

    /// A namespace was applied.
    pub(super) fn applied(&self, namespace: &str, plan: Plan) {
        let mut applied = self.applied.lock();
        if applied.len() >= REMEMBERED {
            applied.retain(|_, (_, at)| at.elapsed() < BELIEVED);
            if applied.len() >= REMEMBERED {
                applied.clear();
            }
        }
        applied.insert(namespace.to_owned(), (plan, Instant::now()));
    }

    /// A namespace is gone, or not as it was.
    pub(super) fn forget(&self, namespace: &str) {
        self.applied.lock().remove(namespace);
    }

    /// Held while something is made in a namespace.
    pub(super) async fn use_it(&self, namespace: &str) -> OwnedRwLockReadGuard<()> {
        self.lock(namespace).read_owned().await
    }

    /// Held while a namespace itself is made or removed.
    pub(super) async fn change_it(&self, namespace: &str) -> OwnedRwLockWriteGuard<()> {
        self.lock(namespace).write_owned().await
    }

    fn lock(&self, namespace: &str) -> Arc<RwLock<()>> {
        let mut locks = self.locks.lock();
        if locks.len() >= 64 {
            // Those that nobody holds or waits for.
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        }
        Arc::clone(locks.entry(namespace.to_owned()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_applied_is_believed_for_a_while() {
        let namespaces = Namespaces::default();
        namespaces.applied("a", Plan::Free);
        assert!(namespaces.is_applied("a", Plan::Free));
        assert!(!namespaces.is_applied("a", Plan::Pro), "the plan was changed");
        assert!(!namespaces.is_applied("b", Plan::Free));
        tokio::time::advance(BELIEVED).await;
        assert!(!namespaces.is_applied("a", Plan::Free));
    }

    #[tokio::test]
    async fn memory_is_bounded() {
        let namespaces = Namespaces::default();
        for number in 0..=REMEMBERED {
            namespaces.applied(&number.to_string(), Plan::Free);
        }
        assert!(namespaces.applied.lock().len() <= REMEMBERED);
        for number in 0..1000 {
            drop(namespaces.use_it(&number.to_string()).await);
        }
        assert!(namespaces.locks.lock().len() <= 64);
    }
}
