//! Two dialects, one model.
//!
//! Existing clients come in two families. They send and expect the same things in different
//! clothes: `fullName` or `full_name`, `RUNNING` or `running`, a list in an envelope or bare.
//! Handlers know neither. What comes in is read in both spellings ([`crate::http::input`]);
//! what goes out is a [`View`], written in the caller's dialect by the outermost layer. Here is
//! all that knows the difference:
//!
//! * [`Spoken`]: which dialect a request is in.
//! * [`Rules`]: where the two differ in behaviour, one table.
//! * `spelling`: keys and words.
//! * [`views`]: every body, and what each dialect has beyond spelling.

mod rules;
pub mod spelling;
mod spoken;
mod view;
pub mod views;

use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use self::rules::Rules;
pub use self::spoken::{HEADER, Spoken};
pub use self::view::{Rendered, Reply, View};

/// A family of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// `fullName`, `RUNNING`, lists in envelopes: the reference server's.
    #[default]
    Camel,
    /// `full_name`, `running`, bare lists: the mobile app's.
    Snake,
}

impl Dialect {
    /// Where this dialect differs in behaviour.
    #[must_use]
    pub const fn rules(self) -> &'static Rules {
        Rules::of(self)
    }
}

impl FromStr for Dialect {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "camel" => Ok(Self::Camel),
            "snake" => Ok(Self::Snake),
            _ => Err(()),
        }
    }
}
