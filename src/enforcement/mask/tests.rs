//! Each kernel over each type that it serves, and that it refuses the others.

use datafusion::arrow::array::{
    Array, BinaryArray, Date32Array, Decimal128Array, DictionaryArray, Float64Array, Int16Array, Int32Array, Int64Array, StringArray,
    TimestampMicrosecondArray, new_null_array,
};
use datafusion::arrow::datatypes::{Field, Int32Type, IntervalUnit, TimeUnit};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::product::mask::ExpressionColumn;
use crate::product::{DataType, FieldName};

fn keys() -> MaskKeys {
    MaskKeys::new([("default".to_owned(), b"0123456789abcdef".to_vec()), ("other".to_owned(), b"fedcba9876543210".to_vec())])
}

fn column_mask(mask: &Mask, field: &Field) -> Option<ColumnMask> {
    ColumnMask::new(mask, 0, &Schema::new(vec![field.clone()]), &keys())
}

fn masked(mask: &Mask, field: &Field, column: ArrayRef) -> ArrayRef {
    let rows = column.len();
    let compiled = column_mask(mask, field).unwrap();
    let inputs: Vec<ArrayRef> = compiled.reads().iter().map(|_| Arc::clone(&column)).collect();
    let masked = compiled.apply(&inputs, rows, &mut Memo::default()).unwrap();
    assert_eq!((masked.data_type(), masked.len()), (column.data_type(), rows));
    masked
}

fn text(mask: &Mask, value: &str) -> String {
    let field = Field::new("f", ArrowType::Utf8View, true);
    let masked = masked(mask, &field, Arc::new(StringViewArray::from(vec![Some(value), None])));
    masked.as_string_view().value(0).to_owned()
}

fn varchar(limit: u32) -> Field {
    let metadata = [("pg.type".to_owned(), "varchar".to_owned()), ("pg.typmod".to_owned(), (limit + 4).to_string())];
    Field::new("f", ArrowType::Utf8View, true).with_metadata(metadata.into())
}

fn of_type(name: &str) -> Field {
    Field::new("f", ArrowType::Utf8View, true).with_metadata([("pg.type".to_owned(), name.to_owned())].into())
}

#[test]
fn text_masks_say_what_they_say() {
    for (mask, value, expected) in [
        (Mask::ShowLast4, "4111-1111-1111-4444", "nnnn-nnnn-nnnn-4444"),
        (Mask::ShowLast4, "1234", "nnnn"),
        (Mask::ShowLast4, "äöü→12", "xxü→12"),
        (Mask::ShowFirst4, "ada1815@example.org", "ada1nnn@xxxxxxx.xxx"),
        (Mask::ShowFirst4, "ada", "xxx"),
        (Mask::MaskAlphanum, "Åsa-12 (b)!", "xxx-nnx(x)x"),
        (Mask::MaskAlphanum, "٣", "x"),
        (Mask::EmailDomain, "ada@b@example.org", "example.org"),
        (Mask::EmailDomain, "ada", "***"),
        (Mask::EmailDomain, "ada@", "***"),
        (Mask::Sha256Global, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (Mask::Redact, "abc", "***"),
        (Mask::Fixed(None), "abc", "XXXXXXXX"),
    ] {
        assert_eq!(text(&mask, value), expected, "{mask} of {value}");
    }
}

#[test]
fn a_keyed_hash_is_that_of_rfc_4231() {
    let key = MaskKeys::new([("k".to_owned(), b"Jefe".to_vec())]);
    let schema = Schema::new(vec![Field::new("f", ArrowType::Utf8View, true)]);
    let mask = ColumnMask::new(&Mask::HmacSha256("k".to_owned()), 0, &schema, &key).unwrap();
    let column: ArrayRef = Arc::new(StringViewArray::from(vec!["what do ya want for nothing?"]));
    let masked = mask.apply(&[column], 1, &mut Memo::default()).unwrap();
    assert_eq!(masked.as_string_view().value(0), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

#[test]
fn a_keyed_hash_hangs_on_its_key_and_needs_one() {
    let hmac = |key: &str| Mask::HmacSha256(key.to_owned());
    let field = Field::new("f", ArrowType::Int64, true);
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None, Some(7), Some(8)]));
    let tokens = masked(&hmac("default"), &field, Arc::clone(&ids));
    let tokens = tokens.as_primitive::<datafusion::arrow::datatypes::Int64Type>();
    assert!(tokens.value(0) == tokens.value(2) && tokens.value(0) != tokens.value(3) && tokens.is_null(1));
    let others = masked(&hmac("other"), &field, ids);
    assert_ne!(tokens.value(0), others.as_primitive::<datafusion::arrow::datatypes::Int64Type>().value(0));
    assert!(column_mask(&hmac("missing"), &field).is_none());
    let uuids: ArrayRef =
        Arc::new(StringViewArray::from(vec!["6F9619FF-8b86-d011-b42d-00cf4fc964ff", "6f9619ff-8b86-d011-b42d-00cf4fc964ff"]));
    let tokens = masked(&hmac("default"), &of_type("uuid"), uuids);
    let tokens = tokens.as_string_view();
    assert_eq!(tokens.value(0), tokens.value(1));
    assert_eq!(uuid::Uuid::parse_str(tokens.value(0)).unwrap().get_version_num(), 8);
}

#[test]
fn numbers_and_bytes_are_hashed_as_iceberg_has_it() {
    // SHA-256 of 01 00 00 00 begins with 67abdd72, that of 01 00 00 00 00 00 00 00 with 7c9fa136d4413fa6.
    let int = masked(&Mask::Sha256Global, &Field::new("f", ArrowType::Int32, true), Arc::new(Int32Array::from(vec![1])));
    assert_eq!(int.as_ref(), &Int32Array::from(vec![i32::from_le_bytes([0x67, 0xab, 0xdd, 0x72])]) as &dyn Array);
    let long = masked(&Mask::Sha256Global, &Field::new("f", ArrowType::Int64, true), Arc::new(Int64Array::from(vec![1])));
    let expected = i64::from_le_bytes([0x7c, 0x9f, 0xa1, 0x36, 0xd4, 0x41, 0x3f, 0xa6]);
    assert_eq!(long.as_ref(), &Int64Array::from(vec![expected]) as &dyn Array);
    let bytes = masked(&Mask::Sha256Global, &Field::new("f", ArrowType::Binary, true), Arc::new(BinaryArray::from(vec![b"abc".as_ref()])));
    assert_eq!(bytes.as_binary::<i32>().value(0).len(), 32);
}

#[test]
fn buckets_begin_at_a_multiple_of_their_width() {
    let bucket = |width: &str| Mask::Bucket(crate::product::mask::Decimal::parse(width).unwrap());
    let ints = masked(&bucket("10"), &Field::new("f", ArrowType::Int16, true), Arc::new(Int16Array::from(vec![Some(17), Some(-3), None])));
    assert_eq!(ints.as_ref(), &Int16Array::from(vec![Some(10), Some(-10), None]) as &dyn Array);
    // The bucket of the least number begins below it.
    let least = masked(&bucket("10"), &Field::new("f", ArrowType::Int64, true), Arc::new(Int64Array::from(vec![i64::MIN, 25])));
    assert_eq!(least.as_ref(), &Int64Array::from(vec![None, Some(20)]) as &dyn Array);
    let floats = masked(&bucket("0.5"), &Field::new("f", ArrowType::Float64, true), Arc::new(Float64Array::from(vec![1.7, -0.1])));
    assert_eq!(floats.as_ref(), &Float64Array::from(vec![1.5, -0.5]) as &dyn Array);
    let decimal = |digits: Vec<i128>| Decimal128Array::from(digits).with_precision_and_scale(10, 2).unwrap();
    let field = Field::new("f", ArrowType::Decimal128(10, 2), true);
    assert_eq!(masked(&bucket("2.5"), &field, Arc::new(decimal(vec![617, -1]))).as_ref(), &decimal(vec![500, -250]) as &dyn Array);
}

#[test]
fn a_constant_does_not_tell_which_values_are_missing_and_reads_no_column() {
    let field = Field::new("f", ArrowType::Int64, true);
    for (mask, constant) in [(Mask::Redact, 0), (Mask::Fixed(None), 999_999_999)] {
        let masked = masked(&mask, &field, Arc::new(Int64Array::from(vec![Some(7), None])));
        assert_eq!(masked.as_ref(), &Int64Array::from(vec![constant, constant]) as &dyn Array);
        assert!(column_mask(&mask, &field).unwrap().reads().is_empty());
    }
    let rows = 3 * ROWS_USUAL;
    assert_eq!(column_mask(&Mask::Redact, &field).unwrap().apply(&[], rows, &mut Memo::default()).unwrap().len(), rows);
}

#[test]
fn a_given_constant_is_a_value_of_the_column_or_none() {
    let fixed = |value: serde_json::Value| {
        Mask::read(json!({"mask": "mask-to-fixed-value", "value": value}).as_object().unwrap(), None, &[]).unwrap()
    };
    let date = Field::new("f", ArrowType::Date32, true);
    let dates = masked(&fixed(json!("1970-01-03")), &date, Arc::new(Date32Array::from(vec![100])));
    assert_eq!(dates.as_ref(), &Date32Array::from(vec![2]) as &dyn Array);
    let decimal = Field::new("f", ArrowType::Decimal128(6, 2), true);
    let column = Decimal128Array::from(vec![1]).with_precision_and_scale(6, 2).unwrap();
    let expected = Decimal128Array::from(vec![-150]).with_precision_and_scale(6, 2).unwrap();
    assert_eq!(masked(&fixed(json!(-1.5)), &decimal, Arc::new(column)).as_ref(), &expected as &dyn Array);
    assert!(column_mask(&fixed(json!("x")), &date).is_none());
    assert!(column_mask(&fixed(json!("long")), &varchar(3)).is_none());
}

#[test]
fn a_text_fits_its_column() {
    let two = varchar(2);
    let texts: ArrayRef = Arc::new(StringViewArray::from(vec!["ab"]));
    for (mask, expected) in [(Mask::Redact, "**"), (Mask::Fixed(None), "XX"), (Mask::EmailDomain, "**")] {
        assert_eq!(masked(&mask, &two, Arc::clone(&texts)).as_string_view().value(0), expected);
    }
    assert!(column_mask(&Mask::Sha256Global, &two).is_none());
}

#[test]
fn dates_and_timestamps_are_truncated_and_keep_their_zone() {
    let field = Field::new("f", ArrowType::Date32, true);
    let days: ArrayRef = Arc::new(Date32Array::from(vec![Some(-1), Some(59), None]));
    for (mask, expected) in [(Mask::TruncateToYear, [-365, 0]), (Mask::TruncateToMonth, [-31, 59])] {
        let expected = Date32Array::from(vec![Some(expected[0]), Some(expected[1]), None]);
        assert_eq!(masked(&mask, &field, Arc::clone(&days)).as_ref(), &expected as &dyn Array);
    }
    let field = Field::new("f", ArrowType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())), true);
    let times = TimestampMicrosecondArray::from(vec![-1, 86_400_000_000 * 366]).with_timezone("+00:00");
    let expected = TimestampMicrosecondArray::from(vec![-365 * 86_400_000_000, 86_400_000_000 * 365]).with_timezone("+00:00");
    assert_eq!(masked(&Mask::TruncateToYear, &field, Arc::new(times)).as_ref(), &expected as &dyn Array);
}

#[test]
fn null_masks_and_constants_serve_every_plain_type() {
    let list = ArrowType::List(Arc::new(Field::new("item", ArrowType::Int64, true)));
    for data_type in [
        ArrowType::Boolean,
        ArrowType::Int16,
        ArrowType::Float64,
        ArrowType::Decimal128(10, 2),
        ArrowType::Date32,
        ArrowType::Time64(TimeUnit::Microsecond),
        ArrowType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
        ArrowType::Interval(IntervalUnit::MonthDayNano),
        ArrowType::Binary,
        ArrowType::Utf8View,
        list.clone(),
    ] {
        let field = Field::new("f", data_type.clone(), true);
        let column = new_null_array(&data_type, 3);
        assert_eq!(masked(&Mask::Null, &field, Arc::clone(&column)).null_count(), 3);
        if data_type != list {
            assert_eq!(masked(&Mask::Redact, &field, Arc::clone(&column)).null_count(), 0, "{data_type}");
        }
        if !matches!(data_type, ArrowType::Interval(_)) {
            assert_eq!(masked(&Mask::Fixed(None), &field, column).null_count(), 0, "{data_type}");
        }
    }
}

#[test]
fn a_mask_that_cannot_serve_the_type_is_refused() {
    let number = Field::new("f", ArrowType::Float64, true);
    for mask in [Mask::ShowLast4, Mask::MaskAlphanum, Mask::Sha256Global, Mask::TruncateToYear, Mask::TruncateToMonth, Mask::EmailDomain] {
        assert!(column_mask(&mask, &number).is_none(), "{mask:?}");
        for name in ["uuid", "json"] {
            assert!(column_mask(&mask, &of_type(name)).is_none(), "{mask:?} of {name}");
        }
    }
    // Ports deliver no such columns.
    assert!(column_mask(&Mask::Redact, &Field::new("f", ArrowType::UInt64, true)).is_none());
    assert!(column_mask(&Mask::Null, &Field::new("f", ArrowType::UInt64, true)).is_some());
}

#[test]
fn texts_of_every_layout_are_masked_alike() {
    let values = vec![Some("ada@example.org"), None, Some("4711"), Some("ada@example.org")];
    for mask in [Mask::ShowLast4, Mask::MaskAlphanum, Mask::EmailDomain, Mask::Sha256Global] {
        let view = masked(&mask, &Field::new("f", ArrowType::Utf8View, true), Arc::new(StringViewArray::from(values.clone())));
        let plain = masked(&mask, &Field::new("f", ArrowType::Utf8, true), Arc::new(StringArray::from(values.clone())));
        assert_eq!(&cast(&plain, &ArrowType::Utf8View).unwrap(), &view);
        let dictionary: DictionaryArray<Int32Type> = values.iter().copied().collect();
        let field = Field::new("f", dictionary.data_type().clone(), true);
        let coded = masked(&mask, &field, Arc::new(dictionary));
        assert_eq!(coded.as_dictionary::<Int32Type>().values().len(), 2);
        assert_eq!(&cast(&coded, &ArrowType::Utf8View).unwrap(), &view);
    }
}

#[test]
fn repeated_texts_are_masked_as_others_are() {
    let field = Field::new("f", ArrowType::Utf8View, true);
    let values: Vec<Option<String>> = (0..2_000).map(|row| (row % 9 != 0).then(|| format!("customer {} of the list", row % 13))).collect();
    let repeated: ArrayRef = Arc::new(values.iter().map(Option::as_deref).collect::<StringViewArray>());
    for mask in [Mask::ShowLast4, Mask::Sha256Global, Mask::HmacSha256("default".to_owned())] {
        let all = masked(&mask, &field, Arc::clone(&repeated));
        for row in 0..20 {
            let one = masked(&mask, &field, repeated.slice(row, 1));
            assert_eq!(one.as_ref(), all.slice(row, 1).as_ref());
        }
    }
}

/// What the mask says, one character after the other.
fn by_hand(mask: &Mask, text: &str) -> String {
    let hide = |character: char| match character {
        '0'..='9' => 'n',
        '(' | ')' | ',' | '.' | '-' | '@' => character,
        _ => 'x',
    };
    let characters: Vec<char> = text.chars().collect();
    let shown = match mask {
        Mask::ShowFirst4 if characters.len() > 4 => 0..4,
        Mask::ShowLast4 if characters.len() > 4 => characters.len() - 4..characters.len(),
        Mask::EmailDomain => {
            let domain = text.rsplit_once('@').map(|(_, domain)| domain).filter(|domain| !domain.is_empty());
            return domain.unwrap_or("***").to_owned();
        }
        _ => 0..0,
    };
    characters.iter().enumerate().map(|(at, character)| if shown.contains(&at) { *character } else { hide(*character) }).collect()
}

proptest! {
    #[test]
    fn a_text_is_masked_alike_in_every_layout(
        texts in prop::collection::vec(prop::option::of("[a-z0-9(),.@ -]{0,40}|[ä→x@.0-9]{0,9}"), 0..30),
        ascii in any::<bool>(),
        from in 0_usize..10,
    ) {
        let texts: Vec<Option<String>> =
            texts.into_iter().map(|text| text.map(|text| if ascii { text.replace(|c: char| !c.is_ascii(), "+") } else { text })).collect();
        let from = from.min(texts.len());
        for mask in [Mask::ShowFirst4, Mask::ShowLast4, Mask::MaskAlphanum, Mask::EmailDomain] {
            let expected: StringViewArray = texts.iter().skip(from).map(|text| text.as_ref().map(|text| by_hand(&mask, text))).collect();
            for layout in [ArrowType::Utf8View, ArrowType::Utf8, ArrowType::LargeUtf8, ArrowType::Dictionary(Box::new(ArrowType::Int16), Box::new(ArrowType::Utf8))] {
                let column: StringArray = texts.iter().map(Option::as_deref).collect();
                let column = cast(&column, &layout).unwrap().slice(from, texts.len() - from);
                let masked = masked(&mask, &Field::new("f", layout, true), column);
                let masked = cast(&masked, &ArrowType::Utf8View).unwrap();
                prop_assert_eq!(masked.as_string_view(), &expected, "{}", mask);
            }
        }
    }
}

#[test]
fn a_masked_text_holds_no_byte_that_is_not_shown() {
    let field = Field::new("f", ArrowType::Utf8View, true);
    let column: ArrayRef = Arc::new(StringViewArray::from(vec!["secret-secret-secret@example.org", "secret secret secret 4711"]));
    for mask in [Mask::ShowFirst4, Mask::ShowLast4, Mask::MaskAlphanum, Mask::EmailDomain, Mask::Sha256Global] {
        let masked = masked(&mask, &field, Arc::clone(&column));
        for buffer in masked.as_string_view().data_buffers() {
            assert!(!buffer.windows(6).any(|window| window == b"secret"), "{mask}");
        }
    }
}

fn schema() -> Schema {
    Schema::new(vec![
        Field::new("name", ArrowType::Utf8View, true),
        Field::new("age", ArrowType::Int32, true),
        Field::new("total", ArrowType::Decimal128(10, 2), true),
    ])
}

fn computed(text: &str, index: usize) -> Option<ColumnMask> {
    let types = [("name", "string"), ("age", "int32"), ("total", "decimal(10,2)")]
        .map(|(name, data_type)| (FieldName::parse(name).unwrap(), DataType::parse(data_type).unwrap()));
    let columns = types.each_ref().map(|(name, data_type)| ExpressionColumn { name, data_type });
    let mask = Mask::read(json!({"expression": text}).as_object().unwrap(), None, &columns).unwrap();
    ColumnMask::new(&mask, index, &schema(), &keys())
}

#[test]
fn an_expression_is_computed_from_the_columns_that_it_names() {
    let name: ArrayRef = Arc::new(StringViewArray::from(vec![Some("Ada"), None, Some("Bob")]));
    let age: ArrayRef = Arc::new(Int32Array::from(vec![Some(36), Some(17), Some(0)]));
    let mask = computed("CASE WHEN age >= 18 THEN left(name, 1) ELSE 'minor' END", 0).unwrap();
    assert_eq!(mask.reads(), [1, 0]);
    let texts = mask.apply(&[Arc::clone(&age), Arc::clone(&name)], 3, &mut Memo::default()).unwrap();
    assert_eq!(texts.as_ref(), &StringViewArray::from(vec![Some("A"), Some("minor"), Some("minor")]) as &dyn Array);
    let quotients = computed("100 / age", 1).unwrap().apply(&[age], 3, &mut Memo::default()).unwrap();
    assert_eq!(quotients.as_ref(), &Int32Array::from(vec![Some(2), Some(5), None]) as &dyn Array);
    let decimals = computed("1.255", 2).unwrap().apply(&[], 2, &mut Memo::default()).unwrap();
    assert_eq!(decimals.as_ref(), &Decimal128Array::from(vec![126, 126]).with_precision_and_scale(10, 2).unwrap() as &dyn Array);
    assert!(computed("age", 0).is_none());
}

#[test]
fn an_expression_over_repeated_texts_is_computed_once_for_each() {
    let values: Vec<String> = (0..1_000).map(|row| format!("name {}", row % 5)).collect();
    let names: ArrayRef = Arc::new(values.iter().map(|name| Some(name.as_str())).collect::<StringViewArray>());
    let masked = computed("upper(name)", 0).unwrap().apply(&[names], 1_000, &mut Memo::default()).unwrap();
    let expected: StringViewArray = values.iter().map(|name| Some(name.to_uppercase())).collect();
    assert_eq!(masked.as_ref(), &expected as &dyn Array);
}
