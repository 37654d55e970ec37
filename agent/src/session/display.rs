//! The screen of a session, made of its ring when somebody asks.
//!
//! Most output is never looked at through a snapshot, so parsing it as it comes would be
//! wasted latency. The ring holds the bytes; they are parsed when a snapshot is wanted, and at
//! the latest before they would be evicted.

use devpocket_protocol::Size;
use devpocket_protocol::client::MAX_SNAPSHOT;
use devpocket_protocol::ring::Ring;

use crate::screen::boundary::{LONGEST_SEQUENCE, Tail, last_boundary, string_end};
use crate::screen::{Emulator, Screen};

/// How many bytes are parsed in one go: well below a millisecond.
const SLICE: usize = 64 * 1024;

/// How many unparsed bytes may stay in the ring. More than half of the ring is left for those
/// that arrive while slices are parsed.
const LAZY: u64 = 512 * 1024;

/// A screen and how far it has come.
pub(crate) struct Display {
    /// Made by the first bytes that are parsed: an idle session has none.
    screen: Option<Box<dyn Screen>>,
    size: Size,
    /// All before this offset, which is a boundary, is on the screen.
    parsed: u64,
    /// A string sequence that was too long to wait for and is being skipped.
    skipping: Option<u8>,
}

/// A picture of the screen.
pub(crate) struct Picture {
    pub(crate) offset: u64,
    pub(crate) size: Size,
    pub(crate) data: Vec<u8>,
    /// Whether a full-screen program draws it, which may as well draw it again.
    pub(crate) alternate: bool,
}

impl Display {
    pub(crate) fn new(size: Size) -> Self {
        Self { screen: None, size, parsed: 0, skipping: None }
    }

    /// Parses one slice if too much has been left; says whether there is more to do.
    pub(crate) fn keep_up(&mut self, ring: &Ring) -> bool {
        ring.end() - self.parsed > LAZY && self.parse_slice(ring) && ring.end() - self.parsed > LAZY
    }

    /// Parses all that has come.
    pub(crate) fn catch_up(&mut self, ring: &Ring) {
        while self.parse_slice(ring) {}
    }

    /// Takes the picture as of the last boundary.
    pub(crate) fn picture(&mut self, ring: &Ring) -> Picture {
        self.catch_up(ring);
        let mut data = Vec::new();
        let mut alternate = false;
        // Two bytes are kept for the introducer of a string that the picture lies within.
        match &mut self.screen {
            Some(screen) => {
                data = screen.snapshot(MAX_SNAPSHOT - 2);
                alternate = screen.alternate();
            }
            None => data.extend_from_slice(b"\x1bc"),
        }
        if let Some(introducer) = self.skipping {
            data.extend_from_slice(&[0x1b, introducer]);
        }
        Picture { offset: self.parsed, size: self.size, data, alternate }
    }

    /// Changes the size. What came before is parsed first, because it was written for the old
    /// size.
    pub(crate) fn resize(&mut self, size: Size, ring: &Ring) {
        self.catch_up(ring);
        self.size = size;
        if let Some(screen) = &mut self.screen {
            screen.resize(size);
        }
    }

    /// Parses at most one slice; says whether it came any further.
    fn parse_slice(&mut self, ring: &Ring) -> bool {
        let mut bytes = Vec::new();
        // A sequence of nearly the longest kind must fit a slice, or it would never be complete.
        let max = SLICE + LONGEST_SEQUENCE;
        if ring.read(self.parsed, max, &mut bytes).is_err() {
            // Can't be: what is unparsed is far less than what is held. Going on is better
            // than a screen that stands still.
            self.parsed = ring.start();
            return true;
        }
        if bytes.is_empty() {
            return false;
        }
        if let Some(introducer) = self.skipping {
            let end = string_end(&bytes, introducer);
            if end.is_some() {
                self.skipping = None;
            }
            // A last ESC may be the first half of the end.
            let skipped = end.unwrap_or(bytes.len() - usize::from(bytes.last() == Some(&0x1b)));
            self.parsed += skipped as u64;
            return skipped > 0;
        }
        let (end, tail) = last_boundary(&bytes);
        if end > 0 {
            let size = self.size;
            self.screen.get_or_insert_with(|| Box::new(Emulator::new(size))).feed(&bytes[..end]);
            self.parsed += end as u64;
            return true;
        }
        if let Tail::String(introducer) = tail
            && bytes.len() > LONGEST_SEQUENCE
        {
            self.skipping = Some(introducer);
            self.parsed += 2;
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(display: &mut Display, ring: &Ring) -> String {
        String::from_utf8_lossy(&display.picture(ring).data).into_owned()
    }

    #[test]
    fn an_idle_session_has_no_screen() {
        let mut display = Display::new(Size::DEFAULT);
        let ring = Ring::new(1024);
        assert_eq!(shown(&mut display, &ring), "\x1bc");
        assert!(display.screen.is_none());
    }

    #[test]
    fn an_unfinished_sequence_is_left_for_the_output_that_follows() {
        let (mut display, mut ring) = (Display::new(Size::DEFAULT), Ring::new(1024));
        ring.append(b"abc\x1b[3");
        let picture = display.picture(&ring);
        assert_eq!(picture.offset, 3);
        ring.append(b"1mred");
        assert_eq!(display.picture(&ring).offset, ring.end());
        assert!(shown(&mut display, &ring).contains("red"));
    }

    #[test]
    fn a_string_without_end_is_skipped_and_the_picture_says_so() {
        let (mut display, mut ring) = (Display::new(Size::DEFAULT), Ring::new(1024 * 1024));
        ring.append(b"before\x1b]0;");
        for _ in 0..40 {
            ring.append(&[b'x'; 5000]);
            display.keep_up(&ring);
        }
        let picture = display.picture(&ring);
        assert_eq!(picture.offset, ring.end());
        assert!(picture.data.ends_with(b"\x1b]"));
        ring.append(b"xx\x07after");
        let after = shown(&mut display, &ring);
        assert!(after.contains("beforeafter"), "{after}");
    }

    #[test]
    fn parsing_keeps_ahead_of_eviction() {
        let (mut display, mut ring) = (Display::new(Size::DEFAULT), Ring::new(1024 * 1024));
        for n in 0..400_000u32 {
            ring.append(format!("line {n}\r\n").as_bytes());
            if n % 1000 == 0 {
                while display.keep_up(&ring) {}
            }
            assert!(display.parsed >= ring.start());
        }
        assert!(shown(&mut display, &ring).contains("line 399999"));
    }
}
