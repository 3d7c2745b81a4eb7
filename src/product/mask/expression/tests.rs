//! What expressions compute, what they refuse, and that nothing makes them fail.

use proptest::prelude::*;

use super::*;

fn types() -> Vec<(FieldName, DataType)> {
    [
        ("name", "string"),
        ("email", "varchar(40)"),
        ("age", "int32"),
        ("total", "decimal(10,2)"),
        ("ratio", "float64"),
        ("active", "boolean"),
        ("born", "date"),
        ("seen", "timestamptz"),
        ("tags", "list<string>"),
    ]
    .into_iter()
    .map(|(name, data_type)| (FieldName::parse(name).unwrap(), DataType::parse(data_type).unwrap()))
    .collect()
}

fn read(text: &str, target: Option<&str>) -> Result<Expression, ExpressionFault> {
    let types = types();
    let columns: Vec<_> = types.iter().map(|(name, data_type)| ExpressionColumn { name, data_type }).collect();
    Expression::parse(text, target.map(|name| DataType::parse(name).unwrap()).as_ref(), &columns)
}

fn row(name: &str) -> Value<'static> {
    match name {
        "name" => Value::Text("Ada Lovelace".into()),
        "email" => Value::Text("ada@example.org".into()),
        "age" => Value::Int(36),
        "total" => Value::Decimal(Decimal { unscaled: 1_250, scale: 2 }),
        "ratio" => Value::Float(0.5),
        "active" => Value::Bool(true),
        "born" => Value::Date(-1),
        "seen" => Value::Timestamp(86_400_000_000 * 45 + 3_600_000_000),
        _ => Value::Null,
    }
}

/// The value of an expression for one row, as a value of a type.
fn evaluated(text: &str, target: &str) -> String {
    let target = DataType::parse(target).unwrap();
    let expression = read(text, None).unwrap_or_else(|fault| panic!("{text}: {fault}"));
    assert!(expression.serves(&target), "{text} is {:?}", expression.kind);
    let values: Vec<Value<'_>> = expression.columns().iter().map(|column| row(column.as_str())).collect();
    match expression.evaluate(&values, &target) {
        Value::Null => "NULL".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Decimal(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Text(text) => text.into_owned(),
        Value::Date(day) => format!("day {day}"),
        Value::Time(micros) | Value::Timestamp(micros) => format!("{micros} µs"),
    }
}

#[test]
fn texts_are_computed_as_in_postgresql() {
    for (text, value) in [
        ("lower(left(name, 1)) || '***'", "a***"),
        ("split_part(email, '@', 2)", "example.org"),
        ("split_part(email, '@', -2)", "ada"),
        ("split_part(email, '@', 9)", ""),
        ("repeat('*', length(name))", "************"),
        ("right(name, 4)", "lace"),
        ("left(name, -9)", "Ada"),
        ("right(name, -4)", "Lovelace"),
        ("substr(name, 5, 4)", "Love"),
        ("substring(name, -1, 5)", "Ada"),
        ("replace(name, 'a', 'X')", "AdX LovelXce"),
        ("regexp_replace(name, '[a-z]', '.', 'g')", "A.. L......."),
        ("regexp_replace(email, '^(.).*@', '\\1***@')", "a***@example.org"),
        ("upper(name) || '/' || age", "ADA LOVELACE/36"),
        ("concat(name, NULL, '!')", "Ada Lovelace!"),
        ("lpad(age::text, 5, '0')", "00036"),
        ("rpad('ab', 1)", "a"),
        ("trim('  x ') || '|'", "x|"),
        ("reverse('abc')", "cba"),
        ("CASE WHEN age >= 18 THEN 'adult' ELSE 'minor' END", "adult"),
        ("CASE age WHEN 36 THEN 'x' END", "x"),
        ("coalesce(NULL, name)", "Ada Lovelace"),
        ("total::text", "12.50"),
        ("cast(born as text)", "1969-12-31"),
        ("'it''s'", "it's"),
    ] {
        assert_eq!(evaluated(text, "string"), value, "{text}");
    }
    assert_eq!(evaluated("name", "varchar(3)"), "Ada");
}

#[test]
fn numbers_and_dates_are_computed_as_in_postgresql() {
    for (text, target, value) in [
        ("age / 10 * 10", "int32", "30"),
        ("age % 7", "int32", "1"),
        ("-age + 1", "int64", "-35"),
        ("age + 0.5", "decimal(10,2)", "36.50"),
        ("round(total)", "decimal(10,2)", "13.00"),
        ("round(age, -1)", "int32", "40"),
        ("floor(total)", "decimal(10,2)", "12.00"),
        ("total * 2", "decimal(10,2)", "25.00"),
        ("ratio * 3", "float64", "1.5"),
        ("abs(-3)", "int32", "3"),
        ("extract(year from born)", "int32", "1969"),
        ("date_part('month', seen)", "int32", "2"),
        ("date_trunc('month', seen)", "timestamptz", "2678400000000 µs"),
        ("date_trunc('quarter', born)", "date", "day -92"),
        ("seen::date", "date", "day 45"),
        ("born", "timestamp", "-86400000000 µs"),
        ("date '1970-01-03'", "date", "day 2"),
        ("greatest(age, 40, NULL)", "int32", "40"),
        ("least(age, 40)", "int32", "36"),
        ("nullif(age, 36)", "int32", "NULL"),
        ("length(name)", "int16", "12"),
        ("strpos(email, '@')", "int32", "4"),
    ] {
        assert_eq!(evaluated(text, target), value, "{text}");
    }
}

#[test]
fn conditions_have_three_values() {
    for (text, value) in [
        ("age > 30 AND name LIKE 'Ada%'", "true"),
        ("age > 30 AND NULL", "NULL"),
        ("age < 30 AND NULL", "false"),
        ("age > 30 OR NULL", "true"),
        ("NOT (name ILIKE 'ADA L_velace')", "false"),
        ("name LIKE 'Ada'", "false"),
        ("age IN (1, 36)", "true"),
        ("age NOT IN (1, 2)", "true"),
        ("age NOT IN (1, NULL)", "NULL"),
        ("age BETWEEN 36 AND 40", "true"),
        ("born < '1970-01-01'", "true"),
        ("seen > born", "true"),
        ("total = 12.5", "true"),
        ("tags IS NULL", "true"),
        ("active", "true"),
        ("email ~ '@example\\.org$'", "true"),
    ] {
        assert_eq!(evaluated(text, "boolean"), value, "{text}");
    }
}

#[test]
fn what_would_be_an_error_is_null() {
    for (text, target) in [
        ("age / 0", "int32"),
        ("age % 0", "int32"),
        ("total / 0", "decimal(10,2)"),
        ("9223372036854775807 + age", "int64"),
        ("age * 100000", "int16"),
        ("name::int64", "int64"),
        ("cast(name as date)", "date"),
        ("cast(email as boolean)", "boolean"),
        ("total * 1000000000", "decimal(10,2)"),
        ("substr(name, 1, -1)", "string"),
        ("ratio / 0", "float64"),
        ("1e308::text", "string"),
    ] {
        if text.starts_with("1e") {
            assert!(read(text, None).is_err());
        } else {
            assert_eq!(evaluated(text, target), "NULL", "{text}");
        }
    }
}

#[test]
fn a_text_cannot_be_blown_up() {
    for text in [
        "repeat(name, 100000)",
        "lpad(name, 1000000000)",
        "replace(repeat(name, 100), 'a', repeat(name, 100))",
        "regexp_replace(repeat(name, 300), '(.*)', '\\1\\1\\1', 'g')",
        "repeat(repeat(repeat(name, 300), 300), 300)",
    ] {
        assert_eq!(evaluated(text, "string"), "NULL", "{text}");
    }
}

#[test]
fn what_is_not_known_or_not_typed_is_refused() {
    for (text, position, message) in [
        ("", 1, "a value is expected"),
        ("nothing", 1, "there is no column \"nothing\""),
        ("\"Name\"", 1, "there is no column \"Name\""),
        ("name + 1", 9, "the types do not go together"),
        ("now()", 6, "takes"),
        ("random()", 8, "no immutable function \"random\""),
        ("lower(age)", 11, "text is expected"),
        ("lower(name", 11, "\")\" is expected"),
        ("name)", 5, "an operator or the end"),
        ("age = 'x'", 10, "a literal is no whole number"),
        ("tags", 1, "only asked whether it is NULL"),
        ("name = tags", 12, "the types do not go together"),
        ("name -- x", 6, "a comment"),
        ("name; drop", 5, "no meaning"),
        ("'open", 1, "not closed"),
        ("regexp_replace(name, '(', '')", 22, "no regular expression"),
        ("regexp_replace(name, '(\\w{1000}){100}', '')", 22, "too large"),
        ("(SELECT 1)", 2, "there is no column \"select\""),
        ("name::uuid", 11, "cannot be cast"),
        ("seen < timestamp '1970-01-01'", 30, "do not go together"),
    ] {
        let fault = read(text, None).unwrap_err();
        if text == "now()" {
            assert!(fault.message.contains("no immutable function"), "{fault}");
            continue;
        }
        assert!(fault.message.contains(message), "{text}: {fault}");
        assert_eq!(fault.position, position, "{text}: {fault}");
    }
    assert!(read("age", Some("string")).unwrap_err().message.contains("the column is string"));
    assert!(read("name", Some("uuid")).is_err());
}

#[test]
fn size_and_depth_are_bounded() {
    let nested = |depth: usize| format!("{}1{}", "(".repeat(depth), ")".repeat(depth));
    assert!(read(&nested(32), None).is_ok());
    assert!(read(&nested(33), None).unwrap_err().message.contains("nested"));
    assert!(read(&format!("{}1", "- ".repeat(100)), None).unwrap_err().message.contains("nested"));
    assert!(read(&format!("{}true", "not ".repeat(100)), None).unwrap_err().message.contains("nested"));
    assert!(read(&["1"; 128].join("+"), None).is_ok());
    assert!(read(&["1"; 200].join("+"), None).unwrap_err().message.contains("parts"));
    assert!(read(&format!("name{}", " ".repeat(BYTES_MAX)), None).unwrap_err().message.contains("longer"));
    // Each BETWEEN doubles what stands left of it.
    let doubled = (0..20).fold("active".to_owned(), |inner, _| format!("({inner} between true and false)"));
    assert!(read(&doubled, None).unwrap_err().message.contains("parts"));
}

#[test]
fn each_column_is_read_once() {
    let expression = read("name || email || name", None).unwrap();
    assert_eq!(expression.columns().iter().map(FieldName::as_str).collect::<Vec<_>>(), ["name", "email"]);
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "\\PC{0,12}", "[a-z@. ]{0,30}", Just("💥é".to_owned())]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    /// Whatever the row, every function has a value.
    #[test]
    fn no_row_fails(name in texts(), email in texts(), age in any::<i64>(), day in any::<i32>(), micros in any::<i64>(), ratio in any::<f64>()) {
        for text in [
            "left(name, age)", "right(name, age)", "substr(name, age, age)", "split_part(name, email, age)", "repeat(name, age)",
            "lpad(name, age, email)", "rpad(name, age, email)", "replace(name, email, name)", "age / (age - 7)", "-age", "abs(age)",
            "round(age, age)", "round(ratio, age)", "ratio * ratio", "ratio::int64", "ratio::decimal(10,2)", "date_trunc('week', born)",
            "date_trunc('year', seen)", "extract(doy from born)", "seen::date", "born::timestamptz", "seen::text", "name::date",
            "strpos(name, email)", "upper(name) || lower(email)", "regexp_replace(name, '(.)', '\\1\\1', 'g')", "age::decimal(38,0) * age",
            "born::timestamp::text", "name::timestamptz", "total / age",
        ] {
            let expression = read(text, None).unwrap();
            let values: Vec<Value<'_>> = expression.columns().iter().map(|column| match column.as_str() {
                "name" => Value::Text(name.as_str().into()),
                "email" => Value::Text(email.as_str().into()),
                "age" => Value::Int(age),
                "total" => Value::Decimal(Decimal { unscaled: i128::from(age), scale: 2 }),
                "born" => Value::Date(day),
                "seen" => Value::Timestamp(micros),
                _ => Value::Float(ratio),
            }).collect();
            for target in ["string", "varchar(3)", "int16", "int64", "decimal(5,1)", "float64", "date", "timestamptz"] {
                let target = DataType::parse(target).unwrap();
                let _ = expression.evaluate(&values, &target);
            }
        }
    }
}
