//! Makes a faulty value fit its schema, so that what it means can be checked in the same go.
//!
//! INVARIANT: a repaired value only ever finds more faults; it never becomes a result, for its own faults stand already.

use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;

use super::closest::closest;
use super::structure::schema_at;

/// Removing a value may leave a required one missing, and filling that may again; more rounds help nobody.
const ROUNDS_MAX: usize = 6;

/// Faults that are repaired in one round.
const REPAIRS_MAX: usize = 1_000;

enum Repair {
    Remove(String),
    Fill { parent: String, key: String },
    Replace(String, Value),
}

/// The value, changed as little as is needed to fit; `None` if that cannot be done.
pub(super) fn repair(validator: &Validator, schema: &Value, mut value: Value) -> Option<Value> {
    for _ in 0..ROUNDS_MAX {
        let repairs: Vec<Repair> = validator.iter_errors(&value).take(REPAIRS_MAX).flat_map(|error| repairs(&error)).collect();
        if repairs.is_empty() {
            return Some(value);
        }
        for repair in repairs {
            apply(schema, &mut value, repair);
        }
    }
    None
}

fn repairs(error: &jsonschema::ValidationError<'_>) -> Vec<Repair> {
    let pointer = error.instance_path().as_str();
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            unexpected.iter().map(|key| Repair::Remove(format!("{pointer}/{}", super::yaml::escape(key)))).collect()
        }
        ValidationErrorKind::Required { property } => {
            vec![Repair::Fill { parent: pointer.to_owned(), key: property.as_str().unwrap_or_default().to_owned() }]
        }
        ValidationErrorKind::Type { .. } if error.instance().is_number() || error.instance().is_boolean() => {
            vec![Repair::Replace(pointer.to_owned(), Value::String(error.instance().to_string()))]
        }
        ValidationErrorKind::Enum { options } => {
            let options: Vec<&str> = options.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let near = error.instance().as_str().and_then(|found| closest(found, options.iter().copied()));
            match near.or(options.first().copied()) {
                Some(option) => vec![Repair::Replace(pointer.to_owned(), Value::from(option))],
                None => vec![Repair::Remove(pointer.to_owned())],
            }
        }
        _ => vec![Repair::Remove(pointer.to_owned())],
    }
}

fn apply(schema: &Value, value: &mut Value, repair: Repair) {
    match repair {
        // Only a text may stand for a number; where none may, the next round must not try again.
        Repair::Replace(pointer, with) => {
            let fits = schema_at(schema, &pointer).is_some_and(|node| node.get("type") == Some(&Value::from("string")));
            match value.pointer_mut(&pointer) {
                Some(place) if fits => *place = with,
                _ => apply(schema, value, Repair::Remove(pointer)),
            }
        }
        Repair::Fill { parent, key } => {
            let filler = filler(schema_at(schema, &format!("{parent}/{}", super::yaml::escape(&key))), &key);
            if let Some(Value::Object(keys)) = value.pointer_mut(&parent) {
                keys.insert(key, filler);
            }
        }
        Repair::Remove(pointer) => {
            let Some((parent, last)) = pointer.rsplit_once('/') else { return };
            let key = last.replace("~1", "/").replace("~0", "~");
            match value.pointer_mut(parent) {
                Some(Value::Object(keys)) => drop(keys.remove(&key)),
                Some(Value::Array(items)) => {
                    if let Some(item) = key.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
                        *item = filler(schema_at(schema, &pointer), "");
                    }
                }
                _ => {}
            }
        }
    }
}

fn filler(schema: Option<&Value>, key: &str) -> Value {
    let keyword = |name: &str| schema.and_then(|schema| schema.get(name));
    if let Some(first) = keyword("enum").and_then(Value::as_array).and_then(|options| options.first()) {
        return first.clone();
    }
    match keyword("type").and_then(Value::as_str) {
        Some("array") => Value::Array(Vec::new()),
        Some("object") => Value::Object(serde_json::Map::new()),
        Some("boolean") => Value::Bool(false),
        Some("integer" | "number") => keyword("minimum").cloned().unwrap_or_else(|| Value::from(0)),
        // A word that is a name, a type and a path; a version is digits.
        _ => Value::from(if key == "version" { "0" } else { "string" }),
    }
}
