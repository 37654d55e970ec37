//! The person's own terminal: raw while a session is shown, and put right at the end.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, Once, PoisonError};

use devpocket_protocol::Size;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// Undoes what a program may have left on: colours, the alternate screen, mouse reports,
/// bracketed paste, focus reports, application keys, a hidden cursor, a scroll region.
const CALM: &[u8] = b"\x1b[!p\x1b[0m\x1b[?1049l\x1b[?1000;1002;1003;1004;1005;1006;1015;2004l\x1b[?1l\x1b>\
                      \x1b[?7h\x1b[?25h\x1b[r";

/// Then the cursor home on an empty screen: what a snapshot is written to. The lines above the
/// screen are the person's and stay.
const CLEAR: &[u8] = b"\x1b[H\x1b[2J";

/// The mode the terminal had before; for the guard and for a panic alike.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

fn restore() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(termios) = before {
        // Nothing is left to do about a terminal that is gone.
        let _ = write_all(CALM);
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Flush, &termios);
    }
}

fn write_all(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// The person's terminal, or pipes in its place.
#[derive(Debug)]
pub struct Screen {
    /// Whether both ends are a terminal.
    terminal: bool,
    /// Whether what is written is looked at: then it can be a screen.
    shown: bool,
    /// A line that was drawn over the session's screen.
    drawn_over: bool,
}

impl Screen {
    /// Makes the terminal raw, if there is one, until this is dropped or the program panics.
    ///
    /// # Errors
    /// When the terminal does not allow it.
    pub fn open() -> io::Result<Self> {
        let shown = io::stdout().is_terminal();
        let terminal = shown && io::stdin().is_terminal();
        if terminal {
            static HOOK: Once = Once::new();
            HOOK.call_once(|| {
                let usual = std::panic::take_hook();
                std::panic::set_hook(Box::new(move |info| {
                    restore();
                    usual(info);
                }));
            });
            let mut termios = tcgetattr(rustix::stdio::stdin())?;
            *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(termios.clone());
            termios.make_raw();
            tcsetattr(rustix::stdio::stdin(), OptionalActions::Flush, &termios)?;
            // Keeps the title, which the status uses.
            write_all(b"\x1b[22;2t")?;
        }
        Ok(Self { terminal, shown, drawn_over: false })
    }

    /// Whether a person sits at it.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether output is seen on a terminal; elsewhere only the session's own bytes make sense.
    #[must_use]
    pub const fn is_shown(&self) -> bool {
        self.shown
    }

    /// The terminal's size; the usual one without a terminal.
    #[must_use]
    pub fn size() -> Size {
        let size = tcgetwinsize(rustix::stdio::stdout()).ok();
        size.and_then(|size| Size::new(size.ws_col.min(Size::MAX), size.ws_row.min(Size::MAX)).ok())
            .unwrap_or(Size::DEFAULT)
    }

    /// Writes output of the session.
    ///
    /// # Errors
    /// When nobody reads it any more.
    pub fn write(&self, data: &[u8]) -> io::Result<()> {
        write_all(data)
    }

    /// Shows a snapshot, where there is a screen to show it on.
    ///
    /// # Errors
    /// When nobody reads it any more.
    pub fn redraw(&mut self, data: &[u8]) -> io::Result<()> {
        self.drawn_over = false;
        if !self.shown {
            return Ok(());
        }
        if self.terminal {
            write_all(CALM)?;
            write_all(CLEAR)?;
        }
        write_all(data)
    }

    /// Says something while the session is away, in the title: that disturbs nothing.
    pub fn title(&self, text: &str) {
        if self.terminal {
            let _ = write_all(format!("\x1b]2;devpocket: {text}\x07").as_bytes());
        }
    }

    /// Says something in the last line, over what stands there: the screen must be drawn anew
    /// before output goes on. Returns whether it was done.
    pub fn draw_over(&mut self, text: &str) -> bool {
        if !self.terminal {
            return false;
        }
        let size = Self::size();
        let text: String = text.chars().take(usize::from(size.cols())).collect();
        let line = format!("\x1b7\x1b[{};1H\x1b[0;7m\x1b[2K{text}\x1b[0m\x1b8", size.rows());
        self.drawn_over = write_all(line.as_bytes()).is_ok();
        self.drawn_over
    }

    /// The session is back: gives it the title it had.
    pub fn clear_status(&mut self) {
        if self.terminal {
            // Takes the kept title and keeps it again.
            let _ = write_all(b"\x1b[23;2t\x1b[22;2t");
        }
    }

    /// A line for the person, not of the session.
    pub fn say(&self, text: &str) {
        if self.terminal {
            let _ = write_all(format!("\r\n{text}\r\n").as_bytes());
        } else {
            eprintln!("{text}");
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.terminal {
            let _ = write_all(b"\x1b[23;2t");
            restore();
        }
    }
}
