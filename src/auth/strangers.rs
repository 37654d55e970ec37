//! Locks for accounts that do not exist: guessing at one must look like guessing at any other,
//! or the answer "locked" would tell who is here.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Instant;

use parking_lot::Mutex;

use crate::config::Passwords;

/// Names told apart. More of them share a count, in a way that depends on a secret of the
/// process.
const BUCKETS: u64 = 1 << 16;

#[derive(Default)]
pub(super) struct Strangers {
    hasher: RandomState,
    misses: Mutex<HashMap<u64, Miss>>,
}

#[derive(Default)]
struct Miss {
    attempts: u32,
    locked_until: Option<Instant>,
}

impl Strangers {
    /// Counts a sign-in under a name nobody has. True: it is to be answered as locked.
    pub(super) fn miss(&self, name: &str, rules: &Passwords, now: Instant) -> bool {
        let bucket = self.hasher.hash_one(name.to_lowercase()) % BUCKETS;
        let mut misses = self.misses.lock();
        let miss = misses.entry(bucket).or_default();
        match miss.locked_until {
            Some(until) if until > now => return true,
            Some(_) => *miss = Miss::default(),
            None => {}
        }
        miss.attempts += 1;
        if miss.attempts >= rules.lockout_attempts {
            miss.locked_until = Some(now + rules.lockout_for);
        }
        miss.locked_until.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn they_lock_and_open_like_accounts() {
        let rules = Passwords { bcrypt_cost: 4, lockout_attempts: 3, lockout_for: Duration::from_secs(60) };
        let strangers = Strangers::default();
        let now = Instant::now();
        let answers: Vec<_> = (0..4).map(|_| strangers.miss("Bob", &rules, now)).collect();
        assert_eq!(answers, [false, false, true, true]);
        assert!(!strangers.miss("bob", &rules, now + Duration::from_secs(61)));
    }
}
