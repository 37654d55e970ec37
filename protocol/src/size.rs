//! The size of a terminal.

use serde::{Deserialize, Serialize};

/// A terminal's size in character cells. Both sides lie within 1 to [`Size::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "RawSize")]
pub struct Size {
    cols: u16,
    rows: u16,
}

/// A size outside of 1 to [`Size::MAX`] cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a terminal has 1 to {max} columns and rows, not {cols}×{rows}", max = Size::MAX)]
pub struct InvalidSize {
    cols: u16,
    rows: u16,
}

#[derive(Deserialize)]
struct RawSize {
    cols: u16,
    rows: u16,
}

impl TryFrom<RawSize> for Size {
    type Error = InvalidSize;

    fn try_from(raw: RawSize) -> Result<Self, InvalidSize> {
        Self::new(raw.cols, raw.rows)
    }
}

impl Size {
    /// The largest number of columns or rows: bounds what a screen can cost.
    pub const MAX: u16 = 1000;

    /// What a terminal has when nobody said anything else.
    pub const DEFAULT: Self = Self { cols: 80, rows: 24 };

    /// Makes a size.
    ///
    /// # Errors
    /// When a side is 0 or above [`Size::MAX`].
    pub fn new(cols: u16, rows: u16) -> Result<Self, InvalidSize> {
        let valid = 1..=Self::MAX;
        if valid.contains(&cols) && valid.contains(&rows) {
            Ok(Self { cols, rows })
        } else {
            Err(InvalidSize { cols, rows })
        }
    }

    /// Columns, 1 to [`Size::MAX`].
    #[must_use]
    pub const fn cols(self) -> u16 {
        self.cols
    }

    /// Rows, 1 to [`Size::MAX`].
    #[must_use]
    pub const fn rows(self) -> u16 {
        self.rows
    }
}

impl Default for Size {
    fn default() -> Self {
        Self::DEFAULT
    }
}
