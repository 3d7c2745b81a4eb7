//! What the shared conformance test does not reach: codecs, types that other formats do not have, damage.
//!
//! The files of `fixtures` were written by fastavro 1.13.1, the blocks of some hundred bytes.

use std::path::Path;

use super::super::tests::{field, message, ports, product, refusal, rows};
use crate::product::{DataType, Field, PortFormat, Product};

const KINDS: &[u8] = include_bytes!("fixtures/kinds.avro");
const CODECS: [(&str, &[u8]); 6] = [
    ("null", include_bytes!("fixtures/null.avro")),
    ("deflate", include_bytes!("fixtures/deflate.avro")),
    ("snappy", include_bytes!("fixtures/snappy.avro")),
    ("zstandard", include_bytes!("fixtures/zstandard.avro")),
    ("bzip2", include_bytes!("fixtures/bzip2.avro")),
    ("xz", include_bytes!("fixtures/xz.avro")),
];

fn avro(fields: Vec<Field>) -> Product {
    product(PortFormat::Avro, "a.avro", Some(fields))
}

fn put(folder: &Path, bytes: &[u8]) {
    std::fs::write(folder.join("a.avro"), bytes).unwrap();
}

fn two() -> Vec<Field> {
    vec![field("id", DataType::Int64), field("name", DataType::String)]
}

async fn column(name: &str, data_type: DataType) -> Result<Vec<String>, (String, String)> {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), KINDS);
    let product = avro(vec![field("id", DataType::Int64), field(name, data_type)]);
    match rows(&ports(folder.path(), false), &product).await {
        Ok(rows) => Ok(rows.into_iter().map(|row| row.split_once('|').unwrap().1.to_owned()).collect()),
        Err(error) => Err(message(&error)),
    }
}

#[tokio::test]
async fn blocks_of_every_codec_are_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    let name = |id: usize| if id.is_multiple_of(7) { "NULL".to_owned() } else { format!("name {} ", id % 5).repeat(3) };
    let mut expected: Vec<String> = (0..60).map(|id| format!("{id}|{}", name(id))).collect();
    expected.sort();
    for (codec, file) in CODECS {
        put(folder.path(), file);
        assert_eq!(rows(&ports(folder.path(), false), &avro(two())).await.unwrap(), expected, "{codec}");
    }
    put(folder.path(), &String::from_utf8_lossy(CODECS[0].1).into_owned().into_bytes());
    assert_eq!(refusal(&ports(folder.path(), false), &avro(two())).await.0, "XX001");
}

#[tokio::test]
async fn a_file_that_is_cut_is_an_error_wherever_it_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let mark: Vec<u8> = (0..16).collect();
    for (codec, file) in CODECS {
        let mut whole = 0;
        for kept in 0..file.len() {
            put(folder.path(), &file[..kept]);
            match rows(&ports(folder.path(), false), &avro(two())).await {
                // Behind the header or a block: the format cannot tell.
                Ok(_) if file[..kept].ends_with(&mark) => whole += 1,
                Ok(_) => panic!("{codec}: {kept} bytes are no file"),
                Err(error) => assert_eq!(message(&error).0, "XX001", "{codec}: {kept} bytes"),
            }
        }
        assert!(whole > 1, "{codec}");
    }
}

#[tokio::test]
async fn a_flipped_byte_never_makes_a_short_answer() {
    let folder = tempfile::tempdir().unwrap();
    let ports = ports(folder.path(), false);
    let products = [avro(two()), avro(vec![field("id", DataType::Int64)])];
    for (codec, file) in CODECS {
        for position in 0..file.len() {
            let mut flipped = file.to_vec();
            flipped[position] ^= [0xff, 0x01, 0x10][position % 3];
            put(folder.path(), &flipped);
            match rows(&ports, &products[position % 2]).await {
                Ok(rows) => assert_eq!(rows.len(), 60, "{codec}: byte {position}"),
                Err(error) => {
                    let (code, text) = message(&error);
                    assert!(["XX001", "HV021", "0A000"].contains(&code.as_str()), "{codec}: byte {position}: {code} {text}");
                }
            }
        }
    }
}

#[tokio::test]
async fn values_are_what_their_types_mean() {
    let decimal = |precision, scale| DataType::Decimal { precision, scale };
    let list = DataType::List(Box::new(DataType::String));
    for (name, data_type, expected) in [
        ("kind", DataType::String, ["NEW", "OLD", "NEW", "OLD", "NEW", "OLD"]),
        ("other", DataType::String, ["NULL", "OLD", "OLD", "NULL", "OLD", "OLD"]),
        ("hash", DataType::Bytes, ["000102ff", "010102ff", "020102ff", "030102ff", "040102ff", "050102ff"]),
        ("raw", DataType::Bytes, ["NULL", "00ff", "00ff", "NULL", "00ff", "00ff"]),
        ("price", decimal(12, 2), ["NULL", "-0.37", "-0.74", "NULL", "-1.48", "-1.85"]),
        ("price", decimal(14, 4), ["NULL", "-0.3700", "-0.7400", "NULL", "-1.4800", "-1.8500"]),
        ("rate", decimal(20, 4), ["-1.0000", "-0.9999", "-0.9998", "-0.9997", "-0.9996", "-0.9995"]),
        ("day", DataType::Date, ["1969-12-31", "1970-01-01", "1970-01-02", "1970-01-03", "1970-01-04", "1970-01-05"]),
        ("t_ms", DataType::Time, ["10:30:00.005"; 6]),
        ("t_us", DataType::Time, ["10:30:00.000005"; 6]),
        ("flag", DataType::Boolean, ["false", "true", "true", "false", "true", "true"]),
        ("f", DataType::Float64, ["0.5", "1.5", "2.5", "3.5", "4.5", "5.5"]),
        ("small", DataType::Int16, ["0", "1", "2", "3", "4", "5"]),
        ("small", DataType::Int64, ["0", "1", "2", "3", "4", "5"]),
        ("unknown", DataType::String, ["u"; 6]),
        ("tags", list, ["NULL", "[a, NULL, Zoë]", "[a, NULL, Zoë]", "NULL", "[a, NULL, Zoë]", "[a, NULL, Zoë]"]),
    ] {
        assert_eq!(column(name, data_type).await.unwrap(), expected, "{name}");
    }
    let uuids = column("token", DataType::Uuid).await.unwrap();
    assert_eq!(uuids[5], "00000000-0000-0000-0000-000000000005");
    let moments = column("at_ms", DataType::TimestampTz).await.unwrap();
    assert_eq!(moments[..2], ["1969-12-31T23:59:59.999Z", "1970-01-01T00:00:00.999Z"]);
    assert_eq!(column("at_us", DataType::TimestampTz).await.unwrap()[1], "2026-11-21T12:00:00.000001Z");
    assert_eq!(column("local_us", DataType::Timestamp).await.unwrap()[1], "2026-11-21T12:00:00.000001");
}

#[tokio::test]
async fn a_type_that_would_lose_something_is_refused() {
    for (name, data_type, found) in [
        ("nested", DataType::Json, "struct"),
        ("inners", DataType::Json, "list<struct>"),
        ("by_name", DataType::Json, "map"),
        ("either", DataType::String, "union"),
        ("next", DataType::String, "struct"),
        ("at_us", DataType::Timestamp, "timestamptz"),
        ("local_us", DataType::TimestampTz, "timestamp"),
        ("price", DataType::Decimal { precision: 11, scale: 2 }, "decimal(12,2)"),
        ("g", DataType::Float32, "float64"),
        ("kind", DataType::Int32, "string"),
    ] {
        let (code, text) = column(name, data_type).await.unwrap_err();
        let named = text.contains(&format!("\"{name}\"")) && text.contains(&format!("is {found} at the source"));
        assert_eq!((code.as_str(), named), ("HV021", true), "{text}");
    }
}

#[tokio::test]
async fn an_integer_that_is_too_large_is_named_by_its_column() {
    use arrow::array::{ArrayRef, Int32Array, RecordBatch};
    let folder = tempfile::tempdir().unwrap();
    let values: ArrayRef = std::sync::Arc::new(Int32Array::from(vec![1, 40_000]));
    put(folder.path(), &super::write::write(&[RecordBatch::try_from_iter([("n", values)]).unwrap()], 10));
    let (code, text) = refusal(&ports(folder.path(), false), &avro(vec![field("n", DataType::Int16)])).await;
    assert_eq!((code.as_str(), text.contains("\"n\""), text.contains("40000")), ("XX001", true, false), "{text}");
}

#[tokio::test]
async fn a_contract_without_a_schema_shows_the_files_own() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), CODECS[0].1);
    let product = product(PortFormat::Avro, "a.avro", None);
    assert_eq!(rows(&ports(folder.path(), false), &product).await.unwrap()[0], "0|NULL");
    put(folder.path(), KINDS);
    assert_eq!(refusal(&ports(folder.path(), false), &product).await.0, "0A000", "a structure is of no contract type");
}
