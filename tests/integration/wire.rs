//! Messages that no well-behaved client sends, in every state of a session, answered as PostgreSQL 15 answers them.

use crate::gateway::World;
use crate::raw::{Raw, framed, in_short};

fn query(sql: &str) -> Vec<u8> {
    framed(b'Q', format!("{sql}\0").as_bytes())
}

fn parse(name: &str, sql: &str) -> Vec<u8> {
    framed(b'P', format!("{name}\0{sql}\0\0\0").as_bytes())
}

fn bind(portal: &str, statement: &str) -> Vec<u8> {
    framed(b'B', format!("{portal}\0{statement}\0\0\0\0\0\0\0").as_bytes())
}

fn execute(portal: &str, rows_max: u8) -> Vec<u8> {
    framed(b'E', &[portal.as_bytes(), &[0, 0, 0, 0, rows_max]].concat())
}

fn describe(kind: char, name: &str) -> Vec<u8> {
    framed(b'D', format!("{kind}{name}\0").as_bytes())
}

fn sync() -> Vec<u8> {
    framed(b'S', b"")
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_no_session_end_it() {
    let world = World::with_notes("notes.csv");
    let gateway = world.serve().await;
    for (kind, before) in [(b'p', Vec::new()), (b'y', Vec::new()), (b'p', parse("", "selekt")), (b'G', query("BEGIN"))] {
        let (mut raw, _) = Raw::login(gateway.address(), "analyst").await;
        raw.send_bytes(&[before, framed(kind, b"abc\0"), query("SELECT 1")].concat()).await;
        let told = String::from_utf8_lossy(&raw.last_words().await).into_owned();
        assert!(told.contains("FATAL") && told.contains("08P01"), "{told:?}");
        assert!(told.contains(&format!("invalid frontend message type {kind}")), "{told:?}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_of_no_copy_is_ignored_however_long_it_is() {
    let world = World::with_notes("notes.csv");
    let gateway = world.serve().await;
    let (mut raw, _) = Raw::login(gateway.address(), "analyst").await;
    let long = framed(b'd', &vec![b'x'; 3 << 20]);
    raw.send_bytes(&[long.clone(), framed(b'c', b""), framed(b'f', b"why\0"), query("SELECT 1")].concat()).await;
    assert_eq!(in_short(&raw.answer().await), "T D C ZI");
    raw.send_bytes(&[parse("", "SELECT 1"), long.clone(), bind("", ""), long, execute("", 0), sync()].concat()).await;
    assert_eq!(in_short(&raw.answer().await), "1 2 D C ZI");
    raw.send_bytes(&[framed(b'F', &vec![0; 1 << 20]), query("BEGIN"), query("SELECT 1/0"), framed(b'F', b"")].concat()).await;
    for answer in ["E0A000 ZI", "C ZT", "E22012 ZE", "E25P02 ZE"] {
        assert_eq!(in_short(&raw.answer().await), answer);
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_portals_of_a_failed_transaction_are_its_own() {
    let world = World::with_notes("notes.csv");
    let gateway = world.serve().await;
    let begun = [query("BEGIN"), parse("s", "SELECT * FROM (VALUES (1), (2), (3)) v"), bind("p", "s"), execute("p", 1), sync()].concat();
    let failing = query("SELECT 1/0");
    for (sent, answers) in [
        (vec![failing.clone(), execute("p", 1), sync()], vec!["E22012 ZE", "E25P02 ZE"]),
        (vec![failing.clone(), describe('P', "p"), sync()], vec!["E22012 ZE", "E25P02 ZE"]),
        (vec![failing.clone(), execute("q", 1), sync()], vec!["E22012 ZE", "E34000 ZE"]),
        (vec![failing.clone(), bind("p", "s"), sync()], vec!["E22012 ZE", "E25P02 ZE"]),
        (vec![failing.clone(), query("ROLLBACK"), execute("p", 1), sync()], vec!["E22012 ZE", "C ZI", "E34000 ZI"]),
        (
            vec![query("SAVEPOINT a"), failing.clone(), execute("p", 1), sync(), query("ROLLBACK TO a"), execute("p", 1), sync()],
            vec!["C ZT", "E22012 ZE", "E25P02 ZE", "C ZT", "D s ZT"],
        ),
        (vec![query("DECLARE k CURSOR FOR SELECT 1"), failing, execute("k", 0), sync()], vec!["C ZT", "E22012 ZE", "E25P02 ZE"]),
    ] {
        let (mut raw, _) = Raw::login(gateway.address(), "analyst").await;
        raw.send_bytes(&[begun.clone(), sent.concat()].concat()).await;
        for answer in ["C ZT", "1 2 D s ZT"].iter().chain(&answers) {
            assert_eq!(in_short(&raw.answer().await), *answer, "{answers:?}");
        }
    }
    let (mut raw, _) = Raw::login(gateway.address(), "analyst").await;
    raw.send_bytes(&[parse("nothing", ""), sync(), query("BEGIN"), query("SELECT 1/0")].concat()).await;
    raw.send_bytes(
        &[parse("n", ""), sync(), bind("", "nothing"), sync(), parse("c", "COMMIT"), bind("", "c"), execute("", 0), sync()].concat(),
    )
    .await;
    for answer in ["1 ZI", "C ZT", "E22012 ZE", "1 ZE", "E25P02 ZE", "1 2 C ZI"] {
        assert_eq!(in_short(&raw.answer().await), answer);
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_count_up_to_their_63rd_byte_and_formats_of_no_rows_do_not() {
    let world = World::with_notes("notes.csv");
    let gateway = world.serve().await;
    let (mut raw, _) = Raw::login(gateway.address(), "analyst").await;
    let (long, cut) = ("p".repeat(100), "p".repeat(63));
    raw.send_bytes(&[parse(&long, "SELECT 1"), bind(&long, &cut), execute(&cut, 0), sync()].concat()).await;
    assert_eq!(in_short(&raw.answer().await), "1 2 D C ZI");
    let formats = framed(b'B', b"\0\0\0\0\0\0\0\x02\0\x01\0\0");
    raw.send_bytes(&[parse("", "SET work_mem = 1000"), formats.clone(), execute("", 0), execute("", 0), sync()].concat()).await;
    assert_eq!(in_short(&raw.answer().await), "1 2 C E55000 ZI");
    raw.send_bytes(&[parse("", "SELECT 1"), formats, sync()].concat()).await;
    assert_eq!(in_short(&raw.answer().await), "1 E08P01 ZI");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_messages_take_of_the_memory_of_all() {
    let world = World::with_notes("notes.csv");
    let gateway = world.serve_with("limits: {memory_bytes: 16777216}\n").await;
    let (mut raw, _) = Raw::login(gateway.address(), "analyst").await;
    let comment = format!("SELECT 1 /*{}*/", "x".repeat(40 << 20));
    raw.send_bytes(&query(&comment)).await;
    assert_eq!(in_short(&raw.answer().await), "E53200 ZI");
    raw.send_bytes(&[parse("", &comment), query("SELECT 2"), sync()].concat()).await;
    assert_eq!(in_short(&raw.answer().await), "E53200 ZI");
    // Many that send at once, of which none has come whole, take what there is and no more.
    let mut others = Vec::new();
    for _ in 0..6 {
        let (mut other, _) = Raw::login(gateway.address(), "analyst").await;
        let half = query(&format!("SELECT 1 /*{}*/", "x".repeat(6 << 20)));
        other.send_bytes(&half[..5 << 20]).await;
        others.push((other, half));
    }
    let mut answers = Vec::new();
    for (other, half) in &mut others {
        other.send_bytes(&half[5 << 20..]).await;
        answers.push(in_short(&other.answer().await));
    }
    assert!(answers.iter().any(|answer| answer == "E53200 ZI"), "{answers:?}");
    drop(others);
    assert_eq!(in_short(&raw.simple("SELECT 1").await), "T D C ZI");
    gateway.stop().await;
}
