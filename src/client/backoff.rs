//! How long to wait before the next attempt.

use std::time::Duration;

/// Waits that double from a first one up to a limit, with jitter so that the clients of a
/// server that comes back do not come all at once.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    limit: Duration,
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(Duration::from_millis(250), Duration::from_secs(15))
    }
}

impl Backoff {
    /// Waits from `first` to `limit`.
    #[must_use]
    pub const fn new(first: Duration, limit: Duration) -> Self {
        Self { first, limit, next: first }
    }

    /// The next wait: between half and the whole of the step. `random` lies in 0 to 1.
    pub fn wait(&mut self, random: f64) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(self.limit);
        self.jitter(step, random)
    }

    /// A short wait that does not count as a failure.
    #[must_use]
    pub fn soon(&self, random: f64) -> Duration {
        self.jitter(self.first, random)
    }

    /// The connection works: the next wait is the first again.
    pub fn reset(&mut self) {
        self.next = self.first;
    }

    fn jitter(&self, step: Duration, random: f64) -> Duration {
        step.mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit_and_begin_anew_after_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<u128> = (0..8).map(|_| backoff.wait(1.0).as_millis()).collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 8000, 15000, 15000]);
        backoff.reset();
        assert_eq!(backoff.wait(0.0), Duration::from_millis(125));
    }
}
