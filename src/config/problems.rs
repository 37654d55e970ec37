//! What is wrong with a configuration, in words for who has to mend it.

use std::fmt;

/// One variable that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its name.
    pub variable: &'static str,
    /// What it holds; `None` when it is not set.
    pub found: Option<Found>,
    /// What it should hold.
    pub expected: String,
}

/// What a variable holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// This.
    Text(String),
    /// A secret: only its length is told.
    Secret(usize),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.found {
            None => write!(f, "{}: not set", self.variable)?,
            Some(Found::Text(text)) => write!(f, "{}: found {text:?}", self.variable)?,
            Some(Found::Secret(length)) => {
                write!(f, "{}: found a secret of {length} characters", self.variable)?;
            }
        }
        write!(f, ", expected {}", self.expected)
    }
}

/// All problems of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration cannot be used:")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for Problems {}
