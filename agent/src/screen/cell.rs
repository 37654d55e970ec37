//! Cells, their attributes, and rows of them.

/// A colour: none (the terminal's own), one of the 16, one of the 256, or red, green, blue.
///
/// The first 16 of the 256 are kept apart from the 16, because terminals draw only the latter
/// brighter when they are bold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Color(u32);

impl Color {
    pub(crate) const DEFAULT: Self = Self(0);

    pub(crate) const fn ansi(n: u8) -> Self {
        Self(0x0100_0000 | n as u32)
    }

    pub(crate) const fn indexed(n: u8) -> Self {
        Self(0x0200_0000 | n as u32)
    }

    pub(crate) const fn rgb(r: u8, g: u8, b: u8) -> Self {
        Self(0x0300_0000 | (r as u32) << 16 | (g as u32) << 8 | b as u32)
    }

    /// Appends the SGR parameters for it; `base` is 30 for the foreground, 40 for the background.
    pub(crate) fn write(self, base: u32, out: &mut String) {
        use std::fmt::Write;
        let [kind, r, g, b] = self.0.to_be_bytes();
        // Writing to a string can't fail.
        let _ = match kind {
            0 => Ok(()),
            1 if b < 8 => write!(out, ";{}", base + u32::from(b)),
            1 => write!(out, ";{}", base + 52 + u32::from(b)),
            2 => write!(out, ";{};5;{b}", base + 8),
            _ => write!(out, ";{};2;{r};{g};{b}", base + 8),
        };
    }
}

/// How a cell is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Attr {
    pub(crate) fg: Color,
    pub(crate) bg: Color,
    pub(crate) flags: u16,
}

pub(crate) const BOLD: u16 = 1;
pub(crate) const DIM: u16 = 1 << 1;
pub(crate) const ITALIC: u16 = 1 << 2;
pub(crate) const BLINK: u16 = 1 << 3;
pub(crate) const INVERSE: u16 = 1 << 4;
pub(crate) const HIDDEN: u16 = 1 << 5;
pub(crate) const STRIKE: u16 = 1 << 6;
pub(crate) const OVERLINE: u16 = 1 << 7;
/// Three bits: 0 none, 1 single, 2 double, 3 curly, 4 dotted, 5 dashed.
const UNDERLINE_SHIFT: u16 = 8;
const UNDERLINE: u16 = 7 << UNDERLINE_SHIFT;
/// The cell holds a character of two columns.
pub(crate) const WIDE: u16 = 1 << 12;
/// The cell is the second column of the one before it.
pub(crate) const TAIL: u16 = 1 << 13;

impl Attr {
    pub(crate) fn set(&mut self, flag: u16, on: bool) {
        if on { self.flags |= flag } else { self.flags &= !flag }
    }

    pub(crate) fn set_underline(&mut self, style: u16) {
        self.flags = self.flags & !UNDERLINE | (style.min(5) << UNDERLINE_SHIFT);
    }

    /// What erased cells look like: the background stays.
    pub(crate) fn erased(self) -> Self {
        Self { bg: self.bg, ..Self::default() }
    }

    /// Appends the sequence that makes this of `before`. Colours alone are changed alone: they
    /// are most of what a colourful screen is made of.
    pub(crate) fn write_after(self, before: Self, out: &mut String) {
        if self == Self::default() {
            out.push_str("\x1b[0m");
        } else if self.flags != before.flags {
            self.write(out);
        } else {
            let mut numbers = String::new();
            for (new, old, base) in [(self.fg, before.fg, 30), (self.bg, before.bg, 40)] {
                if new == Color::DEFAULT && new != old {
                    numbers.push_str(if base == 30 { ";39" } else { ";49" });
                } else if new != old {
                    new.write(base, &mut numbers);
                }
            }
            out.push_str("\x1b[");
            out.push_str(numbers.trim_start_matches(';'));
            out.push('m');
        }
    }

    /// Appends the sequence that sets exactly this.
    pub(crate) fn write(self, out: &mut String) {
        use std::fmt::Write;
        out.push_str("\x1b[0");
        let numbers = [
            (BOLD, "1"),
            (DIM, "2"),
            (ITALIC, "3"),
            (BLINK, "5"),
            (INVERSE, "7"),
            (HIDDEN, "8"),
            (STRIKE, "9"),
            (OVERLINE, "53"),
        ];
        for (flag, number) in numbers {
            if self.flags & flag != 0 {
                out.push(';');
                out.push_str(number);
            }
        }
        match (self.flags & UNDERLINE) >> UNDERLINE_SHIFT {
            0 => {}
            1 => out.push_str(";4"),
            2 => out.push_str(";21"),
            // Only those who know of it set it: nobody else must read it.
            style => drop(write!(out, ";4:{style}")),
        }
        self.fg.write(30, out);
        self.bg.write(40, out);
        out.push('m');
    }
}

/// Marks a cell's content as the index of a cluster.
pub(crate) const CLUSTER: u32 = 1 << 31;

/// One column of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Cell {
    /// 0 when nothing was written, a character, or [`CLUSTER`] and an index.
    pub(crate) content: u32,
    pub(crate) attr: Attr,
}

impl Cell {
    pub(crate) const fn erased(attr: Attr) -> Self {
        Self { content: 0, attr }
    }

    pub(crate) fn is_tail(self) -> bool {
        self.attr.flags & TAIL != 0
    }

    pub(crate) fn is_wide(self) -> bool {
        self.attr.flags & WIDE != 0
    }

    /// How it is drawn, without the bookkeeping.
    pub(crate) fn look(self) -> Attr {
        Attr { flags: self.attr.flags & !(WIDE | TAIL), ..self.attr }
    }
}

/// A row. Columns behind its last cell are blank, so most rows are short.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Row {
    pub(crate) cells: Vec<Cell>,
    /// It goes on from the row above, which was full.
    pub(crate) continues: bool,
}

impl Row {
    pub(crate) fn get(&self, col: usize) -> Cell {
        self.cells.get(col).copied().unwrap_or_default()
    }

    /// Makes it a blank row of this look; the memory is kept.
    pub(crate) fn reset(&mut self, cols: usize, attr: Attr) {
        self.cells.clear();
        self.continues = false;
        if attr != Attr::default() {
            self.cells.resize(cols, Cell::erased(attr));
        }
    }

    /// The cells up to `end`, made to exist.
    pub(crate) fn upto(&mut self, end: usize) -> &mut [Cell] {
        if self.cells.len() < end {
            self.cells.resize(end, Cell::default());
        }
        &mut self.cells[..end]
    }

    /// Blanks the other half of wide characters that a change of `from..to` cuts.
    pub(crate) fn split_wide(&mut self, from: usize, to: usize) {
        for edge in [from, to] {
            if self.get(edge).is_tail() && edge > 0 {
                let look = self.cells[edge].look();
                self.cells[edge - 1] = Cell { content: 0, attr: self.cells[edge - 1].look() };
                self.cells[edge] = Cell { content: 0, attr: look };
            }
        }
    }

    /// Erases columns.
    pub(crate) fn erase(&mut self, from: usize, to: usize, attr: Attr) {
        self.split_wide(from, to);
        if attr == Attr::default() && to >= self.cells.len() {
            self.cells.truncate(from);
        } else if from < to {
            self.upto(to)[from..].fill(Cell::erased(attr));
        }
    }

    /// Moves the columns from `at` on to the right by `n`; those pushed out are lost.
    pub(crate) fn insert(&mut self, at: usize, n: usize, cols: usize, attr: Attr) {
        self.split_wide(at, at);
        let n = n.min(cols - at);
        self.upto(cols)[at..].rotate_right(n);
        self.cells[at..at + n].fill(Cell::erased(attr));
        if self.cells[cols - 1].is_wide() {
            self.cells[cols - 1] = Cell { content: 0, attr: self.cells[cols - 1].look() };
        }
        self.trim();
    }

    /// Takes `n` columns out at `at`; the rest moves to the left.
    pub(crate) fn delete(&mut self, at: usize, n: usize, cols: usize, attr: Attr) {
        let n = n.min(cols - at);
        self.split_wide(at, at + n);
        self.upto(cols)[at..].rotate_left(n);
        self.cells[cols - n..].fill(Cell::erased(attr));
        self.trim();
    }

    /// Drops blank cells at the end.
    pub(crate) fn trim(&mut self) {
        let used = self.cells.iter().rposition(|cell| *cell != Cell::default()).map_or(0, |last| last + 1);
        self.cells.truncate(used);
    }
}
