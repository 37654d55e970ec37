//! The bounded ring with absolute offsets: the one algorithm of every hop.
//!
//! A producer appends. A reader has a cursor, which is an absolute offset, and pulls from it
//! when it likes. A reader whose cursor fell off the ring is told so and must be given a
//! snapshot. The ring knows nothing of its readers, so a slow one costs nothing.

use std::collections::VecDeque;

/// What a ring allocates first, in bytes.
const INITIAL_CAPACITY: usize = 4 * 1024;

/// The last bytes of a stream, found by their offset in it.
///
/// Memory: grows by doubling from 4 KiB to the limit given at the start, and never above it.
#[derive(Debug)]
pub struct Ring {
    bytes: VecDeque<u8>,
    /// The offset of the first byte held.
    start: u64,
    limit: usize,
}

/// Why bytes from an offset can't be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutOfRange {
    /// The offset was held once and is gone; the oldest one that is held comes with it.
    #[error("the bytes before {oldest} are no longer held")]
    Evicted {
        /// The oldest offset that is held.
        oldest: u64,
    },
    /// The stream has not come that far yet.
    #[error("the stream ends at {end}")]
    Ahead {
        /// The offset of the next byte to come.
        end: u64,
    },
}

impl Ring {
    /// An empty ring that holds at most `limit` bytes of a stream that begins at 0.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self::starting_at(0, limit)
    }

    /// An empty ring that holds at most `limit` bytes, the first of which will be at `offset`.
    #[must_use]
    pub fn starting_at(offset: u64, limit: usize) -> Self {
        Self { bytes: VecDeque::new(), start: offset, limit: limit.max(1) }
    }

    /// The offset of the oldest byte held; equal to [`Ring::end`] when none is.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The offset of the next byte to come.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// The number of bytes held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The most bytes that will ever be held.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Adds the next bytes of the stream; the oldest make room for them.
    pub fn append(&mut self, data: &[u8]) {
        let skipped = data.len().saturating_sub(self.limit);
        let kept = &data[skipped..];
        let evicted = (self.bytes.len() + kept.len()).saturating_sub(self.limit);
        self.bytes.drain(..evicted);
        self.start += (evicted + skipped) as u64;
        if skipped > 0 {
            // All of the old bytes went with `evicted`; the skipped ones were never held.
            debug_assert!(self.bytes.is_empty());
        }
        self.grow_for(kept.len());
        self.bytes.extend(kept);
    }

    /// Forgets all bytes and goes on at `offset`: the stream has a gap before it.
    pub fn restart_at(&mut self, offset: u64) {
        self.bytes.clear();
        self.start = offset;
    }

    /// Forgets the bytes before `offset` (those that a reader has acknowledged).
    pub fn release_before(&mut self, offset: u64) {
        let gone = offset.clamp(self.start, self.end()) - self.start;
        // At most `len`, which is a usize.
        self.bytes.drain(..gone as usize);
        self.start += gone;
        if self.bytes.is_empty() && self.bytes.capacity() > INITIAL_CAPACITY {
            self.bytes = VecDeque::new();
        }
    }

    /// Where `offset` lies: `Ok` when a reader may go on from it (also at the very end).
    ///
    /// # Errors
    /// When the bytes from `offset` on are no longer held or not yet known.
    pub fn check(&self, offset: u64) -> Result<(), OutOfRange> {
        if offset < self.start {
            Err(OutOfRange::Evicted { oldest: self.start })
        } else if offset > self.end() {
            Err(OutOfRange::Ahead { end: self.end() })
        } else {
            Ok(())
        }
    }

    /// Copies at most `max` bytes from `offset` on to the end of `out`; returns how many.
    /// Nothing is copied when `offset` is the end.
    ///
    /// # Errors
    /// As [`Ring::check`].
    pub fn read(&self, offset: u64, max: usize, out: &mut Vec<u8>) -> Result<usize, OutOfRange> {
        self.check(offset)?;
        // `check` made sure that the difference is at most `len`.
        let skip = (offset - self.start) as usize;
        let (front, back) = self.bytes.as_slices();
        let first = &front[skip.min(front.len())..];
        let second = &back[skip.saturating_sub(front.len())..];
        let from_first = first.len().min(max);
        let from_second = second.len().min(max - from_first);
        out.reserve(from_first + from_second);
        out.extend_from_slice(&first[..from_first]);
        out.extend_from_slice(&second[..from_second]);
        Ok(from_first + from_second)
    }

    /// Doubling by hand: `VecDeque` may round up above the limit otherwise.
    fn grow_for(&mut self, more: usize) {
        let needed = self.bytes.len() + more;
        if needed > self.bytes.capacity() {
            let doubled = needed.next_power_of_two().max(INITIAL_CAPACITY).min(self.limit);
            self.bytes.reserve_exact(doubled.max(needed) - self.bytes.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(ring: &Ring, from: u64) -> Result<Vec<u8>, OutOfRange> {
        let mut out = Vec::new();
        ring.read(from, usize::MAX, &mut out).map(|_| out)
    }

    #[test]
    fn says_which_bytes_are_gone_and_which_are_not_there_yet() {
        let mut ring = Ring::starting_at(10, 4);
        ring.append(b"abcdef");
        assert_eq!((ring.start(), ring.end()), (12, 16));
        assert_eq!(all(&ring, 11), Err(OutOfRange::Evicted { oldest: 12 }));
        assert_eq!(all(&ring, 12), Ok(b"cdef".to_vec()));
        assert_eq!(all(&ring, 16), Ok(Vec::new()));
        assert_eq!(all(&ring, 17), Err(OutOfRange::Ahead { end: 16 }));
    }

    #[test]
    fn a_restart_leaves_a_gap_that_readers_see() {
        let mut ring = Ring::new(8);
        ring.append(b"abc");
        ring.restart_at(100);
        assert_eq!(all(&ring, 3), Err(OutOfRange::Evicted { oldest: 100 }));
        ring.append(b"x");
        assert_eq!(all(&ring, 100), Ok(b"x".to_vec()));
    }

    #[test]
    fn memory_starts_small_and_never_passes_the_limit() {
        let mut ring = Ring::new(256 * 1024);
        ring.append(b"prompt$ ");
        assert!(ring.bytes.capacity() <= INITIAL_CAPACITY);
        for _ in 0..100 {
            ring.append(&[b'y'; 10_000]);
            assert!(ring.bytes.capacity() <= 256 * 1024);
        }
        ring.release_before(u64::MAX);
        assert_eq!(ring.bytes.capacity(), 0);
    }

    proptest! {
        /// Whatever is appended in whatever pieces: a read from any offset gives exactly the
        /// stream's own bytes from there on, or says that they are gone.
        #[test]
        fn reads_what_the_stream_held(
            limit in 1usize..200,
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 0..40),
            max in 1usize..300,
            released in 0u64..500,
        ) {
            let mut ring = Ring::new(limit);
            let mut stream = Vec::new();
            for piece in &pieces {
                ring.append(piece);
                stream.extend_from_slice(piece);
                prop_assert_eq!(ring.end(), stream.len() as u64);
                prop_assert_eq!(ring.len(), stream.len().min(limit));
                for offset in 0..=stream.len() {
                    let mut out = Vec::new();
                    match ring.read(offset as u64, max, &mut out) {
                        Ok(n) => {
                            prop_assert_eq!(n, out.len());
                            let end = (offset + max).min(stream.len());
                            prop_assert_eq!(&out[..], &stream[offset..end]);
                        }
                        Err(OutOfRange::Evicted { oldest }) => prop_assert!((offset as u64) < oldest),
                        Err(OutOfRange::Ahead { .. }) => prop_assert!(false, "not ahead"),
                    }
                }
            }
            let end = ring.end();
            ring.release_before(released);
            prop_assert_eq!(ring.end(), end);
            prop_assert!(ring.start() >= released.min(end));
        }
    }
}
