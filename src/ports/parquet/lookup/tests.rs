//! Look-ups beside the engine's reader, over files of many shapes.

use std::path::Path;
use std::time::Duration;

use arrow::array::{AsArray, Date32Array, Decimal128Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::catalog::TableProvider;
use datafusion::logical_expr::{col, lit};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;

use super::*;
use crate::ports::tests::{Ask, field, message, open, product, run, scan, texts};
use crate::ports::{NumberedBatch, NumberedScan, PortOptions, Ports, Reading};
use crate::product::{DataType as ProductType, Field, PortFormat, Product};

/// So many rows from that one on. Unless they are shuffled, three numbers in seven are those of two rows each.
fn batch(first: i64, rows: i64, shuffled: bool) -> RecordBatch {
    let numbers: Vec<i64> = (first..first + rows).map(|row| if shuffled { (row * 7919) % rows } else { row - row % 7 % 2 }).collect();
    let narrow = |number: &i64| i32::try_from(*number).unwrap();
    let nullable = |number: &i64| (number % 11 != 3).then_some(*number);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("a", Arc::new(numbers.iter().map(nullable).collect::<Int64Array>())),
        ("b", Arc::new(numbers.iter().map(narrow).collect::<Int32Array>())),
        ("c", Arc::new(numbers.iter().map(|number| Some(format!("text {number:05}"))).collect::<StringArray>())),
        ("d", Arc::new(numbers.iter().map(|number| Some(narrow(number))).collect::<Date32Array>())),
        ("e", Arc::new(numbers.iter().map(|number| Some(number * 1_000)).collect::<TimestampMicrosecondArray>())),
        (
            "f",
            Arc::new(numbers.iter().map(|number| i128::from(*number)).collect::<Decimal128Array>().with_precision_and_scale(9, 2).unwrap()),
        ),
        ("g", Arc::new((first..first + rows).map(|row| Some(format!("{row}")).filter(|_| row % 5 > 0)).collect::<StringArray>())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap()
}

fn columns() -> Vec<Field> {
    let mut columns = [
        ("a", ProductType::Int64),
        ("b", ProductType::Int32),
        ("c", ProductType::String),
        ("d", ProductType::Date),
        ("e", ProductType::Timestamp),
        ("f", ProductType::Decimal { precision: 9, scale: 2 }),
        ("g", ProductType::String),
    ]
    .map(|(name, data_type)| field(name, data_type))
    .to_vec();
    columns.iter_mut().take(6).for_each(|column| column.primary_key = true);
    columns
}

fn properties() -> WriterPropertiesBuilder {
    WriterProperties::builder().set_max_row_group_row_count(Some(200)).set_data_page_row_count_limit(40).set_write_batch_size(10)
}

fn write(path: &Path, batch: &RecordBatch, properties: WriterPropertiesBuilder) {
    let incoming = path.with_extension("incoming");
    let file = std::fs::File::create(&incoming).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties.build())).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    std::fs::rename(incoming, path).unwrap();
}

fn ports(folder: &Path, pushdown: Option<bool>) -> Ports {
    let (data_root, files_settle) = (folder.to_owned(), Duration::ZERO);
    Ports::new(PortOptions { data_root, files_settle, parquet_pushdown: pushdown, ..PortOptions::default() })
}

/// The files of a folder, as they are looked through and as the engine reads them.
async fn tables(folder: &Path) -> (Arc<dyn TableProvider>, Arc<dyn TableProvider>) {
    let product = all();
    (open(&ports(folder, None), &product).await.unwrap(), open(&ports(folder, Some(true)), &product).await.unwrap())
}

fn all() -> Product {
    product(PortFormat::Parquet, "*.parquet", Some(columns()))
}

async fn looks_up(table: &Arc<dyn TableProvider>, filter: &Expr) -> bool {
    let plan = table.scan(&SessionContext::new().state(), None, std::slice::from_ref(filter), None).await.unwrap();
    NumberedScan::of(&plan).unwrap().looks_up()
}

/// The key in each of its types.
fn keys(number: i64) -> Vec<Expr> {
    let narrow = i32::try_from(number).unwrap();
    vec![
        col("a").eq(lit(number)),
        lit(narrow).eq(col("b")),
        col("c").eq(lit(ScalarValue::Utf8View(Some(format!("text {number:05}"))))),
        col("d").eq(lit(ScalarValue::Date32(Some(narrow)))),
        col("e").eq(lit(ScalarValue::TimestampMicrosecond(Some(number * 1_000), None))),
        col("f").eq(lit(ScalarValue::Decimal128(Some(i128::from(number)), 9, 2))),
        col("a").eq(lit(number)).and(col("b").eq(lit(narrow))).and(col("g").is_not_null()),
        col("a").eq(lit(number)).and(col("b").eq(lit(narrow + 1))),
    ]
}

#[tokio::test]
async fn a_look_up_finds_what_the_engine_finds() {
    let shapes: [fn() -> WriterPropertiesBuilder; 5] = [
        properties,
        || properties().set_dictionary_enabled(false),
        || properties().set_statistics_enabled(EnabledStatistics::Chunk).set_offset_index_disabled(true),
        || properties().set_statistics_enabled(EnabledStatistics::None),
        || properties().set_dictionary_page_size_limit(100),
    ];
    for (shape, shuffled) in shapes.into_iter().flat_map(|shape| [(shape, false), (shape, true)]) {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("1.parquet"), &batch(0, 600, shuffled), shape());
        write(&folder.path().join("2.parquet"), &batch(300, 450, shuffled), shape());
        let (ours, engine) = tables(folder.path()).await;
        let mut found = 0;
        for filter in [0, 3, 13, 299, 420, 742, 5_000].into_iter().flat_map(keys) {
            assert!(looks_up(&ours, &filter).await && !looks_up(&engine, &filter).await);
            let ask = Ask { filter: Some(filter), push: true, ..Ask::default() };
            let answer = texts(&scan(&ours, &ask).await.unwrap());
            assert_eq!(answer, texts(&scan(&engine, &ask).await.unwrap()));
            found += answer.len();
        }
        assert!(found > 50);
    }
}

#[tokio::test]
async fn columns_come_as_they_are_asked_for_and_rows_without_columns_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("1.parquet"), &batch(0, 600, false), properties());
    let (ours, _) = tables(folder.path()).await;
    let context = SessionContext::new();
    for (projection, expected) in [(vec![6, 0, 1], "406|406|406"), (vec![0], "406"), (vec![6], "406"), (vec![], "")] {
        let plan = ours.scan(&context.state(), Some(&projection), &[col("b").eq(lit(406))], None).await.unwrap();
        let (schema, batches) = (plan.schema(), run(plan, &context).await.unwrap());
        assert!(batches.iter().all(|batch| batch.schema() == schema));
        // Two rows have this number.
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 2, "{projection:?}");
        assert_eq!(texts(&batches).first().map(String::as_str), Some(expected));
    }
}

#[tokio::test]
async fn a_look_up_says_where_its_rows_lie_and_leaves_out_what_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    // A number is in both files, and where a row group ends, in two of them.
    let files = [batch(0, 600, false), batch(300, 450, false)];
    for (name, rows) in ["1.parquet", "2.parquet"].into_iter().zip(&files) {
        write(&folder.path().join(name), rows, properties());
    }
    let (ours, _) = tables(folder.path()).await;
    let context = SessionContext::new();
    let mut seen = 0;
    for number in [0, 13, 198, 301, 399, 420, 597] {
        let plan = ours.scan(&context.state(), Some(&vec![6, 1, 0]), &[col("b").eq(lit(number))], None).await.unwrap();
        let look_up = NumberedScan::of(&plan).unwrap();
        assert!(!look_up.row_groups_looked_through().unwrap().is_empty());
        for reading in [Reading::Skipped, Reading::Bare, Reading::Numbered, Reading::Whole] {
            let read = look_up.read_as(&context.state(), 1, &[], |_, _| reading).unwrap();
            let read = NumberedScan::of(&read).unwrap();
            assert_eq!(read.looks_up(), reading != Reading::Skipped);
            let batches: Vec<NumberedBatch> = read.execute_numbered(0, &context.task_ctx()).unwrap().try_collect().await.unwrap();
            assert_eq!(batches.is_empty(), reading == Reading::Skipped);
            for NumberedBatch { file, reading: told, batch, numbers } in batches {
                assert_eq!((told, batch.num_columns()), (reading, if reading == Reading::Whole { 3 } else { 1 }));
                assert_eq!(numbers.is_none(), reading == Reading::Bare);
                let Some(numbers) = numbers else { continue };
                let rows = arrow::compute::take_record_batch(&files[file], &numbers).unwrap();
                let expected = rows.project(&[6, 1, 0][..batch.num_columns()]).unwrap();
                assert_eq!(texts(&[batch]), texts(&[expected]));
                assert!(rows.column(1).as_primitive::<arrow::datatypes::Int32Type>().values().iter().all(|found| *found == number));
                seen += numbers.len();
            }
        }
    }
    assert!(seen > 20, "{seen}");
}

#[tokio::test]
async fn many_rows_of_a_key_come_in_batches() {
    let folder = tempfile::tempdir().unwrap();
    let same = RecordBatch::try_from_iter([
        ("a", Arc::new(Int64Array::from(vec![7; 20_000])) as ArrayRef),
        ("b", Arc::new((0..20_000).collect::<Int32Array>())),
    ]);
    write(&folder.path().join("1.parquet"), &same.unwrap(), WriterProperties::builder());
    let columns = columns().into_iter().take(2).collect();
    let table = open(&ports(folder.path(), None), &product(PortFormat::Parquet, "1.parquet", Some(columns))).await.unwrap();
    let found = scan(&table, &Ask { filter: Some(col("a").eq(lit(7_i64))), push: true, ..Ask::default() }).await.unwrap();
    assert!(found.len() > 1 && found.iter().all(|batch| batch.num_rows() <= 8192));
    assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>(), 20_000);
}

#[tokio::test]
async fn another_file_in_its_place_is_another_answer_and_an_error_of_who_has_planned() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("1.parquet");
    let rows = batch(0, 600, false);
    write(&path, &rows, properties());
    let (ours, _) = tables(folder.path()).await;
    let filter = col("b").eq(lit(406));
    let ask = Ask { filter: Some(filter.clone()), push: true, ..Ask::default() };
    assert_eq!(texts(&scan(&ours, &ask).await.unwrap()).len(), 2);
    let context = SessionContext::new();
    let plan = ours.scan(&context.state(), None, std::slice::from_ref(&filter), None).await.unwrap();
    // The same keys with other dictionaries of the other columns, in as many bytes.
    let mut columns = rows.columns().to_vec();
    columns[6] = Arc::new((0..600).map(|row| Some(format!("{}", 599 - row)).filter(|_| row % 5 > 0)).collect::<StringArray>());
    write(&path, &RecordBatch::try_new(rows.schema(), columns).unwrap(), properties());
    assert_eq!(message(&run(plan, &context).await.unwrap_err()).0, "58030");
    let answer = texts(&scan(&ours, &ask).await.unwrap());
    assert!(answer.iter().any(|row| row.ends_with("|193")), "{answer:?}");
    let plan = ours.scan(&context.state(), None, &[filter], None).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(message(&run(plan, &context).await.unwrap_err()).0, "58030");
}

#[tokio::test]
async fn damage_is_an_error_or_what_the_engine_reads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("1.parquet");
    write(&path, &batch(0, 300, false), properties());
    let whole = std::fs::read(&path).unwrap();
    let ask = Ask { filter: Some(col("b").eq(lit(106))), push: true, ..Ask::default() };
    for position in (4..whole.len()).step_by(whole.len() / 150) {
        let mut flipped = whole.clone();
        flipped[position] ^= 0x5a;
        std::fs::write(&path, &flipped).unwrap();
        let (ours, engine) = tables(folder.path()).await;
        match (scan(&ours, &ask).await, scan(&engine, &ask).await) {
            (Ok(found), Ok(expected)) => assert_eq!(texts(&found), texts(&expected), "byte {position}"),
            (Err(error), _) => assert!(["XX001", "HV021", "58030"].contains(&message(&error).0.as_str()), "byte {position}"),
            (Ok(_), Err(_)) => {}
        }
    }
}

#[tokio::test]
async fn what_is_no_simple_look_up_is_left_to_the_engine() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("1.parquet"), &batch(0, 600, false), properties());
    let (ours, _) = tables(folder.path()).await;
    let key = col("b").eq(lit(406));
    assert!(looks_up(&ours, &key).await);
    for other in [
        col("b").gt(lit(406)),
        col("b").eq(lit(406_i64)),
        col("b").eq(lit(ScalarValue::Int32(None))),
        col("g").eq(lit(ScalarValue::Utf8View(Some("406".to_owned())))),
        key.clone().or(col("b").eq(lit(407))),
    ] {
        assert!(!looks_up(&ours, &other).await, "{other}");
    }
    // Too young to have a version.
    let young = Ports::new(PortOptions { data_root: folder.path().to_owned(), ..PortOptions::default() });
    assert!(!looks_up(&open(&young, &all()).await.unwrap(), &key).await);
    // Without an order, a key can be in any of more rows than one thread should read.
    let rows = i64::try_from(2 * ROWS_MAX).unwrap() + 1;
    let numbers = (0..rows).map(|row| row * 7919 % rows).collect::<Int64Array>();
    let many = RecordBatch::try_from_iter([("a", Arc::new(numbers) as ArrayRef)]).unwrap();
    write(&folder.path().join("2.parquet"), &many, WriterProperties::builder());
    let many = product(PortFormat::Parquet, "2.parquet", Some(columns().into_iter().take(1).collect()));
    assert!(!looks_up(&open(&ports(folder.path(), None), &many).await.unwrap(), &col("a").eq(lit(rows / 2))).await);
}
