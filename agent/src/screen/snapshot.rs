//! Writing a terminal's state as the bytes that make another one equal.
//!
//! Only standard sequences are used, and no cleverness: the readers are xterm.js, the Flutter
//! terminal and whatever people run the command line in. It begins with a reset, so only what
//! differs from a fresh terminal is written.

use std::fmt::Write;

use super::cell::{Attr, Cell, Row};
use super::emulator::Term;
use super::grid::Grid;
use super::modes::{Charset, Charsets};

/// Back to the character sets of a terminal just reset.
const PLAIN: &str = "\x1b(B\x1b)B\x1b*B\x1b+B\x0f";

/// Gaps of blanks from this length on are jumped over.
const JUMP: usize = 5;

/// Writes a snapshot of at most `budget` bytes. When it would be larger, the oldest scrollback
/// is left out, then colours and attributes, then the rows at the top.
pub(super) fn write(term: &Term, budget: usize) -> Vec<u8> {
    let mut head = String::from("\x1bc");
    titles(term, &mut head);
    let plain_budget = budget.saturating_sub(head.len());
    let mut body = without_scrollback(term, true, Some(0));
    let attributes = body.len() <= plain_budget;
    let height = term.primary.height();
    let mut cut = 0;
    while body.len() > plain_budget && cut <= height {
        body = without_scrollback(term, false, Some(cut));
        cut += height.div_ceil(16);
    }
    // Below scrollback, the blank rows at the end of the screen have to be written as well.
    let left = plain_budget.saturating_sub(body.len() + 2 * height);
    let mut out = head;
    if attributes && scrollback(&term.primary, term, left, &mut out) {
        body = without_scrollback(term, attributes, None);
    }
    out.push_str(&body);
    out.into_bytes()
}

/// Everything but reset, titles and scrollback, with the first rows left out if there is none
/// of that.
fn without_scrollback(term: &Term, attributes: bool, cut: Option<usize>) -> String {
    let mut out = String::new();
    // The alternate screen is what is looked at, so the other one is cut twice as much.
    let twice = cut.map(|cut| if term.alternate.is_some() { 2 * cut } else { cut });
    rows(&term.primary, term, attributes, twice, &mut out);
    tabs(term, &mut out);
    margins(&term.primary, &mut out);
    saved_cursor(term, &term.primary, term.alternate.is_some(), &mut out);
    if let Some(grid) = &term.alternate {
        out.push_str(if term.primary.saved.is_some() { "\x1b[?1049h" } else { "\x1b[?47h" });
        // Also for terminals that have one screen only, or one scroll region for both.
        if !full(&term.primary) {
            out.push_str("\x1b[r");
        }
        if term.primary.saved.is_some_and(|saved| saved.charsets != Charsets::default()) {
            out.push_str(PLAIN);
        }
        out.push_str("\x1b[0m\x1b[H\x1b[2J");
        rows(grid, term, attributes, Some(cut.unwrap_or(0)), &mut out);
        margins(grid, &mut out);
        saved_cursor(term, grid, false, &mut out);
    }
    if term.modes.other_keys != 0 {
        let _ = write!(out, "\x1b[>4;{}m", term.modes.other_keys);
    }
    cursor(term, &mut out);
    if term.attr != Attr::default() {
        term.attr.write(&mut out);
    }
    charsets(&term.charsets, &mut out);
    term.modes.write(&mut out);
    out
}

fn titles(term: &Term, out: &mut String) {
    for title in &term.titles {
        let _ = write!(out, "\x1b]2;{title}\x07\x1b[22;2t");
    }
    if !term.title.is_empty() || !term.titles.is_empty() {
        let _ = write!(out, "\x1b]2;{}\x07", term.title);
    }
}

/// The newest rows of the scrollback that fit; says whether there are any.
fn scrollback(grid: &Grid, term: &Term, budget: usize, out: &mut String) -> bool {
    let (mut lines, mut left) = (Vec::new(), budget);
    let mut next = grid.rows.front();
    for row in grid.scrollback.iter().rev() {
        let (mut line, mut pen) = (String::new(), Attr::default());
        write_row(row, next, grid.cols, term, true, &mut pen, &mut line);
        if pen != Attr::default() {
            line.push_str("\x1b[0m");
        }
        if !next.is_some_and(follows) {
            line.push_str("\r\n");
        }
        if line.len() > left {
            break;
        }
        left -= line.len();
        lines.push(line);
        next = Some(row);
    }
    lines.iter().rev().for_each(|line| out.push_str(line));
    !lines.is_empty()
}

/// The rows of a screen from the cursor's row on: all of them below scrollback, else from the
/// one after `cut` to the last that is used.
fn rows(grid: &Grid, term: &Term, attributes: bool, cut: Option<usize>, out: &mut String) {
    let used = grid.rows.iter().rposition(|row| !row.cells.is_empty() || row.continues);
    let used = if cut.is_some() { used.map_or(0, |last| last + 1) } else { grid.height() };
    let cut = cut.unwrap_or(0);
    let mut pen = Attr::default();
    if cut > 0 {
        let _ = write!(out, "\x1b[{};1H", cut.min(grid.height() - 1) + 1);
    }
    for (i, row) in grid.rows.iter().enumerate().take(used).skip(cut) {
        let next = grid.rows.get(i + 1).filter(|_| i + 1 < used);
        write_row(row, next, grid.cols, term, attributes, &mut pen, out);
        if next.is_some_and(|next| !follows(next)) {
            // The row that comes into view has the background of that moment.
            if pen.bg != Attr::default().bg {
                out.push_str("\x1b[0m");
                pen = Attr::default();
            }
            out.push_str("\r\n");
        }
    }
    if pen != Attr::default() {
        out.push_str("\x1b[0m");
    }
}

/// Whether a row can be written behind the one above without a line feed. It takes a character
/// in its first column to make a terminal wrap; without one, the two are written as two lines.
fn follows(row: &Row) -> bool {
    row.continues && row.get(0).content != 0
}

/// One row. If the next one continues it, it is written to its end, and that one will follow
/// without a line feed: so the reader's terminal knows that they are one line.
fn write_row(
    row: &Row,
    next: Option<&Row>,
    cols: usize,
    term: &Term,
    attributes: bool,
    pen: &mut Attr,
    out: &mut String,
) {
    let blank = |cell: Cell| cell.content == 0 && (!attributes || cell.look() == Attr::default());
    let used = row.cells.iter().rposition(|cell| !blank(*cell) && !cell.is_tail()).map_or(0, |last| last + 1);
    let full = next.filter(|next| follows(next)).map(|next| {
        // A wide character that wraps leaves the last column blank, in its own look.
        let (last, wrapped) = (row.get(cols - 1), next.get(0));
        let left = wrapped.is_wide() && last == Cell::erased(wrapped.look()) && attributes;
        cols - usize::from(left)
    });
    let end = full.unwrap_or(used).min(cols);
    // Written behind the row above, its first character scrolls this row in, filled with that
    // character's background: what is blank has to be erased again.
    let mut filled = attributes && follows(row) && row.get(0).look().bg != Attr::default().bg;
    let mut col = 0;
    while col < end {
        let gap = (col..end).take_while(|&col| blank(row.get(col)) && !row.get(col).is_tail()).count();
        // The last column of a full row must be written, or the next row would not follow it.
        if gap >= JUMP && !(full.is_some() && col + gap == end) {
            if std::mem::take(&mut filled) {
                erase_rest(pen, out);
            }
            let _ = write!(out, "\x1b[{gap}C");
            col += gap;
            continue;
        }
        let cell = row.get(col);
        if filled && col > 0 && !cell.is_tail() {
            erase_rest(pen, out);
            filled = false;
        }
        col += 1;
        if cell.is_tail() {
            continue;
        }
        let look = if attributes { cell.look() } else { Attr::default() };
        if look != *pen {
            look.write_after(*pen, out);
            *pen = look;
        }
        term.clusters.write(cell, out);
    }
    if filled && end < cols {
        erase_rest(pen, out);
    }
}

/// Erases from the cursor to the end of the line, without a background.
fn erase_rest(pen: &mut Attr, out: &mut String) {
    if *pen != Attr::default() {
        out.push_str("\x1b[0m");
        *pen = Attr::default();
    }
    out.push_str("\x1b[K");
}

fn tabs(term: &Term, out: &mut String) {
    if !term.has_default_tabs() {
        out.push_str("\x1b[3g");
        for col in (0..term.tabs.len()).filter(|&col| term.tabs[col]) {
            let _ = write!(out, "\x1b[{}G\x1bH", col + 1);
        }
    }
}

fn full(grid: &Grid) -> bool {
    grid.top == 0 && grid.bottom == grid.height() - 1
}

fn margins(grid: &Grid, out: &mut String) {
    if !full(grid) {
        let _ = write!(out, "\x1b[{};{}r", grid.top + 1, grid.bottom + 1);
    }
}

/// Puts the cursor where it was saved and saves it, unless the switch to the alternate screen
/// that follows does so.
fn saved_cursor(term: &Term, grid: &Grid, switch_follows: bool, out: &mut String) {
    let Some(saved) = grid.saved else { return };
    place(term, grid, saved.row, saved.row, saved.col, out);
    if saved.attr != Attr::default() {
        saved.attr.write(out);
    }
    charsets(&saved.charsets, out);
    if !switch_follows {
        out.push_str("\x1b7\x1b[0m");
        if saved.charsets != Charsets::default() {
            // It must not show in what is written next.
            out.push_str(PLAIN);
        }
    }
}

fn charsets(charsets: &Charsets, out: &mut String) {
    for (slot, set) in charsets.sets.iter().enumerate() {
        let set = match set {
            Charset::Ascii => continue,
            Charset::Drawing => '0',
            Charset::British => 'A',
        };
        // One of four.
        out.extend(['\x1b', char::from(b"()*+"[slot]), set]);
    }
    out.push_str(["", "\x0e", "\x1bn", "\x1bo"][charsets.active]);
}

/// Puts the cursor in its place.
fn cursor(term: &Term, out: &mut String) {
    let grid = term.shown();
    let mut row = grid.row;
    if term.modes.origin {
        out.push_str("\x1b[?6h");
        row = row.saturating_sub(grid.top);
    }
    place(term, grid, grid.row, row, grid.col, out);
}

/// Moves to a column of `row`, which is addressed as `address`, and leaves no attributes set.
fn place(term: &Term, grid: &Grid, row: usize, address: usize, col: usize, out: &mut String) {
    if col < grid.cols {
        let _ = write!(out, "\x1b[{};{}H", address + 1, col + 1);
        return;
    }
    // Only printing the last character again brings it behind the last column.
    let line = &grid.rows[row];
    let mut col = grid.cols - 1;
    if line.get(col).is_tail() {
        col = col.saturating_sub(1);
    }
    let cell = line.get(col);
    let _ = write!(out, "\x1b[{};{}H", address + 1, col + 1);
    if cell.look() != Attr::default() {
        cell.look().write(out);
    }
    term.clusters.write(cell, out);
    if cell.look() != Attr::default() {
        out.push_str("\x1b[0m");
    }
}
