//! What rules were asked, as decisions carry it into the audit log: shared where it is the same, with the circumstances of each.

use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::schema;
use super::told::Told;

/// The key of what is asked about.
const RESOURCE: &str = "resource";

/// The key of its columns.
const COLUMNS: &str = "columns";

/// The key of the circumstances.
const CONTEXT: &str = "context";

/// A question. Its clones share what is in it.
#[derive(Debug, Clone, Default)]
pub struct Question {
    asked: Arc<Value>,
    /// The columns, where `asked` has a place for them.
    columns: Arc<[Arc<Told>]>,
    /// The circumstances, where they are others than in `asked`.
    context: Option<Arc<Value>>,
}

impl Question {
    /// A question as it was asked.
    pub fn new(asked: Value) -> Self {
        Self { asked: Arc::new(asked), ..Self::default() }
    }

    /// A question whose columns, of which there are none in `asked`, are told by themselves.
    pub(super) fn with_columns(asked: Value, columns: Vec<Arc<Told>>) -> Self {
        Self { asked: Arc::new(asked), columns: columns.into(), context: None }
    }

    /// The same question in other circumstances.
    #[must_use]
    pub(super) fn in_context(&self, context: Value) -> Self {
        Self { asked: Arc::clone(&self.asked), columns: Arc::clone(&self.columns), context: Some(Arc::new(context)) }
    }

    /// All of it but the columns, as it was asked first.
    pub(super) fn parts(&self) -> &Value {
        &self.asked
    }

    /// The columns.
    pub(super) fn columns(&self) -> &[Arc<Told>] {
        &self.columns
    }

    /// Whether it is as the schema of questions wants it, and may be asked.
    pub(super) fn fits(&self) -> bool {
        schema::is_request(&self.asked) && self.columns.iter().all(|told| told.fits)
    }

    /// The question as one document.
    pub fn to_value(&self) -> Value {
        let mut value = Value::clone(&self.asked);
        if !self.columns.is_empty()
            && let Some(resource) = value.get_mut(RESOURCE).and_then(Value::as_object_mut)
        {
            resource.insert(COLUMNS.to_owned(), self.columns.iter().map(|told| told.json.clone()).collect());
        }
        if let (Some(context), Value::Object(keys)) = (&self.context, &mut value) {
            keys.insert(CONTEXT.to_owned(), Value::clone(context));
        }
        value
    }
}

impl Serialize for Question {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Value::Object(keys) = &*self.asked else { return self.asked.serialize(serializer) };
        let mut map = serializer.serialize_map(Some(keys.len()))?;
        for (key, value) in keys {
            match (key.as_str(), value, &self.context) {
                (RESOURCE, Value::Object(resource), _) => map.serialize_entry(key, &Resource { resource, columns: &self.columns })?,
                (CONTEXT, _, Some(context)) => map.serialize_entry(key, &**context)?,
                _ => map.serialize_entry(key, value)?,
            }
        }
        map.end()
    }
}

/// What is asked about, with its columns in their place.
struct Resource<'a> {
    resource: &'a Map<String, Value>,
    columns: &'a [Arc<Told>],
}

impl Serialize for Resource<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.columns.is_empty() {
            return self.resource.serialize(serializer);
        }
        let mut map = serializer.serialize_map(Some(self.resource.len()))?;
        for (key, value) in self.resource {
            match key.as_str() {
                COLUMNS => map.serialize_entry(key, &Columns(self.columns))?,
                _ => map.serialize_entry(key, value)?,
            }
        }
        map.end()
    }
}

struct Columns<'a>(&'a [Arc<Told>]);

impl Serialize for Columns<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|told| &told.json))
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
