//! Keys and words. Canonical is camel: `fullName: "RUNNING"`.

use serde_json::{Map, Value};

/// Members that hold a word of an enumeration.
const WORDS: &[&str] =
    &["status", "phase", "runtime", "category", "subscriptionPlan", "userPlan", "role", "level"];

/// Members that hold a map of somebody's own: its keys are never respelled.
const MAPS: &[&str] = &["environmentVariables", "environmentsByStatus", "byStatus", "details"];

/// `fullName` as `full_name`.
#[must_use]
pub fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for character in name.chars() {
        if character.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
    }
    snake
}

/// Respells a canonical value.
#[must_use]
pub fn to_snake(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(members.into_iter().map(member).collect()),
        Value::Array(items) => Value::Array(items.into_iter().map(to_snake).collect()),
        value => value,
    }
}

fn member((name, value): (String, Value)) -> (String, Value) {
    let value = match value {
        value if MAPS.contains(&name.as_str()) => value,
        Value::String(word) if name == "status" => Value::String(status(&word)),
        Value::String(word) if WORDS.contains(&name.as_str()) => Value::String(word.to_ascii_lowercase()),
        value => to_snake(value),
    };
    (snake(&name), value)
}

/// A status in snake. The app knows five of an environment's and can't read a list in which
/// there is another one; `phase` has the exact one.
#[must_use]
pub fn status(word: &str) -> String {
    match word {
        "CREATING" | "PROVISIONING" | "INSTALLING" | "CONFIGURING" | "RESTARTING" | "STARTING" => {
            "creating".to_owned()
        }
        "STOPPING" => "stopped".to_owned(),
        other => other.to_ascii_lowercase(),
    }
}

/// The dialect in which an object's keys are spelled, if they tell. Keys that are names in neither
/// spelling (`__proto__`, `X-Y`) tell nothing.
#[must_use]
pub fn dialect_of(members: &Map<String, Value>) -> Option<super::Dialect> {
    if members.keys().any(|key| is_snake(key)) {
        return Some(super::Dialect::Snake);
    }
    members.keys().any(|key| is_camel(key)).then_some(super::Dialect::Camel)
}

/// Words in lower case, joined by single underscores.
fn is_snake(name: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    name.contains('_') && name.split('_').all(is_word)
}

/// Words run together, each but the first with a capital.
fn is_camel(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && name.bytes().any(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_words_and_statuses_change_and_maps_stay() {
        let canonical = json!({
            "templateName": "Node.js", "status": "INSTALLING", "phase": "INSTALLING",
            "environmentVariables": {"fooBar": "RUNNING", "status": "RUNNING"},
            "items": [{"subscriptionPlan": "FREE", "createdAt": "T"}],
        });
        assert_eq!(
            to_snake(canonical),
            json!({
                "template_name": "Node.js", "status": "creating", "phase": "installing",
                "environment_variables": {"fooBar": "RUNNING", "status": "RUNNING"},
                "items": [{"subscription_plan": "free", "created_at": "T"}],
            })
        );
    }

    #[test]
    fn only_names_tell_how_they_are_spelled() {
        use super::super::Dialect::{Camel, Snake};
        for (key, expected) in [
            ("full_name", Some(Snake)),
            ("a_1", Some(Snake)),
            ("fullName", Some(Camel)),
            ("username", None),
            ("__main__", None),
            ("_id", None),
            ("Full_Name", None),
            ("\u{f4}A \u{ec}_", None),
            ("NUL", None),
            ("", None),
        ] {
            let members = Map::from_iter([(key.to_owned(), Value::Null)]);
            assert_eq!(dialect_of(&members), expected, "{key}");
        }
        let both = Map::from_iter(["fullName", "full_name"].map(|key| (key.to_owned(), Value::Null)));
        assert_eq!(dialect_of(&both), Some(Snake));
    }

    #[test]
    fn every_status_of_an_environment_is_one_of_the_apps_five() {
        use devpocket_actors::persistence::EnvironmentStatus;
        for word in EnvironmentStatus::ALL {
            let shown = status(word.as_str());
            assert!(
                ["creating", "running", "stopped", "terminated", "error"].contains(&shown.as_str()),
                "{shown}"
            );
        }
    }
}
