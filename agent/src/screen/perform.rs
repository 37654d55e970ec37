//! What each sequence does.

use vte::{Params, Perform};

use super::cell::{Attr, BLINK, BOLD, Color, DIM, HIDDEN, INVERSE, ITALIC, OVERLINE, STRIKE};
use super::emulator::{Term, default_tabs};
use super::modes::{Charset, Charsets, Modes};

/// The longest title kept, in bytes.
const TITLE: usize = 1024;

/// How many titles are put aside.
const TITLES: usize = 10;

/// The most that one sequence repeats anything: more than any screen has cells in a row.
const REPEAT: usize = 1000;

impl Perform for Term {
    fn print(&mut self, c: char) {
        Self::print(self, c);
    }

    fn execute(&mut self, byte: u8) {
        self.last = None;
        match byte {
            0x08 => {
                let grid = self.grid();
                grid.restrict();
                grid.col = grid.col.saturating_sub(1);
            }
            b'\t' => self.tab(1),
            b'\n' | 0x0b | 0x0c => self.line_feed(),
            b'\r' => self.grid().col = 0,
            0x0e => self.charsets.active = 1,
            0x0f => self.charsets.active = 0,
            _ => {}
        }
    }

    fn esc_dispatch(&mut self, intermediates: &[u8], _ignore: bool, byte: u8) {
        self.last = None;
        let attr = self.attr.erased();
        match (intermediates, byte) {
            ([], b'7') => self.save_cursor(),
            ([], b'8') => self.restore_cursor(),
            ([], b'D') => {
                let grid = self.grid();
                grid.restrict();
                grid.index(attr);
            }
            ([], b'E') => {
                self.grid().col = 0;
                self.grid().index(attr);
            }
            ([], b'M') => self.grid().reverse(attr),
            ([], b'H') => {
                let col = self.grid().col;
                if let Some(stop) = self.tabs.get_mut(col) {
                    *stop = true;
                }
            }
            ([], b'c') => self.reset(),
            ([], b'=') => self.modes.app_keypad = true,
            ([], b'>') => self.modes.app_keypad = false,
            ([], b'n') => self.charsets.active = 2,
            ([], b'o') => self.charsets.active = 3,
            ([b'#'], b'8') => self.align(),
            ([slot @ b'('..=b'+'], set) => {
                self.charsets.sets[usize::from(slot - b'(')] = match set {
                    b'0' => Charset::Drawing,
                    b'A' => Charset::British,
                    _ => Charset::Ascii,
                };
            }
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], _ignore: bool, action: char) {
        let last = self.last.take();
        let first = param(params, 0);
        let n = usize::from(first.max(1));
        match (intermediates, action) {
            ([], 'm') => self.attributes(params),
            ([], 'b') => {
                for c in last.into_iter().cycle().take(n.min(REPEAT)) {
                    self.print(c);
                }
                self.last = last;
            }
            ([], 'h' | 'l') => self.set_ansi(params, action == 'h'),
            ([b'?'], 'h' | 'l') => {
                for number in params.iter().filter_map(|p| p.first()) {
                    self.set_private(*number, action == 'h');
                }
            }
            ([] | [b'?'], 'J') => self.erase_display(first),
            ([] | [b'?'], 'K') => {
                let attr = self.attr.erased();
                self.grid().erase_in_line(first, attr);
            }
            ([b'!'], 'p') => self.soft_reset(),
            ([b' '], 'q') => self.modes.cursor_style = if first <= 6 { first } else { 0 },
            ([b'>'], 'm') if first == 4 => self.modes.other_keys = param(params, 1),
            ([], 't') => self.window(first, param(params, 1)),
            ([], 'g') => self.clear_tabs(first),
            ([], 's') => self.save_cursor(),
            ([], 'u') => self.restore_cursor(),
            ([], 'I') => self.tab(n),
            ([], 'Z') => self.tab_back(n),
            ([], 'A' | 'B' | 'C' | 'D' | 'E' | 'F' | 'G' | 'H' | 'a' | 'd' | 'e' | 'f' | '`' | 'r') => {
                self.move_cursor(action, n, params);
            }
            ([], '@' | 'L' | 'M' | 'P' | 'S' | 'T' | 'X') => self.edit(action, n, params),
            _ => {}
        }
    }

    fn osc_dispatch(&mut self, params: &[&[u8]], _bell_terminated: bool) {
        self.last = None;
        if let [b"0" | b"2", text @ ..] = params {
            // A title may hold the separator.
            let text = text.join(&b';');
            let text: String = String::from_utf8_lossy(&text).chars().filter(|c| !c.is_control()).collect();
            let end = (0..=TITLE.min(text.len())).rev().find(|&n| text.is_char_boundary(n)).unwrap_or(0);
            self.title = text[..end].to_owned();
        }
    }
}

fn param(params: &Params, n: usize) -> u16 {
    params.iter().nth(n).and_then(|p| p.first().copied()).unwrap_or(0)
}

impl Term {
    fn tab(&mut self, n: usize) {
        for _ in 0..n.min(REPEAT) {
            let col = self.grid().col;
            let stop = (col + 1..self.tabs.len()).find(|&stop| self.tabs[stop]);
            let grid = self.grid();
            if col < grid.cols {
                grid.col = stop.unwrap_or(grid.cols - 1);
            }
        }
    }

    fn tab_back(&mut self, n: usize) {
        for _ in 0..n.min(REPEAT) {
            let col = self.grid().col;
            if col < self.tabs.len() {
                self.grid().col = (0..col).rev().find(|&stop| self.tabs[stop]).unwrap_or(0);
            }
        }
    }

    fn clear_tabs(&mut self, which: u16) {
        match which {
            0 => {
                let col = self.grid().col;
                if let Some(stop) = self.tabs.get_mut(col) {
                    *stop = false;
                }
            }
            3 => self.tabs.fill(false),
            _ => {}
        }
    }

    fn align(&mut self) {
        let origin = self.modes.origin;
        let grid = self.grid();
        let cell = super::cell::Cell { content: 'E'.into(), attr: Attr::default() };
        let cols = grid.cols;
        for row in &mut grid.rows {
            row.reset(cols, Attr::default());
            row.cells.resize(cols, cell);
        }
        grid.go_to(0, 0, origin);
    }

    fn erase_display(&mut self, mode: u16) {
        let attr = self.attr.erased();
        let grid = self.grid();
        match mode {
            0 => grid.erase_below(attr),
            1 => grid.erase_above(attr),
            2 => grid.erase_rows(0, grid.height(), attr),
            3 => grid.clear_scrollback(),
            _ => {}
        }
    }

    fn move_cursor(&mut self, action: char, n: usize, params: &Params) {
        let origin = self.modes.origin;
        let grid = self.grid();
        let (row, col) = (grid.row, grid.col.min(grid.cols - 1));
        match action {
            'A' => grid.up(n),
            'B' => grid.down(n),
            'C' | 'a' => grid.col = (col + n).min(grid.cols - 1),
            'D' => grid.col = col.saturating_sub(n),
            'E' => {
                grid.down(n);
                grid.col = 0;
            }
            'F' => {
                grid.up(n);
                grid.col = 0;
            }
            'G' | '`' => grid.col = (n - 1).min(grid.cols - 1),
            'd' => grid.go_to(n - 1, col, origin),
            'e' => grid.go_to((row + n).saturating_sub(if origin { grid.top } else { 0 }), col, origin),
            'r' => {
                let height = grid.height();
                let bottom = usize::from(param(params, 1));
                let bottom = if bottom == 0 || bottom > height { height } else { bottom };
                if bottom > n {
                    (grid.top, grid.bottom) = (n - 1, bottom - 1);
                    grid.go_to(0, 0, origin);
                }
            }
            _ => grid.go_to(n - 1, usize::from(param(params, 1).max(1)) - 1, origin),
        }
    }

    fn edit(&mut self, action: char, n: usize, params: &Params) {
        let attr = self.attr.erased();
        let grid = self.grid();
        let cols = grid.cols;
        match action {
            'S' => grid.shift_up(grid.top, n, attr),
            // With more parameters it is something else (mouse highlighting).
            'T' if params.len() <= 1 => grid.shift_down(grid.top, n, attr),
            'L' | 'M' => {
                grid.restrict();
                if grid.in_region() {
                    if action == 'L' {
                        grid.shift_down(grid.row, n, attr);
                    } else {
                        grid.shift_up(grid.row, n, attr);
                    }
                    grid.col = 0;
                }
            }
            '@' | 'P' | 'X' => {
                grid.restrict();
                let col = grid.col;
                match action {
                    '@' => grid.line().insert(col, n, cols, attr),
                    'P' => grid.line().delete(col, n, cols, attr),
                    _ => grid.line().erase(col, (col + n).min(cols), attr),
                }
            }
            _ => {}
        }
    }

    fn set_ansi(&mut self, params: &Params, on: bool) {
        for number in params.iter().filter_map(|p| p.first()) {
            match number {
                4 => self.modes.insert = on,
                20 => self.modes.newline = on,
                _ => {}
            }
        }
    }

    fn set_private(&mut self, number: u16, on: bool) {
        match number {
            6 => {
                self.modes.origin = on;
                self.grid().go_to(0, 0, on);
            }
            47 | 1047 if on => self.show_alternate(),
            47 | 1047 => self.show_primary(),
            1048 if on => self.save_cursor(),
            1048 => self.restore_cursor(),
            1049 if on => {
                self.save_cursor();
                self.show_alternate();
            }
            1049 => {
                self.show_primary();
                self.restore_cursor();
            }
            _ => self.modes.set_private(number, on),
        }
    }

    fn soft_reset(&mut self) {
        let fresh = Modes::default();
        self.modes.visible = true;
        self.modes.insert = false;
        self.modes.origin = false;
        self.modes.autowrap = fresh.autowrap;
        self.modes.app_cursor = false;
        self.modes.app_keypad = false;
        self.attr = Attr::default();
        self.charsets = Charsets::default();
        let grid = self.grid();
        (grid.top, grid.bottom) = (0, grid.height() - 1);
        grid.saved = None;
    }

    fn window(&mut self, operation: u16, which: u16) {
        match (operation, which) {
            (22, 0 | 2) if self.titles.len() < TITLES => self.titles.push(self.title.clone()),
            (23, 0 | 2) => self.title = self.titles.pop().unwrap_or_else(|| std::mem::take(&mut self.title)),
            _ => {}
        }
    }

    fn attributes(&mut self, params: &Params) {
        let mut list = params.iter();
        while let Some(group) = list.next() {
            let attr = &mut self.attr;
            match group {
                [] | [0, ..] => *attr = Attr::default(),
                [1, ..] => attr.set(BOLD, true),
                [2, ..] => attr.set(DIM, true),
                [3, ..] => attr.set(ITALIC, true),
                [4] => attr.set_underline(1),
                [4, style, ..] => attr.set_underline(*style),
                [5 | 6, ..] => attr.set(BLINK, true),
                [7, ..] => attr.set(INVERSE, true),
                [8, ..] => attr.set(HIDDEN, true),
                [9, ..] => attr.set(STRIKE, true),
                [21, ..] => attr.set_underline(2),
                [22, ..] => attr.set(BOLD | DIM, false),
                [23, ..] => attr.set(ITALIC, false),
                [24, ..] => attr.set_underline(0),
                [25, ..] => attr.set(BLINK, false),
                [27, ..] => attr.set(INVERSE, false),
                [28, ..] => attr.set(HIDDEN, false),
                [29, ..] => attr.set(STRIKE, false),
                [53, ..] => attr.set(OVERLINE, true),
                [55, ..] => attr.set(OVERLINE, false),
                [n @ 30..=37, ..] => attr.fg = Color::ansi((n - 30) as u8),
                [n @ 90..=97, ..] => attr.fg = Color::ansi((n - 82) as u8),
                [n @ 40..=47, ..] => attr.bg = Color::ansi((n - 40) as u8),
                [n @ 100..=107, ..] => attr.bg = Color::ansi((n - 92) as u8),
                [39, ..] => attr.fg = Color::DEFAULT,
                [49, ..] => attr.bg = Color::DEFAULT,
                [which @ (38 | 48 | 58), rest @ ..] => {
                    let color = if rest.is_empty() { separate_color(&mut list) } else { joined_color(rest) };
                    match (which, color) {
                        (38, Some(color)) => attr.fg = color,
                        (48, Some(color)) => attr.bg = color,
                        _ => {}
                    }
                }
                _ => {}
            }
        }
    }
}

/// A colour whose numbers are joined by colons; the colour space may be left out.
fn joined_color(numbers: &[u16]) -> Option<Color> {
    match numbers {
        [5, n, ..] => Some(Color::indexed(*n as u8)),
        [2, r, g, b] | [2, _, r, g, b, ..] => Some(Color::rgb(*r as u8, *g as u8, *b as u8)),
        _ => None,
    }
}

/// A colour whose numbers are parameters of their own.
fn separate_color<'a>(list: &mut impl Iterator<Item = &'a [u16]>) -> Option<Color> {
    let mut next = || list.next().and_then(|p| p.first().copied());
    match next()? {
        5 => Some(Color::indexed(next()? as u8)),
        2 => Some(Color::rgb(next()? as u8, next()? as u8, next()? as u8)),
        _ => None,
    }
}

impl Term {
    /// Whether the tab stops are those of a terminal just switched on.
    pub(super) fn has_default_tabs(&self) -> bool {
        self.tabs == default_tabs(self.tabs.len())
    }
}
