//! Where a sequence of bytes may be cut.

/// A string sequence (OSC, DCS and their like) of which this much arrived without an end is
/// skipped instead of waited for.
pub const LONGEST_SEQUENCE: usize = 64 * 1024;

/// What lies behind the last boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Nothing, or an unfinished character or short sequence.
    Short,
    /// A string that was introduced by `ESC` and this byte and has no end yet.
    String(u8),
}

/// Finds the last place in `bytes`, which begin at a boundary, where every sequence and every
/// character is complete.
pub(crate) fn last_boundary(bytes: &[u8]) -> (usize, Tail) {
    let mut at = 0;
    loop {
        let Some(escape) = find_escape(&bytes[at..]) else {
            return (complete_characters(bytes, at), Tail::Short);
        };
        let start = at + escape;
        match sequence_end(bytes, start) {
            Ok(end) => at = end,
            Err(tail) => return (start, tail),
        }
    }
}

/// Where a string that is being skipped ends in `bytes`, if it does.
pub(crate) fn string_end(bytes: &[u8], introducer: u8) -> Option<usize> {
    for (i, &byte) in bytes.iter().enumerate() {
        match byte {
            0x07 if introducer == b']' => return Some(i + 1),
            0x18 | 0x1a => return Some(i + 1),
            // ESC \ ends it, and so does any other sequence, which then stands for itself.
            0x1b => return Some(if bytes.get(i + 1)? == &b'\\' { i + 2 } else { i }),
            _ => {}
        }
    }
    None
}

fn find_escape(bytes: &[u8]) -> Option<usize> {
    memchr::memchr(0x1b, bytes)
}

/// The end of the sequence that begins with the ESC at `start`.
pub(crate) fn sequence_end(bytes: &[u8], start: usize) -> Result<usize, Tail> {
    let mut i = start + 1;
    let kind = *bytes.get(i).ok_or(Tail::Short)?;
    i += 1;
    match kind {
        b']' | b'P' | b'X' | b'^' | b'_' => {
            let rest = bytes.get(i..).ok_or(Tail::Short)?;
            string_end(rest, kind).map(|n| i + n).ok_or(Tail::String(kind))
        }
        // Parameters, intermediates, then one final byte; a control in the middle is carried
        // out at once by terminals, and ESC, CAN or SUB give the sequence up.
        b'[' => loop {
            match *bytes.get(i).ok_or(Tail::Short)? {
                0x1b => return Ok(i),
                0x18 | 0x1a | 0x40..=0x7e => return Ok(i + 1),
                _ if i - start > LONGEST_SEQUENCE => return Ok(i + 1),
                _ => i += 1,
            }
        },
        b' '..=b'/' => loop {
            match *bytes.get(i).ok_or(Tail::Short)? {
                0x1b => return Ok(i),
                0x18 | 0x1a | 0x30..=0x7e => return Ok(i + 1),
                _ if i - start > LONGEST_SEQUENCE => return Ok(i + 1),
                _ => i += 1,
            }
        },
        0x1b => Ok(i - 1),
        // A control between ESC and its final byte.
        0x00..=0x17 | 0x19 | 0x1c..=0x1f => {
            while let Some(&byte) = bytes.get(i) {
                if byte >= 0x20 || byte == 0x1b {
                    return Ok(if byte == 0x1b { i } else { i + 1 });
                }
                if i - start > LONGEST_SEQUENCE {
                    return Ok(i + 1);
                }
                i += 1;
            }
            Err(Tail::Short)
        }
        _ => Ok(i),
    }
}

/// `bytes.len()`, less an unfinished UTF-8 character at the end. Looks no further back than
/// `from`.
fn complete_characters(bytes: &[u8], from: usize) -> usize {
    let end = bytes.len();
    for back in 1..=3.min(end - from) {
        let byte = bytes[end - back];
        let needs = match byte {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => return end,
        };
        return if needs > back { end - back } else { end };
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn cut(bytes: &[u8], expected: usize, tail: Tail) {
        assert_eq!(last_boundary(bytes), (expected, tail), "{:?}", String::from_utf8_lossy(bytes));
    }

    #[test]
    fn unfinished_things_stay_behind_the_boundary() {
        cut(b"abc", 3, Tail::Short);
        cut("aé".as_bytes(), 3, Tail::Short);
        cut(&"aé".as_bytes()[..2], 1, Tail::Short);
        cut(&"a😀".as_bytes()[..4], 1, Tail::Short);
        cut(b"a\xff", 2, Tail::Short);
        cut(b"a\x1b", 1, Tail::Short);
        cut(b"a\x1b[", 1, Tail::Short);
        cut(b"a\x1b[1;3", 1, Tail::Short);
        cut(b"a\x1b[1;3m", 7, Tail::Short);
        cut(b"a\x1b(", 1, Tail::Short);
        cut(b"a\x1b(0", 4, Tail::Short);
        cut(b"a\x1b7b", 4, Tail::Short);
        cut(b"a\x1b]0;x", 1, Tail::String(b']'));
        cut(b"a\x1b]0;x\x07", 7, Tail::Short);
        cut(b"a\x1b]0;x\x1b", 1, Tail::String(b']'));
        cut(b"a\x1b]0;x\x1b\\", 8, Tail::Short);
        cut(b"a\x1bPq\x07", 1, Tail::String(b'P'));
        cut(b"a\x1bPq\x1b[31", 4, Tail::Short);
        cut(b"a\x1b[3\x1b[1m", 8, Tail::Short);
    }

    proptest! {
        /// A boundary is one: what is before it, put before anything else, reads the same.
        #[test]
        fn boundaries_are_stable(parts in prop::collection::vec(prop::sample::select(vec![
            "a", "é", "😀", "\x1b[", "\x1b]", "0;t", "\x07", "\x1b\\", "\x1bP", "1;2", "m", "\x1b7", "\x1b(", "B", "\x18", "\n",
        ]), 0..30), cut in any::<prop::sample::Index>()) {
            let bytes = parts.concat().into_bytes();
            let (end, _) = last_boundary(&bytes);
            let prefix = &bytes[..cut.index(bytes.len() + 1)];
            let (first, _) = last_boundary(prefix);
            let (second, _) = last_boundary(&bytes[first..]);
            prop_assert_eq!(first + second, end);
        }
    }
}
