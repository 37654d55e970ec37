//! Random schedules that can be repeated.

/// A small generator (xorshift64*); the same seed gives the same schedule.
pub struct Random(u64);

impl Random {
    /// From `TEST_SEED` if it is set, else a fresh seed. Printed, so that a failure names it.
    pub fn printed(test: &str) -> Self {
        let seed = std::env::var("TEST_SEED").ok().and_then(|text| text.parse().ok());
        let seed = seed.unwrap_or_else(|| u64::from(std::process::id()) ^ clock()) | 1;
        println!("{test}: TEST_SEED={seed}");
        Self(seed)
    }

    /// The next number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % limit
    }

    /// A number in `from..to`.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from)
    }
}

fn clock() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap().as_nanos() as u64
}
