//! What a person types to the client itself: `~.` after a newline, as in ssh.

/// What typed bytes mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// For the session.
    Bytes(Vec<u8>),
    /// `~.`: leave.
    Leave,
    /// `~?`: what can be typed.
    Help,
}

/// What `~?` shows.
pub const HELP: &str = "~.  leave; the session goes on\r\n~?  this help\r\n~~  types a ~\r\n\
                        (each at the beginning of a line)\r\n";

/// Finds escapes in what is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escapes {
    /// At the beginning of a line.
    Beginning,
    /// After a `~` there.
    Tilde,
    /// Elsewhere.
    Within,
}

impl Escapes {
    /// Reads what was typed.
    pub fn read(&mut self, data: &[u8]) -> Vec<Typed> {
        let mut out = Vec::new();
        let mut bytes = Vec::with_capacity(data.len());
        for &byte in data {
            let command = match (*self, byte) {
                (Self::Beginning, b'~') => {
                    *self = Self::Tilde;
                    continue;
                }
                (Self::Tilde, b'.') => Some(Typed::Leave),
                (Self::Tilde, b'?') => Some(Typed::Help),
                (Self::Tilde, b'~') => None,
                (Self::Tilde, _) => {
                    bytes.push(b'~');
                    None
                }
                _ => None,
            };
            if let Some(command) = command {
                if !bytes.is_empty() {
                    out.push(Typed::Bytes(std::mem::take(&mut bytes)));
                }
                out.push(command);
                *self = Self::Beginning;
            } else {
                bytes.push(byte);
                *self = if matches!(byte, b'\r' | b'\n') { Self::Beginning } else { Self::Within };
            }
        }
        if !bytes.is_empty() {
            out.push(Typed::Bytes(bytes));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(pieces: &[&str]) -> Vec<Typed> {
        let mut escapes = Escapes::Beginning;
        pieces.iter().flat_map(|piece| escapes.read(piece.as_bytes())).collect()
    }

    fn bytes(text: &str) -> Typed {
        Typed::Bytes(text.as_bytes().to_vec())
    }

    #[test]
    fn escapes_count_at_the_beginning_of_a_line_only() {
        assert_eq!(typed(&["~."]), [Typed::Leave]);
        assert_eq!(typed(&["ls\r~", "."]), [bytes("ls\r"), Typed::Leave]);
        assert_eq!(typed(&["ls ~.\r"]), [bytes("ls ~.\r")]);
        assert_eq!(typed(&["~?ls"]), [Typed::Help, bytes("ls")]);
    }

    #[test]
    fn a_doubled_tilde_is_one_and_others_pass() {
        assert_eq!(typed(&["~~/bin"]), [bytes("~/bin")]);
        assert_eq!(typed(&["~/bin\r"]), [bytes("~/bin\r")]);
        assert_eq!(typed(&["~\r~."]), [bytes("~\r"), Typed::Leave]);
    }
}
