//! The crates that could stand behind [`Screen`], as well as each can be made to.
#![allow(dead_code)]

use std::num::NonZeroU16;

use devpocket_agent::screen::{Emulator, Screen};
use devpocket_protocol::Size;

/// An engine by its name.
pub fn engine(name: &str, size: Size) -> Box<dyn Screen> {
    match name {
        "own" => Box::new(Emulator::new(size)),
        "vt100" => Box::new(Vt100::new(size)),
        "avt" => Box::new(Avt::new(size)),
        other => panic!("no engine {other}"),
    }
}

/// vt100, with the way round its missing alternate screen, and title and focus mode of its
/// callbacks. Scrollback is read by moving its view.
pub struct Vt100 {
    pub parser: vt100::Parser<Extras>,
}

#[derive(Default)]
pub struct Extras {
    title: Vec<u8>,
    focus: bool,
}

impl vt100::Callbacks for Extras {
    fn set_window_title(&mut self, _: &mut vt100::Screen, title: &[u8]) {
        self.title = title.to_vec();
    }

    fn unhandled_csi(
        &mut self,
        _: &mut vt100::Screen,
        i1: Option<u8>,
        _: Option<u8>,
        params: &[&[u16]],
        c: char,
    ) {
        if i1 == Some(b'?') && params == [&[1004][..]] {
            self.focus = c == 'h';
        }
    }
}

fn sides(size: Size) -> (NonZeroU16, NonZeroU16) {
    (NonZeroU16::new(size.rows()).unwrap(), NonZeroU16::new(size.cols()).unwrap())
}

impl Vt100 {
    pub fn new(size: Size) -> Self {
        let (rows, cols) = sides(size);
        Self { parser: vt100::Parser::new_with_callbacks(rows, cols, 500, Extras::default()) }
    }
}

impl Screen for Vt100 {
    fn feed(&mut self, bytes: &[u8]) {
        self.parser.process(bytes);
    }

    fn resize(&mut self, size: Size) {
        let (rows, cols) = sides(size);
        self.parser.set_size(rows, cols);
    }

    fn alternate(&self) -> bool {
        self.parser.screen().alternate_screen()
    }

    fn snapshot(&self, _budget: usize) -> Vec<u8> {
        let mut screen = self.parser.screen().clone();
        let mut out = b"\x1bc".to_vec();
        let alternate = screen.alternate_screen().then(|| screen.contents_formatted());
        let modes = screen.input_mode_formatted();
        let attributes = screen.attributes_formatted();
        let cursor = screen.cursor_state_formatted();
        if alternate.is_some() {
            let (rows, cols) = screen.size();
            let mut other = vt100::Parser::new(rows, cols, 500);
            *other.screen_mut() = screen.clone();
            other.process(b"\x1b[?47l");
            screen = other.screen().clone();
        }
        // Scrollback as plain rows above.
        let mut view = screen.clone();
        view.set_scrollback(usize::MAX);
        let held = view.scrollback();
        let rows = usize::from(screen.size().0.get());
        for n in 0..held {
            view.set_scrollback(held - n);
            if let Some(row) = view.rows_formatted(0, screen.size().1.get()).next() {
                out.extend_from_slice(row.as_bytes());
                out.extend_from_slice(b"\x1b[m\r\n");
            }
        }
        if held > 0 {
            out.extend_from_slice(format!("\x1b[{rows};1H{}", "\n".repeat(held.min(rows - 1))).as_bytes());
        }
        out.extend_from_slice(screen.contents_formatted().as_bytes());
        if let Some(alternate) = alternate {
            out.extend_from_slice(b"\x1b[?1049h");
            out.extend_from_slice(alternate.as_bytes());
        }
        for part in [attributes, cursor, modes] {
            out.extend_from_slice(part.as_bytes());
        }
        let extras = self.parser.callbacks();
        if !extras.title.is_empty() {
            out.extend_from_slice(&[b"\x1b]2;", &extras.title[..], b"\x07"].concat());
        }
        if extras.focus {
            out.extend_from_slice(b"\x1b[?1004h");
        }
        out
    }
}

/// avt, with the modes that it does not know from a small tracker.
pub struct Avt {
    pub terminal: avt::Terminal,
    carry: Vec<u8>,
    modes: std::collections::BTreeMap<Vec<u8>, bool>,
}

impl Avt {
    pub fn new(size: Size) -> Self {
        let terminal =
            avt::Terminal::with_scrollback(size.cols().into(), size.rows().into(), Some(500)).unwrap();
        Self { terminal, carry: Vec::new(), modes: Default::default() }
    }
}

impl Screen for Avt {
    fn feed(&mut self, bytes: &[u8]) {
        for mode in [&b"2004"[..], b"1000", b"1002", b"1003", b"1006", b"1004"] {
            for (end, on) in [(b"h", true), (b"l", false)] {
                let sequence = [b"\x1b[?", mode, end].concat();
                if bytes.windows(sequence.len()).any(|w| w == sequence) {
                    self.modes.insert([b"\x1b[?", mode, b"h"].concat(), on);
                }
            }
        }
        self.carry.extend_from_slice(bytes);
        let text = String::from_utf8_lossy(&self.carry).into_owned();
        self.carry.clear();
        self.terminal.feed(text.as_str());
    }

    fn resize(&mut self, size: Size) {
        self.terminal.resize(size.cols().into(), size.rows().into());
    }

    fn alternate(&self) -> bool {
        self.terminal.active_screen_kind() == avt::ScreenKind::Alternate
    }

    fn snapshot(&self, _budget: usize) -> Vec<u8> {
        let mut out = b"\x1bc".to_vec();
        let (_, rows) = self.terminal.size();
        let lines: Vec<_> = self.terminal.primary_screen().all_lines().collect();
        let held = lines.len() - rows;
        for line in &lines[..held] {
            out.extend_from_slice(line.text().trim_end().as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        if held > 0 {
            out.extend_from_slice(
                format!("\x1b[{rows};1H{}\x1b[H", "\n".repeat(held.min(rows - 1))).as_bytes(),
            );
        }
        out.extend_from_slice(self.terminal.dump().as_bytes());
        for (sequence, _) in self.modes.iter().filter(|(_, on)| **on) {
            out.extend_from_slice(sequence);
        }
        out
    }
}
