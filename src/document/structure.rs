//! Faults of a document's structure, in our words: which key, what was expected, never the value that was found.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, Validator};
use serde_json::Value;

use super::closest::closest;
use super::yaml::escape;
use super::{FAULTS_MAX, Fault, SourceMap};

/// Every fault of the value against the schema.
pub(super) fn faults(validator: &Validator, schema: &Value, value: &Value, map: &SourceMap) -> Vec<Fault> {
    let mut faults = Vec::new();
    for error in validator.iter_errors(value).take(FAULTS_MAX) {
        explain(&error, schema, map, &mut faults);
    }
    faults
}

fn explain(error: &ValidationError<'_>, schema: &Value, map: &SourceMap, faults: &mut Vec<Fault>) {
    let pointer = error.instance_path().as_str();
    let name = name_of(pointer);
    let (line, column) = map.position(pointer);
    let mut add = |message: String, hint: Option<String>| faults.push(Fault { file: String::new(), line, column, message, hint });
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let known = known_keys(schema, pointer);
            for key in unexpected {
                let (line, column) = map.position(&format!("{pointer}/{}", escape(key)));
                let hint = match closest(key, known.iter().copied()) {
                    Some(near) => format!("Did you mean \"{near}\"?"),
                    None if known.is_empty() => "Remove it.".to_owned(),
                    None => format!("The keys here are {}.", known.join(", ")),
                };
                let message = format!("unknown key \"{key}\"{}", within(pointer));
                faults.push(Fault { file: String::new(), line, column, message, hint: Some(hint) });
            }
        }
        ValidationErrorKind::Required { property } => {
            add(format!("the key \"{}\" is missing{}", property.as_str().unwrap_or_default(), within(pointer)), None);
        }
        // A value of the wrong kind is no option either; one fault says it.
        ValidationErrorKind::Type { .. } if !error.instance().is_null() && has_options(schema, pointer) => {}
        ValidationErrorKind::Enum { .. } if error.instance().is_null() => {}
        ValidationErrorKind::Type { kind } => {
            let (message, hint) = wrong_type(&name, kind, error.instance());
            add(message, hint);
        }
        ValidationErrorKind::Enum { options } => {
            let options: Vec<&str> = options.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let near = error.instance().as_str().and_then(|found| closest(found, options.iter().copied()));
            add(format!("{name} must be one of {}", options.join(", ")), near.map(|near| format!("Did you mean \"{near}\"?")));
        }
        ValidationErrorKind::Constant { expected_value } => {
            add(format!("{name} must be {}", expected_value.as_str().unwrap_or("another value")), None);
        }
        ValidationErrorKind::Minimum { limit } => add(format!("{name} must be at least {limit}"), None),
        ValidationErrorKind::Maximum { limit } => add(format!("{name} must be at most {limit}"), None),
        ValidationErrorKind::MinLength { .. } => add(format!("{name} must not be empty"), None),
        ValidationErrorKind::MaxLength { limit } => add(format!("{name} must have at most {limit} characters"), None),
        ValidationErrorKind::MinItems { limit } => add(format!("{name} must have at least {limit} item"), None),
        ValidationErrorKind::MaxItems { limit } => add(format!("{name} must have at most {limit} items"), None),
        _ => add(format!("{name} has a value that is not allowed here"), None),
    }
}

fn has_options(schema: &Value, pointer: &str) -> bool {
    schema_at(schema, pointer).is_some_and(|node| node.get("enum").is_some())
}

/// The keys that the schema knows at a place of the document.
fn known_keys<'a>(schema: &'a Value, pointer: &str) -> Vec<&'a str> {
    let properties = schema_at(schema, pointer).and_then(|object| object.get("properties")).and_then(Value::as_object);
    properties.map(|keys| keys.keys().map(String::as_str).collect()).unwrap_or_default()
}

/// The schema of a place of the document.
pub(super) fn schema_at<'a>(schema: &'a Value, pointer: &str) -> Option<&'a Value> {
    let mut here = Some(resolve(schema, schema));
    for segment in pointer.split('/').skip(1) {
        let key = segment.replace("~1", "/").replace("~0", "~");
        here = here.and_then(|object| {
            let property = object.get("properties").and_then(|properties| properties.get(&key));
            property.or_else(|| object.get("items")).or_else(|| object.get("additionalProperties")).map(|inner| resolve(schema, inner))
        });
    }
    here
}

fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let reference = schema.get("$ref").and_then(Value::as_str).and_then(|text| text.strip_prefix('#'));
    reference.and_then(|pointer| root.pointer(pointer)).unwrap_or(schema)
}

/// `"retention_days"` or `item 2 of "outputPorts"`.
fn name_of(pointer: &str) -> String {
    let mut segments = pointer.rsplit('/').map(|segment| segment.replace("~1", "/").replace("~0", "~"));
    let last = segments.next().unwrap_or_default();
    if last.is_empty() {
        return "the document".to_owned();
    }
    match last.parse::<usize>() {
        Ok(index) => format!("item {} of \"{}\"", index.saturating_add(1), segments.next().unwrap_or_default()),
        Err(_) => format!("\"{last}\""),
    }
}

fn within(pointer: &str) -> String {
    if pointer.is_empty() { String::new() } else { format!(" in {}", name_of(pointer)) }
}

fn wrong_type(name: &str, kind: &TypeKind, found: &Value) -> (String, Option<String>) {
    if found.is_null() {
        return (format!("{name} has no value"), Some("Give it a value or remove the key.".to_owned()));
    }
    let TypeKind::Single(expected) = kind else {
        return (format!("{name} has a value of the wrong kind"), None);
    };
    let (expected, hint) = match expected.as_str() {
        "string" if found.is_number() || found.is_boolean() => ("a text", Some("Put the value in quotes.")),
        "string" => ("a text", None),
        "boolean" => ("true or false", Some("Write true or false, without quotes.")),
        "integer" if found.is_string() => ("a whole number", Some("Write the number without quotes and without a unit.")),
        "integer" => ("a whole number", None),
        "number" => ("a number", None),
        "array" => ("a list", Some("Write one item a line, each after \"- \", or [a, b].")),
        _ => ("a group of keys", Some("Write \"key: value\" lines, indented below it.")),
    };
    (format!("{name} must be {expected}"), hint.map(str::to_owned))
}
