//! Values, and what is no value.

use proptest::prelude::*;

use super::*;

fn read(value: &str, pg_type: PgType) -> Result<ScalarValue, ClientMessage> {
    let parameter = Parameter { format: Format::Text, value: Some(Bytes::copy_from_slice(value.as_bytes())) };
    decode(&parameter, pg_type, &TimeZone::parse("Europe/Berlin").unwrap())
}

fn read_binary(value: &[u8], pg_type: PgType) -> Result<ScalarValue, ClientMessage> {
    decode(&Parameter { format: Format::Binary, value: Some(Bytes::copy_from_slice(value)) }, pg_type, &TimeZone::default())
}

#[test]
fn texts_are_read_as_postgres_reads_them() {
    let micros = |micros| ScalarValue::TimestampMicrosecond(Some(micros), None);
    let zoned = |micros| ScalarValue::TimestampMicrosecond(Some(micros), Some("+00:00".into()));
    let table = [
        ("yes", PgType::BOOL, ScalarValue::Boolean(Some(true))),
        (" F ", PgType::BOOL, ScalarValue::Boolean(Some(false))),
        (" +42 ", PgType::INT4, ScalarValue::Int32(Some(42))),
        ("1e3", PgType::FLOAT8, ScalarValue::Float64(Some(1000.0))),
        ("1.90", PgType::NUMERIC, ScalarValue::Decimal128(Some(190), 3, 2)),
        ("-0.001", PgType::NUMERIC, ScalarValue::Decimal128(Some(-1), 3, 3)),
        ("12e2", PgType::NUMERIC, ScalarValue::Decimal128(Some(1200), 4, 0)),
        ("\\x00fF", PgType::BYTEA, ScalarValue::Binary(Some(vec![0, 255]))),
        ("a\\\\b\\001", PgType::BYTEA, ScalarValue::Binary(Some(b"a\\b\x01".to_vec()))),
        ("2024-02-29", PgType::DATE, ScalarValue::Date32(Some(19_782))),
        ("20240229", PgType::DATE, ScalarValue::Date32(Some(19_782))),
        ("0001-12-31 BC", PgType::DATE, ScalarValue::Date32(Some(-719_163))),
        ("01:02:03.5", PgType::TIME, ScalarValue::Time64Microsecond(Some(3_723_500_000))),
        ("24:00", PgType::TIME, ScalarValue::Time64Microsecond(Some(86_400_000_000))),
        ("1970-01-02T00:00:00.000001Z", PgType::TIMESTAMP, micros(86_400_000_001)),
        ("1970-01-01", PgType::TIMESTAMP, micros(0)),
        ("1970-01-01 00:00:00", PgType::TIMESTAMPTZ, zoned(-3_600_000_000)),
        ("1970-01-01 00:00:00-02:30", PgType::TIMESTAMPTZ, zoned(9_000_000_000)),
        ("1970-01-01 00:00:00 America/New_York", PgType::TIMESTAMPTZ, zoned(18_000_000_000)),
        ("{6BA7B810-9DAD-11D1-80B4-00C04FD430C8}", PgType::UUID, ScalarValue::from("6ba7b810-9dad-11d1-80b4-00c04fd430c8")),
        ("{\"a\": 1}", PgType::JSONB, ScalarValue::from("{\"a\": 1}")),
    ];
    for (text, pg_type, expected) in table {
        assert_eq!(read(text, pg_type), Ok(expected), "{text}");
    }
}

#[test]
fn intervals_are_read_in_both_styles() {
    let span = |months, days, micros: i64| {
        Ok(ScalarValue::IntervalMonthDayNano(Some(arrow::datatypes::IntervalMonthDayNano::new(months, days, micros * 1000))))
    };
    assert_eq!(read("1 year 2 mons -3 days 04:05:06.7", PgType::INTERVAL), span(14, -3, 14_706_700_000));
    assert_eq!(read("1 day ago", PgType::INTERVAL), span(0, -1, 0));
    assert_eq!(read("P1Y2M3DT4H5M6S", PgType::INTERVAL), span(14, 3, 14_706_000_000));
    assert_eq!(read("1.5 days", PgType::INTERVAL), span(0, 1, 43_200_000_000));
    assert_eq!(read("90 minutes", PgType::INTERVAL), span(0, 0, 5_400_000_000));
    assert_eq!(read("-1 days +01:00:00", PgType::INTERVAL), span(0, -1, 3_600_000_000));
}

#[test]
fn what_is_no_value_is_refused_with_its_code() {
    let table = [
        ("abc", PgType::INT4, "22P02", "invalid input syntax for type integer: \"abc\""),
        ("1.9", PgType::INT4, "22P02", "invalid input syntax for type integer: \"1.9\""),
        ("", PgType::INT8, "22P02", "invalid input syntax for type bigint: \"\""),
        ("40000", PgType::INT2, "22003", "value \"40000\" is out of range for type smallint"),
        ("1e400", PgType::FLOAT8, "22003", "\"1e400\" is out of range for type double precision"),
        ("1..2", PgType::NUMERIC, "22P02", "invalid input syntax for type numeric: \"1..2\""),
        ("1e1000", PgType::NUMERIC, "22003", "value overflows numeric format"),
        ("maybe", PgType::BOOL, "22P02", "invalid input syntax for type boolean: \"maybe\""),
        ("soon", PgType::DATE, "22007", "invalid input syntax for type date: \"soon\""),
        ("2024-02-30", PgType::DATE, "22008", "date/time field value out of range: \"2024-02-30\""),
        ("2024-01-01 25:00", PgType::TIMESTAMP, "22008", "date/time field value out of range: \"2024-01-01 25:00\""),
        (
            "2024-01-01 10:00 Nowhere/At_All",
            PgType::TIMESTAMPTZ,
            "22007",
            "invalid input syntax for type timestamp with time zone: \"2024-01-01 10:00 Nowhere/At_All\"",
        ),
        ("3 parsecs", PgType::INTERVAL, "22007", "invalid input syntax for type interval: \"3 parsecs\""),
        ("x", PgType::UUID, "22P02", "invalid input syntax for type uuid: \"x\""),
        ("{", PgType::JSON, "22P02", "invalid input syntax for type json"),
        ("\\x0", PgType::BYTEA, "22023", "invalid hexadecimal data: odd number of digits"),
        ("1,2", PgType::INT4_ARRAY, "22P02", "malformed array literal: \"1,2\""),
    ];
    for (text, pg_type, code, message) in table {
        let error = read(text, pg_type).unwrap_err();
        assert_eq!((error.sqlstate.as_str(), error.message.as_str()), (code, message), "{text}");
    }
}

#[test]
fn what_a_client_binds_may_be_written_as_constants_are() {
    let now = chrono::DateTime::from_timestamp(1_779_000_000, 0).unwrap();
    let facts = || Facts { now, ..Facts::plain() };
    let bound = |value: &[u8], format, pg_type| {
        let parameter = Parameter { format, value: Some(Bytes::copy_from_slice(value)) };
        super::bound(&parameter, pg_type, &TimeZone::default(), facts)
    };
    let text = |value: &str, pg_type| bound(value.as_bytes(), Format::Text, pg_type);
    for (value, days) in [
        ("Jan 2, 2026", 20_455),
        ("2 Jan 2026", 20_455),
        ("01/02/2026", 20_455),
        ("today", 20_590),
        ("2026.002", 20_455),
        ("J2451187", 10_599),
    ] {
        assert_eq!(text(value, PgType::DATE).unwrap(), ScalarValue::Date32(Some(days)), "{value}");
    }
    assert_eq!(text("allballs", PgType::TIME).unwrap(), ScalarValue::Time64Microsecond(Some(0)));
    assert_eq!(text("some day", PgType::DATE).unwrap_err().message, "invalid input syntax for type date: \"some day\"");
    let known = |text: &str| ScalarValue::Utf8(Some(text.to_owned()));
    for (value, shown) in [("nan", "NaN"), ("-inf", "-Infinity"), ("Infinity", "Infinity")] {
        assert_eq!(text(value, PgType::NUMERIC).unwrap(), known(shown));
    }
    assert_eq!(text(&"9".repeat(100), PgType::NUMERIC).unwrap(), known(&"9".repeat(100)));
    assert_eq!(text("1..2", PgType::NUMERIC).unwrap_err().sqlstate, SqlState::INVALID_TEXT_REPRESENTATION);
    for (sign, shown) in [(0xc0, "NaN"), (0xd0, "Infinity"), (0xf0, "-Infinity")] {
        assert_eq!(bound(&[0, 0, 0, 0, sign, 0, 0, 0], Format::Binary, PgType::NUMERIC).unwrap(), known(shown));
    }
    assert_eq!(text("-1", PgType::OID).unwrap(), ScalarValue::UInt32(Some(u32::MAX)));
    let span =
        |months, days, nanos| ScalarValue::IntervalMonthDayNano(Some(arrow::datatypes::IntervalMonthDayNano::new(months, days, nanos)));
    assert_eq!(text("1 millennium", PgType::INTERVAL).unwrap(), span(12_000, 0, 0));
    assert_eq!(text("P0001-02-03T04:05:06", PgType::INTERVAL).unwrap(), span(14, 3, 14_706_000_000_000));
}

#[test]
fn large_numbers_are_exact() {
    let digits = "123456789012345678901234567890123456789012345";
    let ScalarValue::Decimal256(Some(number), 45, 0) = read(digits, PgType::NUMERIC).unwrap() else { panic!("no decimal") };
    assert_eq!(number.to_string(), digits);
}

#[test]
fn arrays_are_read_with_quotes_and_nulls() {
    let ScalarValue::List(list) = read(r#"{a,"b,\"c",NULL,"NULL", d }"#, PgType::TEXT_ARRAY).unwrap() else { panic!("no list") };
    let values = list.value(0);
    let values: &arrow::array::StringArray = values.as_any().downcast_ref().unwrap();
    assert_eq!(values.iter().collect::<Vec<_>>(), [Some("a"), Some("b,\"c"), None, Some("NULL"), Some("d")]);
    let ScalarValue::List(list) = read("{1,2.50}", PgType::NUMERIC_ARRAY).unwrap() else { panic!("no list") };
    assert_eq!(list.value(0).data_type(), &DataType::Decimal128(3, 2));
}

#[test]
fn arrays_have_dimensions() {
    let ints = |values: [i32; 2]| {
        ScalarValue::List(ScalarValue::new_list_nullable(&values.map(|value| ScalarValue::Int32(Some(value))), &DataType::Int32))
    };
    let inner = ints([1, 2]).data_type();
    let wanted = ScalarValue::List(ScalarValue::new_list_nullable(&[ints([1, 2]), ints([3, 4])], &inner));
    assert_eq!(read("{{1,2}, {3,4}}", PgType::INT4_ARRAY).unwrap(), wanted);
    let mut bytes = [2, 0, 23, 2, 1, 2, 1].map(i32::to_be_bytes).concat();
    bytes.extend([1, 2, 3, 4].iter().flat_map(|value: &i32| [4_i32.to_be_bytes(), value.to_be_bytes()].concat()));
    assert_eq!(read_binary(&bytes, PgType::INT4_ARRAY).unwrap(), wanted);
    for bad in ["{{1},{2,3}}", "{{1},2}", "{1,{2}}", "{{1,2},{{3},{4}}}", "{{},{}}"] {
        assert_eq!(read(bad, PgType::INT4_ARRAY).unwrap_err().sqlstate, SqlState::INVALID_TEXT_REPRESENTATION, "{bad}");
    }
}

#[test]
fn binary_values_of_a_wrong_length_are_refused() {
    for (bytes, pg_type) in [
        (&b"\0"[..], PgType::INT4),
        (b"\0\0", PgType::BOOL),
        (b"", PgType::NUMERIC),
        (b"\0\x01\0\0\0\0\0\0", PgType::NUMERIC),
        (b"\0\x01\0\0\0\0\0\0\x27\x10", PgType::NUMERIC),
        (b"\0\0\0\x01\0\0\0\0\0\0\0\x17\x7f\xff\xff\xff\0\0\0\x01", PgType::INT4_ARRAY),
        (b"\x02{}", PgType::JSONB),
    ] {
        assert_eq!(read_binary(bytes, pg_type).unwrap_err().sqlstate, SqlState::INVALID_BINARY_REPRESENTATION, "{bytes:?}");
    }
}

#[test]
fn null_keeps_its_type() {
    for pg_type in [PgType::INT4, PgType::TEXT, PgType::TIMESTAMPTZ, PgType::NUMERIC, PgType::INT4_ARRAY, PgType::BYTEA] {
        let value = decode(&Parameter { format: Format::Text, value: None }, pg_type, &TimeZone::default()).unwrap();
        assert!(value.is_null(), "{value:?}");
        assert!(!value.data_type().is_null());
    }
}

proptest! {
    #[test]
    fn no_input_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..40),
        text in "[-+0-9a-zA-Z:.,{}\" \\\\/é]{0,24}",
        which in 0..KINDS.len(),
    ) {
        let (scalar, _) = KINDS[which];
        for pg_type in [scalar, scalar.array()] {
            let _ = read_binary(&bytes, pg_type);
            let _ = read(&text, pg_type);
        }
    }
}
