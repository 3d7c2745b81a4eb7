//! Every type in both forms, and the two forms against each other.

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::*;
use arrow::record_batch::RecordBatch;
use bytes::BytesMut;
use proptest::prelude::*;

use super::*;
use crate::engine::{Column, CopyFormat, Parameter, decode_parameter};

fn written(array: &dyn Array, pg_type: PgType, format: Format, settings: &EncodeSettings) -> Result<Vec<Option<Vec<u8>>>, EncodeError> {
    let mut cells = Cells::default();
    column(array, Target { pg_type, format }, settings, &mut cells)?;
    Ok((0..array.len()).map(|row| cells.cell(row).map(<[u8]>::to_vec)).collect())
}

fn text_of(array: &dyn Array, pg_type: PgType) -> Vec<String> {
    let cells = written(array, pg_type, Format::Text, &EncodeSettings::default()).unwrap();
    cells.into_iter().map(|cell| cell.map_or("NULL".to_owned(), |cell| String::from_utf8(cell).unwrap())).collect()
}

fn binary_of(array: &dyn Array, pg_type: PgType) -> Vec<Option<Vec<u8>>> {
    written(array, pg_type, Format::Binary, &EncodeSettings::default()).unwrap()
}

#[test]
fn floats_are_written_as_postgres_writes_them() {
    let doubles =
        [1.0, 1.5, -0.0, 1e20, 1e15, 1e14, 123_456.789, 0.0001, 0.00001, 1.5e-7, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX];
    let expected = [
        "1",
        "1.5",
        "-0",
        "1e+20",
        "1e+15",
        "100000000000000",
        "123456.789",
        "0.0001",
        "1e-05",
        "1.5e-07",
        "NaN",
        "Infinity",
        "-Infinity",
        "1.7976931348623157e+308",
    ];
    assert_eq!(text_of(&Float64Array::from(doubles.to_vec()), PgType::FLOAT8), expected);
    let reals = Float32Array::from(vec![1.1f32, 1e6, 123456.0, 1e-5, 16777216.0]);
    assert_eq!(text_of(&reals, PgType::FLOAT4), ["1.1", "1e+06", "123456", "1e-05", "1.6777216e+07"]);
    let settings = EncodeSettings { extra_float_digits: 0, ..EncodeSettings::default() };
    let cells = written(&Float64Array::from(vec![0.1 + 0.2, 100.0]), PgType::FLOAT8, Format::Text, &settings).unwrap();
    assert_eq!(cells, [Some(b"0.3".to_vec()), Some(b"100".to_vec())]);
}

/// What PostgreSQL 15 prints for the same values in Berlin.
#[test]
fn dates_follow_the_sessions_style() {
    let moments = [1_798_686_245_250_000i64, -63_517_820_277_000_000];
    let style = |text: &str| EncodeSettings {
        date_style: DateStyle::parse(text, DateStyle::default()).unwrap(),
        time_zone: TimeZone::parse("Europe/Berlin").unwrap(),
        ..EncodeSettings::default()
    };
    let shown = |array: &dyn Array, pg_type, text: &str| -> Vec<String> {
        let cells = written(array, pg_type, Format::Text, &style(text)).unwrap();
        cells.into_iter().map(|cell| String::from_utf8(cell.unwrap()).unwrap()).collect()
    };
    let dates = Date32Array::from(vec![20_818, -735_160]);
    let plain = TimestampMicrosecondArray::from(moments.to_vec());
    let zoned = TimestampMicrosecondArray::from(moments[..1].to_vec()).with_timezone("UTC");
    for (text, date, timestamp, instant) in [
        ("ISO", ["2026-12-31", "0044-03-15 BC"], ["2026-12-31 03:04:05.25", "0044-03-15 01:02:03 BC"], "2026-12-31 04:04:05.25+01"),
        ("SQL, MDY", ["12/31/2026", "03/15/0044 BC"], ["12/31/2026 03:04:05.25", "03/15/0044 01:02:03 BC"], "12/31/2026 04:04:05.25 CET"),
        ("SQL, DMY", ["31/12/2026", "15/03/0044 BC"], ["31/12/2026 03:04:05.25", "15/03/0044 01:02:03 BC"], "31/12/2026 04:04:05.25 CET"),
        (
            "Postgres, MDY",
            ["12-31-2026", "03-15-0044 BC"],
            ["Thu Dec 31 03:04:05.25 2026", "Fri Mar 15 01:02:03 0044 BC"],
            "Thu Dec 31 04:04:05.25 2026 CET",
        ),
        (
            "Postgres, DMY",
            ["31-12-2026", "15-03-0044 BC"],
            ["Thu 31 Dec 03:04:05.25 2026", "Fri 15 Mar 01:02:03 0044 BC"],
            "Thu 31 Dec 04:04:05.25 2026 CET",
        ),
        ("German", ["31.12.2026", "15.03.0044 BC"], ["31.12.2026 03:04:05.25", "15.03.0044 01:02:03 BC"], "31.12.2026 04:04:05.25 CET"),
    ] {
        assert_eq!(shown(&dates, PgType::DATE, text), date, "{text}");
        assert_eq!(shown(&plain, PgType::TIMESTAMP, text), timestamp, "{text}");
        assert_eq!(shown(&zoned, PgType::TIMESTAMPTZ, text), [instant], "{text}");
    }
}

#[test]
fn bytes_are_escaped_where_the_session_asks_for_it() {
    let bytes = BinaryArray::from_vec(vec![b"a\\b\0\xff", b""]);
    let settings = EncodeSettings { bytea_output: ByteaOutput::Escape, ..EncodeSettings::default() };
    let cells = written(&bytes, PgType::BYTEA, Format::Text, &settings).unwrap();
    assert_eq!(cells, [Some(b"a\\\\b\\000\\377".to_vec()), Some(Vec::new())]);
    assert_eq!(text_of(&bytes, PgType::BYTEA), ["\\x615c6200ff", "\\x"]);
}

#[test]
fn vectors_are_written_without_braces_and_count_from_zero() {
    let vectors = ListArray::from_iter_primitive::<Int16Type, _, _>([Some(vec![Some(1), Some(3)]), Some(vec![])]);
    assert_eq!(text_of(&vectors, PgType::INT2VECTOR), ["1 3", ""]);
    let binary = binary_of(&vectors, PgType::INT2VECTOR);
    assert_eq!(binary[0].as_deref(), Some(&b"\0\0\0\x01\0\0\0\0\0\0\0\x15\0\0\0\x02\0\0\0\0\0\0\0\x02\0\x01\0\0\0\x02\0\x03"[..]));
}

#[test]
fn decimals_keep_their_scale() {
    let decimals = Decimal128Array::from(vec![0, 5, -5, 1_234_500, 100_000_000]).with_precision_and_scale(38, 4).unwrap();
    assert_eq!(text_of(&decimals, PgType::NUMERIC), ["0.0000", "0.0005", "-0.0005", "123.4500", "10000.0000"]);
    let binary = binary_of(&decimals, PgType::NUMERIC);
    assert_eq!(binary[0].as_deref(), Some(&[0, 0, 0, 0, 0, 0, 0, 4][..]));
    assert_eq!(binary[2].as_deref(), Some(&[0, 1, 0xff, 0xff, 0x40, 0, 0, 4, 0, 5][..]));
    assert_eq!(binary[3].as_deref(), Some(&[0, 2, 0, 0, 0, 0, 0, 4, 0, 123, 0x11, 0x94][..]));
    assert_eq!(binary[4].as_deref(), Some(&[0, 1, 0, 1, 0, 0, 0, 4, 0, 1][..]));
    let negative_scale = Decimal128Array::from(vec![12, 0]).with_precision_and_scale(5, -2).unwrap();
    assert_eq!(text_of(&negative_scale, PgType::NUMERIC), ["1200", "0"]);
}

#[test]
fn dates_and_times_are_iso() {
    let dates = Date32Array::from(vec![Some(0), Some(19_782), Some(-719_163), Some(2_932_897), None]);
    assert_eq!(text_of(&dates, PgType::DATE), ["1970-01-01", "2024-02-29", "0001-12-31 BC", "10000-01-01", "NULL"]);
    assert_eq!(binary_of(&dates, PgType::DATE)[0].as_deref(), Some(&(-10_957i32).to_be_bytes()[..]));
    let times = Time64MicrosecondArray::from(vec![0, 86_399_999_999, 3_600_500_000]);
    assert_eq!(text_of(&times, PgType::TIME), ["00:00:00", "23:59:59.999999", "01:00:00.5"]);
    let stamps = TimestampMicrosecondArray::from(vec![0, 1_720_000_000_123_000, -1]);
    let plain = ["1970-01-01 00:00:00", "2024-07-03 09:46:40.123", "1969-12-31 23:59:59.999999"];
    assert_eq!(text_of(&stamps, PgType::TIMESTAMP), plain);
    let nanos = TimestampNanosecondArray::from(vec![1_720_000_000_123_000_999]);
    assert_eq!(text_of(&nanos, PgType::TIMESTAMP), [plain[1]]);
    let settings = EncodeSettings { time_zone: TimeZone::parse("Europe/Berlin").unwrap(), ..EncodeSettings::default() };
    let zoned = stamps.with_timezone("+00:00");
    let cells = written(&zoned, PgType::TIMESTAMPTZ, Format::Text, &settings).unwrap();
    assert_eq!(cells[0].as_deref(), Some(&b"1970-01-01 01:00:00+01"[..]));
    assert_eq!(cells[1].as_deref(), Some(&b"2024-07-03 11:46:40.123+02"[..]));
}

#[test]
fn intervals_are_in_postgres_style() {
    let intervals = IntervalMonthDayNanoArray::from(vec![
        IntervalMonthDayNano::new(14, 3, 14_706_789_000_000),
        IntervalMonthDayNano::new(0, 0, 0),
        IntervalMonthDayNano::new(-13, 1, -1_000_000_000),
        IntervalMonthDayNano::new(0, -1, 3_600_000_000_000),
    ]);
    let expected = ["1 year 2 mons 3 days 04:05:06.789", "00:00:00", "-1 years -1 mons +1 day -00:00:01", "-1 days +01:00:00"];
    assert_eq!(text_of(&intervals, PgType::INTERVAL), expected);
    assert_eq!(text_of(&DurationSecondArray::from(vec![-90_061]), PgType::INTERVAL), ["-25:01:01"]);
}

#[test]
fn lists_are_arrays() {
    let texts = ListArray::new(
        Arc::new(Field::new("item", DataType::Utf8View, true)),
        OffsetBuffer::from_lengths([4, 0, 1, 2]),
        Arc::new(StringViewArray::from(vec![Some("a"), Some("b \"c\\"), None, Some("null"), Some(""), Some("x"), Some("{y}")])),
        Some(vec![true, true, false, true].into()),
    );
    assert_eq!(text_of(&texts, PgType::TEXT_ARRAY), [r#"{a,"b \"c\\",NULL,"null"}"#, "{}", "NULL", r#"{x,"{y}"}"#]);
    assert_eq!(text_of(&texts.slice(3, 1), PgType::TEXT_ARRAY), [r#"{x,"{y}"}"#]);
    let numbers = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(7), None]), Some(vec![])]);
    let binary = binary_of(&numbers, PgType::INT4_ARRAY);
    let expected = [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 23, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 7, 255, 255, 255, 255];
    assert_eq!(binary[0].as_deref(), Some(&expected[..]));
    assert_eq!(binary[1].as_deref(), Some(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 23][..]));
    let nested = |rows: Vec<Option<Vec<Option<i32>>>>| {
        let inner = ListArray::from_iter_primitive::<Int32Type, _, _>(rows);
        let field = Arc::new(Field::new_list_field(inner.data_type().clone(), true));
        ListArray::new(field, OffsetBuffer::from_lengths([inner.len()]), Arc::new(inner), None)
    };
    let square = binary_of(&nested(vec![Some(vec![Some(1), None]), Some(vec![Some(3), Some(4)])]), PgType::INT4_ARRAY);
    let numbers = [2, 1, 23, 2, 1, 2, 1, 4, 1, -1, 4, 3, 4, 4].map(i32::to_be_bytes).concat();
    assert_eq!(square, [Some(numbers)]);
    assert_eq!(binary_of(&nested(vec![Some(vec![])]), PgType::INT4_ARRAY), [Some([0, 0, 23].map(i32::to_be_bytes).concat())]);
    let ragged = nested(vec![Some(vec![Some(1)]), Some(vec![])]);
    assert_eq!(written(&ragged, PgType::INT4_ARRAY, Format::Binary, &EncodeSettings::default()), Err(EncodeError::Corrupt));
    let fixed = FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), Some(2)]), Some(vec![Some(3), Some(4)])], 2);
    assert_eq!(text_of(&fixed.slice(1, 1), PgType::INT4_ARRAY), ["{3,4}"]);
}

#[test]
fn structs_are_records_and_dictionaries_what_they_stand_for() {
    let fields = Fields::from(vec![Field::new("a", DataType::Int32, true), Field::new("b", DataType::Utf8, true)]);
    let record = StructArray::new(
        fields,
        vec![Arc::new(Int32Array::from(vec![Some(1), None])), Arc::new(StringArray::from(vec![Some("x, \"y\""), Some("z")]))],
        None,
    );
    assert_eq!(text_of(&record, PgType::RECORD), [r#"(1,"x, ""y""")"#, "(,z)"]);
    let dictionary: DictionaryArray<Int8Type> = vec![Some("b"), None, Some("a"), Some("b")].into_iter().collect();
    assert_eq!(text_of(&dictionary, PgType::TEXT), ["b", "NULL", "a", "b"]);
    let empty: DictionaryArray<Int8Type> = vec![None::<&str>, None].into_iter().collect();
    assert_eq!(text_of(&empty, PgType::TEXT), ["NULL", "NULL"]);
}

#[test]
fn uuid_json_and_bytes_have_their_own_forms() {
    let uuid = StringViewArray::from(vec!["6ba7b810-9dad-11d1-80b4-00c04fd430c8"]);
    assert_eq!(binary_of(&uuid, PgType::UUID)[0].as_ref().map(Vec::len), Some(16));
    assert_eq!(written(&StringArray::from(vec!["x"]), PgType::UUID, Format::Binary, &EncodeSettings::default()), Err(EncodeError::Corrupt));
    assert_eq!(binary_of(&StringArray::from(vec!["{}"]), PgType::JSONB), [Some(b"\x01{}".to_vec())]);
    assert_eq!(binary_of(&StringArray::from(vec!["{}"]), PgType::JSON), [Some(b"{}".to_vec())]);
    assert_eq!(text_of(&BinaryArray::from(vec![&b"\x00\xffa"[..]]), PgType::BYTEA), ["\\x00ff61"]);
}

#[test]
fn what_does_not_fit_is_an_error() {
    let settings = EncodeSettings::default();
    let too_large = written(&Int64Array::from(vec![40_000]), PgType::INT2, Format::Binary, &settings);
    assert_eq!(too_large, Err(EncodeError::OutOfRange));
    for (array, pg_type) in [
        (Arc::new(Int64Array::from(vec![1])) as ArrayRef, PgType::DATE),
        (Arc::new(StringArray::from(vec!["1"])), PgType::INT4),
        (Arc::new(Date32Array::from(vec![1])), PgType::TIMESTAMP),
        (Arc::new(BooleanArray::from(vec![true])), PgType::INT4),
        (Arc::new(BinaryArray::from(vec![&b"x"[..]])), PgType::TEXT_ARRAY),
        (Arc::new(Float64Array::from(vec![1.0])), PgType::FLOAT4),
    ] {
        assert!(matches!(written(&array, pg_type, Format::Binary, &settings), Err(EncodeError::Unfit { .. })), "{array:?}");
    }
}

/// Reads both forms back and compares.
fn forms_agree(array: &dyn Array, pg_type: PgType) {
    let settings = EncodeSettings::default();
    let [text, binary] = [Format::Text, Format::Binary].map(|format| {
        let cells = written(array, pg_type, format, &settings).unwrap();
        cells
            .into_iter()
            .map(|cell| {
                let parameter = Parameter { format, value: cell.map(Into::into) };
                decode_parameter(&parameter, pg_type, &settings.time_zone).unwrap()
            })
            .collect::<Vec<_>>()
    });
    assert_eq!(text, binary);
}

proptest! {
    #[test]
    fn text_and_binary_say_the_same(
        bools in proptest::collection::vec(proptest::option::of(any::<bool>()), 0..8),
        smalls in proptest::collection::vec(proptest::option::of(any::<i16>()), 0..8),
        longs in proptest::collection::vec(proptest::option::of(any::<i64>()), 0..8),
        reals in proptest::collection::vec(proptest::option::of(any::<f32>().prop_filter("finite", |x| x.is_finite())), 0..8),
        doubles in proptest::collection::vec(proptest::option::of(any::<f64>().prop_filter("finite", |x| x.is_finite())), 0..8),
        texts in proptest::collection::vec(proptest::option::of("[^\0]{0,12}"), 0..8),
        bytes in proptest::collection::vec(proptest::option::of(proptest::collection::vec(any::<u8>(), 0..12)), 0..8),
        days in proptest::collection::vec(-700_000i32..2_900_000, 0..8),
        micros in proptest::collection::vec(-60_000_000_000_000_000i64..250_000_000_000_000_000, 0..8),
        spans in proptest::collection::vec((-5000i32..5000, any::<i16>(), -10_000_000_000_000i64..10_000_000_000_000), 0..8),
    ) {
        forms_agree(&BooleanArray::from(bools), PgType::BOOL);
        forms_agree(&Int16Array::from(smalls), PgType::INT2);
        forms_agree(&Int64Array::from(longs), PgType::INT8);
        forms_agree(&Float32Array::from(reals), PgType::FLOAT4);
        forms_agree(&Float64Array::from(doubles), PgType::FLOAT8);
        forms_agree(&BinaryArray::from_iter(bytes), PgType::BYTEA);
        forms_agree(&Date32Array::from(days), PgType::DATE);
        forms_agree(&TimestampMicrosecondArray::from(micros.clone()), PgType::TIMESTAMP);
        forms_agree(&TimestampMicrosecondArray::from(micros).with_timezone("+00:00"), PgType::TIMESTAMPTZ);
        let spans = spans.into_iter().map(|(months, days, micros)| IntervalMonthDayNano::new(months, i32::from(days), micros * 1000));
        forms_agree(&IntervalMonthDayNanoArray::from_iter_values(spans), PgType::INTERVAL);
        let list = ListArray::new(
            Arc::new(Field::new("item", DataType::Utf8, true)),
            OffsetBuffer::from_lengths([texts.len()]),
            Arc::new(StringArray::from(texts)),
            None,
        );
        forms_agree(&list, PgType::TEXT_ARRAY);
    }

    #[test]
    fn decimals_survive_both_forms(number in any::<i128>().prop_map(|number| number / 10), scale in 0i8..38) {
        let array = Decimal128Array::from(vec![number]).with_precision_and_scale(38, scale).unwrap();
        for format in [Format::Text, Format::Binary] {
            let cell = written(&array, PgType::NUMERIC, format, &EncodeSettings::default()).unwrap().remove(0);
            let parameter = Parameter { format, value: cell.map(Into::into) };
            let datafusion::common::ScalarValue::Decimal128(read, _, read_scale) =
                decode_parameter(&parameter, PgType::NUMERIC, &TimeZone::default()).unwrap() else { panic!("no decimal") };
            prop_assert_eq!((read, read_scale), (Some(number), scale));
        }
    }
}

/// What the messages of a slice are, put together value by value.
fn reference(batch: &RecordBatch, columns: &[Column], format: Format, lines: Option<&CopyFormat>) -> Vec<u8> {
    let settings = EncodeSettings::default();
    let cells: Vec<Vec<Option<Vec<u8>>>> =
        batch.columns().iter().zip(columns).map(|(array, column)| written(array, column.pg_type, format, &settings).unwrap()).collect();
    let mut out = Vec::new();
    for row in 0..batch.num_rows() {
        let mut body = Vec::new();
        if lines.is_none() {
            body.extend(u16::try_from(columns.len()).unwrap().to_be_bytes());
        }
        for (index, column) in cells.iter().enumerate() {
            let value = column[row].as_deref();
            match lines {
                None => {
                    body.extend(value.map_or(-1, |value| i32::try_from(value.len()).unwrap()).to_be_bytes());
                    body.extend(value.unwrap_or_default());
                }
                Some(lines) => {
                    body.extend(if index > 0 { &b"|"[..] } else { b"" });
                    body.extend(marked(value, index, columns.len(), lines));
                }
            }
        }
        body.extend(if lines.is_some() { &b"\n"[..] } else { b"" });
        out.push(if lines.is_some() { b'd' } else { b'D' });
        out.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
        out.extend(body);
    }
    out
}

fn marked(value: Option<&[u8]>, index: usize, columns: usize, lines: &CopyFormat) -> Vec<u8> {
    match (lines, value) {
        (CopyFormat::Text { null, .. } | CopyFormat::Csv { null, .. }, None) => null.clone().into_bytes(),
        (CopyFormat::Csv { null, force_quote, .. }, Some(value)) => {
            let text = String::from_utf8(value.to_vec()).unwrap();
            let quoted =
                force_quote.contains(&index) || text == *null || columns == 1 && text == "\\." || text.contains(['|', '\'', '\n', '\r']);
            if quoted { format!("'{}'", text.replace('\'', "''")).into_bytes() } else { text.into_bytes() }
        }
        (_, Some(value)) => {
            let letters = [(8u8, 'b'), (12, 'f'), (10, 'n'), (13, 'r'), (9, 't'), (11, 'v'), (b'\\', '\\'), (b'|', '|')];
            let escaped = |byte: &u8| match letters.iter().find(|(special, _)| special == byte) {
                Some((_, letter)) => vec![b'\\', u8::try_from(*letter).unwrap()],
                None => vec![*byte],
            };
            value.iter().flat_map(escaped).collect()
        }
        (CopyFormat::Binary, None) => unreachable!(),
    }
}

/// A column of each type that has a quick way, and of some that have none.
fn any_batch() -> impl Strategy<Value = (RecordBatch, Vec<Column>)> {
    let row = (
        proptest::option::weighted(0.8, any::<i64>()),
        proptest::option::weighted(0.8, any::<i128>().prop_map(|number| number >> (number.unsigned_abs() % 120))),
        proptest::option::weighted(0.8, "[a-z|'\\\\\n\t.\u{e9}]{0,9}"),
        0u32..64,
    );
    (proptest::collection::vec(row, 0..20), 0i8..20).prop_map(|(rows, scale)| {
        let ints: Vec<Option<i64>> = rows.iter().map(|(int, _, _, shift)| int.map(|int| int >> shift)).collect();
        let wide: Vec<Option<i128>> = rows.iter().map(|(_, wide, _, _)| wide.map(|wide| wide / 10)).collect();
        let texts: Vec<Option<&str>> = rows.iter().map(|(_, _, text, _)| text.as_deref()).collect();
        let narrow = |int: &Option<i64>| int.and_then(|int| i32::try_from(int % (1 << 31)).ok());
        let days = |int: &Option<i64>| int.and_then(|int| i32::try_from(int % 4_000_000).ok());
        let micros: Vec<Option<i64>> = ints.iter().map(|int| int.map(|int| int % 200_000_000_000_000_000)).collect();
        let decimals = Decimal128Array::from(wide.clone()).with_precision_and_scale(38, scale).unwrap();
        let arrays: Vec<(ArrayRef, PgType)> = vec![
            (Arc::new(Int64Array::from(ints.clone())), PgType::INT8),
            (Arc::new(ints.iter().map(narrow).collect::<Int32Array>()), PgType::INT4),
            (
                Arc::new(ints.iter().map(|int| int.and_then(|int| i16::try_from(int % (1 << 15)).ok())).collect::<Int16Array>()),
                PgType::INT2,
            ),
            (Arc::new(ints.iter().map(|int| int.map(i64::cast_unsigned)).collect::<UInt64Array>()), PgType::NUMERIC),
            (Arc::new(decimals), PgType::NUMERIC),
            (Arc::new(ints.iter().map(days).collect::<Date32Array>()), PgType::DATE),
            (Arc::new(TimestampMicrosecondArray::from(micros.clone())), PgType::TIMESTAMP),
            (Arc::new(TimestampMicrosecondArray::from(micros).with_timezone("UTC")), PgType::TIMESTAMPTZ),
            (Arc::new(ints.iter().map(|int| int.map(|int| int as f64 / 7.0)).collect::<Float64Array>()), PgType::FLOAT8),
            (Arc::new(ints.iter().map(|int| int.map(|int| int as f32)).collect::<Float32Array>()), PgType::FLOAT4),
            (Arc::new(ints.iter().map(|int| int.map(|int| int % 2 == 0)).collect::<BooleanArray>()), PgType::BOOL),
            (Arc::new(texts.iter().copied().collect::<StringArray>()), PgType::TEXT),
            (Arc::new(texts.iter().copied().collect::<StringViewArray>()), PgType::VARCHAR),
            (Arc::new(texts.iter().copied().collect::<LargeStringArray>()), PgType::BPCHAR),
        ];
        let columns =
            arrays.iter().map(|(_, pg_type)| Column { name: "c".to_owned(), pg_type: *pg_type, table_oid: 0, number: 0 }).collect();
        let batch =
            RecordBatch::try_from_iter(arrays.into_iter().enumerate().map(|(index, (array, _))| (index.to_string(), array))).unwrap();
        (batch, columns)
    })
}

proptest! {
    #[test]
    fn rows_are_the_values_of_their_columns((batch, columns) in any_batch(), first in 0usize..5, null in "[0-9]{0,1}", force in 0usize..14) {
        let batch = batch.slice(first.min(batch.num_rows()), batch.num_rows().saturating_sub(first));
        let text = CopyFormat::Text { delimiter: b'|', null: null.clone(), header: false };
        let csv = CopyFormat::Csv { delimiter: b'|', null, header: false, quote: b'\'', escape: b'\'', force_quote: vec![force] };
        let [text_lines, csv_lines] = [&text, &csv].map(|format| Lines::of(format).unwrap());
        let mut encoder = RowEncoder::default();
        let mut check = |layout, format, lines: Option<&CopyFormat>| {
            let mut out = BytesMut::from(&b"before"[..]);
            encoder.rows(&batch, &columns, &[format], &EncodeSettings::default(), layout, &mut out).unwrap();
            prop_assert_eq!(&out[..6], b"before");
            prop_assert_eq!(&out[6..], &reference(&batch, &columns, format, lines)[..]);
            Ok(())
        };
        check(Layout::DataRow, Format::Text, None)?;
        check(Layout::DataRow, Format::Binary, None)?;
        check(Layout::CopyLine(&text_lines), Format::Text, Some(&text))?;
        check(Layout::CopyLine(&csv_lines), Format::Text, Some(&csv))?;
    }
}

#[test]
fn the_lead_of_a_binary_copy_is_in_the_first_message() {
    let batch = RecordBatch::try_from_iter([("a", Arc::new(Int16Array::from(vec![Some(7), None])) as ArrayRef)]).unwrap();
    let columns = [Column { name: "a".to_owned(), pg_type: PgType::INT2, table_oid: 0, number: 0 }];
    let mut out = BytesMut::new();
    let layout = Layout::CopyRow { lead: b"LEAD" };
    RowEncoder::default().rows(&batch, &columns, &[Format::Binary], &EncodeSettings::default(), layout, &mut out).unwrap();
    assert_eq!(&out[..], &b"d\0\0\0\x10LEAD\0\x01\0\0\0\x02\0\x07d\0\0\0\x0a\0\x01\xff\xff\xff\xff"[..]);
}

#[test]
fn a_column_that_fails_leaves_no_row() {
    let arrays =
        [("a", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef), ("b", Arc::new(Int64Array::from(vec![1, 40_000])) as ArrayRef)];
    let batch = RecordBatch::try_from_iter(arrays).unwrap();
    let column = |pg_type| Column { name: "a".to_owned(), pg_type, table_oid: 0, number: 0 };
    let mut out = BytesMut::from(&b"before"[..]);
    let columns = [column(PgType::INT8), column(PgType::INT2)];
    let failed = RowEncoder::default().rows(&batch, &columns, &[Format::Binary], &EncodeSettings::default(), Layout::DataRow, &mut out);
    assert_eq!((failed, &out[..]), (Err(EncodeError::OutOfRange), &b"before"[..]));
}
