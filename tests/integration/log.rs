//! The log of a statement, from socket to socket, reads like the table of `ARCHITECTURE.md`, and shows no value of the data.

use serde_json::Value;

use crate::eventually::eventually;
use crate::gateway::{World, login};
use crate::process::Process;

/// The steps of the table, in its order.
const STEPS: [&str; 14] = [
    "accept",
    "authenticate",
    "open_session",
    "parse",
    "plan",
    "locate",
    "observe",
    "decide",
    "optimize",
    "verify",
    "record",
    "run",
    "encode",
    "close",
];

fn steps(world: &World) -> Vec<String> {
    let log = std::fs::read_to_string(world.path("log")).unwrap();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter_map(|line| line["step"].as_str().map(str::to_owned)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_can_be_followed_from_socket_to_socket() {
    let world = World::quickstart();
    let process = Process::serve(&world);
    let client = login(process.address(), "pii_analyst").await.unwrap();
    client.simple_query("SELECT full_name FROM customer.customer_360 WHERE full_name = 'Yuki Haddad'").await.unwrap();
    eventually("the last step", async || steps(&world).contains(&"close".to_owned()).then_some(())).await;
    assert_eq!(steps(&world), STEPS);
    let log = std::fs::read_to_string(world.path("log")).unwrap();
    assert!(!log.contains("Haddad"), "{log}");
}
