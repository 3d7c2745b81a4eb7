//! Holds questions and answers to the JSON Schemas that lie beside the policies for their authors.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

/// What a rule is asked.
const REQUEST: &str = include_str!("../../policies/request.schema.json");

/// Where in it a column is described.
const COLUMN: &str = "/properties/resource/properties/columns/items";

/// What a package answers.
const ANSWER: &str = include_str!("../../policies/answer.schema.json");

static VALIDATORS: LazyLock<Option<Validators>> =
    LazyLock::new(|| Some(Validators { request: compile(REQUEST, "")?, column: compile(REQUEST, COLUMN)?, answer: compile(ANSWER, "")? }));

struct Validators {
    request: Validator,
    /// One of a question's columns.
    column: Validator,
    answer: Validator,
}

/// The schema at a JSON pointer into a document.
fn compile(text: &str, pointer: &str) -> Option<Validator> {
    let document: Value = serde_json::from_str(text).ok()?;
    jsonschema::draft202012::new(document.pointer(pointer)?).ok()
}

/// Whether a question may be asked.
pub(super) fn is_request(question: &Value) -> bool {
    VALIDATORS.as_ref().is_some_and(|validators| validators.request.is_valid(question))
}

/// Whether a column may be part of a question.
pub(super) fn is_column(column: &Value) -> bool {
    VALIDATORS.as_ref().is_some_and(|validators| validators.column.is_valid(column))
}

/// Where an answer is not as it must be, as a JSON pointer; no value is in it.
pub(super) fn misfit(answer: &Value) -> Option<String> {
    let Some(validators) = VALIDATORS.as_ref() else { return Some(String::new()) };
    if validators.answer.is_valid(answer) {
        return None;
    }
    Some(validators.answer.iter_errors(answer).next().map(|error| error.instance_path().to_string()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_told_where_it_does_not_fit() {
        assert!(VALIDATORS.is_some());
        assert_eq!(misfit(&json!({"allow": true, "deny": ["text", {"rule": "a"}], "notices": []})), None);
        for (answer, place) in [
            (json!({"allow": 1}), "/allow"),
            (json!({"notices": ["fine", "not a code!"]}), "/notices/1"),
            (json!({"columnMasks": [{"column": "a", "mask": "unknown"}]}), "/columnMasks/0"),
            (json!({"rowFilters": [{"expression": "a = 1", "more": 1}]}), "/rowFilters/0"),
            (json!({"exemptions": ["all"]}), "/exemptions/0"),
            (json!([]), ""),
        ] {
            assert_eq!(misfit(&answer).as_deref(), Some(place), "{answer}");
        }
    }

    #[test]
    fn a_question_without_a_key_is_none() {
        let whole = json!({
            "action": "discover",
            "subject": {"user": "a", "roles": [], "groups": [], "is_data_steward": false, "purpose": null, "attributes": {}},
            "resource": {
                "domain": "d", "product": "p", "version": "1.0.0", "classification": "public", "tags": [], "owner": "o",
                "pii_action": "deny", "retention_days": null, "subject_to_erasure": false,
            },
            "context": null,
        });
        assert!(is_request(&whole));
        for (part, key) in [("subject", "roles"), ("resource", "domain")] {
            let mut broken = whole.clone();
            broken[part].as_object_mut().unwrap().remove(key);
            assert!(!is_request(&broken), "{key}");
        }
        let mut read = whole;
        read["action"] = json!("read");
        assert!(!is_request(&read), "a read has a port, fields and circumstances");
    }
}
