//! When to send PING, and when a connection counts as dead.

use std::time::{Duration, Instant};

/// How long a PONG may take.
pub const PONG_LIMIT: Duration = Duration::from_secs(3);

/// The heartbeat of one connection. Time comes from outside.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    every: Duration,
    next: Instant,
    number: u64,
    /// The PING that waits for its PONG, and until when.
    waiting: Option<(u64, Instant)>,
}

/// What the heartbeat asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// Send PING with this number.
    Ping(u64),
    /// No PONG came in time: open a new socket.
    Dead,
    /// Nothing before this instant.
    Wait(Instant),
}

impl Heartbeat {
    /// A heartbeat of a connection that was opened `now`.
    #[must_use]
    pub fn starting(now: Instant, every: Duration) -> Self {
        Self { every, next: now + every, number: 0, waiting: None }
    }

    /// What to do `now`.
    pub fn poll(&mut self, now: Instant) -> Beat {
        match self.waiting {
            Some((_, until)) if now >= until => Beat::Dead,
            Some((_, until)) => Beat::Wait(until),
            None if now >= self.next => {
                self.number += 1;
                self.waiting = Some((self.number, now + PONG_LIMIT));
                self.next = now + self.every;
                Beat::Ping(self.number)
            }
            None => Beat::Wait(self.next),
        }
    }

    /// PING at the next poll: the program came to the foreground, or the network changed.
    pub fn hurry(&mut self, now: Instant) {
        self.next = now;
    }

    /// A PONG came.
    pub fn pong(&mut self, number: u64) {
        if self.waiting.is_some_and(|(waiting, _)| waiting == number) {
            self.waiting = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_each_interval_and_dead_without_its_pong() {
        let start = Instant::now();
        let at = |s: u64| start + Duration::from_secs(s);
        let mut beat = Heartbeat::starting(start, Duration::from_secs(20));
        assert_eq!(beat.poll(at(1)), Beat::Wait(at(20)));
        assert_eq!(beat.poll(at(20)), Beat::Ping(1));
        assert_eq!(beat.poll(at(20)), Beat::Wait(at(23)));
        beat.pong(1);
        beat.hurry(at(25));
        assert_eq!(beat.poll(at(25)), Beat::Ping(2));
        beat.pong(1);
        assert_eq!(beat.poll(at(28)), Beat::Dead);
    }
}
