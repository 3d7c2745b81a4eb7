//! The simple protocol, COPY, cancel, shutdown.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, pin_mut};
use tokio_postgres::{NoTls, SimpleQueryMessage};

use super::*;
use crate::wire::InterruptCause;

fn code(error: &tokio_postgres::Error) -> &str {
    error.code().map_or("none", |code| code.code())
}

#[tokio::test]
async fn each_statement_of_a_text_answers() {
    let server = start(WireOptions::default()).await;
    let client = server.client().await;
    let messages = client.simple_query("rows 2; set a b; rows 0").await.unwrap();
    let rows: Vec<_> = messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some((row.get(0).map(str::to_owned), row.get(1).map(str::to_owned))),
            _ => None,
        })
        .collect();
    assert_eq!(rows, [(Some("0".into()), None), (Some("1".into()), Some("row 1".into()))]);
    let tags: Vec<u64> = messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::CommandComplete(rows) => Some(*rows),
            _ => None,
        })
        .collect();
    assert_eq!(tags, [2, 0, 0]);
}

#[tokio::test]
async fn the_first_error_stops_a_text_and_the_session_goes_on() {
    let server = start(WireOptions::default()).await;
    let client = server.client().await;
    let error = client.simple_query("begin; fail; rows 1").await.unwrap_err();
    assert_eq!(code(&error), "22012");
    assert_eq!(code(&client.simple_query("rows 1").await.unwrap_err()), "25P02");
    client.simple_query("rollback").await.unwrap();
    assert_eq!(client.simple_query("rows 1").await.unwrap().len(), 3);
    let error = client.simple_query("rows 1; syntax error").await.unwrap_err();
    assert_eq!(code(&error), "42601");
}

#[tokio::test]
async fn many_rows_arrive_in_order() {
    let server = start(WireOptions::default()).await;
    let client = server.client().await;
    let messages = client.simple_query("rows 25000").await.unwrap();
    let ids: Vec<i64> = messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(|id| id.parse().unwrap()),
            _ => None,
        })
        .collect();
    assert_eq!(ids, (0..25000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_cancel_stops_a_stream_and_the_session_goes_on() {
    let server = start(WireOptions::default()).await;
    for text in ["rows -1", "slow", "stuck"] {
        let client = server.client().await;
        let token = client.cancel_token();
        let cancel = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            token.cancel_query(NoTls).await.unwrap();
        };
        let query = async {
            let stream = client.simple_query_raw(text).await?;
            pin_mut!(stream);
            while stream.next().await.transpose()?.is_some() {}
            Ok::<_, tokio_postgres::Error>(())
        };
        let (answer, ()) = tokio::join!(query, cancel);
        assert_eq!(code(&answer.unwrap_err()), "57014", "{text}");
        assert_eq!(client.simple_query("rows 1").await.unwrap().len(), 3, "{text}");
        assert_eq!(server.backend.running(), 0, "{text}");
    }
    let causes = server.backend.causes.lock().unwrap().clone();
    assert_eq!(causes.iter().filter(|cause| **cause == Some(InterruptCause::CancelRequest)).count(), 2);
}

#[tokio::test]
async fn a_client_that_vanishes_stops_its_query() {
    let server = start(WireOptions::default()).await;
    for text in ["rows -1", "slow"] {
        let (client, connection) = server.config("secret").connect(NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        let query = tokio::spawn(async move {
            let _ = client.simple_query_raw(text).await.map(Box::pin);
            std::future::pending::<()>().await;
        });
        while server.backend.running() == 0 {
            tokio::task::yield_now().await;
        }
        query.abort();
        connection.abort();
        server.wait_for_no_running().await;
    }
}

#[tokio::test]
async fn a_copy_is_sent_in_each_format() {
    let server = start(WireOptions::default()).await;
    let client = server.client().await;
    let mut copies = Vec::new();
    for text in ["copy 2 text", "copy 2 csv", "copy 2 binary"] {
        let chunks: Vec<_> = client.copy_out(text).await.unwrap().try_collect().await.unwrap();
        copies.push(chunks.concat());
    }
    assert_eq!(copies[0], b"id\tlabel\n0\t\\N\n1\trow 1\n");
    assert_eq!(copies[1], b"id,label\n0,\n1,\"row 1\"\n");
    let mut binary = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    binary.extend(b"\0\x02\0\0\0\x08\0\0\0\0\0\0\0\0\xff\xff\xff\xff");
    binary.extend(b"\0\x02\0\0\0\x08\0\0\0\0\0\0\0\x01\0\0\0\x05row 1\xff\xff");
    assert_eq!(copies[2], binary);
}

#[tokio::test]
async fn a_panic_ends_one_connection_and_is_counted() {
    let server = start(WireOptions::default()).await;
    let (doomed, other) = (server.client().await, server.client().await);
    assert!(doomed.simple_query("panic").await.is_err());
    assert_eq!(other.simple_query("rows 1").await.unwrap().len(), 3);
    let served = server.stop().await;
    assert_eq!((served.connections, served.panics), (2, 1));
}

#[tokio::test]
async fn a_shutdown_ends_idle_sessions_and_lets_running_ones_finish() {
    let server = start(WireOptions { drain_grace: Duration::from_millis(300), ..WireOptions::default() }).await;
    let idle = server.client().await;
    idle.simple_query("rows 1").await.unwrap();
    let busy = server.client().await;
    let query = tokio::spawn(async move { busy.simple_query("slow").await });
    while server.backend.running() == 0 {
        tokio::task::yield_now().await;
    }
    let served = server.stop().await;
    assert!(!served.drained);
    assert_eq!(code(&query.await.unwrap().unwrap_err()), "57P01");
    assert!(idle.simple_query("rows 1").await.is_err());
}
