//! How large a config may grow.

use std::io;

use crate::model::Json;

/// Bytes of JSON text that one value may take.
pub const VALUE_BYTES: usize = 64 * 1024;
/// Bytes of JSON text that a whole config may take.
pub const CONFIG_BYTES: usize = 512 * 1024;
/// How deep a value may be nested; also how deep the groups of a rule may be.
pub const DEPTH: usize = 32;
/// Entries of one object in a value, of one update's `fields` or `workflows`, and of one list of labels.
pub const KEYS: usize = 1_000;
/// A rule's group is an object and an array, and a condition's right side may be a value of its own.
const RULE_DEPTH: usize = 3 * DEPTH;

/// Counts instead of writing; fails at the limit, so a huge value costs no more than a fitting one.
struct Counter {
    left: usize,
}

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self.left.checked_sub(bytes.len()).ok_or(io::ErrorKind::WriteZero)?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether the JSON text takes at most this many bytes.
pub(super) fn fits(value: &impl serde::Serialize, bytes: usize) -> bool {
    serde_json::to_writer(Counter { left: bytes }, value).is_ok()
}

fn deeper_than(value: &Json, depth: usize) -> bool {
    match value {
        Json::Array(items) => depth == 0 || items.iter().any(|v| deeper_than(v, depth - 1)),
        Json::Object(map) => depth == 0 || map.values().any(|v| deeper_than(v, depth - 1)),
        _ => false,
    }
}

fn wider_than(value: &Json, keys: usize) -> bool {
    match value {
        Json::Array(items) => items.iter().any(|v| wider_than(v, keys)),
        Json::Object(map) => map.len() > keys || map.values().any(|v| wider_than(v, keys)),
        _ => false,
    }
}

/// What the value should have been, if it is beyond a limit. The depth goes first: the other checks recurse.
pub(super) fn beyond(value: &Json, rule: bool) -> Option<String> {
    let depth = if rule { RULE_DEPTH } else { DEPTH };
    if deeper_than(value, depth) {
        Some(format!("nested at most {depth} deep"))
    } else if !fits(value, VALUE_BYTES) {
        Some(format!("at most {VALUE_BYTES} bytes of JSON"))
    } else if wider_than(value, KEYS) {
        Some(format!("at most {KEYS} keys in one object"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn nest(depth: usize) -> Json {
        (0..depth).fold(json!(1), |v, _| json!([v]))
    }

    #[test]
    fn limits_hold_exactly() {
        assert_eq!(beyond(&nest(DEPTH), false), None);
        assert!(beyond(&nest(DEPTH + 1), false).is_some_and(|t| t.contains("deep")));
        // Two bytes are the quotes.
        assert_eq!(beyond(&json!("x".repeat(VALUE_BYTES - 2)), false), None);
        assert!(beyond(&json!("x".repeat(VALUE_BYTES - 1)), false).is_some_and(|t| t.contains("bytes")));
        let wide = |n: usize| Json::Object((0..n).map(|i| (i.to_string(), json!(0))).collect());
        assert_eq!(beyond(&wide(KEYS), false), None);
        assert!(beyond(&json!([wide(KEYS + 1)]), false).is_some_and(|t| t.contains("keys")));
    }
}
