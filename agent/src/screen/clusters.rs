//! Characters with combining marks.
//!
//! A cell has room for one code point. The few that hold more refer to this table.

use std::collections::HashMap;

use super::cell::{CLUSTER, Cell, Row};

/// The most clusters held. Beyond it, after those no longer shown were thrown out, marks are
/// dropped.
const LIMIT: usize = 4096;

/// The longest cluster in bytes: enough for any script, not for a flood of marks.
const LONGEST: usize = 32;

/// The clusters on the screens.
#[derive(Debug, Default)]
pub(crate) struct Clusters {
    texts: Vec<Box<str>>,
    indices: HashMap<Box<str>, u32>,
}

impl Clusters {
    pub(crate) fn is_full(&self) -> bool {
        self.texts.len() >= LIMIT
    }

    /// Adds a mark to what a cell holds.
    pub(crate) fn combine(&mut self, cell: &mut Cell, mark: char) {
        let mut text = String::new();
        self.write(*cell, &mut text);
        text.push(mark);
        if text.len() > LONGEST {
            return;
        }
        let index = match self.indices.get(text.as_str()) {
            Some(&index) => index,
            None if self.is_full() => return,
            None => {
                // Below `LIMIT`.
                let index = self.texts.len() as u32;
                self.texts.push(text.as_str().into());
                self.indices.insert(text.into(), index);
                index
            }
        };
        cell.content = CLUSTER | index;
    }

    /// Appends what a cell shows; a blank for nothing.
    pub(crate) fn write(&self, cell: Cell, out: &mut String) {
        if cell.content & CLUSTER != 0 {
            let index = (cell.content & !CLUSTER) as usize;
            out.push_str(self.texts.get(index).map_or(" ", |text| text));
        } else {
            out.push(char::from_u32(cell.content).filter(|c| *c != '\0').unwrap_or(' '));
        }
    }

    /// Throws out what no row refers to.
    pub(crate) fn collect<'a>(&mut self, rows: impl Iterator<Item = &'a mut Row>) {
        let mut old = std::mem::take(self);
        let mut moved: HashMap<u32, u32> = HashMap::new();
        for cell in rows.flat_map(|row| &mut row.cells).filter(|cell| cell.content & CLUSTER != 0) {
            let index = cell.content & !CLUSTER;
            let new = *moved.entry(index).or_insert_with(|| {
                let text = old.texts.get_mut(index as usize).map(std::mem::take).unwrap_or_default();
                let new = self.texts.len() as u32;
                self.indices.insert(text.clone(), new);
                self.texts.push(text);
                new
            });
            cell.content = CLUSTER | new;
        }
    }
}
