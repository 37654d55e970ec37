//! The terminal itself.
//!
//! Where real terminals differ, it does what xterm.js does, which is what most clients of this
//! server draw with.

use devpocket_protocol::Size;
use unicode_width::UnicodeWidthChar;

use super::Screen;
use super::boundary::sequence_end;
use super::cell::{Attr, Cell, TAIL, WIDE};
use super::clusters::Clusters;
use super::grid::{Grid, SCROLLBACK, Saved};
use super::modes::{Charsets, Modes};

/// A headless terminal.
///
/// Memory: a few KiB for a shell's screen; at most about 1 MiB of scrollback and two full
/// screens (16 bytes a cell).
pub struct Emulator {
    parser: vte::Parser,
    pub(super) term: Term,
}

/// All of its state but a half-read sequence.
#[derive(Debug)]
pub(super) struct Term {
    pub(super) primary: Grid,
    /// While it is shown.
    pub(super) alternate: Option<Grid>,
    pub(super) attr: Attr,
    pub(super) charsets: Charsets,
    pub(super) modes: Modes,
    /// Whether a column is a tab stop.
    pub(super) tabs: Vec<bool>,
    pub(super) title: String,
    /// Titles put aside by the programs around the present one.
    pub(super) titles: Vec<String>,
    pub(super) clusters: Clusters,
    /// The character that REP repeats.
    pub(super) last: Option<char>,
}

impl Emulator {
    /// A terminal that was just switched on.
    #[must_use]
    pub fn new(size: Size) -> Self {
        Self { parser: vte::Parser::new(), term: Term::new(size.cols().into(), size.rows().into()) }
    }
}

impl Emulator {
    /// All that a person or a program could tell two terminals apart by, in words, for tests.
    /// A blank that was written and one that never was are the same, and so is scrollback,
    /// which may be held to a different length.
    #[doc(hidden)]
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        let term = &self.term;
        let mut out = vec![format!("{:?} {:?} {:?} {:?}", term.modes, term.tabs, term.title, term.titles)];
        let shown = term.shown();
        out.push(format!("{:?} {:?} {},{}", term.attr, term.charsets, shown.row, shown.col));
        for grid in [&term.primary].into_iter().chain(&term.alternate) {
            out.push(format!("{}-{} {:?}", grid.top, grid.bottom, grid.saved));
            for row in &grid.rows {
                let mut line = String::new();
                for cell in (0..grid.cols).map(|col| row.get(col)) {
                    term.clusters.write(cell, &mut line);
                    let _ = std::fmt::Write::write_fmt(&mut line, format_args!("{:?}", cell.attr));
                }
                out.push(line);
            }
        }
        out
    }
}

impl Screen for Emulator {
    fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(&first) = rest.first() {
            let n = match first {
                b' '..=b'~' => {
                    let n = rest.iter().position(|b| !matches!(b, b' '..=b'~')).unwrap_or(rest.len());
                    self.term.print_ascii(&rest[..n]);
                    n
                }
                0x1b => {
                    let n = sequence_end(rest, 0).unwrap_or(rest.len());
                    self.parser.advance(&mut self.term, &rest[..n]);
                    n
                }
                b'\r' => {
                    self.term.grid().col = 0;
                    self.term.last = None;
                    1
                }
                b'\n' => {
                    self.term.line_feed();
                    self.term.last = None;
                    1
                }
                0x00..=0x1f | 0x7f => {
                    self.parser.advance(&mut self.term, &rest[..1]);
                    1
                }
                0x80.. => {
                    let n = rest.iter().position(|b| *b < 0x80).unwrap_or(rest.len());
                    self.parser.advance(&mut self.term, &rest[..n]);
                    n
                }
            };
            rest = &rest[n..];
        }
    }

    fn resize(&mut self, size: Size) {
        self.term.resize(size.cols().into(), size.rows().into());
    }

    fn alternate(&self) -> bool {
        self.term.alternate.is_some()
    }

    fn snapshot(&self, budget: usize) -> Vec<u8> {
        super::snapshot::write(&self.term, budget)
    }
}

impl Term {
    fn new(cols: usize, rows: usize) -> Self {
        Self {
            primary: Grid::new(cols, rows, SCROLLBACK > 0, Attr::default()),
            alternate: None,
            attr: Attr::default(),
            charsets: Charsets::default(),
            modes: Modes::default(),
            tabs: default_tabs(cols),
            title: String::new(),
            titles: Vec::new(),
            clusters: Clusters::default(),
            last: None,
        }
    }

    /// The screen that is shown.
    pub(super) fn grid(&mut self) -> &mut Grid {
        self.alternate.as_mut().unwrap_or(&mut self.primary)
    }

    pub(super) fn shown(&self) -> &Grid {
        self.alternate.as_ref().unwrap_or(&self.primary)
    }

    pub(super) fn reset(&mut self) {
        *self = Self::new(self.primary.cols, self.primary.height());
    }

    /// Prints bytes from space to tilde, row by row.
    fn print_ascii(&mut self, text: &[u8]) {
        if self.modes.insert || !self.modes.autowrap || !self.charsets.is_plain() {
            text.iter().for_each(|byte| self.print(char::from(*byte)));
            return;
        }
        let (attr, mut rest) = (self.attr, text);
        let grid = self.alternate.as_mut().unwrap_or(&mut self.primary);
        while !rest.is_empty() {
            if grid.col >= grid.cols {
                grid.col = 0;
                grid.advance(true, attr.erased());
            }
            let (start, n) = (grid.col, rest.len().min(grid.cols - grid.col));
            let line = grid.line();
            line.split_wide(start, start + n);
            // Cells behind the last one are made as they are written.
            if line.cells.len() < start {
                line.cells.resize(start, Cell::default());
            }
            let (over, new) = rest[..n].split_at(n.min(line.cells.len() - start));
            for (cell, &byte) in line.cells[start..].iter_mut().zip(over) {
                *cell = Cell { content: byte.into(), attr };
            }
            line.cells.extend(new.iter().map(|&byte| Cell { content: byte.into(), attr }));
            grid.col += n;
            rest = &rest[n..];
        }
        self.last = text.last().map(|byte| char::from(*byte));
    }

    /// Prints one character.
    pub(super) fn print(&mut self, c: char) {
        let c = if c.is_ascii() { self.charsets.translate(c) } else { c };
        let width = c.width().unwrap_or(0);
        if width == 0 {
            return self.combine(c);
        }
        self.last = Some(c);
        let (mut attr, insert, autowrap) = (self.attr, self.modes.insert, self.modes.autowrap);
        let grid = self.alternate.as_mut().unwrap_or(&mut self.primary);
        if grid.col + width > grid.cols {
            if autowrap && width <= grid.cols {
                if grid.col < grid.cols {
                    // A wide character before the last column leaves it blank.
                    let (col, cols) = (grid.col, grid.cols);
                    grid.line().erase(col, cols, attr);
                }
                grid.col = 0;
                grid.advance(true, attr.erased());
            } else {
                grid.col = grid.cols - 1;
                if width > 1 {
                    return;
                }
            }
        }
        let (start, end, cols) = (grid.col, grid.col + width, grid.cols);
        let line = grid.line();
        if insert {
            line.insert(start, width, cols, attr.erased());
        }
        line.split_wide(start, end);
        let cells = line.upto(end);
        if width == 2 {
            attr.flags |= WIDE;
            cells[start + 1] = Cell::erased(Attr { flags: self.attr.flags | TAIL, ..attr });
        }
        cells[start] = Cell { content: c.into(), attr };
        grid.col = end;
    }

    /// Adds a mark to the character before the cursor.
    fn combine(&mut self, mark: char) {
        if self.clusters.is_full() {
            let alternate = self.alternate.iter_mut().flat_map(|grid| grid.rows.iter_mut());
            let primary = self.primary.rows.iter_mut().chain(&mut self.primary.scrollback);
            self.clusters.collect(primary.chain(alternate));
        }
        let grid = self.alternate.as_mut().unwrap_or(&mut self.primary);
        let Some(mut col) = grid.col.checked_sub(1) else { return };
        if grid.line().get(col).is_tail() {
            col = col.saturating_sub(1);
        }
        let cell = &mut grid.line().upto(col + 1)[col];
        self.clusters.combine(cell, mark);
    }

    pub(super) fn line_feed(&mut self) {
        let (attr, newline) = (self.attr.erased(), self.modes.newline);
        let grid = self.grid();
        grid.restrict();
        grid.advance(false, attr);
        if newline {
            grid.col = 0;
        }
    }

    pub(super) fn save_cursor(&mut self) {
        let (attr, charsets) = (self.attr, self.charsets);
        let grid = self.grid();
        grid.saved = Some(Saved { row: grid.row, col: grid.col.min(grid.cols - 1), attr, charsets });
    }

    pub(super) fn restore_cursor(&mut self) {
        let grid = self.grid();
        let saved = grid.saved.unwrap_or(Saved {
            row: 0,
            col: 0,
            attr: Attr::default(),
            charsets: Charsets::default(),
        });
        (grid.row, grid.col) = (saved.row, saved.col);
        self.confine();
        self.attr = saved.attr;
        self.charsets = saved.charsets;
    }

    pub(super) fn show_alternate(&mut self) {
        if self.alternate.is_none() {
            let primary = &self.primary;
            let mut grid = Grid::new(primary.cols, primary.height(), false, self.attr.erased());
            (grid.row, grid.col) = (primary.row, primary.col);
            self.alternate = Some(grid);
        }
    }

    pub(super) fn show_primary(&mut self) {
        if let Some(grid) = self.alternate.take() {
            (self.primary.row, self.primary.col) = (grid.row, grid.col);
            self.confine();
        }
    }

    /// Takes the cursor to where it may be.
    fn confine(&mut self) {
        let origin = self.modes.origin;
        let grid = self.grid();
        let (top, bottom) = if origin { (grid.top, grid.bottom) } else { (0, grid.height() - 1) };
        grid.row = grid.row.clamp(top, bottom);
        grid.col = grid.col.min(grid.cols);
    }

    fn resize(&mut self, cols: usize, rows: usize) {
        let old = self.tabs.len();
        self.tabs.resize(cols, false);
        (old..cols).filter(|col| col % 8 == 0).for_each(|col| self.tabs[col] = true);
        self.primary.resize(cols, rows, true);
        if let Some(grid) = &mut self.alternate {
            grid.resize(cols, rows, false);
        }
    }
}

pub(super) fn default_tabs(cols: usize) -> Vec<bool> {
    (0..cols).map(|col| col > 0 && col % 8 == 0).collect()
}
