//! Inputs that a fuzzer found, and some that it started from, played again: no panic, no XX000, and every answer ends.

#[path = "../../fuzz/src/driver.rs"]
mod driver;

use std::path::PathBuf;

use serde_json::json;

use crate::gateway::{World, repository};
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
