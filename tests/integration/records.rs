//! Every access leaves its record: what was answered and what was refused.

use std::path::Path;

use serde_json::Value;

use crate::gateway::World;

fn read_all(folder: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text.push_str(&read_all(&path));
        } else if path.extension().is_some_and(|extension| extension == "jsonl") && !path.to_string_lossy().ends_with(".rest.jsonl") {
            text.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
    text
}

/// The whole records of the audit log, also while it is being written: a line without its end is none yet.
pub(crate) fn records(world: &World) -> Vec<Value> {
    let log = read_all(&world.path("audit"));
    let whole = log.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// The opening record of the statement whose text contains `sql`.
pub(crate) fn opened(records: &[Value], sql: &str) -> Option<Value> {
    let opened = |record: &&Value| record["kind"] == "statement_opened" && record["sql"].as_str().is_some_and(|text| text.contains(sql));
    records.iter().find(opened).cloned()
}

/// The closing record of the statement whose text contains `sql`.
pub(crate) fn closed(records: &[Value], sql: &str) -> Option<Value> {
    let opened = opened(records, sql)?;
    records.iter().find(|record| record["kind"] == "statement_closed" && record["query_id"] == opened["query_id"]).cloned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_and_a_denial_are_both_in_the_log() {
    let world = World::quickstart();
    let gateway = world.serve().await;
    let client = gateway.login("analyst").await;
    client.simple_query("SELECT tier, count(*) FROM customer.customer_360 GROUP BY tier").await.unwrap();
    client.simple_query("SELECT full_name FROM customer.customer_360").await.unwrap_err();
    drop(client);
    gateway.stop().await;
    let log = read_all(&world.path("audit"));
    let of_the_product = records(&world).iter().filter(|record| record.to_string().contains("customer-360")).count();
    assert!(of_the_product >= 2, "{log}");
    assert!(log.contains("42501") && log.contains("analyst"), "{log}");
    assert!(!read_all(&world.path("lineage")).is_empty());
}
