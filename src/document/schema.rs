//! The JSON Schema of a type that is read from files, as editors and the reader use it.
//!
//! Stricter than what the generator gives: a key without a value is a fault, and a number must fit its type.

use serde_json::{Map, Value, json};

/// The schema of `T`.
pub fn of<T: schemars::JsonSchema>() -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12();
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    tighten(&mut schema);
    schema
}

fn tighten(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(tighten),
        Value::Object(keywords) => {
            keywords.iter_mut().filter(|(keyword, _)| *keyword != "default" && *keyword != "enum").for_each(|(_, inner)| tighten(inner));
            forbid_null(keywords);
            bound(keywords);
            list_choices(keywords);
        }
        _ => {}
    }
}

/// `key:` with nothing behind it looks like a promise and means none.
fn forbid_null(keywords: &mut Map<String, Value>) {
    let one = match keywords.get_mut("type") {
        Some(Value::Array(types)) => {
            types.retain(|name| name != "null");
            if types.len() == 1 { types.pop() } else { None }
        }
        _ => None,
    };
    if let Some(one) = one {
        keywords.insert("type".to_owned(), one);
    }
    if let Some(Value::Array(choices)) = keywords.get_mut("enum") {
        choices.retain(|choice| !choice.is_null());
    }
    let Some(Value::Array(choices)) = keywords.get_mut("anyOf") else { return };
    choices.retain(|choice| choice.get("type") != Some(&Value::from("null")));
    if choices.len() == 1
        && let Some(Value::Object(only)) = choices.pop()
    {
        keywords.remove("anyOf");
        for (keyword, inner) in only {
            keywords.entry(keyword).or_insert(inner);
        }
    }
    // A default of null says "absent", which is what leaving it out says.
    if keywords.get("default").is_some_and(Value::is_null) {
        keywords.remove("default");
    }
}

fn bound(keywords: &mut Map<String, Value>) {
    let limits = match keywords.get("format").and_then(Value::as_str) {
        Some("uint8") => (json!(0), json!(u8::MAX)),
        Some("uint16") => (json!(0), json!(u16::MAX)),
        Some("uint32") => (json!(0), json!(u32::MAX)),
        Some("uint64" | "uint") => (json!(0), json!(i64::MAX)),
        Some("int32") => (json!(i32::MIN), json!(i32::MAX)),
        _ => return,
    };
    keywords.entry("minimum").or_insert(limits.0);
    keywords.entry("maximum").or_insert(limits.1);
}

/// Documented variants come as `oneOf` constants; as one `enum` a fault can list them.
fn list_choices(keywords: &mut Map<String, Value>) {
    let Some(Value::Array(choices)) = keywords.get("oneOf") else { return };
    let mut names = Vec::new();
    for choice in choices {
        match (choice.get("const"), choice.get("enum").and_then(Value::as_array)) {
            (Some(name), _) => names.push(name.clone()),
            (None, Some(list)) => names.extend(list.iter().cloned()),
            (None, None) => return,
        }
    }
    keywords.remove("oneOf");
    keywords.insert("type".to_owned(), Value::from("string"));
    keywords.insert("enum".to_owned(), Value::Array(names));
}
