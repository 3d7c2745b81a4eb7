//! Statements that are too long, too deep or too greedy: each is answered or refused with a clear error, the session that sent it goes
//! on, and the process lives. They run in a process of its own, as it is served, for a stack that overflows takes no prisoners.

use std::time::Duration;

use tokio_postgres::Client;

use crate::gateway::{World, login};
use crate::process::Process;

/// Longer than any of them may take, however busy the machine is.
const DEADLINE: Duration = Duration::from_secs(60);

fn nested(open: &str, middle: &str, close: &str, depth: usize) -> String {
    [open.repeat(depth), middle.to_owned(), close.repeat(depth)].concat()
}

/// A name and a text of each.
fn statements() -> Vec<(&'static str, String)> {
    let product = "customer.customer_360";
    let many = |one: &str, between: &str, count: usize| vec![one; count].join(between);
    vec![
        ("a sum of 100,000 terms", format!("SELECT {}", many("1", "+", 100_000))),
        ("a sum of 100,000 columns", format!("SELECT count(*) FROM {product} WHERE {} > 0", many("customer_id", "+", 50_000))),
        ("20,000 ANDs", format!("SELECT count(*) FROM {product} WHERE {}", many("customer_id > 0", " AND ", 20_000))),
        ("20,000 ORs", format!("SELECT count(*) FROM {product} WHERE {}", many("customer_id = 7", " OR ", 20_000))),
        ("5,000 UNION ALLs", many("SELECT 1", " UNION ALL ", 5_000)),
        ("a list of 100,000", format!("SELECT count(*) FROM {product} WHERE customer_id IN ({})", many("7", ",", 100_000))),
        ("20,000 columns", format!("SELECT {}", many("1", ",", 20_000))),
        ("50,000 parentheses", format!("SELECT {}", nested("(", "1", ")", 50_000))),
        ("200 parentheses", format!("SELECT {}", nested("(", "1", ")", 200))),
        ("100,000 NOTs", format!("SELECT {}", nested("NOT ", "true", "", 100_000))),
        ("100,000 signs", format!("SELECT {}", nested("- ", "1", "", 100_000))),
        ("5,000 CASEs", format!("SELECT {}", nested("CASE WHEN true THEN ", "1", " END", 5_000))),
        ("5,000 calls", format!("SELECT {}", nested("abs(", "1", ")", 5_000))),
        ("5,000 casts", format!("SELECT 1{}", "::int".repeat(5_000))),
        ("2,000 subqueries", nested("SELECT * FROM (", "SELECT 1", ") AS t", 2_000)),
        ("2,000 scalar subqueries", format!("SELECT {}", nested("(SELECT ", "1", ")", 2_000))),
        ("500 joins", format!("SELECT 1 FROM {}", (0..500).map(|n| format!("{product} t{n}")).collect::<Vec<_>>().join(", "))),
        ("2,000 WITHs", format!("WITH {} SELECT 1", (0..2_000).map(|n| format!("w{n} AS (SELECT 1)")).collect::<Vec<_>>().join(", "))),
        ("10,000 brackets", format!("SELECT {}", nested("ARRAY[", "1", "]", 10_000))),
        ("a text of two gigabytes", "SELECT length(repeat('x', 2000000000))".to_owned()),
        ("ten texts of two gigabytes", format!("SELECT length({})", many("repeat('x', 2000000000)", " || ", 10))),
        ("a padded text of two gigabytes", "SELECT length(lpad('x', 2000000000, 'y'))".to_owned()),
        ("a statement of ten megabytes", format!("SELECT '{}'", "x".repeat(10_000_000))),
        ("an open text", "SELECT 'x".to_owned()),
        ("an open comment", format!("SELECT 1 {}", "/*".repeat(50_000))),
        ("nothing but semicolons", ";".repeat(100_000)),
        ("a number of 10,000 digits", format!("SELECT {}", "9".repeat(10_000))),
        ("a pattern of 50,000 groups", format!("SELECT 'x' ~ '{}'", nested("(", "x", ")", 50_000))),
    ]
}

/// The connection broke, or nothing came; `None` is an answer or a clear refusal.
async fn fault(client: &Client, sql: &str) -> Option<String> {
    match tokio::time::timeout(DEADLINE, client.simple_query(sql)).await {
        Err(_) => Some("no answer".to_owned()),
        Ok(Err(error)) => match error.as_db_error() {
            None => Some(format!("the connection broke: {error}")),
            Some(clear) if clear.code().code() == "XX000" => Some(format!("an internal error: {}", clear.message())),
            Some(_) => None,
        },
        Ok(Ok(_)) => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_statement_ends_the_process_or_its_session() {
    let world = World::quickstart();
    let mut process = Process::serve(&world);
    let client = login(process.address(), "analyst").await.unwrap();
    let mut faults = Vec::new();
    for (name, sql) in statements() {
        if let Some(fault) = fault(&client, &sql).await {
            faults.push(format!("{name}: {fault}"));
        }
        if let Err(error) = client.simple_query("SELECT 1").await {
            faults.push(format!("{name}: the session is dead: {error}"));
            break;
        }
    }
    assert!(process.is_alive(), "{faults:?}\n{}", std::fs::read_to_string(world.path("log")).unwrap());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_limit_of_an_execute_is_no_allocation() {
    let world = World::quickstart();
    let mut process = Process::serve(&world);
    let mut client = login(process.address(), "analyst").await.unwrap();
    for rows_max in [i32::MAX, i32::MIN, -5, 0, 1] {
        let transaction = client.transaction().await.unwrap();
        let portal = transaction.bind("SELECT customer_id FROM customer.customer_360", &[]).await.unwrap();
        let rows = transaction.query_portal(&portal, rows_max).await.unwrap();
        assert_eq!(rows.len(), if rows_max == 1 { 1 } else { 2_720 }, "{rows_max}");
        transaction.rollback().await.unwrap();
    }
    assert!(process.is_alive());
}
