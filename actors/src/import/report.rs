//! What an import did.

use std::collections::BTreeMap;
use std::fmt;

/// Lines that are kept; of more, only the number.
const LINES: usize = 500;

/// What became of the rows of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Count {
    /// Rows in the old database.
    pub read: u64,
    /// Rows that were added.
    pub added: u64,
    /// Rows that were here already; they were left as they are.
    pub present: u64,
    /// Rows that were left out.
    pub left_out: u64,
}

/// What an import did.
#[derive(Debug, Default)]
pub struct Report {
    tables: Vec<(&'static str, Count)>,
    notes: Lines,
    problems: Lines,
}

#[derive(Debug, Default)]
struct Lines {
    first: Vec<String>,
    more: u64,
}

impl Lines {
    fn push(&mut self, line: String) {
        if self.first.len() < LINES {
            self.first.push(line);
        } else {
            self.more += 1;
        }
    }
}

impl Report {
    /// The counts, by table, in the order in which they were imported.
    #[must_use]
    pub fn tables(&self) -> BTreeMap<&'static str, Count> {
        self.tables.iter().cloned().collect()
    }

    /// Whether everything that can be imported was.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.problems.first.is_empty()
    }

    /// What was left out, and what to do about it.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems.first
    }

    /// What was changed on the way.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes.first
    }

    pub(super) fn count(&mut self, table: &'static str, count: Count) {
        self.tables.push((table, count));
    }

    pub(super) fn note(&mut self, line: String) {
        self.notes.push(line);
    }

    pub(super) fn problem(&mut self, line: String) {
        self.problems.push(line);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<22} {:>9} {:>9} {:>9} {:>9}", "", "read", "added", "present", "left out")?;
        for (table, Count { read, added, present, left_out }) in &self.tables {
            writeln!(f, "{table:<22} {read:>9} {added:>9} {present:>9} {left_out:>9}")?;
        }
        for (title, lines) in [("note", &self.notes), ("LEFT OUT", &self.problems)] {
            lines.first.iter().try_for_each(|line| writeln!(f, "{title}: {line}"))?;
            if lines.more > 0 {
                writeln!(f, "{title}: and {} more", lines.more)?;
            }
        }
        Ok(())
    }
}
