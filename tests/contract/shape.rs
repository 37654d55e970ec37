//! The members of answers, exactly.
//!
//! ```text
//! Name = key:type key:type …        what camel has, and snake in its spelling
//! Name == key:type …                the same keys in both
//! Name += key:type …                what snake has besides, in its spelling
//! ```
//!
//! A *type* is `text`, `bool`, `int`, `number`, `time` (ISO 8601 in UTC), `null`, a word of
//! [`WORDS`], `texts` (a map of texts), another shape, or one of these in brackets: a list.
//! `?` behind it: or null. `?` behind the key: or absent. `Name = type` is that type under
//! another name; `Name += type` makes it another one in snake.

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;
use serde_json::Value;

use crate::Dialect;

const SHAPES: &str = include_str!("shapes");

/// Enumerations: lower case in snake.
const WORDS: &[(&str, &[&str])] = &[
    ("plan", &["FREE", "STARTER", "PRO", "ENTERPRISE"]),
    ("role", &["USER", "SUPPORT", "ADMIN"]),
    ("category", &["PROGRAMMING_LANGUAGE", "FRAMEWORK", "DATABASE", "DEVOPS", "OPERATING_SYSTEM"]),
    ("templateStatus", &["ACTIVE", "BETA", "DEPRECATED"]),
    ("clusterStatus", &["ACTIVE", "INACTIVE", "MAINTENANCE"]),
    ("sessionStatus", &["ACTIVE", "INACTIVE", "TERMINATED"]),
    ("level", &["DEBUG", "INFO", "WARN", "ERROR"]),
    ("phase", STATUSES),
];

const STATUSES: &[&str] = &[
    "CREATING",
    "PROVISIONING",
    "INSTALLING",
    "CONFIGURING",
    "RUNNING",
    "STOPPED",
    "STOPPING",
    "RESTARTING",
    "ERROR",
    "TERMINATED",
];

/// All that the mobile app knows.
const FIVE: &[&str] = &["creating", "running", "stopped", "terminated", "error"];

/// Every shape there is.
pub struct Shapes {
    camel: BTreeMap<&'static str, &'static str>,
    /// Those whose keys are the same in both.
    alike: BTreeSet<&'static str>,
    snake: BTreeMap<&'static str, &'static str>,
}

impl Shapes {
    pub fn read() -> Self {
        let (mut camel, mut snake, mut alike) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        for line in SHAPES.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
            let (name, members) = line.split_once('=').unwrap_or_else(|| panic!("a shape: {line}"));
            let name = name.trim();
            let members = members.strip_prefix('=').map_or(members, |members| {
                alike.insert(name);
                members
            });
            let (map, name) = match name.strip_suffix('+') {
                Some(name) => (&mut snake, name.trim()),
                None => (&mut camel, name),
            };
            assert!(map.insert(name, members.trim()).is_none(), "{name} is there twice");
        }
        Self { camel, alike, snake }
    }

    /// What of a value is not as its shape says.
    pub fn check(&self, dialect: Dialect, shape: &str, value: &Value) -> Vec<String> {
        let mut wrong = Vec::new();
        if shape != "-" {
            self.one(dialect, shape, value, "", &mut wrong);
        }
        wrong
    }

    fn one(&self, dialect: Dialect, kind: &str, value: &Value, at: &str, wrong: &mut Vec<String>) {
        let (kind, may_be_null) = kind.strip_suffix('?').map_or((kind, false), |kind| (kind, true));
        if may_be_null && value.is_null() {
            return;
        }
        if let Some(kind) = kind.strip_prefix('[').and_then(|kind| kind.strip_suffix(']')) {
            match value.as_array() {
                Some(items) => {
                    for (index, item) in items.iter().enumerate() {
                        self.one(dialect, kind, item, &format!("{at}[{index}]"), wrong);
                    }
                }
                None => wrong.push(format!("{at} is no list: {}", short(value))),
            }
            return;
        }
        if self.camel.contains_key(kind) {
            self.object(dialect, kind, value, at, wrong);
        } else if !is(dialect, kind, value) {
            wrong.push(format!("{at} is no {kind}: {}", short(value)));
        }
    }

    fn object(&self, dialect: Dialect, name: &str, value: &Value, at: &str, wrong: &mut Vec<String>) {
        let more = self.snake.get(name).filter(|_| dialect == Dialect::Snake);
        let alias = [more, self.camel.get(name)].into_iter().flatten().find(|text| !text.contains(':'));
        if let Some(kind) = alias {
            return self.one(dialect, kind, value, at, wrong);
        }
        let Some(found) = value.as_object() else {
            return wrong.push(format!("{at} is no {name}: {}", short(value)));
        };
        let mut expected = BTreeMap::new();
        self.members(dialect, name, &mut expected);
        for (key, kind) in &expected {
            let (key, may_be_absent) = key.strip_suffix('?').map_or((key.as_str(), false), |key| (key, true));
            match found.get(key) {
                Some(value) => self.one(dialect, kind, value, &format!("{at}.{key}"), wrong),
                None if may_be_absent => {}
                None => wrong.push(format!("{at}.{key} is missing")),
            }
        }
        for (key, value) in found {
            if !expected.contains_key(key) && !expected.contains_key(&format!("{key}?")) {
                wrong.push(format!("{at}.{key} is not expected: {}", short(value)));
            }
        }
    }

    fn members(&self, dialect: Dialect, name: &str, into: &mut BTreeMap<String, String>) {
        let mut take = |text: &str, spell: bool| {
            for member in text.split_whitespace() {
                let Some((key, kind)) = member.split_once(':') else {
                    self.members(dialect, member, into);
                    continue;
                };
                let key = if spell { dialect.spell(key) } else { key.to_owned() };
                into.insert(key, kind.to_owned());
            }
        };
        take(self.camel.get(name).unwrap_or_else(|| panic!("no shape {name}")), !self.alike.contains(name));
        if dialect == Dialect::Snake
            && let Some(more) = self.snake.get(name)
        {
            take(more, false);
        }
    }
}

fn is(dialect: Dialect, kind: &str, value: &Value) -> bool {
    let word = |words: &[&str]| match (value.as_str(), dialect) {
        (Some(text), Dialect::Camel) => words.contains(&text),
        (Some(text), Dialect::Snake) => words.iter().any(|word| word.to_lowercase() == text),
        (None, _) => false,
    };
    match kind {
        "any" => true,
        "text" => value.is_string(),
        "bool" => value.is_boolean(),
        "int" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        "time" => value.as_str().is_some_and(|text| {
            // Milliseconds and Z.
            text.len() == 24 && text.ends_with('Z') && DateTime::parse_from_rfc3339(text).is_ok()
        }),
        "texts" => value.as_object().is_some_and(|members| members.values().all(Value::is_string)),
        "counts" => value.as_object().is_some_and(|members| {
            members.iter().all(|(key, count)| STATUSES.contains(&key.as_str()) && count.is_u64())
        }),
        "status" if dialect == Dialect::Snake => value.as_str().is_some_and(|text| FIVE.contains(&text)),
        "status" => word(STATUSES),
        // After a start camel also says what an environment never is.
        "changed" => is(dialect, "status", value) || (dialect == Dialect::Camel && value == "STARTING"),
        kind => {
            let words =
                WORDS.iter().find(|(name, _)| *name == kind).unwrap_or_else(|| panic!("no type {kind}"));
            word(words.1)
        }
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    text.chars().take(120).collect()
}

#[test]
fn differences_are_seen() {
    use serde_json::json;
    let shapes = Shapes::read();
    let good = json!({ "message": "x" });
    assert!(shapes.check(Dialect::Camel, "Message", &good).is_empty());
    for bad in [json!({}), json!({ "message": 1 }), json!({ "message": "x", "more": 1 }), json!([])] {
        assert!(!shapes.check(Dialect::Camel, "Message", &bad).is_empty(), "{bad}");
    }
    let page = json!({ "environments": [], "pagination":
        { "total": 0, "limit": 1, "offset": 0, "totalPages": 0, "hasMore": false } });
    assert!(shapes.check(Dialect::Camel, "EnvironmentList", &page).is_empty());
    assert!(!shapes.check(Dialect::Snake, "EnvironmentList", &page).is_empty());
    assert!(shapes.check(Dialect::Snake, "EnvironmentList", &json!([])).is_empty());
}
