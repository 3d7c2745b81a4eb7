//! Inputs that a fuzzer found, and some that it started from, played again: no panic, no XX000, and every answer ends.

#[path = "../../fuzz/src/driver.rs"]
mod driver;

use std::path::PathBuf;

use serde_json::json;

use crate::gateway::{World, repository};
use crate::mutation::{Mutator, Random};
use crate::tokens::{Key, claims, configured, jwks};

/// The inputs of a target.
fn inputs(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = repository().join("tests/fuzzed").join(target);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_fuzzer_sent_is_answered_without_a_fault_of_ours() {
    const ISSUER: &str = "https://login.example.com";
    let world = World::quickstart();
    let key = Key::new("a");
    world.write("jwks.json", &jwks(&[&key]).to_string());
    let gateway = world.serve_with(&configured(ISSUER, "      keys: jwks.json\n")).await;
    let token = key.sign(&claims(ISSUER, "ann", json!({})));
    let mut played = 0;
    for target in ["start_up", "session", "statement"] {
        for (path, input) in inputs(target) {
            let bytes = match target {
                "start_up" => driver::stranger(&input),
                "session" => driver::session(&token, &input),
                _ => driver::statement(&token, &input),
            };
            let answer = driver::play(async |stream, address| gateway.serve_stream(stream, address).await, &bytes).await;
            assert_eq!(driver::fault(&answer), None, "{}", path.display());
            played += 1;
        }
    }
    assert!(played > 20, "the inputs were not found");
    gateway.login("analyst").await;
    gateway.stop().await;
}

/// How many inputs are made unless MESHGATE_FUZZ_SECONDS asks for as many as there is time for.
const MADE: usize = 240;

/// How many connections play at once.
const AT_ONCE: usize = 8;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_seed_makes_is_answered_without_a_fault_of_ours() {
    const ISSUER: &str = "https://login.example.com";
    let world = World::quickstart();
    let key = Key::new("a");
    world.write("jwks.json", &jwks(&[&key]).to_string());
    let gateway = world.serve_with(&configured(ISSUER, "      keys: jwks.json\n")).await;
    let dictionary = std::fs::read_to_string(repository().join("fuzz/sql.dict")).unwrap();
    let of = |target: &str| Mutator::new(inputs(target).into_iter().map(|(_, input)| input).collect(), &dictionary);
    let (strangers, sessions, statements) = (of("start_up"), of("session"), of("statement"));
    let started = std::time::Instant::now();
    let seconds = number("MESHGATE_FUZZ_SECONDS");
    let first = number("MESHGATE_FUZZ_SEED").unwrap_or(1);
    let mut played = 0;
    while seconds.map_or(played < MADE, |seconds| started.elapsed().as_secs() < seconds) {
        let made = (0..AT_ONCE).map(|at| {
            let seed = first + u64::try_from(played + at).unwrap();
            let token = key.sign(&claims(ISSUER, "ann", json!({})));
            let mut random = Random::new(seed);
            let bytes = match seed % 8 {
                0 => driver::stranger(&strangers.bytes(&mut random)),
                1..=4 => driver::session(&token, &sessions.session(&mut random)),
                _ => driver::statement(&token, &statements.statement(&mut random)),
            };
            (seed, bytes)
        });
        let gateway = &gateway;
        let play = made.map(|(seed, bytes)| async move {
            let answer = driver::play(async |stream, address| gateway.serve_stream(stream, address).await, &bytes).await;
            assert_eq!(driver::fault(&answer), None, "MESHGATE_FUZZ_SEED={seed}: {}", bytes.escape_ascii());
        });
        futures::future::join_all(play).await;
        played += AT_ONCE;
    }
    gateway.login("analyst").await;
    gateway.stop().await;
}

#[test]
fn faults_of_ours_are_seen() {
    let error = |code: &str| [b"E\0\0\0\x0fSERROR\0C".as_slice(), code.as_bytes(), b"\0\0"].concat();
    let framed = |code: &str| {
        let mut bytes = error(code);
        bytes[4] = u8::try_from(bytes.len() - 1).unwrap();
        bytes
    };
    assert_eq!(driver::fault(&framed("42601")), None);
    assert!(driver::fault(&framed("XX000")).is_some());
    assert!(driver::fault(b"Z\0\0\0\x05").is_some() && driver::fault(b"Z").is_some());
    assert_eq!(driver::fault(b"NZ\0\0\0\x05I"), None);
}
