//! Parquet files as other writers leave them: old times, small decimals, nested columns, encryption, bloom filters.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, Int64Array, ListArray, RecordBatch, StringArray, StructArray};
use arrow::datatypes::{DataType as ArrowType, Field as ArrowField, Int64Type};
use datafusion::logical_expr::{col, lit};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::data_type::{Int96, Int96Type};
use datafusion::parquet::encryption::encrypt::FileEncryptionProperties;
use datafusion::parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use datafusion::parquet::file::writer::SerializedFileWriter;
use datafusion::parquet::schema::parser::parse_message_type;
use datafusion::prelude::SessionContext;

use super::*;
use crate::product::Field;

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
    let keys = FileEncryptionProperties::builder(vec![7; 16]).build().unwrap();
    write(folder.path(), vec![("id", ids())], WriterProperties::builder().with_file_encryption_properties(keys));
    let (code, text) = refusal(&ports(folder.path(), false), &parquet(vec![field("id", DataType::Int64)])).await;
    assert_eq!((code.as_str(), text.contains("encrypted")), ("0A000", true), "{text}");
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
