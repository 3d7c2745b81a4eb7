//! Documents of EXPLAIN in YAML and XML, laid out as PostgreSQL lays them out.

use serde_json::{Map, Value};

/// One query's document in YAML.
pub(super) fn yaml(document: &Map<String, Value>) -> String {
    let mut text = String::from("- ");
    members(document, 2, &mut text);
    text
}

/// The members of an object, of which the first stands where the text ends.
fn members(object: &Map<String, Value>, indent: usize, text: &mut String) {
    for (at, (name, value)) in object.iter().enumerate() {
        if at > 0 {
            line(indent, text);
        }
        text.push_str(name);
        text.push_str(": ");
        match value {
            Value::Object(inner) => {
                line(indent + 2, text);
                members(inner, indent + 2, text);
            }
            Value::Array(items) => {
                for item in items {
                    line(indent + 2, text);
                    text.push_str("- ");
                    match item {
                        Value::Object(inner) => members(inner, indent + 4, text),
                        item => text.push_str(&item.to_string()),
                    }
                }
            }
            value => text.push_str(&value.to_string()),
        }
    }
}

fn line(indent: usize, text: &mut String) {
    text.push('\n');
    text.extend(std::iter::repeat_n(' ', indent));
}

/// One query's document in XML.
pub(super) fn xml(document: &Map<String, Value>) -> String {
    let mut text = String::from("<explain xmlns=\"http://www.postgresql.org/2009/explain\">\n  <Query>");
    elements(document, 4, &mut text);
    text.push_str("\n  </Query>\n</explain>");
    text
}

fn elements(object: &Map<String, Value>, indent: usize, text: &mut String) {
    for (name, value) in object {
        element(&tag(name), value, indent, text);
    }
}

fn element(tag: &str, value: &Value, indent: usize, text: &mut String) {
    line(indent, text);
    text.push_str(&format!("<{tag}>"));
    match value {
        Value::Object(inner) => elements(inner, indent + 2, text),
        Value::Array(items) => {
            for item in items {
                element(if item.is_object() { "Plan" } else { "Item" }, item, indent + 2, text);
            }
        }
        Value::String(found) => text.push_str(&escaped(found)),
        value => text.push_str(&value.to_string()),
    }
    if value.is_object() || value.is_array() {
        line(indent, text);
    }
    text.push_str(&format!("</{tag}>"));
}

/// The name of an element: what is no letter, digit or one of `-_.` is a hyphen.
fn tag(name: &str) -> String {
    name.chars().map(|letter| if letter.is_ascii_alphanumeric() || "-_.".contains(letter) { letter } else { '-' }).collect()
}

fn escaped(text: &str) -> String {
    let mut found = String::new();
    for letter in text.chars() {
        match letter {
            '&' => found.push_str("&amp;"),
            '<' => found.push_str("&lt;"),
            '>' => found.push_str("&gt;"),
            '"' => found.push_str("&quot;"),
            letter => found.push(letter),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Map<String, Value> {
        let document = serde_json::json!({"Plan": {"Node Type": "Sort", "Plan Rows": 1, "Sort Key": ["a < \"b\""], "Plans": [{"Node Type": "Result"}]}});
        document.as_object().unwrap().clone()
    }

    #[test]
    fn yaml_is_laid_out_as_in_postgresql() {
        let text = "- Plan: \n    Node Type: \"Sort\"\n    Plan Rows: 1\n    Sort Key: \n      - \"a < \\\"b\\\"\"\n    Plans: \n      - Node Type: \"Result\"";
        assert_eq!(yaml(&document()), text);
    }

    #[test]
    fn xml_is_laid_out_as_in_postgresql() {
        let text = "<explain xmlns=\"http://www.postgresql.org/2009/explain\">\n  <Query>\n    <Plan>\n      <Node-Type>Sort</Node-Type>\n      <Plan-Rows>1</Plan-Rows>\n      <Sort-Key>\n        <Item>a &lt; &quot;b&quot;</Item>\n      </Sort-Key>\n      <Plans>\n        <Plan>\n          <Node-Type>Result</Node-Type>\n        </Plan>\n      </Plans>\n    </Plan>\n  </Query>\n</explain>";
        assert_eq!(xml(&document()), text);
    }
}
