//! How the gateway ends: when it is asked to, and when it is not asked.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures::{StreamExt, TryStreamExt};
use tokio_postgres::Row;

use crate::eventually::eventually;
use crate::gateway::{World, login};
use crate::process::{self, Process};
use crate::records::{closed, opened, records};

/// More bytes than all buffers between the gateway and a client who does not read: it runs until it is read.
pub(crate) const LONG: &str = "SELECT customer_id, repeat('x', 1000) AS filler FROM customer.customer_events_v1 \
                               CROSS JOIN (VALUES (1), (2), (3), (4), (5), (6)) AS times (n)";
/// Rows of [`LONG`]: six times those of the product.
pub(crate) const LONG_ROWS: usize = 7_760 * 6;

/// No parameters, in the form that `query_raw` takes.
pub(crate) const NONE: [&str; 0] = [];

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_lets_what_runs_end_and_exits_with_0() {
    let world = World::quickstart();
    let process = Process::serve(&world);
    let client = login(process.address(), "analyst").await.unwrap();
    let idle = login(process.address(), "analyst").await.unwrap();
    let mut rows = pin!(client.query_raw(LONG, NONE).await.unwrap());
    rows.next().await.unwrap().unwrap();

    let address = process.address();
    process.terminate();
    eventually("nobody is served any more", async || login(address, "analyst").await.err()).await;
    eventually("who does nothing is sent away", async || idle.is_closed().then_some(())).await;
    assert!(closed(&records(&world), LONG).is_none(), "it does not run any more; the test shows nothing");

    let rest = rows.try_fold(0, async |count: usize, _: Row| Ok(count + 1)).await.unwrap();
    assert_eq!(rest + 1, LONG_ROWS);
    let status = process.ended().await;
    assert_eq!(status.code(), Some(0), "{status}\n{}", std::fs::read_to_string(world.path("log")).unwrap());
    let record = closed(&records(&world), LONG).expect("no closing record");
    assert_eq!((&record["outcome"], record["rows"].as_u64()), (&"completed".into(), u64::try_from(LONG_ROWS).ok()), "{record}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reloads_and_ends_nothing() {
    let world = World::quickstart();
    let mut process = Process::serve(&world);
    let client = login(process.address(), "analyst").await.unwrap();
    let mut rows = pin!(client.query_raw(LONG, NONE).await.unwrap());
    rows.next().await.unwrap().unwrap();
    let reloads = |what: &str| {
        let is = |record: &&serde_json::Value| record["kind"] == "reload" && record["what"] == what && record["outcome"] == "replaced";
        records(&world).iter().filter(is).count()
    };
    for times in 1..=2 {
        process.hang_up();
        eventually("all is read anew", async || (reloads("principals") == times && reloads("catalog") == times).then_some(())).await;
    }
    assert_eq!(reloads("policies"), 0, "they say what served before");
    let log = std::fs::read_to_string(world.path("log")).unwrap();
    assert_eq!(log.matches("asked to reload").count(), 2, "{log}");
    let rest = rows.try_fold(0, async |count: usize, _: Row| Ok(count + 1)).await.unwrap();
    assert!(rest + 1 == LONG_ROWS && process.is_alive());
    login(process.address(), "analyst").await.unwrap();
}

/// Queries, each with a mark of its own, until the connection breaks; notes the marks of those that delivered a row.
async fn read_until_the_end(address: SocketAddr, reader: usize, delivered: Arc<Mutex<BTreeSet<String>>>, count: Arc<AtomicUsize>) {
    let client = login(address, "analyst").await.unwrap();
    for number in 0.. {
        let mark = format!("reader {reader} query {number}");
        // What every other reader asks for does not fit into sockets: it runs for as long as it is read.
        let times = if reader.is_multiple_of(2) { 1 } else { 500 };
        let sql = format!("SELECT customer_id, tier, '{mark}' AS mark FROM customer.customer_360, generate_series(1, {times}) AS again(n)");
        let Ok(rows) = client.query_raw(&sql, NONE).await else { return };
        let mut rows = pin!(rows);
        while let Some(row) = rows.next().await {
            let Ok(row) = row else { return };
            let marked: String = row.get("mark");
            delivered.lock().unwrap().insert(marked);
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_every_delivered_row_has_its_record() {
    let world = World::quickstart();
    let process = Process::serve(&world);
    let (delivered, count) = (Arc::new(Mutex::new(BTreeSet::new())), Arc::new(AtomicUsize::new(0)));
    let address = process.address();
    let readers: Vec<_> =
        (0..6).map(|reader| tokio::spawn(read_until_the_end(address, reader, Arc::clone(&delivered), Arc::clone(&count)))).collect();
    // 6 clients and at least 12 statements: some have ended, and the others are at different places.
    eventually("rows flow", async || {
        let delivered = delivered.lock().unwrap();
        (delivered.len() >= 12 && delivered.contains("reader 1 query 0")).then_some(())
    })
    .await;
    process.kill();
    for reader in readers {
        reader.await.unwrap();
    }

    let written = records(&world);
    let delivered = delivered.lock().unwrap().clone();
    let missing: Vec<&String> = delivered.iter().filter(|mark| opened(&written, mark).is_none()).collect();
    assert!(missing.is_empty(), "delivered and not recorded: {missing:?}");
    let running = delivered.iter().filter(|mark| closed(&written, mark).is_none()).count();
    assert!(running > 0, "no statement was running; the test shows nothing");

    // What starts next finds the log as the crash left it.
    let process = Process::serve(&world);
    let client = login(process.address(), "analyst").await.unwrap();
    client.simple_query("SELECT count(*) FROM customer.customer_360 /* afterwards */").await.unwrap();
    drop(client);
    process.terminate();
    assert_eq!(process.ended().await.code(), Some(0));
    let verified = process::run(&["audit", "verify", world.path("audit").to_str().unwrap()], "");
    assert!(verified.status.success(), "{}", process::text(&verified));
    assert!(closed(&records(&world), "afterwards").is_some());
}
