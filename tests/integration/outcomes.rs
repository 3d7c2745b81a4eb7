//! The record of a statement tells what its client heard: also of statements that answer with the rows of others, and of rows that could be
//! computed and not be sent.

use serde_json::{Value, json};

use crate::gateway::{Gateway, World};
use crate::raw::{Extended, Raw, framed, in_short};
use crate::records::records;

/// Fails on its first row, after it was planned, allowed and opened.
const FAILS: &str = "SELECT 1 / (orders_count - orders_count) FROM customer.customer_360";
/// Cannot be sent to a client that reads Latin-1.
const UNSENDABLE: &str = "SELECT tier || chr(8364) FROM customer.customer_360";

/// The ends of all statements of that text: outcome, code, rows.
fn ends(records: &[Value], sql: &str) -> Vec<(String, Option<String>, u64)> {
    let opened = records.iter().filter(|record| record["kind"] == "statement_opened" && record["sql"] == sql);
    opened
        .map(|opened| {
            let closed = |record: &&Value| record["kind"] == "statement_closed" && record["query_id"] == opened["query_id"];
            let closed = records.iter().find(closed).unwrap_or_else(|| panic!("{sql} has no end"));
            let text = |name: &str| closed[name].as_str().map(str::to_owned);
            (text("outcome").unwrap(), text("sqlstate"), closed["rows"].as_u64().unwrap())
        })
        .collect()
}

fn failed(sqlstate: &str) -> (String, Option<String>) {
    ("failed".to_owned(), Some(sqlstate.to_owned()))
}

/// The one end of a statement, but for its rows.
fn end(records: &[Value], sql: &str) -> (String, Option<String>) {
    let ends = ends(records, sql);
    let [(outcome, sqlstate, _)] = ends.as_slice() else { panic!("{sql} ended {ends:?}") };
    (outcome.clone(), sqlstate.clone())
}

async fn world() -> (World, Gateway) {
    let world = World::quickstart();
    let gateway = world.serve().await;
    (world, gateway)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_answers_with_the_rows_of_another_fails_with_them() {
    let (world, gateway) = world().await;
    let (mut raw, _) = Raw::login(gateway.address(), "analyst").await;
    for (sql, answer) in [
        (format!("PREPARE broken AS {FAILS}").as_str(), "C ZI"),
        ("EXECUTE broken", "T E22012 ZI"),
        (format!("EXPLAIN ANALYZE {FAILS}").as_str(), "E22012 ZI"),
        ("EXPLAIN ANALYZE EXECUTE broken", "E22012 ZI"),
        ("BEGIN", "C ZT"),
        (format!("DECLARE c CURSOR FOR {FAILS}").as_str(), "C ZT"),
        ("FETCH 3 FROM c", "T E22012 ZE"),
        ("ROLLBACK", "C ZI"),
    ] {
        assert_eq!(in_short(&raw.simple(sql).await), answer, "{sql}");
    }
    drop(raw);
    gateway.stop().await;
    let records = records(&world);
    for sql in ["EXECUTE broken", "EXPLAIN ANALYZE EXECUTE broken", "FETCH 3 FROM c", &format!("EXPLAIN ANALYZE {FAILS}")] {
        assert_eq!(end(&records, sql), failed("22012"), "{sql}");
    }
    // EXECUTE, what EXPLAIN ANALYZE has run of each, and the cursor; what is only explained before it is run fails with that.
    let of_the_query = ends(&records, FAILS);
    assert!(of_the_query.len() >= 4 && of_the_query.iter().all(|(outcome, ..)| outcome == "failed"), "{of_the_query:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_answers_with_the_rows_of_another_counts_what_it_sends() {
    let (world, gateway) = world().await;
    let (mut raw, _) = Raw::login(gateway.address(), "analyst").await;
    let query = "SELECT customer_id FROM customer.customer_360 WHERE customer_id < 1009 ORDER BY 1";
    for sql in [
        format!("PREPARE good(int) AS {query} LIMIT $1"),
        "EXECUTE good(3)".to_owned(),
        "BEGIN".to_owned(),
        format!("DECLARE c CURSOR FOR {query}"),
        "FETCH 2 FROM c".to_owned(),
        "MOVE 1 FROM c".to_owned(),
        "FETCH ALL FROM c".to_owned(),
        "CLOSE c".to_owned(),
        format!("DECLARE d CURSOR FOR {query} "),
        "FETCH 1 FROM d".to_owned(),
        "COMMIT".to_owned(),
        "SHOW work_mem".to_owned(),
        "SELECT 1 AS one".to_owned(),
    ] {
        assert!(!in_short(&raw.simple(&sql).await).contains('E'), "{sql}");
    }
    drop(raw);
    gateway.stop().await;
    let records = records(&world);
    let rows = |sql: &str| match ends(&records, sql).as_slice() {
        [(outcome, None, rows)] if outcome == "completed" => *rows,
        other => panic!("{sql} ended {other:?}"),
    };
    assert_eq!((rows("EXECUTE good(3)"), rows("FETCH 2 FROM c"), rows("FETCH 1 FROM d")), (3, 2, 1));
    assert_eq!((rows("SHOW work_mem"), rows("SELECT 1 AS one"), rows("COMMIT")), (1, 1, 0));
    // One cursor was read to its end, the other closed by the end of its transaction.
    let cursors = ends(&records, query);
    assert!(cursors.len() == 2 && cursors.iter().all(|(outcome, sqlstate, _)| outcome == "completed" && sqlstate.is_none()), "{cursors:?}");
    assert_eq!(rows("FETCH ALL FROM c") + 3, cursors[0].2);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_cannot_be_sent_have_failed() {
    let (world, gateway) = world().await;
    let (mut raw, _) = Raw::login(gateway.address(), "analyst").await;
    let latin = "SET client_encoding = 'LATIN1'";
    let copy = format!("COPY ({UNSENDABLE}) TO STDOUT");
    for (sql, answer) in [
        (latin, "C S ZI"),
        (UNSENDABLE, "T E22P05 ZI"),
        ("SELECT chr(8364)", "T E22P05 ZI"),
        (&copy, "H E22P05 ZI"),
        ("BEGIN", "C ZT"),
        (&format!("DECLARE c CURSOR FOR {UNSENDABLE} "), "C ZT"),
        ("FETCH 1 FROM c", "T E22P05 ZE"),
        ("ROLLBACK", "C ZI"),
    ] {
        assert_eq!(in_short(&raw.simple(sql).await), answer, "{sql}");
    }
    drop(raw);
    gateway.stop().await;
    let records = records(&world);
    for sql in ["SELECT chr(8364)", &copy, "FETCH 1 FROM c"] {
        assert_eq!(end(&records, sql), failed("22P05"), "{sql}");
    }
    let of_the_query = ends(&records, UNSENDABLE);
    assert!(of_the_query.len() == 2 && of_the_query.iter().all(|(outcome, ..)| outcome == "failed"), "{of_the_query:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_that_is_closed_before_its_end_has_answered() {
    let (world, gateway) = world().await;
    let (mut raw, _) = Raw::login(gateway.address(), "analyst").await;
    let of_a_portal = "SELECT customer_id FROM customer.customer_360 ORDER BY 1";
    let few = Extended { values: Vec::new(), binary_results: false, rows_max: 2 };
    assert_eq!(in_short(&raw.extended(of_a_portal, &few).await), "1 t T 2 T D D s D D s ZI");
    let gone = "SELECT customer_id FROM customer.customer_360 ORDER BY customer_id";
    let parse = framed(b'P', format!("\0{gone}\0\0\0").as_bytes());
    raw.send_bytes(&[parse, framed(b'B', b"p\0\0\0\0\0\0\0\0"), framed(b'E', b"p\0\0\0\0\x01"), framed(b'H', b"")].concat()).await;
    for kind in *b"12Ds" {
        raw.message(kind).await;
    }
    drop(raw);
    gateway.stop().await;
    let records = records(&world);
    assert_eq!(end(&records, of_a_portal), ("completed".to_owned(), None));
    assert_eq!(end(&records, gone), ("aborted".to_owned(), None), "its client went away while it might have asked for more");
    let leads_nowhere = records.iter().filter(|record| record["kind"] == "statement_closed" && record["sqlstate"] == json!("XX000"));
    assert_eq!(leads_nowhere.count(), 0);
}
