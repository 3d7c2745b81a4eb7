//! What a user of the gateway can see, played over a real socket. One binary, so that the dependencies are linked once.
//!
//! The tests that read from Postgres need `MESHGATE_TEST_POSTGRES`, the address of a server that they may make databases in;
//! `scripts/test` starts one. They fail without it: a test that does not run proves nothing.

#[cfg(any())]
mod answers;
#[cfg(any())]
mod bad_input;
#[cfg(any())]
mod gateway;
#[cfg(any())]
mod leaks;
#[cfg(any())]
mod postgres;
#[cfg(any())]
mod records;
#[cfg(any())]
mod slt;
#[cfg(any())]
mod tpch;
