//! What rules were asked and what they answered, as decisions carry it into the audit log: shared where it is the same, with the circumstances
//! of each, and written as text once.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

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

/// A document that is read as a value, and written as text that is made when it is first asked for.
#[derive(Debug, Default)]
pub struct Recorded {
    value: Value,
    text: OnceLock<Box<[u8]>>,
}

impl Recorded {
    /// The document as JSON.
    pub fn as_json(&self) -> &[u8] {
        self.text.get_or_init(|| text(&self.value).into())
    }
}

impl From<Value> for Recorded {
    fn from(value: Value) -> Self {
        Self { value, text: OnceLock::new() }
    }
}

impl Deref for Recorded {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.value
    }
}

impl std::fmt::Display for Recorded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.value.fmt(f)
    }
}

impl PartialEq for Recorded {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// What is made of values only always has a text.
fn text(value: &(impl Serialize + ?Sized)) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// A question. Its clones share what is in it.
#[derive(Debug, Clone, Default)]
pub struct Question {
    asked: Arc<Asked>,
    /// The circumstances, where they are others than in `asked`.
    context: Option<Arc<Value>>,
}

/// The text before the circumstances, and behind them.
type Around = (Box<[u8]>, Box<[u8]>);

/// A question as it was asked first.
#[derive(Debug, Default)]
struct Asked {
    value: Value,
    /// The columns, where `value` has a place for them.
    columns: Vec<Arc<Told>>,
    around: OnceLock<Around>,
}

impl Asked {
    fn around(&self) -> &Around {
        self.around.get_or_init(|| {
            let (mut before, mut behind) = (vec![b'{'], None);
            for (number, (key, value)) in self.value.as_object().into_iter().flatten().enumerate() {
                let part = behind.as_mut().unwrap_or(&mut before);
                if number > 0 {
                    part.push(b',');
                }
                part.extend(text(key));
                part.push(b':');
                match (key.as_str(), value) {
                    (CONTEXT, _) => behind = Some(Vec::new()),
                    (RESOURCE, Value::Object(resource)) => part.extend(text(&Resource { resource, columns: &self.columns })),
                    _ => part.extend(text(value)),
                }
            }
            let mut behind = behind.unwrap_or_default();
            behind.push(b'}');
            (before.into(), behind.into())
        })
    }
}

impl Question {
    /// A question as it was asked.
    pub fn new(asked: Value) -> Self {
        Self::with_columns(asked, Vec::new())
    }

    /// A question whose columns, of which there are none in `asked`, are told by themselves.
    pub(super) fn with_columns(asked: Value, columns: Vec<Arc<Told>>) -> Self {
        Self { asked: Arc::new(Asked { value: asked, columns, around: OnceLock::new() }), context: None }
    }

    /// Appends the question as one JSON document.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        match &self.context {
            Some(context) if self.asked.value.get(CONTEXT).is_some() => {
                let (before, behind) = self.asked.around();
                out.extend_from_slice(before);
                out.extend(text(&**context));
                out.extend_from_slice(behind);
            }
            _ => out.extend(text(self)),
        }
    }

    /// The same question in other circumstances.
    #[must_use]
    pub(super) fn in_context(&self, context: Value) -> Self {
        Self { asked: Arc::clone(&self.asked), context: Some(Arc::new(context)) }
    }

    /// All of it but the columns, as it was asked first.
    pub(super) fn parts(&self) -> &Value {
        &self.asked.value
    }

    /// The columns.
    pub(super) fn columns(&self) -> &[Arc<Told>] {
        &self.asked.columns
    }

    /// Whether it is as the schema of questions wants it, and may be asked.
    pub(super) fn fits(&self) -> bool {
        schema::is_request(&self.asked.value) && self.asked.columns.iter().all(|told| told.fits)
    }

    /// The question as one document.
    pub fn to_value(&self) -> Value {
        let mut value = self.asked.value.clone();
        if !self.asked.columns.is_empty()
            && let Some(resource) = value.get_mut(RESOURCE).and_then(Value::as_object_mut)
        {
            resource.insert(COLUMNS.to_owned(), self.asked.columns.iter().map(|told| told.json.clone()).collect());
        }
        if let (Some(context), Value::Object(keys)) = (&self.context, &mut value) {
            keys.insert(CONTEXT.to_owned(), Value::clone(context));
        }
        value
    }
}

impl Serialize for Question {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Value::Object(keys) = &self.asked.value else { return self.asked.value.serialize(serializer) };
        let mut map = serializer.serialize_map(Some(keys.len()))?;
        for (key, value) in keys {
            match (key.as_str(), value, &self.context) {
                (RESOURCE, Value::Object(resource), _) => {
                    map.serialize_entry(key, &Resource { resource, columns: &self.asked.columns })?;
                }
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
    fn a_question_without_circumstances_is_written_as_it_is() {
        for asked in [json!({"action": "read"}), json!({}), json!(null), json!({"context": {}, "b": [1]})] {
            let question = Question::new(asked.clone());
            for question in [question.in_context(json!({"query_id": "b"})), question] {
                let mut written = Vec::new();
                question.write_json(&mut written);
                let read: Value = serde_json::from_slice(&written).unwrap();
                assert!(read == asked || read["context"]["query_id"] == "b", "{read}");
            }
        }
    }

    #[test]
    fn each_has_its_own_circumstances_and_the_rest_is_shared() {
        let first = Question::new(json!({"action": "read", "context": {"query_id": "a"}, "last": 1}));
        let second = first.in_context(json!({"query_id": "b"}));
        for (question, id) in [(&first, "a"), (&second, "b")] {
            assert_eq!(question.to_value()["context"]["query_id"], id);
            let mut written = Vec::new();
            question.write_json(&mut written);
            assert_eq!(String::from_utf8(written).unwrap(), question.to_value().to_string());
        }
        assert!(Arc::ptr_eq(&first.asked, &second.asked));
    }
}
