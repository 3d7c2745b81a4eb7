//! What the shared conformance test does not reach: forms of values, lists, keys, faults and their lines.

use crate::ports::tests::{field, ports, product, refusal, rows};
use crate::product::{DataType, Field, OnError, PortFormat, Product};

fn ndjson(fields: Vec<Field>) -> Product {
    product(PortFormat::Ndjson(OnError::Fail), "a.ndjson", Some(fields))
}

async fn read(text: &str, fields: Vec<Field>) -> Result<Vec<String>, (String, String)> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.ndjson"), text).unwrap();
    let (ports, product) = (ports(folder.path(), false), ndjson(fields));
    match rows(&ports, &product).await {
        Ok(rows) => Ok(rows),
        Err(_) => Err(refusal(&ports, &product).await),
    }
}

fn two() -> Vec<Field> {
    vec![field("id", DataType::Int64), field("name", DataType::String)]
}

#[tokio::test]
async fn keys_are_found_by_name_and_further_ones_ignored() {
    let text = "{\"secret\":1,\"NAME\":\"Ad\\u0061\",\"id\":1}\n\n{\"id\":\"2\"}\r\n{\"id\":3,\"name\":null}";
    assert_eq!(read(text, two()).await.unwrap(), ["1|Ada", "2|NULL", "3|NULL"]);
}

#[tokio::test]
async fn lists_and_json_are_read_from_nested_values() {
    let list = DataType::List(Box::new(DataType::Int64));
    let fields = vec![field("l", list), field("j", DataType::Json)];
    let text = "{\"l\":[1, 2,null],\"j\":{\"a\":[1]}}\n{\"l\":[],\"j\":\"x\"}\n{\"l\":null,\"j\":2}\n";
    assert_eq!(read(text, fields).await.unwrap(), ["NULL|2", "[1, 2, NULL]|{\"a\":[1]}", "[]|\"x\""]);
}

#[tokio::test]
async fn a_key_that_no_object_has_is_a_missing_column() {
    let (code, text) = read("{\"id\":1,\"nom\":\"x\"}\n{\"id\":2}\n", two()).await.unwrap_err();
    assert_eq!((code.as_str(), text.contains("\"name\"")), ("HV021", true), "{text}");
    assert!(read("", two()).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_no_object_or_no_value_is_an_error_with_its_line() {
    for (bad, part) in [
        ("[1]", "line 2: it is no JSON object"),
        ("{\"id\":1", "line 2: it is not valid JSON"),
        ("{\"id\":1,\"id\":2,\"name\":\"x\"}", "line 2: it has a key twice"),
        ("{\"id\":1.5,\"name\":\"x\"}", "line 2, column \"id\": not a valid int64"),
        ("{\"id\":true,\"name\":\"x\"}", "line 2, column \"id\": not a valid int64"),
        ("{\"id\":1,\"name\":2}", "line 2, column \"name\": not a valid string"),
    ] {
        let (code, text) = read(&format!("{{\"id\":1,\"name\":\"x\"}}\n{bad}\n"), two()).await.unwrap_err();
        assert_eq!(code, "XX001", "{bad}");
        assert!(text.ends_with(part), "{bad}: {text}");
    }
}

#[tokio::test]
async fn a_wrong_value_is_null_where_the_contract_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let list = DataType::List(Box::new(DataType::Int64));
    let mut fields = vec![field("id", DataType::Int64), field("at", DataType::Date), field("l", list)];
    fields[0].required = true;
    let of = |on_error| product(PortFormat::Ndjson(on_error), "a.ndjson", Some(fields.clone()));
    let text = "{\"id\":1,\"at\":\"soon\",\"l\":[1,\"x\",2]}\n{\"id\":2,\"at\":7,\"l\":{}}\n{\"id\":3,\"at\":\"2026-11-21\",\"l\":[]}\n";
    std::fs::write(folder.path().join("a.ndjson"), text).unwrap();
    let ports = ports(folder.path(), false);
    assert_eq!(rows(&ports, &of(OnError::Null)).await.unwrap(), ["1|NULL|[1, NULL, 2]", "2|NULL|NULL", "3|2026-11-21|[]"]);
    assert_eq!(refusal(&ports, &of(OnError::Fail)).await.0, "XX001");
    for bad in ["{\"id\":\"x\",\"at\":null,\"l\":null}\n", "{\"id\":1,\"id\":1,\"at\":null,\"l\":null}\n", "[]\n"] {
        std::fs::write(folder.path().join("a.ndjson"), bad).unwrap();
        assert_eq!(refusal(&ports, &of(OnError::Null)).await.0, "XX001", "{bad}");
    }
}
