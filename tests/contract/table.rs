//! The form of the tables.
//!
//! ```text
//! who | request | body | answer | and
//! ```
//!
//! *who*: `nobody`; `ann`, `bob` (verified, free plan); `eve` (not verified); `demo` (paid plan);
//! `op` (administrator). `camel` or `snake` before it: in that dialect only.
//!
//! *request*: method and path below `/api/v1`, or a path from `//` on. The method `WAIT` asks
//! until the environment has that status; `CODE` and `LINK` wait for a mail to somebody and keep
//! its six digits or its token under that name.
//!
//! *body*: JSON in camel spelling, respelled where snake is spoken; `-` is none.
//!
//! *answer*: status and shape; `400/422` is by dialect.
//!
//! *and*: what must hold besides. `key~part`: the text under that key has that part, in any
//! case; `key=json`: it is that; `key as name`: it is kept, as `$name` for later lines;
//! `fields a, b`: the fields that are complained about.

use serde_json::Value;

use crate::Dialect;

/// A line.
pub struct Row {
    /// The table and the line, to find it by.
    pub place: String,
    pub only: Option<Dialect>,
    pub who: String,
    pub method: String,
    pub path: String,
    pub body: Option<String>,
    /// In camel, in snake.
    pub status: (u16, u16),
    pub shape: String,
    pub and: Vec<And>,
}

/// What must hold besides.
pub enum And {
    Part(String, String),
    Is(String, Value),
    Keep(String, String),
    Fields(Vec<String>),
}

/// Reads a table.
pub fn read(name: &str, text: &str) -> Vec<Row> {
    let lines =
        text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    lines.map(|(at, line)| row(format!("{name}:{}", at + 1), line)).collect()
}

fn row(place: String, line: &str) -> Row {
    let cells: Vec<&str> = line.split(" | ").map(str::trim).collect();
    let [who, request, body, answer, rest @ ..] = cells.as_slice() else {
        panic!("{place}: a line has four cells or five: {line}");
    };
    let (only, who) = match who.split_once(' ') {
        Some(("camel", who)) => (Some(Dialect::Camel), who.trim()),
        Some(("snake", who)) => (Some(Dialect::Snake), who.trim()),
        _ => (None, *who),
    };
    let (method, path) = request.split_once(' ').unwrap_or_else(|| panic!("{place}: {request}"));
    let (status, shape) = answer.split_once(' ').unwrap_or((*answer, "-"));
    let (camel, snake) = status.split_once('/').unwrap_or((status, status));
    let number = |text: &str| text.parse().unwrap_or(0);
    Row {
        only,
        who: who.to_owned(),
        method: method.to_owned(),
        path: path.trim().to_owned(),
        body: (*body != "-").then(|| (*body).to_owned()),
        status: (number(camel), number(snake)),
        shape: shape.trim().to_owned(),
        and: rest.iter().flat_map(|cell| cell.split(';')).map(|one| and(&place, one.trim())).collect(),
        place,
    }
}

fn and(place: &str, text: &str) -> And {
    if let Some(fields) = text.strip_prefix("fields ") {
        return And::Fields(fields.split(',').map(|field| field.trim().to_owned()).collect());
    }
    if let Some((key, name)) = text.split_once(" as ") {
        return And::Keep(key.trim().to_owned(), name.trim().to_owned());
    }
    if let Some((key, part)) = text.split_once('~') {
        return And::Part(key.to_owned(), part.to_lowercase());
    }
    match text.split_once('=').and_then(|(key, value)| Some((key, serde_json::from_str(value).ok()?))) {
        Some((key, value)) => And::Is(key.to_owned(), value),
        None => panic!("{place}: {text}"),
    }
}
