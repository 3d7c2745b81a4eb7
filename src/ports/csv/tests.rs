//! What the shared conformance test does not reach: dialects, compression, faults and their lines.

use std::path::Path;

use crate::ports::tests::{Ask, field, open, ports, product, refusal, rows, scan};
use crate::product::{Compression, CsvDialect, DataType, Field, FieldName, OnError, PortFormat, Product};

fn contract() -> Vec<Field> {
    vec![field("id", DataType::Int64), field("name", DataType::String)]
}

fn csv(location: &str, dialect: CsvDialect) -> Product {
    product(PortFormat::Csv(dialect), location, Some(contract()))
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

#[tokio::test]
async fn a_header_finds_columns_in_any_order_and_case() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.csv", "secret,NAME,id\nx,Ada,1\n");
    write(folder.path(), "b.csv", "\u{feff}id,name\r\n2,Bob\r\n");
    let ports = ports(folder.path(), false);
    assert_eq!(rows(&ports, &csv("*.csv", CsvDialect::default())).await.unwrap(), ["1|Ada", "2|Bob"]);
}

#[tokio::test]
async fn without_a_header_columns_are_found_by_position() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.csv", "1;'Ada;A'\n2;\\N");
    let dialect = CsvDialect { header: false, delimiter: b';', quote: b'\'', null_value: "\\N".to_owned(), ..CsvDialect::default() };
    assert_eq!(rows(&ports(folder.path(), false), &csv("a.csv", dialect.clone())).await.unwrap(), ["1|Ada;A", "2|NULL"]);
    write(folder.path(), "b.csv", "1\n2\n");
    assert_eq!(refusal(&ports(folder.path(), false), &csv("b.csv", dialect)).await.0, "HV021");
}

#[tokio::test]
async fn compressed_files_are_read_and_cut_ones_refused() {
    use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
    use futures::{StreamExt, TryStreamExt};
    let folder = tempfile::tempdir().unwrap();
    let text = std::iter::once("id,name".to_owned()).chain((0..20_000).map(|i| format!("{i},name {i}"))).collect::<Vec<_>>().join("\n");
    for (kind, compression, name) in
        [(FileCompressionType::GZIP, Compression::Gzip, "a.csv.gz"), (FileCompressionType::ZSTD, Compression::Zstd, "a.csv.zst")]
    {
        let plain = futures::stream::iter([Ok(bytes::Bytes::from(text.clone()))]).boxed();
        let packed: Vec<bytes::Bytes> = kind.convert_to_compress_stream(plain).unwrap().try_collect().await.unwrap();
        let packed = packed.concat();
        std::fs::write(folder.path().join(name), &packed).unwrap();
        for compression in [compression, Compression::None] {
            let dialect = CsvDialect { compression, ..CsvDialect::default() };
            assert_eq!(rows(&ports(folder.path(), false), &csv(name, dialect)).await.unwrap().len(), 20_000, "{name}");
        }
        std::fs::write(folder.path().join(name), &packed[..packed.len() / 2]).unwrap();
        assert_eq!(refusal(&ports(folder.path(), false), &csv(name, CsvDialect::default())).await.0, "XX001", "{name}");
    }
}

#[tokio::test]
async fn a_wrong_value_is_named_by_line_and_column_only() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.csv", "id,name\n1,\"two\nlines\"\nsecret,x\n");
    let (code, text) = refusal(&ports(folder.path(), false), &csv("a.csv", CsvDialect::default())).await;
    assert_eq!(code, "XX001");
    assert_eq!(text, "data product \"shop/orders\", port \"main\": line 4, column \"id\": not a valid int64");
}

#[tokio::test]
async fn a_ragged_line_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.csv", "id,name\n1,Ada\n2\n");
    let (code, text) = refusal(&ports(folder.path(), false), &csv("a.csv", CsvDialect::default())).await;
    assert_eq!((code.as_str(), text.contains("line 3")), ("XX001", true), "{text}");
}

#[tokio::test]
async fn a_file_without_its_header_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.csv", "");
    assert_eq!(refusal(&ports(folder.path(), false), &csv("a.csv", CsvDialect::default())).await.0, "HV021");
    write(folder.path(), "a.csv", "id,name\n");
    assert!(rows(&ports(folder.path(), false), &csv("a.csv", CsvDialect::default())).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_limit_stops_reading() {
    let folder = tempfile::tempdir().unwrap();
    let lines = (0..100_000).map(|i| format!("{i},x")).collect::<Vec<_>>().join("\n");
    // The last line is wrong, and never reached.
    write(folder.path(), "a.csv", &format!("id,name\n{lines}\nwrong,x\n"));
    let table = open(&ports(folder.path(), false), &csv("a.csv", CsvDialect::default())).await.unwrap();
    let found = scan(&table, &Ask { limit: Some(5), ..Ask::default() }).await.unwrap();
    assert_eq!(found.iter().map(arrow::array::RecordBatch::num_rows).sum::<usize>(), 5);
}

#[tokio::test]
async fn stores_that_the_configuration_does_not_name_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(refusal(&ports(folder.path(), false), &csv("s3://bucket/a.csv", CsvDialect::default())).await.0, "HV000");
}

#[tokio::test]
async fn a_wrong_value_is_null_where_the_contract_says_so_and_null_says_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let dialect = || CsvDialect { on_error: OnError::Null, ..CsvDialect::default() };
    write(folder.path(), "a.csv", "id,paid,on,price\n1,maybe,2026-13-01,1.234\n2,true,2026-11-21,1.25\n3,,x,\n");
    let types = [("id", DataType::Int64), ("paid", DataType::Boolean), ("on", DataType::Date)];
    let mut fields = types.map(|(name, data_type)| field(name, data_type)).to_vec();
    fields.push(field("price", DataType::Decimal { precision: 9, scale: 2 }));
    fields[0].primary_key = true;
    let ports = ports(folder.path(), false);
    let of = |fields: &[Field], dialect| product(PortFormat::Csv(dialect), "a.csv", Some(fields.to_vec()));
    assert_eq!(refusal(&ports, &of(&fields, CsvDialect::default())).await.0, "XX001");
    let found = rows(&ports, &of(&fields, dialect())).await.unwrap();
    assert_eq!(found, ["1|NULL|NULL|NULL", "2|true|2026-11-21|1.25", "3|NULL|NULL|NULL"]);
    // A field that is never NULL, and the columns that say who and since when, are not made NULL.
    let mut required = fields.clone();
    required[1].required = true;
    let (code, text) = refusal(&ports, &of(&required, dialect())).await;
    assert_eq!((code.as_str(), text.contains("line 2, column \"paid\"")), ("XX001", true), "{text}");
    let mut dated = of(&fields, dialect());
    dated.governance.retention_column = Some(FieldName::parse("on").unwrap());
    assert!(refusal(&ports, &dated).await.1.contains("column \"on\""));
    let mut about = of(&fields, dialect());
    about.governance.subject_column = Some(FieldName::parse("price").unwrap());
    assert!(refusal(&ports, &about).await.1.contains("column \"price\""));
    write(folder.path(), "a.csv", "id,paid,on,price\nx,true,2026-11-21,1\n");
    assert!(refusal(&ports, &of(&fields, dialect())).await.1.contains("column \"id\""));
    // A line of another length is no record, and what is missing in it is not known.
    write(folder.path(), "a.csv", "id,paid,on,price\n1,true\n");
    assert_eq!(refusal(&ports, &of(&fields, dialect())).await.0, "XX001");
    write(folder.path(), "a.csv", "id,paid,price\n1,true,1\n");
    assert_eq!(refusal(&ports, &of(&fields, dialect())).await.0, "HV021");
}

#[test]
fn values_that_were_read_as_null_are_counted() {
    use crate::ports::texts::{BadValue, Texts, read_column};
    struct Words(Vec<Option<&'static str>>);
    impl Texts for Words {
        fn rows(&self) -> usize {
            self.0.len()
        }
        fn text(&self, row: usize) -> Option<&[u8]> {
            self.0[row].map(str::as_bytes)
        }
    }
    let words = Words(vec![Some("1"), None, Some("one"), Some("2"), Some("")]);
    let number = arrow::datatypes::Field::new("n", arrow::datatypes::DataType::Int64, true);
    let mut count = 3;
    let array = read_column(&words, &number, Some(&mut count)).unwrap();
    assert_eq!((arrow::array::Array::null_count(&array), count), (3, 5));
    assert_eq!(read_column(&words, &number, None).unwrap_err(), BadValue { row: 2 });
}
