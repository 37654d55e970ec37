//! What clients are shown: the one place that knows how things are spelled.
//!
//! Objects carry both spellings of their keys ([`both`]): camel case for one family of
//! clients, snake case for the other.

mod environment;
mod session;
mod template;
mod user;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

pub use self::environment::{environment, environment_detail, log_lines, metrics};
pub use self::session::session;
pub use self::template::{template, template_summary};
pub use self::user::{sign_in, tokens, user};
use crate::http::input::snake;

/// ISO 8601 in UTC with milliseconds.
#[must_use]
pub fn timestamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The same, or `null`.
#[must_use]
pub fn optional_timestamp(time: Option<DateTime<Utc>>) -> Value {
    time.map_or(Value::Null, |time| timestamp(time).into())
}

/// Adds the snake-case spelling of every key of the object, unless it is there already.
#[must_use]
pub fn both(mut value: Value) -> Value {
    if let Value::Object(map) = &mut value {
        let twins: Vec<_> = map
            .iter()
            .map(|(key, value)| (snake(key), value))
            .filter(|(twin, _)| !map.contains_key(twin))
            .map(|(twin, value)| (twin, value.clone()))
            .collect();
        map.extend(twins);
    }
    value
}

/// An object that only says something.
pub fn message(text: &str) -> axum::Json<Value> {
    axum::Json(json!({ "message": text }))
}

/// Puts the members of `more` into `object`.
pub fn extend(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}

/// Where in a list a page lies.
#[must_use]
pub fn pagination(total: i64, limit: u32, offset: u32) -> Value {
    let limit = limit.max(1);
    let total = total.max(0).unsigned_abs();
    json!({
        "total": total,
        "limit": limit,
        "offset": offset,
        "totalPages": total.div_ceil(u64::from(limit)),
        "hasMore": u64::from(offset) + u64::from(limit) < total,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_doubled_and_explicit_ones_win() {
        let value = both(json!({"fullName": "Ann", "subscriptionPlan": "FREE", "subscription_plan": "free"}));
        assert_eq!(value["full_name"], "Ann");
        assert_eq!(value["subscription_plan"], "free");
    }

    #[test]
    fn timestamps_have_milliseconds() {
        let time = DateTime::from_timestamp(0, 0).unwrap();
        assert_eq!(timestamp(time), "1970-01-01T00:00:00.000Z");
    }
}
