//! From counters to rates.

use std::collections::HashMap;
use std::time::Duration;

use crate::supervision::{ActorPath, ActorSnapshot};

/// How much goes through all terminal sessions, a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    /// Bytes of input.
    pub bytes_in: u64,
    /// Bytes of output.
    pub bytes_out: u64,
    /// Frames of input: as people type, keys.
    pub keys: u64,
}

/// Remembers the counters of terminal sessions from one look to the next. Bounded by their
/// number.
#[derive(Debug, Default)]
pub struct Meter {
    last: HashMap<ActorPath, [u64; 3]>,
}

impl Meter {
    /// What was counted since the last look, which was `passed` ago. What a session that has
    /// ended meanwhile did in its last moments is not known.
    pub fn read<'a>(&mut self, actors: impl Iterator<Item = &'a ActorSnapshot>, passed: Duration) -> Rates {
        let mut sums = [0u64; 3];
        let mut now = HashMap::with_capacity(self.last.len());
        for actor in actors {
            let Some(gauges) = actor.gauges else { continue };
            let counters = [gauges.bytes_in, gauges.bytes_out, gauges.keys];
            let before = self.last.get(&actor.path).copied().unwrap_or_default();
            for ((sum, counter), before) in sums.iter_mut().zip(counters).zip(before) {
                // Less than before: the actor was restarted and counts anew.
                *sum += counter.checked_sub(before).unwrap_or(counter);
            }
            now.insert(actor.path.clone(), counters);
        }
        self.last = now;
        let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).max(1);
        let [bytes_in, bytes_out, keys] = sums.map(|sum| sum.saturating_mul(1_000) / millis);
        Rates { bytes_in, bytes_out, keys }
    }
}
