//! What a terminal can be set to.

/// A character set that a program can choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Charset {
    #[default]
    Ascii,
    /// Lines and corners.
    Drawing,
    British,
}

/// The four sets and which of them is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Charsets {
    pub(crate) sets: [Charset; 4],
    pub(crate) active: usize,
}

impl Charsets {
    /// Whether every byte stands for itself.
    pub(crate) fn is_plain(&self) -> bool {
        self.sets[self.active] == Charset::Ascii
    }

    pub(crate) fn translate(&self, c: char) -> char {
        const DRAWING: &str = "\u{a0}♦▒␉␌␍␊°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·";
        match self.sets[self.active] {
            Charset::Drawing if ('_'..='~').contains(&c) => {
                DRAWING.chars().nth(c as usize - '_' as usize).unwrap_or(c)
            }
            Charset::British if c == '#' => '£',
            _ => c,
        }
    }
}

/// The modes that a program can set and must find as it left them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Modes {
    pub(crate) app_cursor: bool,
    pub(crate) app_keypad: bool,
    pub(crate) autowrap: bool,
    pub(crate) reverse_wrap: bool,
    pub(crate) origin: bool,
    pub(crate) insert: bool,
    pub(crate) newline: bool,
    pub(crate) visible: bool,
    pub(crate) inverse_screen: bool,
    pub(crate) bracketed_paste: bool,
    pub(crate) focus: bool,
    /// 9, 1000, 1002, 1003, or 0 for none.
    pub(crate) mouse: u16,
    /// 1005, 1006, 1015, 1016, or 0 for the default.
    pub(crate) mouse_encoding: u16,
    /// DECSCUSR's number.
    pub(crate) cursor_style: u16,
    pub(crate) cursor_blink: bool,
    /// The resource 4 of XTMODKEYS: how keys with modifiers are told.
    pub(crate) other_keys: u16,
}

impl Default for Modes {
    fn default() -> Self {
        Self {
            app_cursor: false,
            app_keypad: false,
            autowrap: true,
            reverse_wrap: false,
            origin: false,
            insert: false,
            newline: false,
            visible: true,
            inverse_screen: false,
            bracketed_paste: false,
            focus: false,
            mouse: 0,
            mouse_encoding: 0,
            cursor_style: 0,
            cursor_blink: false,
            other_keys: 0,
        }
    }
}

impl Modes {
    /// Sets or resets the mode of a DEC number that changes nothing else.
    pub(crate) fn set_private(&mut self, number: u16, on: bool) {
        match number {
            1 => self.app_cursor = on,
            5 => self.inverse_screen = on,
            7 => self.autowrap = on,
            12 => self.cursor_blink = on,
            25 => self.visible = on,
            45 => self.reverse_wrap = on,
            66 => self.app_keypad = on,
            9 | 1000 | 1002 | 1003 => self.mouse = if on { number } else { 0 },
            1005 | 1006 | 1015 | 1016 => self.mouse_encoding = if on { number } else { 0 },
            1004 => self.focus = on,
            2004 => self.bracketed_paste = on,
            _ => {}
        }
    }

    /// Appends the sequences for all that differs from a terminal that was just reset.
    pub(crate) fn write(&self, out: &mut String) {
        use std::fmt::Write;
        let mut private = |number: u16, on: bool| {
            let _ = write!(out, "\x1b[?{number}{}", if on { 'h' } else { 'l' });
        };
        let switches = [
            (1, self.app_cursor),
            (5, self.inverse_screen),
            (12, self.cursor_blink),
            (45, self.reverse_wrap),
            (1004, self.focus),
            (2004, self.bracketed_paste),
        ];
        switches.into_iter().filter(|(_, on)| *on).for_each(|(number, on)| private(number, on));
        for number in [self.mouse, self.mouse_encoding] {
            if number != 0 {
                private(number, true);
            }
        }
        for (number, on) in [(7, self.autowrap), (25, self.visible)] {
            if !on {
                private(number, false);
            }
        }
        if self.insert {
            out.push_str("\x1b[4h");
        }
        if self.newline {
            out.push_str("\x1b[20h");
        }
        if self.app_keypad {
            out.push_str("\x1b=");
        }
        if self.cursor_style != 0 {
            let _ = write!(out, "\x1b[{} q", self.cursor_style);
        }
    }
}
