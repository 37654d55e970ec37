//! Differences of documents, as JSON merge patches (RFC 7396).

use serde_json::{Map, Value};

/// The patch that makes `after` of `before`; `None` when they are the same. Neither may hold
/// `null`, which means "gone" in a patch.
pub(super) fn between(before: &Value, after: &Value) -> Option<Value> {
    if before == after {
        return None;
    }
    let (Value::Object(before), Value::Object(after)) = (before, after) else {
        return Some(after.clone());
    };
    let mut patch = Map::new();
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    for (name, value) in after {
        let difference = match before.get(name) {
            Some(before) => between(before, value),
            None => Some(value.clone()),
        };
        if let Some(difference) = difference {
            patch.insert(name.clone(), difference);
        }
    }
    Some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// RFC 7396 §2, word for word: what every client does.
    fn merge(target: Value, patch: Value) -> Value {
        let Value::Object(patch) = patch else { return patch };
        let mut target = match target {
            Value::Object(target) => target,
            _ => Map::new(),
        };
        for (name, value) in patch {
            if value.is_null() {
                target.remove(&name);
            } else {
                let before = target.remove(&name).unwrap_or(Value::Null);
                target.insert(name, merge(before, value));
            }
        }
        Value::Object(target)
    }

    fn document() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<bool>().prop_map(Value::from), (0..3u8).prop_map(Value::from)];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-c]", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_patch_makes_one_document_of_another(before in document(), after in document()) {
            match between(&before, &after) {
                Some(patch) => prop_assert_eq!(merge(before, patch), after),
                None => prop_assert_eq!(before, after),
            }
        }
    }

    #[test]
    fn only_what_differs_is_said() {
        let before = json!({"a": {"x": 1, "y": 2}, "b": [1], "c": 1});
        let after = json!({"a": {"x": 1, "y": 3}, "b": [1], "d": 1});
        assert_eq!(between(&before, &after), Some(json!({"a": {"y": 3}, "c": null, "d": 1})));
    }
}
