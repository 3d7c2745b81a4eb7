//! What rules were asked, as decisions carry it into the audit log: shared where it is the same, with the circumstances of each.

use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

/// The key of the circumstances.
const CONTEXT: &str = "context";

/// A question. Its clones share what is in it.
#[derive(Debug, Clone, Default)]
pub struct Question {
    asked: Arc<Value>,
    /// The circumstances, where they are others than in `asked`.
    context: Option<Arc<Value>>,
}

impl Question {
    /// A question as it was asked.
    pub fn new(asked: Value) -> Self {
        Self { asked: Arc::new(asked), context: None }
    }

    /// The same question in other circumstances.
    #[must_use]
    pub(super) fn in_context(&self, context: Value) -> Self {
        Self { asked: Arc::clone(&self.asked), context: Some(Arc::new(context)) }
    }

    /// The question as one document.
    pub fn to_value(&self) -> Value {
        let mut value = Value::clone(&self.asked);
        if let (Some(context), Value::Object(keys)) = (&self.context, &mut value) {
            keys.insert(CONTEXT.to_owned(), Value::clone(context));
        }
        value
    }
}

impl Serialize for Question {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (Some(context), Value::Object(keys)) = (&self.context, &*self.asked) else { return self.asked.serialize(serializer) };
        let mut map = serializer.serialize_map(Some(keys.len()))?;
        for (key, value) in keys {
            map.serialize_entry(key, if key == CONTEXT { &**context } else { value })?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_has_its_own_circumstances_and_the_rest_is_shared() {
        let first = Question::new(json!({"action": "read", "context": {"query_id": "a"}, "last": 1}));
        let second = first.in_context(json!({"query_id": "b"}));
        for (question, id) in [(&first, "a"), (&second, "b")] {
            assert_eq!(question.to_value()["context"]["query_id"], id);
            assert_eq!(serde_json::to_string(question).unwrap(), question.to_value().to_string());
        }
        assert!(Arc::ptr_eq(&first.asked, &second.asked));
    }
}
