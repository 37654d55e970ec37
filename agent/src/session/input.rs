//! Input of a session: taken once, held while the program does not read.

use std::collections::{HashMap, VecDeque};

use devpocket_protocol::agent::StreamId;
use devpocket_protocol::input::{InputCursor, InputGap};

/// How many streams are remembered; the one not heard of for longest is forgotten.
const STREAMS: usize = 1024;

/// How many bytes are held for a program that does not read.
pub const PENDING: usize = 64 * 1024;

/// The input streams of a session and the bytes taken but not yet written to the terminal.
///
/// Memory: [`PENDING`] bytes and [`STREAMS`] cursors.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    streams: HashMap<StreamId, (InputCursor, u64)>,
    /// Counts uses, to find the stream not used for longest.
    clock: u64,
    pending: VecDeque<u8>,
}

impl Inputs {
    /// The next byte that a stream expects; 0 for one that is not known.
    pub(crate) fn expected(&self, stream: StreamId) -> u64 {
        self.streams.get(&stream).map_or(0, |(cursor, _)| cursor.expected())
    }

    /// Takes what is new of `data` and fits. Returns how many bytes of `data` are done with,
    /// those that had been taken before included.
    pub(crate) fn take(&mut self, stream: StreamId, offset: u64, data: &[u8]) -> Result<usize, InputGap> {
        self.clock += 1;
        let clock = self.clock;
        if !self.streams.contains_key(&stream) && self.streams.len() >= STREAMS {
            self.forget_oldest();
        }
        let (cursor, used) = self.streams.entry(stream).or_default();
        *used = clock;
        let fresh = cursor.fresh(offset, data.len())?;
        let end = fresh.end.min(fresh.start + (PENDING - self.pending.len()));
        cursor.advance(end - fresh.start);
        self.pending.extend(&data[fresh.start..end]);
        Ok(end)
    }

    fn forget_oldest(&mut self) {
        let oldest = self.streams.iter().min_by_key(|(_, (_, used))| *used).map(|(id, _)| *id);
        oldest.map(|id| self.streams.remove(&id));
    }

    /// The next bytes for the terminal.
    pub(crate) fn front(&self) -> &[u8] {
        match self.pending.as_slices() {
            ([], back) => back,
            (front, _) => front,
        }
    }

    /// Notes that the first `n` bytes were written.
    pub(crate) fn written(&mut self, n: usize) {
        self.pending.drain(..n);
        if self.pending.is_empty() && self.pending.capacity() > 4096 {
            self.pending = VecDeque::new();
        }
    }

    /// Forgets the bytes for a program that is gone.
    pub(crate) fn clear(&mut self) {
        self.pending = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: StreamId = StreamId([1; 16]);

    #[test]
    fn only_what_fits_is_taken() {
        let mut inputs = Inputs::default();
        let data = vec![b'x'; PENDING];
        assert_eq!(inputs.take(A, 0, &data[..PENDING - 1]), Ok(PENDING - 1));
        assert_eq!(inputs.take(A, PENDING as u64 - 1, b"yz"), Ok(1));
        assert_eq!(inputs.take(A, PENDING as u64, b"z"), Ok(0));
        inputs.written(1);
        assert_eq!(inputs.take(A, PENDING as u64, b"z"), Ok(1));
        assert_eq!(inputs.expected(A), PENDING as u64 + 1);
    }

    #[test]
    fn streams_are_bounded_and_the_one_in_use_stays() {
        let mut inputs = Inputs::default();
        inputs.take(A, 0, b"abc").unwrap();
        for n in 0..2 * STREAMS as u16 {
            let mut id = [9; 16];
            id[..2].copy_from_slice(&n.to_be_bytes());
            inputs.take(StreamId(id), 0, b"x").unwrap();
            inputs.take(A, 0, b"a").unwrap();
        }
        assert_eq!(inputs.streams.len(), STREAMS);
        assert_eq!(inputs.expected(A), 3);
    }

    proptest! {
        /// Two channels that send the same stream's frames in any pieces, with the terminal
        /// taking any amounts in between: the program gets each byte once, in order.
        #[test]
        fn every_byte_once(typed in prop::collection::vec(any::<u8>(), 1..400),
                           steps in prop::collection::vec((any::<prop::sample::Index>(), 1usize..80, 0usize..90), 0..80)) {
            let (mut inputs, mut got) = (Inputs::default(), Vec::new());
            for (back, len, write) in steps {
                let from = back.index(inputs.expected(A) as usize + 1).min(typed.len() - 1);
                let frame = &typed[from..(from + len).min(typed.len())];
                inputs.take(A, from as u64, frame).unwrap();
                let n = write.min(inputs.front().len());
                got.extend_from_slice(&inputs.front()[..n]);
                inputs.written(n);
            }
            while !inputs.front().is_empty() {
                let n = inputs.front().len();
                got.extend_from_slice(inputs.front());
                inputs.written(n);
            }
            prop_assert_eq!(&got[..], &typed[..inputs.expected(A) as usize]);
        }
    }
}
