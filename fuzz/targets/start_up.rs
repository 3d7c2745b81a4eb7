//! Fuzzes `start_up`: see `meshgate_fuzz::stranger`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| meshgate_fuzz::stranger(bytes));
