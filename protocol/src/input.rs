//! Input is one sequence of bytes per stream, and each byte is taken once.

use std::ops::Range;

/// How far a stream of input has been taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InputCursor(u64);

/// A frame that starts beyond the next byte expected: bytes are missing before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the input starts at {offset}, but the next byte expected is {expected}")]
pub struct InputGap {
    /// Where the frame starts.
    pub offset: u64,
    /// The next byte that the stream expects.
    pub expected: u64,
}

impl InputCursor {
    /// A stream of which all bytes before `offset` were taken.
    #[must_use]
    pub const fn at(offset: u64) -> Self {
        Self(offset)
    }

    /// The offset of the next byte expected.
    #[must_use]
    pub const fn expected(self) -> u64 {
        self.0
    }

    /// Which of the `len` bytes that start at `offset` are new. Taking them is a second step
    /// ([`InputCursor::advance`]), so that a taker with little room can take a part.
    ///
    /// # Errors
    /// When bytes are missing before `offset`.
    pub fn fresh(self, offset: u64, len: usize) -> Result<Range<usize>, InputGap> {
        if offset > self.0 {
            return Err(InputGap { offset, expected: self.0 });
        }
        let known = usize::try_from(self.0 - offset).unwrap_or(usize::MAX).min(len);
        Ok(known..len)
    }

    /// Notes that `n` more bytes were taken.
    pub fn advance(&mut self, n: usize) {
        self.0 = self.0.saturating_add(n as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_gap_is_an_error_and_a_repeat_is_not() {
        let cursor = InputCursor::at(5);
        assert_eq!(cursor.fresh(6, 1), Err(InputGap { offset: 6, expected: 5 }));
        assert_eq!(cursor.fresh(5, 2), Ok(0..2));
        assert_eq!(cursor.fresh(3, 4), Ok(2..4));
        assert_eq!(cursor.fresh(0, 2), Ok(2..2));
    }

    proptest! {
        /// Frames cut anywhere and sent again from any earlier point: each byte is taken once.
        #[test]
        fn every_byte_once(typed in prop::collection::vec(any::<u8>(), 0..200),
                           resends in prop::collection::vec((any::<prop::sample::Index>(), 1usize..50), 0..60)) {
            let mut cursor = InputCursor::default();
            let mut taken = Vec::new();
            let whole = [(None, usize::MAX)];
            for (back, len) in resends.iter().map(|(back, len)| (Some(back), *len)).chain(whole) {
                let from = back.map_or(0, |back| back.index(taken.len() + 1));
                let frame = &typed[from..from.saturating_add(len).min(typed.len())];
                let fresh = cursor.fresh(from as u64, frame.len()).unwrap();
                cursor.advance(fresh.len());
                taken.extend_from_slice(&frame[fresh]);
            }
            prop_assert_eq!(taken, typed);
        }
    }
}
