//! What every port must do, asserted over the same data in each format.
//!
//! The PostgreSQL half needs `MESHGATE_TEST_POSTGRES`, for example `postgres://user:password@127.0.0.1:5432/database`; without it only
//! files are tested.

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, col, lit};

use super::postgres::fixture::Database;
use super::tests::{Ask, contract_schema, field, open, ports, product, scan, texts, write_parquet};
use super::{PortOptions, Ports, schema::UTC};
use crate::product::{CsvDialect, DataType, Field, OnError, PortFormat, Product};

const ROWS: usize = 1000;

fn contract() -> Vec<Field> {
    vec![
        field("id", DataType::Int64),
        field("small", DataType::Int16),
        field("medium", DataType::Int32),
        field("name", DataType::String),
        field("code", DataType::Varchar(12)),
        field("active", DataType::Boolean),
        field("ratio", DataType::Float64),
        field("part", DataType::Float32),
        field("price", DataType::Decimal { precision: 12, scale: 2 }),
        field("day", DataType::Date),
        field("at_time", DataType::Time),
        field("noted", DataType::Timestamp),
        field("seen", DataType::TimestampTz),
        field("token", DataType::Uuid),
        field("extra", DataType::Json),
    ]
}

/// Row `i` as texts, in the contract's order; `None` is NULL.
fn row(i: usize) -> Vec<Option<String>> {
    if i % 97 == 5 {
        let mut nulls = vec![None; contract().len()];
        nulls[0] = Some(i.to_string());
        return nulls;
    }
    let names = ["Ada", "ada", "Zoë", "日本", "it's \"quoted\", with\nnewline", "a%b_c", " padded ", "Éva"];
    let day = format!("20{:02}-{:02}-{:02}", i % 90, i % 12 + 1, i % 28 + 1);
    let time = format!("{:02}:{:02}:{:02}.{:06}", i % 24, i % 60, (i * 7) % 60, i * 991 % 1_000_000);
    let texts = [
        i.to_string(),
        (i % 300).to_string(),
        (i * 1_000_003 % 2_000_000_011).to_string(),
        names[i % names.len()].to_owned(),
        format!("C{:05}", i % 50),
        i.is_multiple_of(3).to_string(),
        format!("{}.{}", i % 7, (i * 25) % 100),
        format!("{}.5", i % 11),
        format!("{}{}.{:02}", if i.is_multiple_of(2) { "-" } else { "" }, i * 37, i % 100),
        day.clone(),
        time.clone(),
        format!("{day} {time}"),
        format!("{day} {time}+00"),
        format!("00000000-0000-4000-8000-{i:012x}"),
        format!("{{\"i\": {i}}}"),
    ];
    texts.into_iter().map(Some).collect()
}

fn csv_text() -> String {
    let quoted = |value: &Option<String>| value.as_ref().map_or(String::new(), |text| format!("\"{}\"", text.replace('"', "\"\"")));
    let header = contract().iter().map(|field| field.name.as_str().to_owned()).collect::<Vec<_>>().join(",");
    let lines = (0..ROWS).map(|i| row(i).iter().map(quoted).collect::<Vec<_>>().join(","));
    std::iter::once(header).chain(lines).collect::<Vec<_>>().join("\n")
}

/// The same data as every kind of port that can be had here.
pub(crate) async fn ports_of_each_kind(folder: &Path) -> Vec<(&'static str, Ports, Product)> {
    std::fs::write(folder.join("all.csv"), csv_text()).unwrap();
    let csv = product(PortFormat::Csv(CsvDialect::default()), "all.csv", Some(contract()));
    let table = open(&ports(folder, false), &csv).await.unwrap();
    let batches = scan(&table, &Ask::default()).await.unwrap();
    std::fs::create_dir(folder.join("all")).unwrap();
    for (index, batch) in batches.iter().enumerate() {
        write_parquet(&folder.join(format!("all/{index}.parquet")), batch);
    }
    let parquet = product(PortFormat::Parquet, "all", Some(contract()));
    let mut kinds = vec![
        ("csv", ports(folder, false), csv),
        ("parquet", ports(folder, false), parquet.clone()),
        ("parquet with pushdown", ports(folder, true), parquet.clone()),
        ("parquet, each scan for itself", Ports::new(PortOptions { data_root: folder.to_owned(), ..PortOptions::default() }), parquet),
    ];
    write_other_files(folder, &batches);
    kinds.push(("arrow", ports(folder, false), product(PortFormat::Arrow, "arrows", Some(contract()))));
    kinds.push(("avro", ports(folder, false), product(PortFormat::Avro, "avros", Some(contract()))));
    kinds.push(("ndjson", ports(folder, false), product(PortFormat::Ndjson(OnError::Fail), "lines", Some(contract()))));
    if let Some(database) = Database::from_environment().await {
        let columns = "id int8, small int2, medium int4, name text, code char(12), active bool, ratio float8, part float4, \
                       price numeric(12, 2), day date, at_time time, noted timestamp, seen timestamptz, token uuid, extra json";
        let rows: Vec<_> = (0..ROWS).map(row).collect();
        database.create("conformance", columns, &rows).await;
        std::fs::write(folder.join("login"), database.login()).unwrap();
        let table = product(PortFormat::Postgres, &database.location("conformance"), Some(contract()));
        let root = folder.to_owned();
        let options =
            PortOptions { data_root: root.clone(), credentials_root: Some(root), postgres_bulk_pages: 1, ..PortOptions::default() };
        kinds.push(("postgres", ports(folder, false), table.clone()));
        kinds.push(("postgres by COPY, in ranges", Ports::new(options), table));
    }
    kinds
}

/// The same rows as Arrow and Avro files, a batch each, and as objects, a line each.
fn write_other_files(folder: &Path, batches: &[RecordBatch]) {
    for name in ["arrows", "avros", "lines"] {
        std::fs::create_dir(folder.join(name)).unwrap();
    }
    for (index, batch) in batches.iter().enumerate() {
        let file = std::fs::File::create(folder.join(format!("arrows/{index}.arrow"))).unwrap();
        let mut writer = arrow::ipc::writer::FileWriter::try_new(file, &batch.schema()).unwrap();
        writer.write(batch).unwrap();
        writer.finish().unwrap();
        let avro = super::avro::write::write(std::slice::from_ref(batch), 150);
        std::fs::write(folder.join(format!("avros/{index}.avro")), avro).unwrap();
    }
    let object = |row: Vec<Option<String>>| {
        let members = contract().into_iter().zip(row).map(|(field, value)| {
            let bare = matches!(
                field.data_type,
                DataType::Boolean | DataType::Int16 | DataType::Int32 | DataType::Float32 | DataType::Float64 | DataType::Json
            );
            let value = match value {
                None => "null".to_owned(),
                Some(text) if bare => text,
                Some(text) => serde_json::to_string(&text).unwrap(),
            };
            format!("{}:{value}", serde_json::to_string(field.name.as_str()).unwrap())
        });
        format!("{{{}}}\n", members.collect::<Vec<_>>().join(","))
    };
    std::fs::write(folder.join("lines/all.ndjson"), (0..ROWS).map(row).map(object).collect::<String>()).unwrap();
}

fn instant(micros: i64) -> Expr {
    Expr::Literal(ScalarValue::TimestampMicrosecond(Some(micros), Some(UTC.into())), None)
}

fn filters() -> Vec<Expr> {
    let text = |value: &str| Expr::Literal(ScalarValue::Utf8View(Some(value.to_owned())), None);
    let decimal = |value: i128| Expr::Literal(ScalarValue::Decimal128(Some(value), 12, 2), None);
    let date = |days: i32| Expr::Literal(ScalarValue::Date32(Some(days)), None);
    vec![
        col("id").eq(lit(7_i64)),
        col("id").gt(lit(990_i64)),
        col("small").lt_eq(lit(3_i16)),
        col("medium").between(lit(1_000_000_i32), lit(900_000_000_i32)),
        col("name").eq(text("Zoë")),
        col("name").not_eq(text("Ada")),
        col("name").gt(text("Zoë")),
        col("name").lt(text("a")),
        col("name").like(text("%a%")),
        col("name").not_like(text("_d%")),
        col("name").ilike(text("ADA")),
        col("name").in_list(vec![text("日本"), text("nobody")], false),
        col("code").eq(text("C00007")),
        col("code").like(text("C0000_")),
        col("active"),
        Expr::Not(Box::new(col("active"))),
        col("active").is_not_true(),
        col("ratio").gt(lit(3.0_f64)),
        col("ratio").eq(lit(0.0_f64)),
        col("part").lt(lit(2.5_f32)),
        col("price").lt(decimal(0)),
        col("price").in_list(vec![decimal(3_701), decimal(-7_402)], false),
        col("day").lt(date(18_000)),
        col("day").between(date(11_000), date(14_000)),
        col("seen").gt_eq(instant(1_500_000_000_000_000)),
        col("token").eq(text("00000000-0000-4000-8000-000000000010")),
        col("token").eq(text("00000000-0000-4000-8000-00000000001A")),
        col("extra").is_null(),
        col("name").is_null().or(col("id").lt(lit(10_i64))),
        col("id").gt(lit(100_i64)).and(col("name").like(text("A%"))).or(Expr::Not(Box::new(col("price").gt(decimal(100))))),
        (col("id") + lit(1_i64)).eq(lit(11_i64)),
        col("id").eq(lit(-1_i64)),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_port_answers_alike() {
    let folder = tempfile::tempdir().unwrap();
    let kinds = ports_of_each_kind(folder.path()).await;
    let mut answers: Option<Vec<Vec<String>>> = None;
    for (kind, ports, product) in &kinds {
        let table = open(ports, product).await.unwrap();
        assert_eq!(table.schema(), contract_schema(product), "{kind}");
        let all = texts(&scan(&table, &Ask::default()).await.unwrap());
        assert_eq!(all.len(), ROWS, "{kind}");
        let mut here = vec![all];
        for filter in filters() {
            let ask = Ask { filter: Some(filter.clone()), ..Ask::default() };
            let above = texts(&scan(&table, &ask).await.unwrap());
            let pushed = texts(&scan(&table, &Ask { push: true, ..ask }).await.unwrap());
            assert_eq!(pushed, above, "{kind}: {filter}");
            here.push(pushed);
        }
        match &answers {
            None => answers = Some(here),
            Some(first) => {
                for (index, (here, first)) in here.iter().zip(first).enumerate() {
                    assert_eq!(here, first, "{kind} differs from csv in answer {index}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_port_projects_and_limits() {
    let folder = tempfile::tempdir().unwrap();
    for (kind, ports, product) in ports_of_each_kind(folder.path()).await {
        let table = open(&ports, &product).await.unwrap();
        let some = scan(&table, &Ask { projection: Some(vec![8, 0]), limit: Some(10), ..Ask::default() }).await.unwrap();
        assert!(some.iter().map(RecordBatch::num_rows).sum::<usize>() >= 10, "{kind}");
        let schema = contract_schema(&product);
        assert_eq!(some[0].schema().fields().to_vec(), [Arc::clone(&schema.fields()[8]), Arc::clone(&schema.fields()[0])], "{kind}");
        let counted = scan(&table, &Ask { projection: Some(vec![]), ..Ask::default() }).await.unwrap();
        assert_eq!(counted.iter().map(RecordBatch::num_rows).sum::<usize>(), ROWS, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_port_refuses_a_source_that_left_its_contract() {
    let folder = tempfile::tempdir().unwrap();
    for (kind, ports, product) in ports_of_each_kind(folder.path()).await {
        let mut missing = contract();
        missing.push(field("absent", DataType::String));
        let lacking = Product { schema: Some(missing.into()), ..product.clone() };
        let (code, text) = super::tests::refusal(&ports, &lacking).await;
        assert_eq!(code, "HV021", "{kind}");
        assert!(text.contains("\"shop/orders\"") && text.contains("\"main\"") && text.contains("\"absent\""), "{kind}: {text}");
        let mut retyped = contract();
        retyped[3].data_type = DataType::Int64;
        let (code, text) = super::tests::refusal(&ports, &Product { schema: Some(retyped.into()), ..product.clone() }).await;
        assert_eq!(code, if ["csv", "ndjson"].contains(&kind) { "XX001" } else { "HV021" }, "{kind}");
        assert!(text.contains("\"name\"") && text.contains("int64") && !text.contains("Ada"), "{kind}: {text}");
    }
}
