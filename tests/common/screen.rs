//! What a terminal shows: an independent emulator as the oracle.

use devpocket_protocol::Size;

use super::shell::Shell;

/// A screen's rows, where the cursor is, and the modes that keys depend on.
#[derive(Debug, PartialEq, Eq)]
pub struct Picture {
    /// The text, row by row, with its attributes.
    pub formatted: String,
    /// Row and column.
    pub cursor: (u16, u16),
    /// Cursor keys, keypad, bracketed paste.
    pub modes: (bool, bool, bool),
    /// Whether it is the alternate screen.
    pub alternate: bool,
}

fn parser(size: Size) -> vt100::Parser {
    let side = |side: u16| std::num::NonZeroU16::new(side).unwrap();
    vt100::Parser::new(side(size.rows()), side(size.cols()), 0)
}

fn picture(parser: &vt100::Parser) -> Picture {
    let screen = parser.screen();
    Picture {
        formatted: String::from_utf8_lossy(screen.contents_formatted().as_ref()).into_owned(),
        cursor: screen.cursor_position(),
        modes: (screen.application_cursor(), screen.application_keypad(), screen.bracketed_paste()),
        alternate: screen.alternate_screen(),
    }
}

/// What a terminal of `size` shows after these bytes.
pub fn after(size: Size, bytes: &[u8]) -> Picture {
    let mut parser = parser(size);
    parser.process(bytes);
    picture(&parser)
}

/// What this client's terminal shows: everything that came, a reset before each snapshot.
pub fn of(shell: &Shell, size: Size) -> Picture {
    let from = shell.snapshots.last();
    let size = from.map_or(size, |(_, _, size)| *size);
    after(size, &shell.received[from.map_or(0, |(at, _, _)| *at)..])
}
