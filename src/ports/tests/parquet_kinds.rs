//! Parquet files as other writers leave them: old times, small decimals, nested columns, encryption, bloom filters.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Decimal128Array, Decimal256Array, DictionaryArray, Int64Array, ListArray, RecordBatch, StringArray, StructArray,
};
use arrow::datatypes::{DataType as ArrowType, Field as ArrowField, Int32Type, Int64Type, i256};
use datafusion::logical_expr::{col, lit};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::data_type::{ByteArray, ByteArrayType, FixedLenByteArray, FixedLenByteArrayType, Int96, Int96Type};
use datafusion::parquet::encryption::encrypt::FileEncryptionProperties;
use datafusion::parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use datafusion::parquet::file::writer::SerializedFileWriter;
use datafusion::parquet::schema::parser::parse_message_type;
use datafusion::prelude::SessionContext;

use super::*;
use crate::product::{Field, FileKeys};

fn parquet(fields: Vec<Field>) -> Product {
    product(PortFormat::Parquet, "a.parquet", Some(fields))
}

fn write(folder: &Path, columns: Vec<(&str, ArrayRef)>, properties: WriterPropertiesBuilder) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let file = std::fs::File::create(folder.join("a.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties.build())).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn ids() -> ArrayRef {
    Arc::new(Int64Array::from_iter_values((0..5000).map(|id| id * 2)))
}

#[tokio::test]
async fn old_times_are_timestamps() {
    let folder = tempfile::tempdir().unwrap();
    let schema = Arc::new(parse_message_type("message m { optional int96 noted; }").unwrap());
    let file = std::fs::File::create(folder.path().join("a.parquet")).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(WriterProperties::builder().build())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    // Julian day 2,440,588 is 1970-01-01; the nanoseconds of the day are in the first two words.
    let mut times = [Int96::new(), Int96::new()];
    times[0].set_data(1_500_000_000, 0, 2_440_589);
    // Long before what nanoseconds can count from 1970.
    times[1].set_data(0, 0, 1_721_426);
    column.typed::<Int96Type>().write_batch(&times, Some(&[1, 0, 1]), None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    let found = rows(&ports(folder.path(), false), &parquet(vec![field("noted", DataType::Timestamp)])).await.unwrap();
    assert_eq!(found, ["0001-01-01T00:00:00", "1970-01-02T00:00:01.500", "NULL"]);
}

#[tokio::test]
async fn decimals_widen_and_never_narrow() {
    let folder = tempfile::tempdir().unwrap();
    let price =
        |precision| -> ArrayRef { Arc::new(Decimal128Array::from(vec![Some(-125), None]).with_precision_and_scale(precision, 2).unwrap()) };
    for precision in [4, 15, 30] {
        write(folder.path(), vec![("price", price(precision))], WriterProperties::builder());
        let decimal = |precision, scale| parquet(vec![field("price", DataType::Decimal { precision, scale })]);
        let ports = ports(folder.path(), false);
        assert_eq!(rows(&ports, &decimal(34, 4)).await.unwrap(), ["-1.2500", "NULL"], "{precision}");
        assert_eq!(refusal(&ports, &decimal(34, 1)).await.0, "HV021", "{precision}");
        assert_eq!(refusal(&ports, &decimal(precision - 1, 2)).await.0, "HV021", "{precision}");
    }
}

#[tokio::test]
async fn decimals_of_more_digits_than_a_contract_has_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let wide = Decimal256Array::from(vec![Some(i256::from_i128(-125)), None]).with_precision_and_scale(50, 2).unwrap();
    write(folder.path(), vec![("price", Arc::new(wide))], WriterProperties::builder());
    let ports = ports(folder.path(), false);
    let widest = field("price", DataType::Decimal { precision: 38, scale: 2 });
    let (code, text) = refusal(&ports, &parquet(vec![widest])).await;
    assert_eq!((code.as_str(), text.contains("decimal(50,2)")), ("HV021", true), "{text}");
    let (code, text) = refusal(&ports, &product(PortFormat::Parquet, "a.parquet", None)).await;
    assert_eq!((code.as_str(), text.contains("\"price\"")), ("0A000", true), "{text}");
}

#[tokio::test]
async fn lists_are_shown_and_structures_refused() {
    let folder = tempfile::tempdir().unwrap();
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None]), None]));
    let inner: ArrayRef = Arc::new(StringArray::from(vec!["x", "y"]));
    let nested: ArrayRef = Arc::new(StructArray::from(vec![(Arc::new(ArrowField::new("s", ArrowType::Utf8, true)), inner)]));
    write(folder.path(), vec![("l", lists), ("n", nested)], WriterProperties::builder());
    let list = field("l", DataType::List(Box::new(DataType::Int64)));
    let ports = ports(folder.path(), false);
    assert_eq!(rows(&ports, &parquet(vec![list])).await.unwrap(), ["NULL", "[1, NULL]"]);
    for data_type in [DataType::Json, DataType::String] {
        let (code, text) = refusal(&ports, &parquet(vec![field("n", data_type)])).await;
        assert_eq!((code.as_str(), text.contains("struct"), text.contains("\"n\"")), ("HV021", true, true), "{text}");
    }
}

#[tokio::test]
async fn an_encrypted_file_is_refused_and_not_taken_for_a_damaged_one() {
    let folder = tempfile::tempdir().unwrap();
    let keys = || FileEncryptionProperties::builder(vec![7; 16]);
    for (kind, keys) in [
        ("all", keys()),
        ("all but the footer", keys().with_plaintext_footer(true)),
        ("one column", keys().with_plaintext_footer(true).with_column_key("secret", vec![8; 16])),
        ("one column and the footer", keys().with_column_key("secret", vec![8; 16])),
    ] {
        let keys = keys.build().unwrap();
        for statistics in [EnabledStatistics::None, EnabledStatistics::Page] {
            let properties = WriterProperties::builder().with_file_encryption_properties(Arc::clone(&keys));
            write(folder.path(), vec![("id", ids()), ("secret", ids())], properties.set_statistics_enabled(statistics));
            for column in ["id", "secret"] {
                let (code, text) = refusal(&ports(folder.path(), false), &parquet(vec![field(column, DataType::Int64)])).await;
                assert_eq!((code.as_str(), text.contains("encrypted")), ("0A000", true), "{kind}, {column}: {text}");
            }
        }
    }
    // Damage is still damage.
    let path = folder.path().join("a.parquet");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 9]).unwrap();
    assert_eq!(refusal(&ports(folder.path(), false), &parquet(vec![field("id", DataType::Int64)])).await.0, "XX001");
}

#[tokio::test]
async fn an_encrypted_file_is_read_with_the_keys_that_the_contract_refers_to() {
    let folder = tempfile::tempdir().unwrap();
    let key = |name: &str, byte: u8, bytes: usize| std::fs::write(folder.path().join(name), format!("{byte:02x}").repeat(bytes)).unwrap();
    key("footer.key", 7, 16);
    key("column.key", 8, 32);
    key("other.key", 9, 16);
    std::fs::write(folder.path().join("short.key"), "0707").unwrap();
    let file = |name: &str| CredentialsRef::File(name.to_owned());
    let keys = |footer: &str, columns: &[(&str, &str)]| FileKeys::Direct {
        footer: file(footer),
        columns: columns.iter().map(|(column, key)| ((*column).to_owned(), file(key))).collect(),
    };
    let encrypted = |keys: Option<FileKeys>| {
        let mut product = parquet(vec![field("id", DataType::Int64), field("secret", DataType::Int64)]);
        product.output_ports[0].encryption = keys;
        product
    };
    let ports = ports(folder.path(), true);
    for plaintext_footer in [false, true] {
        let written = FileEncryptionProperties::builder(vec![7; 16]).with_plaintext_footer(plaintext_footer);
        let written = written.with_column_key("id", vec![8; 32]).with_column_key("secret", vec![8; 32]).build().unwrap();
        write(folder.path(), vec![("id", ids()), ("secret", ids())], WriterProperties::builder().with_file_encryption_properties(written));
        let columns = [("id", "column.key"), ("secret", "column.key")];
        let fitting = keys("footer.key", &columns);
        let found = rows(&ports, &encrypted(Some(fitting.clone()))).await.unwrap();
        assert!(!found.is_empty() && found.iter().all(|row| row.split_once('|').is_some_and(|(id, secret)| id == secret)), "{found:?}");
        let table = open(&ports, &encrypted(Some(fitting.clone()))).await.unwrap();
        let ask = Ask { filter: Some(col("secret").eq(lit(2_i64))), push: true, ..Ask::default() };
        assert_eq!(texts(&scan(&table, &ask).await.unwrap()), ["2|2"]);
        // Who has no keys, or others, reads nothing, also after somebody else has.
        assert_eq!(refusal(&ports, &encrypted(None)).await.0, "0A000");
        for (wrong, codes) in [
            (keys("other.key", &columns), &["HV00N"][..]),
            (keys("short.key", &columns), &["HV00N"]),
            (keys("absent.key", &columns), &["HV00N"]),
            (keys("footer.key", &[("id", "other.key"), ("secret", "other.key")]), &["HV00N", "XX001"]),
            (keys("footer.key", &[("id", "column.key")]), &["HV00N"]),
            (keys("footer.key", &[]), &["HV00N"]),
        ] {
            let (code, text) = refusal(&ports, &encrypted(Some(wrong))).await;
            assert!(
                codes.contains(&code.as_str()) && !text.contains("0707") && !text.contains("0909"),
                "{plaintext_footer}: {code} {text}"
            );
        }
    }
    // A file that anyone can have written is not one of these.
    write(folder.path(), vec![("id", ids()), ("secret", ids())], WriterProperties::builder());
    assert_eq!(refusal(&ports, &encrypted(Some(keys("footer.key", &[("secret", "column.key")])))).await.0, "XX001");
    assert!(rows(&ports, &encrypted(None)).await.is_ok());
    assert!(
        !format!("{:?}", super::super::parquet::Keys::resolve(&place(), &keys("footer.key", &[]), Some(folder.path()))).contains("0707")
    );
}

#[tokio::test]
async fn decimals_of_bytes_are_read_as_old_writers_left_them() {
    let folder = tempfile::tempdir().unwrap();
    let message = "message m { optional binary price (DECIMAL(9, 2)); optional fixed_len_byte_array(5) rate (DECIMAL(10, 4)); }";
    let schema = Arc::new(parse_message_type(message).unwrap());
    let file = std::fs::File::create(folder.path().join("a.parquet")).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(WriterProperties::builder().build())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    // As many bytes as each number takes.
    let prices = [vec![0x7f], vec![0xff, 0x38], vec![0x03, 0xb9, 0xac]].map(ByteArray::from);
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&prices, Some(&[1, 0, 1, 1]), None).unwrap();
    column.close().unwrap();
    let rates =
        [[0, 0, 0, 0, 1], [0xff; 5], [0, 0, 0, 1, 0], [0xff, 0xff, 0xff, 0xff, 0]].map(|bytes| FixedLenByteArray::from(bytes.to_vec()));
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<FixedLenByteArrayType>().write_batch(&rates, Some(&[1, 1, 1, 1]), None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    let decimal = |name, precision, scale| field(name, DataType::Decimal { precision, scale });
    let found = rows(&ports(folder.path(), false), &parquet(vec![decimal("price", 9, 2), decimal("rate", 12, 6)])).await.unwrap();
    assert_eq!(found, ["-2.00|0.025600", "1.27|0.000100", "2441.40|-0.025600", "NULL|-0.000100"]);
}

#[tokio::test]
async fn dictionaries_are_shown_as_what_they_hold() {
    let folder = tempfile::tempdir().unwrap();
    let words: DictionaryArray<Int32Type> = [Some("a"), None, Some("b"), Some("a")].into_iter().collect();
    let numbers = Int64Array::from(vec![7, 7, 8, 7]);
    let columns: Vec<(&str, ArrayRef)> = vec![("word", Arc::new(words)), ("n", Arc::new(numbers))];
    write(folder.path(), columns, WriterProperties::builder().set_dictionary_enabled(true));
    let product = parquet(vec![field("word", DataType::String), field("n", DataType::Int64)]);
    let ports = ports(folder.path(), false);
    assert_eq!(rows(&ports, &product).await.unwrap(), ["NULL|7", "a|7", "a|7", "b|8"]);
    let ask = Ask { filter: Some(col("word").eq(lit("a"))), push: true, ..Ask::default() };
    assert_eq!(texts(&scan(&open(&ports, &product).await.unwrap(), &ask).await.unwrap()), ["a|7", "a|7"]);
    assert_eq!(refusal(&ports, &parquet(vec![field("word", DataType::Int64)])).await.0, "HV021");
}

#[tokio::test]
async fn bloom_filters_and_pages_spare_rows() {
    let folder = tempfile::tempdir().unwrap();
    let product = parquet(vec![field("id", DataType::Int64)]);
    let read = async |id: i64| {
        let table = open(&ports(folder.path(), false), &product).await.unwrap();
        let context = SessionContext::new();
        let plan = table.scan(&context.state(), None, &[col("id").eq(lit(id))], None).await.unwrap();
        let found = run(plan, &context).await.unwrap();
        found.iter().map(RecordBatch::num_rows).sum::<usize>()
    };
    let pages = || WriterProperties::builder().set_data_page_row_count_limit(100).set_write_batch_size(100);
    write(folder.path(), vec![("id", ids())], pages());
    assert_eq!((read(4_000).await, read(4_001).await), (100, 100), "pages");
    write(folder.path(), vec![("id", ids())], pages().set_bloom_filter_enabled(true));
    assert_eq!((read(4_000).await, read(4_001).await), (100, 0), "bloom filter");
}

#[tokio::test]
async fn the_reader_finds_rows_first_where_few_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    // In no order, so that no page can be passed over.
    let scattered: ArrayRef = Arc::new(Int64Array::from_iter_values((0..5_000).map(|row| row * 919 % 5_000)));
    let codes: ArrayRef = Arc::new(Int64Array::from_iter_values((0..5_000).map(|row| row % 3 * 1_000_000)));
    let cents: ArrayRef =
        Arc::new(Decimal128Array::from_iter_values((0..5_000).map(|row| row * 919 % 5_000)).with_precision_and_scale(9, 2).unwrap());
    write(folder.path(), vec![("n", scattered), ("code", codes), ("price", cents)], WriterProperties::builder());
    let price = field("price", DataType::Decimal { precision: 12, scale: 2 });
    let product = parquet(vec![field("n", DataType::Int64), field("code", DataType::Int64), price]);
    let ports = Ports::new(PortOptions { data_root: folder.path().to_owned(), ..PortOptions::default() });
    let table = open(&ports, &product).await.unwrap();
    let cents = |cents| datafusion::logical_expr::Expr::Literal(datafusion::common::ScalarValue::Decimal128(Some(cents), 12, 2), None);
    for (filter, read) in [
        (col("n").eq(lit(77_i64)), 1),
        (col("n").lt(lit(30_i64)), 30),
        (col("n").in_list(vec![lit(1_i64), lit(2_i64)], false), 2),
        (col("n").eq(lit(1_i64)).or(col("n").eq(lit(2_i64))).or(lit(3_i64).eq(col("n"))), 3),
        (col("price").lt(cents(20)), 20),
        (col("price").gt(cents(4_990)).and(col("code").not_eq(lit(7_i64))), 9),
        // More than one in a hundred, or none knows how many.
        (col("n").lt(lit(500_i64)), 5_000),
        (col("code").eq(lit(1_000_000_i64)), 5_000),
        (col("n").not_eq(lit(77_i64)), 5_000),
    ] {
        let context = SessionContext::new();
        let plan = table.scan(&context.state(), None, std::slice::from_ref(&filter), None).await.unwrap();
        let found = run(plan, &context).await.unwrap();
        assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>(), read, "{filter}");
    }
}
