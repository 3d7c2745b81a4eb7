//! Every access leaves its record: what was answered and what was refused.

use std::path::Path;

use crate::gateway::World;

fn read_all(folder: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text.push_str(&read_all(&path));
        } else {
            text.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
    text
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
    let records: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_the_product = records.iter().filter(|record| record.to_string().contains("customer-360")).count();
    assert!(of_the_product >= 2, "{log}");
    assert!(log.contains("42501") && log.contains("analyst"), "{log}");
    assert!(!read_all(&world.path("lineage")).is_empty());
}
