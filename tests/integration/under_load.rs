//! Policies and erasure lists that change ten times a second under sixteen clients: every statement is decided by one revision as a whole,
//! and none fails. `MESHGATE_LOAD_SECONDS` sets for how long; `benches/reload_under_load.sh` runs a full minute.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::task::JoinSet;
use tokio_postgres::Client;

use crate::eventually::eventually;
use crate::gateway::{Gateway, World};
use crate::records::records;
use crate::sources::packed;

const CLIENTS: usize = 16;
const CHANGES_A_SECOND: u32 = 10;
/// So often must what clients see have changed, however long that takes.
const TURNS_MIN: usize = 16;
const PATIENCE: Duration = Duration::from_secs(60);

/// Two products in one statement.
const BOTH: &str = "SELECT (SELECT count(*) FROM customer.customer_360) AS a, (SELECT count(*) FROM payments.transaction_events_v1) AS b";

/// Two people in one statement.
const PEOPLE: &str = "SELECT (SELECT count(*) FROM customer.customer_360 WHERE customer_id = 1001) AS a, \
                      (SELECT count(*) FROM customer.customer_360 WHERE customer_id = 1002) AS b";

type Pair = (i64, i64);

fn duration() -> Duration {
    let seconds = std::env::var("MESHGATE_LOAD_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(3))
}

async fn pair(client: &Client, sql: &str) -> Pair {
    let row = client.query_one(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    (row.get(0), row.get(1))
}

/// What sixteen clients saw while something changed, and how often.
async fn seen_while(gateway: &Gateway, sql: &'static str, mut change: impl FnMut(u32)) -> BTreeMap<Pair, usize> {
    let stop = Arc::new(AtomicBool::new(false));
    let turns = Arc::new(Mutex::new((None, 0)));
    let mut clients = JoinSet::new();
    for index in 0..CLIENTS {
        let client = gateway.login("pii_analyst").await;
        let (stop, turns) = (Arc::clone(&stop), Arc::clone(&turns));
        clients.spawn(async move {
            let prepared = client.prepare(sql).await.unwrap();
            let mut seen: BTreeMap<Pair, usize> = BTreeMap::new();
            while !stop.load(Ordering::Relaxed) {
                // Half of them plan anew each time, half have prepared before.
                let pair = if index % 2 == 0 {
                    pair(&client, sql).await
                } else {
                    let row = client.query_one(&prepared, &[]).await.unwrap_or_else(|error| panic!("prepared: {error:?}"));
                    (row.get(0), row.get(1))
                };
                *seen.entry(pair).or_default() += 1;
                let mut turns = turns.lock().unwrap();
                if turns.0.replace(pair) != Some(pair) {
                    turns.1 += 1;
                }
            }
            seen
        });
    }
    let start = Instant::now();
    let mut changes = 0;
    // A machine that is busy with other tests takes longer to show any change.
    let settled = || start.elapsed() >= duration() && turns.lock().unwrap().1 >= TURNS_MIN;
    while !settled() && start.elapsed() < duration() + PATIENCE {
        change(changes);
        changes += 1;
        tokio::time::sleep((start + Duration::from_secs(1) * changes / CHANGES_A_SECOND).saturating_duration_since(Instant::now())).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut seen: BTreeMap<Pair, usize> = BTreeMap::new();
    while let Some(client) = clients.join_next().await {
        for (pair, count) in client.unwrap() {
            *seen.entry(pair).or_default() += count;
        }
    }
    seen
}

/// Two bundles that hide each something else, under a revision of its own each time.
fn bundle(rules: &str, number: u32) -> Vec<u8> {
    let filter = match number % 2 {
        0 => "rowFilters contains {\"expression\": \"tier = 'gold'\"} if input.resource.product == \"customer-360\"",
        _ => "rowFilters contains {\"expression\": \"transaction_id < 0\"} if input.resource.product == \"transaction-events-v1\"",
    };
    packed(&[(".manifest", &format!("{{\"revision\": \"r{number}\"}}")), ("governance.rego", &format!("{rules}\n{filter}\n"))])
}

/// How many revisions decided; fails if one statement has decisions of two.
fn revisions_of_whole_statements(records: &[Value]) -> usize {
    let mut of_statement: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for record in records {
        let revision = match record["kind"].as_str() {
            Some("decision") => &record["bundles"]["meshgate"]["revision"],
            Some("statement_opened") => &record["bundle_revision"],
            _ => continue,
        };
        let query = record["query_id"].as_str().unwrap().to_owned();
        of_statement.entry(query).or_default().insert(revision.as_str().unwrap().to_owned());
    }
    assert!(of_statement.values().all(|revisions| revisions.len() == 1), "a statement was decided by two revisions");
    of_statement.values().flatten().collect::<BTreeSet<_>>().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_bundles_a_second_mix_no_decision_and_fail_no_query() {
    let world = World::quickstart();
    let rules = std::fs::read_to_string(world.path("policies/governance.rego")).unwrap();
    world.replace_bytes("bundle.tar.gz", &bundle(&rules, 0));
    let gateway = world.serve_from("bundle.tar.gz", "data/erased_subjects.csv").await;
    let client = gateway.login("pii_analyst").await;
    let even = pair(&client, BOTH).await;
    world.replace_bytes("bundle.tar.gz", &bundle(&rules, 1));
    let odd = eventually("the other bundle serves", async || Some(pair(&client, BOTH).await).filter(|seen| *seen != even)).await;
    assert!(even.0 < odd.0 && even.1 > odd.1, "{even:?} {odd:?}");
    let seen = seen_while(&gateway, BOTH, |number| world.replace_bytes("bundle.tar.gz", &bundle(&rules, number + 2))).await;
    assert!(seen.keys().all(|seen| *seen == even || *seen == odd), "{seen:?} besides {even:?} and {odd:?}");
    assert_eq!(seen.len(), 2, "{seen:?}");
    gateway.stop().await;
    let records = records(&world);
    let revisions = revisions_of_whole_statements(&records);
    let failed = records.iter().filter(|record| record["kind"] == "statement_closed" && record["outcome"] != "completed").count();
    let replaced = records.iter().filter(|record| record["kind"] == "reload" && record["outcome"] == "replaced").count();
    assert_eq!(failed, 0);
    assert!(revisions >= 4 && replaced >= 4, "{revisions} revisions decided, {replaced} were loaded");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_erasure_lists_a_second_are_each_whole_and_fail_no_query() {
    let world = World::quickstart();
    let list = std::fs::read_to_string(world.path("data/erased_subjects.csv")).unwrap();
    let erased = |number: u32| format!("{list}{}\n", 1001 + number % 2);
    world.replace("data/erased_subjects.csv", &erased(0));
    let gateway = world.serve().await;
    let client = gateway.login("pii_analyst").await;
    assert_eq!(pair(&client, PEOPLE).await, (0, 1));
    let seen = seen_while(&gateway, PEOPLE, |number| world.replace("data/erased_subjects.csv", &erased(number + 1))).await;
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), [(0, 1), (1, 0)], "{seen:?}");
    // The last one holds, also for who was there before.
    world.replace("data/erased_subjects.csv", &format!("{list}1001\n1002\n"));
    eventually("both are gone", async || (pair(&client, PEOPLE).await == (0, 0)).then_some(())).await;
    gateway.stop().await;
}
