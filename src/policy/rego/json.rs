//! Documents as values of the interpreter's, and its values as documents. Numbers go the interpreter's own way.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::{EvaluationError, Value};

/// A document as a value of the interpreter's.
pub(in super::super) fn from_json(document: &Json) -> Value {
    match document {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::from(items.iter().map(from_json).collect::<Vec<_>>()),
        Json::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| (Value::from(key.as_str()), from_json(value)));
            Value::from(fields.collect::<BTreeMap<_, _>>())
        }
        Json::Number(_) => <Value as serde::Deserialize>::deserialize(document).unwrap_or(Value::Undefined),
    }
}

/// A value as JSON; sets become arrays.
pub(in super::super) fn to_json(value: &Value) -> Result<Json, EvaluationError> {
    match value {
        Value::Null => Ok(Json::Null),
        Value::Bool(truth) => Ok(Json::Bool(*truth)),
        Value::String(text) => Ok(Json::from(text.as_ref())),
        Value::Array(items) => items.iter().map(to_json).collect(),
        Value::Set(items) => items.iter().map(to_json).collect(),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| match key {
                Value::String(key) => Ok((key.to_string(), to_json(value)?)),
                // Such a key is written as the interpreter writes it.
                key => Ok((serde_json::to_string(key).map_err(|error| failed(&error))?, to_json(value)?)),
            });
            fields.collect::<Result<Map<_, _>, _>>().map(Json::Object)
        }
        Value::Number(_) | Value::Undefined => serde_json::to_value(value).map_err(|error| failed(&error)),
    }
}

fn failed(error: &serde_json::Error) -> EvaluationError {
    EvaluationError::Failed { site: None, text: error.to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_are_what_the_interpreter_takes_them_for() {
        let document = json!({"a": [1, -2.5, 1e300, 18_446_744_073_709_551_615_u64, "x", null, true, {}, []], "b": {"c": {"": "ü"}}});
        let value = from_json(&document);
        assert_eq!(value, Value::from_json_str(&document.to_string()).unwrap());
        assert_eq!(to_json(&value).unwrap(), serde_json::to_value(&value).unwrap());
        assert_eq!(to_json(&value).unwrap(), document);
    }

    #[test]
    fn what_json_has_not_is_written_as_the_interpreter_does() {
        let mut engine = regorus::Engine::new();
        let query = r#"[{1, 2, "x"}, {1: "a", [2]: "b", "c": 3, null: 4, {5}: 6}, set(), 9007199254740993, 0.1]"#;
        let value = engine.eval_query(query.to_owned(), false).unwrap().result[0].expressions[0].value.clone();
        assert_eq!(to_json(&value).unwrap(), serde_json::to_value(&value).unwrap());
        assert_eq!(to_json(&Value::Undefined).unwrap(), serde_json::to_value(&Value::Undefined).unwrap());
    }
}
