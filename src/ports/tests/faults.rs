//! Sources that fail while they are read: every answer is complete or an error, and afterwards all is as before.
//!
//! `MESHGATE_FAULTS` is the number of faults, 40 by default.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, StringViewArray};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::super::avro;
use super::super::files::StoreOptions;
use super::super::files::web::{Mood, Web};
use super::*;
use crate::product::{CsvDialect, OnError};

const ROWS: i64 = 20_000;
const CLIENTS: usize = 8;
/// What may be told of a source that fails.
const CODES: [&str; 5] = ["58030", "08006", "XX001", "HV00N", "HV000"];

/// A network that can be cut; connections come back at once.
async fn network(server: SocketAddr) -> (u16, watch::Sender<u64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (cut, seen) = watch::channel(0_u64);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut seen = seen.clone();
            seen.mark_unchanged();
            tokio::spawn(async move {
                let Ok(mut server) = TcpStream::connect(server).await else { return };
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                    _ = seen.changed() => {}
                }
            });
        }
    });
    (port, cut)
}

fn numbers() -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(1..=ROWS));
    let pads: ArrayRef = Arc::new(StringViewArray::from_iter_values((1..=ROWS).map(|i| format!("{i:-<60}"))));
    RecordBatch::try_from_iter(vec![("id", ids), ("pad", pads)]).unwrap()
}

fn csv() -> String {
    std::iter::once("id,pad\n".to_owned()).chain((1..=ROWS).map(|i| format!("{i},{i:-<60}\n"))).collect()
}

fn objects() -> String {
    (1..=ROWS).map(|i| format!("{{\"id\":{i},\"pad\":\"{i:-<60}\"}}\n")).collect()
}

/// Reads a source once. Whether it answered; it panics on an answer that is wrong.
async fn read(ports: &Ports, product: &Product) -> bool {
    let answer = async {
        let table = open(ports, product).await?;
        scan(&table, &Ask { projection: Some(vec![0, 1]), ..Ask::default() }).await
    };
    match answer.await {
        Ok(batches) => {
            let ids = batches.iter().map(|batch| batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap());
            let sum: i64 = ids.filter_map(arrow::compute::sum).sum();
            assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), usize::try_from(ROWS).unwrap(), "a short answer");
            assert_eq!(sum, ROWS * (ROWS + 1) / 2, "a wrong answer");
            true
        }
        Err(error) => {
            let (code, text) = message(&error);
            assert!(CODES.contains(&code.as_str()), "{code} {text}");
            assert!(!["127.0.0.1", "---", "/tmp", "mesh:", "bucket"].iter().any(|secret| text.contains(secret)), "{text}");
            false
        }
    }
}

/// A port that is asked without credentials.
fn unsigned(mut product: Product) -> Product {
    product.output_ports[0].credentials = None;
    product
}

/// One fault after the other; the data is as it was in the end.
async fn break_things(folder: &Path, database: &Database, cut: &watch::Sender<u64>, web: &Web, faults: usize) {
    let (parquet, text, avro) = (folder.join("n.parquet"), folder.join("n.csv"), folder.join("n.avro"));
    let [whole, lines, blocks] = [&parquet, &text, &avro].map(|path| std::fs::read(path).unwrap());
    for fault in 0..faults {
        match fault % 13 {
            0 => cut.send_modify(|times| *times += 1),
            1 => {
                let name = database.table("faulty").replace('.', "\".\"");
                let kill = format!(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'meshgate%' AND query LIKE '%{name}%'"
                );
                database.run(&kill).await;
            }
            2 => std::fs::write(&parquet, &whole[..whole.len() * (fault % 7) / 7]).unwrap(),
            3 => {
                std::fs::write(folder.join("next"), &whole[..whole.len() - 1 - fault % 8]).unwrap();
                std::fs::rename(folder.join("next"), &parquet).unwrap();
            }
            4 => std::fs::remove_file(&text).unwrap(),
            5 => {
                std::fs::write(folder.join("next"), &blocks[..blocks.len() - 1 - fault % 8]).unwrap();
                std::fs::rename(folder.join("next"), &avro).unwrap();
            }
            6 => web.feel(Mood::Down),
            7 => web.feel(Mood::Cut),
            8 => web.feel(Mood::Refusing),
            9 => web.remove("/bucket/n.parquet"),
            10 => {
                web.put("/bucket/n.parquet", whole[..whole.len() - 1 - fault % 8].to_vec());
                web.put("/bucket/n.ndjson", objects()[..fault % 7 * 100 + 1].to_owned());
            }
            11 => std::fs::write(&avro, &blocks[..blocks.len() * (fault % 7) / 7]).unwrap(),
            _ => {
                std::fs::write(folder.join("next"), [lines.as_slice(), b"ragged\n"].concat()).unwrap();
                std::fs::rename(folder.join("next"), &text).unwrap();
            }
        }
        tokio::time::sleep(Duration::from_millis(15)).await;
        for (path, bytes) in [(&parquet, &whole), (&text, &lines), (&avro, &blocks)] {
            std::fs::write(folder.join("next"), bytes).unwrap();
            std::fs::rename(folder.join("next"), path).unwrap();
        }
        web.feel(Mood::Well);
        web.put("/bucket/n.parquet", whole.clone());
        web.put("/bucket/n.ndjson", objects());
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_fails_gives_an_error_and_never_a_short_answer() {
    let Some(database) = Database::from_environment().await else { return };
    let faults = std::env::var("MESHGATE_FAULTS").ok().map_or(40, |count| count.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("login"), database.login()).unwrap();
    write_parquet(&folder.path().join("n.parquet"), &numbers());
    std::fs::write(folder.path().join("n.csv"), csv()).unwrap();
    // One block: a file that is cut off between two of them looks like a shorter one.
    std::fs::write(folder.path().join("n.avro"), avro::write::write(&[numbers()], usize::try_from(ROWS).unwrap())).unwrap();
    database.create("faulty", "id int8, pad text", &[]).await;
    let name = database.table("faulty");
    database.run(&format!("INSERT INTO {name} SELECT i, rpad(i::text, 60, '-') FROM generate_series(1, {ROWS}) i")).await;
    let (port, cut) = network(database.address()).await;
    let schema = || Some(vec![field("id", DataType::Int64), field("pad", DataType::String)]);
    let products = Arc::new([
        product(PortFormat::Postgres, &database.location_at("127.0.0.1", port, "faulty"), schema()),
        product(PortFormat::Parquet, "n.parquet", schema()),
        product(PortFormat::Csv(CsvDialect::default()), "n.csv", schema()),
        product(PortFormat::Avro, "n.avro", schema()),
        unsigned(product(PortFormat::Parquet, "s3://bucket/n.parquet", schema())),
        unsigned(product(PortFormat::Ndjson(OnError::Fail), "s3://bucket/", schema())),
    ]);
    let web = Web::start().await;
    web.put("/bucket/n.parquet", std::fs::read(folder.path().join("n.parquet")).unwrap());
    web.put("/bucket/n.ndjson", objects());
    let store =
        StoreOptions { location: "s3://bucket".to_owned(), endpoint: Some(format!("http://{}", web.address)), ..StoreOptions::default() };
    let root = folder.path().to_owned();
    // Small enough that the table is copied, in ranges.
    let options = PortOptions {
        data_root: root.clone(),
        credentials_root: Some(root),
        postgres_bulk_pages: 16,
        stores: vec![store],
        ..PortOptions::default()
    };
    let ports = Arc::new(Ports::new(options));
    let (over, answered, failed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (ports, products) = (Arc::clone(&ports), Arc::clone(&products));
            let (over, answered, failed) = (Arc::clone(&over), Arc::clone(&answered), Arc::clone(&failed));
            tokio::spawn(async move {
                let mut turn = client;
                while !over.load(Ordering::SeqCst) {
                    let count = if read(&ports, &products[turn % products.len()]).await { &answered } else { &failed };
                    count.fetch_add(1, Ordering::SeqCst);
                    turn += 1;
                }
            })
        })
        .collect();
    break_things(folder.path(), &database, &cut, &web, faults).await;
    over.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    assert!(answered.load(Ordering::SeqCst) > 0 && failed.load(Ordering::SeqCst) > 0, "{answered:?} answered, {failed:?} failed");
    for product in products.iter() {
        let back = async {
            while !read(&ports, product).await {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), back).await.expect("a source that is back does not answer");
    }
    assert_eq!(ports.servers.connections_in_use(), 0);
}
