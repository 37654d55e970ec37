//! What no log may hold: everything secret that a test sent or was sent.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// Of all tests of this process. One that another test made is as little in any log.
static SECRETS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Shorter ones are in everything.
const SHORTEST: usize = 6;

/// Members that hold something secret, as they are spelled without `_` and in lower case.
const MEMBERS: &[&str] = &[
    "password",
    "currentpassword",
    "newpassword",
    "accesstoken",
    "refreshtoken",
    "idtoken",
    "token",
    "ticket",
    "kubeconfig",
    "kubeconfigbase64",
    "jwtsecret",
    "secretkey",
];

/// Notes one.
pub fn add(secret: &str) {
    if secret.len() >= SHORTEST {
        SECRETS.lock().unwrap_or_else(PoisonError::into_inner).insert(secret.to_owned());
    }
}

/// Notes those in what is sent: values of variables too.
pub fn note_sent(body: &Value) {
    note(body);
    for key in ["environmentVariables", "environment_variables"] {
        let variables = body[key].as_object().into_iter().flatten();
        variables.filter_map(|(_, value)| value.as_str()).for_each(add);
    }
}

/// Notes those in a body.
pub fn note(body: &Value) {
    match body {
        Value::Array(items) => items.iter().for_each(note),
        Value::Object(members) => {
            for (key, value) in members {
                let plain = key.replace('_', "").to_lowercase();
                match value {
                    Value::String(text) if MEMBERS.contains(&plain.as_str()) => add(text),
                    value => note(value),
                }
            }
        }
        _ => {}
    }
}

/// The lines of a log that hold one.
pub fn lines_with_one(log: &str) -> Vec<String> {
    let secrets = SECRETS.lock().unwrap_or_else(PoisonError::into_inner);
    let leaks = |line: &&str| secrets.iter().any(|secret| holds(line, secret));
    log.lines().filter(leaks).map(str::to_owned).collect()
}

/// Whether it is in there. Six digits are only when they stand alone, and not as the fraction of
/// a second.
fn holds(line: &str, secret: &str) -> bool {
    if !secret.bytes().all(|byte| byte.is_ascii_digit()) {
        return line.contains(secret);
    }
    line.match_indices(secret).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + secret.len()..].chars().next();
        !before.is_some_and(|c| c == '.' || c.is_ascii_alphanumeric())
            && !after.is_some_and(|c| c.is_ascii_alphanumeric())
    })
}
