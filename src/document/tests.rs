//! What the reader of documents promises.

use super::*;

#[derive(Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sample {
    name: String,
    version: Option<String>,
    #[serde(default)]
    kind: Kind,
    days: Option<u32>,
    #[serde(default)]
    on: bool,
    #[serde(default)]
    items: Vec<Item>,
    #[serde(default)]
    labels: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, PartialEq, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// The first.
    #[default]
    Batch,
    /// The second.
    Stream,
}

#[derive(Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Item {
    id: i64,
}

fn read(text: &str) -> Result<(Sample, SourceMap), Vec<Fault>> {
    parse("a.yaml", text)
}

fn messages(text: &str) -> Vec<String> {
    read(text).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn five_faults_are_reported_at_once_with_their_lines() {
    let text = "nam: x\nversion: 2.1\nkind: strem\ndays: soon\nitems:\n  - id: 1\n  - {id: one}\n";
    assert_eq!(
        messages(text),
        [
            "a.yaml:1:1: unknown key \"nam\" (Did you mean \"name\"?)",
            "a.yaml:1:1: the key \"name\" is missing",
            "a.yaml:2:1: \"version\" must be a text (Put the value in quotes.)",
            "a.yaml:3:1: \"kind\" must be one of batch, stream (Did you mean \"stream\"?)",
            "a.yaml:4:1: \"days\" must be a whole number (Write the number without quotes and without a unit.)",
            "a.yaml:7:6: \"id\" must be a whole number (Write the number without quotes and without a unit.)",
        ]
    );
}

#[test]
fn an_unknown_key_far_from_all_lists_those_that_exist() {
    assert_eq!(
        messages("name: x\nitems:\n  - id: 1\n    flavour: 2\n"),
        ["a.yaml:4:5: unknown key \"flavour\" in item 1 of \"items\" (The keys here are id.)"]
    );
}

#[test]
fn versions_are_texts_with_and_without_quotes() {
    assert_eq!(read("name: x\nversion: \"2.1.0\"").unwrap().0.version.as_deref(), Some("2.1.0"));
    assert_eq!(read("name: x\nversion: 2.1.0").unwrap().0.version.as_deref(), Some("2.1.0"));
}

#[test]
fn words_of_older_yaml_stay_texts() {
    let read = |text: &str| Reader::<Sample>::value("a", text).unwrap();
    for text in
        ["no", "on", "Yes", "1_000", "inf", "nan", ".inf", "12:30:45", "2026-11-01", "1.2.3", "0xg", "1e999", "--1", "'1'", "\"true\""]
    {
        assert!(read(text).is_string(), "{text}");
    }
    for (text, number) in
        [("012", 12.0), ("0x1F", 31.0), ("0o17", 15.0), ("1e3", 1000.0), (".5", 0.5), ("-7", -7.0), ("18446744073709551615", 2f64.powi(64))]
    {
        assert_eq!(read(text).as_f64(), Some(number), "{text}");
    }
    assert_eq!((read("[~, Null]"), read("[TRUE, false]")), (serde_json::json!([null, null]), serde_json::json!([true, false])));
}

#[test]
fn a_choice_of_the_wrong_kind_is_one_fault() {
    assert_eq!(messages("name: x\nkind: [a]\n"), ["a.yaml:2:1: \"kind\" must be one of batch, stream"]);
    assert_eq!(messages("name: x\nkind: 3\n"), ["a.yaml:2:1: \"kind\" must be one of batch, stream"]);
    assert_eq!(messages("name: x\nkind:\n"), ["a.yaml:2:1: \"kind\" has no value (Give it a value or remove the key.)"]);
}

#[test]
fn a_repaired_document_is_checked_but_never_a_result() {
    let reader = Reader::<Sample>::new();
    let seen = std::cell::Cell::new(false);
    let result = reader.check("a.yaml", "nam: x\ndays: soon\nitems: [3]\n", |sample, _| {
        seen.set(sample.days.is_none() && sample.items.len() == 1);
        Ok(sample)
    });
    assert!(seen.get() && result.unwrap_err().len() == 4);
}

#[test]
fn a_key_without_a_value_is_a_fault() {
    assert_eq!(messages("name: x\ndays:\n"), ["a.yaml:2:1: \"days\" has no value (Give it a value or remove the key.)"]);
}

#[test]
fn a_number_too_large_for_its_type_names_its_line() {
    assert_eq!(messages("name: x\ndays: 5000000000\n"), ["a.yaml:2:1: \"days\" must be at most 4294967295"]);
    assert_eq!(messages("name: x\ndays: -1\n"), ["a.yaml:2:1: \"days\" must be at least 0"]);
}

#[test]
fn a_fault_never_repeats_a_value() {
    let faults = messages("name: {hunter2: hunter2}\nversion: [hunter3]\ndays: hunter3\nkind: hunter3\n").join("\n");
    assert!(!faults.contains("hunter3"), "{faults}");
}

#[test]
fn a_key_given_twice_is_a_fault_at_the_second() {
    assert_eq!(messages("name: x\nname: y\n"), ["a.yaml:2:1: the key \"name\" is given twice (Remove one of the two.)"]);
    assert_eq!(messages("name: x\nitems: [{id: 1, id: 2}]\n"), ["a.yaml:2:17: the key \"id\" is given twice (Remove one of the two.)"]);
}

#[test]
fn a_second_document_is_a_fault() {
    assert!(messages("name: x\n---\nname: y\n")[0].contains("more than one document"));
}

#[test]
fn tabs_are_named() {
    let faults = messages("name: x\nitems:\n\t- id: 1\n");
    assert!(faults[0].starts_with("a.yaml:3:") && faults[0].contains("tabs"), "{faults:?}");
}

#[test]
fn broken_syntax_is_a_fault_with_a_line() {
    for text in ["name: [1, 2\n", "name: \"x\n", "{", "name: x\n  b: y: z", "a: 'b", "? [a]\n: b", "%FOO", "&a", "name: *a"] {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn an_empty_file_is_a_fault() {
    for text in ["", "\n\n", "# only a comment\n", "---\n", "~"] {
        assert_eq!(messages(text), ["a.yaml:1:1: the file is empty"]);
    }
}

#[test]
fn anchors_cannot_multiply() {
    let bomb = "a: &a [x, x, x]\nb: &b [*a, *a, *a]\nc: [*b, *b, *b]\n";
    assert!(messages(bomb)[0].contains("aliases"));
}

#[test]
fn deep_nesting_is_a_fault() {
    assert!(messages(&"[".repeat(100_000))[0].contains("levels"));
    assert!(messages(&"- ".repeat(50_000))[0].contains("levels"));
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(Reader::<Sample>::value("a", &deep(64)).is_ok());
    assert!(Reader::<Sample>::value("a", &deep(65)).is_err());
}

#[test]
fn a_file_past_the_limit_is_a_fault_and_one_at_it_is_read() {
    let text = |bytes: usize| format!("name: {}", "x".repeat(bytes - 6));
    assert!(read(&text(TEXT_BYTES_MAX)).is_ok());
    assert!(messages(&text(TEXT_BYTES_MAX + 1))[0].contains("longer than"));
}

#[test]
fn positions_of_unknown_places_are_those_of_their_parents() {
    let (_, map) = read("name: x\nitems:\n  - id: 1\n  - id: 2\nlabels: {\"a/b\": c}\n").unwrap();
    assert_eq!(map.position("/items/1/id"), (4, 5));
    assert_eq!(map.position("/items/1/nope"), (4, 5));
    assert_eq!(map.position("/labels/a~1b"), (5, 10));
    assert_eq!(map.position("/nope"), (1, 1));
    assert_eq!(map.position(""), (1, 1));
}

#[test]
fn a_byte_order_mark_and_carriage_returns_are_read() {
    let (sample, map) = read("\u{feff}name: x\r\ndays: 3\r\n").unwrap();
    assert_eq!((sample.name.as_str(), sample.days, map.position("/days").0), ("x", Some(3), 2));
}
