//! Ports over object stores: what is found, who is asked and as whom, and what a failing store comes to.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};

use super::super::tests::{Ask, field, message, open, product, refusal, rows, run, scan, texts, write_parquet};
use super::super::{PortOptions, Ports};
use super::web::{Mood, Web};
use super::{StoreIdentity, StoreOptions};
use crate::product::{CsvDialect, DataType, PortFormat, Product};

fn csv(location: &str) -> Product {
    product(PortFormat::Csv(CsvDialect::default()), location, Some(vec![field("id", DataType::Int64)]))
}

fn parquet(location: &str) -> Product {
    product(PortFormat::Parquet, location, Some(vec![field("id", DataType::Int64)]))
}

fn parquet_bytes(ids: std::ops::Range<i64>) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    write_parquet(&path, &RecordBatch::try_from_iter([("id", Arc::new(Int64Array::from_iter_values(ids)) as ArrayRef)]).unwrap());
    std::fs::read(path).unwrap()
}

fn ports_of(folder: &Path, stores: Vec<StoreOptions>) -> Ports {
    let root = folder.to_owned();
    Ports::new(PortOptions { data_root: root.clone(), credentials_root: Some(root), stores, ..PortOptions::default() })
}

/// A server, and ports that may ask it as a bucket `mesh` and for what is below `/open`.
async fn world() -> (Web, Ports, tempfile::TempDir) {
    let (web, folder) = (Web::start().await, tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("login"), "ada:secret").unwrap();
    let endpoint = format!("http://{}", web.address);
    let stores = vec![
        StoreOptions { location: "s3://mesh".to_owned(), endpoint: Some(endpoint.clone()), ..StoreOptions::default() },
        StoreOptions { location: format!("{endpoint}/open"), ..StoreOptions::default() },
    ];
    let ports = ports_of(folder.path(), stores);
    (web, ports, folder)
}

#[tokio::test]
async fn a_prefix_of_a_bucket_is_a_folder() {
    let (web, ports, _folder) = world().await;
    web.put("/mesh/shop/day=1/a.csv", "id\n1\n");
    web.put("/mesh/shop/day=2/b.csv", "id\n2\n");
    web.put("/mesh/shop/_tmp/c.csv", "id\n3\n");
    web.put("/mesh/shopping/d.csv", "id\n4\n");
    assert_eq!(rows(&ports, &csv("s3://mesh/shop/")).await.unwrap(), ["1", "2"]);
    assert_eq!(rows(&ports, &csv("s3://mesh/shop")).await.unwrap(), ["1", "2"]);
    assert_eq!(rows(&ports, &csv("s3://mesh/shop/*/b.csv")).await.unwrap(), ["2"]);
    assert_eq!(rows(&ports, &csv("s3://mesh/shop/day=1/a.csv")).await.unwrap(), ["1"]);
    assert_eq!(refusal(&ports, &csv("s3://mesh/nothing/")).await.0, "58030");
    let signed = web.requests().iter().filter(|request| request.contains("AWS4-HMAC-SHA256 Credential=ada/")).count();
    assert_eq!(signed, web.requests().len(), "a request was not signed");
    assert!(!web.requests().iter().any(|request| request.contains("secret")));
}

#[tokio::test]
async fn parquet_is_read_by_ranges() {
    let (web, ports, _folder) = world().await;
    web.put("/mesh/a.parquet", parquet_bytes(0..5000));
    web.put("/open/a.parquet", parquet_bytes(0..3));
    assert_eq!(rows(&ports, &parquet("s3://mesh/a.parquet")).await.unwrap().len(), 5000);
    let location = format!("http://{}/open/a.parquet", web.address);
    assert_eq!(rows(&ports, &parquet(&location)).await.unwrap(), ["0", "1", "2"]);
    assert!(web.requests().iter().any(|request| request.contains("/open/") && request.contains("Basic YWRhOnNlY3JldA==")));
}

#[tokio::test]
async fn only_what_the_configuration_names_is_asked() {
    let (web, ports, _folder) = world().await;
    web.put("/closed/a.csv", "id\n1\n");
    web.put("/mesh/a.csv", "id\n1\n");
    for location in [
        format!("http://{}/closed/a.csv", web.address),
        format!("http://{}/mesh/a.csv", web.address),
        "s3://other/a.csv".to_owned(),
        "http://169.254.169.254/latest/meta-data/iam".to_owned(),
    ] {
        let (code, text) = refusal(&ports, &csv(&location)).await;
        assert_eq!(code, "HV000", "{location}");
        assert!(!text.contains(&web.address) && !text.contains("169.254"), "{text}");
    }
    assert!(web.requests().is_empty());
}

#[tokio::test]
async fn a_redirect_to_another_server_is_not_followed() {
    let (web, ports, _folder) = world().await;
    web.put("/open/a.csv", "id\n1\n");
    web.feel(Mood::Elsewhere);
    let (code, text) = refusal(&ports, &csv(&format!("http://{}/open/a.csv", web.address))).await;
    assert_eq!((code.as_str(), text.contains("127.0.0")), ("58030", false), "{text}");
}

#[tokio::test]
async fn an_object_that_changes_during_a_scan_is_an_error_even_where_the_store_is_careless() {
    let (web, ports, _folder) = world().await;
    let context = datafusion::prelude::SessionContext::new();
    for mood in [Mood::Well, Mood::Careless] {
        web.feel(mood);
        for (path, product, first, second) in [
            ("/mesh/a.csv", csv("s3://mesh/a.csv"), b"id\n1\n".to_vec(), b"id\n2\n".to_vec()),
            ("/mesh/a.parquet", parquet("s3://mesh/a.parquet"), parquet_bytes(0..5000), parquet_bytes(1..5001)),
        ] {
            web.put(path, first);
            let table = open(&ports, &product).await.unwrap();
            let plan = table.scan(&context.state(), None, &[], None).await.unwrap();
            web.put(path, second);
            let error = run(plan, &context).await.unwrap_err();
            assert_eq!(message(&error).0, "58030", "{mood:?} {path}");
            assert!(message(&error).1.contains("changed"), "{mood:?} {path}");
            // The next scan sees the new version whole, though size and time are the same.
            let found = scan(&table, &Ask::default()).await.unwrap();
            assert!(!texts(&found).contains(&"0".to_owned()) && texts(&found).contains(&"2".to_owned()));
            web.remove(path);
            assert_eq!(refusal(&ports, &product).await.0, "58030", "{mood:?} {path}");
        }
    }
}

#[tokio::test]
async fn a_failing_store_is_an_error_that_tells_nothing() {
    let (web, ports, _folder) = world().await;
    web.put("/mesh/a.csv", "id\n1\n");
    for (mood, codes) in [(Mood::Refusing, ["HV00N"]), (Mood::Down, ["08006"]), (Mood::Cut, ["08006"])] {
        web.feel(mood);
        let (code, text) = refusal(&ports, &csv("s3://mesh/a.csv")).await;
        assert!(codes.contains(&code.as_str()), "{mood:?}: {code} {text}");
        assert!(!["127.0.0.1", "secret", "mesh/a", "ada"].iter().any(|secret| text.contains(secret)), "{text}");
    }
    web.feel(Mood::Well);
    assert_eq!(rows(&ports, &csv("s3://mesh/a.csv")).await.unwrap(), ["1"]);
}

#[tokio::test]
async fn a_store_that_nobody_serves_cannot_be_reached() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = Some("http://127.0.0.1:9".to_owned());
    let store = StoreOptions { location: "s3://mesh".to_owned(), endpoint, ..StoreOptions::default() };
    let mut product = csv("s3://mesh/a.csv");
    let ports = ports_of(folder.path(), vec![store]);
    assert_eq!(refusal(&ports, &product).await.0, "HV00N", "credentials that are not there");
    product.output_ports[0].credentials = None;
    assert_eq!(refusal(&ports, &product).await.0, "HV00N");
}

#[tokio::test]
async fn without_credentials_requests_are_not_signed_unless_an_identity_is_lent() {
    let (web, _, folder) = world().await;
    web.put("/mesh/a.csv", "id\n1\n");
    let endpoint = Some(format!("http://{}", web.address));
    let store = StoreOptions { location: "s3://mesh".to_owned(), endpoint, ..StoreOptions::default() };
    let mut product = csv("s3://mesh/a.csv");
    product.output_ports[0].credentials = None;
    assert_eq!(rows(&ports_of(folder.path(), vec![store.clone()]), &product).await.unwrap(), ["1"]);
    assert!(!web.requests().iter().any(|request| request.to_ascii_lowercase().contains("authorization:")));
    // The environment of the test names no web identity.
    let lent = StoreOptions { identity: StoreIdentity::WebIdentity, ..store };
    assert_eq!(refusal(&ports_of(folder.path(), vec![lent]), &product).await.0, "HV00N");
}

#[tokio::test]
async fn a_bucket_of_google_is_read_as_its_service_account() {
    let (web, _, folder) = world().await;
    web.put("/mesh/shop/day=1/a.csv", "id\n1\n");
    web.put("/mesh/shop/day=2/b.csv", "id\n2\n");
    web.put("/mesh/a.parquet", parquet_bytes(0..5000));
    let key = include_str!("../../../tests/keys/issuer-for-tests-only.pem");
    let account = |key: &str| serde_json::json!({"private_key": key, "private_key_id": "k1", "client_email": "mesh@test.example"});
    std::fs::write(folder.path().join("login"), account(key).to_string()).unwrap();
    let endpoint = Some(format!("http://{}", web.address));
    let store = StoreOptions { location: "gs://mesh".to_owned(), endpoint, ..StoreOptions::default() };
    let ports = ports_of(folder.path(), vec![store]);
    assert_eq!(rows(&ports, &csv("gs://mesh/shop/")).await.unwrap(), ["1", "2"]);
    assert_eq!(rows(&ports, &csv("gs://mesh/shop/day=2/*.csv")).await.unwrap(), ["2"]);
    assert_eq!(rows(&ports, &parquet("gs://mesh/a.parquet")).await.unwrap().len(), 5000);
    assert_eq!(refusal(&ports, &csv("gs://mesh/nothing/")).await.0, "58030");
    let requests = web.requests();
    assert!(requests.iter().all(|request| request.to_ascii_lowercase().contains("\r\nauthorization: bearer ey")), "{requests:?}");
    // Without credentials, none are sent; a key that is none says nothing.
    let mut open = csv("gs://mesh/shop/");
    open.output_ports[0].credentials = None;
    assert_eq!(rows(&ports, &open).await.unwrap(), ["1", "2"]);
    assert!(!web.requests()[requests.len()..].iter().any(|request| request.to_ascii_lowercase().contains("authorization:")));
    std::fs::write(folder.path().join("login"), account("no key").to_string()).unwrap();
    let (code, text) = refusal(&ports, &csv("gs://mesh/shop/")).await;
    assert!(code == "HV00N" && !text.contains("no key") && !text.contains("test.example"), "{code} {text}");
}

/// Against a real S3 API, whose address `MESHGATE_TEST_S3` is: scripts/test starts one.
#[tokio::test]
async fn a_bucket_of_a_real_service_is_read() {
    let Ok(endpoint) = std::env::var("MESHGATE_TEST_S3") else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("login"), "testing:testing").unwrap();
    let bucket = format!("mesh-{}", std::process::id());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    assert!(http.put(format!("{endpoint}/{bucket}")).send().await.unwrap().status().is_success());
    let upload = object_store::aws::AmazonS3Builder::new()
        .with_endpoint(&endpoint)
        .with_allow_http(true)
        .with_bucket_name(&bucket)
        .with_access_key_id("testing")
        .with_secret_access_key("testing")
        .build()
        .unwrap();
    use object_store::ObjectStoreExt;
    for file in 0..1_200_i64 {
        let path = object_store::path::Path::from(format!("many/day={}/{file}.csv", file % 3));
        upload.put(&path, format!("id\n{file}\n").into()).await.unwrap();
    }
    upload.put(&"big/a b.parquet".into(), parquet_bytes(0..100_000).into()).await.unwrap();
    let store = StoreOptions { location: format!("s3://{bucket}"), endpoint: Some(endpoint), ..StoreOptions::default() };
    let ports = ports_of(folder.path(), vec![store]);
    // More than one page of the listing.
    assert_eq!(rows(&ports, &csv(&format!("s3://{bucket}/many/"))).await.unwrap().len(), 1_200);
    assert_eq!(rows(&ports, &parquet(&format!("s3://{bucket}/big/a b.parquet"))).await.unwrap().len(), 100_000);
    assert_eq!(refusal(&ports, &csv(&format!("s3://{bucket}/none/"))).await.0, "58030");
    assert_eq!(refusal(&ports, &csv("s3://elsewhere/none/")).await.0, "HV000");
    let table = open(&ports, &parquet(&format!("s3://{bucket}/big/a b.parquet"))).await.unwrap();
    let context = datafusion::prelude::SessionContext::new();
    let plan = table.scan(&context.state(), None, &[], None).await.unwrap();
    upload.put(&"big/a b.parquet".into(), parquet_bytes(1..100_001).into()).await.unwrap();
    let error = run(plan, &context).await.unwrap_err();
    assert_eq!(message(&error).0, "58030", "{}", message(&error).1);
}

/// The key that every emulator of Azure has.
const AZURE_KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Against a service that speaks Azure's API and has a container `mesh`, whose address `MESHGATE_TEST_AZURE` is: scripts/test starts one.
#[tokio::test]
async fn a_container_of_azure_is_read() {
    let Ok(endpoint) = std::env::var("MESHGATE_TEST_AZURE") else { return };
    let (folder, account) = (tempfile::tempdir().unwrap(), "devstoreaccount1");
    std::fs::write(folder.path().join("login"), AZURE_KEY).unwrap();
    let upload = object_store::azure::MicrosoftAzureBuilder::new()
        .with_endpoint(endpoint.clone())
        .with_allow_http(true)
        .with_account(account)
        .with_access_key(AZURE_KEY)
        .with_container_name("mesh")
        .build()
        .unwrap();
    use object_store::ObjectStoreExt;
    let place = format!("t{}", std::process::id());
    for file in 0..12_i64 {
        upload.put(&format!("{place}/many/day={}/{file}.csv", file % 3).into(), format!("id\n{file}\n").into()).await.unwrap();
    }
    upload.put(&format!("{place}/a b.parquet").into(), parquet_bytes(0..100_000).into()).await.unwrap();
    let store = StoreOptions {
        location: "az://mesh".to_owned(),
        endpoint: Some(endpoint),
        account: Some(account.to_owned()),
        ..StoreOptions::default()
    };
    let ports = ports_of(folder.path(), vec![store]);
    let whole = parquet(&format!("az://mesh/{place}/a b.parquet"));
    assert_eq!(rows(&ports, &csv(&format!("az://mesh/{place}/many/"))).await.unwrap().len(), 12);
    assert_eq!(rows(&ports, &csv(&format!("az://mesh/{place}/many/day=1/*.csv"))).await.unwrap(), ["1", "10", "4", "7"]);
    assert_eq!(rows(&ports, &whole).await.unwrap().len(), 100_000);
    assert_eq!(refusal(&ports, &csv(&format!("az://mesh/{place}/none/"))).await.0, "58030");
    assert_eq!(refusal(&ports, &csv("az://elsewhere/none/")).await.0, "HV000");
    let table = open(&ports, &whole).await.unwrap();
    let context = datafusion::prelude::SessionContext::new();
    let plan = table.scan(&context.state(), None, &[], None).await.unwrap();
    upload.put(&format!("{place}/a b.parquet").into(), parquet_bytes(1..100_001).into()).await.unwrap();
    let error = run(plan, &context).await.unwrap_err();
    assert_eq!(message(&error).0, "58030", "{}", message(&error).1);
    // Another key is refused, and says nothing.
    std::fs::write(folder.path().join("login"), "a2V5").unwrap();
    let (code, text) = refusal(&ports, &whole).await;
    assert!(code == "HV00N" && !text.contains("127.0.0.1") && !text.contains(account), "{code} {text}");
}

#[tokio::test]
async fn folders_tell_columns_and_spare_files() {
    let (web, ports, _folder) = world().await;
    web.put("/mesh/p/region=eu/2026-11-20/a.csv", "id\n1\n");
    web.put("/mesh/p/region=eu/2026-11-21/a.csv", "id\n2\n");
    web.put("/mesh/p/region=us/2026-11-21/a.csv", "id\n3\n");
    web.put("/mesh/p/region=__HIVE_DEFAULT_PARTITION__/2026-11-21/a.csv", "id\n4\n");
    let fields = vec![field("region", DataType::String), field("id", DataType::Int64), field("day", DataType::Date)];
    let mut product = product(PortFormat::Csv(CsvDialect::default()), "s3://mesh/p/", Some(fields));
    product.output_ports[0].partitioning = Some("region/day".to_owned());
    let all = ["NULL|4|2026-11-21", "eu|1|2026-11-20", "eu|2|2026-11-21", "us|3|2026-11-21"];
    assert_eq!(rows(&ports, &product).await.unwrap(), all);
    let table = open(&ports, &product).await.unwrap();
    use datafusion::common::ScalarValue;
    use datafusion::logical_expr::{Expr, col, lit};
    let day = Expr::Literal(ScalarValue::Date32(Some(20_778)), None);
    for (filter, expected, read) in [
        (col("region").eq(lit("eu")).and(col("day").eq(day.clone())), vec!["eu|2|2026-11-21"], 1),
        (col("region").is_null(), vec!["NULL|4|2026-11-21"], 1),
        (col("day").gt(day), vec![], 0),
        (col("region").eq(lit("eu")), vec!["eu|1|2026-11-20", "eu|2|2026-11-21"], 2),
        (col("id").eq(lit(3_i64)), vec!["us|3|2026-11-21"], 4),
    ] {
        let before = web.requests().len();
        let found = scan(&table, &Ask { filter: Some(filter.clone()), push: true, ..Ask::default() }).await.unwrap();
        assert_eq!(texts(&found), expected, "{filter}");
        let requests = web.requests().split_off(before);
        assert_eq!(requests.iter().filter(|request| request.contains(".csv")).count(), read, "{filter}");
    }
    let counted = scan(&table, &Ask { projection: Some(vec![0]), ..Ask::default() }).await.unwrap();
    assert_eq!(texts(&counted), ["NULL", "eu", "eu", "us"]);
    // A folder that tells none of it is a fault of the source.
    web.put("/mesh/p/x.csv", "id\n5\n");
    assert_eq!(refusal(&ports, &product).await.0, "HV021");
    web.remove("/mesh/p/x.csv");
    web.put("/mesh/p/region=eu/no-day/x.csv", "id\n5\n");
    let (code, text) = refusal(&ports, &product).await;
    assert_eq!((code.as_str(), text.contains("\"day\"")), ("XX001", true), "{text}");
}

#[tokio::test]
async fn folders_tell_columns_of_parquet_files_and_spare_them() {
    use datafusion::logical_expr::{col, lit};
    let (web, ports, _folder) = world().await;
    web.put("/mesh/p/eu/2026/11/a.parquet", parquet_bytes(0..200));
    web.put("/mesh/p/eu/2026/12/a.parquet", parquet_bytes(200..300));
    web.put("/mesh/p/us/2026/12/a.parquet", parquet_bytes(300..301));
    let fields = [("month", DataType::Int16), ("id", DataType::Int64), ("region", DataType::String), ("year", DataType::Int32)];
    let fields = fields.map(|(name, data_type)| field(name, data_type)).to_vec();
    let mut product = product(PortFormat::Parquet, "s3://mesh/p/", Some(fields));
    product.output_ports[0].partitioning = Some("region/year/month".to_owned());
    let table = open(&ports, &product).await.unwrap();
    for (filter, expected, read) in [
        (col("region").eq(lit("us")), 1, 1),
        (col("month").eq(lit(12_i16)).and(col("region").eq(lit("eu"))), 100, 1),
        (col("year").gt(lit(2026_i32)), 0, 0),
        (col("year").gt(lit(2026_i32)).or(col("id").eq(lit(250_i64))), 1, 3),
        (col("id").lt(lit(10_i64)), 10, 3),
        (col("id").lt(lit(10_i64)).and(col("month").gt(lit(11_i16))), 0, 2),
    ] {
        let before = web.requests().len();
        let found = scan(&table, &Ask { filter: Some(filter.clone()), push: true, ..Ask::default() }).await.unwrap();
        assert_eq!(texts(&found).len(), expected, "{filter}");
        let requests: Vec<String> = web.requests().split_off(before);
        let files = ["eu/2026/11", "eu/2026/12", "us/2026/12"].into_iter();
        assert!(files.filter(|file| requests.iter().any(|request| request.contains(file))).count() <= read, "{filter}: {requests:?}");
    }
    let some = scan(&table, &Ask { projection: Some(vec![2, 1, 0]), filter: None, ..Ask::default() }).await.unwrap();
    assert_eq!(texts(&some).last().unwrap(), "us|300|12");
    let told = scan(&table, &Ask { projection: Some(vec![3, 2]), limit: Some(1000), ..Ask::default() }).await.unwrap();
    assert_eq!((texts(&told).len(), texts(&told)[0].as_str()), (301, "2026|eu"));
    // A file in no such folder, and one of which a folder tells what is no value of the type.
    web.put("/mesh/p/x.parquet", parquet_bytes(0..1));
    assert_eq!(refusal(&ports, &product).await.0, "HV021");
    web.remove("/mesh/p/x.parquet");
    web.put("/mesh/p/eu/2026/november/a.parquet", parquet_bytes(0..1));
    let (code, text) = refusal(&ports, &product).await;
    assert_eq!((code.as_str(), text.contains("\"month\"")), ("XX001", true), "{text}");
}

#[tokio::test]
async fn a_column_of_a_folder_is_not_taken_from_a_parquet_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("day=7");
    std::fs::create_dir(&path).unwrap();
    let columns = [("id", 1), ("day", 2)].map(|(name, value)| (name, Arc::new(Int64Array::from(vec![value])) as ArrayRef));
    write_parquet(&path.join("a.parquet"), &RecordBatch::try_from_iter(columns).unwrap());
    let mut own = field("own_day", DataType::Int64);
    own.physical_name = Some("day".to_owned());
    let mut product =
        product(PortFormat::Parquet, "*/*.parquet", Some(vec![field("day", DataType::Int64), field("id", DataType::Int64), own]));
    product.output_ports[0].partitioning = Some("day".to_owned());
    assert_eq!(rows(&ports_of(folder.path(), vec![]), &product).await.unwrap(), ["7|1|2"]);
}

#[tokio::test]
async fn files_of_every_compression_are_read_to_their_last_member() {
    use datafusion::datasource::file_format::file_compression_type::FileCompressionType as Kind;
    use futures::{StreamExt, TryStreamExt};
    let (web, ports, _folder) = world().await;
    for (kind, name) in [(Kind::GZIP, "a.csv.gz"), (Kind::ZSTD, "a.csv.zst"), (Kind::BZIP2, "a.csv.bz2"), (Kind::XZ, "a.csv.xz")] {
        let mut packed = Vec::new();
        for part in ["id\n1\n", "2\n3\n"] {
            let plain = futures::stream::iter([Ok(bytes::Bytes::from(part))]).boxed();
            let member: Vec<bytes::Bytes> = kind.convert_to_compress_stream(plain).unwrap().try_collect().await.unwrap();
            packed.extend(member.concat());
        }
        web.put(&format!("/mesh/{name}"), packed.clone());
        let product = csv(&format!("s3://mesh/{name}"));
        assert_eq!(rows(&ports, &product).await.unwrap(), ["1", "2", "3"], "{name}");
        web.put(&format!("/mesh/{name}"), packed[..packed.len() - 3].to_vec());
        assert_eq!(refusal(&ports, &product).await.0, "XX001", "{name}");
    }
}

#[tokio::test]
async fn a_damaged_arrow_file_is_an_error() {
    let (web, ports, _folder) = world().await;
    let batch = RecordBatch::try_from_iter([("id", Arc::new(Int64Array::from_iter_values(0..2000)) as ArrayRef)]).unwrap();
    let mut whole = Vec::new();
    let mut writer = arrow::ipc::writer::FileWriter::try_new(&mut whole, &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    drop(writer);
    let product = product(PortFormat::Arrow, "s3://mesh/a.arrow", Some(vec![field("id", DataType::Int64)]));
    web.put("/mesh/a.arrow", whole.clone());
    assert_eq!(rows(&ports, &product).await.unwrap().len(), 4000);
    for kept in [0, 5, whole.len() / 2, whole.len() - 1] {
        web.put("/mesh/a.arrow", whole[..kept].to_vec());
        assert_eq!(refusal(&ports, &product).await.0, "XX001", "{kept} bytes");
    }
    for position in (0..whole.len()).step_by(whole.len() / 150) {
        let mut flipped = whole.clone();
        flipped[position] ^= 0xff;
        web.put("/mesh/a.arrow", flipped);
        if let Err(error) = rows(&ports, &product).await {
            assert!(["XX001", "HV021"].contains(&message(&error).0.as_str()), "byte {position}: {:?}", message(&error));
        }
    }
}
