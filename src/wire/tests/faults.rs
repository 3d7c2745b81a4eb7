//! Broken, late and hostile clients: whatever they send or leave unsent, their own connection answers or ends, and others go on.

use proptest::prelude::*;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::raw::{Raw, message};
use super::*;

/// A text that the session of the tests answers.
fn query(text: &str) -> Vec<u8> {
    message(b'Q', format!("{text}\0").as_bytes())
}

async fn still_answers(server: &Server) {
    assert_eq!(server.client().await.simple_query("rows 1").await.unwrap().len(), 3);
}

#[tokio::test]
async fn messages_cut_off_anywhere_end_quietly() {
    let server = start(WireOptions::default()).await;
    let whole = [message(b'P', b"s\0rows 1\0\0\0"), message(b'B', b"\0s\0\0\0\0\0\0\0"), message(b'E', b"\0\0\0\0\0")].concat();
    for end in 0..whole.len() {
        let mut raw = Raw::session(&server).await;
        raw.send(&whole[..end]).await;
    }
    let start_up = Raw::start_up_packet(0x0003_0000, &[("user", "alice"), ("database", "mesh")]);
    for end in 0..start_up.len() {
        TcpStream::connect(server.address).await.unwrap().write_all(&start_up[..end]).await.unwrap();
    }
    still_answers(&server).await;
    assert_eq!(server.stop().await.panics, 0);
}

#[tokio::test]
async fn what_comes_during_a_copy_is_answered_after_it() {
    let server = start(WireOptions::default()).await;
    let mut raw = Raw::session(&server).await;
    let stray = [message(b'd', b"x"), message(b'c', b""), message(b'f', b"no\0"), message(b'H', b""), message(b'S', b"")].concat();
    raw.send(&[query("copy 3 text"), stray, query("rows 1")].concat()).await;
    assert_eq!(raw.kinds().await.0, "HddddcCZ");
    assert_eq!(raw.kinds().await.0, "Z");
    assert_eq!(raw.kinds().await.0, "TDCZ");
}

#[tokio::test]
async fn an_error_within_several_statements_ends_them_and_keeps_what_was_sent() {
    let server = start(WireOptions::default()).await;
    let mut raw = Raw::session(&server).await;
    raw.send(&query("rows 1; fail; rows 1")).await;
    assert_eq!(raw.kinds().await, ("TDCTDDDEZ".to_owned(), vec!["22012".to_owned()]));
    raw.send(&query("rows 1; nonsense; rows 1")).await;
    assert_eq!(raw.kinds().await, ("TDCEZ".to_owned(), vec!["42601".to_owned()]));
    raw.send(&query("copy 1 csv; set a b; ; rows 0")).await;
    assert_eq!(raw.kinds().await.0.replace('S', ""), "HddcCNCTCZ");
}

#[tokio::test]
async fn flush_sends_what_is_there_and_sync_ends_an_error() {
    let server = start(WireOptions::default()).await;
    let mut raw = Raw::session(&server).await;
    let parse = message(b'P', b"\0rows 1\0\0\0");
    raw.send(&[parse.clone(), message(b'H', b"")].concat()).await;
    assert_eq!(raw.message().await.0, b'1');
    raw.send(&[message(b'E', b"none\0\0\0\0\0"), message(b'H', b"")].concat()).await;
    assert_eq!(raw.message().await.0, b'E');
    // Everything is skipped, a simple query too, up to Sync.
    raw.send(&[query("rows 1"), message(b'H', b""), parse, message(b'S', b""), message(b'S', b"")].concat()).await;
    assert_eq!(raw.kinds().await.0, "Z");
    assert_eq!(raw.kinds().await.0, "Z");
}

#[tokio::test]
async fn cancels_before_between_and_after_statements_do_nothing() {
    let server = start(WireOptions::default()).await;
    let client = server.client().await;
    let token = client.cancel_token();
    for _ in 0..5 {
        token.cancel_query(NoTls).await.unwrap();
        assert_eq!(client.simple_query("rows 1").await.unwrap().len(), 3);
    }
}

#[tokio::test]
async fn a_cancel_reaches_a_statement_that_waits_for_its_reader() {
    let server = start(WireOptions::default()).await;
    let mut raw = Raw::connect(server.address).await;
    raw.start_up(0x0003_0000, &[("user", "alice"), ("database", "mesh")]).await;
    raw.authenticate().await;
    let key = raw.skip_to(b'K').await;
    raw.skip_to(b'Z').await;
    raw.send(&query("rows -1")).await;
    // Nobody reads: the socket fills up, and the query waits within a write.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(server.backend.running(), 1);
    let mut packet = [0, 0, 0, 16, 4, 210, 22, 46].to_vec();
    packet.extend(&key);
    TcpStream::connect(server.address).await.unwrap().write_all(&packet).await.unwrap();
    server.wait_for_no_running().await;
    let error = raw.skip_to(b'E').await;
    assert!(error.windows(6).any(|window| window == b"C57014"));
}

#[tokio::test]
async fn the_first_rows_do_not_wait_for_the_last() {
    let server = start(WireOptions::default()).await;
    let mut raw = Raw::session(&server).await;
    raw.send(&query("first")).await;
    assert_eq!(raw.message().await.0, b'T');
    assert_eq!(raw.message().await.0, b'D');
    assert_eq!(server.backend.running(), 1);
    raw.send(&[]).await;
    drop(raw);
    server.wait_for_no_running().await;
}

/// Frames of any kind with bodies that are nearly right, and bytes that are none.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let body = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        Just(b"s\0rows 1\0\0\0".to_vec()),
        Just(b"\0s\0\0\0\0\0\0\0".to_vec()),
        Just(b"\0\0\0\0\x02".to_vec()),
        Just(b"rows 2; fail; copy 2 binary\0".to_vec()),
        Just(b"Ps\0".to_vec()),
    ];
    let frame = (proptest::sample::select(b"QPBDCEHSFdcfp".to_vec()), body).prop_map(|(kind, body)| message(kind, &body));
    let noise = proptest::collection::vec(any::<u8>(), 1..12);
    proptest::collection::vec(prop_oneof![8 => frame, 1 => noise], 1..12).prop_map(|parts| parts.concat())
}

#[test]
fn no_bytes_of_a_session_hurt_anybody_else() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = runtime.block_on(start(WireOptions::default()));
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(bytes in hostile())| {
        runtime.block_on(async {
            let mut raw = Raw::session(&server).await;
            raw.send(&[bytes, message(b'X', b"")].concat()).await;
            raw.drain().await;
        });
    });
    runtime.block_on(still_answers(&server));
    assert_eq!(runtime.block_on(server.stop()).panics, 0);
}
