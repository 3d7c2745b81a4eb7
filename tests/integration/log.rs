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

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_a_wrong_line_is_named_in_the_log_alone() {
    let world = World::with_notes("notes/");
    world.write("data/notes/first.csv", "id\n1\n2\n");
    world.write("data/notes/second.csv", "id\n3\nfour\n");
    let process = Process::serve(&world);
    let client = login(process.address(), "analyst").await.unwrap();
    let error = client.query("SELECT id FROM demo.notes", &[]).await.unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.code().code(), "XX001");
    assert!(error.message().contains("line 3, column \"id\"") && !error.message().contains("second"), "{}", error.message());
    let told = |line: &Value| line["file"].as_str().is_some_and(|file| file.ends_with("second.csv"));
    let log = eventually("the file is named", async || {
        let log = std::fs::read_to_string(world.path("log")).unwrap();
        log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).any(|line| told(&line)).then_some(log)
    });
    assert!(!log.await.contains("four"));
}

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
