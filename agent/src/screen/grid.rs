//! One screen: rows, cursor, margins, scrollback.

use std::collections::VecDeque;

use super::cell::{Attr, Cell, Row};
use super::modes::Charsets;

/// How many rows of scrollback are held.
pub(crate) const SCROLLBACK: usize = 500;

/// How many cells those rows may have together: more than a snapshot could carry. This bounds
/// the memory of a session to about 1 MiB however wide its terminal is.
const SCROLLBACK_CELLS: usize = 64 * 1024;

/// What DECSC saves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Saved {
    pub(crate) row: usize,
    pub(crate) col: usize,
    pub(crate) attr: Attr,
    pub(crate) charsets: Charsets,
}

/// The primary or the alternate screen.
#[derive(Debug)]
pub(crate) struct Grid {
    pub(crate) cols: usize,
    /// As many as the screen is high, always at least one.
    pub(crate) rows: VecDeque<Row>,
    pub(crate) scrollback: VecDeque<Row>,
    scrollback_cells: usize,
    keeps_scrollback: bool,
    pub(crate) row: usize,
    /// Up to `cols`: there, the next character goes to the next row.
    pub(crate) col: usize,
    /// First and last row of the scroll region.
    pub(crate) top: usize,
    pub(crate) bottom: usize,
    pub(crate) saved: Option<Saved>,
}

impl Grid {
    pub(crate) fn new(cols: usize, rows: usize, keeps_scrollback: bool, attr: Attr) -> Self {
        let mut blank = Row::default();
        blank.reset(cols, attr);
        Self {
            cols,
            rows: std::iter::repeat_n(blank, rows).collect(),
            scrollback: VecDeque::new(),
            scrollback_cells: 0,
            keeps_scrollback,
            row: 0,
            col: 0,
            top: 0,
            bottom: rows - 1,
            saved: None,
        }
    }

    pub(crate) fn height(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn line(&mut self) -> &mut Row {
        &mut self.rows[self.row]
    }

    /// Takes the cursor back from behind the last column.
    pub(crate) fn restrict(&mut self) {
        self.col = self.col.min(self.cols - 1);
    }

    /// Moves to a position given by a program.
    pub(crate) fn go_to(&mut self, row: usize, col: usize, origin: bool) {
        let (top, bottom) = if origin { (self.top, self.bottom) } else { (0, self.height() - 1) };
        self.row = top.saturating_add(row).min(bottom);
        self.col = col.min(self.cols - 1);
    }

    pub(crate) fn up(&mut self, n: usize) {
        self.restrict();
        let limit = if self.row >= self.top { self.top } else { 0 };
        self.row = self.row.saturating_sub(n).max(limit);
    }

    pub(crate) fn down(&mut self, n: usize) {
        self.restrict();
        let limit = if self.row <= self.bottom { self.bottom } else { self.height() - 1 };
        self.row = self.row.saturating_add(n).min(limit);
    }

    /// One row down, scrolling at the end of the region.
    pub(crate) fn index(&mut self, attr: Attr) {
        if self.row == self.bottom {
            self.scroll(attr);
        } else if self.row + 1 < self.height() {
            self.row += 1;
        }
    }

    /// As [`Grid::index`]; the row reached is said to continue the one before, or not.
    pub(crate) fn advance(&mut self, continues: bool, attr: Attr) {
        self.index(attr);
        self.line().continues = continues;
    }

    pub(crate) fn reverse(&mut self, attr: Attr) {
        self.restrict();
        if self.row == self.top {
            self.shift_down(self.top, 1, attr);
        } else {
            self.row = self.row.saturating_sub(1);
        }
    }

    /// Scrolls the region by one row. What leaves at the very top is kept.
    fn scroll(&mut self, attr: Attr) {
        let cols = self.cols;
        if self.top > 0 {
            return self.shift_up(self.top, 1, attr);
        }
        let Some(gone) = self.rows.pop_front() else { return };
        let mut fresh = self.keep(gone);
        fresh.reset(cols, attr);
        if self.bottom == self.rows.len() {
            self.rows.push_back(fresh);
        } else {
            self.rows.insert(self.bottom, fresh);
        }
    }

    /// Puts a row into the scrollback; returns one to be used again.
    fn keep(&mut self, mut row: Row) -> Row {
        if !self.keeps_scrollback {
            return row;
        }
        if row.cells.last() == Some(&Cell::default()) {
            row.trim();
        }
        self.scrollback_cells += row.cells.len();
        self.scrollback.push_back(row);
        let mut spare = None;
        while self.scrollback.len() > SCROLLBACK || self.scrollback_cells > SCROLLBACK_CELLS {
            spare = self.scrollback.pop_front();
            self.scrollback_cells -= spare.as_ref().map_or(0, |row| row.cells.len());
        }
        spare.unwrap_or_default()
    }

    pub(crate) fn clear_scrollback(&mut self) {
        self.scrollback = VecDeque::new();
        self.scrollback_cells = 0;
    }

    /// Sets scrollback and screen anew, as a resize does.
    pub(crate) fn set_rows(&mut self, scrollback: Vec<Row>, rows: VecDeque<Row>) {
        self.rows = rows;
        self.clear_scrollback();
        for row in scrollback {
            self.keep(row);
        }
    }

    /// Moves the rows from `from` to the end of the region up by `n`.
    pub(crate) fn shift_up(&mut self, from: usize, n: usize, attr: Attr) {
        let n = n.min(self.bottom + 1 - from);
        for _ in 0..n {
            if let Some(mut row) = self.rows.remove(from) {
                row.reset(self.cols, attr);
                self.rows.insert(self.bottom, row);
            }
        }
    }

    /// Moves the rows from `from` to the end of the region down by `n`.
    pub(crate) fn shift_down(&mut self, from: usize, n: usize, attr: Attr) {
        let n = n.min(self.bottom + 1 - from);
        for _ in 0..n {
            if let Some(mut row) = self.rows.remove(self.bottom) {
                row.reset(self.cols, attr);
                self.rows.insert(from, row);
            }
        }
    }

    pub(crate) fn in_region(&self) -> bool {
        (self.top..=self.bottom).contains(&self.row)
    }

    /// Erases whole rows.
    pub(crate) fn erase_rows(&mut self, from: usize, to: usize, attr: Attr) {
        let cols = self.cols;
        self.rows.range_mut(from..to).for_each(|row| row.reset(cols, attr));
    }

    pub(crate) fn erase_below(&mut self, attr: Attr) {
        let (row, col, cols) = (self.row, self.col, self.cols);
        self.line().erase(col.min(cols), cols, attr);
        if col == 0 {
            self.line().continues = false;
        }
        self.erase_rows(row + 1, self.height(), attr);
    }

    pub(crate) fn erase_above(&mut self, attr: Attr) {
        let (row, end) = (self.row, (self.col + 1).min(self.cols));
        self.line().erase(0, end, attr);
        self.line().continues = false;
        if end == self.cols && row + 1 < self.height() {
            self.rows[row + 1].continues = false;
        }
        self.erase_rows(0, row, attr);
    }

    pub(crate) fn erase_in_line(&mut self, mode: u16, attr: Attr) {
        let (col, cols) = (self.col, self.cols);
        let line = self.line();
        match mode {
            0 => {
                line.erase(col, cols, attr);
                line.continues &= col > 0;
            }
            1 => line.erase(0, (col + 1).min(cols), attr),
            2 => {
                line.erase(0, cols, attr);
                line.continues = false;
            }
            _ => {}
        }
    }
}
