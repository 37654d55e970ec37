//! What a change of size does to the rows.
//!
//! The same as xterm.js does: rows that were one line are joined and cut anew, except for the
//! line that the cursor is on, which its program draws again.

use std::collections::VecDeque;

use super::cell::{Cell, Row};
use super::grid::Grid;

impl Grid {
    pub(super) fn resize(&mut self, cols: usize, height: usize, reflow: bool) {
        let old_cols = self.cols;
        let mut base = self.scrollback.len();
        let mut rows: Vec<Row> = self.scrollback.drain(..).chain(self.rows.drain(..)).collect();
        let old_height = rows.len() - base;
        for _ in old_height..height {
            if base > 0 && rows.len() <= base + self.row + 1 {
                base -= 1;
                self.row += 1;
            } else {
                rows.push(Row::default());
            }
        }
        for _ in height..old_height {
            if rows.len() > base + self.row + 1 {
                rows.pop();
            } else {
                base += 1;
                self.row = self.row.saturating_sub(1);
            }
        }
        self.cols = cols;
        self.col = self.col.min(cols - 1);
        (self.top, self.bottom) = (0, height - 1);
        if let Some(saved) = &mut self.saved {
            saved.row = saved.row.min(height - 1);
            saved.col = saved.col.min(cols - 1);
        }
        if cols != old_cols {
            let cursor = base + self.row;
            let (cut, new_cursor) =
                if reflow { cut_anew(rows, cursor, old_cols, cols) } else { (rows, cursor) };
            rows = cut;
            self.row = if base == 0 { new_cursor.min(height - 1) } else { self.row.min(new_cursor) };
            base = new_cursor - self.row;
            rows.iter_mut().for_each(|row| clip(row, cols));
        }
        rows.resize(base + height, Row::default());
        let screen: VecDeque<Row> = rows.drain(base..).collect();
        self.set_rows(rows, screen);
    }
}

/// Joins the rows of each line and cuts them at `cols`. Returns where the cursor's row is then.
fn cut_anew(rows: Vec<Row>, cursor: usize, old_cols: usize, cols: usize) -> (Vec<Row>, usize) {
    let (mut out, mut new_cursor) = (Vec::with_capacity(rows.len()), 0);
    let mut rest = rows.into_iter().enumerate().peekable();
    while let Some((first, row)) = rest.next() {
        let mut line = vec![row];
        while let Some((_, row)) = rest.next_if(|(_, row)| row.continues) {
            line.push(row);
        }
        if (first..first + line.len()).contains(&cursor) {
            new_cursor = out.len() + cursor - first;
            out.append(&mut line);
        } else if line.len() == 1 && line[0].cells.len() <= cols {
            out.append(&mut line);
        } else {
            cut(&join(line, old_cols), cols, &mut out);
        }
    }
    (out, new_cursor)
}

fn join(line: Vec<Row>, cols: usize) -> Row {
    let mut joined = Row { cells: Vec::new(), continues: line.first().is_some_and(|row| row.continues) };
    let mut rows = line.into_iter().peekable();
    while let Some(mut row) = rows.next() {
        if let Some(next) = rows.peek() {
            // Without the blank that a wide character left at the end.
            let left = usize::from(next.get(0).is_wide() && row.get(cols - 1).content == 0);
            row.upto(cols);
            row.cells.truncate(cols - left);
        } else {
            row.trim();
        }
        joined.cells.append(&mut row.cells);
    }
    joined
}

fn cut(line: &Row, cols: usize, out: &mut Vec<Row>) {
    let (mut rest, mut continues) = (&line.cells[..], line.continues);
    loop {
        let mut n = rest.len().min(cols);
        if n < rest.len() && rest[n].is_tail() && n > 1 {
            n -= 1;
        }
        out.push(Row { cells: rest[..n].to_vec(), continues });
        rest = &rest[n..];
        continues = true;
        if rest.is_empty() {
            return;
        }
    }
}

/// Cuts a row off at `cols`, wide characters at the edge with it.
fn clip(row: &mut Row, cols: usize) {
    row.cells.truncate(cols);
    if let Some(last) = row.cells.last_mut()
        && last.is_wide()
    {
        *last = Cell { content: 0, attr: last.look() };
    }
    if let Some(first) = row.cells.first_mut()
        && first.is_tail()
    {
        *first = Cell { content: 0, attr: first.look() };
    }
}
