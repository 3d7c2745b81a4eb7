//! A gateway that is killed where it stands (SIGKILL), again and again under load, over one log: no row was delivered whose opening record is
//! not in the log, and the log holds after each restart. `MESHGATE_KILLS` sets how often; each log sees so many of them that it can be read whole after
//! each.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;

use crate::gateway::{World, login};
use crate::process::{Process, run, text};

const KILLS: usize = 2;
const KILLS_OF_A_LOG: usize = 25;
const CLIENTS: usize = 4;

/// The texts of statements that delivered a row.
type Delivered = Arc<Mutex<Vec<String>>>;

/// Asks until the connection breaks.
async fn ask(process: &Process, kill: usize, client: usize, delivered: Delivered) -> tokio::task::JoinHandle<()> {
    let session = login(process.address(), "analyst").await.unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let sql = format!("SELECT tier FROM customer.customer_360 WHERE tier <> 'k{kill}c{client}n{number}' LIMIT 3");
            match session.query(&sql, &[]).await {
                Ok(rows) if !rows.is_empty() => delivered.lock().unwrap().push(sql),
                Ok(_) => panic!("{sql}: no rows"),
                Err(_) => return,
            }
        }
    })
}

/// The texts of all opening records; a last line without its end is none.
fn opened(world: &World) -> HashSet<String> {
    let folder = std::fs::read_dir(world.path("audit")).unwrap().map(|entry| entry.unwrap().path());
    let segments = folder.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    let texts: Vec<String> = segments.map(|path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()).collect();
    let whole = texts.iter().flat_map(|text| text.split_inclusive('\n')).filter(|line| line.ends_with('\n'));
    whole
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|record| record["kind"] == "statement_opened")
        .filter_map(|record| record["sql"].as_str().map(str::to_owned))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_row_is_delivered_without_its_record_whenever_the_process_is_killed() {
    let kills: usize = std::env::var("MESHGATE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let mut total = 0;
    for log in 0..kills.div_ceil(KILLS_OF_A_LOG) {
        total += kill_often(KILLS_OF_A_LOG.min(kills - log * KILLS_OF_A_LOG)).await;
    }
    assert!(total > 0, "no statement came through");
}

/// Kills that often over one log; how many statements delivered a row.
async fn kill_often(kills: usize) -> usize {
    let world = World::quickstart();
    let audit = world.path("audit").display().to_string();
    let mut total = 0;
    for kill in 0..kills {
        let process = Process::serve(&world);
        let verified = run(&["audit", "verify", &audit], "");
        assert!(verified.status.success(), "after {kill} kills: {}", text(&verified));
        let delivered = Delivered::default();
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let asking = ask(&process, kill, client, Arc::clone(&delivered)).await;
            clients.spawn(asking);
        }
        tokio::time::sleep(Duration::from_micros(rand::random_range(10_000..400_000))).await;
        process.kill();
        while let Some(client) = clients.join_next().await {
            client.unwrap().unwrap();
        }
        let delivered = delivered.lock().unwrap();
        let opened = opened(&world);
        let missing: Vec<&String> = delivered.iter().filter(|sql| !opened.contains(*sql)).collect();
        assert!(missing.is_empty(), "after kill {kill}: {missing:?}");
        total += delivered.len();
    }
    let verified = run(&["audit", "verify", &audit], "");
    assert!(verified.status.success(), "{}", text(&verified));
    total
}
