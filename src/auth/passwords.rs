//! Hashing passwords: slow on purpose, so off the async threads and a few at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use devpocket_actors::persistence::Hidden;
use tokio::sync::Semaphore;

/// Hashes that run or wait at a time, per core. More callers are told to come again: a queue
/// of quarter seconds would only make everybody time out.
const WAITING_PER_CORE: usize = 32;

/// Hashing has no room or failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many sign-ins at a time")]
pub struct Busy;

/// Hashes and checks passwords.
pub struct Hasher {
    cost: u32,
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// Checked against when there is no such account, so that this takes as long.
    dummy: tokio::sync::OnceCell<Hidden>,
    rounds: Arc<AtomicU64>,
}

impl Hasher {
    /// With that bcrypt cost.
    #[must_use]
    pub fn new(cost: u32) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self {
            cost,
            running: Arc::new(Semaphore::new(cores)),
            waiting: Arc::new(Semaphore::new(cores * WAITING_PER_CORE)),
            dummy: tokio::sync::OnceCell::new(),
            rounds: Arc::default(),
        }
    }

    /// Hashes a password.
    ///
    /// # Errors
    /// `Busy` when too many wait.
    pub async fn hash(&self, password: &str) -> Result<Hidden, Busy> {
        let (password, cost) = (Hidden::new(password.to_owned()), self.cost);
        self.run(move || bcrypt::hash(password.expose(), cost).ok()).await?.map(Hidden::new).ok_or(Busy)
    }

    /// Whether it is the password of that hash. Without a hash it takes as long and is not.
    ///
    /// # Errors
    /// `Busy` when too many wait.
    pub async fn verify(&self, password: &str, hash: Option<&Hidden>) -> Result<bool, Busy> {
        let known = hash.is_some();
        let hash = match hash {
            Some(hash) => hash.clone(),
            None => self.dummy.get_or_try_init(|| self.hash("no such account")).await?.clone(),
        };
        let password = Hidden::new(password.to_owned());
        let rounds = Arc::clone(&self.rounds);
        let compare = move || {
            // An unreadable hash is nobody's password, and no work either.
            let cost = hash.expose().parse::<bcrypt::HashParts>().map(|parts| parts.get_cost());
            let matches = bcrypt::verify(password.expose(), hash.expose());
            if let (Ok(cost), true) = (cost, matches.is_ok()) {
                rounds.fetch_add(1_u64.checked_shl(cost).unwrap_or(0), Ordering::Relaxed);
            }
            matches.unwrap_or(false)
        };
        Ok(self.run(compare).await? && known)
    }

    /// The rounds of bcrypt that checking passwords has taken since the start: what their time is
    /// made of.
    #[must_use]
    pub fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let _place = self.waiting.try_acquire().map_err(|_| Busy)?;
        let turn = Arc::clone(&self.running).acquire_owned().await.map_err(|_| Busy)?;
        // The turn goes along: a caller that goes away must not let in one more.
        tokio::task::spawn_blocking(move || {
            let result = work();
            drop(turn);
            result
        })
        .await
        .map_err(|_| Busy)
    }

    /// Makes the dummy hash, so that the first sign-in is not told by its time.
    pub async fn warm_up(&self) {
        let _ = self.dummy.get_or_try_init(|| self.hash("no such account")).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hashes_are_checked_and_the_other_flavour_is_read() {
        let hasher = Hasher::new(4);
        let hash = hasher.hash("Correct-horse1").await.unwrap();
        assert_eq!(hasher.verify("Correct-horse1", Some(&hash)).await, Ok(true));
        assert_eq!(hasher.verify("Correct-horse2", Some(&hash)).await, Ok(false));
        assert_eq!(hasher.verify("no such account", None).await, Ok(false));
        let other = Hidden::new(hash.expose().replacen("$2b$", "$2a$", 1));
        assert_eq!(hasher.verify("Correct-horse1", Some(&other)).await, Ok(true));
    }
}
