//! Fuzzes `session`: see `meshgate_fuzz::session`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| meshgate_fuzz::session(bytes));
