//! When a failed child is started again.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::journal::Failures;

/// Restart with exponential back-off and jitter, at most so many times in a window; a child
/// that fails more often than that is given up ("escalated") until somebody asks for it again
/// after the window has passed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RestartPolicy {
    /// The pause before the first restart in a window; each further one doubles it.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// How far a pause is spread, as a fraction of it: 0.2 means ±20 %, so that children that
    /// failed together do not come back together.
    pub jitter: f64,
    /// How many restarts are tried within `window`.
    pub max_restarts: usize,
    /// The length of the window; failures older than that are forgotten.
    pub window: Duration,
}

impl RestartPolicy {
    /// The policy of every supervisor that has no reason for another: up to 5 restarts in 30 s,
    /// after 10 ms, 20 ms … (OTP's default is 1 in 5 s; a terminal in use deserves more).
    pub const DEFAULT: Self = Self {
        first_pause: Duration::from_millis(10),
        longest_pause: Duration::from_secs(10),
        jitter: 0.2,
        max_restarts: 5,
        window: Duration::from_secs(30),
    };
}

/// The failures of one child.
#[derive(Debug, Default)]
pub struct History {
    failures: VecDeque<Instant>,
}

/// What to do with a child that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Start it again after this pause.
    Restart(Duration),
    /// It failed too often; don't.
    GiveUp,
}

impl History {
    /// Notes a failure at `now` and judges. `spread` is a random number in 0..1.
    pub fn failed(&mut self, policy: &RestartPolicy, now: Instant, spread: f64) -> Verdict {
        self.forget_old(policy, now);
        self.failures.push_back(now);
        if self.failures.len() > policy.max_restarts {
            return Verdict::GiveUp;
        }
        let doublings = u32::try_from(self.failures.len() - 1).unwrap_or(u32::MAX).min(20);
        let pause = (policy.first_pause * 2u32.pow(doublings)).min(policy.longest_pause);
        Verdict::Restart(pause.mul_f64(1.0 + policy.jitter * (2.0 * spread - 1.0)))
    }

    /// Whether a child that was given up may be tried again at `now`.
    pub fn is_calm(&mut self, policy: &RestartPolicy, now: Instant) -> bool {
        self.forget_old(policy, now);
        self.failures.len() <= policy.max_restarts
    }

    /// How much of the policy's patience is used.
    #[must_use]
    pub fn failures(&self, policy: &RestartPolicy) -> Failures {
        Failures { count: self.failures.len(), allowed: policy.max_restarts, window: policy.window }
    }

    /// Forgets all failures.
    pub fn forgive(&mut self) {
        self.failures.clear();
    }

    fn forget_old(&mut self, policy: &RestartPolicy, now: Instant) {
        while self.failures.front().is_some_and(|at| now.duration_since(*at) >= policy.window) {
            self.failures.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RestartPolicy = RestartPolicy { jitter: 0.0, ..RestartPolicy::DEFAULT };

    #[test]
    fn pauses_double_until_the_child_is_given_up_and_calm_forgives() {
        let start = Instant::now();
        let mut history = History::default();
        let pauses: Vec<_> = (0..6).map(|_| history.failed(&POLICY, start, 0.5)).collect();
        let expected = [10, 20, 40, 80, 160].map(|ms| Verdict::Restart(Duration::from_millis(ms)));
        assert_eq!(pauses[..5], expected);
        assert_eq!(pauses[5], Verdict::GiveUp);
        assert!(!history.is_calm(&POLICY, start + POLICY.window / 2));
        let later = start + POLICY.window;
        assert!(history.is_calm(&POLICY, later));
        assert_eq!(history.failed(&POLICY, later, 0.5), Verdict::Restart(POLICY.first_pause));
    }

    #[test]
    fn jitter_spreads_both_ways_and_the_pause_is_bounded() {
        let policy = RestartPolicy { max_restarts: 100, ..RestartPolicy::DEFAULT };
        let now = Instant::now();
        let mut history = History::default();
        assert_eq!(history.failed(&policy, now, 0.0), Verdict::Restart(Duration::from_millis(8)));
        assert_eq!(history.failed(&policy, now, 1.0), Verdict::Restart(Duration::from_millis(24)));
        let last = (0..50).map(|_| history.failed(&policy, now, 0.5)).last();
        assert_eq!(last, Some(Verdict::Restart(policy.longest_pause)));
    }
}
