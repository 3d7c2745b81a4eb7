//! Fuzzes `statement`: see `meshgate_fuzz::statement`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| meshgate_fuzz::statement(bytes));
