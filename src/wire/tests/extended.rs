//! The extended protocol.

use futures::future::join_all;

use super::raw::{Raw, message};
use super::*;

fn parse(name: &str, text: &str) -> Vec<u8> {
    message(b'P', format!("{name}\0{text}\0\0\0").as_bytes())
}

fn bind(portal: &str, statement: &str) -> Vec<u8> {
    message(b'B', format!("{portal}\0{statement}\0\0\0\0\0\0\0").as_bytes())
}

fn execute(portal: &str, rows_max: i32) -> Vec<u8> {
    let mut body = format!("{portal}\0").into_bytes();
    body.extend(rows_max.to_be_bytes());
    message(b'E', &body)
}

fn sync() -> Vec<u8> {
    message(b'S', b"")
}

#[tokio::test]
async fn parameters_and_binary_results_work() {
    let server = start(WireOptions::default()).await;
    let client = server.client().await;
    let statement = client.prepare("rows $1").await.unwrap();
    let rows = client.query(&statement, &[&3i64]).await.unwrap();
    let shown: Vec<(i64, Option<&str>)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(shown, [(0, None), (1, Some("row 1")), (2, Some("row 2"))]);
}

#[tokio::test]
async fn pipelined_queries_answer_in_order() {
    let server = start(WireOptions::default()).await;
    let client = server.client().await;
    let statement = client.prepare("rows $1").await.unwrap();
    let queries = (1..200i64).map(|count| {
        let (client, statement) = (&client, &statement);
        async move { client.query(statement, &[&count]).await.unwrap().len() }
    });
    assert_eq!(join_all(queries).await, (1..200).collect::<Vec<usize>>());
}

#[tokio::test]
async fn a_portal_is_read_in_parts() {
    let server = start(WireOptions::default()).await;
    let mut client = server.client().await;
    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind("rows $1", &[&2500i64]).await.unwrap();
    let mut parts = Vec::new();
    for rows_max in [1, 999, 1200, i32::MAX, 1] {
        parts.push(transaction.query_portal(&portal, rows_max).await.unwrap().len());
    }
    assert_eq!(parts, [1, 999, 1200, 300, 0]);
}

#[tokio::test]
async fn any_row_limit_is_safe() {
    let server = start(WireOptions::default()).await;
    let mut raw = Raw::session(&server).await;
    for (rows_max, end) in [(0, 'C'), (-5, 'C'), (i32::MIN, 'C'), (i32::MAX, 'C'), (2, 'C'), (1, 's')] {
        raw.send(&[parse("", "rows 2"), bind("", ""), execute("", rows_max), execute("", 0), sync()].concat()).await;
        let (kinds, codes) = raw.kinds().await;
        assert!(codes.is_empty(), "{rows_max}");
        let expected = match (rows_max, end) {
            (_, 's') => "12DsDCZ",
            (2, _) => "12DDsCZ",
            _ => "12DDCCZ",
        };
        assert_eq!(kinds, expected, "{rows_max}");
    }
}

#[tokio::test]
async fn a_suspended_portal_ends_with_its_transaction() {
    let server = start(WireOptions::default()).await;
    let mut raw = Raw::session(&server).await;
    raw.send(&[parse("", "rows -1"), bind("p", ""), execute("p", 5), sync()].concat()).await;
    assert_eq!(raw.kinds().await.0, "12DDDDDsZ");
    assert_eq!(server.backend.running(), 0);
    raw.send(&[execute("p", 5), sync()].concat()).await;
    assert_eq!(raw.kinds().await, ("EZ".to_owned(), vec!["34000".to_owned()]));
}

#[tokio::test]
async fn names_are_checked() {
    let server = start(WireOptions::default()).await;
    let mut raw = Raw::session(&server).await;
    let table = [
        (vec![parse("s", "rows 1"), parse("s", "rows 1")], "1EZ", "42P05"),
        (vec![bind("p", "s"), bind("p", "s")], "2EZ", "42P03"),
        (vec![bind("", "none")], "EZ", "26000"),
        (vec![message(b'D', b"Pnone\0")], "EZ", "34000"),
        (vec![parse("", "rows $1"), bind("", "")], "1EZ", "08P01"),
        (vec![parse("", "rows 1"), message(b'B', b"\0\0\0\0\0\0\0\x03\0\0\0\0\0\0")], "1EZ", "08P01"),
        (vec![parse("", "set a b"), bind("", ""), execute("", 0), execute("", 0)], "12NCEZ", "55000"),
    ];
    for (messages, kinds, sqlstate) in table {
        raw.send(&[messages.concat(), sync()].concat()).await;
        let (seen, codes) = raw.kinds().await;
        assert_eq!((seen.replace('S', "").as_str(), codes), (kinds, vec![sqlstate.to_owned()]), "{sqlstate}");
    }
    raw.send(&[message(b'C', b"Snone\0"), message(b'C', b"Pnone\0"), message(b'C', b"Ss\0"), parse("s", "fail"), sync()].concat()).await;
    assert_eq!(raw.kinds().await.0, "3331Z");
}

#[tokio::test]
async fn descriptions_carry_table_column_and_format() {
    let server = start(WireOptions::default()).await;
    let mut raw = Raw::session(&server).await;
    let binary = message(b'B', b"\0\0\0\0\0\0\0\x01\0\x01");
    raw.send(&[parse("", "rows 0"), message(b'D', b"S\0"), binary, message(b'D', b"P\0"), message(b'H', b"")].concat()).await;
    raw.skip_to(b't').await;
    let statement = raw.skip_to(b'T').await;
    assert_eq!(&statement[..23], b"\0\x02id\0\0\0\x40\0\0\x01\0\0\0\x14\0\x08\xff\xff\xff\xff\0\0");
    let portal = raw.skip_to(b'T').await;
    assert_eq!(&portal[21..23], b"\0\x01");
    raw.send(&[parse("", "set a b"), message(b'D', b"S\0"), sync()].concat()).await;
    assert_eq!(raw.kinds().await.0, "1tnZ");
}

#[tokio::test]
async fn an_error_skips_to_sync_and_fails_the_transaction() {
    let server = start(WireOptions::default()).await;
    let mut raw = Raw::session(&server).await;
    raw.send(&message(b'Q', b"begin\0")).await;
    raw.kinds().await;
    raw.send(&[parse("", "fail"), bind("", ""), execute("", 0), parse("x", "rows 1"), message(b'Q', b"rows 1\0"), sync()].concat()).await;
    let (kinds, codes) = raw.kinds().await;
    assert_eq!((kinds.as_str(), codes), ("12DDDEZ", vec!["22012".to_owned()]));
    raw.send(&message(b'Q', b"rollback\0")).await;
    assert_eq!(raw.kinds().await.0, "CZ");
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_its_query_back() {
    let server = start(WireOptions::default()).await;
    let mut raw = Raw::session(&server).await;
    raw.send(&[parse("", "rows 2000000"), bind("", ""), execute("", 0), sync()].concat()).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(server.backend.running(), 1);
    drop(raw);
    server.wait_for_no_running().await;
}

#[tokio::test]
async fn what_is_sent_ahead_of_a_running_query_is_kept() {
    let server = start(WireOptions::default()).await;
    let mut raw = Raw::session(&server).await;
    let mut bytes = [parse("", "rows 5000"), bind("", ""), execute("", 0), sync()].concat();
    for _ in 0..2000 {
        bytes.extend(message(b'Q', b"rows 1\0"));
    }
    raw.send(&bytes).await;
    raw.kinds().await;
    for _ in 0..2000 {
        assert_eq!(raw.kinds().await.0, "TDCZ");
    }
}
